// Package eventloop tells who can be read from or written to, among thousands of
// sockets, on one goroutine. A relay spends its time in the kernel: a goroutine
// for each direction would add to every packet a read that finds nothing, a
// parked goroutine and often the waking of a thread; a loop adds none of these,
// and what waits costs no stack and no buffer.
//
//	loop, err := eventloop.New()
//	go loop.Run()
//	watch := loop.Watch(fd, handler) // handler.Ready is called from now on
//	err = watch.Want(eventloop.Readable)
//	…
//	watch.Forget() // before fd is closed
//
// Events are level-triggered: a handler that leaves bytes unread is called again.
//
// # Concurrency
//
// All handlers of a loop run one after another on the goroutine of Run, and must
// not block. The methods of Loop and Watch may be called from any goroutine; the
// calls on one Watch are for its user to put in order. A handler may be called
// once more after Forget has returned on another goroutine.
package eventloop

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// Events are what a descriptor is ready for. A descriptor that has failed or was
// closed by its peer is ready for everything: the next call on it will tell.
type Events uint8

// The events.
const (
	Readable Events = 1 << iota
	Writable
)

// Handler is called when its descriptor is ready for any of the events that are
// wanted. It may use scratch, which belongs to the loop, until it returns.
type Handler interface {
	Ready(ready Events, scratch []byte)
}

const (
	// scratchSize is how much a handler can read at once.
	scratchSize = 64 << 10
	// batchSize is how many ready descriptors are learnt of at once.
	batchSize = 128
)

// Loop is a set of descriptors and the goroutine that waits for them.
type Loop struct {
	epoll int
	alarm int // an eventfd that ends Run

	mu      sync.Mutex
	last    uint64
	watches map[uint64]*Watch // by a number that is never used again, as descriptors are
}

// alarmID is the number of the eventfd among those of the watches.
const alarmID = 0

// New returns a loop that does not run yet. It is freed by Run, or by Close if
// Run is never called.
func New() (*Loop, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	l := &Loop{epoll: epoll, alarm: -1, watches: map[uint64]*Watch{}}
	if l.alarm, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		l.Close()
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	event := event(alarmID, Readable)
	if err := unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, l.alarm, &event); err != nil {
		l.Close()
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return l, nil
}

// Close frees a loop whose Run has not been called.
func (l *Loop) Close() {
	_ = unix.Close(l.epoll)
	if l.alarm >= 0 {
		_ = unix.Close(l.alarm)
	}
}

// Stop makes Run return.
func (l *Loop) Stop() error {
	if _, err := unix.Write(l.alarm, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("stop event loop: %w", err)
	}
	return nil
}

// Run calls handlers until Stop, and frees the loop.
func (l *Loop) Run() error {
	defer l.Close()
	scratch := make([]byte, scratchSize)
	var batch [batchSize]unix.EpollEvent
	for {
		n, err := unix.EpollWait(l.epoll, batch[:], -1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("epoll_wait: %w", err)
		}
		for i := range max(n, 0) {
			id := number(&batch[i])
			if id == alarmID {
				return nil
			}
			if w := l.find(id); w != nil {
				w.handler.Ready(readiness(batch[i].Events), scratch)
			}
		}
	}
}

func (l *Loop) find(id uint64) *Watch {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watches[id]
}

// Watch is one descriptor of a loop.
type Watch struct {
	loop    *Loop
	fd      int
	id      uint64
	handler Handler
	wanted  Events
}

// Watch adds a descriptor, of which no event is wanted yet. It must not block.
func (l *Loop) Watch(fd int, handler Handler) *Watch {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	w := &Watch{loop: l, fd: fd, id: l.last, handler: handler}
	l.watches[w.id] = w
	return w
}

// Want says which events the handler is to be called for from now on. It costs
// nothing if they are what was wanted before.
func (w *Watch) Want(events Events) error {
	if events == w.wanted {
		return nil
	}
	op := unix.EPOLL_CTL_MOD
	switch {
	case w.wanted == 0:
		op = unix.EPOLL_CTL_ADD
	case events == 0:
		// A descriptor that stays is reported when its peer has gone, wanted or not.
		op = unix.EPOLL_CTL_DEL
	}
	event := event(w.id, events)
	if err := unix.EpollCtl(w.loop.epoll, op, w.fd, &event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	w.wanted = events
	return nil
}

// Forget ends the watch.
func (w *Watch) Forget() {
	_ = w.Want(0) // cannot fail but for a descriptor that is not there
	w.loop.mu.Lock()
	defer w.loop.mu.Unlock()
	delete(w.loop.watches, w.id)
}

func event(id uint64, wanted Events) unix.EpollEvent {
	e := unix.EpollEvent{Fd: int32(uint32(id)), Pad: int32(uint32(id >> 32))}
	if wanted&Readable != 0 {
		e.Events |= unix.EPOLLIN
	}
	if wanted&Writable != 0 {
		e.Events |= unix.EPOLLOUT
	}
	return e
}

func number(e *unix.EpollEvent) uint64 { return uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32 }

func readiness(events uint32) (ready Events) {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		return Readable | Writable
	}
	if events&unix.EPOLLIN != 0 {
		ready |= Readable
	}
	if events&unix.EPOLLOUT != 0 {
		ready |= Writable
	}
	return ready
}

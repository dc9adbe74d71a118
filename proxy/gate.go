package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/parser"
)

// gate keeps statements on some tables back. While nothing is held it costs a
// session one atomic load per command.
type gate struct {
	active atomic.Int32 // number of holds

	mu    sync.Mutex
	holds []*hold
}

// hold is one table that is held, and who waits for it in order of arrival.
type hold struct {
	table   string
	waiting []*waiter
}

// waiter is a session that waits at the gate.
type waiter struct {
	released chan struct{}
	wake     func() // interrupts the session's read from its client
}

// Hold keeps statements that name the table back from now on until release is
// called, in sessions that hold nothing another could wait for: those outside a
// transaction, or in one that has run no statement yet. Sessions within a
// transaction or under LOCK TABLES run on, and so does a statement that passed
// the gate before. Tables of the same name in other schemas are held, too: the
// schema of a statement's table is not always in its text.
//
// release lets the statements go in the order of their arrival. It may be
// called twice.
func (s *Server) Hold(schemaName, table string) (release func()) {
	h := &hold{table: table}
	s.gate.mu.Lock()
	s.gate.holds = append(s.gate.holds, h)
	s.gate.active.Add(1)
	s.gate.mu.Unlock()
	s.Logger.Debug("hold", "schema", schemaName, "table", table)
	return func() { s.gate.release(h) }
}

func (g *gate) release(h *hold) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.holds, h)
	if i < 0 {
		return // released before
	}
	g.holds = slices.Delete(g.holds, i, i+1)
	g.active.Add(-1)
	for _, w := range h.waiting {
		close(w.released)
		w.wake()
	}
	h.waiting = nil
}

// enter returns nil if a statement may pass, else the place in the queue that
// it waits at. text is nil for a statement that may name any table.
func (g *gate) enter(text []byte, wake func()) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		if text == nil || parser.Names(text, h.table) {
			w := &waiter{released: make(chan struct{}), wake: wake}
			h.waiting = append(h.waiting, w)
			return w
		}
	}
	return nil
}

// leave takes a session that has gone out of its queue.
func (g *gate) leave(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		h.waiting = slices.DeleteFunc(h.waiting, func(x *waiter) bool { return x == w })
	}
}

// waitAtGate keeps the command at the front of the client's buffer back until
// it is released. Meanwhile it reads ahead, so that a client that leaves is noticed.
func (s *Session) waitAtGate(w *waiter) error {
	m := s.server.metrics
	m.holds.Inc()
	m.held.Inc()
	s.enterState(stateHeld)
	start := time.Now()
	defer func() {
		m.holdSeconds.Observe(time.Since(start).Seconds())
		m.held.Dec()
		s.enterState(stateRelay)
		s.server.gate.leave(w)
	}()
	for {
		select {
		case <-w.released:
			return nil
		default:
		}
		if err := s.readAhead(w.released); err != nil {
			return err
		}
	}
}

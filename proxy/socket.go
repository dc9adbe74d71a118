package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/eventloop"
)

// carrier is what lies below a connection of a session, TLS or not. While the
// session logs in it is a net.Conn, on which calls wait; afterwards calls go to
// the socket, which do not wait.
type carrier struct {
	net.Conn
	socket *socket
}

// Read reads from the connection. From a socket without bytes it returns
// EAGAIN, after which a tls.Conn can be read on: it is a temporary net.Error.
func (c *carrier) Read(p []byte) (int, error) {
	if c.socket != nil {
		return c.socket.readRaw(p)
	}
	return c.Conn.Read(p)
}

// Write writes to the connection. A socket takes everything.
func (c *carrier) Write(p []byte) (int, error) {
	if c.socket != nil {
		return len(p), c.socket.writeRaw(p)
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline is what a tls.Conn calls before its farewell. Writing to a
// socket does not wait.
func (c *carrier) SetWriteDeadline(t time.Time) error {
	if c.socket != nil {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

// socket is one connection of a session that has logged in. No call on it waits:
// what the kernel does not take is kept until flush.
type socket struct {
	fd    int // -1 if it is closed
	tls   *tls.Conn
	watch *eventloop.Watch

	unsent []byte // what the kernel has not taken yet
	quiet  bool   // there is nothing to be read before the next event
	ended  bool   // the peer has ended its direction
	shut   bool   // our direction ends behind unsent
}

// detach takes the connection's descriptor away from Go's poller, which would
// be woken for every packet. The leg is of no more use.
func (l *leg) detach() (*socket, error) {
	conn, ok := l.carrier.Conn.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("a %T is no socket", l.carrier.Conn)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	k := &socket{fd: -1}
	k.tls, _ = l.Conn.(*tls.Conn)
	var dupErr error
	if err := raw.Control(func(fd uintptr) { k.fd, dupErr = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return nil, err
	}
	if dupErr != nil {
		return nil, fmt.Errorf("duplicate a descriptor: %w", dupErr)
	}
	_ = l.carrier.Conn.Close()
	l.carrier.socket = k
	return k, nil
}

// read reads what there is, EAGAIN if there is nothing.
func (k *socket) read(p []byte) (int, error) {
	if k.tls != nil {
		return k.tls.Read(p)
	}
	return k.readRaw(p)
}

func (k *socket) readRaw(p []byte) (int, error) {
	if k.quiet {
		return 0, syscall.EAGAIN
	}
	n, err := readSocket(k.fd, p)
	switch {
	case err == nil && n == 0 && len(p) > 0:
		return 0, io.EOF
	case err != nil:
		k.quiet = true
		if errors.Is(err, syscall.EINTR) {
			err = syscall.EAGAIN // the event comes again
		}
		return 0, err
	}
	k.quiet = n < len(p)
	return n, nil
}

// write sends p or keeps it to be sent.
func (k *socket) write(p []byte) error {
	if k.tls != nil {
		_, err := k.tls.Write(p)
		return err
	}
	return k.writeRaw(p)
}

func (k *socket) writeRaw(p []byte) error {
	if len(k.unsent) == 0 {
		n, err := k.send(p)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	k.unsent = append(k.unsent, p...)
	return nil
}

// flush sends what has been kept, as far as the kernel takes it.
func (k *socket) flush() error {
	n, err := k.send(k.unsent)
	if err != nil {
		return err
	}
	if k.unsent = k.unsent[n:]; len(k.unsent) > 0 {
		return nil
	}
	k.unsent = nil
	if k.shut {
		return k.shutdown()
	}
	return nil
}

func (k *socket) send(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := writeSocket(k.fd, p)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return 0, nil
	}
	return n, err
}

// end tells the peer that nothing follows. The other direction stays open.
func (k *socket) end() error {
	if k.shut {
		return nil
	}
	if k.tls != nil {
		if err := k.tls.CloseWrite(); err != nil {
			return err
		}
	}
	k.shut = true
	if len(k.unsent) > 0 {
		return nil
	}
	return k.shutdown()
}

func (k *socket) shutdown() error {
	if err := unix.Shutdown(k.fd, unix.SHUT_WR); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return fmt.Errorf("shut down: %w", err)
	}
	return nil
}

// close closes the socket at once. It may be called twice.
func (k *socket) close() {
	if k.fd < 0 {
		return
	}
	if k.tls != nil && !k.shut && len(k.unsent) == 0 {
		_ = k.tls.CloseWrite() // a farewell, if the kernel takes it
	}
	if k.watch != nil {
		k.watch.Forget()
	}
	_ = unix.Close(k.fd)
	k.fd = -1
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"sluice/internal/eventloop"
)

// readAhead is how much of the client's bytes is kept while it is not their
// turn. Then the client's connection is not read until it is.
const readAhead = 16 << 10

// clientEvents and serverEvents are what the event loop calls.
type (
	clientEvents struct{ *Session }
	serverEvents struct{ *Session }
)

// Ready deals with an event on the client's connection.
func (s clientEvents) Ready(e eventloop.Events, scratch []byte) {
	s.do(func() error { return s.clientReady(e, scratch) })
}

// Ready deals with an event on the server connection.
func (s serverEvents) Ready(e eventloop.Events, scratch []byte) {
	s.do(func() error { return s.serverReady(e, scratch) })
}

// attach hands a session that has logged in over to a loop.
func (s *Session) attach(loop *eventloop.Loop) {
	s.do(func() (err error) {
		if s.c, err = s.client.detach(); err != nil {
			return fmt.Errorf("client's connection: %w", err)
		}
		if s.b, err = s.backend.detach(); err != nil {
			return fmt.Errorf("server connection: %w", err)
		}
		s.rawMu.Lock()
		s.raw = [2]net.Conn{}
		s.rawMu.Unlock()
		s.c.watch = loop.Watch(s.c.fd, clientEvents{s})
		s.b.watch = loop.Watch(s.b.fd, serverEvents{s})
		s.enterState(stateRelay)
		s.server.enter(s)
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		s.draining = s.server.serving.Err() != nil
		s.log.Debug("session open")

		// What was read together with the handshake has no event of its own.
		if err := s.fromServer(s.backend.bytes()); err != nil {
			return err
		}
		if err := s.fromClient(s.client.bytes()); err != nil {
			return err
		}
		if s.b.tls != nil {
			if err := s.serverReady(eventloop.Readable, s.backend.buf); err != nil {
				return err
			}
		}
		if s.c.tls != nil {
			return s.clientReady(eventloop.Readable, s.client.buf)
		}
		return nil
	})
}

// do runs one step of the session: an event and all that it allows. A panic in
// it ends this session only.
func (s *Session) do(step func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	defer func() {
		if panicked := recover(); panicked != nil {
			s.finish(s.caught(panicked))
		}
	}()
	err := step()
	if err == nil {
		err = s.settleDown()
	}
	if err != nil {
		s.finish(err)
	}
}

// settleDown ends a session whose time has come and says which events are
// wanted of one that goes on.
func (s *Session) settleDown() error {
	switch {
	case s.farewell && len(s.c.unsent) == 0:
		return io.EOF
	case s.mayLeave():
		return ErrDraining
	}
	var client, server eventloop.Events
	if !s.c.ended && !s.farewell && s.lent == nil && len(s.in) < readAhead && len(s.b.unsent) == 0 {
		client |= eventloop.Readable
	}
	if len(s.c.unsent) > 0 {
		client |= eventloop.Writable
	} else if !s.b.ended {
		server |= eventloop.Readable
	}
	if len(s.b.unsent) > 0 {
		server |= eventloop.Writable
	}
	if err := s.c.watch.Want(client); err != nil {
		return err
	}
	if s.b.fd < 0 {
		return nil
	}
	return s.b.watch.Want(server)
}

// mayLeave reports whether the session is to leave and is at a place to do so:
// between commands, with nothing of its transaction to lose.
func (s *Session) mayLeave() bool {
	return s.draining && s.phase == phaseIdle && s.lent == nil && len(s.in) == 0 && s.gathering == nil &&
		s.frame.atBoundary() && !s.uploading && !s.inTransaction() && !s.underLocks()
}

// drain asks the session to leave.
func (s *Session) drain() {
	s.do(func() error {
		s.draining = true
		return nil
	})
}

// drop ends the session at once.
func (s *Session) drop(cause error) {
	s.do(func() error { return cause })
}

func (s *Session) clientReady(e eventloop.Events, scratch []byte) error {
	if e&eventloop.Writable != 0 && len(s.c.unsent) > 0 {
		if err := s.c.flush(); err != nil {
			return fmt.Errorf("write to client: %w", err)
		}
	}
	if e&eventloop.Readable == 0 || s.c.ended || s.farewell {
		return nil
	}
	s.c.quiet = false
	for {
		n, err := s.c.read(scratch)
		s.server.metrics.fromClient.Add(float64(n))
		if n > 0 {
			if err := s.fromClient(scratch[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case errors.Is(err, io.EOF):
			s.c.ended = true
			return s.clientEnded()
		case err != nil:
			return fmt.Errorf("read from client: %w", err)
		case s.c.tls == nil:
			return nil // the event comes again if there is more
		}
		// Only what TLS has read already, since no event tells of that.
		s.c.quiet = true
	}
}

func (s *Session) serverReady(e eventloop.Events, scratch []byte) error {
	if e&eventloop.Writable != 0 && len(s.b.unsent) > 0 {
		if err := s.b.flush(); err != nil {
			return fmt.Errorf("write to server: %w", err)
		}
	}
	if e&eventloop.Readable == 0 || s.b.ended || len(s.c.unsent) > 0 {
		return nil
	}
	s.b.quiet = false
	for {
		n, err := s.b.read(scratch)
		s.server.metrics.fromServer.Add(float64(n))
		if n > 0 {
			if err := s.fromServer(scratch[:n]); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, syscall.EAGAIN):
			return nil
		case err != nil:
			return s.serverEnded(err)
		case s.b.tls == nil:
			return nil
		}
		s.b.quiet = true
	}
}

// clientEnded passes the end of the client's bytes on to the server, behind
// what comes before it: the client may still wait for an answer.
func (s *Session) clientEnded() error {
	switch {
	case s.held != nil:
		return io.EOF // its statement was not acknowledged, nor will it be
	case s.lent != nil, s.farewell, len(s.in) > 0 && s.phase == phaseBusy:
		return nil // later
	}
	for _, brokenOff := range [][]byte{s.gathering, s.in} {
		if err := s.toServer(brokenOff); err != nil {
			return err
		}
	}
	s.gathering, s.in = nil, nil
	if err := s.b.end(); err != nil {
		return fmt.Errorf("end the server connection: %w", err)
	}
	return nil
}

// serverEnded lets the client have what is left for it. If the Alterer has the
// session, that is its answer.
func (s *Session) serverEnded(err error) error {
	if !expected(err) {
		s.log.Debug("server connection ended", "error", err)
	}
	s.b.ended = true
	s.b.close()
	if s.lent != nil {
		s.lent.unlink(ErrServerLost)
		return nil
	}
	s.farewell = true
	return nil
}

// finish ends the session. Its parts are freed once.
func (s *Session) finish(cause error) {
	if s.over {
		return
	}
	s.over = true
	if !expected(cause) {
		s.log.Debug("session ended", "error", cause)
	}
	if s.held != nil {
		s.leaveGate()
	}
	if s.lent != nil {
		s.lent.unlink(cause)
	}
	if s.c != nil {
		s.c.close()
	}
	if s.b != nil {
		s.b.close()
	}
	s.cut()
	s.in, s.gathering = nil, nil
	s.enterState("")
	s.server.ended(s)
}

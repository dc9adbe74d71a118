package proxy

import (
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
	"sluice/parser"
)

// relayCommands is the client's side of the session: it forwards commands,
// strictly in turn, until a connection ends or the session is to leave.
func (s *Session) relayCommands() error {
	for {
		if err := s.step(); err != nil {
			return err
		}
	}
}

// step does whatever the phase and the bytes at hand allow.
func (s *Session) step() error {
	switch phase(s.phase.Load()) {
	case phaseIdle:
		switch {
		case s.commandBegun():
			return s.command()
		case s.client.len() == 0 && s.mayLeave():
			return ErrDraining
		}
		return s.fill()
	case phaseBusy:
		return s.awaitTurn()
	case phaseUpload:
		return s.upload()
	default: // phaseDialogue, phaseOpaque
		if s.client.len() == 0 {
			return s.fill()
		}
		s.pass(s.client.len())
		return s.flush()
	}
}

// commandBegun reports whether the header of a packet and its first byte are there.
func (s *Session) commandBegun() bool {
	n := s.client.len()
	return n > wire.HeaderLen || n == wire.HeaderLen && wire.PayloadLen(s.client.bytes()) == 0
}

// mayLeave reports whether a session that is between commands should leave.
func (s *Session) mayLeave() bool {
	return s.draining.Load() && !s.inTransaction() && !s.UnderLocks()
}

// awaitTurn waits for the end of the answer under way. A client that leaves
// meanwhile is noticed, because its connection is being read.
func (s *Session) awaitTurn() error {
	if s.client.len() == 0 {
		return s.fill() // what comes is judged by the phase that is then
	}
	s.waiting.Store(true)
	defer s.waiting.Store(false)
	if phase(s.phase.Load()) != phaseBusy {
		return nil
	}
	return s.readAhead(nil)
}

// readAhead reads more from the client while it has to wait. It returns early
// when the session is woken, or on released.
func (s *Session) readAhead(released <-chan struct{}) error {
	if err := s.flush(); err != nil {
		return err
	}
	if !s.client.full() {
		return s.fill()
	}
	select {
	case <-s.wakeup:
	case <-released:
	case <-s.linked.Done():
		return ErrServerLost
	}
	return nil
}

// fill reads more from the client, after everything that is due was forwarded.
// It may return without having read anything.
func (s *Session) fill() error {
	if err := s.flush(); err != nil {
		return err
	}
	n, err := s.client.fill()
	s.server.metrics.fromClient.Add(float64(n))
	if timedOut(err) { // woken up
		return s.client.SetReadDeadline(noDeadline)
	}
	if err != nil {
		return fmt.Errorf("read from client: %w", err)
	}
	return nil
}

// pass marks the next n bytes of the client's as to be forwarded. They are
// written with the next flush, so that commands without an answer travel
// together with the one that follows.
func (s *Session) pass(n int) {
	s.client.skip(n)
	s.unsent += n
}

// flush writes what is to be forwarded.
func (s *Session) flush() error {
	if s.unsent == 0 {
		return nil
	}
	p := s.client.buf[s.client.start-s.unsent : s.client.start]
	s.unsent = 0
	return s.toServer(p)
}

func (s *Session) toServer(p []byte) error {
	s.server.metrics.toServer.Add(float64(len(p)))
	if _, err := s.backend.Write(p); err != nil {
		return fmt.Errorf("write to server: %w", err)
	}
	return nil
}

// command deals with the command that the client's buffer begins with. Where
// more of it must be seen first, it reads more and returns.
func (s *Session) command() error {
	s.settle()
	p := s.client.bytes()
	total := wire.HeaderLen + wire.PayloadLen(p)
	cmd := mysql.COM_SLEEP
	if total > wire.HeaderLen {
		cmd = p[wire.HeaderLen]
	}
	if s.read(cmd) && len(p) < total && !s.client.full() {
		return s.fill()
	}
	p = p[:min(total, len(p))]
	if w := s.held(cmd, p, total); w != nil {
		return s.waitAtGate(w)
	}
	s.server.metrics.commands.Inc()

	switch cmd {
	case mysql.COM_QUERY:
		if text, ok := wire.QueryText(p[wire.HeaderLen:], s.caps); ok {
			s.memory.query(text)
			if parser.Candidate(text) && s.server.Alterer != nil {
				return s.takeOverQuery(total)
			}
		}
	case mysql.COM_STMT_EXECUTE:
		if sql, ok := s.memory.alter(p[wire.HeaderLen:]); ok && len(p) == total && s.server.Alterer != nil {
			return s.takeOver(p, sql)
		}
	case mysql.COM_STMT_PREPARE:
		s.memory.prepare(p[wire.HeaderLen:], len(p) == total)
	case mysql.COM_STMT_CLOSE:
		s.memory.closeStatement(p[wire.HeaderLen:])
	case mysql.COM_CHANGE_USER:
		if s.mixed {
			return s.refuseChangeUser(total)
		}
	}
	return s.forward(cmd, total)
}

// read reports whether a command is looked into, so that as much of it as the
// buffer holds should be there first.
func (s *Session) read(cmd byte) bool {
	switch cmd {
	case mysql.COM_QUERY, mysql.COM_STMT_PREPARE, mysql.COM_STMT_EXECUTE, mysql.COM_STMT_CLOSE:
		return true
	}
	return false
}

// forward sends the command at the front of the buffer to the server.
func (s *Session) forward(cmd byte, total int) error {
	switch wire.ShapeOf(cmd) {
	case wire.Opaque:
		s.enterState(stateOpaque)
		s.phase.Store(uint32(phaseOpaque))
		return nil
	case wire.Silent:
		if cmd == mysql.COM_QUIT {
			s.pass(s.client.len())
			return s.flush()
		}
		return s.passPacket(total)
	}
	s.memory.last = cmd
	s.expect(cmd)
	if err := s.passPacket(total); err != nil {
		return err
	}
	return s.flush()
}

// expect hands the conversation over to the server's side until cmd is answered.
func (s *Session) expect(cmd byte) {
	s.response.Begin(cmd)
	s.phase.Store(uint32(phaseBusy))
}

// passPacket passes a packet of total bytes, header included, of which the
// buffer need not hold all yet, together with the packets that continue it.
func (s *Session) passPacket(total int) error {
	for {
		for rest := total; ; {
			n := min(rest, s.client.len())
			s.pass(n)
			if rest -= n; rest == 0 {
				break
			}
			if err := s.fill(); err != nil {
				return err
			}
		}
		if total < wire.HeaderLen+wire.MaxPayload {
			return nil
		}
		for s.client.len() < wire.HeaderLen {
			if err := s.fill(); err != nil {
				return err
			}
		}
		total = wire.HeaderLen + wire.PayloadLen(s.client.bytes())
	}
}

// upload forwards the packets of a file that the server asked for, up to the
// empty packet that ends it.
func (s *Session) upload() error {
	for {
		for s.client.len() < wire.HeaderLen {
			if err := s.fill(); err != nil {
				return err
			}
		}
		total := wire.HeaderLen + wire.PayloadLen(s.client.bytes())
		if total == wire.HeaderLen {
			// The phase is idle already if the server gave up half-way.
			s.phase.CompareAndSwap(uint32(phaseUpload), uint32(phaseBusy))
			s.pass(total)
			return s.flush()
		}
		if err := s.passPacket(total); err != nil {
			return err
		}
	}
}

// held returns the place in the queue of a command that has to wait at the
// gate, or nil.
func (s *Session) held(cmd byte, p []byte, total int) *waiter {
	if s.server.gate.active.Load() == 0 || s.UnderLocks() || s.inTransaction() && !s.memory.begun {
		return nil
	}
	var text []byte // nil: may name any table
	switch cmd {
	case mysql.COM_QUERY:
		if len(p) == total {
			text, _ = wire.QueryText(p[wire.HeaderLen:], s.caps)
		}
	case mysql.COM_STMT_EXECUTE:
		text = s.memory.text(p[wire.HeaderLen:])
	default:
		return nil
	}
	return s.server.gate.enter(text, s.wake)
}

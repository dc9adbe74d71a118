package proxy

import (
	"errors"
	"fmt"
	"time"

	"sluice/internal/wire"
)

// noDeadline takes a connection's deadline away.
var noDeadline time.Time

// errUnasked reports an answer that the proxy's own statement cannot have.
var errUnasked = errors.New("proxy: the server asks for a file or a proof in answer to our own statement")

// relayAnswers is the server's side of the session: it forwards what the server
// sends until a connection ends, and follows where answers end.
func (s *Session) relayAnswers() error {
	for {
		if s.backend.len() > 0 { // also what came with the handshake's last packet
			if err := s.deliver(s.backend.bytes()); err != nil {
				return err
			}
			s.backend.skip(s.backend.len())
		}
		n, err := s.backend.fill()
		s.server.metrics.fromServer.Add(float64(n))
		if err != nil {
			return fmt.Errorf("read from server: %w", err)
		}
	}
}

// deliver takes bytes of the server to where they belong.
func (s *Session) deliver(p []byte) error {
	for len(p) > 0 {
		switch phase(s.phase.Load()) {
		case phaseOpaque:
			return s.toClient(p)
		case phaseIdle:
			// Out of turn: an error that precedes the end of the connection. A
			// client whose ALTER is under way waits for another packet.
			if s.lent.Load() {
				return nil
			}
			return s.toClient(p)
		}
		n, event := s.response.Feed(p)
		if err := s.deliverAnswer(p[:n], event); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (s *Session) deliverAnswer(p []byte, event wire.Event) error {
	if s.collect != nil {
		if event == wire.Upload || event == wire.Challenge {
			return errUnasked
		}
		s.collect.add(p)
		if event == wire.Done {
			done := s.collect.done
			s.collect = nil
			s.answered()
			close(done)
		}
		return nil
	}
	// The phase changes before the client has the bytes, so that the client's
	// next packet finds it changed; under the lock, so that an answer of our
	// own to that packet comes behind them.
	s.clientMu.Lock()
	switch event {
	case wire.Done:
		s.answered()
	case wire.Upload:
		s.phase.Store(uint32(phaseUpload))
	case wire.Challenge:
		s.phase.Store(uint32(phaseDialogue))
	}
	err := s.toClientLocked(p)
	s.clientMu.Unlock()
	if event != wire.More && (s.waiting.Load() || s.draining.Load()) {
		s.wake()
	}
	return err
}

// answered hands the conversation back to the client's side.
func (s *Session) answered() {
	status := uint32(s.response.Status())
	if s.response.Failed() {
		status |= statusFailed
	}
	s.status.Store(status)
	s.phase.Store(uint32(phaseIdle))
	if s.waiting.Load() {
		s.wake()
	}
}

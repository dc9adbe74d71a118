package proxy

import (
	"errors"

	"sluice/internal/wire"
)

// errUnasked reports an answer that the proxy's own statement cannot have.
var errUnasked = errors.New("proxy: the server asks for a file or a proof in answer to our own statement")

// fromServer takes bytes of the server to where they belong, and follows where
// answers end.
func (s *Session) fromServer(p []byte) error {
	for len(p) > 0 {
		if s.phase == phaseIdle || s.phase == phaseOpaque {
			// Out of turn comes an error that precedes the end of the connection.
			// A client whose ALTER is under way waits for another packet.
			if s.lent != nil {
				return nil
			}
			return s.toClient(p)
		}
		n, event := s.response.Feed(p)
		var err error
		if s.collect != nil {
			err = s.collected(p[:n], event)
		} else {
			err = s.relayed(p[:n], event)
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// relayed passes bytes of an answer on to the client.
func (s *Session) relayed(p []byte, event wire.Event) error {
	if err := s.toClient(p); err != nil {
		return err
	}
	switch event {
	case wire.Upload:
		s.phase, s.uploading = phaseUpload, true
	case wire.Challenge:
		s.phase = phaseDialogue
	case wire.Done:
		s.answered()
	default:
		return nil
	}
	return s.advance()
}

// collected keeps bytes of the answer to a statement of our own.
func (s *Session) collected(p []byte, event wire.Event) error {
	if event == wire.Upload || event == wire.Challenge {
		return errUnasked
	}
	s.collect.add(p)
	if event != wire.Done {
		return nil
	}
	close(s.collect.done)
	s.collect = nil
	s.answered()
	return s.advance() // if the session was taken back without the answer
}

// answered notes that the answer is complete.
func (s *Session) answered() {
	s.status = uint32(s.response.Status())
	if s.response.Failed() {
		s.status |= statusFailed
	}
	s.phase = phaseIdle
}

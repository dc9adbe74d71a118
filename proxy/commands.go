package proxy

import (
	"errors"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
	"sluice/parser"
)

// lookAhead is how much of a command that is looked into is waited for.
const lookAhead = 16 << 10

// frame is the packet that is being forwarded, and whether another continues it.
type frame struct {
	left      int // bytes of the packet that are still to come
	continued bool
}

// begin enters a packet whose header p begins with and returns its length.
func (f *frame) begin(p []byte) int {
	length := wire.PayloadLen(p)
	f.left, f.continued = wire.HeaderLen+length, length == wire.MaxPayload
	return f.left
}

// take returns how many of the next n bytes belong to the packet.
func (f *frame) take(n int) int {
	n = min(n, f.left)
	f.left -= n
	return n
}

// atBoundary reports whether what follows is another command.
func (f *frame) atBoundary() bool { return f.left == 0 && !f.continued }

// fromClient takes bytes of the client's: it deals with them in turn and keeps
// what has to wait.
func (s *Session) fromClient(p []byte) error {
	if len(s.in) > 0 {
		s.in = append(s.in, p...)
		return s.advance()
	}
	used, err := s.consume(p)
	if used < len(p) {
		s.in = append(s.in, p[used:]...)
	}
	return err
}

// advance deals with what has had to wait.
func (s *Session) advance() error {
	used, err := s.consume(s.in)
	if s.in = s.in[used:]; len(s.in) == 0 {
		s.in = nil
	}
	if err == nil && s.c.ended {
		err = s.clientEnded()
	}
	return err
}

// verdict says what becomes of the bytes that the client's next ones begin with.
type verdict uint8

const (
	wait    verdict = iota // until there are more, or it is their turn
	forward                // to the server
	gather                 // into the whole packet, of which we make something ourselves
)

// consume deals with the client's bytes, in turn and as far as it is their turn,
// and returns how many. What goes to the server is written at the end at once, so
// that commands without an answer travel together with the one that follows.
func (s *Session) consume(p []byte) (used int, err error) {
	sent := 0
	for used < len(p) {
		n, v := s.judge(p[used:])
		if v == wait {
			break
		}
		if v == forward {
			used += n
			continue
		}
		if err := s.toServer(p[sent:used]); err != nil {
			return used, err
		}
		s.gathering = append(s.gathering, p[used:used+n]...)
		used += n
		sent = used
		if len(s.gathering) == cap(s.gathering) {
			if err := s.gathered(); err != nil {
				return used, err
			}
		}
	}
	return used, s.toServer(p[sent:used])
}

// judge decides on the client's next bytes and returns for how many of them.
func (s *Session) judge(p []byte) (n int, v verdict) {
	switch {
	case s.lent != nil, s.held != nil:
		return 0, wait
	case s.gathering != nil:
		return min(len(p), cap(s.gathering)-len(s.gathering)), gather
	case s.frame.left > 0:
		return s.frame.take(len(p)), forward
	case s.phase == phaseDialogue, s.phase == phaseOpaque:
		return len(p), forward
	case len(p) < wire.HeaderLen:
		return 0, wait
	case s.frame.continued:
		s.frame.begin(p)
		return s.frame.take(len(p)), forward
	case s.uploading:
		if s.frame.begin(p) == wire.HeaderLen { // the file ends
			s.uploading = false
			if s.phase == phaseUpload { // else the server has given up half-way
				s.phase = phaseBusy
			}
		}
		return s.frame.take(len(p)), forward
	case s.phase != phaseIdle:
		return 0, wait
	}
	return s.command(p)
}

// command decides on the command that p begins with.
func (s *Session) command(p []byte) (int, verdict) {
	total := wire.HeaderLen + wire.PayloadLen(p)
	cmd := mysql.COM_SLEEP
	if total > wire.HeaderLen {
		if len(p) == wire.HeaderLen {
			return 0, wait
		}
		cmd = p[wire.HeaderLen]
	}
	if lookedInto(cmd) && len(p) < min(total, lookAhead) {
		return 0, wait
	}
	p = p[:min(total, len(p))]
	whole := len(p) == total
	s.settle()
	if s.mustWait(cmd, p, whole) {
		return 0, wait
	}
	s.server.metrics.commands.Inc()

	switch cmd {
	case mysql.COM_QUERY:
		if text, ok := wire.QueryText(p[wire.HeaderLen:], s.caps); ok {
			s.memory.query(text)
			if s.server.Alterer != nil && parser.Candidate(text) {
				return s.take(total, p)
			}
		}
	case mysql.COM_STMT_EXECUTE:
		if _, ok := s.memory.alter(p[wire.HeaderLen:]); ok && s.server.Alterer != nil {
			return s.take(total, p)
		}
	case mysql.COM_STMT_PREPARE:
		s.memory.prepare(p[wire.HeaderLen:], whole)
	case mysql.COM_STMT_CLOSE:
		s.memory.closeStatement(p[wire.HeaderLen:])
	case mysql.COM_CHANGE_USER:
		if s.mixed {
			return s.take(total, p)
		}
	}
	return s.forward(cmd, p)
}

// lookedInto reports whether more of a command than its first byte is looked at.
func lookedInto(cmd byte) bool {
	switch cmd {
	case mysql.COM_QUERY, mysql.COM_STMT_PREPARE, mysql.COM_STMT_EXECUTE, mysql.COM_STMT_CLOSE:
		return true
	}
	return false
}

// forward decides on the command cmd that goes to the server.
func (s *Session) forward(cmd byte, p []byte) (int, verdict) {
	switch wire.ShapeOf(cmd) {
	case wire.Opaque:
		s.enterState(stateOpaque)
		s.phase = phaseOpaque
		return len(p), forward
	case wire.Silent:
	default:
		s.memory.last = cmd
		s.expect(cmd)
	}
	s.frame.begin(p)
	return s.frame.take(len(p)), forward
}

// expect prepares for the answer to cmd.
func (s *Session) expect(cmd byte) {
	s.response.Begin(cmd)
	s.phase = phaseBusy
}

// take has the command gathered that p begins with, and whose packet has total
// bytes, unless it is too long.
func (s *Session) take(total int, p []byte) (int, verdict) {
	if total > maxTakenOver {
		s.server.metrics.intercepted.WithLabelValues(decisionTooLong).Inc()
		s.log.Warn("statement forwarded unread: too long to be taken over", "bytes", total)
		return s.forward(p[wire.HeaderLen], p)
	}
	s.gathering = make([]byte, 0, total)
	return len(p), gather
}

// gathered deals with the packet that was gathered.
func (s *Session) gathered() error {
	packet := s.gathering
	s.gathering = nil
	payload := packet[wire.HeaderLen:]
	switch payload[0] {
	case mysql.COM_QUERY:
		text, ok := wire.QueryText(payload, s.caps)
		if !ok {
			return wire.ErrMalformed
		}
		s.lend(packet, string(text))
	case mysql.COM_STMT_EXECUTE:
		sql, _ := s.memory.alter(payload)
		s.lend(packet, sql)
	case mysql.COM_CHANGE_USER:
		return s.answerError(errors.New("COM_CHANGE_USER needs TLS on the connection to the server, too"))
	}
	return nil
}

// mustWait keeps a command back that has to wait at the gate, and reports
// whether it has to.
func (s *Session) mustWait(cmd byte, p []byte, whole bool) bool {
	if s.server.gate.active.Load() == 0 || s.underLocks() || s.inTransaction() && !s.memory.begun {
		return false
	}
	var text []byte // nil: may name any table
	switch cmd {
	case mysql.COM_QUERY:
		if whole {
			text, _ = wire.QueryText(p[wire.HeaderLen:], s.caps)
		}
	case mysql.COM_STMT_EXECUTE:
		text = s.memory.text(p[wire.HeaderLen:])
	default:
		return false
	}
	return s.waitAtGate(text)
}

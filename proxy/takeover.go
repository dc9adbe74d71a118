package proxy

import (
	"context"
	"errors"
	"fmt"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

const (
	// maxTakenOver is the longest statement that is taken over; a longer one
	// is forwarded.
	maxTakenOver = 1 << 20
	// maxCollected is the longest answer that Query accepts.
	maxCollected = 1 << 20
)

// Alterer takes over an ALTER TABLE that a client sent.
type Alterer interface {
	// Alter carries out sql, sent on session s, and returns what the client is
	// to be told. It is called on the session's own goroutine at a command
	// boundary, and may take days. An error becomes an ERR packet.
	//
	// ctx ends, with a cause, when the proxy shuts down (ErrDraining, at once),
	// when the server closed the session (ErrServerLost), or when the session
	// is dropped. It does not end when the client leaves.
	Alter(ctx context.Context, s *Session, sql string) (Outcome, error)
}

// Outcome is what becomes of a statement that an Alterer was given.
type Outcome struct {
	// Native forwards the statement to the server untouched and relays its answer.
	Native bool
	// Result is else the answer. Its Status is replaced by the server's last.
	Result wire.Result
}

// takeOverQuery hands the COM_QUERY at the front of the client's buffer to the
// Alterer.
func (s *Session) takeOverQuery(total int) error {
	if total > maxTakenOver {
		s.server.metrics.intercepted.WithLabelValues(decisionTooLong).Inc()
		s.log.Warn("statement forwarded unread: too long to be taken over", "bytes", total)
		return s.forward(gomysql.COM_QUERY, total)
	}
	if err := s.flush(); err != nil {
		return err
	}
	packet := s.client.bytes()
	if len(packet) >= total {
		packet = packet[:total]
	} else {
		whole := make([]byte, total)
		n := copy(whole, packet)
		s.client.skip(n)
		if err := s.readRest(whole[n:]); err != nil {
			return err
		}
		packet = whole
	}
	text, ok := wire.QueryText(packet[wire.HeaderLen:], s.caps)
	if !ok {
		return wire.ErrMalformed
	}
	return s.takeOver(packet, string(text))
}

// readRest reads the rest of a packet that the buffer does not hold.
func (s *Session) readRest(p []byte) error {
	for len(p) > 0 {
		if s.client.len() == 0 {
			if err := s.fill(); err != nil {
				return err
			}
		}
		n := copy(p, s.client.bytes())
		s.client.skip(n)
		p = p[n:]
	}
	return nil
}

// takeOver hands sql to the Alterer and tells the client the outcome. packet is
// the whole command, either still at the front of the client's buffer or in
// memory of its own.
func (s *Session) takeOver(packet []byte, sql string) error {
	inBuffer := s.client.len() > 0 && &packet[0] == &s.client.bytes()[0]
	if err := s.flush(); err != nil {
		return err
	}
	cmd := packet[wire.HeaderLen]
	outcome, err := s.alter(sql)
	if inBuffer {
		s.client.skip(len(packet))
	}
	intercepted := s.server.metrics.intercepted
	switch {
	case err != nil:
		intercepted.WithLabelValues(decisionFailed).Inc()
		err = s.answerError(err)
	case outcome.Native:
		intercepted.WithLabelValues(decisionNative).Inc()
		if err = s.awaitAbandoned(s.linked); err != nil {
			return err
		}
		s.memory.last = cmd
		s.expect(cmd)
		return s.toServer(packet)
	default:
		intercepted.WithLabelValues(decisionAnswered).Inc()
		err = s.answer(outcome.Result)
	}
	switch {
	case err != nil:
		return err
	case s.serving.Err() != nil && s.abandoned != nil:
		return ErrDraining // without waiting for a statement that nobody waits for
	}
	return context.Cause(s.linked) // of the server, if it went meanwhile
}

// alter lends the server's side of the session to the Alterer.
func (s *Session) alter(sql string) (Outcome, error) {
	s.enterState(stateAltering)
	defer s.enterState(stateRelay)
	s.lent.Store(true)
	defer s.lent.Store(false)

	ctx, cancel := context.WithCancelCause(s.linked)
	defer cancel(nil)
	stop := context.AfterFunc(s.serving, func() { cancel(ErrDraining) })
	defer stop()

	outcome, err := s.server.Alterer.Alter(ctx, s, sql)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return outcome, err
}

// answer tells the client r in the server's place.
func (s *Session) answer(r wire.Result) error {
	const notOurs = gomysql.SERVER_MORE_RESULTS_EXISTS | gomysql.SERVER_SESSION_STATE_CHANGED |
		gomysql.SERVER_STATUS_CURSOR_EXISTS | gomysql.SERVER_STATUS_LAST_ROW_SEND | gomysql.SERVER_PS_OUT_PARAMS
	r.Status = s.Status() &^ notOurs
	packets, _ := wire.AppendResult(nil, 1, s.caps, r)
	return s.toClient(packets)
}

// answerError tells the client err in the server's place.
func (s *Session) answerError(err error) error {
	packet, _ := wire.AppendPacket(nil, 1, wire.AppendError(nil, s.caps, toServerError(err)))
	return s.toClient(packet)
}

// collector gathers the server's answer to a statement of our own.
type collector struct {
	packets []byte
	tooLong bool
	done    chan struct{}
}

func (c *collector) add(p []byte) {
	if c.tooLong = c.tooLong || len(c.packets)+len(p) > maxCollected; !c.tooLong {
		c.packets = append(c.packets, p...)
	}
}

// Query runs a statement on the session's server connection and returns its
// answer, of at most 1 MiB; of several results, the last. What the server
// refuses comes back as a *mysql.MySQLError of go-sql-driver/mysql.
//
// When ctx ends, Query returns without the answer and the statement goes on:
// whatever is sent on the session next waits for its end.
func (s *Session) Query(ctx context.Context, sql string) (wire.Result, error) {
	if err := s.awaitAbandoned(ctx); err != nil {
		return wire.Result{}, err
	}
	c := &collector{done: make(chan struct{})}
	s.collect, s.abandoned = c, c.done
	s.expect(gomysql.COM_QUERY)
	if err := s.toServer(wire.AppendQuery(nil, s.caps, sql)); err != nil {
		return wire.Result{}, errors.Join(ErrServerLost, err)
	}
	if err := s.awaitAbandoned(ctx); err != nil {
		return wire.Result{}, err
	}
	if c.tooLong {
		return wire.Result{}, fmt.Errorf("answer of more than %d bytes", maxCollected)
	}
	r, err := wire.ParseResult(c.packets, s.caps)
	var refused *wire.ServerError
	if errors.As(err, &refused) {
		return wire.Result{}, fromServerError(refused)
	}
	return r, err
}

// awaitAbandoned waits for the answer to the last statement of our own.
func (s *Session) awaitAbandoned(ctx context.Context) error {
	if s.abandoned == nil {
		return nil
	}
	select {
	case <-s.abandoned:
		s.abandoned = nil
		return nil
	case <-s.linked.Done():
		return context.Cause(s.linked)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// refuseChangeUser answers a COM_CHANGE_USER of a client that uses TLS while
// the server connection does not: the dialogue could carry a cleartext password.
func (s *Session) refuseChangeUser(total int) error {
	if err := s.flush(); err != nil {
		return err
	}
	if err := s.readRest(make([]byte, total)); err != nil {
		return err
	}
	return s.answerError(errors.New("COM_CHANGE_USER needs TLS on the connection to the server, too"))
}

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

// loan is the time in which the Alterer has the server's side of a session.
type loan struct {
	linked    context.Context         // ends when the session or its server connection does
	unlink    context.CancelCauseFunc // of linked
	abandoned <-chan struct{}         // closed when our own last statement is answered; nil if it was
}

// lend hands the statement sql, which came as packet, to the Alterer on a
// goroutine of its own. Until it is done, nothing of the client's is dealt with.
func (s *Session) lend(packet []byte, sql string) {
	l := &loan{}
	l.linked, l.unlink = context.WithCancelCause(s.ctx)
	s.lent = l
	s.enterState(stateAltering)
	s.server.alive.Go(func() {
		defer l.unlink(nil)
		defer func() {
			if panicked := recover(); panicked != nil {
				s.drop(s.caught(panicked))
			}
		}()
		outcome, err := s.alter(l, sql)
		if err == nil && outcome.Native {
			err = l.awaitAbandoned(l.linked)
		}
		s.do(func() error { return s.takeBack(packet, outcome, err) })
	})
}

// alter runs the Alterer.
func (s *Session) alter(l *loan, sql string) (Outcome, error) {
	ctx, cancel := context.WithCancelCause(l.linked)
	defer cancel(nil)
	stop := context.AfterFunc(s.server.serving, func() { cancel(ErrDraining) })
	defer stop()
	outcome, err := s.server.Alterer.Alter(ctx, s, sql)
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", context.Cause(ctx), err)
	}
	return outcome, err
}

// takeBack ends the loan: it tells the client the outcome of its statement and
// goes on with what the client has sent meanwhile.
func (s *Session) takeBack(packet []byte, outcome Outcome, err error) error {
	l := s.lent
	s.lent = nil
	s.enterState(stateRelay)
	intercepted := s.server.metrics.intercepted
	switch {
	case err != nil:
		intercepted.WithLabelValues(decisionFailed).Inc()
		err = s.answerError(err)
	case outcome.Native:
		intercepted.WithLabelValues(decisionNative).Inc()
		cmd := packet[wire.HeaderLen]
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
	case s.b.ended:
		s.farewell = true
		return nil
	case l.abandoned != nil && s.server.serving.Err() != nil:
		s.farewell = true // without waiting for a statement that nobody waits for
		return nil
	}
	return s.advance()
}

// answer tells the client r in the server's place.
func (s *Session) answer(r wire.Result) error {
	const notOurs = gomysql.SERVER_MORE_RESULTS_EXISTS | gomysql.SERVER_SESSION_STATE_CHANGED |
		gomysql.SERVER_STATUS_CURSOR_EXISTS | gomysql.SERVER_STATUS_LAST_ROW_SEND | gomysql.SERVER_PS_OUT_PARAMS
	r.Status = uint16(s.status) &^ notOurs
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
	s.mu.Lock()
	l := s.lent
	s.mu.Unlock()
	if l == nil {
		return wire.Result{}, ErrServerLost
	}
	if err := l.awaitAbandoned(ctx); err != nil {
		return wire.Result{}, err
	}
	c := &collector{done: make(chan struct{})}
	l.abandoned = c.done
	s.do(func() error {
		if s.b.ended {
			return nil
		}
		s.collect = c
		s.expect(gomysql.COM_QUERY)
		return s.toServer(wire.AppendQuery(nil, s.caps, sql))
	})
	if err := l.awaitAbandoned(ctx); err != nil {
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
func (l *loan) awaitAbandoned(ctx context.Context) error {
	if l.abandoned == nil {
		return nil
	}
	select {
	case <-l.abandoned:
		l.abandoned = nil
		return nil
	case <-l.linked.Done():
		return context.Cause(l.linked)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// phase is where the conversation of a session stands.
type phase uint32

const (
	phaseIdle     phase = iota // the server has answered everything; the client's next bytes are a command
	phaseBusy                  // the server owes an answer
	phaseUpload                // … and waits for a file of the client's first
	phaseDialogue              // … and may wait for the client's proof first
	phaseOpaque                // nobody knows; bytes are forwarded both ways for ever
)

// Session is one client with its own server connection. An Alterer is lent the
// server's side of it for one statement.
type Session struct {
	server  *Server
	log     *slog.Logger
	ctx     context.Context         // of the session: ends when it is to be dropped
	end     context.CancelCauseFunc // of ctx
	serving context.Context         // ends when sessions are to leave
	linked  context.Context         // child of ctx: ends when the server's side has ended
	unlink  context.CancelCauseFunc // of linked

	raw     [2]net.Conn // the connections below TLS: what is cut
	rawMu   sync.Mutex  // guards raw
	client  leg
	backend leg
	id      uint32
	caps    uint32 // what client and server agreed on
	mixed   bool   // the client uses TLS, the server connection does not

	state string // as counted in the metrics

	// Shared by both goroutines.
	phase    atomic.Uint32
	waiting  atomic.Bool // the client's side waits for the phase to change
	draining atomic.Bool
	lent     atomic.Bool   // to the Alterer: the answer to the client is not the server's
	status   atomic.Uint32 // the last flags; statusFailed is set after an ERR packet
	wakeup   chan struct{}
	response wire.Response // belongs to the server's side while the phase is not idle
	collect  *collector    // where the answer goes if not to the client; likewise
	clientMu sync.Mutex    // held while writing to the client

	// Of the client's side alone.
	unsent    int // bytes before client.start that are dealt with and to be forwarded
	memory    memory
	abandoned <-chan struct{} // closed when our own last statement is answered; nil if it was
}

// statusFailed in Session.status says that the last answer ended in an error
// and that its flags are those of the answer before.
const statusFailed = 1 << 16

func newSession(server *Server, ctx context.Context, end context.CancelCauseFunc, serving context.Context, client net.Conn) *Session {
	s := &Session{
		server: server, ctx: ctx, end: end, serving: serving,
		log:    server.Logger.With("client", client.RemoteAddr().String()),
		client: newLeg(client),
		wakeup: make(chan struct{}, 1),
	}
	s.linked, s.unlink = context.WithCancelCause(ctx)
	s.raw[0] = client
	s.enterState(stateLogin)
	return s
}

// ID returns the session's connection id: the server's, and so the client's.
func (s *Session) ID() uint32 { return s.id }

// Status returns the server's last SERVER_STATUS_ flags.
func (s *Session) Status() uint16 { return uint16(s.status.Load()) }

// UnderLocks reports whether LOCK TABLES, HANDLER, FLUSH TABLES WITH READ LOCK
// or an XA transaction may be in force in the session.
func (s *Session) UnderLocks() bool { return s.memory.locks != 0 }

// inTransaction reports whether the session may be within a transaction. An
// error tells nothing about it: without autocommit, it may have opened one.
func (s *Session) inTransaction() bool {
	status := s.status.Load()
	autocommit := uint16(status)&gomysql.SERVER_STATUS_AUTOCOMMIT != 0
	return uint16(status)&(gomysql.SERVER_STATUS_IN_TRANS|gomysql.SERVER_STATUS_IN_TRANS_READONLY) != 0 ||
		status&statusFailed != 0 && !autocommit
}

// run is the session from the first byte to the last: dial, handshake, relay.
// An end that is nobody's fault is nil.
func (s *Session) run() error {
	if err := s.login(); err != nil {
		return err
	}
	s.enterState(stateRelay)
	s.log.Debug("session open")

	stop := context.AfterFunc(s.serving, func() {
		s.draining.Store(true)
		s.wake()
	})
	defer stop()

	var answers sync.WaitGroup
	answers.Go(func() {
		defer s.backendGone()
		defer func() { s.caught(recover()) }()
		if err := s.relayAnswers(); !expected(err) {
			s.log.Debug("server connection ended", "error", err)
		}
	})
	defer answers.Wait()
	defer s.backend.Close()
	defer s.client.Close()
	if err := s.relayCommands(); !expected(err) {
		return err
	}
	return nil
}

// expected reports whether err is how a session usually ends.
func expected(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, ErrDraining) || errors.Is(err, ErrServerLost)
}

// backendGone ends the session after the server's side has ended, unless the
// Alterer has it: then the client still gets an answer.
func (s *Session) backendGone() {
	s.unlink(ErrServerLost)
	if !s.lent.Load() {
		_ = s.client.Close()
	}
}

// wake interrupts the client's side in whatever read it waits in.
func (s *Session) wake() {
	select {
	case s.wakeup <- struct{}{}:
	default:
	}
	_ = s.client.SetReadDeadline(time.Unix(1, 0))
}

// cut closes both connections without a farewell.
func (s *Session) cut() {
	s.rawMu.Lock()
	defer s.rawMu.Unlock()
	for _, conn := range s.raw {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// close releases what the session holds. Both goroutines have ended.
func (s *Session) close() {
	s.end(nil)
	s.unlink(nil)
	s.cut()
	s.client.free()
	s.backend.free()
	s.enterState("")
}

// enterState counts the session under another state.
func (s *Session) enterState(state string) {
	sessions := s.server.metrics.sessions
	if s.state != "" {
		sessions.WithLabelValues(s.state).Dec()
	}
	if s.state = state; state != "" {
		sessions.WithLabelValues(state).Inc()
	}
}

// toClient writes to the client. Both goroutines do: the one of the answers,
// and that of the commands where we answer ourselves.
func (s *Session) toClient(p []byte) error {
	s.clientMu.Lock()
	defer s.clientMu.Unlock()
	return s.toClientLocked(p)
}

func (s *Session) toClientLocked(p []byte) error {
	s.server.metrics.toClient.Add(float64(len(p)))
	if _, err := s.client.Write(p); err != nil {
		return fmt.Errorf("write to client: %w", err)
	}
	return nil
}

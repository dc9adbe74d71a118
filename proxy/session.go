package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"syscall"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// phase is where the conversation of a session stands.
type phase uint8

const (
	phaseIdle     phase = iota // the server has answered everything; the client's next bytes are a command
	phaseBusy                  // the server owes an answer
	phaseUpload                // … and waits for a file of the client's first
	phaseDialogue              // … and may wait for the client's proof first
	phaseOpaque                // nobody knows; bytes are forwarded both ways for ever
)

// Session is one client with its own server connection. An Alterer is lent the
// server's side of it for one statement.
//
// It logs in on a goroutine of its own, with calls that wait. Then it is
// attached to an event loop and has no goroutine any more.
type Session struct {
	server *Server
	log    *slog.Logger

	// Of the login.
	ctx     context.Context // ends when the session is to be dropped
	raw     [2]net.Conn     // the connections below TLS: what is cut
	rawMu   sync.Mutex      // guards raw
	client  leg
	backend leg
	id      uint32
	caps    uint32 // what client and server agreed on
	mixed   bool   // the client uses TLS, the server connection does not

	// mu guards what follows: whoever brings an event holds it until everything
	// that the event allows is done.
	mu       sync.Mutex
	state    string // as counted in the metrics
	c, b     *socket
	over     bool  // the session has ended
	farewell bool  // it ends when the client has what is left for it
	draining bool  // it is to leave at the next command boundary
	phase    phase // what the server is at
	status   uint32

	response wire.Response // follows the server's answer
	collect  *collector    // where the answer goes if not to the client

	in        []byte  // of the client, not yet dealt with
	frame     frame   // the client's packet that is being forwarded
	gathering []byte  // the client's packet that is being gathered
	uploading bool    // the client is sending a file
	memory    memory  // of the commands
	held      *waiter // the place at the gate of the command at the front of in
	lent      *loan   // to the Alterer: the answer to the client is not the server's
}

// statusFailed in Session.status says that the last answer ended in an error
// and that its flags are those of the answer before.
const statusFailed = 1 << 16

func newSession(server *Server, ctx context.Context, client net.Conn) *Session {
	s := &Session{
		server: server, ctx: ctx,
		log:    server.Logger.With("client", client.RemoteAddr().String()),
		client: newLeg(client),
	}
	s.raw[0] = client
	s.enterState(stateLogin)
	return s
}

// ID returns the session's connection id: the server's, and so the client's.
func (s *Session) ID() uint32 { return s.id }

// Status returns the server's last SERVER_STATUS_ flags.
func (s *Session) Status() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint16(s.status)
}

// UnderLocks reports whether LOCK TABLES, HANDLER, FLUSH TABLES WITH READ LOCK
// or an XA transaction may be in force in the session.
func (s *Session) UnderLocks() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.underLocks()
}

func (s *Session) underLocks() bool { return s.memory.locks != 0 }

// inTransaction reports whether the session may be within a transaction. An
// error tells nothing about it: without autocommit, it may have opened one.
func (s *Session) inTransaction() bool {
	status := uint16(s.status)
	autocommit := status&gomysql.SERVER_STATUS_AUTOCOMMIT != 0
	return status&(gomysql.SERVER_STATUS_IN_TRANS|gomysql.SERVER_STATUS_IN_TRANS_READONLY) != 0 ||
		s.status&statusFailed != 0 && !autocommit
}

// expected reports whether err is how a session usually ends.
func expected(err error) bool {
	for _, usual := range []error{io.EOF, net.ErrClosed, ErrDraining, ErrServerLost, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, usual) {
			return true
		}
	}
	return err == nil
}

// cut closes the connections of a session that is logging in, without a farewell.
func (s *Session) cut() {
	s.rawMu.Lock()
	defer s.rawMu.Unlock()
	for _, conn := range s.raw {
		if conn != nil {
			_ = conn.Close()
		}
	}
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

// toClient sends p to the client.
func (s *Session) toClient(p []byte) error {
	s.server.metrics.toClient.Add(float64(len(p)))
	if err := s.c.write(p); err != nil {
		return fmt.Errorf("write to client: %w", err)
	}
	return nil
}

// toServer sends p to the server.
func (s *Session) toServer(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	s.server.metrics.toServer.Add(float64(len(p)))
	if err := s.b.write(p); err != nil {
		return fmt.Errorf("%w: %w", ErrServerLost, err)
	}
	return nil
}

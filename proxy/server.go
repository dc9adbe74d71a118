package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// Causes for which sessions and what runs on them are cancelled.
var (
	// ErrDraining says that the proxy is shutting down and asks whoever uses a
	// session to come to an end that can be continued later.
	ErrDraining = errors.New("proxy: shutting down")
	// ErrDrainTimeout says that a shutdown has lasted long enough and that the
	// sessions that were left have been dropped.
	ErrDrainTimeout = errors.New("proxy: dropped at the end of the shutdown")
	// ErrServerLost says that the server closed a session's connection.
	ErrServerLost = errors.New("proxy: connection to the MySQL server lost")
)

// Server relays clients to one MySQL server.
type Server struct {
	Config
	metrics  *metrics
	gate     gate
	sessions atomic.Int64
}

// New returns a Server that listens but does not accept yet.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c}
	if s.metrics, err = newMetrics(c.Registerer); err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	if s.Listener == nil {
		if s.Listener, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen for clients: %w", err)
		}
	}
	return s, nil
}

// Addr returns the address that clients connect to.
func (s *Server) Addr() net.Addr { return s.Listener.Addr() }

// Run accepts clients until ctx is cancelled or the listener breaks, then
// drains: sessions leave at a command boundary outside a transaction, and those
// that have not left after DrainTimeout are dropped. When Run returns, no
// session is alive. It is called once.
func (s *Server) Run(ctx context.Context) error {
	serving, drain := context.WithCancelCause(ctx) // ends: no new clients, sessions leave
	defer drain(nil)
	alive, kill := context.WithCancelCause(context.WithoutCancel(ctx)) // ends: sessions are dropped
	defer kill(nil)

	var sessions sync.WaitGroup
	err := s.acceptLoop(serving, func(conn net.Conn) {
		s.metrics.connections.Inc()
		if n := s.sessions.Add(1); s.MaxConnections > 0 && n > int64(s.MaxConnections) {
			s.sessions.Add(-1)
			s.refuse(conn)
			return
		}
		sessions.Go(func() {
			defer s.sessions.Add(-1)
			s.serve(alive, serving, conn)
		})
	})

	drain(ErrDraining)                                                         // ask
	insist := time.AfterFunc(s.DrainTimeout, func() { kill(ErrDrainTimeout) }) // insist
	defer insist.Stop()
	sessions.Wait() // wait
	return err
}

func (s *Server) acceptLoop(ctx context.Context, handle func(net.Conn)) error {
	// Accept takes no context; closing the listener is what wakes it.
	defer s.Listener.Close()
	stop := context.AfterFunc(ctx, func() { s.Listener.Close() })
	defer stop()

	const longestPause = time.Second
	pause := time.Duration(0)
	for {
		conn, err := s.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			handle(conn)
		case ctx.Err() != nil:
			return nil // we closed it ourselves
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ECONNABORTED):
			// Out of descriptors: wait until one is free instead of spinning.
			pause = min(max(2*pause, time.Millisecond), longestPause)
			s.Logger.Warn("accept", "error", err, "pause", pause)
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		default:
			return fmt.Errorf("accept: %w", err)
		}
	}
}

// refuse tells a client that there are too many, in the server's own words.
func (s *Server) refuse(conn net.Conn) {
	s.metrics.failure(clientSide, "too_many")
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	s.greetWithError(conn, &wire.ServerError{Number: mysql.ER_CON_COUNT_ERROR, Message: "Too many connections"})
	_ = conn.Close()
}

// greetWithError sends an ERR packet in the place of the greeting.
func (s *Server) greetWithError(conn net.Conn, e *wire.ServerError) {
	packet, _ := wire.AppendPacket(nil, 0, wire.AppendError(nil, 0, e))
	if _, err := conn.Write(packet); err != nil {
		s.Logger.Debug("greet client with an error", "error", err)
	}
}

// serve runs one session from its first byte to its last. A panic in it ends
// this session only.
func (s *Server) serve(alive, serving context.Context, client net.Conn) {
	ctx, end := context.WithCancelCause(alive)
	session := newSession(s, ctx, end, serving, client)
	defer session.close()
	defer func() { session.caught(recover()) }()
	stop := context.AfterFunc(ctx, session.cut)
	defer stop()

	err := session.run()
	if err != nil {
		session.log.LogAttrs(ctx, slog.LevelDebug, "session ended", slog.Any("error", err))
	}
}

// caught reports a panic of the session's and ends it.
func (s *Session) caught(panicked any) {
	if panicked == nil {
		return
	}
	s.server.metrics.failure(clientSide, "panic")
	s.log.Error("session panicked", "panic", panicked, "stack", string(debug.Stack()))
	s.end(fmt.Errorf("panic: %v", panicked))
}

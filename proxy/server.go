package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"golang.org/x/sync/errgroup"

	"sluice/internal/eventloop"
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
	metrics *metrics
	gate    gate

	// Of Run.
	serving context.Context // ends when sessions are to leave
	loops   []*eventloop.Loop
	alive   sync.WaitGroup // sessions and their goroutines
	clients atomic.Int64   // sessions
	mu      sync.Mutex     // guards attached
	// attached are the sessions that have logged in.
	attached map[*Session]struct{}
}

// New returns a Server that listens but does not accept yet.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, attached: map[*Session]struct{}{}}
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
func (s *Server) Run(ctx context.Context) (err error) {
	var drain context.CancelCauseFunc
	s.serving, drain = context.WithCancelCause(ctx) // ends: no new clients, sessions leave
	defer drain(nil)
	alive, kill := context.WithCancelCause(context.WithoutCancel(ctx)) // ends: sessions are dropped
	defer kill(nil)
	stopLoops, err := s.startLoops()
	if err != nil {
		_ = s.Listener.Close()
		return err
	}
	defer func() { err = errors.Join(err, stopLoops()) }()

	next := 0
	err = s.acceptLoop(s.serving, func(conn net.Conn) {
		s.metrics.connections.Inc()
		if n := s.clients.Add(1); s.MaxConnections > 0 && n > int64(s.MaxConnections) {
			s.clients.Add(-1)
			s.refuse(conn)
			return
		}
		loop := s.loops[next%len(s.loops)]
		next++
		s.alive.Add(1)
		session := newSession(s, alive, conn)
		s.alive.Go(func() { session.serve(loop) })
	})

	drain(ErrDraining) // ask
	s.each((*Session).drain)
	insist := time.AfterFunc(s.DrainTimeout, func() { // insist
		kill(ErrDrainTimeout)
		s.each(func(session *Session) { session.drop(ErrDrainTimeout) })
	})
	defer insist.Stop()
	s.alive.Wait() // wait
	return err
}

// startLoops runs the event loops until the function that it returns is called.
func (s *Server) startLoops() (stop func() error, err error) {
	var running errgroup.Group
	stop = func() (err error) {
		for _, loop := range s.loops {
			err = errors.Join(err, loop.Stop())
		}
		return errors.Join(err, running.Wait())
	}
	for range s.Loops {
		loop, err := eventloop.New()
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		s.loops = append(s.loops, loop)
		running.Go(loop.Run)
	}
	return stop, nil
}

// enter takes a session that has logged in among those that are told of the end.
func (s *Server) enter(session *Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attached[session] = struct{}{}
}

// ended takes the session out of the count.
func (s *Server) ended(session *Session) {
	s.mu.Lock()
	delete(s.attached, session)
	s.mu.Unlock()
	s.clients.Add(-1)
	s.alive.Done()
}

// each calls do for every session that has logged in.
func (s *Server) each(do func(*Session)) {
	s.mu.Lock()
	sessions := slices.Collect(maps.Keys(s.attached))
	s.mu.Unlock()
	for _, session := range sessions {
		do(session)
	}
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

// serve logs the session in and hands it over to the loop. A panic ends this
// session only.
func (s *Session) serve(loop *eventloop.Loop) {
	defer func() {
		s.client.free()
		s.backend.free()
	}()
	defer func() {
		if panicked := recover(); panicked != nil {
			s.drop(s.caught(panicked))
		}
	}()
	stop := context.AfterFunc(s.ctx, s.cut)
	err := s.login()
	stop()
	if err != nil {
		s.drop(err)
		return
	}
	s.attach(loop)
}

// caught reports a panic of the session's and returns it as an error.
func (s *Session) caught(panicked any) error {
	s.server.metrics.failure(clientSide, "panic")
	s.log.Error("session panicked", "panic", panicked, "stack", string(debug.Stack()))
	return fmt.Errorf("panic: %v", panicked)
}

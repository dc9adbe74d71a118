package proxy

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/parser"
)

// gate keeps statements on some tables back. While nothing is held it costs a
// session one atomic load per command.
type gate struct {
	active atomic.Int32 // number of holds

	mu    sync.Mutex
	holds []*hold
}

// hold is one table that is held, and who waits for it in order of arrival.
type hold struct {
	table   string
	waiting []*waiter
}

// waiter is a session that waits at the gate.
type waiter struct {
	session *Session
	since   time.Time
}

// Hold keeps statements that name the table back from now on until release is
// called, in sessions that hold nothing another could wait for: those outside a
// transaction, or in one that has run no statement yet. Sessions within a
// transaction or under LOCK TABLES run on, and so does a statement that passed
// the gate before. Tables of the same name in other schemas are held, too: the
// schema of a statement's table is not always in its text.
//
// release lets the statements go in the order of their arrival. It may be
// called twice.
func (s *Server) Hold(schemaName, table string) (release func()) {
	h := &hold{table: table}
	s.gate.mu.Lock()
	s.gate.holds = append(s.gate.holds, h)
	s.gate.active.Add(1)
	s.gate.mu.Unlock()
	s.Logger.Debug("hold", "schema", schemaName, "table", table)
	return func() { s.gate.release(h) }
}

func (g *gate) release(h *hold) {
	g.mu.Lock()
	i := slices.Index(g.holds, h)
	if i < 0 {
		g.mu.Unlock()
		return // released before
	}
	g.holds = slices.Delete(g.holds, i, i+1)
	g.active.Add(-1)
	waiting := h.waiting
	h.waiting = nil
	g.mu.Unlock()
	// A session is locked before the gate, never the other way round.
	for _, w := range waiting {
		w.session.pass(w)
	}
}

// enter returns nil if a statement may pass, else the place in the queue that
// it waits at. text is nil for a statement that may name any table.
func (g *gate) enter(text []byte, session *Session) *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		if text == nil || parser.Names(text, h.table) {
			w := &waiter{session: session, since: time.Now()}
			h.waiting = append(h.waiting, w)
			return w
		}
	}
	return nil
}

// leave takes a session that has gone out of its queue.
func (g *gate) leave(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, h := range g.holds {
		h.waiting = slices.DeleteFunc(h.waiting, func(x *waiter) bool { return x == w })
	}
}

// waitAtGate keeps the command at the front of the client's bytes back until it
// is released, if its text is one that is held, and reports whether it is.
func (s *Session) waitAtGate(text []byte) bool {
	if s.held = s.server.gate.enter(text, s); s.held == nil {
		return false
	}
	s.server.metrics.holds.Inc()
	s.server.metrics.held.Inc()
	s.enterState(stateHeld)
	return true
}

// pass lets the command go that has waited as w.
func (s *Session) pass(w *waiter) {
	s.do(func() error {
		if s.held != w {
			return nil
		}
		s.leaveGate()
		return s.advance()
	})
}

// leaveGate ends the session's wait at the gate.
func (s *Session) leaveGate() {
	s.server.gate.leave(s.held)
	s.server.metrics.holdSeconds.Observe(time.Since(s.held.since).Seconds())
	s.server.metrics.held.Dec()
	s.held = nil
	s.enterState(stateRelay)
}

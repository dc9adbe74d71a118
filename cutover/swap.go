package cutover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/mysqlerr"
	"sluice/internal/schema"
)

// Gate holds statements on one table back. It is a courtesy, not a lock:
// clients that bypass the proxy pass it, so safety never rests on it.
type Gate interface {
	// Hold returns at once; later statements on the table wait until release
	// is called. release may be called twice.
	Hold(schemaName, table string) (release func())
}

// Limits bound what a swap may cost the clients.
type Limits struct {
	Old  time.Duration // a transaction older than this is waited for without holding anybody
	Hold time.Duration // how long clients may be held while transactions finish and the lock is awaited
	Lock time.Duration // how long the table may stay locked
	Poll time.Duration // how often the server is asked who holds the table, while clients are held
	Idle time.Duration // how often it is asked, and changes are applied, while nobody is held
}

// DefaultLimits are those of DESIGN: a hold of a quarter of a second at most
// before the lock, half a second under it.
var DefaultLimits = Limits{Old: 100 * time.Millisecond, Hold: 250 * time.Millisecond, Lock: 500 * time.Millisecond, Poll: 5 * time.Millisecond, Idle: 20 * time.Millisecond}

// A Swap describes the exchange of a table and its shadow.
type Swap struct {
	Places schema.Places
	// Conn runs LOCK TABLES, what Settle sends, and the RENAME. Whoever owns
	// the migration owns it through a named lock of this very connection, so a
	// successor cannot begin before the server is done with it.
	Conn   *sql.Conn
	ConnID int64
	DB     *sql.DB // for looking on, and for ending a LOCK TABLES that waits
	Gate   Gate
	Limits Limits
	Copied time.Time // when the copy was complete
	Own    []int64   // connections of ours that may hold the table

	// Pump is called again and again while the swap waits: apply what has
	// changed meanwhile.
	Pump func(ctx context.Context) error
	// Settle is called with the table locked. It returns when every change is
	// applied and proven so. ErrLater lets everything go and tries again.
	Settle func(ctx context.Context) error
	// Commit is called right before the RENAME: record that it is on its way.
	Commit func(ctx context.Context) error
	// Report is told why the swap waits; "" when it does not.
	Report func(reason string)
	Logger *slog.Logger
}

// Timing is what one swap cost.
type Timing struct {
	Attempts int
	Held     time.Duration // from closing the gate to opening it, of the successful attempt
	Locked   time.Duration // from LOCK TABLES granted to UNLOCK TABLES
	Rename   time.Duration // the RENAME alone
}

// ErrLater is what Settle returns where nothing is wrong but time ran out.
var ErrLater = errors.New("cutover: not in time")

// ErrUnclear says that the RENAME was sent and its answer was lost. Look, when
// the connection's server session is certainly over, tells what happened.
var ErrUnclear = errors.New("cutover: the answer to RENAME TABLE was lost")

// cleanupTimeout bounds UNLOCK TABLES and what else must happen although the
// context has ended.
const cleanupTimeout = 10 * time.Second

// Run swaps the tables. It returns Swapped and no error, Stopped and the reason
// (the old table is in place), or Unclear and ErrUnclear. It tries until ctx
// ends.
func (s *Swap) Run(ctx context.Context) (Phase, Timing, error) {
	o := &observer{db: s.DB, table: s.Places.Source, copied: s.Copied, own: map[int64]bool{s.ConnID: true}, seen: map[[2]int64]time.Time{}}
	for _, id := range s.Own {
		o.own[id] = true
	}
	var timing Timing
	phase := Waiting
	for {
		if err := s.awaitQuiet(ctx, o); err != nil {
			return Stopped, timing, err
		}
		s.Report("")
		timing.Attempts++
		a := attempt{swap: s, observer: o, timing: &timing, phase: phase}
		err := a.run(ctx)
		phase = a.phase
		switch phase {
		case Swapped:
			return phase, timing, nil
		case Unclear, Stopped:
			return phase, timing, err
		}
		s.Logger.Info("cutover: not in time, trying again", "table", s.Places.Source.String(), "attempt", timing.Attempts, "reason", err)
		s.Report(fmt.Sprintf("the next attempt at the cutover (%d were not in time)", timing.Attempts))
		if err := s.pause(ctx, backoff(timing.Attempts)); err != nil {
			return Stopped, timing, err
		}
	}
}

// backoff is the pause after the n-th attempt.
func backoff(n int) time.Duration {
	return min(50*time.Millisecond<<min(n, 7), 5*time.Second)
}

// pause pumps for a while.
func (s *Swap) pause(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := s.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// step pumps once and lets the idle interval pass.
func (s *Swap) step(ctx context.Context) error {
	if err := s.Pump(ctx); err != nil {
		return err
	}
	select {
	case <-time.After(s.Limits.Idle):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitQuiet returns when no old transaction holds the table.
func (s *Swap) awaitQuiet(ctx context.Context, o *observer) error {
	for {
		if err := s.step(ctx); err != nil {
			return err
		}
		old, err := o.snapshots(ctx)
		if err != nil {
			return err
		}
		holders, err := o.holders(ctx)
		if err != nil {
			return err
		}
		for _, h := range holders {
			if h.held > s.Limits.Old {
				old = append(old, h)
			}
		}
		if len(old) == 0 {
			return nil
		}
		s.Report(describe(old[0], len(old)))
	}
}

func describe(h holder, n int) string {
	what := "holds the table"
	if h.snapshot {
		what = "began before the copy was complete and could see the table half filled"
	}
	text := fmt.Sprintf("the transaction of connection %d, which %s (for %s)", h.connection, what, h.held.Round(100*time.Millisecond))
	if n > 1 {
		text += fmt.Sprintf(", and %d more", n-1)
	}
	return text
}

// attempt is one try: hold, lock, settle, rename, let go.
type attempt struct {
	swap     *Swap
	observer *observer
	timing   *Timing
	phase    Phase
}

func (a *attempt) become(e event) {
	p, err := next(a.phase, e)
	if err != nil {
		panic(err) // a broken invariant of ours
	}
	a.phase = p
}

// run returns in Waiting, Swapped, Unclear or Stopped, with clients let go.
func (a *attempt) run(ctx context.Context) error {
	s := a.swap
	a.become(quiet)
	began := time.Now()
	release := s.Gate.Hold(s.Places.Source.Schema, s.Places.Source.Name)
	defer release()
	if err := a.lock(ctx, began.Add(s.Limits.Hold)); err != nil {
		return err
	}
	lockedAt := time.Now()
	err := a.settleAndRename(ctx)
	a.timing.Locked = time.Since(lockedAt)
	a.timing.Held = time.Since(began)
	return err
}

// lock waits for the holders and takes the lock, until the deadline.
func (a *attempt) lock(ctx context.Context, deadline time.Time) error {
	s := a.swap
	if err := a.awaitTransactions(ctx, deadline); err != nil {
		return err
	}
	p := s.Places
	statement := fmt.Sprintf("LOCK TABLES %s WRITE, %s WRITE, %s WRITE", p.Source, p.Shadow, p.Check)
	// A moment is left for the lock even where the wait took all the time.
	killed, err := s.bounded(ctx, later(deadline, time.Now().Add(s.Limits.Hold/5)), func(ctx context.Context) error {
		_, err := s.Conn.ExecContext(ctx, statement)
		return err
	})
	switch {
	case err == nil && !killed:
		a.become(locked)
		return nil
	case killed:
		// The KILL may still be on its way to the statement after this one:
		// UNLOCK TABLES is sent until one succeeds.
		a.become(late)
		return errors.Join(fmt.Errorf("the lock was not to be had within %s", s.Limits.Hold), s.unlock(ctx))
	case isServerAnswer(err):
		a.become(late)
		return err
	default:
		a.become(lost)
		return fmt.Errorf("lock tables: %w", err)
	}
}

// awaitTransactions waits until no transaction holds the table. LOCK TABLES must
// not queue behind one: a transaction that has read the table and now wants to
// write it would wait behind our request, which waits for the transaction, and
// the server would end it with error 1213. A single statement has all the locks
// it needs.
func (a *attempt) awaitTransactions(ctx context.Context, deadline time.Time) error {
	s := a.swap
	for {
		holders, err := a.observer.holders(ctx)
		if err != nil {
			a.become(broken)
			return err
		}
		open := slices.IndexFunc(holders, func(h holder) bool { return !h.single })
		switch {
		case open < 0:
			return nil
		case time.Now().After(deadline):
			a.become(late)
			return fmt.Errorf("connection %d still holds the table after %s", holders[open].connection, s.Limits.Hold)
		}
		select {
		case <-time.After(s.Limits.Poll):
		case <-ctx.Done():
			a.become(broken)
			return context.Cause(ctx)
		}
	}
}

// bounded runs f and ends the statement that it waits for at the deadline, with
// KILL QUERY from another connection: lock_wait_timeout counts whole seconds.
func (s *Swap) bounded(ctx context.Context, deadline time.Time, f func(context.Context) error) (killed bool, err error) {
	watching, stop := context.WithCancel(ctx)
	done := make(chan bool, 1)
	go func() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		select {
		case <-timer.C:
			_, err := s.DB.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("KILL QUERY %d", s.ConnID))
			done <- err == nil
		case <-watching.Done():
			done <- false
		}
	}()
	// The statement itself is not cancelled with ctx: that would drop the
	// connection and leave the server waiting for the lock.
	err = f(context.WithoutCancel(ctx))
	stop()
	return <-done, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func isServerAnswer(err error) bool { return mysqlerr.Number(err) != 0 }

// unlock lets the table go. A KILL QUERY that comes late can hit it, so it is
// sent again.
func (s *Swap) unlock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	var err error
	for range 3 {
		if _, err = s.Conn.ExecContext(ctx, "UNLOCK TABLES"); err == nil {
			return nil
		}
	}
	return fmt.Errorf("unlock tables: %w", err)
}

// settleAndRename is what happens under the lock.
func (a *attempt) settleAndRename(ctx context.Context) error {
	s := a.swap
	within, cancel := context.WithTimeoutCause(ctx, s.Limits.Lock, ErrLater)
	defer cancel()
	err := s.Settle(within)
	if err == nil {
		err = s.Commit(ctx)
	}
	switch {
	case errors.Is(err, ErrLater):
		a.become(late)
		return errors.Join(err, s.unlock(ctx))
	case err != nil:
		a.become(broken)
		return errors.Join(err, s.unlock(ctx))
	}
	a.become(settled)
	return a.rename(ctx)
}

func (a *attempt) rename(ctx context.Context) error {
	s, p := a.swap, a.swap.Places
	began := time.Now()
	statement := fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", p.Source, p.Old, p.Shadow, p.Source)
	// From here on nothing is cancelled: the answer must be heard.
	_, err := s.Conn.ExecContext(context.WithoutCancel(ctx), statement)
	a.timing.Rename = time.Since(began)
	switch {
	case err == nil:
		a.become(renamed)
		if err := s.unlock(ctx); err != nil {
			s.Logger.Warn("cutover: the tables are swapped, but UNLOCK TABLES was not answered; closing the connection releases them", "error", err)
		}
		return nil
	case isServerAnswer(err):
		a.become(refused)
		return errors.Join(fmt.Errorf("rename: %w", err), s.unlock(ctx))
	default:
		a.become(lost)
		return fmt.Errorf("%w: %v", ErrUnclear, err)
	}
}

// Look tells from the server's own view what became of a swap whose answer was
// lost: Swapped, Waiting (nothing has happened), or Unclear where neither is
// what stands there. Ask only when the session that sent the RENAME is over.
func Look(ctx context.Context, q schema.Queryer, p schema.Places) (Phase, error) {
	exists := func(t schema.Table) (bool, error) {
		var n int
		err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.Schema, t.Name).Scan(&n)
		return n > 0, err
	}
	source, err := exists(p.Source)
	if err != nil {
		return Unclear, fmt.Errorf("look at %s: %w", p.Source, err)
	}
	shadow, err := exists(p.Shadow)
	if err != nil {
		return Unclear, fmt.Errorf("look at %s: %w", p.Shadow, err)
	}
	old, err := exists(p.Old)
	if err != nil {
		return Unclear, fmt.Errorf("look at %s: %w", p.Old, err)
	}
	switch {
	case source && old && !shadow:
		return Swapped, nil
	case source && shadow && !old:
		return Waiting, nil
	}
	return Unclear, fmt.Errorf("%w: of the tables stand source=%t shadow=%t old=%t", ErrUnclear, source, shadow, old)
}

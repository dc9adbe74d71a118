package migrator

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/schema"
	"sluice/parser"
)

// Migration is one ALTER TABLE on its way.
type Migration struct {
	migrator *Migrator
	record   *record
	stmt     parser.Statement
	meter    meter

	cancel context.CancelCauseFunc // with ErrCancelled: nobody wants it any more
	done   chan struct{}           // closed when it has come to its end here

	// Set before done is closed.
	outcome Outcome
	err     error

	waiting int // clients that wait for it; guarded by migrator.mu

	// verdict is set once it is decided that the migration ends without a
	// swap. What is left to do is to undo it, through whatever attempts.
	verdict *verdict
}

// verdict is why a migration ends without a swap.
type verdict struct {
	event  Event
	reason string // for the record
	err    error  // for the client; nil where the server is to do the ALTER
}

// Outcome is how a migration ended well.
type Outcome struct {
	// Declined is not empty where the server is to alter the table itself.
	Declined string
	Rows     uint64 // what the native ALTER reports as affected rows
	Warnings uint16
}

// ID is the migration's number in sluice.migrations.
func (g *Migration) ID() int64 { return g.record.ID }

// Progress tells how far it is.
func (g *Migration) Progress() Progress { return g.meter.snapshot() }

// Done is closed when the migration has ended, or when this process lets it go.
func (g *Migration) Done() <-chan struct{} { return g.done }

// Result is valid once Done is closed. The error is the server's own where it
// has one, ErrCancelled, or ErrStopped where another process will go on.
func (g *Migration) Result() (Outcome, error) { return g.outcome, g.err }

// attemptPause is the pause after an attempt that failed in passing, growing
// up to a hundred times that.
const attemptPause = 100 * time.Millisecond

// run drives the migration to its end, through as many attempts as it takes.
// ctx ends with ErrCancelled or, as alive does, with ErrStopped.
func (g *Migration) run(alive, ctx context.Context) {
	defer close(g.done)
	pause := attemptPause
	for {
		var over bool
		if g.outcome, over, g.err = g.attempt(alive, ctx); over {
			return
		}
		if alive.Err() != nil {
			g.err = ErrStopped
			return
		}
		g.migrator.cfg.Logger.Warn("migration: interrupted, going on from its checkpoint",
			"migration", g.record.ID, "table", g.record.Table.String(), "error", g.err, "pause", pause)
		g.meter.update(func(p *Progress) { p.WaitingFor = clip("the server: "+g.err.Error(), 200) })
		select {
		case <-time.After(pause):
		case <-alive.Done():
		}
		pause = min(2*pause, 100*attemptPause)
	}
}

// attempt takes the migration up where it stands and drives it on, or undoes it
// if that is decided. When it returns, every connection that it opened is
// closed; over says that the migration has come to its end.
func (g *Migration) attempt(alive, ctx context.Context) (outcome Outcome, over bool, err error) {
	m := g.migrator
	if g.verdict == nil && errors.Is(context.Cause(ctx), ErrCancelled) {
		g.verdict = cancelled
	}
	if g.verdict != nil {
		ctx = alive // the end that was asked for must not stop what brings it about
	}
	owner, err := g.own(ctx)
	if err != nil {
		return outcome, false, err
	}
	defer owner.Close()
	run := newRunID()
	phase, message, err := m.store.claim(ctx, g.record.ID, run)
	if err != nil {
		return outcome, false, err
	}
	if phase.Terminal() {
		return outcome, true, fmt.Errorf("migration %d ended as %s: %s", g.record.ID, phase, message)
	}
	a := &attempt{
		migration: g, migrator: m, run: run, phase: phase, owner: owner,
		places: schema.PlacesOf(g.record.ID, g.record.Table),
	}
	defer a.close()
	if g.verdict == nil || phase == Swapping || phase == Cleaning {
		if err := a.drive(ctx); err == nil {
			return a.outcome, true, nil
		} else if over, err := a.judge(alive, ctx, err); g.verdict == nil {
			return a.outcome, over, err
		}
	}
	if err := a.undo(alive); err != nil {
		return a.outcome, false, err
	}
	return a.outcome, true, g.verdict.err
}

var cancelled = &verdict{event: Cancel, reason: "cancelled", err: ErrCancelled}

func newRunID() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// lockName is the named lock of a table on the server: its holder owns the
// table's migrations. Names are at most 64 characters and not case sensitive.
func lockName(t schema.Table) string {
	sum := sha256.Sum256([]byte(strings.ToLower(t.String())))
	return "sluice/" + hex.EncodeToString(sum[:16])
}

// own waits for the table's lock, on a connection that keeps it.
func (g *Migration) own(ctx context.Context) (*session, error) {
	settings := rowSettings(g.record.Session, time.Now().Unix())
	owner, err := g.migrator.server.session(ctx, append(settings, "SET SESSION wait_timeout = 604800")...)
	if err != nil {
		return nil, err
	}
	for {
		var got int
		if err := owner.QueryRowContext(ctx, "SELECT IFNULL(GET_LOCK(?, 1), 0)", lockName(g.record.Table)).Scan(&got); err != nil {
			return nil, errors.Join(fmt.Errorf("take the lock of %s: %w", g.record.Table, err), owner.Close())
		}
		if got == 1 {
			return owner, nil
		}
		g.meter.update(func(p *Progress) { p.WaitingFor = "another Sluice that is altering the table" })
	}
}

// undoTimeout bounds what must be done although the context has ended.
const undoTimeout = 30 * time.Second

// judge decides what an error means for the migration: another attempt, which
// over and err then tell, or an end, which is its verdict.
func (a *attempt) judge(alive, ctx context.Context, err error) (over bool, _ error) {
	g := a.migration
	var left *declined
	switch {
	case a.phase == Unclear:
		return true, err
	case errors.Is(err, errFenced), a.phase == Swapping, a.phase == Cleaning:
		return false, err
	case alive.Err() != nil:
		a.reportOnce(alive)
		return false, err
	case errors.Is(context.Cause(ctx), ErrCancelled):
		g.verdict = cancelled
	case errors.As(err, &left):
		a.outcome.Declined = left.reason
		g.verdict = &verdict{event: Decline, reason: left.reason}
	case isPassing(err):
		return false, err
	default:
		g.verdict = &verdict{event: Fail, reason: err.Error(), err: err}
	}
	return false, nil
}

// undo removes every trace but the record.
func (a *attempt) undo(alive context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(alive), undoTimeout)
	defer cancel()
	a.close()
	if err := a.migrator.server.dropSchemas(ctx, a.places); err != nil {
		return err
	}
	return a.become(ctx, a.migration.verdict.event, a.migration.verdict.reason)
}

// reportOnce writes the figures once more before the process stops. The
// checkpoint stays as it is: rows and front were saved together, and what an
// interrupted statement had taken from the feed is not known to be applied.
func (a *attempt) reportOnce(alive context.Context) {
	if a.work == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(alive), undoTimeout)
	defer cancel()
	if err := a.migrator.store.report(ctx, a.migration.record.ID, a.run, a.work.meter.snapshot()); err != nil {
		a.migrator.cfg.Logger.Warn("migration: the last progress report", "migration", a.migration.record.ID, "error", err)
	}
}

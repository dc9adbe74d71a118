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

	"sluice/cutover"
	"sluice/internal/binlog"
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

// attempt is one run of a migration: it owns the table's lock and the run id.
type attempt struct {
	migration *Migration
	migrator  *Migrator
	run       string
	phase     Phase
	places    schema.Places
	owner     *session
	work      *work
	outcome   Outcome
}

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

// become records a transition: on the server first, then here.
func (a *attempt) become(ctx context.Context, e Event, reason string) error {
	to, err := next(a.phase, e)
	if err != nil {
		return permanent{err}
	}
	g := a.migration
	if err := a.migrator.store.transition(ctx, g.record.ID, a.run, a.phase, to, e, reason); err != nil {
		return err
	}
	log := a.migrator.cfg.Logger.With("migration", g.record.ID, "table", g.record.Table.String(), "phase", string(to))
	if reason != "" {
		log = log.With("reason", reason)
	}
	log.Info("migration")
	a.phase = to
	g.meter.enter(to)
	if !to.Terminal() {
		return nil
	}
	a.migrator.count.ended.WithLabelValues(string(to)).Inc()
	return a.migrator.store.report(ctx, g.record.ID, a.run, g.Progress())
}

// drive goes from phase to phase until the migration is done.
func (a *attempt) drive(ctx context.Context) error {
	if err := a.takeUp(ctx); err != nil {
		return err
	}
	for !a.phase.Terminal() {
		if err := a.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// takeUp brings a migration that an earlier run left into a phase from which
// step can go on.
func (a *attempt) takeUp(ctx context.Context) error {
	m, id := a.migrator, a.migration.record.ID
	a.migration.meter.enter(a.phase)
	switch a.phase {
	case Queued:
		return nil
	case Preparing:
		// No checkpoint was written, so nothing but the empty shadow is lost.
		if err := m.server.dropSchemas(ctx, a.places); err != nil {
			return err
		}
		return a.become(ctx, Restart, "interrupted before the first checkpoint: begun again")
	case Cleaning:
		return nil
	case Swapping:
		return a.look(ctx)
	}
	c, ok, err := m.store.load(ctx, id)
	if err != nil {
		return err
	}
	if !ok {
		return permanent{fmt.Errorf("migration %d is %s but has no checkpoint; what was copied cannot be trusted: send the ALTER again", id, a.phase)}
	}
	if err := a.resume(ctx, c); err != nil {
		return err
	}
	return a.become(ctx, Adopted, fmt.Sprintf("taken up at its checkpoint: %d rows copied, log read up to %s", c.RowsCopied, c.Position))
}

// look finds out what became of a RENAME whose answer nobody heard. The lock
// that this run holds was held by the connection that sent it: that connection
// is over.
func (a *attempt) look(ctx context.Context) error {
	phase, err := cutover.Look(ctx, a.migrator.server.db, a.places)
	switch {
	case phase == cutover.Swapped:
		return a.become(ctx, Renamed, "found swapped after the answer was lost")
	case phase == cutover.Waiting:
		if err := a.become(ctx, Refused, "found not swapped after the answer was lost"); err != nil {
			return err
		}
		return a.takeUp(ctx)
	case errors.Is(err, cutover.ErrUnclear):
		return errors.Join(permanent{err}, a.become(ctx, Ambiguous, err.Error()))
	}
	return err
}

// resume takes up the copy at a checkpoint, when everything is still what it
// was then.
func (a *attempt) resume(ctx context.Context, c checkpoint) error {
	m := a.migrator
	source, err := schema.Load(ctx, m.server.db, a.places.Source)
	if err != nil {
		return gone(err)
	}
	if source.Fingerprint() != c.SourceFingerprint {
		return errSourceChanged
	}
	shadow, err := schema.Load(ctx, m.server.db, a.places.Shadow)
	if err != nil {
		return gone(err)
	}
	if shadow.Fingerprint() != c.ShadowFingerprint {
		return permanent{errors.New("the shadow table is not the one that the checkpoint was written for; send the ALTER again")}
	}
	mapping, err := newMapping(a.places, source, shadow, a.migration.stmt)
	if err != nil {
		return permanent{err}
	}
	b := &blueprint{source: source, shadow: shadow, mapping: mapping, inPlace: c.InPlace}
	return a.open(ctx, b, c)
}

// gone makes a missing table an error that does not pass.
func gone(err error) error {
	var missing *schema.ErrNoTable
	if errors.As(err, &missing) {
		return permanent{fmt.Errorf("%w: it was there when the migration began; send the ALTER again", err)}
	}
	return err
}

// open makes the connections of the work and subscribes to the changes.
func (a *attempt) open(ctx context.Context, b *blueprint, c checkpoint) error {
	m, g := a.migrator, a.migration
	settings := rowSettings(g.record.Session, c.ServerTime)
	for _, s := range settings {
		if _, err := a.owner.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	copier, err := m.server.session(ctx, settings...)
	if err != nil {
		return err
	}
	a.work = &work{
		server: m.server, store: m.store, log: m.cfg.Logger, meter: &g.meter, count: m.count,
		id: g.record.ID, run: a.run, stmt: g.stmt, client: g.record.Session,
		blueprint: b, mapping: b.mapping, places: a.places,
		owner: a.owner, rows: copier, reader: m.reader,
		front: c.Front, copied: c.RowsCopied,
		chunk:    chunkSize{rows: 1000, target: 250 * time.Millisecond, max: 50_000},
		reported: time.Now(),
	}
	feed, err := m.reader.Subscribe(ctx, binlog.Subscription{
		Schema: a.places.Source.Schema, Table: a.places.Source.Name, Columns: len(b.source.Columns),
		Key: b.mapping.Key.Literal, Statement: a.statementWatch(), From: c.Position,
	})
	if err != nil {
		return err
	}
	a.work.feed = feed
	g.meter.update(func(p *Progress) { p.RowsTotal, p.RowsCopied = max(b.source.EstimatedRows, c.RowsCopied), c.RowsCopied })
	return nil
}

// close ends what open began.
func (a *attempt) close() {
	if a.work == nil {
		return
	}
	if a.work.feed != nil {
		a.work.feed.Close()
	}
	if err := a.work.rows.Close(); err != nil {
		a.migrator.cfg.Logger.Warn("migration: closing a connection", "migration", a.migration.record.ID, "error", err)
	}
	a.work = nil
}

// step does the work of the present phase.
func (a *attempt) step(ctx context.Context) error {
	switch a.phase {
	case Queued:
		return a.become(ctx, Owned, "")
	case Preparing:
		return a.prepare(ctx)
	case Copying:
		if err := a.work.copyAll(ctx); err != nil {
			return err
		}
		return a.become(ctx, Copied, "")
	case Verifying:
		if err := a.verify(ctx); err != nil {
			return err
		}
		return a.become(ctx, Verified, "")
	case Ready:
		return a.swap(ctx)
	case Cleaning:
		// The table has its new shape: whoever waits for it is told so even
		// if the process is asked to stop now.
		if err := a.migrator.server.dropSchemas(context.WithoutCancel(ctx), a.places); err != nil {
			return err
		}
		return a.become(context.WithoutCancel(ctx), Cleaned, "")
	}
	return permanent{fmt.Errorf("migrator: nothing to do for a migration that is %s", a.phase)}
}

func (a *attempt) prepare(ctx context.Context) error {
	m, g := a.migrator, a.migration
	source, err := schema.Load(ctx, m.server.db, a.places.Source)
	if err != nil {
		return gone(err)
	}
	b, err := m.server.build(ctx, a.places, source, g.stmt, g.record.Session)
	if err != nil {
		return err
	}
	if err := b.mapping.CreateCheck(ctx, m.server.db); err != nil {
		return err
	}
	a.outcome.Warnings = b.warnings
	var now int64
	if err := m.server.db.QueryRowContext(ctx, "SELECT UNIX_TIMESTAMP()").Scan(&now); err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	c := checkpoint{SourceFingerprint: source.Fingerprint(), ShadowFingerprint: b.shadow.Fingerprint(), InPlace: b.inPlace, ServerTime: now}
	if err := a.open(ctx, b, c); err != nil {
		return err
	}
	c.Position = a.work.feed.Applied()
	if err := m.store.begin(ctx, g.record.ID, a.run, c); err != nil {
		return err
	}
	return a.become(ctx, Built, "")
}

func (a *attempt) verify(ctx context.Context) error {
	// Statistics before the swap: the first query on the new table must find
	// them.
	if _, err := a.work.rows.ExecContext(ctx, "ANALYZE TABLE "+a.places.Shadow.String()); err != nil {
		return fmt.Errorf("analyze the shadow table: %w", err)
	}
	return a.work.verifyAll(ctx)
}

func (a *attempt) swap(ctx context.Context) error {
	if a.work.suspects == nil {
		a.work.suspects = map[string]bool{}
	}
	phase, err := a.work.swap(ctx, a.migrator.cfg.Gate, a.migrator.cfg.Limits, func(ctx context.Context) error {
		return a.become(ctx, Locked, "")
	})
	if !a.work.blueprint.inPlace {
		a.outcome.Rows = uint64(a.work.meter.snapshot().RowsVerified)
	}
	switch {
	case phase == cutover.Swapped:
		return a.become(context.WithoutCancel(ctx), Renamed, "")
	case phase == cutover.Unclear:
		return err // the next attempt looks, when the lost session is over
	case a.phase == Swapping:
		return errors.Join(err, a.become(context.WithoutCancel(ctx), Refused, "not swapped"))
	}
	return err
}

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

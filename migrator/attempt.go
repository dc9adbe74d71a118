package migrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/cutover"
	"sluice/internal/binlog"
	"sluice/internal/schema"
)

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

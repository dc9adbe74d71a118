package migrator

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sluice/cutover"
	"sluice/internal/schema"
	"sluice/parser"
)

// swap waits for a quiet moment and exchanges the tables.
func (w *work) swap(ctx context.Context, gate cutover.Gate, limits cutover.Limits, commit func(context.Context) error) (cutover.Phase, error) {
	// Once before anybody waits: the first look of a session into
	// information_schema takes a hundred milliseconds on a young server.
	if err := w.unchanged(ctx); err != nil {
		return cutover.Stopped, err
	}
	s := cutover.Swap{
		Places: w.places, Conn: w.owner.Conn, ConnID: w.owner.id, DB: w.server.db, Gate: gate, Limits: limits,
		Copied: time.Now(), Own: []int64{w.rows.id},
		Pump: func(ctx context.Context) error {
			if err := w.apply(ctx); err != nil {
				return err
			}
			return w.tick(ctx)
		},
		Settle: w.settle,
		Commit: commit,
		Report: func(reason string) { w.meter.update(func(p *Progress) { p.WaitingFor = reason }) },
		Logger: w.log,
	}
	phase, timing, err := s.Run(ctx)
	w.count.cutover(phase, timing)
	w.meter.update(func(p *Progress) { p.CutoverAttempts, p.Held = timing.Attempts, timing.Held })
	if phase == cutover.Swapped {
		w.log.Info("cutover: swapped", "migration", w.id, "table", w.places.Source.String(),
			"held", timing.Held, "locked", timing.Locked, "rename", timing.Rename, "attempts", timing.Attempts)
	}
	return phase, err
}

// settle is what happens under the table's lock: the last changes are applied
// and it is proven that nothing is left. ctx says when time is up; it cancels
// no statement, since that would drop the connection and the lock with it.
func (w *work) settle(ctx context.Context) error {
	statements := context.WithoutCancel(ctx)
	end, err := w.server.logEnd(statements)
	if err != nil {
		return err
	}
	for {
		changed := w.reader.Changed()
		if err := w.applyOn(statements, w.owner, false); err != nil {
			return err
		}
		if w.feed.Applied().Compare(end) >= 0 {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if len(w.suspects) > 0 {
		left, err := w.recheck(statements, w.owner)
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return permanent{fmt.Errorf("verification: %d rows of the new table differ from the original; nothing was swapped", len(left))}
		}
		w.suspects = nil
	}
	if err := w.unchanged(statements); err != nil {
		return err
	}
	if err := w.continueNumbering(statements); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// unchanged makes sure that the table is still the one that was planned for:
// its definition, its triggers, the foreign keys that point to it.
func (w *work) unchanged(ctx context.Context) error {
	now, err := schema.LoadOutline(ctx, w.owner, w.places.Source)
	if err != nil {
		return err
	}
	if now.Fingerprint() != w.blueprint.source.Fingerprint() {
		return errSourceChanged
	}
	w.blueprint.source.Create = now.Create
	return nil
}

// errSourceChanged ends a migration whose table was altered by somebody else.
var errSourceChanged = permanent{errors.New("the table, its triggers or the foreign keys to it were changed by another statement meanwhile; send the ALTER again")}

var counter = regexp.MustCompile(` AUTO_INCREMENT=([0-9]+)`)

// continueNumbering gives the new table the original's AUTO_INCREMENT counter,
// which is above the highest row where rows were deleted or rolled back.
func (w *work) continueNumbering(ctx context.Context) error {
	for _, c := range w.stmt.Clauses {
		if c.Kind == parser.TableOption && c.Name == "AUTO_INCREMENT" {
			return nil // the client has set it
		}
	}
	var create, name string
	if err := w.owner.QueryRowContext(ctx, "SHOW CREATE TABLE "+w.places.Shadow.String()).Scan(&name, &create); err != nil {
		return fmt.Errorf("read the new table's counter: %w", err)
	}
	source, shadow := autoIncrement(w.blueprint.source.Create), autoIncrement(create)
	if source <= shadow || !hasAutoIncrement(w.blueprint.shadow) {
		return nil
	}
	if _, err := w.owner.ExecContext(ctx, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", w.places.Shadow, source)); err != nil {
		return fmt.Errorf("set the new table's counter: %w", err)
	}
	return nil
}

func hasAutoIncrement(d *schema.Definition) bool {
	for _, c := range d.Columns {
		if c.AutoInc {
			return true
		}
	}
	return false
}

// autoIncrement reads the counter from SHOW CREATE TABLE, which, unlike
// information_schema, is never a cached figure.
func autoIncrement(create string) uint64 {
	options := create[strings.LastIndex(create, "\n)")+1:]
	if m := counter.FindStringSubmatch(options); m != nil {
		n, _ := strconv.ParseUint(m[1], 10, 64)
		return n
	}
	return 0
}

package migrator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"sluice/internal/binlog"
	"sluice/internal/mysqlerr"
	"sluice/internal/rows"
	"sluice/internal/schema"
	"sluice/parser"
)

// work is one attempt at a migration: the connections and what they have
// reached. One goroutine uses it, so that copying, applying and comparing never
// overlap in time; the rules in package rows rest on that.
type work struct {
	server *server
	store  *store
	log    *slog.Logger
	meter  *meter
	count  *metrics

	id        int64
	run       string
	stmt      parser.Statement
	client    schema.Session
	blueprint *blueprint
	mapping   *rows.Mapping
	places    schema.Places

	owner  *session // holds the table's named lock; runs LOCK TABLES and RENAME
	rows   *session // copies, applies, compares
	feed   *binlog.Feed
	reader *binlog.Reader

	front    rows.Front
	copied   int64 // rows
	suspects map[string]bool
	chunk    chunkSize
	reported time.Time
	refused  refusal
}

// The sizes that the work is cut into.
const (
	applyRows      = 200 // keys in one DELETE and INSERT … SELECT
	recheckRows    = 500
	smallestChunk  = 50
	reportInterval = time.Second
)

// chunkSize adapts the rows of a chunk to the time that one should take.
type chunkSize struct {
	rows   int
	target time.Duration
	max    int
}

func (c *chunkSize) took(d time.Duration) {
	factor := float64(c.target) / float64(max(d, time.Millisecond))
	c.rows = int(float64(c.rows) * min(max(factor, 0.25), 2))
	c.rows = min(max(c.rows, smallestChunk), c.max)
}

// rowSettings are the settings of a connection that stores rows for the client:
// values are converted as its ALTER would convert them.
func rowSettings(client schema.Session, serverTime int64) []string {
	zone := client.Variables["time_zone"]
	if zone == "" {
		zone = "SYSTEM"
	}
	return []string{
		"SET SESSION sql_mode = '" + client.RowMode() + "', time_zone = " + schema.Literal(zone),
		// A new column with DEFAULT CURRENT_TIMESTAMP gets one and the same
		// time in all existing rows, as the native ALTER gives it.
		fmt.Sprintf("SET SESSION timestamp = %d", serverTime),
		"SET SESSION foreign_key_checks = 0, innodb_lock_wait_timeout = 5",
	}
}

// copyAll copies what lies above the front, a chunk at a time.
func (w *work) copyAll(ctx context.Context) error {
	for !w.front.Done {
		if err := w.tick(ctx); err != nil {
			return err
		}
		// Before the first chunk there is nothing to apply changes to; they
		// wait in the feed.
		if w.front.Bound != nil {
			if err := w.apply(ctx); err != nil {
				return err
			}
		}
		if err := w.copyChunk(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) copyChunk(ctx context.Context) error {
	began := time.Now()
	upper, last, err := w.mapping.NextBound(ctx, w.rows, w.front.Bound, w.chunk.rows)
	if err != nil {
		return err
	}
	// After the last row there are only rows that were inserted since we looked.
	// Their changes are still to be taken from the feed, and then nothing is
	// above the front any more.
	front := rows.Front{Bound: upper, Done: last}
	which := w.mapping.Range(w.front.Bound, upper)
	var n int64
	err = w.inTransaction(ctx, func() error {
		if upper != nil {
			var err error
			if n, err = w.mapping.Copy(ctx, w.rows, which); err != nil {
				return err
			}
		}
		return w.store.save(ctx, w.rows, w.id, w.run, front, w.feed.Applied(), w.copied+n)
	})
	switch {
	case rows.IsDuplicate(err):
		w.chunk.rows = max(w.chunk.rows/2, smallestChunk) // fewer rows are met by fewer changes
		if err := w.duplicate(ctx, err); err != nil {
			return err
		}
		return w.catchUp(ctx)
	case err != nil && mysqlerr.Number(err) != 0 && !isPassing(err):
		return w.asNative(ctx, which, w.copied, err)
	case err != nil:
		return err
	}
	w.front, w.copied = front, w.copied+n
	w.chunk.took(time.Since(began))
	w.count.rowsCopied.Add(float64(n))
	w.meter.update(func(p *Progress) { p.RowsCopied = w.copied })
	return nil
}

// asNative makes the server's refusal of rows the end of the migration, in the
// words of the native ALTER.
func (w *work) asNative(ctx context.Context, which rows.Selection, before int64, refusal error) error {
	err := w.server.asNative(ctx, w.blueprint, w.stmt, w.client, which, before, refusal)
	if mysqlerr.Number(err) != 0 {
		return permanent{err}
	}
	return err
}

// refusal remembers a duplicate: a row that a unique key of the shadow refused.
// The row that stands in its way may have given the value up since; then that
// change is in the log. So a duplicate is the client's error only if it is met
// again and again, each time with every change applied that was committed when
// it was met before.
type refusal struct {
	text  string // of the server: names key and value
	times int
	since binlog.Position // the end of the log when it was met last
}

// maxRefusals is how often the same duplicate must be met.
const maxRefusals = 10

// duplicate notes a duplicate. It returns an error when that does not pass.
func (w *work) duplicate(ctx context.Context, err error) error {
	text := asClientSees(err, w.places).Error()
	switch {
	case text != w.refused.text:
		w.refused = refusal{text: text}
	case w.reader.Position().Compare(w.refused.since) < 0:
		return nil // what may clear it is not read yet
	}
	end, endErr := w.server.logEnd(context.WithoutCancel(ctx))
	if endErr != nil {
		return endErr
	}
	w.refused.since = end
	if w.refused.times++; w.refused.times > maxRefusals {
		return permanent{asClientSees(err, w.places)}
	}
	return nil
}

// catchUp applies every change that was committed before it was called.
func (w *work) catchUp(ctx context.Context) error {
	end, err := w.server.logEnd(ctx)
	if err != nil {
		return err
	}
	for {
		changed := w.reader.Changed()
		if err := w.apply(ctx); err != nil {
			return err
		}
		if w.feed.Applied().Compare(end) >= 0 {
			return nil
		}
		if err := w.tick(ctx); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-time.After(rowLockPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// rowLockPause is how long we leave rows alone that an application has locked.
// Nothing tells when a row is let go.
const rowLockPause = 2 * time.Millisecond

// apply brings the rows that changed up to date in the shadow. Rows that are
// locked go back to the feed.
func (w *work) apply(ctx context.Context) error {
	return w.applyOn(ctx, w.rows, true)
}

func (w *work) applyOn(ctx context.Context, c *session, transactions bool) error {
	batch, err := w.feed.Take()
	if err != nil {
		return permanent{err}
	}
	if len(batch.Keys) == 0 {
		return nil
	}
	a := application{work: w, conn: c, transactions: transactions}
	for keys := range slices.Chunk(slices.Sorted(maps.Keys(batch.Keys)), applyRows) {
		if err := a.refresh(ctx, keys); err != nil {
			return err
		}
	}
	if len(a.duplicates) > 0 {
		if err := a.refreshTogether(ctx); err != nil {
			return err
		}
	}
	back := map[string]binlog.Position{}
	for _, k := range a.locked {
		back[k] = batch.Keys[k]
	}
	w.feed.Return(back)
	applied := len(batch.Keys) - len(back)
	w.count.changesApplied.Add(float64(applied))
	w.meter.update(func(p *Progress) { p.ChangesApplied += int64(applied) })
	return nil
}

// application is one round of applying changes.
type application struct {
	work *work
	conn *session
	// transactions says to make each step a transaction. Under LOCK TABLES
	// there must be none: BEGIN would release the tables.
	transactions bool

	locked     []string // rows that applications have locked
	duplicates []string // rows that a unique key refused
}

// refresh brings rows up to date; where one is locked, the others go on without
// it.
func (a *application) refresh(ctx context.Context, keys []string) error {
	w := a.work
	err := a.step(ctx, func() error {
		if err := w.mapping.Remove(ctx, a.conn, keys); err != nil {
			return err
		}
		return w.mapping.Restore(ctx, a.conn, keys, w.front)
	})
	switch {
	case err == nil:
		return nil
	case rows.IsDuplicate(err):
		a.duplicates = append(a.duplicates, keys...)
		return nil
	case rows.IsLocked(err) && len(keys) == 1:
		a.locked = append(a.locked, keys...)
		return nil
	case rows.IsLocked(err):
		half := len(keys) / 2
		if err := a.refresh(ctx, keys[:half]); err != nil {
			return err
		}
		return a.refresh(ctx, keys[half:])
	case mysqlerr.Number(err) != 0 && !isPassing(err):
		return w.asNative(ctx, w.mapping.Rows(keys), 0, err)
	}
	return err
}

// refreshTogether is for rows between which a unique value was handed over:
// all are removed before the first is put back.
func (a *application) refreshTogether(ctx context.Context) error {
	w := a.work
	err := a.step(ctx, func() error {
		for keys := range slices.Chunk(a.duplicates, applyRows) {
			if err := w.mapping.Remove(ctx, a.conn, keys); err != nil {
				return err
			}
		}
		for keys := range slices.Chunk(a.duplicates, applyRows) {
			if err := w.mapping.Restore(ctx, a.conn, keys, w.front); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case rows.IsLocked(err):
		a.locked = append(a.locked, a.duplicates...)
		return nil
	case rows.IsDuplicate(err):
		// The other row's change may not have been read yet.
		a.locked = append(a.locked, a.duplicates...)
		return w.duplicate(ctx, err)
	}
	return err
}

// step runs f as one transaction, or as it is under LOCK TABLES.
func (a *application) step(ctx context.Context, f func() error) error {
	if !a.transactions {
		return f()
	}
	return transaction(ctx, a.conn, nil, f)
}

func (w *work) inTransaction(ctx context.Context, f func() error) error {
	return transaction(ctx, w.rows, nil, f)
}

func transaction(ctx context.Context, c *session, opts *sql.TxOptions, f func() error) error {
	tx, err := c.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(); err != nil {
		if e := tx.Rollback(); e != nil && !errors.Is(e, sql.ErrTxDone) {
			return errors.Join(err, e)
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// tick reports the progress once in a while, and with it finds out whether the
// migration is still ours.
func (w *work) tick(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if time.Since(w.reported) < reportInterval {
		return nil
	}
	w.reported = time.Now()
	if err := w.owner.PingContext(ctx); err != nil {
		return fmt.Errorf("the connection that owns the migration: %w", err)
	}
	if err := w.store.report(ctx, w.id, w.run, w.meter.snapshot()); err != nil {
		return err
	}
	return w.store.save(ctx, w.server.db, w.id, w.run, w.front, w.feed.Applied(), w.copied)
}

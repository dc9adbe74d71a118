package migrator

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"sluice/internal/rows"
)

// verifyAll compares every chunk, shadow against original, both as of one
// moment. Rows that changed a moment before may differ only because the change
// is not applied yet: they are suspects, and are looked at again.
func (w *work) verifyAll(ctx context.Context) error {
	w.suspects = map[string]bool{}
	size := chunkSize{rows: 2000, target: 300 * time.Millisecond, max: 50_000}
	var lower rows.Bound
	var verified int64
	for {
		if err := w.tick(ctx); err != nil {
			return err
		}
		if err := w.apply(ctx); err != nil {
			return err
		}
		began := time.Now()
		upper, last, err := w.mapping.NextBound(ctx, w.rows, lower, size.rows)
		if err != nil {
			return err
		}
		if last {
			upper = nil // also what lies above
		}
		n, err := w.verifyChunk(ctx, lower, upper)
		if err != nil {
			return err
		}
		size.took(time.Since(began))
		verified += n
		w.count.rowsVerified.Add(float64(n))
		w.meter.update(func(p *Progress) { p.RowsVerified = verified })
		if last {
			break
		}
		lower = upper
	}
	w.meter.update(func(p *Progress) { p.RowsTotal = verified })
	return w.clearSuspects(ctx)
}

func (w *work) verifyChunk(ctx context.Context, lower, upper rows.Bound) (n int64, err error) {
	snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead}
	err = transaction(ctx, w.rows, snapshot, func() error {
		source, shadow, err := w.mapping.Sums(ctx, w.rows, lower, upper)
		if err != nil {
			return err
		}
		n = source.Rows
		if source == shadow {
			return nil
		}
		keys, err := w.mapping.Differences(ctx, w.rows, lower, upper)
		if err != nil {
			return err
		}
		for _, k := range keys {
			w.suspects[k] = true
		}
		return nil
	})
	return n, err
}

// maxSuspects is how many suspects may be left for the comparison under the
// lock, which is certain, but holds everybody up.
const maxSuspects = 200

// clearSuspects looks at the suspects again with all changes applied. What
// still differs after a few rounds is left for the lock.
func (w *work) clearSuspects(ctx context.Context) error {
	for round := 0; len(w.suspects) > 0 && (round < 10 || len(w.suspects) > maxSuspects); round++ {
		if round > 20 {
			return permanent{fmt.Errorf("verification: %d rows of the new table differ from the original; nothing was swapped", len(w.suspects))}
		}
		if err := w.catchUp(ctx); err != nil {
			return err
		}
		left, err := w.recheck(ctx, w.rows)
		if err != nil {
			return err
		}
		w.suspects = left
	}
	return nil
}

// recheck returns the suspects that differ when the server stores their rows
// once more.
func (w *work) recheck(ctx context.Context, c *session) (map[string]bool, error) {
	var keys []string
	for k := range w.suspects {
		keys = append(keys, k)
	}
	left := map[string]bool{}
	for part := range slices.Chunk(keys, recheckRows) {
		differ, err := w.mapping.Recheck(ctx, c, part)
		if err != nil {
			return nil, err
		}
		for _, k := range differ {
			left[k] = true
		}
	}
	return left, nil
}

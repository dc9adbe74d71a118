package rows

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sluice/internal/schema"
)

// Conn is what the functions of this package need of a connection.
type Conn = schema.Queryer

// NextBound returns the key of the n-th row of the source after lo, the upper
// end of a chunk of n rows. Where fewer are left, last is true and the bound is
// that of the last row, or nil where there is none.
func (m *Mapping) NextBound(ctx context.Context, c Conn, lo Bound, n int) (bound Bound, last bool, err error) {
	s := m.source()
	query := fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %d",
		s.literals(), s.from(), s.between(lo, nil), s.order(""), n-1)
	bound, err = scanBound(c.QueryRowContext(ctx, query), len(m.Key.Columns))
	if !errors.Is(err, sql.ErrNoRows) {
		return bound, false, err
	}
	query = fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1",
		s.literals(), s.from(), s.between(lo, nil), s.order(" DESC"))
	bound, err = scanBound(c.QueryRowContext(ctx, query), len(m.Key.Columns))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, true, nil
	}
	return bound, true, err
}

func scanBound(row *sql.Row, n int) (Bound, error) {
	bound := make(Bound, n)
	into := make([]any, n)
	for i := range bound {
		into[i] = &bound[i]
	}
	if err := row.Scan(into...); err != nil {
		return nil, fmt.Errorf("find the end of a chunk: %w", err)
	}
	return bound, nil
}

// Selection is a condition on the rows of the source.
type Selection struct{ condition string }

// Range selects the keys in (lo, hi].
func (m *Mapping) Range(lo, hi Bound) Selection { return Selection{m.source().between(lo, hi)} }

// Rows selects the rows with the given keys, which are row literals.
func (m *Mapping) Rows(keys []string) Selection { return Selection{m.source().in(keys)} }

// Copy inserts the selected rows of the source into the shadow and returns
// their number. The connection is in a READ COMMITTED transaction.
func (m *Mapping) Copy(ctx context.Context, c Conn, which Selection) (int64, error) {
	result, err := c.ExecContext(ctx, m.insert(m.Places.Shadow)+" WHERE "+which.condition)
	if err != nil {
		return 0, fmt.Errorf("copy a chunk: %w", err)
	}
	return result.RowsAffected()
}

// CopyUnchanged inserts the selected rows as they are into a table that has the
// shape of the source.
func (m *Mapping) CopyUnchanged(ctx context.Context, c Conn, into schema.Table, columns []string, which Selection) error {
	list := schema.QuoteAll(columns)
	_, err := c.ExecContext(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", into, list, list, m.source().from(), which.condition))
	return err
}

// Front is how far the copy has come: rows up to Bound are in the shadow, or
// all, once Done.
type Front struct {
	Bound Bound `json:"bound,omitempty"`
	Done  bool  `json:"done,omitempty"`
}

// Remove takes the rows with the given keys out of the shadow. Restore, with
// the same keys and in the same READ COMMITTED transaction, puts back what the
// source holds now; together they bring changed rows up to date.
func (m *Mapping) Remove(ctx context.Context, c Conn, keys []string) error {
	if _, err := c.ExecContext(ctx, "DELETE FROM "+m.Places.Shadow.String()+" WHERE "+m.shadow().in(keys)); err != nil {
		return fmt.Errorf("remove changed rows: %w", err)
	}
	return nil
}

// Restore copies the rows with the given keys as the source holds them now, up
// to the front; those above it are left to the copy. It must not be called
// before the first chunk is copied.
//
// All the keys are read and locked, those above the front too: a row whose
// change is in the log but not yet visible is still locked by its transaction,
// and NOWAIT makes that an error, which satisfies IsLocked. A key that was
// passed over unread could be copied later by a chunk that does not see the
// change either. The reading is a statement of its own, without the front in
// its condition, lest the optimizer find out that it need not read.
func (m *Mapping) Restore(ctx context.Context, c Conn, keys []string, front Front) error {
	s := m.source()
	condition := s.in(keys)
	if !front.Done {
		var n int64
		if err := c.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+s.from()+" WHERE "+condition+" FOR SHARE NOWAIT").Scan(&n); err != nil {
			return fmt.Errorf("lock changed rows: %w", err)
		}
		condition += " AND " + s.upTo(front.Bound)
	}
	if _, err := c.ExecContext(ctx, m.insert(m.Places.Shadow)+" WHERE "+condition+" FOR SHARE NOWAIT"); err != nil {
		return fmt.Errorf("copy changed rows: %w", err)
	}
	return nil
}

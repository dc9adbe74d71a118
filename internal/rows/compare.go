package rows

import (
	"context"
	"fmt"
)

// Sum is the checksum of a range of rows.
type Sum struct {
	Rows   int64
	Digest string
}

// Sums computes the checksum of the keys in (lo, hi] on both sides. Where the
// connection is in a REPEATABLE READ transaction both see the same moment.
func (m *Mapping) Sums(ctx context.Context, c Conn, lo, hi Bound) (source, shadow Sum, err error) {
	if source, err = sum(ctx, c, m.source(), m.sourceDigest(), lo, hi); err != nil {
		return
	}
	shadow, err = sum(ctx, c, m.shadow(), m.shadowDigest(), lo, hi)
	return
}

func sum(ctx context.Context, c Conn, s side, digest string, lo, hi Bound) (Sum, error) {
	var r Sum
	query := fmt.Sprintf("SELECT COUNT(*), IFNULL(HEX(BIT_XOR(%s)), '') FROM %s WHERE %s", digest, s.from(), s.between(lo, hi))
	if err := c.QueryRowContext(ctx, query).Scan(&r.Rows, &r.Digest); err != nil {
		return r, fmt.Errorf("checksum of %s: %w", s.table, err)
	}
	return r, nil
}

func (m *Mapping) sourceDigest() string {
	rendered := make([]string, len(m.compare))
	for i, p := range m.compare {
		rendered[i] = p.source
	}
	return rowExpression(rendered)
}

func (m *Mapping) shadowDigest() string {
	rendered := make([]string, len(m.compare))
	for i, p := range m.compare {
		rendered[i] = p.shadow
	}
	return rowExpression(rendered)
}

// Differences returns the keys in (lo, hi], as row literals, of which the two
// sides do not hold the same.
func (m *Mapping) Differences(ctx context.Context, c Conn, lo, hi Bound) ([]string, error) {
	source, err := digests(ctx, c, m.source(), m.sourceDigest(), m.source().between(lo, hi))
	if err != nil {
		return nil, err
	}
	shadow, err := digests(ctx, c, m.shadow(), m.shadowDigest(), m.shadow().between(lo, hi))
	if err != nil {
		return nil, err
	}
	return different(source, shadow), nil
}

// different lists the keys that are not in both, or with another digest.
func different(a, b map[string]string) []string {
	var keys []string
	for key, digest := range a {
		if other, both := b[key]; !both || other != digest {
			keys = append(keys, key)
		}
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	return keys
}

// digests returns the digest of each row that satisfies the condition, by key.
func digests(ctx context.Context, c Conn, s side, digest, condition string) (map[string]string, error) {
	n := len(s.key.Columns)
	rows, err := c.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s", s.literals(), digest, s.from(), condition))
	if err != nil {
		return nil, fmt.Errorf("digests of %s: %w", s.table, err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		key := make(Bound, n)
		var d string
		into := make([]any, n, n+1)
		for i := range key {
			into[i] = &key[i]
		}
		if err := rows.Scan(append(into, &d)...); err != nil {
			return nil, fmt.Errorf("digests of %s: %w", s.table, err)
		}
		found[key.row()] = d
	}
	return found, rows.Err()
}

// Recheck compares the rows with the given keys exactly and returns those that
// differ: the source's rows are stored once more, in the check table, which
// has the shadow's shape, and what the server stored is compared with what the
// shadow holds. It is certain where nobody writes to the source meanwhile, and
// a hint otherwise.
func (m *Mapping) Recheck(ctx context.Context, c Conn, keys []string) ([]string, error) {
	check := m.shadow()
	check.table = m.Places.Check
	if _, err := c.ExecContext(ctx, "DELETE FROM "+check.table.String()); err != nil {
		return nil, fmt.Errorf("empty the check table: %w", err)
	}
	if _, err := c.ExecContext(ctx, m.insert(check.table)+" WHERE "+m.source().in(keys)); err != nil {
		return nil, fmt.Errorf("store rows once more to compare them: %w", err)
	}
	stored, err := digests(ctx, c, check, m.shadowDigest(), check.in(keys))
	if err != nil {
		return nil, err
	}
	held, err := digests(ctx, c, m.shadow(), m.shadowDigest(), m.shadow().in(keys))
	if err != nil {
		return nil, err
	}
	return different(stored, held), nil
}

// CreateCheck makes the check table.
func (m *Mapping) CreateCheck(ctx context.Context, c Conn) error {
	_, err := c.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+m.Places.Check.String()+" LIKE "+m.Places.Shadow.String())
	if err != nil {
		return fmt.Errorf("create the check table: %w", err)
	}
	return nil
}

package load

import (
	"context"
	"slices"
)

const (
	longestTransaction = 5 // rows, and one more that is inserted
	rollbackOneIn      = 8
)

// transaction changes several rows or, sometimes, in the end none.
func (c *client) transaction(ctx context.Context) {
	if c.control(ctx, "BEGIN") != nil {
		return
	}
	changes, err := c.script(ctx)
	if err != nil || c.random.IntN(rollbackOneIn) == 0 {
		if c.session != nil {
			c.control(ctx, "ROLLBACK")
		}
		return
	}
	if err := c.control(ctx, "COMMIT"); err != nil {
		// Whatever it says: a COMMIT that fails half-way may have been seen.
		for _, change := range changes {
			c.ledger.doubt(change)
		}
		return
	}
	c.stats.transactions++
	for _, change := range changes {
		c.ledger.commit(change)
	}
}

func (c *client) control(ctx context.Context, statement string) error {
	return c.timed(ctx, statement, func(ctx context.Context) error {
		_, err := c.session.exec(ctx, statement)
		return err
	})
}

// script carries out the statements of a transaction: each on another row, in
// the order of their ids, and at last an insert, whose id is the highest.
func (c *client) script(ctx context.Context) ([]change, error) {
	var changes []change
	for _, id := range c.severalRows() {
		expected, _ := c.ledger.expected(id)
		op := []operation{reading, updating, updating, deleting}[c.random.IntN(4)]
		if op == deleting && id <= c.config.Rows && !c.ledger.mayDeletePreloaded() {
			op = updating
		}
		made, err := c.stepOn(ctx, op, id, expected.token)
		if err != nil {
			return nil, err
		}
		if made == nil {
			continue
		}
		changes = append(changes, *made)
		if op == updating && c.random.IntN(2) == 0 {
			// It sees its own write before others do.
			if err := c.read(ctx, id, made.token); err != nil {
				return nil, err
			}
		}
	}
	if c.random.IntN(2) == 0 {
		made, err := c.insert(ctx)
		if err != nil {
			return nil, err
		}
		changes = append(changes, *made)
	}
	return changes, nil
}

// severalRows picks different rows, in the order of their ids.
func (c *client) severalRows() []int64 {
	var ids []int64
	for range 1 + c.random.IntN(longestTransaction) {
		if id, _, ok := c.ledger.pick(c.random, true); ok {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

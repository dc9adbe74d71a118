package load

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// client is one client of the application. It belongs to its goroutine, and
// after that to whoever waited for it.
type client struct {
	config *Config
	texts  texts
	began  time.Time
	ledger *ledger
	stats  *stats
	served *atomic.Int64 // by all clients
	warm   func()        // called once, when Warmup is reached

	random   *rand.Rand
	sequence int64
	db       *sql.DB
	session  *session // nil: not connected
}

// run works until stop is closed, and drops everything when ctx ends.
func (c *client) run(ctx context.Context, stop <-chan struct{}) {
	defer c.disconnect()
	pause := reconnectPause
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		if c.session == nil {
			if c.connect(ctx) != nil {
				wait(ctx, stop, pause)
				pause = min(2*pause, longestPause)
				continue
			}
			pause = reconnectPause
		}
		c.operate(ctx)
		if c.config.Think > 0 {
			wait(ctx, stop, c.config.Think)
		}
	}
}

// How long a client waits before it tries to connect again.
const (
	reconnectPause = 10 * time.Millisecond
	longestPause   = 500 * time.Millisecond
)

func wait(ctx context.Context, stop <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	case <-ctx.Done():
	}
}

// connect opens a connection. Every other client prepares its statements.
func (c *client) connect(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	start := time.Now()
	session, err := connect(bounded, c.db, c.ledger.number%2 == 1)
	if err == nil {
		c.session = session
	} else if ctx.Err() == nil {
		c.stats.fail("connect", start.Sub(c.began), time.Since(start), err)
	}
	return err
}

func (c *client) disconnect() {
	if c.session != nil {
		c.session.close()
		c.session = nil
	}
}

// timed carries a statement out and notes how it went.
func (c *client) timed(ctx context.Context, what string, statement func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	start := time.Now()
	err := statement(bounded)
	took := time.Since(start)
	switch {
	case err == nil:
		c.stats.note(what, start.Sub(c.began), took)
		c.served.Add(1)
		if c.stats.statements == int64(c.config.Warmup) {
			c.warm()
		}
	case ctx.Err() == nil:
		c.stats.fail(what, start.Sub(c.began), took, err)
	}
	if err != nil && connectionLost(err) {
		c.disconnect()
	}
	return err
}

func (c *client) operate(ctx context.Context) {
	op := c.config.Mix.draw(c.random)
	if op == transacting {
		c.transaction(ctx)
		return
	}
	change, err := c.step(ctx, op)
	switch {
	case change == nil:
	case err == nil:
		c.ledger.commit(*change)
	case !answered(err):
		c.ledger.doubt(*change)
	}
}

// step carries out one operation on a row that it picks. The change is nil if
// nothing is changed.
func (c *client) step(ctx context.Context, op operation) (*change, error) {
	if op == inserting {
		return c.insert(ctx)
	}
	id, token, ok := c.ledger.pick(c.random, op != deleting || c.ledger.mayDeletePreloaded())
	if !ok {
		return c.insert(ctx) // there is nothing yet
	}
	return c.stepOn(ctx, op, id, token)
}

// stepOn carries out one operation on a row that holds token.
func (c *client) stepOn(ctx context.Context, op operation, id int64, token string) (*change, error) {
	switch op {
	case updating:
		return c.update(ctx, id, token)
	case deleting:
		return c.delete(ctx, id, token)
	}
	return nil, c.read(ctx, id, token)
}

// read looks whether the client sees its own latest write.
func (c *client) read(ctx context.Context, id int64, token string) error {
	var row stored
	var found bool
	err := c.timed(ctx, "read", func(ctx context.Context) (err error) {
		row, found, err = c.session.read(ctx, c.texts.read, id)
		return err
	})
	if err == nil && (!found || row.token != token || !row.whole(c.column(id))) {
		c.stats.stale++
		c.stats.detail("stale read: row %d held %q, acknowledged was %q", id, row.token, token)
	}
	return err
}

func (c *client) insert(ctx context.Context) (*change, error) {
	token := c.token()
	made := &change{token: token}
	err := c.timed(ctx, "insert", func(ctx context.Context) error {
		result, err := c.session.exec(ctx, c.texts.insert, c.ledger.number+1, kOf(token), token, padOf(token))
		if err != nil {
			return err
		}
		made.id, err = result.LastInsertId()
		return err
	})
	return made, err
}

func (c *client) update(ctx context.Context, id int64, token string) (*change, error) {
	next := c.token()
	return c.replace(ctx, "update", &change{id, next}, token, c.texts.update, kOf(next), next, padOf(next), id, token)
}

func (c *client) delete(ctx context.Context, id int64, token string) (*change, error) {
	return c.replace(ctx, "delete", &change{id, ""}, token, c.texts.delete, id, token)
}

// replace carries out a statement that must find token in its row: where it does
// not, the write of token is lost.
func (c *client) replace(ctx context.Context, what string, made *change, token, query string, args ...any) (*change, error) {
	var affected int64
	err := c.timed(ctx, what, func(ctx context.Context) error {
		result, err := c.session.exec(ctx, query, args...)
		if err != nil {
			return err
		}
		affected, err = result.RowsAffected()
		return err
	})
	if err == nil && affected != 1 {
		c.ledger.abandon(made.id)
		c.stats.lost++
		c.stats.detail("lost: %s of row %d did not find %q", what, made.id, token)
		return nil, nil
	}
	return made, err
}

// token is one that no write had before.
func (c *client) token() string {
	c.sequence++
	return fmt.Sprintf("c%d-%d", c.ledger.number, c.sequence)
}

// column is what the column owner holds in a row of this client.
func (c *client) column(id int64) int64 {
	if id <= c.config.Rows {
		return nobody
	}
	return int64(c.ledger.number) + 1
}

package load

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Config says what load is wanted. Server, Table and Rows must be set.
type Config struct {
	// Server is where the clients connect and as whom, and names the database.
	Server *mysql.Config
	// Table was made by Seed with Rows rows, and nobody has written it since.
	Table string
	Rows  int64

	Clients int           // 0: 8
	Mix     Mix           // zero: DefaultMix
	Think   time.Duration // pause of a client between two operations
	Seed    uint64        // of the random choices
	// Warmup is the number of statements that each client has been served when
	// Warm is closed. 0: 100
	Warmup int
	// Timeout bounds a single statement; one that takes longer counts as an
	// error. 0: a minute
	Timeout time.Duration
}

// Mix is how often the clients do what, in relation to each other.
type Mix struct {
	Reads, Inserts, Updates, Deletes int
	Transactions                     int // of several statements each; some are rolled back
}

// DefaultMix is that of an ordinary application with rather many writes. The
// table keeps its size.
var DefaultMix = Mix{Reads: 50, Inserts: 10, Updates: 20, Deletes: 10, Transactions: 10}

// operation is what a client does next.
type operation int

const (
	reading operation = iota
	inserting
	updating
	deleting
	transacting
)

func (m Mix) weights() []int {
	return []int{reading: m.Reads, inserting: m.Inserts, updating: m.Updates, deleting: m.Deletes, transacting: m.Transactions}
}

func (m Mix) total() int {
	sum := 0
	for _, w := range m.weights() {
		sum += w
	}
	return sum
}

func (m Mix) draw(random *rand.Rand) operation {
	n := random.IntN(m.total())
	for op, weight := range m.weights() {
		if n < weight {
			return operation(op)
		}
		n -= weight
	}
	panic("load: the weights do not add up to their sum")
}

// completed is c with its defaults filled in.
func (c Config) completed() (Config, error) {
	if c.Mix == (Mix{}) {
		c.Mix = DefaultMix
	}
	c.Clients = cmp.Or(c.Clients, 8)
	c.Warmup = cmp.Or(c.Warmup, 100)
	c.Timeout = cmp.Or(c.Timeout, time.Minute)
	switch {
	case c.Server == nil || c.Server.DBName == "" || c.Table == "":
		return c, errors.New("load: Server with its database and Table must be set")
	case c.Clients < 1 || c.Rows < 0 || c.Think < 0 || c.Warmup < 1 || c.Timeout < 0:
		return c, errors.New("load: a number is negative")
	}
	for _, w := range c.Mix.weights() {
		if w < 0 {
			return c, errors.New("load: a number in Mix is negative")
		}
	}
	// The driver would print what we count.
	c.Server = c.Server.Clone()
	c.Server.Logger = &mysql.NopLogger{}
	c.Server.InterpolateParams = true // text, unless a client prepares its statements
	return c, nil
}

package load

import "math/rand/v2"

// ledger is what the server acknowledged to one client.
type ledger struct {
	number    int   // of the client
	clients   int   // number of clients
	preloaded int64 // number of rows that Seed made

	rows     map[int64]*entry // the rows that were written; the other preloaded ones are as they were
	inserted []int64          // its own rows, to pick from; some may be gone
	adrift   map[string]bool  // tokens of inserts that nobody answered: their ids are not known
	gone     int64            // preloaded rows that were deleted
	writes   int64            // acknowledged
	unknown  int64            // not answered
}

// entry is what must be in one row.
type entry struct {
	token string // "" is a row that is not there
	state state
	other string // of a doubtful row: may be there as well as token
}

type state int

const (
	certain  state = iota // the server acknowledged it
	doubtful              // the answer to the last write was lost
	broken                // something else was found there, and that has been counted
)

// change is what a statement does to a row once it is committed.
type change struct {
	id    int64  // 0 if not known, after an insert that was not answered
	token string // "" deletes the row
}

func newLedger(number int, c *Config) *ledger {
	return &ledger{number: number, clients: c.Clients, preloaded: c.Rows, rows: map[int64]*entry{}, adrift: map[string]bool{}}
}

// owner is the number of the client that a preloaded row belongs to.
func owner(id int64, clients int) int { return int((id - 1) % int64(clients)) }

// share is how many preloaded rows belong to the client.
func (l *ledger) share() int64 {
	n := int64(l.clients)
	return (l.preloaded - int64(l.number) + n - 1) / n
}

// expected is what must be in a row that belongs to the client; ok is false if
// there never was such a row.
func (l *ledger) expected(id int64) (e entry, ok bool) {
	if written := l.rows[id]; written != nil {
		return *written, true
	}
	if id >= 1 && id <= l.preloaded {
		return entry{token: seedToken(id)}, true
	}
	return entry{}, false
}

// commit notes a change that the server acknowledged.
func (l *ledger) commit(c change) {
	if l.rows[c.id] == nil && c.id > l.preloaded {
		l.inserted = append(l.inserted, c.id)
	}
	if c.token == "" && c.id <= l.preloaded {
		l.gone++
	}
	l.rows[c.id] = &entry{token: c.token}
	l.writes++
}

// doubt notes a change that the server did not answer.
func (l *ledger) doubt(c change) {
	l.unknown++
	if c.id == 0 {
		l.adrift[c.token] = true
		return
	}
	before, _ := l.expected(c.id)
	l.rows[c.id] = &entry{token: before.token, state: doubtful, other: c.token}
}

// abandon notes that a row was not as acknowledged. It is not used any more.
func (l *ledger) abandon(id int64) { l.rows[id] = &entry{state: broken} }

// pick returns a row that is certain to be there, and its token. ok is false if
// none was found in a few tries.
func (l *ledger) pick(random *rand.Rand, preloaded bool) (id int64, token string, ok bool) {
	for range 16 {
		id, ok := l.candidate(random, preloaded)
		if !ok {
			return 0, "", false
		}
		if e, _ := l.expected(id); e.state == certain && e.token != "" {
			return id, e.token, true
		}
	}
	return 0, "", false
}

// candidate is an inserted row, or a preloaded one if those are allowed.
func (l *ledger) candidate(random *rand.Rand, preloaded bool) (id int64, ok bool) {
	share := l.share()
	if preloaded && share > 0 && (len(l.inserted) == 0 || random.IntN(2) == 0) {
		return int64(l.number) + 1 + int64(l.clients)*random.Int64N(share), true
	}
	if len(l.inserted) == 0 {
		return 0, false
	}
	i := random.IntN(len(l.inserted))
	id = l.inserted[i]
	if e := l.rows[id]; e.state != certain || e.token == "" {
		last := len(l.inserted) - 1
		l.inserted[i] = l.inserted[last]
		l.inserted = l.inserted[:last]
	}
	return id, true
}

// mayDeletePreloaded keeps half of the preloaded rows, however long it lasts.
func (l *ledger) mayDeletePreloaded() bool { return l.gone < l.share()/2 }

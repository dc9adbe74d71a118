package load

import (
	"context"
	"database/sql"
	"fmt"
)

// Verdict is what the table holds, against what the clients were told.
type Verdict struct {
	Rows     int64 // in the table; every one was compared
	Writes   int64 // acknowledged; every one was looked for, here or when it was overwritten
	Lost     int64 // acknowledged writes that are not, or were not, in the table
	Invented int64 // rows in the table, or values in a row, that nobody has written
	Details  []string
}

// Verify reads the whole table and compares it with what the clients were told.
// The Run must have been stopped.
func (r *Run) Verify(ctx context.Context, db *sql.DB) (Verdict, error) {
	select {
	case <-r.stop:
	default:
		return Verdict{}, errRunning
	}
	report := r.Stop()
	v := &verifier{
		run: r, verdict: Verdict{Writes: report.Writes, Lost: report.Lost},
		next: 1, seen: map[int64]*ledger{}, ashore: map[string]bool{},
	}
	if err := v.readAll(ctx, db); err != nil {
		return v.verdict, fmt.Errorf("read %s: %w", r.config.Table, err)
	}
	v.missing()
	return v.verdict, nil
}

type verifier struct {
	run     *Run
	verdict Verdict
	next    int64             // the preloaded row that is due
	seen    map[int64]*ledger // the other rows, and whose they are
	ashore  map[string]bool   // inserts without an answer that were found
}

func (v *verifier) readAll(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, textsFor(v.run.config.Table).all)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row stored
		if err := rows.Scan(row.into()...); err != nil {
			return err
		}
		v.skipTo(row.id)
		v.verdict.Rows++
		v.compare(row)
	}
	return rows.Err()
}

// skipTo notes the preloaded rows before id as absent.
func (v *verifier) skipTo(id int64) {
	for ; v.next < id && v.next <= v.run.config.Rows; v.next++ {
		l := v.run.clients[owner(v.next, v.run.config.Clients)].ledger
		e, _ := l.expected(v.next)
		v.absent(v.next, e)
	}
	v.next = max(v.next, id+1)
}

// missing looks for what was not in the table at all.
func (v *verifier) missing() {
	v.skipTo(v.run.config.Rows + 1)
	for _, c := range v.run.clients {
		for id, e := range c.ledger.rows {
			if id > v.run.config.Rows && v.seen[id] != c.ledger {
				v.absent(id, *e)
			}
		}
	}
}

// ledgerOf is that of the client which the row belongs to, nil if it is nobody's.
func (v *verifier) ledgerOf(row stored) *ledger {
	if row.id <= v.run.config.Rows {
		return v.run.clients[owner(row.id, v.run.config.Clients)].ledger
	}
	var found *ledger
	for _, c := range v.run.clients {
		// After a crash the server may give the id of an insert that was never
		// committed to another client.
		if found == nil || row.owner == int64(c.ledger.number)+1 {
			if c.ledger.rows[row.id] != nil || c.ledger.adrift[row.token] {
				found = c.ledger
			}
		}
	}
	return found
}

func (v *verifier) compare(row stored) {
	column := int64(nobody)
	l := v.ledgerOf(row)
	if l != nil && row.id > v.run.config.Rows {
		v.seen[row.id] = l
		column = int64(l.number) + 1
	}
	var e entry
	known := false
	if l != nil {
		e, known = l.expected(row.id)
	}
	switch {
	case !known && l != nil && l.adrift[row.token] && !v.ashore[row.token] && row.whole(column):
		v.ashore[row.token] = true
	case !known:
		v.verdict.Invented++
		v.detail("invented: row %d with %q", row.id, row.token)
	case e.state == broken:
	case !row.whole(column):
		v.verdict.Lost++
		v.verdict.Invented++
		v.detail("lost and invented: row %d, acknowledged was %s, holds %+v", row.id, e, row)
	case row.token != e.token && !(e.state == doubtful && row.token == e.other):
		v.verdict.Lost++
		v.detail("lost: row %d, acknowledged was %s, holds %q", row.id, e, row.token)
	}
}

func (v *verifier) absent(id int64, e entry) {
	if e.state == broken || e.token == "" || e.state == doubtful && e.other == "" {
		return
	}
	v.verdict.Lost++
	v.detail("lost: row %d is not there, acknowledged was %s", id, e)
}

// String says what must be there, for people.
func (e entry) String() string {
	name := func(token string) string {
		if token == "" {
			return "its deletion"
		}
		return fmt.Sprintf("%q", token)
	}
	if e.state == doubtful {
		return name(e.token) + ", then perhaps " + name(e.other)
	}
	return name(e.token)
}

const detailsOfVerdict = 20

func (v *verifier) detail(format string, args ...any) {
	if len(v.verdict.Details) < detailsOfVerdict {
		v.verdict.Details = append(v.verdict.Details, fmt.Sprintf(format, args...))
	}
}

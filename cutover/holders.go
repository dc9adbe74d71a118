package cutover

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"sluice/internal/schema"
)

// holder is a session that stands between us and the table.
type holder struct {
	connection int64
	request    int64         // identifies the lock request, and so the transaction
	held       time.Duration // for how long we have seen it
	single     bool          // an autocommitted statement, not a transaction that may go on
	snapshot   bool          // it does not hold the table, but could see it as it was before the copy
}

// observer asks the server who holds the table and remembers since when.
// Metadata locks carry no time of their own.
type observer struct {
	db     *sql.DB
	table  schema.Table
	copied time.Time // when the copy was complete
	own    map[int64]bool
	seen   map[[2]int64]time.Time
}

const holdersQuery = `SELECT t.PROCESSLIST_ID, IFNULL(l.OWNER_EVENT_ID, 0), IFNULL(e.STATE = 'ACTIVE' AND e.AUTOCOMMIT = 'YES', FALSE)
	FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
	LEFT JOIN performance_schema.events_transactions_current e ON e.THREAD_ID = l.OWNER_THREAD_ID
	WHERE l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = ? AND l.OBJECT_NAME = ? AND l.LOCK_STATUS = 'GRANTED'
		AND t.PROCESSLIST_ID IS NOT NULL`

// A transaction whose snapshot is older than the copy's last row would find the
// new table half empty: to its snapshot the rows copied later do not exist.
// (The native ALTER answers such a transaction with error 1412.)
//
// information_schema.INNODB_TRX would tell as well, but it is a cache that is
// not refreshed as long as somebody reads it more often than every 100 ms.
const snapshotsQuery = `SELECT t.PROCESSLIST_ID, e.TIMER_WAIT DIV 1000000
	FROM performance_schema.events_transactions_current e JOIN performance_schema.threads t ON t.THREAD_ID = e.THREAD_ID
	WHERE e.STATE = 'ACTIVE' AND e.AUTOCOMMIT = 'NO' AND e.ISOLATION_LEVEL IN ('REPEATABLE READ', 'SERIALIZABLE')
		AND t.PROCESSLIST_ID IS NOT NULL`

// holders lists who holds the table now, ourselves left out.
func (o *observer) holders(ctx context.Context) ([]holder, error) {
	rows, err := o.db.QueryContext(ctx, holdersQuery, o.table.Schema, o.table.Name)
	if err != nil {
		return nil, fmt.Errorf("ask who holds %s: %w", o.table, err)
	}
	defer rows.Close()
	now := time.Now()
	var found []holder
	seen := map[[2]int64]time.Time{}
	for rows.Next() {
		var h holder
		if err := rows.Scan(&h.connection, &h.request, &h.single); err != nil {
			return nil, fmt.Errorf("ask who holds %s: %w", o.table, err)
		}
		if o.own[h.connection] {
			continue
		}
		id := [2]int64{h.connection, h.request}
		since, known := o.seen[id]
		if !known {
			since = now
		}
		seen[id] = since
		h.held = now.Sub(since)
		found = append(found, h)
	}
	o.seen = seen
	return found, rows.Err()
}

// snapshots lists the transactions that began before the copy was complete.
func (o *observer) snapshots(ctx context.Context) ([]holder, error) {
	rows, err := o.db.QueryContext(ctx, snapshotsQuery)
	if err != nil {
		return nil, fmt.Errorf("ask for old transactions: %w", err)
	}
	defer rows.Close()
	var found []holder
	for rows.Next() {
		h := holder{snapshot: true}
		var microseconds int64
		if err := rows.Scan(&h.connection, &microseconds); err != nil {
			return nil, fmt.Errorf("ask for old transactions: %w", err)
		}
		h.held = time.Duration(microseconds) * time.Microsecond
		if !o.own[h.connection] && h.held > time.Since(o.copied) {
			found = append(found, h)
		}
	}
	return found, rows.Err()
}

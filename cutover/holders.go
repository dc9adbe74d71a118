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
	snapshot   bool          // it does not hold the table, but could see it as it was before the copy
}

// observer asks the server who holds the table and remembers since when.
// Metadata locks carry no time of their own.
type observer struct {
	db     *sql.DB
	table  schema.Table
	copied time.Time // the server's UTC time when the last row was copied; zero: do not ask for snapshots
	own    map[int64]bool
	seen   map[[2]int64]time.Time
}

const holdersQuery = `SELECT t.PROCESSLIST_ID, IFNULL(l.OWNER_EVENT_ID, 0)
	FROM performance_schema.metadata_locks l JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
	WHERE l.OBJECT_TYPE = 'TABLE' AND l.OBJECT_SCHEMA = ? AND l.OBJECT_NAME = ? AND l.LOCK_STATUS = 'GRANTED'
		AND t.PROCESSLIST_ID IS NOT NULL`

// A transaction whose snapshot is older than the copy's last row would find the
// new table half empty: to its snapshot the rows copied later do not exist.
// (The native ALTER answers such a transaction with error 1412.) InnoDB keeps
// trx_started in the server's own time zone, in whole seconds.
const snapshotsQuery = `SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', 'SYSTEM'))
	FROM information_schema.INNODB_TRX
	WHERE trx_isolation_level IN ('REPEATABLE READ', 'SERIALIZABLE')
		AND trx_mysql_thread_id <> 0 AND CONVERT_TZ(trx_started, 'SYSTEM', '+00:00') <= ?`

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
		if err := rows.Scan(&h.connection, &h.request); err != nil {
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

// snapshots lists the transactions that could still see the table as it was
// before it was copied.
func (o *observer) snapshots(ctx context.Context) ([]holder, error) {
	if o.copied.IsZero() {
		return nil, nil
	}
	rows, err := o.db.QueryContext(ctx, snapshotsQuery, o.copied.Format(time.DateTime))
	if err != nil {
		return nil, fmt.Errorf("ask for old transactions: %w", err)
	}
	defer rows.Close()
	var found []holder
	for rows.Next() {
		h := holder{snapshot: true}
		var seconds int64
		if err := rows.Scan(&h.connection, &seconds); err != nil {
			return nil, fmt.Errorf("ask for old transactions: %w", err)
		}
		if !o.own[h.connection] {
			h.held = time.Duration(seconds) * time.Second
			found = append(found, h)
		}
	}
	return found, rows.Err()
}

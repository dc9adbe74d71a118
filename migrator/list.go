package migrator

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqlerr"
)

// Listed is a migration as the state schema shows it, of whatever process.
type Listed struct {
	ID        int64
	Table     string // schema.table
	Statement string
	Message   string // why it ended as it did
	Progress
}

// List reads the migrations that are under way or ended within a day, or all,
// the latest first.
func List(ctx context.Context, cfg *mysql.Config, all bool) ([]Listed, error) {
	s, err := newServer(cfg)
	if err != nil {
		return nil, err
	}
	defer s.db.Close()
	if err := s.db.PingContext(ctx); err != nil {
		return nil, fmt.Errorf("reach the server at %s as %s: %w", cfg.Addr, cfg.User, err)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, CONCAT(table_schema, '.', table_name), statement, IFNULL(message, ''), phase, rows_total, rows_copied, rows_verified,
			changes_applied, rows_per_second, IFNULL(seconds_left, 0), waiting_for, cutover_attempts, held_ms
		FROM sluice.migrations WHERE ? OR ended_at IS NULL OR ended_at > UTC_TIMESTAMP() - INTERVAL 1 DAY ORDER BY id DESC`, all)
	if mysqlerr.Is(err, mysqlerr.NoSuchTable, mysqlerr.NoSuchSchema) {
		return nil, nil // no Sluice has served this server yet
	}
	if err != nil {
		return nil, fmt.Errorf("read sluice.migrations: %w", err)
	}
	defer rows.Close()
	var list []Listed
	for rows.Next() {
		var l Listed
		var left int64
		var held sql.NullFloat64
		if err := rows.Scan(&l.ID, &l.Table, &l.Statement, &l.Message, &l.Phase, &l.RowsTotal, &l.RowsCopied, &l.RowsVerified,
			&l.ChangesApplied, &l.RowsPerSecond, &left, &l.WaitingFor, &l.CutoverAttempts, &held); err != nil {
			return nil, fmt.Errorf("read sluice.migrations: %w", err)
		}
		l.Left = time.Duration(left) * time.Second
		l.Held = time.Duration(held.Float64 * float64(time.Millisecond))
		list = append(list, l)
	}
	return list, rows.Err()
}

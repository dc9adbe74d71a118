package migrator

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/binlog"
	"sluice/internal/rows"
	"sluice/internal/schema"
)

// stateVersion is the version of the tables below. A newer Sluice brings older
// tables forward; an older one refuses newer tables.
const stateVersion = 1

// stateTables is the schema sluice. migrations is what people read: anyone who
// is granted SELECT on it. checkpoints is what a resume needs. transitions is
// the history.
var stateTables = []string{
	`CREATE DATABASE IF NOT EXISTS sluice DEFAULT CHARACTER SET utf8mb4`,
	`CREATE TABLE IF NOT EXISTS sluice.state_version (version INT NOT NULL PRIMARY KEY) ENGINE=InnoDB`,
	`CREATE TABLE IF NOT EXISTS sluice.migrations (
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
		table_schema VARCHAR(64) NOT NULL,
		table_name VARCHAR(64) NOT NULL,
		statement LONGTEXT NOT NULL,
		phase VARCHAR(16) NOT NULL,
		progress VARCHAR(32) NOT NULL DEFAULT '',
		rows_total BIGINT NOT NULL DEFAULT 0 COMMENT 'estimate until the copy is complete',
		rows_copied BIGINT NOT NULL DEFAULT 0,
		rows_verified BIGINT NOT NULL DEFAULT 0,
		changes_applied BIGINT NOT NULL DEFAULT 0,
		rows_per_second BIGINT NOT NULL DEFAULT 0,
		seconds_left BIGINT NULL,
		waiting_for VARCHAR(255) NOT NULL DEFAULT '',
		message TEXT NULL COMMENT 'why it ended as it did',
		cutover_attempts INT NOT NULL DEFAULT 0,
		held_ms DECIMAL(12,3) NULL COMMENT 'how long clients were held at the gate',
		connection_id BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'of the client that sent it',
		owner VARCHAR(128) NOT NULL DEFAULT '',
		run_id CHAR(32) NOT NULL DEFAULT '',
		created_at DATETIME(3) NOT NULL,
		started_at DATETIME(3) NULL,
		updated_at DATETIME(3) NOT NULL,
		ended_at DATETIME(3) NULL,
		KEY by_phase (phase),
		KEY by_table (table_schema, table_name)
	) ENGINE=InnoDB COMMENT='times are UTC'`,
	`CREATE TABLE IF NOT EXISTS sluice.checkpoints (
		migration_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
		run_id CHAR(32) NOT NULL,
		statement LONGBLOB NOT NULL,
		session JSON NOT NULL,
		source_fingerprint CHAR(64) NOT NULL DEFAULT '',
		shadow_fingerprint CHAR(64) NOT NULL DEFAULT '',
		in_place BOOL NOT NULL DEFAULT FALSE COMMENT 'the native ALTER would not have copied',
		server_time BIGINT NOT NULL DEFAULT 0 COMMENT 'the value of NOW() in the rows of this migration',
		front JSON NOT NULL,
		log_file VARCHAR(255) NOT NULL DEFAULT '',
		log_offset BIGINT UNSIGNED NOT NULL DEFAULT 0,
		rows_copied BIGINT NOT NULL DEFAULT 0,
		updated_at DATETIME(3) NOT NULL
	) ENGINE=InnoDB`,
	`CREATE TABLE IF NOT EXISTS sluice.transitions (
		id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
		migration_id BIGINT UNSIGNED NOT NULL,
		from_phase VARCHAR(16) NOT NULL,
		to_phase VARCHAR(16) NOT NULL,
		event VARCHAR(16) NOT NULL,
		reason TEXT NULL,
		run_id CHAR(32) NOT NULL,
		at DATETIME(3) NOT NULL,
		KEY by_migration (migration_id)
	) ENGINE=InnoDB`,
	fmt.Sprintf(`INSERT INTO sluice.state_version SELECT %d WHERE NOT EXISTS (SELECT * FROM sluice.state_version)`, stateVersion),
}

// errFenced says that another run has taken the migration over.
var errFenced = errors.New("migrator: another run owns this migration")

// record is what the store knows of a migration.
type record struct {
	ID         int64
	Table      schema.Table
	Statement  string // exact bytes
	Session    schema.Session
	Phase      Phase
	Connection uint32
	Message    string
}

// checkpoint is where a migration can be taken up.
type checkpoint struct {
	SourceFingerprint, ShadowFingerprint string
	InPlace                              bool
	ServerTime                           int64 // seconds since the epoch
	Front                                rows.Front
	Position                             binlog.Position
	RowsCopied                           int64
}

// store reads and writes the schema sluice.
type store struct {
	db    *sql.DB
	owner string
}

// open makes the state schema where it is missing.
func (s *store) open(ctx context.Context) error {
	for _, statement := range stateTables {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make the state schema: %w", err)
		}
	}
	var version int
	if err := s.db.QueryRowContext(ctx, "SELECT MAX(version) FROM sluice.state_version").Scan(&version); err != nil {
		return fmt.Errorf("read the version of the state schema: %w", err)
	}
	if version != stateVersion {
		return fmt.Errorf("the state schema has version %d, this Sluice knows version %d: use a newer Sluice", version, stateVersion)
	}
	return nil
}

// create records a new migration.
func (s *store) create(ctx context.Context, r *record) error {
	session, err := json.Marshal(r.Session)
	if err != nil {
		return fmt.Errorf("record the session: %w", err)
	}
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO sluice.migrations (table_schema, table_name, statement, phase, connection_id, owner, created_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, UTC_TIMESTAMP(3), UTC_TIMESTAMP(3))`,
			r.Table.Schema, r.Table.Name, strings.ToValidUTF8(r.Statement, "?"), r.Phase, r.Connection, s.owner)
		if err != nil {
			return fmt.Errorf("record the migration: %w", err)
		}
		if r.ID, err = result.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO sluice.checkpoints (migration_id, run_id, statement, session, front, updated_at)
			VALUES (?, '', ?, ?, '{}', UTC_TIMESTAMP(3))`, r.ID, []byte(r.Statement), string(session))
		if err != nil {
			return fmt.Errorf("record the statement: %w", err)
		}
		return nil
	})
}

// unfinished lists the migrations that have not come to their end, oldest first.
func (s *store) unfinished(ctx context.Context) ([]*record, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT m.id, m.table_schema, m.table_name, c.statement, c.session, m.phase, m.connection_id
		FROM sluice.migrations m JOIN sluice.checkpoints c ON c.migration_id = m.id
		WHERE m.phase NOT IN ('done', 'declined', 'failed', 'cancelled', 'unclear') ORDER BY m.id`)
	if err != nil {
		return nil, fmt.Errorf("read unfinished migrations: %w", err)
	}
	defer rows.Close()
	var all []*record
	for rows.Next() {
		r := &record{}
		var session []byte
		if err := rows.Scan(&r.ID, &r.Table.Schema, &r.Table.Name, &r.Statement, &session, &r.Phase, &r.Connection); err != nil {
			return nil, fmt.Errorf("read unfinished migrations: %w", err)
		}
		if err := json.Unmarshal(session, &r.Session); err != nil {
			return nil, fmt.Errorf("read the session of migration %d: %w", r.ID, err)
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// claim makes run the owner of the migration and returns its present phase. The
// caller holds the table's named lock.
func (s *store) claim(ctx context.Context, id int64, run string) (Phase, string, error) {
	var phase Phase
	var message sql.NullString
	err := s.inTransaction(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, "SELECT phase, message FROM sluice.migrations WHERE id = ? FOR UPDATE", id).Scan(&phase, &message); err != nil {
			return fmt.Errorf("read migration %d: %w", id, err)
		}
		if phase.Terminal() {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE sluice.migrations SET run_id = ?, owner = ?, updated_at = UTC_TIMESTAMP(3),
			started_at = IFNULL(started_at, UTC_TIMESTAMP(3)) WHERE id = ?`, run, s.owner, id); err != nil {
			return fmt.Errorf("claim migration %d: %w", id, err)
		}
		_, err := tx.ExecContext(ctx, "UPDATE sluice.checkpoints SET run_id = ? WHERE migration_id = ?", run, id)
		if err != nil {
			return fmt.Errorf("claim the checkpoint of migration %d: %w", id, err)
		}
		return nil
	})
	return phase, message.String, err
}

// transition records that the migration goes from one phase to another.
func (s *store) transition(ctx context.Context, id int64, run string, from, to Phase, e Event, reason string) error {
	return s.inTransaction(ctx, func(tx *sql.Tx) error {
		ended := "NULL"
		if to.Terminal() {
			ended = "UTC_TIMESTAMP(3)"
		}
		if err := fenced(tx.ExecContext(ctx, `UPDATE sluice.migrations SET phase = ?, message = NULLIF(?, ''), waiting_for = '', updated_at = UTC_TIMESTAMP(3), ended_at = `+ended+`
			WHERE id = ? AND run_id = ?`, to, reason, id, run)); err != nil {
			return fmt.Errorf("record that migration %d is %s: %w", id, to, err)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO sluice.transitions (migration_id, from_phase, to_phase, event, reason, run_id, at)
			VALUES (?, ?, ?, ?, NULLIF(?, ''), ?, UTC_TIMESTAMP(3))`, id, from, to, e, reason, run)
		if err != nil {
			return fmt.Errorf("record that migration %d is %s: %w", id, to, err)
		}
		return nil
	})
}

// report writes the figures that people look at.
func (s *store) report(ctx context.Context, id int64, run string, p Progress) error {
	var left sql.NullInt64
	if p.Left > 0 {
		left = sql.NullInt64{Int64: int64(p.Left / time.Second), Valid: true}
	}
	var held sql.NullFloat64
	if p.Held > 0 {
		held = sql.NullFloat64{Float64: float64(p.Held.Microseconds()) / 1000, Valid: true}
	}
	err := fenced(s.db.ExecContext(ctx, `UPDATE sluice.migrations SET progress = ?, rows_total = ?, rows_copied = ?, rows_verified = ?, changes_applied = ?,
			rows_per_second = ?, seconds_left = ?, waiting_for = ?, cutover_attempts = ?, held_ms = ?, updated_at = UTC_TIMESTAMP(3)
		WHERE id = ? AND run_id = ?`,
		p.Bar(20), p.RowsTotal, p.RowsCopied, p.RowsVerified, p.ChangesApplied,
		int64(p.RowsPerSecond), left, clip(p.WaitingFor, 255), p.CutoverAttempts, held, id, run))
	if err != nil {
		return fmt.Errorf("report the progress of migration %d: %w", id, err)
	}
	return nil
}

func clip(s string, n int) string {
	r := []rune(s)
	if len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// begin writes the first checkpoint.
func (s *store) begin(ctx context.Context, id int64, run string, c checkpoint) error {
	front, err := json.Marshal(c.Front)
	if err != nil {
		return err
	}
	err = fenced(s.db.ExecContext(ctx, `UPDATE sluice.checkpoints SET source_fingerprint = ?, shadow_fingerprint = ?, in_place = ?, server_time = ?, front = ?,
			log_file = ?, log_offset = ?, rows_copied = ?, updated_at = UTC_TIMESTAMP(3)
		WHERE migration_id = ? AND run_id = ?`,
		c.SourceFingerprint, c.ShadowFingerprint, c.InPlace, c.ServerTime, string(front), c.Position.File, c.Position.Offset, c.RowsCopied, id, run))
	if err != nil {
		return fmt.Errorf("write the first checkpoint of migration %d: %w", id, err)
	}
	return nil
}

// save moves the checkpoint on. With the connection of the copy, in the
// transaction of a chunk, rows and checkpoint are one.
func (s *store) save(ctx context.Context, c schema.Queryer, id int64, run string, front rows.Front, p binlog.Position, copied int64) error {
	encoded, err := json.Marshal(front)
	if err != nil {
		return err
	}
	err = fenced(c.ExecContext(ctx, `UPDATE sluice.checkpoints SET front = ?, log_file = ?, log_offset = ?, rows_copied = ?, updated_at = UTC_TIMESTAMP(3)
		WHERE migration_id = ? AND run_id = ?`, string(encoded), p.File, p.Offset, copied, id, run))
	if err != nil {
		return fmt.Errorf("save the checkpoint of migration %d: %w", id, err)
	}
	return nil
}

// load reads the checkpoint; ok is false where none was begun.
func (s *store) load(ctx context.Context, id int64) (c checkpoint, ok bool, err error) {
	var front []byte
	err = s.db.QueryRowContext(ctx, `SELECT source_fingerprint, shadow_fingerprint, in_place, server_time, front, log_file, log_offset, rows_copied
		FROM sluice.checkpoints WHERE migration_id = ?`, id).
		Scan(&c.SourceFingerprint, &c.ShadowFingerprint, &c.InPlace, &c.ServerTime, &front, &c.Position.File, &c.Position.Offset, &c.RowsCopied)
	if err != nil {
		return c, false, fmt.Errorf("read the checkpoint of migration %d: %w", id, err)
	}
	if err := json.Unmarshal(front, &c.Front); err != nil {
		return c, false, fmt.Errorf("read the checkpoint of migration %d: %w", id, err)
	}
	return c, c.SourceFingerprint != "", nil
}

// fenced makes an error of an update that found no row of this run. The
// connections are opened with clientFoundRows, so an update that changes
// nothing counts its row.
func fenced(result sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err == nil && n == 0 {
		return errFenced
	}
	return err
}

func (s *store) inTransaction(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

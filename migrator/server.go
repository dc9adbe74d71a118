package migrator

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/binlog"
	"sluice/internal/mysqlerr"
)

// server opens connections with Sluice's own account.
type server struct {
	cfg *mysql.Config
	db  *sql.DB // for short statements
}

func newServer(cfg *mysql.Config) (*server, error) {
	cfg = cfg.Clone()
	cfg.DBName = ""
	cfg.ClientFoundRows = true // see fenced
	cfg.InterpolateParams = true
	cfg.ParseTime = false
	cfg.Params = map[string]string{
		// Our own statements must mean the same whatever the server's
		// defaults are.
		"sql_mode":              "'NO_AUTO_VALUE_ON_ZERO,STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'",
		"time_zone":             "'+00:00'",
		"transaction_isolation": "'READ-COMMITTED'",
		"sql_quote_show_create": "1",
		"lock_wait_timeout":     "10",
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxIdleConns(4)
	return &server{cfg: cfg, db: db}, nil
}

// session is a connection of its own, not shared and never reused: what it was
// set to goes with it.
type session struct {
	*sql.Conn
	pool *sql.DB
	id   int64
}

// session opens a connection and executes the settings on it.
func (s *server) session(ctx context.Context, settings ...string) (*session, error) {
	connector, err := mysql.NewConnector(s.cfg)
	if err != nil {
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	pool := sql.OpenDB(connector)
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the server: %w", err), pool.Close())
	}
	c := &session{Conn: conn, pool: pool}
	for _, statement := range settings {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", statement, err), c.Close())
		}
	}
	if err := c.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&c.id); err != nil {
		return nil, errors.Join(fmt.Errorf("ask for the connection id: %w", err), c.Close())
	}
	return c, nil
}

// Close ends the session on the server.
func (c *session) Close() error {
	err := c.Conn.Close()
	if errors.Is(err, sql.ErrConnDone) {
		err = nil
	}
	return errors.Join(err, c.pool.Close())
}

// logEnd asks for the present end of the binary log.
func (s *server) logEnd(ctx context.Context) (binlog.Position, error) {
	p, err := logStatus(ctx, s.db, "SHOW BINARY LOG STATUS") // since 8.2
	if mysqlerr.Is(err, mysqlerr.Syntax) {
		p, err = logStatus(ctx, s.db, "SHOW MASTER STATUS") // until 8.3
	}
	if errors.Is(err, sql.ErrNoRows) {
		return p, errors.New("the server writes no binary log (log_bin = OFF)")
	}
	return p, err
}

func logStatus(ctx context.Context, db *sql.DB, statement string) (binlog.Position, error) {
	var p binlog.Position
	var doDB, ignoreDB, gtids sql.NullString
	err := db.QueryRowContext(ctx, statement).Scan(&p.File, &p.Offset, &doDB, &ignoreDB, &gtids)
	return p, err
}

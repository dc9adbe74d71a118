// Package schema knows names and definitions: tables, columns, keys, how they
// are quoted, what a session's settings were, and where shadow tables live.
//
// Facts about a table are read from the server's information_schema and from
// SHOW CREATE TABLE, never from the text of a statement: the server is the one
// that decides what a definition means. The values of this package are plain
// data, safe to copy and to share once loaded.
package schema

import (
	"context"
	"database/sql"
)

// Queryer is what this package needs of a connection: *sql.DB, *sql.Conn and
// *sql.Tx have it.
type Queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

package load

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/go-sql-driver/mysql"
)

// session is one connection of a client.
type session struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt // nil: statements are sent as text
}

func connect(ctx context.Context, db *sql.DB, prepare bool) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn}
	if prepare {
		s.prepared = map[string]*sql.Stmt{}
	}
	return s, nil
}

func (s *session) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s.prepared == nil || len(args) == 0 {
		return s.conn.ExecContext(ctx, query, args...)
	}
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

// read reads one row; found is false if there is none.
func (s *session) read(ctx context.Context, query string, id int64) (row stored, found bool, err error) {
	if s.prepared == nil {
		err = s.conn.QueryRowContext(ctx, query, id).Scan(row.into()...)
	} else {
		var stmt *sql.Stmt
		if stmt, err = s.prepare(ctx, query); err == nil {
			err = stmt.QueryRowContext(ctx, id).Scan(row.into()...)
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	return row, err == nil, err
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err != nil {
		return nil, errors.Join(errNotExecuted, err)
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// errNotExecuted marks an error before the statement was sent.
var errNotExecuted = errors.New("load: not executed")

// close ends the connection; it is never used again.
func (s *session) close() {
	for _, stmt := range s.prepared {
		stmt.Close()
	}
	// The pool drops a connection that is said to be bad.
	s.conn.Raw(func(any) error { return driver.ErrBadConn })
	s.conn.Close()
}

// answered reports whether an error says that the statement was not carried out.
// Otherwise nobody knows whether it was.
func answered(err error) bool {
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, errNotExecuted) {
		return true // it was not even sent
	}
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && !ambiguous[refused.Number]
}

// ambiguous are the errors that a server, or a proxy before it, can send for a
// statement that it has carried out, or will.
var ambiguous = map[uint16]bool{
	1053: true, // ER_SERVER_SHUTDOWN
	1105: true, // ER_UNKNOWN_ERROR, all that Sluice says itself
}

// connectionLost reports whether the connection is of no use any more.
func connectionLost(err error) bool {
	var refused *mysql.MySQLError
	return !errors.As(err, &refused)
}

package migrator

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-sql-driver/mysql"

	"sluice/cutover"
	"sluice/internal/mysqlerr"
)

var (
	// ErrCancelled ends a migration that nobody wants any more.
	ErrCancelled = errors.New("migrator: cancelled")
	// ErrStopped ends a run because the process stops. The migration goes on
	// with the next one.
	ErrStopped = errors.New("migrator: stopped, to be taken up again")
)

// interrupted is what a client is told whose ALTER was cancelled.
var interrupted = &mysql.MySQLError{Number: mysqlerr.QueryInterrupted, SQLState: [5]byte([]byte("70100")), Message: "Query execution was interrupted"}

// declined says that the migration is left to the server, and why.
type declined struct{ reason string }

func (d *declined) Error() string { return "left to the server: " + d.reason }

func decline(format string, args ...any) error {
	return &declined{fmt.Sprintf(format, args...)}
}

// permanent wraps an error that another attempt would only meet again.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// needsWork reports whether the server says of an ALGORITHM=INSTANT that the
// account may do it, and that it takes more than metadata.
func needsWork(err error) bool {
	return mysqlerr.Is(err, mysqlerr.NotSupported, mysqlerr.NotSupportedBecause, mysqlerr.InstantLimit)
}

// isPassing reports whether another attempt, from the last checkpoint, may
// succeed: the connection was lost, or the server answered that it is busy. An
// answer about the statement itself does not pass, nor does an error of ours.
func isPassing(err error) bool {
	var p permanent
	if errors.As(err, &p) {
		return false
	}
	switch mysqlerr.Number(err) {
	case mysqlerr.TooManyConnections, mysqlerr.ServerShutdown, mysqlerr.LockWaitTimeout, mysqlerr.Deadlock,
		mysqlerr.QueryInterrupted, mysqlerr.QueryTimeout, mysqlerr.RowLocked:
		return true
	case 0:
		var network net.Error
		return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, mysql.ErrInvalidConn) ||
			errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
			errors.Is(err, cutover.ErrUnclear)
	}
	return false
}

// Package mysqlerr names the server's error numbers that Sluice decides by, and
// answers which one an error is. They live here only; the source is the
// Server Error Message Reference of the MySQL manual.
package mysqlerr

import (
	"errors"
	"slices"

	"github.com/go-sql-driver/mysql"
)

const (
	TooManyConnections  = 1040 // ER_CON_COUNT_ERROR
	NoSuchSchema        = 1049 // ER_BAD_DB_ERROR
	ServerShutdown      = 1053 // ER_SERVER_SHUTDOWN
	Duplicate           = 1062 // ER_DUP_ENTRY
	Syntax              = 1064 // ER_PARSE_ERROR
	NoSuchTable         = 1146 // ER_NO_SUCH_TABLE
	UnknownVariable     = 1193 // ER_UNKNOWN_SYSTEM_VARIABLE
	LockWaitTimeout     = 1205 // ER_LOCK_WAIT_TIMEOUT
	Deadlock            = 1213 // ER_LOCK_DEADLOCK
	QueryInterrupted    = 1317 // ER_QUERY_INTERRUPTED
	DuplicateWithKey    = 1586 // ER_DUP_ENTRY_WITH_KEY_NAME
	NotSupported        = 1845 // ER_ALTER_OPERATION_NOT_SUPPORTED: by this ALGORITHM
	NotSupportedBecause = 1846 // ER_ALTER_OPERATION_NOT_SUPPORTED_REASON
	QueryTimeout        = 3024 // ER_QUERY_TIMEOUT
	RowLocked           = 3572 // ER_LOCK_NOWAIT
	InstantLimit        = 4092 // ER_INNODB_MAX_ROW_VERSION: so many instant changes that the table must be rebuilt
)

// Number is the server's number of err, or 0 where err is no answer of the
// server.
func Number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// Is reports whether err is the server's answer with one of the numbers.
func Is(err error, numbers ...uint16) bool {
	n := Number(err)
	return n != 0 && slices.Contains(numbers, n)
}

package rows

import (
	"errors"

	"github.com/go-sql-driver/mysql"
)

// MySQL's error numbers that the copy asks about (Server Error Message
// Reference).
const (
	errLockNoWait   = 3572 // ER_LOCK_NOWAIT
	errLockTimeout  = 1205 // ER_LOCK_WAIT_TIMEOUT
	errDeadlock     = 1213 // ER_LOCK_DEADLOCK
	errDuplicate    = 1062 // ER_DUP_ENTRY
	errDuplicateKey = 1586 // ER_DUP_ENTRY_WITH_KEY_NAME
)

// IsLocked reports whether a row is locked by somebody else: try again later.
func IsLocked(err error) bool { return is(err, errLockNoWait, errLockTimeout, errDeadlock) }

// IsDuplicate reports whether a unique key of the shadow refused a row. While
// rows change it can pass by itself: the other row may have given the value up
// since.
func IsDuplicate(err error) bool { return is(err, errDuplicate, errDuplicateKey) }

func is(err error, numbers ...uint16) bool {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return false
	}
	for _, n := range numbers {
		if e.Number == n {
			return true
		}
	}
	return false
}

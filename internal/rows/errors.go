package rows

import "sluice/internal/mysqlerr"

// IsLocked reports whether a row is locked by somebody else: try again later.
func IsLocked(err error) bool {
	return mysqlerr.Is(err, mysqlerr.RowLocked, mysqlerr.LockWaitTimeout, mysqlerr.Deadlock)
}

// IsDuplicate reports whether a unique key of the shadow refused a row. While
// rows change it can pass by itself: the other row may have given the value up
// since.
func IsDuplicate(err error) bool {
	return mysqlerr.Is(err, mysqlerr.Duplicate, mysqlerr.DuplicateWithKey)
}

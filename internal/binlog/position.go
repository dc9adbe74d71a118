package binlog

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in the server's binary log: the end of a transaction,
// in the positions that this package hands out.
type Position struct {
	File   string `json:"file"`
	Offset uint64 `json:"offset"` // bytes from the start of File
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Offset) }

// IsZero reports whether p names no place.
func (p Position) IsZero() bool { return p == Position{} }

// Compare orders positions of one server. File numbers are compared as
// numbers: binlog.1000000 comes after binlog.999999.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(fileNumber(p.File), fileNumber(q.File)), cmp.Compare(p.Offset, q.Offset))
}

func fileNumber(file string) uint64 {
	n, err := strconv.ParseUint(file[strings.LastIndexByte(file, '.')+1:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

package wire

import (
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// AppendResult appends the packets that tell a client r, as the answer to a
// COM_QUERY, and returns the sequence number that follows. caps is what client
// and server agreed on, seq is 1 right after a command.
func AppendResult(dst []byte, seq byte, caps uint32, r Result) ([]byte, byte) {
	if r.Columns == nil {
		return AppendPacket(dst, seq, appendOK(nil, mysql.OK_HEADER, caps, r))
	}
	var payload []byte
	packet := func(p []byte) {
		dst, seq = AppendPacket(dst, seq, p)
		payload = p[:0]
	}
	packet(appendColumnCount(payload, caps, len(r.Columns)))
	for _, name := range r.Columns {
		packet(appendColumn(payload, name))
	}
	if caps&mysql.CLIENT_DEPRECATE_EOF == 0 {
		packet(appendEOF(payload, caps, r))
	}
	for _, row := range r.Rows {
		packet(appendRow(payload, row))
	}
	if caps&mysql.CLIENT_DEPRECATE_EOF == 0 {
		packet(appendEOF(payload, caps, r))
	} else {
		packet(appendOK(payload, mysql.EOF_HEADER, caps, Result{Status: r.Status, Warnings: r.Warnings}))
	}
	return dst, seq
}

// appendColumnCount appends the first packet of a result. Servers put the flag
// that says whether definitions follow behind the count, not before it as the
// manual has it.
func appendColumnCount(dst []byte, caps uint32, n int) []byte {
	dst = appendLenencInt(dst, uint64(n))
	if caps&mysql.CLIENT_OPTIONAL_RESULTSET_METADATA != 0 {
		dst = append(dst, definitionsFollow)
	}
	return dst
}

const definitionsFollow = 1

// columnWidth is the display width that our columns claim, in bytes: what a
// utf8mb4 VARCHAR(16383) has.
const columnWidth = 16383 * 4

// appendColumn appends the definition of a nullable utf8mb4 text column of no table.
func appendColumn(dst []byte, name string) []byte {
	dst = appendLenencString(dst, "def")
	dst = append(dst, 0, 0, 0) // schema, table, original table
	dst = appendLenencString(dst, name)
	dst = append(dst, 0)      // original name
	dst = append(dst, 0x0c)   // length of what follows
	dst = append(dst, 255, 0) // utf8mb4_0900_ai_ci
	dst = binary.LittleEndian.AppendUint32(dst, columnWidth)
	dst = append(dst, mysql.MYSQL_TYPE_VAR_STRING)
	return append(dst, 0, 0, 31, 0, 0) // flags, decimals (not fixed), filler
}

func appendRow(dst []byte, row []*string) []byte {
	for _, v := range row {
		if v == nil {
			dst = append(dst, 0xfb)
		} else {
			dst = appendLenencString(dst, *v)
		}
	}
	return dst
}

// ParseResult reads the packets that answered a COM_QUERY. An ERR packet comes
// back as a *ServerError. Of several results the last one is returned.
func ParseResult(packets []byte, caps uint32) (r Result, err error) {
	for more := true; more; more = r.Status&mysql.SERVER_MORE_RESULTS_EXISTS != 0 {
		if r, packets, err = parseOne(packets, caps); err != nil {
			return Result{}, err
		}
	}
	return r, nil
}

func parseOne(packets []byte, caps uint32) (Result, []byte, error) {
	payload, rest, err := Payload(packets)
	if err != nil {
		return Result{}, nil, err
	}
	switch {
	case isError(payload):
		return Result{}, nil, serverError(payload)
	case len(payload) == 0:
		return Result{}, nil, malformed("empty answer")
	case payload[0] == mysql.OK_HEADER:
		r, err := ParseOK(payload, caps)
		return r, rest, err
	}
	n, flag, ok := lenencInt(payload)
	if !ok || n > uint64(len(rest)) {
		return Result{}, nil, malformed("column count")
	}
	r := Result{Columns: make([]string, n)}
	defined := r.Columns
	if caps&mysql.CLIENT_OPTIONAL_RESULTSET_METADATA != 0 && flag < len(payload) && payload[flag] != definitionsFollow {
		defined = nil // the columns have no names
	}
	for i := range defined {
		if payload, rest, err = Payload(rest); err != nil {
			return Result{}, nil, err
		}
		if isError(payload) {
			return Result{}, nil, serverError(payload)
		}
		if r.Columns[i], err = columnName(payload); err != nil {
			return Result{}, nil, err
		}
	}
	if caps&mysql.CLIENT_DEPRECATE_EOF == 0 {
		if _, rest, err = Payload(rest); err != nil {
			return Result{}, nil, err
		}
	}
	rest, err = r.parseRows(rest, caps)
	return r, rest, err
}

func (r *Result) parseRows(packets []byte, caps uint32) (rest []byte, err error) {
	for {
		payload, rest, err := Payload(packets)
		switch {
		case err != nil:
			return nil, err
		case isError(payload):
			return nil, serverError(payload)
		case len(payload) > 0 && payload[0] == mysql.EOF_HEADER && isEnd(len(payload), caps):
			if caps&mysql.CLIENT_DEPRECATE_EOF == 0 {
				r.Warnings, r.Status, err = ParseEOF(payload)
				return rest, err
			}
			end, err := ParseOK(payload, caps)
			r.Warnings, r.Status = end.Warnings, end.Status
			return rest, err
		}
		row, err := parseRow(payload, len(r.Columns))
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, row)
		packets = rest
	}
}

// isEnd reports whether a packet of length n that begins with 0xfe ends rows:
// a row may begin with 0xfe too, but then it is longer.
func isEnd(n int, caps uint32) bool {
	if caps&mysql.CLIENT_DEPRECATE_EOF != 0 {
		return n < MaxPayload
	}
	return n < 9
}

func isError(payload []byte) bool { return len(payload) > 0 && payload[0] == mysql.ERR_HEADER }

func serverError(payload []byte) error {
	e, err := ParseError(payload)
	if err != nil {
		return err
	}
	return e
}

func columnName(payload []byte) (string, error) {
	for range 4 { // catalog, schema, table, original table
		_, n, ok := lenencBytes(payload)
		if !ok {
			return "", malformed("column definition")
		}
		payload = payload[n:]
	}
	name, _, ok := lenencBytes(payload)
	if !ok {
		return "", malformed("column definition")
	}
	return string(name), nil
}

func parseRow(payload []byte, columns int) ([]*string, error) {
	row := make([]*string, columns)
	for i := range row {
		if len(payload) > 0 && payload[0] == 0xfb {
			payload = payload[1:]
			continue
		}
		v, n, ok := lenencBytes(payload)
		if !ok {
			return nil, malformed("row")
		}
		s := string(v)
		row[i], payload = &s, payload[n:]
	}
	return row, nil
}

package wire

import "github.com/go-mysql-org/go-mysql/mysql"

// QueryText returns the SQL text in the payload of a COM_QUERY, which under
// CLIENT_QUERY_ATTRIBUTES stands behind the attributes. The payload may be cut
// short at its end; the text is then, too. ok is false if the text does not
// begin within it.
func QueryText(payload []byte, caps uint32) (text []byte, ok bool) {
	if len(payload) == 0 {
		return nil, false
	}
	p := payload[1:]
	if caps&mysql.CLIENT_QUERY_ATTRIBUTES == 0 {
		return p, true
	}
	count, n, ok := lenencInt(p)
	if !ok {
		return nil, false
	}
	p = p[n:]
	if _, n, ok = lenencInt(p); !ok { // number of parameter sets, always 1
		return nil, false
	}
	p = p[n:]
	if count == 0 {
		return p, true
	}
	return skipAttributes(p, count)
}

// skipAttributes passes over count query attributes: NULL bitmap, a byte that
// says that types follow, each one's type and name, then the values.
func skipAttributes(p []byte, count uint64) ([]byte, bool) {
	if count > uint64(len(p)) {
		return nil, false // each takes at least three bytes
	}
	nulls := p
	bitmap := int(count+7) / 8
	if len(p) <= bitmap || p[bitmap] != 1 {
		return nil, false
	}
	p = p[bitmap+1:]
	types := make([]byte, count)
	for i := range types {
		if len(p) < 2 {
			return nil, false
		}
		types[i] = p[0]
		_, n, ok := lenencBytes(p[2:])
		if !ok {
			return nil, false
		}
		p = p[2+n:]
	}
	for i, t := range types {
		if nulls[i/8]&(1<<(i%8)) != 0 {
			continue
		}
		n, ok := valueLen(p, t)
		if !ok {
			return nil, false
		}
		p = p[n:]
	}
	return p, true
}

// valueLen returns the length of a value of type t in the binary protocol.
func valueLen(p []byte, t byte) (n int, ok bool) {
	switch t {
	case mysql.MYSQL_TYPE_NULL:
		return 0, true
	case mysql.MYSQL_TYPE_TINY:
		n = 1
	case mysql.MYSQL_TYPE_SHORT, mysql.MYSQL_TYPE_YEAR:
		n = 2
	case mysql.MYSQL_TYPE_LONG, mysql.MYSQL_TYPE_INT24, mysql.MYSQL_TYPE_FLOAT:
		n = 4
	case mysql.MYSQL_TYPE_LONGLONG, mysql.MYSQL_TYPE_DOUBLE:
		n = 8
	case mysql.MYSQL_TYPE_DATE, mysql.MYSQL_TYPE_DATETIME, mysql.MYSQL_TYPE_TIMESTAMP, mysql.MYSQL_TYPE_TIME:
		if len(p) == 0 {
			return 0, false
		}
		n = 1 + int(p[0])
	default:
		_, n, ok = lenencBytes(p)
		return n, ok
	}
	return n, n <= len(p)
}

// AppendQuery appends the packets of a COM_QUERY without attributes.
func AppendQuery(dst []byte, caps uint32, sql string) []byte {
	payload := append(make([]byte, 0, len(sql)+3), mysql.COM_QUERY)
	if caps&mysql.CLIENT_QUERY_ATTRIBUTES != 0 {
		payload = append(payload, 0, 1)
	}
	dst, _ = AppendPacket(dst, 0, append(payload, sql...))
	return dst
}

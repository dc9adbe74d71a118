package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// ParseOK reads the payload of an OK packet: also the one that ends rows under
// CLIENT_DEPRECATE_EOF and begins with 0xfe. What the server says about the
// session's state is passed over.
func ParseOK(payload []byte, caps uint32) (Result, error) {
	var r Result
	if len(payload) == 0 || (payload[0] != mysql.OK_HEADER && payload[0] != mysql.EOF_HEADER) {
		return r, malformed("OK packet")
	}
	p := payload[1:]
	for _, v := range []*uint64{&r.AffectedRows, &r.LastInsertID} {
		value, n, ok := lenencInt(p)
		if !ok {
			return r, malformed("OK packet: counts")
		}
		*v, p = value, p[n:]
	}
	if caps&mysql.CLIENT_PROTOCOL_41 == 0 {
		r.Info = string(p)
		return r, nil
	}
	if len(p) < 4 {
		return r, malformed("OK packet: status")
	}
	r.Status = binary.LittleEndian.Uint16(p)
	r.Warnings = binary.LittleEndian.Uint16(p[2:])
	if p = p[4:]; len(p) == 0 {
		return r, nil
	}
	// The manual calls this the rest of the packet where the client does not
	// track session state; servers send a length in both cases.
	info, _, ok := lenencBytes(p)
	if !ok {
		return r, malformed("OK packet: info")
	}
	r.Info = string(info)
	return r, nil
}

// appendOK appends the payload of an OK packet with the given first byte.
func appendOK(dst []byte, header byte, caps uint32, r Result) []byte {
	dst = append(dst, header)
	dst = appendLenencInt(dst, r.AffectedRows)
	dst = appendLenencInt(dst, r.LastInsertID)
	if caps&mysql.CLIENT_PROTOCOL_41 == 0 {
		return append(dst, r.Info...)
	}
	dst = binary.LittleEndian.AppendUint16(dst, r.Status)
	dst = binary.LittleEndian.AppendUint16(dst, r.Warnings)
	if r.Info != "" {
		dst = appendLenencString(dst, r.Info)
	}
	return dst
}

// appendEOF appends the payload of an EOF packet.
func appendEOF(dst []byte, caps uint32, r Result) []byte {
	dst = append(dst, mysql.EOF_HEADER)
	if caps&mysql.CLIENT_PROTOCOL_41 == 0 {
		return dst
	}
	dst = binary.LittleEndian.AppendUint16(dst, r.Warnings)
	return binary.LittleEndian.AppendUint16(dst, r.Status)
}

// ParseEOF reads the payload of an EOF packet.
func ParseEOF(payload []byte) (warnings, status uint16, err error) {
	if len(payload) < 5 || payload[0] != mysql.EOF_HEADER {
		return 0, 0, malformed("EOF packet")
	}
	return binary.LittleEndian.Uint16(payload[1:]), binary.LittleEndian.Uint16(payload[3:]), nil
}

// ServerError is what an ERR packet says. State is empty in an ERR packet that
// comes in the place of a greeting.
type ServerError struct {
	Number  uint16
	State   string // SQLSTATE, five characters
	Message string
}

// Error words the error as MySQL's own clients do.
func (e *ServerError) Error() string {
	if e.State == "" {
		return fmt.Sprintf("Error %d: %s", e.Number, e.Message)
	}
	return fmt.Sprintf("Error %d (%s): %s", e.Number, e.State, e.Message)
}

// ParseError reads the payload of an ERR packet.
func ParseError(payload []byte) (*ServerError, error) {
	if len(payload) < 3 || payload[0] != mysql.ERR_HEADER {
		return nil, malformed("ERR packet")
	}
	e := &ServerError{Number: binary.LittleEndian.Uint16(payload[1:])}
	p := payload[3:]
	if len(p) >= 6 && p[0] == '#' {
		e.State = string(p[1:6])
		p = p[6:]
	}
	e.Message = string(p)
	return e, nil
}

// AppendError appends the payload of an ERR packet. The SQLSTATE is left out
// where e has none or the client speaks a protocol before 4.1.
func AppendError(dst []byte, caps uint32, e *ServerError) []byte {
	dst = append(dst, mysql.ERR_HEADER)
	dst = binary.LittleEndian.AppendUint16(dst, e.Number)
	if len(e.State) == 5 && caps&mysql.CLIENT_PROTOCOL_41 != 0 {
		dst = append(append(dst, '#'), e.State...)
	}
	return append(dst, e.Message...)
}

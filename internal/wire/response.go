package wire

import (
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// Event is what Response found in the bytes that it was fed.
type Event uint8

// The events.
const (
	// More asks for more bytes: the answer goes on.
	More Event = iota
	// Done says that the answer is complete.
	Done
	// Upload says that the server waits for a file of the client's (LOAD DATA
	// LOCAL): packets up to an empty one, after which the answer goes on.
	Upload
	// Challenge says that the server may wait for a proof of the client's
	// within an authentication dialogue, after which the answer goes on.
	Challenge
)

// headLen is how much of a payload is ever looked at: the fields of an OK
// packet up to its status.
const headLen = 1 + 9 + 9 + 2

// state is where in an answer the next packet stands.
type state uint8

const (
	idle    state = iota
	first         // the first packet of a result
	columns       // column definitions, to be ended by an EOF packet
	rows          // rows, or column definitions that no EOF packet ends
	prepared
	definitions // r.left packets of column definitions
	single
	login
)

// Response follows the answer of a server to one command through a stream of
// bytes that may be cut anywhere. It keeps no more than the head of a packet.
//
//	r.Begin(cmd)
//	for { n, event := r.Feed(bytes) … } // until Done
//
// The zero value is not ready for use: see NewResponse.
type Response struct {
	caps  uint32
	state state

	skip      int   // bytes of the current packet's payload still to pass
	continued bool  // the current packet is the continuation of another
	full      bool  // the current packet will be continued
	event     Event // what is to be reported at the end of the current packet

	head [HeaderLen + headLen]byte // of a packet whose head was cut by the end of a chunk
	have int                       // bytes in head

	left   int // packets still to come in state definitions
	status uint16
	failed bool
	stmtID uint32
}

// NewResponse returns a Response for a session whose client and server agreed on caps.
func NewResponse(caps uint32) Response { return Response{caps: caps} }

// Begin prepares for the answer to the command cmd, whose shape is neither
// Opaque nor Silent.
func (r *Response) Begin(cmd byte) {
	switch ShapeOf(cmd) {
	case Rows:
		r.state = rows
	case Prepared:
		r.state = prepared
	case Single:
		r.state = single
	case LoginDialogue:
		r.state = login
	default:
		r.state = first
	}
	r.failed = false
	r.left = 0
}

// Status returns the flags of the last packet that carried any.
func (r *Response) Status() uint16 { return r.status }

// SetStatus sets the flags that Status returns until a packet carries new ones.
func (r *Response) SetStatus(status uint16) { r.status = status }

// Failed reports whether the answer ended in an ERR packet.
func (r *Response) Failed() bool { return r.failed }

// StatementID returns the id in the last answer to a COM_STMT_PREPARE.
func (r *Response) StatementID() uint32 { return r.stmtID }

// Feed takes the next bytes of the server and returns how many of them belong
// to the answer up to and including the packet that event is about. With the
// event More, n is len(p).
func (r *Response) Feed(p []byte) (n int, event Event) {
	for n < len(p) {
		if r.skip == 0 {
			used, ok := r.feedHead(p[n:])
			n += used
			if !ok {
				return n, More
			}
		}
		k := min(r.skip, len(p)-n)
		r.skip -= k
		n += k
		if r.skip > 0 {
			return n, More
		}
		if r.continued = r.full; r.full {
			continue
		}
		if event, r.event = r.event, More; event != More {
			return n, event
		}
	}
	return n, More
}

// feedHead takes the head of a packet from p, if need be across several calls.
// ok is false while bytes are missing; r.skip is set once it is true.
func (r *Response) feedHead(p []byte) (n int, ok bool) {
	if r.have == 0 && len(p) >= HeaderLen {
		length := PayloadLen(p)
		if want := HeaderLen + min(length, headLen); len(p) >= want {
			r.packet(p[HeaderLen:want], length)
			r.skip = length - (want - HeaderLen)
			return want, true
		}
	}
	for {
		want := HeaderLen
		if r.have >= HeaderLen {
			want += min(PayloadLen(r.head[:]), headLen)
		}
		k := copy(r.head[r.have:want], p[n:])
		r.have += k
		n += k
		switch {
		case r.have < want:
			return n, false
		case want == HeaderLen && PayloadLen(r.head[:]) > 0:
			continue
		}
		length := PayloadLen(r.head[:])
		r.packet(r.head[HeaderLen:want], length)
		r.skip = length - (want - HeaderLen)
		r.have = 0
		return n, true
	}
}

// packet takes the head of a packet into account. head is the whole payload or
// its first headLen bytes.
func (r *Response) packet(head []byte, length int) {
	r.full = length == MaxPayload
	if r.continued {
		return // may begin with anything
	}
	r.event = r.next(head, length)
	if r.event == Done {
		r.state = idle
	}
}

// next is the state machine: it judges the packet that begins with head and
// moves to the state that the following packet stands in.
func (r *Response) next(head []byte, length int) Event {
	var kind byte
	if length > 0 {
		kind = head[0]
	}
	if length > 0 && kind == mysql.ERR_HEADER && r.state != single {
		r.failed = true
		r.status &^= mysql.SERVER_MORE_RESULTS_EXISTS // of the answer that it cuts short
		return Done
	}
	switch r.state {
	case first:
		return r.firstPacket(head, length, kind)
	case columns:
		if kind == mysql.EOF_HEADER && length < 9 {
			r.readEOF(head)
			if r.status&mysql.SERVER_STATUS_CURSOR_EXISTS != 0 {
				return r.resultEnd()
			}
			r.state = rows
		}
		return More
	case rows:
		if length == 0 || kind != mysql.EOF_HEADER || !isEnd(length, r.caps) {
			return More
		}
		r.readEnd(head, length)
		return r.resultEnd()
	case prepared:
		return r.preparedPacket(head, length)
	case definitions:
		if r.left--; r.left > 0 {
			return More
		}
		return Done
	case login:
		if length > 0 && kind == mysql.OK_HEADER {
			r.readOK(head)
			return Done
		}
		return Challenge
	default: // single; or idle, which is not fed
		return Done
	}
}

func (r *Response) firstPacket(head []byte, length int, kind byte) Event {
	switch {
	case length == 0:
		return Done // of no meaning; what follows would be a guess
	case kind == mysql.OK_HEADER:
		r.readOK(head)
		return r.resultEnd()
	case kind == mysql.EOF_HEADER:
		r.readEnd(head, length)
		return r.resultEnd()
	case kind == mysql.LocalInFile_HEADER:
		return Upload // the state stays: OK or ERR comes next
	case r.caps&mysql.CLIENT_DEPRECATE_EOF != 0:
		r.state = rows
	default:
		r.state = columns
	}
	return More
}

func (r *Response) resultEnd() Event {
	if r.status&mysql.SERVER_MORE_RESULTS_EXISTS == 0 {
		return Done
	}
	r.state = first
	return More
}

// preparedPacket reads COM_STMT_PREPARE's OK: 0, statement id, number of
// columns, number of parameters, filler, warnings and, if negotiated, whether
// definitions follow.
func (r *Response) preparedPacket(head []byte, length int) Event {
	if len(head) < 9 {
		return Done
	}
	r.stmtID = binary.LittleEndian.Uint32(head[1:])
	if r.caps&mysql.CLIENT_OPTIONAL_RESULTSET_METADATA != 0 && length >= 13 && head[12] == 0 {
		return Done
	}
	for _, n := range []uint16{binary.LittleEndian.Uint16(head[5:]), binary.LittleEndian.Uint16(head[7:])} {
		r.left += int(n)
		if n > 0 && r.caps&mysql.CLIENT_DEPRECATE_EOF == 0 {
			r.left++
		}
	}
	if r.left == 0 {
		return Done
	}
	r.state = definitions
	return More
}

// readOK takes the status out of an OK packet.
func (r *Response) readOK(head []byte) {
	at := 1
	for range 2 {
		_, n, ok := lenencInt(head[at:])
		if !ok {
			return
		}
		at += n
	}
	if len(head) >= at+2 {
		r.status = binary.LittleEndian.Uint16(head[at:])
	}
}

func (r *Response) readEOF(head []byte) {
	if len(head) >= 5 {
		r.status = binary.LittleEndian.Uint16(head[3:])
	}
}

// readEnd takes the status out of a packet that begins with 0xfe: an OK packet
// in new clothes or an EOF packet.
func (r *Response) readEnd(head []byte, length int) {
	if length >= 7 && r.caps&mysql.CLIENT_DEPRECATE_EOF != 0 {
		r.readOK(head)
	} else {
		r.readEOF(head)
	}
}

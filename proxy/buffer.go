package proxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"sluice/internal/wire"
)

// bufferSize is how much of a handshake is read at once.
const bufferSize = 16 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// leg is one connection of a session that is logging in, with the bytes that
// were read from it and not yet dealt with.
type leg struct {
	net.Conn   // carrier, or TLS above it
	carrier    *carrier
	pooled     *[bufferSize]byte
	buf        []byte
	start, end int // buf[start:end] is not yet dealt with
}

func newLeg(conn net.Conn) leg {
	pooled := buffers.Get().(*[bufferSize]byte)
	c := &carrier{Conn: conn}
	return leg{Conn: c, carrier: c, pooled: pooled, buf: pooled[:]}
}

// free forgets the connection and gives the buffer back.
func (l *leg) free() {
	if l.pooled != nil {
		buffers.Put(l.pooled)
	}
	*l = leg{}
}

func (l *leg) bytes() []byte { return l.buf[l.start:l.end] }
func (l *leg) len() int      { return l.end - l.start }
func (l *leg) skip(n int)    { l.start += n }

// fill reads more bytes behind those that are there; the buffer is not full.
// Slices of the buffer are invalid afterwards. A deadline that passes is no
// error here but how a reader is woken up: fill returns 0 bytes.
func (l *leg) fill() (int, error) {
	if l.start > 0 {
		l.end = copy(l.buf, l.buf[l.start:l.end])
		l.start = 0
	}
	n, err := l.Read(l.buf[l.end:])
	l.end += n
	if n > 0 {
		return n, nil // an error comes back at the next read
	}
	return 0, err
}

// maxHandshakePacket bounds a packet of the handshake: the peer has not proven
// who it is.
const maxHandshakePacket = 1 << 20

// packet reads one whole packet of the handshake, header included. It is valid
// until the next call.
func (l *leg) packet() ([]byte, error) {
	for l.len() < wire.HeaderLen {
		if _, err := l.fill(); err != nil {
			return nil, err
		}
	}
	total := wire.HeaderLen + wire.PayloadLen(l.bytes())
	if total > maxHandshakePacket {
		return nil, fmt.Errorf("%w: %d bytes during the handshake", wire.ErrMalformed, total)
	}
	if total == wire.HeaderLen {
		return nil, fmt.Errorf("%w: empty during the handshake", wire.ErrMalformed)
	}
	if total > len(l.buf) {
		grown := make([]byte, total)
		l.end = copy(grown, l.bytes())
		l.start, l.buf = 0, grown
	}
	for l.len() < total {
		if _, err := l.fill(); err != nil {
			return nil, err
		}
	}
	p := l.bytes()[:total]
	l.skip(total)
	return p, nil
}

// timedOut reports whether a read ended because its deadline passed.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// replayed is a connection of which some bytes have been read already.
type replayed struct {
	net.Conn
	read []byte
}

// Read returns the bytes read before, then those of the connection.
func (r *replayed) Read(p []byte) (int, error) {
	if len(r.read) > 0 {
		n := copy(p, r.read)
		r.read = r.read[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// noDeadline takes a connection's deadline away.
var noDeadline time.Time

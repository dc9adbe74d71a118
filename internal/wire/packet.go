package wire

import (
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
)

const (
	// HeaderLen is the length of the header in front of every packet: three
	// bytes payload length, one byte sequence number.
	HeaderLen = 4
	// MaxPayload is the longest payload of one packet. A payload of exactly
	// this length goes on in the next packet.
	MaxPayload = mysql.MaxPayloadLen
)

// ErrMalformed reports bytes that are not what the protocol puts in their place.
// The connection that they came from should be given up.
var ErrMalformed = errors.New("wire: malformed packet")

func malformed(what string) error { return fmt.Errorf("%w: %s", ErrMalformed, what) }

// PayloadLen returns the payload length in the packet header that p starts with.
// p holds at least HeaderLen bytes.
func PayloadLen(p []byte) int {
	return int(p[0]) | int(p[1])<<8 | int(p[2])<<16
}

// Sequence returns the sequence number in the packet header that p starts with.
func Sequence(p []byte) byte { return p[3] }

// AppendPacket appends payload to dst as packets, the first of which carries the
// sequence number seq, and returns the sequence number that follows the last.
func AppendPacket(dst []byte, seq byte, payload []byte) ([]byte, byte) {
	for {
		n := min(len(payload), MaxPayload)
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), seq)
		dst = append(dst, payload[:n]...)
		payload = payload[n:]
		seq++
		if n < MaxPayload {
			return dst, seq
		}
	}
}

// Payload returns the payload of the first packet in p, joined with those that
// continue it, and what follows it. The payload shares p's memory unless it
// had to be joined.
func Payload(p []byte) (payload, rest []byte, err error) {
	joined := false
	for {
		if len(p) < HeaderLen {
			return nil, nil, malformed("packet header cut short")
		}
		n := PayloadLen(p)
		p = p[HeaderLen:]
		if len(p) < n {
			return nil, nil, malformed("packet cut short")
		}
		if joined {
			payload = append(payload, p[:n]...)
		} else {
			payload = p[:n:n]
		}
		p = p[n:]
		if n < MaxPayload {
			return payload, p, nil
		}
		joined = true
	}
}

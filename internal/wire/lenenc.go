package wire

import "encoding/binary"

// lenencInt reads a length-encoded integer from the start of p and returns its
// value and its length. ok is false if p is too short or holds NULL (0xfb) or
// an error mark (0xff) in its place.
func lenencInt(p []byte) (v uint64, n int, ok bool) {
	if len(p) == 0 {
		return 0, 0, false
	}
	switch p[0] {
	case 0xfb, 0xff:
		return 0, 0, false
	case 0xfc:
		n = 3
	case 0xfd:
		n = 4
	case 0xfe:
		n = 9
	default:
		return uint64(p[0]), 1, true
	}
	if len(p) < n {
		return 0, 0, false
	}
	var wide [8]byte
	copy(wide[:], p[1:n])
	return binary.LittleEndian.Uint64(wide[:]), n, true
}

// lenencBytes reads a length-encoded string from the start of p and returns it
// and its length with the prefix. It shares p's memory.
func lenencBytes(p []byte) (s []byte, n int, ok bool) {
	length, n, ok := lenencInt(p)
	if !ok || length > uint64(len(p)-n) {
		return nil, 0, false
	}
	return p[n : n+int(length)], n + int(length), true
}

func appendLenencInt(dst []byte, v uint64) []byte {
	switch {
	case v < 0xfb:
		return append(dst, byte(v))
	case v < 1<<16:
		return append(dst, 0xfc, byte(v), byte(v>>8))
	case v < 1<<24:
		return append(dst, 0xfd, byte(v), byte(v>>8), byte(v>>16))
	default:
		return binary.LittleEndian.AppendUint64(append(dst, 0xfe), v)
	}
}

func appendLenencString(dst []byte, s string) []byte {
	return append(appendLenencInt(dst, uint64(len(s))), s...)
}

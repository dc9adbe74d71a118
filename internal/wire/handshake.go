package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"
)

// Unrelayed are the capabilities that a relay takes out of every greeting:
// compression, which would hide the packets from us, and those whose meaning
// for the framing is not known to us.
const Unrelayed = mysql.CLIENT_COMPRESS | mysql.CLIENT_ZSTD_COMPRESSION_ALGORITHM |
	mysql.CLIENT_CAPABILITY_EXTENSION | 1<<30 | 1<<31

// Greeting is a view of the server's first packet (HandshakeV10). It shares the
// memory of the payload that it was parsed from, so that Offer edits in place
// and every byte that is not a capability stays as the server sent it.
type Greeting struct {
	payload []byte
	lower   int // offset of the lower capability bytes
	upper   int // of the upper ones; 0 if the greeting ends before them

	// Version is the server's version.
	Version string
	// ConnectionID is the id that KILL takes.
	ConnectionID uint32
	// Salt is what the client scrambles its password with, without the final 0.
	Salt []byte
	// Plugin is the authentication method that the server starts with.
	Plugin string
}

// ParseGreeting reads the payload of a HandshakeV10 packet.
func ParseGreeting(payload []byte) (*Greeting, error) {
	if len(payload) == 0 || payload[0] != mysql.ClassicProtocolVersion {
		return nil, malformed("greeting of another protocol version")
	}
	end := bytes.IndexByte(payload, 0)
	// version, 0, connection id, 8 bytes salt, 0, lower capabilities
	if end < 0 || len(payload) < end+1+4+8+1+2 {
		return nil, malformed("greeting cut short")
	}
	g := &Greeting{payload: payload, Version: string(payload[1:end])}
	at := end + 1
	g.ConnectionID = binary.LittleEndian.Uint32(payload[at:])
	g.Salt = bytes.Clone(payload[at+4 : at+12])
	g.lower = at + 13

	// charset, status, upper capabilities, length of the salt, 10 reserved
	if at = g.lower + 2; len(payload) < at+1+2+2+1+10 {
		return g, nil
	}
	g.upper = at + 3
	saltLen := int(payload[at+5])
	at += 16
	more := max(13, saltLen-8)
	if len(payload) < at+more {
		more = len(payload) - at
	}
	g.Salt = append(g.Salt, bytes.TrimSuffix(payload[at:at+more], []byte{0})...)
	if g.Capabilities()&mysql.CLIENT_PLUGIN_AUTH != 0 {
		name, _, _ := bytes.Cut(payload[at+more:], []byte{0})
		g.Plugin = string(name)
	}
	return g, nil
}

// Capabilities returns what the greeting offers.
func (g *Greeting) Capabilities() uint32 {
	caps := uint32(binary.LittleEndian.Uint16(g.payload[g.lower:]))
	if g.upper > 0 {
		caps |= uint32(binary.LittleEndian.Uint16(g.payload[g.upper:])) << 16
	}
	return caps
}

// Offer replaces what the greeting offers, in the payload it was parsed from.
// MariaDB's own capabilities, in the last four of the reserved bytes, are
// cleared: some of them change the shape of results.
func (g *Greeting) Offer(caps uint32) {
	binary.LittleEndian.PutUint16(g.payload[g.lower:], uint16(caps))
	if g.upper > 0 {
		binary.LittleEndian.PutUint16(g.payload[g.upper:], uint16(caps>>16))
		clear(g.payload[g.upper+9 : g.upper+13])
	}
}

// sslRequestLen is the length of the fixed part of a HandshakeResponse41 and of
// the whole of an SSLRequest: capabilities, packet limit, charset, 23 reserved.
const sslRequestLen = 4 + 4 + 1 + 23

// Login is a view of the client's answer to the greeting: a HandshakeResponse41
// or, if IsSSLRequest, the request to go on under TLS that precedes it.
type Login struct {
	payload []byte

	// User and Database are as the client sent them, in its own charset.
	User, Database string
	// Plugin is the method that the client's Auth was made with.
	Plugin string
	// Auth is the client's first proof. It shares the payload's memory.
	Auth []byte
}

// ParseLogin reads the payload of an SSLRequest or a HandshakeResponse41.
func ParseLogin(payload []byte) (*Login, error) {
	if len(payload) < sslRequestLen {
		return nil, malformed("login cut short")
	}
	l := &Login{payload: payload}
	caps := l.Capabilities()
	if caps&mysql.CLIENT_PROTOCOL_41 == 0 {
		return nil, malformed("login of a protocol before 4.1")
	}
	if l.IsSSLRequest() {
		return l, nil
	}
	return l, l.parseNames(payload[sslRequestLen:], caps)
}

func (l *Login) parseNames(p []byte, caps uint32) error {
	user, p, ok := bytes.Cut(p, []byte{0})
	if !ok {
		return malformed("login: user name without end")
	}
	l.User = string(user)

	n := 0
	switch {
	case caps&mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA != 0:
		l.Auth, n, ok = lenencBytes(p)
	case caps&mysql.CLIENT_SECURE_CONNECTION != 0:
		if ok = len(p) > 0 && len(p) > int(p[0]); ok {
			l.Auth, n = p[1:1+int(p[0])], 1+int(p[0])
		}
	default:
		if n = bytes.IndexByte(p, 0); n >= 0 {
			l.Auth = p[:n]
			n++
		}
		ok = n > 0
	}
	if !ok {
		return malformed("login: authentication data")
	}
	p = p[n:]

	// The last names may lack their final 0, and drivers set the bits without
	// sending the names: the server takes that, so must we.
	if caps&mysql.CLIENT_CONNECT_WITH_DB != 0 {
		var db []byte
		db, p, _ = bytes.Cut(p, []byte{0})
		l.Database = string(db)
	}
	if caps&mysql.CLIENT_PLUGIN_AUTH != 0 {
		plugin, _, _ := bytes.Cut(p, []byte{0})
		l.Plugin = string(plugin)
	}
	return nil
}

// Capabilities returns what the client wants to use.
func (l *Login) Capabilities() uint32 { return binary.LittleEndian.Uint32(l.payload) }

// SetCapabilities replaces what the client wants to use, in the payload that
// the login was parsed from.
func (l *Login) SetCapabilities(caps uint32) { binary.LittleEndian.PutUint32(l.payload, caps) }

// IsSSLRequest reports whether the client asks for TLS; its login follows under TLS.
func (l *Login) IsSSLRequest() bool {
	return len(l.payload) == sslRequestLen && l.Capabilities()&mysql.CLIENT_SSL != 0
}

// SSLRequest returns the payload of the request for TLS that goes before this
// login: its first bytes, with the given capabilities.
func (l *Login) SSLRequest(caps uint32) []byte {
	p := bytes.Clone(l.payload[:sslRequestLen])
	binary.LittleEndian.PutUint32(p, caps)
	return p
}

// AbandonedLogin returns the payload of a login for nobody. It is sent in the
// place of a client that left after the greeting: a server that gets nothing
// counts a broken handshake against the proxy's host, and after
// max_connect_errors of them it lets nobody in.
func AbandonedLogin() []byte {
	caps := mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION | mysql.CLIENT_LONG_PASSWORD | mysql.CLIENT_PLUGIN_AUTH
	p := binary.LittleEndian.AppendUint32(nil, caps)
	p = binary.LittleEndian.AppendUint32(p, uint32(MaxPayload))
	p = append(p, 45) // utf8mb4_general_ci
	p = append(p, make([]byte, 23)...)
	p = append(p, 0, 0) // no user name, no proof
	return append(p, mysql.AUTH_CACHING_SHA2_PASSWORD+"\x00"...)
}

// ParseAuthSwitch reads the payload of an AuthSwitchRequest: the method that
// the client is to go on with and its new salt, without the final 0.
func ParseAuthSwitch(payload []byte) (plugin string, salt []byte, err error) {
	if len(payload) < 2 || payload[0] != mysql.EOF_HEADER {
		return "", nil, malformed("authentication switch")
	}
	name, salt, ok := bytes.Cut(payload[1:], []byte{0})
	if !ok {
		return "", nil, malformed("authentication switch")
	}
	return string(name), bytes.Clone(bytes.TrimSuffix(salt, []byte{0})), nil
}

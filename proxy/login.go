package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// errRefused says that the server refused the client in its own words, which
// the client has been told.
var errRefused = errors.New("proxy: refused by the server")

// login dials the server and relays the handshake until the server lets the
// client in. Only capability bits and, where one leg has a packet more than the
// other, sequence numbers are changed.
func (s *Session) login() error {
	deadline := time.Now().Add(s.server.HandshakeTimeout)
	if err := s.dial(deadline); err != nil {
		s.server.metrics.failure(serverSide, "dial")
		s.log.Warn("server cannot be reached", "error", err)
		// Without the error, whose addresses are not the client's business.
		_ = s.client.SetDeadline(time.Now().Add(time.Second))
		s.server.greetWithError(s.client, newServerError(mysql.ER_UNKNOWN_ERROR, errorPrefix+"cannot reach the MySQL server"))
		return err
	}
	_ = s.client.SetDeadline(deadline)
	_ = s.backend.SetDeadline(deadline)

	greeting, err := s.relayGreeting()
	if err != nil {
		return err
	}
	login, err := s.clientLogin(greeting)
	if err != nil {
		s.server.metrics.failure(clientSide, "handshake")
		s.abandon(1, true)
		return fmt.Errorf("client's login: %w", err)
	}
	d, err := s.sendLogin(greeting, login)
	if err != nil {
		s.server.metrics.failure(serverSide, "handshake")
		return fmt.Errorf("login to server: %w", err)
	}
	if err := d.run(); err != nil {
		return err
	}
	_ = s.client.SetDeadline(noDeadline)
	_ = s.backend.SetDeadline(noDeadline)
	return nil
}

func (s *Session) dial(deadline time.Time) error {
	ctx, cancel := context.WithDeadline(s.ctx, deadline)
	defer cancel()
	conn, err := s.server.Dial(ctx)
	if err != nil {
		return fmt.Errorf("dial server: %w", err)
	}
	s.backend = newLeg(conn)
	s.rawMu.Lock()
	s.raw[1] = conn
	s.rawMu.Unlock()
	if s.ctx.Err() != nil { // cut has run before it could see conn
		s.cut()
	}
	return nil
}

// offer is what the greeting that a client gets offers, besides what the server
// itself offers.
type offer struct {
	*wire.Greeting
	server uint32 // capabilities that the server offered
}

// relayGreeting passes the server's greeting on to the client, without the
// capabilities that cannot be relayed and with TLS as we offer it.
func (s *Session) relayGreeting() (offer, error) {
	packet, err := s.backend.packet()
	if err != nil {
		s.server.metrics.failure(serverSide, "handshake")
		return offer{}, fmt.Errorf("read greeting: %w", err)
	}
	payload := packet[wire.HeaderLen:]
	if payload[0] == mysql.ERR_HEADER {
		s.server.metrics.failure(serverSide, "refused")
		refusal, _ := wire.ParseError(payload)
		s.log.Warn("server refuses connections", "error", refusal)
		return offer{}, errors.Join(errRefused, s.writeClient(packet))
	}
	g, err := wire.ParseGreeting(payload)
	if err != nil {
		s.server.metrics.failure(serverSide, "handshake")
		return offer{}, err
	}
	s.id = g.ConnectionID
	s.log = s.log.With("conn", s.id)
	o := offer{Greeting: g, server: g.Capabilities()}
	offered := o.server &^ (wire.Unrelayed | mysql.CLIENT_SSL)
	if s.server.TLS != nil {
		offered |= mysql.CLIENT_SSL
	}
	g.Offer(offered)
	if err := s.writeClient(packet); err != nil {
		s.abandon(1, true)
		return o, err
	}
	return o, nil
}

// clientLogin reads the client's answer to the greeting, under TLS if it asks for it.
func (s *Session) clientLogin(o offer) (*clientLogin, error) {
	login, err := s.readLogin()
	if err != nil || !login.IsSSLRequest() {
		return login, err
	}
	if s.server.TLS == nil {
		return nil, errors.New("client asks for TLS, which was not offered")
	}
	// Everything behind the request is TLS. Nothing that was sent in the clear
	// may be taken for what comes out of it.
	conn := tls.Server(&replayed{Conn: s.client.carrier, read: append([]byte(nil), s.client.bytes()...)}, s.server.TLS)
	s.client.skip(s.client.len())
	if err := conn.HandshakeContext(s.ctx); err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	s.client.Conn = conn
	if login, err = s.readLogin(); err != nil {
		return nil, err
	}
	login.secure = true
	if login.IsSSLRequest() {
		return nil, errors.New("client asks for TLS twice")
	}
	return login, nil
}

// clientLogin is the packet that a client logs in with.
type clientLogin struct {
	*wire.Login
	packet []byte
	secure bool // it came over TLS
}

func (s *Session) readLogin() (*clientLogin, error) {
	packet, err := s.client.packet()
	if err != nil {
		return nil, err
	}
	login, err := wire.ParseLogin(packet[wire.HeaderLen:])
	if err != nil {
		bad := newServerError(mysql.ER_HANDSHAKE_ERROR, mysql.MySQLErrName[mysql.ER_HANDSHAKE_ERROR])
		answer, _ := wire.AppendPacket(nil, wire.Sequence(packet)+1, wire.AppendError(nil, mysql.CLIENT_PROTOCOL_41, bad))
		return nil, errors.Join(err, s.writeClient(answer))
	}
	return &clientLogin{Login: login, packet: packet}, nil
}

// sendLogin passes the login on to the server: under TLS if the client used it
// and the server offers it.
func (s *Session) sendLogin(o offer, login *clientLogin) (*dialogue, error) {
	caps := login.Capabilities() &^ (wire.Unrelayed | mysql.CLIENT_SSL)
	seq := byte(1)
	secure := login.secure && o.server&mysql.CLIENT_SSL != 0
	s.mixed = login.secure && !secure
	if s.mixed && sendsCleartext(login.Plugin) {
		s.abandon(seq, true)
		return nil, s.refuseCleartext(login.Plugin, wire.Sequence(login.packet)+1)
	}
	if secure {
		caps |= mysql.CLIENT_SSL
		request, _ := wire.AppendPacket(nil, seq, login.SSLRequest(caps))
		if _, err := s.backend.Write(request); err != nil {
			return nil, err
		}
		conn := tls.Client(s.backend.Conn, s.server.BackendTLS)
		if err := conn.HandshakeContext(s.ctx); err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		s.backend.Conn = conn
		seq++
	}
	login.SetCapabilities(caps)
	s.caps = caps & o.server
	d := &dialogue{
		s: s, seq: seq, delta: wire.Sequence(login.packet) - seq,
		plugin: o.Plugin, salt: o.Salt,
	}
	login.packet[3] = seq
	_, err := s.backend.Write(login.packet)
	clear(login.packet) // may hold a password
	return d, err
}

// abandon ends the server's handshake decently for a client that has left, so
// that the server does not count it as broken: see wire.AbandonedLogin. fresh
// says that no login was sent yet, seq is the sequence number that comes next.
func (s *Session) abandon(seq byte, fresh bool) {
	const patience = time.Second
	_ = s.backend.SetDeadline(time.Now().Add(patience))
	var payload []byte
	if fresh {
		payload = wire.AbandonedLogin()
	}
	const longestDialogue = 8
	for range longestDialogue {
		packet, _ := wire.AppendPacket(nil, seq, payload)
		if _, err := s.backend.Write(packet); err != nil {
			return
		}
		answer, err := s.backend.packet()
		if err != nil || answer[wire.HeaderLen] == mysql.ERR_HEADER || answer[wire.HeaderLen] == mysql.OK_HEADER {
			return
		}
		seq, payload = wire.Sequence(answer)+1, nil
	}
}

func (s *Session) writeClient(packet []byte) error {
	if _, err := s.client.Write(packet); err != nil {
		return fmt.Errorf("write to client: %w", err)
	}
	return nil
}

// sendsCleartext reports whether a client that uses TLS sends its password as
// it is under the authentication method.
func sendsCleartext(plugin string) bool {
	return plugin == mysql.AUTH_CLEAR_PASSWORD || plugin == mysql.AUTH_SHA256_PASSWORD
}

// refuseCleartext tells the client why it is not let in and returns the error.
func (s *Session) refuseCleartext(plugin string, seq byte) error {
	e := newServerError(mysql.ER_UNKNOWN_ERROR, errorPrefix+plugin+" would send the password to the server in the clear: enable TLS on the server")
	packet, _ := wire.AppendPacket(nil, seq, wire.AppendError(nil, s.caps|mysql.CLIENT_PROTOCOL_41, e))
	return errors.Join(e, s.writeClient(packet))
}

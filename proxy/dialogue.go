package proxy

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the protocol's choice
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// dialogue relays the authentication that follows the client's login. Plugins
// may talk in any order, so both directions are relayed at once; the server's
// OK or ERR ends it.
type dialogue struct {
	s *Session

	mu     sync.Mutex
	seq    byte // the last sequence number on the server's leg
	delta  byte // what the client's leg is ahead by, modulo 256
	plugin string
	salt   []byte // the latest

	// Where the client's leg is under TLS and the server's is not, a client of
	// caching_sha2_password sends its password as it is, and we encrypt it.
	repair   repair
	password []byte
}

// repair is how far the repair of the password has come.
type repair uint8

const (
	repairNone     repair = iota
	repairPassword        // the client was asked for its password
	repairKey             // the server was asked for its public key
)

// The messages of caching_sha2_password, behind the 0x01 of the packet.
const (
	sha2FullAuthentication = 4
	sha2RequestPublicKey   = 2
	moreData               = 1
)

// run relays until the server has decided and the client knows.
func (d *dialogue) run() error {
	var clientErr error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if panicked := recover(); panicked != nil {
				clientErr = d.s.caught(panicked)
				d.s.cut()
			}
		}()
		if clientErr = d.relayClient(); clientErr != nil && !timedOut(clientErr) {
			_ = d.s.backend.SetReadDeadline(time.Unix(1, 0)) // wakes relayServer
		}
	}()
	verdict, err := d.relayServer()

	// From here on the client's bytes are commands: stop reading them first.
	deadline := time.Now().Add(d.s.server.HandshakeTimeout)
	_ = d.s.client.SetReadDeadline(time.Unix(1, 0))
	<-done
	_ = d.s.client.SetReadDeadline(deadline)
	clear(d.password)

	switch {
	case timedOut(err), clientErr != nil && !timedOut(clientErr):
		d.s.server.metrics.failure(clientSide, "handshake")
		d.s.abandon(d.seq+1, false)
		return fmt.Errorf("client's authentication: %w", errors.Join(clientErr, err))
	case err != nil:
		d.s.server.metrics.failure(serverSide, "handshake")
		return fmt.Errorf("server's authentication: %w", err)
	}
	return d.conclude(verdict)
}

// conclude tells the client whether it is let in and prepares the session for
// its commands.
func (d *dialogue) conclude(verdict []byte) error {
	s := d.s
	payload := verdict[wire.HeaderLen:]
	if payload[0] == mysql.ERR_HEADER {
		s.server.metrics.failure(clientSide, "denied")
		return errors.Join(errRefused, s.writeClient(verdict))
	}
	ok, err := wire.ParseOK(payload, s.caps)
	if err != nil {
		return err
	}
	s.response = wire.NewResponse(s.caps)
	s.response.SetStatus(ok.Status)
	s.status = uint32(ok.Status)
	return s.writeClient(verdict)
}

// relayServer relays to the client up to the server's verdict, OK or ERR, which
// it returns.
func (d *dialogue) relayServer() (verdict []byte, err error) {
	for {
		packet, err := d.s.backend.packet()
		if err != nil {
			return nil, err
		}
		forward, err := d.fromServer(packet)
		if err != nil {
			return nil, err
		}
		switch kind := packet[wire.HeaderLen]; {
		case kind == mysql.OK_HEADER, kind == mysql.ERR_HEADER:
			return packet, nil
		case forward:
			if err := d.s.writeClient(packet); err != nil {
				return nil, err
			}
		}
	}
}

// fromServer takes a packet of the server's into account, gives it the sequence
// number of the client's leg, and reports whether it is for the client.
func (d *dialogue) fromServer(packet []byte) (forward bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	payload := packet[wire.HeaderLen:]
	d.seq = wire.Sequence(packet)
	packet[3] += d.delta

	switch {
	case payload[0] == mysql.EOF_HEADER && len(payload) > 1:
		if d.plugin, d.salt, err = wire.ParseAuthSwitch(payload); err != nil {
			return false, err
		}
		if d.s.mixed && sendsCleartext(d.plugin) {
			return false, d.s.refuseCleartext(d.plugin, packet[3])
		}
	case !d.s.mixed || d.plugin != mysql.AUTH_CACHING_SHA2_PASSWORD || payload[0] != moreData:
	case d.repair == repairKey:
		return false, d.sendEncrypted(payload[1:])
	case len(payload) == 2 && payload[1] == sha2FullAuthentication:
		d.repair = repairPassword
	}
	return true, nil
}

// relayClient relays the client's packets until its connection is no longer to
// be read or has ended.
func (d *dialogue) relayClient() error {
	for {
		packet, err := d.s.client.packet()
		if err != nil {
			return err
		}
		err = d.fromClient(packet)
		clear(packet) // may hold a password
		if err != nil {
			return err
		}
	}
}

func (d *dialogue) fromClient(packet []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.repair == repairPassword {
		d.repair = repairKey
		d.password = append([]byte(nil), packet[wire.HeaderLen:]...)
		return d.sendServer([]byte{sha2RequestPublicKey})
	}
	packet[3] -= d.delta
	d.seq = wire.Sequence(packet)
	_, err := d.s.backend.Write(packet)
	return err
}

// sendEncrypted answers the server's public key with the client's password. The
// server's leg has seen two packets that the client's has not.
func (d *dialogue) sendEncrypted(key []byte) error {
	proof, err := encryptPassword(d.password, d.salt, key)
	if err != nil {
		return err
	}
	clear(d.password)
	d.repair = repairNone
	d.delta -= 2
	return d.sendServer(proof)
}

// sendServer sends a packet of our own.
func (d *dialogue) sendServer(payload []byte) error {
	d.seq++
	packet, _ := wire.AppendPacket(nil, d.seq, payload)
	_, err := d.s.backend.Write(packet)
	return err
}

// encryptPassword makes the proof of caching_sha2_password for a connection
// without TLS: the password with its final 0, masked with the salt, encrypted
// with the server's public key.
func encryptPassword(password, salt, key []byte) ([]byte, error) {
	block, _ := pem.Decode(key)
	if block == nil {
		return nil, errors.New("server's public key is not in PEM form")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("server's public key: %w", err)
	}
	public, ok := parsed.(*rsa.PublicKey)
	if !ok || len(salt) == 0 {
		return nil, errors.New("server's public key is not one of RSA, or its salt is missing")
	}
	masked := make([]byte, len(password))
	for i := range password {
		masked[i] = password[i] ^ salt[i%len(salt)]
	}
	return rsa.EncryptOAEP(sha1.New(), rand.Reader, public, masked, nil)
}

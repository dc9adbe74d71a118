package proxy

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"golang.org/x/sys/unix"

	"sluice/internal/eventloop"
	"sluice/internal/wire"
)

// dialect is that of the oldest clients.
const dialect = mysql.CLIENT_PROTOCOL_41

// FuzzCommands sends a client's bytes, cut anywhere, to a session whose server
// answers a command with an end of rows, which ends most answers, or asks for a
// file. What reaches the server must be what was sent, in order and as far as it
// was the client's turn, and must not depend on the cuts.
func FuzzCommands(f *testing.F) {
	var err error
	if loose.loop, err = eventloop.New(); err != nil {
		f.Fatal(err)
	}
	defer loose.loop.Close()
	if loose.server, err = New(Config{Listener: &net.TCPListener{}, Backend: "none:1"}); err != nil {
		f.Fatal(err)
	}
	loose.server.serving = f.Context()
	query := wire.AppendQuery(nil, dialect, "SELECT 1")
	f.Add(append(bytes.Clone(query), query...), []byte{1, 2, 3}, []byte{})
	f.Add(append(bytes.Clone(query), "\x01\x00\x00\x02x\x00\x00\x00\x03"...), []byte{30}, []byte{1})
	f.Add([]byte("\x05\x00\x00\x00\x19\x01\x00\x00\x00\x01\x00\x00\x00\x0e"), []byte{4, 1}, []byte{})
	f.Add([]byte("\x00\x00\x00\x00\x01\x00\x00\x00\x0e"), []byte{}, []byte{})
	f.Add([]byte("\xff\xff\xff\x00\x03SELECT"), []byte{5}, []byte{})
	f.Add(wire.AppendQuery(nil, dialect, "LOCK TABLES t WRITE; ALTER TABLE t ADD c INT"), []byte{7}, []byte{})
	f.Fuzz(func(t *testing.T, client, cuts, answers []byte) {
		const enough = 32 << 10 // sockets take this much without a reader
		if len(client) > enough {
			return
		}
		whole, kept := relayBytes(t, client, nil, answers)
		cut, keptCut := relayBytes(t, client, cuts, answers)
		if !bytes.Equal(whole, cut) || kept != keptCut {
			t.Errorf("%d bytes went on in one piece, %d in pieces", len(whole), len(cut))
		}
		if !bytes.HasPrefix(client, whole) || len(whole)+kept != len(client) {
			t.Errorf("%d bytes came, %d went on, %d are kept", len(client), len(whole), kept)
		}
	})
}

// relayBytes has a session deal with the client's bytes, which arrive in pieces
// of the sizes in cuts, and returns what reached the server and how much waits.
func relayBytes(t *testing.T, client, cuts, answers []byte) (forwarded []byte, kept int) {
	t.Helper()
	s, server := looseSession(t)
	for len(client) > 0 {
		n := len(client)
		if len(cuts) > 0 {
			n, cuts = min(n, 1+int(cuts[0])), cuts[1:]
		}
		s.do(func() error { return s.fromClient(client[:n]) })
		client = client[n:]
		for s.phase == phaseBusy && !s.over {
			answer := []byte{mysql.EOF_HEADER, 0, 0, 2, 0}
			if len(answers) > 0 {
				if answers[0]%2 == 1 {
					answer = []byte{mysql.LocalInFile_HEADER, 'f'}
				}
				answers = answers[1:]
			}
			packet, _ := wire.AppendPacket(nil, 1, answer)
			s.do(func() error { return s.fromServer(packet) })
		}
	}
	kept = len(s.in)
	unsent := s.b.unsent // a socket takes few writes, however short
	s.drop(io.EOF)
	forwarded, err := io.ReadAll(server)
	if err != nil {
		t.Fatal(err)
	}
	return append(forwarded, unsent...), kept
}

// loose are what a session of looseSession belongs to. Nobody runs them.
var loose struct {
	loop   *eventloop.Loop
	server *Server
}

// looseSession is a session without a server, whose connections are sockets of
// ours; what it sends to the server can be read from the file.
func looseSession(t *testing.T) (*Session, *os.File) {
	t.Helper()
	loop, server := loose.loop, loose.server
	server.alive.Add(1)
	s := &Session{server: server, log: server.Logger, ctx: t.Context(), caps: dialect}
	s.response = wire.NewResponse(s.caps)
	s.status = uint32(mysql.SERVER_STATUS_AUTOCOMMIT)
	var peers [2]*os.File
	for i, side := range []**socket{&s.c, &s.b} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		peers[i] = os.NewFile(uintptr(fds[1]), "peer")
		t.Cleanup(func() { peers[i].Close() })
		*side = &socket{fd: fds[0]}
		(*side).watch = loop.Watch(fds[0], serverEvents{s})
	}
	return s, peers[1]
}

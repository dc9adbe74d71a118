package proxy_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire"
	"sluice/internal/wire/wiretest"
	"sluice/proxy"
)

func TestDrainLetsSessionsLeaveAtACommandBoundary(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	name, direct := servertest.Database(t, r.backend)
	run(t, direct, "CREATE TABLE t (id INT)")
	idle := wiretest.Dial(t, r.Addr().String(), 0)
	busy := wiretest.Dial(t, r.Addr().String(), 0)
	within := wiretest.Dial(t, r.Addr().String(), 0)
	lock := "sluice.drain." + name
	run(t, direct, "DO 0")
	holder, err := direct.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Close()
	run(t, holder, "DO GET_LOCK('"+lock+"', 0)")
	busy.Query("SELECT GET_LOCK('" + lock + "', 100)")
	eventually(t, direct, "User lock", "SELECT state FROM performance_schema.processlist WHERE id = ?", busy.Greeting.ConnectionID)
	for _, sql := range []string{"BEGIN", "INSERT INTO " + name + ".t VALUES (1)"} {
		within.Query(sql)
		within.Result()
	}

	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	idle.ExpectClosed()
	if conn, err := net.Dial("tcp", r.Addr().String()); err == nil {
		conn.Close()
		t.Error("a new client was accepted")
	}
	within.Query("INSERT INTO " + name + ".t VALUES (2)")
	within.Result()
	within.Query("COMMIT")
	within.Result()
	within.ExpectClosed()
	run(t, holder, "DO RELEASE_LOCK('"+lock+"')")
	if got := busy.Result(); *got.Rows[0][0] != "1" {
		t.Errorf("the busy session got %v", got)
	}
	busy.ExpectClosed()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if n := one[int](t, direct, "SELECT COUNT(*) FROM t"); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestDrainEnds(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), func(c *proxy.Config) { c.DrainTimeout = 50 * time.Millisecond })
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query("BEGIN")
	c.Result()
	c.Query("SELECT * FROM performance_schema.processlist")
	c.Result()
	sleeper := wiretest.Dial(t, r.Addr().String(), 0)
	sleeper.Query("SELECT SLEEP(1000)")
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	c.ExpectClosed()
	sleeper.ExpectClosed()
}

func TestEitherSideClosesTheOther(t *testing.T) {
	t.Parallel()
	backend := servertest.Start(t)
	r := start(t, backend)
	direct := servertest.Open(t, backend, "")
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query("SELECT SLEEP(1000)")
	eventually(t, direct, "1", "SELECT COUNT(*) FROM performance_schema.processlist WHERE id = ? AND command = 'Query'", c.Greeting.ConnectionID)
	killed := wiretest.Dial(t, r.Addr().String(), 0)
	run(t, direct, fmt.Sprint("KILL ", killed.Greeting.ConnectionID))
	killed.ExpectClosed()

	idle, quits := wiretest.Dial(t, r.Addr().String(), 0), wiretest.Dial(t, r.Addr().String(), 0)
	quits.Command(gomysql.COM_QUIT)
	quits.ExpectClosed()
	if err := backend.Kill(); err != nil {
		t.Fatal(err)
	}
	c.ExpectClosed()
	idle.ExpectClosed()
}

func TestPipelinedCommandsAreAnsweredInTurn(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(context.Context, *proxy.Session, string) (proxy.Outcome, error) {
		return proxy.Outcome{Result: wire.Result{Info: "ours"}}, nil
	})))
	c := wiretest.Dial(t, r.Addr().String(), gomysql.CLIENT_DEPRECATE_EOF)
	const n = 200
	var all []byte
	for i := range n {
		all = append(all, wire.AppendQuery(nil, c.Caps, fmt.Sprintf("SELECT %d, REPEAT('x', %d)", i, i*100))...)
		all = append(all, wire.AppendQuery(nil, c.Caps, alter)...)
		// Closing a statement that does not exist has no answer.
		all, _ = wire.AppendPacket(all, 0, []byte{gomysql.COM_STMT_CLOSE, 1, 2, 3, 4})
	}
	go func() { _, _ = c.Conn.Write(all) }()
	for i := range n {
		if got := c.Result(); *got.Rows[0][0] != fmt.Sprint(i) {
			t.Fatalf("answer %d is %s", i, *got.Rows[0][0])
		}
		if got := c.ExpectOK(); got.Info != "ours" {
			t.Fatalf("answer %d to the ALTER: %+v", i, got)
		}
	}
}

func TestCommandsOfAllKindsGoThrough(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	for _, dialect := range []uint32{0, gomysql.CLIENT_DEPRECATE_EOF} {
		c := wiretest.Dial(t, r.Addr().String(), dialect)
		response := wire.NewResponse(c.Caps)
		ask := func(cmd byte, args ...byte) {
			if _, event := c.Ask(&response, cmd, args...); event != wire.Done {
				t.Fatalf("command %#x: event %d", cmd, event)
			}
		}
		ask(gomysql.COM_STATISTICS)
		ask(gomysql.COM_STMT_PREPARE, []byte("SELECT * FROM information_schema.engines")...)
		id := binary.LittleEndian.AppendUint32(nil, response.StatementID())
		ask(gomysql.COM_STMT_EXECUTE, append(id[:4:4], 1, 1, 0, 0, 0)...) // with a cursor
		ask(gomysql.COM_STMT_FETCH, append(id[:4:4], 2, 0, 0, 0)...)
		ask(gomysql.COM_STMT_RESET, id...)
		ask(gomysql.COM_RESET_CONNECTION)
		packets, event := c.Ask(&response, gomysql.COM_CHANGE_USER, append([]byte("root\x00\x00\x00\xff\x00"), "mysql_clear_password\x00"...)...)
		if event == wire.Challenge {
			empty, _ := wire.AppendPacket(nil, wire.Sequence(packets)+1, nil)
			c.Write(empty)
			_, event = c.Rest(&response)
		}
		if event != wire.Done || response.Failed() {
			t.Fatalf("change user: event %d", event)
		}
		ask(gomysql.COM_PING)
		c.Command(0x55) // nobody knows it
		c.ExpectError(1047)
	}
}

func TestClientsThatLeaveEarlyDoNotBlockTheHost(t *testing.T) {
	t.Parallel()
	backend := servertest.Start(t, "--max-connect-errors=10")
	// The server does not count the errors of 127.0.0.1 itself.
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	dial := func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", backend.Addr()) }
	r := start(t, backend, withTLS(t), func(c *proxy.Config) { c.Dial = dial })
	direct := servertest.Open(t, backend, "")
	run(t, direct, "CREATE USER root@'127.0.0.0/255.0.0.0'")
	for i := range 200 {
		conn := r.rawDial(t)
		switch i % 4 {
		case 0: // closes without having read
		case 1:
			readPacket(t, conn)
		case 2: // breaks its login off
			readPacket(t, conn)
			_, _ = conn.Write([]byte("\x50\x00\x00\x01half"))
		case 3: // fails to make TLS
			readPacket(t, conn)
			caps := uint32(gomysql.CLIENT_PROTOCOL_41 | gomysql.CLIENT_SSL)
			request := append(binary.LittleEndian.AppendUint32(nil, caps), make([]byte, 28)...)
			packet, _ := wire.AppendPacket(nil, 1, request)
			_, _ = conn.Write(append(packet, "this is not TLS"...))
		}
		conn.Close()
	}
	eventually(t, direct, "0", "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = 'unauthenticated user'")
	run(t, r.conn(t, ""), "DO 1")

	// So would it have gone without the proxy's care.
	for range 20 {
		conn, err := dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		readPacket(t, conn)
		conn.Close()
	}
	eventually(t, direct, "0", "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = 'unauthenticated user'")
	if err := r.open(t, r.config("")).PingContext(t.Context()); number(err) != 1129 {
		t.Errorf("got %v, want 1129: this test shows nothing", err)
	}
}

func readPacket(t *testing.T, r io.Reader) []byte {
	t.Helper()
	head := make([]byte, wire.HeaderLen)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, wire.PayloadLen(head))
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestTooManyClients(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), func(c *proxy.Config) { c.MaxConnections = 1 })
	first := r.conn(t, "")
	err := r.open(t, r.config("")).PingContext(t.Context())
	if number(err) != 1040 {
		t.Errorf("got %v, want 1040", err)
	}
	run(t, first, "DO 1")
}

func TestServersRefusalIsRelayedVerbatim(t *testing.T) {
	t.Parallel()
	backend := servertest.Start(t, "--max-connections=1")
	r := start(t, backend)
	// One more than the limit is let in, for an administrator.
	first, second := r.conn(t, ""), r.conn(t, "")
	err := r.open(t, r.config("")).PingContext(t.Context())
	if number(err) != 1040 || !strings.Contains(err.Error(), "Too many connections") {
		t.Errorf("got %v, want 1040", err)
	}
	run(t, first, "DO 1")
	run(t, second, "DO 1")
}

package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire"
	"sluice/internal/wire/wiretest"
	"sluice/proxy"
)

func TestClientThatEndsItsDirectionGetsItsAnswers(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	for _, addr := range []string{r.backend.Addr(), r.Addr().String()} {
		c := wiretest.Dial(t, addr, gomysql.CLIENT_DEPRECATE_EOF)
		var all []byte
		for i := range 3 {
			all = append(all, wire.AppendQuery(nil, c.Caps, fmt.Sprintf("SELECT %d, SLEEP(0.01)", i))...)
		}
		c.Write(all)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		// The server sees the end of the first statement's client and stops its
		// sleep, but answers; directly no less than through the proxy.
		for i := range 3 {
			if got := c.Result(); *got.Rows[0][0] != fmt.Sprint(i) {
				t.Errorf("answer %d is %s", i, *got.Rows[0][0])
			}
		}
		c.ExpectClosed()
	}
}

func TestClientThatBreaksACommandOffEndsItsSession(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(context.Context, *proxy.Session, string) (proxy.Outcome, error) {
		t.Error("half a statement was taken over")
		return proxy.Outcome{}, nil
	})))
	direct := servertest.Open(t, r.backend, "")
	for _, begun := range []string{"\x20", "\x20\x00\x00\x00", "\x20\x00\x00\x00\x03SELECT", "\xff\xff\xff\x00\x16INSERT", "\x20\x00\x00\x00\x03ALTER TABLE t"} {
		c := wiretest.Dial(t, r.Addr().String(), 0)
		c.Write([]byte(begun))
		c.Close()
		eventually(t, direct, "0", "SELECT COUNT(*) FROM performance_schema.processlist WHERE id = ?", c.Greeting.ConnectionID)
	}
}

// TestClientThatDoesNotRead is about the bytes that nobody takes: they stay with
// the server, and other sessions of the same loop do not notice.
func TestClientThatDoesNotRead(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withTLS(t), func(c *proxy.Config) { c.Loops = 1 })
	const rows, width = 2000, 50_000
	query := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT /*+ SET_VAR(cte_max_recursion_depth = %d) */ i, REPEAT('x', %d) FROM n", rows, rows, width)
	for _, secure := range []bool{false, true} {
		c := r.config("")
		if secure {
			c.TLS = &tls.Config{InsecureSkipVerify: true}
		}
		slow, err := r.open(t, c).QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		other := r.conn(t, "")
		for range 50 {
			run(t, other, "DO 1")
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapInuse > 32<<20 {
			t.Errorf("TLS %t: %d bytes are in use", secure, m.HeapInuse)
		}
		n := 0
		for slow.Next() {
			var i int
			var text []byte
			if err := slow.Scan(&i, &text); err != nil {
				t.Fatal(err)
			}
			if n++; i != n || len(text) != width {
				t.Fatalf("row %d is %d, %d bytes", n, i, len(text))
			}
		}
		if err := slow.Err(); err != nil || n != rows {
			t.Errorf("TLS %t: %d rows, %v", secure, n, err)
		}
		slow.Close()
	}
}

// TestManySessionsInBytesOfAnySize sends commands cut anywhere, on many sessions
// at once, and expects the answers to be those of the commands.
func TestManySessionsInBytesOfAnySize(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	var clients sync.WaitGroup
	for client := range 20 {
		c := wiretest.Dial(t, r.Addr().String(), gomysql.CLIENT_DEPRECATE_EOF)
		random := rand.New(rand.NewPCG(uint64(client), 1))
		const n = 50
		var all []byte
		for i := range n {
			text := bytes.Repeat([]byte("x"), random.IntN(1<<(i%17)))
			all = append(all, wire.AppendQuery(nil, c.Caps, fmt.Sprintf("SELECT %d, LENGTH('%s')", client*n+i, text))...)
		}
		clients.Go(func() {
			for len(all) > 0 {
				k := min(len(all), 1+random.IntN(1<<random.IntN(16)))
				if _, err := c.Conn.Write(all[:k]); err != nil {
					t.Error(err)
					return
				}
				all = all[k:]
			}
		})
		clients.Go(func() {
			response := wire.NewResponse(c.Caps)
			for i := range n {
				var answer []byte
				response.Begin(gomysql.COM_QUERY)
				for event := wire.More; event == wire.More; {
					packet, err := c.TryRead()
					if err != nil {
						t.Error(err)
						return
					}
					answer = append(answer, packet...)
					_, event = response.Feed(packet)
				}
				if got, err := wire.ParseResult(answer, c.Caps); err != nil || *got.Rows[0][0] != fmt.Sprint(client*n+i) {
					t.Errorf("answer %d of client %d: %v, %v", i, client, got, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

// TestBytesSentTogetherWithTheLogin is about what a handshake reads too much of.
func TestBytesSentTogetherWithTheLogin(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withTLS(t))
	for _, secure := range []bool{false, true} {
		var conn net.Conn = r.rawDial(t)
		greeting, err := wire.ParseGreeting(readPacket(t, conn))
		if err != nil {
			t.Fatal(err)
		}
		seq := byte(1)
		caps := uint32(wiretest.BaseCaps) & greeting.Capabilities()
		login := rootLogin(caps)
		if secure {
			caps |= gomysql.CLIENT_SSL
			login = rootLogin(caps)
			request, _ := wire.AppendPacket(nil, seq, login[:32])
			if _, err := conn.Write(request); err != nil {
				t.Fatal(err)
			}
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
			seq++
		}
		all, _ := wire.AppendPacket(nil, seq, login)
		all = append(all, wire.AppendQuery(nil, caps, "SELECT 'early'")...)
		if _, err := conn.Write(all); err != nil {
			t.Fatal(err)
		}
		if ok := readPacket(t, conn); ok[0] != gomysql.OK_HEADER {
			t.Fatalf("login: %q", ok)
		}
		var answer []byte
		for range 5 { // count, column, EOF, row, EOF
			answer = append(answer, readPacket(t, conn)...)
		}
		if !bytes.Contains(answer, []byte("early")) {
			t.Errorf("TLS %t: %q", secure, answer)
		}
		_ = conn.Close()
	}
}

// TestNothingIsLeftOfSessionsThatEnd counts what a session could leave behind.
func TestNothingIsLeftOfSessionsThatEnd(t *testing.T) {
	backend := servertest.Start(t)
	r := start(t, backend)
	direct := servertest.Open(t, backend, "")
	run(t, direct, "DO 1")
	goroutines, files := 0, 0
	const rounds, each = 4, 100
	for round := range rounds {
		for i := range each {
			c := wiretest.Dial(t, r.Addr().String(), 0)
			if i%2 == 0 {
				c.Command(gomysql.COM_QUIT)
				_, _ = io.Copy(io.Discard, c.Conn)
			}
			c.Close()
		}
		eventually(t, direct, "1", "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = 'root'")
		if round == 0 {
			goroutines, files = runtime.NumGoroutine(), openFiles(t)
		}
		for end := time.Now().Add(patience); runtime.NumGoroutine() > goroutines || openFiles(t) > files; run(t, direct, "DO SLEEP(0.005)") {
			if time.Now().After(end) {
				t.Fatalf("round %d: %d goroutines and %d files, were %d and %d", round, runtime.NumGoroutine(), openFiles(t), goroutines, files)
			}
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}

// rootLogin is a login of root without a password.
func rootLogin(caps uint32) []byte {
	p := binary.LittleEndian.AppendUint32(nil, caps)
	p = binary.LittleEndian.AppendUint32(p, 64<<20)
	p = append(append(p, 255), make([]byte, 23)...)
	return append(p, "root\x00\x00"+gomysql.AUTH_CACHING_SHA2_PASSWORD+"\x00"...)
}

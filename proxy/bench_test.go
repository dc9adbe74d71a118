package proxy_test

import (
	"io"
	"net"
	"sync"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire"
	"sluice/internal/wire/wiretest"
)

// BenchmarkPointSelect compares a query through the proxy with the same through
// a relay of bytes that understands nothing, and without any.
func BenchmarkPointSelect(b *testing.B) {
	r := start(b, servertest.Shared(b))
	for _, way := range []struct{ name, addr string }{
		{"direct", r.backend.Addr()},
		{"bytes", startBytes(b, r.backend.Addr())},
		{"proxy", r.Addr().String()},
	} {
		b.Run(way.name, func(b *testing.B) {
			c := wiretest.Dial(b, way.addr, gomysql.CLIENT_DEPRECATE_EOF)
			query := wire.AppendQuery(nil, c.Caps, "SELECT 1")
			c.Write(query)
			answer := make([]byte, len(c.Packets(gomysql.COM_QUERY)))
			b.ReportAllocs()
			for b.Loop() {
				c.Write(query)
				if _, err := io.ReadFull(c.Conn, answer); err != nil {
					b.Fatal(err)
				}
			}
			c.Close()
		})
	}
}

// startBytes relays one connection after another to addr.
func startBytes(b *testing.B, addr string) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var relays sync.WaitGroup
	b.Cleanup(func() {
		listener.Close()
		relays.Wait()
	})
	relays.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", addr)
			if err != nil {
				b.Error(err)
				return
			}
			relays.Go(func() { copyBytes(server, client) })
			relays.Go(func() { copyBytes(client, server) })
		}
	})
	return listener.Addr().String()
}

// copyBytes copies without the shortcuts of io.Copy, as a proxy that looks at
// what it relays has to.
func copyBytes(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func TestQueryAllocatesNothing(t *testing.T) {
	r := start(t, servertest.Shared(t))
	c := wiretest.Dial(t, r.Addr().String(), gomysql.CLIENT_DEPRECATE_EOF)
	query := wire.AppendQuery(nil, c.Caps, "SELECT 1")
	c.Write(query)
	answer := make([]byte, len(c.Packets(gomysql.COM_QUERY)))
	const n = 300
	got := testing.AllocsPerRun(5, func() {
		for range n {
			c.Write(query)
			if _, err := io.ReadFull(c.Conn, answer); err != nil {
				t.Fatal(err)
			}
		}
	})
	if got > n/20 { // something else of the process may allocate meanwhile
		t.Errorf("%v allocations for %d queries", got, n)
	}
}

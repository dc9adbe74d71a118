package wire_test

import (
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/wire"
)

// FuzzResponse checks that an answer ends at the same byte however it is cut.
func FuzzResponse(f *testing.F) {
	rows, _ := wire.AppendResult(nil, 1, current, wire.Result{Columns: []string{"a", "b"}, Rows: [][]*string{{text("x"), nil}}})
	ok, _ := wire.AppendResult(nil, 1, 0, wire.Result{AffectedRows: 1 << 50, Status: mysql.SERVER_MORE_RESULTS_EXISTS})
	f.Add(append(ok, rows...), uint32(current), mysql.COM_QUERY, byte(3))
	f.Add([]byte("\x0c\x00\x00\x01\x00\x01\x00\x00\x00\x01\x00\x01\x00\x00\x00\x00"), uint32(0), mysql.COM_STMT_PREPARE, byte(1))
	f.Add([]byte("\x01\x00\x00\x01\xfb\x00\x00\x00\x02"), uint32(0), mysql.COM_QUERY, byte(2))
	f.Add([]byte("\xff\xff\xff\x01"), uint32(0), mysql.COM_STMT_FETCH, byte(7))
	f.Fuzz(func(t *testing.T, stream []byte, caps uint32, cmd, size byte) {
		if shape := wire.ShapeOf(cmd); shape == wire.Opaque || shape == wire.Silent || size == 0 {
			return
		}
		whole, cut := wire.NewResponse(caps), wire.NewResponse(caps)
		whole.Begin(cmd)
		cut.Begin(cmd)
		for len(stream) > 0 {
			n, event := whole.Feed(stream)
			if event == wire.More && n != len(stream) {
				t.Fatalf("asks for more with %d bytes left", len(stream)-n)
			}
			fed, cutEvent := feed(&cut, stream, int(size))
			if fed != n || cutEvent != event || cut.Status() != whole.Status() || cut.Failed() != whole.Failed() {
				t.Fatalf("whole: event %d at %d, in pieces of %d: %d at %d", event, n, size, cutEvent, fed)
			}
			if event == wire.Done {
				return
			}
			stream = stream[n:]
		}
	})
}

func feed(r *wire.Response, stream []byte, size int) (fed int, event wire.Event) {
	for fed < len(stream) && event == wire.More {
		var n int
		n, event = r.Feed(stream[fed:min(fed+size, len(stream))])
		fed += n
	}
	return fed, event
}

// FuzzParse checks that nothing that a peer can send makes a parser panic, and
// that results and errors survive being written again.
func FuzzParse(f *testing.F) {
	packets, _ := wire.AppendResult(nil, 1, current, wire.Result{Columns: []string{"a"}, Rows: [][]*string{{text("x")}, {nil}}, Info: "i"})
	f.Add(packets, uint32(current))
	f.Add(greeting(), uint32(0))
	f.Add(wire.AbandonedLogin(), uint32(0))
	f.Add([]byte("\xfeplugin\x00salt\x00"), uint32(current))
	f.Add([]byte("\x03\x01\x01\x00\x01\xfd\x00\x01a\x01bDO 1"), uint32(current))
	f.Add([]byte("\xff\x48\x04#HY000message"), uint32(current))
	f.Fuzz(func(t *testing.T, p []byte, caps uint32) {
		if g, err := wire.ParseGreeting(append([]byte(nil), p...)); err == nil {
			g.Offer(g.Capabilities() &^ wire.Unrelayed)
		}
		if l, err := wire.ParseLogin(append([]byte(nil), p...)); err == nil {
			l.SetCapabilities(l.Capabilities())
			_ = l.SSLRequest(caps)
		}
		_, _, _ = wire.ParseAuthSwitch(p)
		_, _, _ = wire.ParseEOF(p)
		_, _ = wire.ParseOK(p, caps)
		if text, ok := wire.QueryText(p, caps); ok && len(text) >= len(p) {
			t.Errorf("text of %d bytes in a payload of %d", len(text), len(p))
		}
		if e, err := wire.ParseError(p); err == nil && e.State != "" {
			again, err := wire.ParseError(wire.AppendError(nil, mysql.CLIENT_PROTOCOL_41, e))
			if err != nil || *again != *e {
				t.Errorf("%v became %v, %v", e, again, err)
			}
		}
		_, _ = wire.ParseResult(p, caps)
	})
}

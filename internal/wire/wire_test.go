package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/wire"
)

const current = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_SESSION_TRACK |
	mysql.CLIENT_OPTIONAL_RESULTSET_METADATA | mysql.CLIENT_QUERY_ATTRIBUTES

func text(s string) *string { return &s }

func TestResultsComeBackAsTheyWereWritten(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), 1<<16))
	results := map[string]wire.Result{
		"empty OK": {Status: mysql.SERVER_STATUS_AUTOCOMMIT},
		"OK":       {AffectedRows: 1 << 40, LastInsertID: 300, Status: 2, Warnings: 7, Info: "Records: 3  Duplicates: 0  Warnings: 0"},
		"no rows":  {Columns: []string{"a"}, Status: 2},
		"rows": {Columns: []string{"a", "ü"}, Status: 2, Warnings: 1, Rows: [][]*string{
			{text(""), nil}, {nil, nil}, {text(long), text("\xfe\xff")},
		}},
		"a row of 16 MiB": {Columns: []string{"a"}, Rows: [][]*string{{text(string(bytes.Repeat([]byte{0xff}, 1<<24)))}}},
	}
	for name, want := range results {
		few := dialects
		if name == "a row of 16 MiB" {
			few = nil // dear, and no dialect treats it in another way
		}
		for _, caps := range append(few, current) {
			caps |= mysql.CLIENT_PROTOCOL_41
			packets, _ := wire.AppendResult(nil, 1, caps, want)
			got, err := wire.ParseResult(packets, caps)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Fatalf("%s under %#x: %v %s", name, caps, err, diff)
			}
			r := wire.NewResponse(caps)
			r.Begin(mysql.COM_QUERY)
			if n, event := r.Feed(packets); event != wire.Done || n != len(packets) || r.Status() != want.Status {
				t.Errorf("%s under %#x: ends at %d of %d with status %#x", name, caps, n, len(packets), r.Status())
			}
		}
	}
}

func TestErrorsComeBackAsTheyWereWritten(t *testing.T) {
	want := &wire.ServerError{Number: 1142, State: "42000", Message: "ALTER command denied"}
	got, err := wire.ParseError(wire.AppendError(nil, current, want))
	if err != nil || *got != *want {
		t.Errorf("got %v, %v", got, err)
	}
	// In the place of a greeting, nothing is agreed on.
	got, err = wire.ParseError(wire.AppendError(nil, 0, want))
	if err != nil || got.State != "" || got.Message != want.Message {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestPacketsOfExactly16MiBAreContinued(t *testing.T) {
	for _, size := range []int{0, 1, wire.MaxPayload - 1, wire.MaxPayload, wire.MaxPayload + 1, 2 * wire.MaxPayload} {
		payload := bytes.Repeat([]byte{0xff}, size)
		packets, seq := wire.AppendPacket(nil, 255, payload)
		if want := byte(255 + 1 + size/wire.MaxPayload); seq != want {
			t.Errorf("%d bytes: next sequence number %d, want %d", size, seq, want)
		}
		got, rest, err := wire.Payload(append(packets, "rest"...))
		if err != nil || !bytes.Equal(got, payload) || string(rest) != "rest" {
			t.Errorf("%d bytes: %d came back, %q left, %v", size, len(got), rest, err)
		}
	}
}

func TestQueryText(t *testing.T) {
	const attributes = mysql.CLIENT_QUERY_ATTRIBUTES
	tests := []struct {
		claim   string
		caps    uint32
		payload string
		text    string
		ok      bool
	}{
		{"without attributes negotiated", 0, "\x03SELECT 1", "SELECT 1", true},
		{"an empty query", 0, "\x03", "", true},
		{"no attributes", attributes, "\x03\x00\x01SELECT 1", "SELECT 1", true},
		{"a text, a number and a NULL", attributes,
			"\x03\x03\x01\x04\x01\xfd\x00\x01a\x08\x00\x01b\x06\x00\x01c" + "\x05hello" + "12345678" + "SELECT 1", "SELECT 1", true},
		{"a time", attributes, "\x03\x01\x01\x00\x01\x0b\x00\x00" + "\x08\x00\x00\x00\x00\x00\x01\x02\x03" + "DO 1", "DO 1", true},
		{"attributes cut short", attributes, "\x03\x01\x01\x00\x01\xfd\x00\x01a\xfc", "", false},
		{"more attributes than bytes", attributes, "\x03\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", "", false},
		{"nothing", attributes, "", "", false},
	}
	for _, test := range tests {
		got, ok := wire.QueryText([]byte(test.payload), test.caps)
		if string(got) != test.text || ok != test.ok {
			t.Errorf("%s: %q, %v", test.claim, got, ok)
		}
	}
}

// greeting is what MySQL 9.7 sends.
func greeting() []byte {
	caps := uint32(0xdfffffff)
	p := append([]byte{10}, "9.7.0\x00"...)
	p = binary.LittleEndian.AppendUint32(p, 4711)
	p = append(p, "saltsalt\x00"...)
	p = binary.LittleEndian.AppendUint16(p, uint16(caps))
	p = append(p, 255, 2, 0)
	p = binary.LittleEndian.AppendUint16(p, uint16(caps>>16))
	p = append(p, 21)
	p = append(p, "\x00\x00\x00\x00\x00\x00mari"...)
	return append(p, "andmoresalt.\x00caching_sha2_password\x00"...)
}

func TestGreetingIsEditedInPlace(t *testing.T) {
	payload := greeting()
	g, err := wire.ParseGreeting(payload)
	if err != nil {
		t.Fatal(err)
	}
	if g.Version != "9.7.0" || g.ConnectionID != 4711 || string(g.Salt) != "saltsaltandmoresalt." || g.Plugin != "caching_sha2_password" {
		t.Errorf("got %+v", g)
	}
	offered := g.Capabilities() &^ wire.Unrelayed
	g.Offer(offered)
	if got := g.Capabilities(); got != offered || got&mysql.CLIENT_COMPRESS != 0 {
		t.Errorf("capabilities %#x, want %#x", got, offered)
	}
	changed := 0
	for i, b := range greeting() {
		if payload[i] != b {
			changed++
		}
	}
	// CLIENT_COMPRESS is in one byte, the upper ones in another; MariaDB's are four.
	if changed != 6 {
		t.Errorf("%d bytes changed, want 6: %q", changed, payload)
	}
}

func TestLoginIsRead(t *testing.T) {
	const caps = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION
	login := func(caps uint32, rest string) []byte {
		p := binary.LittleEndian.AppendUint32(nil, caps)
		return append(append(p, make([]byte, 28)...), rest...)
	}
	tests := []struct {
		claim                        string
		payload                      []byte
		user, auth, database, plugin string
		wrong                        bool
	}{
		{"everything", login(caps|mysql.CLIENT_CONNECT_WITH_DB|mysql.CLIENT_PLUGIN_AUTH, "u\x00\x02ab"+"d\x00p\x00"), "u", "ab", "d", "p", false},
		{"a long proof", login(caps|mysql.CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA|mysql.CLIENT_PLUGIN_AUTH, "u\x00\xfc\x02\x00ab"+"p"), "u", "ab", "", "p", false},
		{"a proof with an end", login(mysql.CLIENT_PROTOCOL_41, "u\x00ab\x00"), "u", "ab", "", "", false},
		{"names that were announced and left out", login(caps|mysql.CLIENT_CONNECT_WITH_DB|mysql.CLIENT_PLUGIN_AUTH, "u\x00\x00"), "u", "", "", "", false},
		{"a proof beyond the end", login(caps, "u\x00\x05ab"), "u", "", "", "", true},
		{"a user without end", login(caps, "uuu"), "", "", "", "", true},
		{"a protocol before 4.1", login(0, "u\x00\x00"), "", "", "", "", true},
		{"nothing", nil, "", "", "", "", true},
	}
	for _, test := range tests {
		l, err := wire.ParseLogin(test.payload)
		if test.wrong {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("%s: %v", test.claim, err)
			}
			continue
		}
		if err != nil || l.User != test.user || string(l.Auth) != test.auth || l.Database != test.database || l.Plugin != test.plugin {
			t.Errorf("%s: %+v, %v", test.claim, l, err)
		}
	}
	if l, err := wire.ParseLogin(wire.AbandonedLogin()); err != nil || l.User != "" || l.IsSSLRequest() {
		t.Errorf("abandoned login: %+v, %v", l, err)
	}
	if l, err := wire.ParseLogin(login(caps|mysql.CLIENT_SSL, "")); err != nil || !l.IsSSLRequest() {
		t.Errorf("request for TLS: %+v, %v", l, err)
	}
}

func BenchmarkResponseOfRows(b *testing.B) {
	row := []*string{text("1234567"), text("some text of forty bytes or thereabouts"), nil}
	r := wire.Result{Columns: []string{"a", "b", "c"}}
	for range 200 {
		r.Rows = append(r.Rows, row)
	}
	packets, _ := wire.AppendResult(nil, 1, current, r)
	b.SetBytes(int64(len(packets)))
	b.ReportAllocs()
	response := wire.NewResponse(current)
	for b.Loop() {
		response.Begin(mysql.COM_QUERY)
		if _, event := response.Feed(packets); event != wire.Done {
			b.Fatal(event)
		}
	}
}

package wire_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire"
	"sluice/internal/wire/wiretest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// dialects are the capabilities that change the shape of answers.
var dialects = []uint32{
	0,
	mysql.CLIENT_DEPRECATE_EOF,
	mysql.CLIENT_OPTIONAL_RESULTSET_METADATA,
	mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_OPTIONAL_RESULTSET_METADATA,
	mysql.CLIENT_DEPRECATE_EOF | mysql.CLIENT_SESSION_TRACK | mysql.CLIENT_QUERY_ATTRIBUTES,
	mysql.CLIENT_SESSION_TRACK,
}

// asked runs commands on a real server and follows their answers. After each it
// pings: an end seen too early leaves packets in front of the ping's OK, an end
// seen too late waits in vain. Each answer is then followed again, cut into
// pieces in many ways.
type asked struct {
	*wiretest.Client
	t        *testing.T
	response wire.Response
}

func (a *asked) ask(cmd byte, args ...byte) []byte {
	a.t.Helper()
	before := a.response.Status()
	packets, event := a.Ask(&a.response, cmd, args...)
	if event != wire.Done {
		a.t.Fatalf("command %#x: event %d", cmd, event)
	}
	status, failed := a.response.Status(), a.response.Failed()
	if packet := a.ping(); packet[wire.HeaderLen] != mysql.OK_HEADER || len(packet) != wire.HeaderLen+7 {
		a.t.Fatalf("command %#x: its answer went on after its end: %q", cmd, packet)
	}
	for size := 1; size < min(len(packets), 40); size++ {
		cut := wire.NewResponse(a.Caps)
		cut.SetStatus(before)
		cut.Begin(cmd)
		for rest := packets; ; {
			chunk := rest[:min(size, len(rest))]
			n, event := cut.Feed(chunk)
			rest = rest[n:]
			if done := event == wire.Done; done != (len(rest) == 0) {
				a.t.Fatalf("command %#x in pieces of %d: event %d with %d bytes left", cmd, size, event, len(rest))
			} else if done {
				break
			}
		}
		if cut.Status() != status || cut.Failed() != failed {
			a.t.Fatalf("command %#x in pieces of %d: status %#x, was %#x", cmd, size, cut.Status(), status)
		}
	}
	return packets
}

func (a *asked) ping() []byte {
	a.Command(mysql.COM_PING)
	return a.Read1()
}

func (a *asked) query(sql string) wire.Result {
	a.t.Helper()
	payload := wire.AppendQuery(nil, a.Caps, sql)[wire.HeaderLen:]
	r, err := wire.ParseResult(a.ask(payload[0], payload[1:]...), a.Caps)
	if err != nil {
		a.t.Fatalf("%s: %v", sql, err)
	}
	return r
}

func TestAnswersEndWhereTheServerEndsThem(t *testing.T) {
	server := servertest.Shared(t)
	name, _ := servertest.Database(t, server)
	for _, dialect := range dialects {
		t.Run(fmt.Sprintf("%#x", dialect), func(t *testing.T) {
			client := wiretest.Dial(t, server.Addr(), dialect)
			a := &asked{Client: client, t: t, response: wire.NewResponse(client.Caps)}
			a.ask(mysql.COM_INIT_DB, []byte(name)...)
			a.queries()
			a.statements()
			a.others(name)
		})
	}
}

func (a *asked) queries() {
	t := a.t
	a.query("DROP TABLE IF EXISTS t")
	if r := a.query("CREATE TABLE t (id INT PRIMARY KEY, b LONGBLOB)"); r.Columns != nil {
		t.Errorf("columns %q", r.Columns)
	}
	if r := a.query("INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, '')"); r.AffectedRows != 3 || !strings.HasPrefix(r.Info, "Records: 3") {
		t.Errorf("insert: %+v", r)
	}
	if a.response.Status()&mysql.SERVER_STATUS_IN_TRANS != 0 {
		t.Error("in a transaction without BEGIN")
	}
	a.query("BEGIN")
	a.query("SELECT * FROM t")
	if a.response.Status()&mysql.SERVER_STATUS_IN_TRANS == 0 {
		t.Error("not in a transaction after BEGIN")
	}
	a.query("COMMIT")
	r := a.query("SELECT id, b AS c FROM t ORDER BY id")
	if len(r.Rows) != 3 || r.Rows[1][1] != nil || *r.Rows[0][1] != "a" || *r.Rows[2][1] != "" || fmt.Sprint(r.Columns) != "[id c]" {
		t.Errorf("rows: %v %v", r.Columns, r.Rows)
	}
	a.query("SELECT * FROM t WHERE FALSE")
	a.query("SELECT 1; DO 2; SELECT 3")
	a.query("SELECT REPEAT('x', 300), REPEAT(0xfeff, 100000), '', REPEAT('y', 250)")
	a.query("SET autocommit = 1, time_zone = '+00:00'")
	wrong := wire.AppendQuery(nil, a.Caps, "SELECT 1; SELECT wrong; SELECT 2")[wire.HeaderLen:]
	if a.ask(wrong[0], wrong[1:]...); !a.response.Failed() {
		t.Error("an error in the second statement is not seen")
	}
	if a.Caps&mysql.CLIENT_OPTIONAL_RESULTSET_METADATA != 0 {
		// The text goes by hand: without definitions, ParseResult cannot read it.
		for _, sql := range []string{"SET resultset_metadata = NONE", "SELECT 1, 2, 3", "SELECT id FROM t; SELECT 1", "SET resultset_metadata = FULL"} {
			a.ask(mysql.COM_QUERY, wire.AppendQuery(nil, a.Caps, sql)[wire.HeaderLen+1:]...)
		}
	}
}

func (a *asked) statements() {
	prepare := func(sql string) []byte {
		a.ask(mysql.COM_STMT_PREPARE, []byte(sql)...)
		return binary.LittleEndian.AppendUint32(nil, a.response.StatementID())
	}
	execute := func(id []byte, flags byte) {
		args := append(bytes.Clone(id), flags, 1, 0, 0, 0)
		a.ask(mysql.COM_STMT_EXECUTE, args...)
	}
	plain := prepare("SELECT * FROM t")
	execute(plain, 0)
	a.ask(mysql.COM_STMT_RESET, plain...)
	execute(plain, 1) // with a cursor
	if a.response.Status()&mysql.SERVER_STATUS_CURSOR_EXISTS == 0 {
		a.t.Error("no cursor")
	}
	for range 3 {
		a.ask(mysql.COM_STMT_FETCH, append(bytes.Clone(plain), 2, 0, 0, 0)...)
	}
	a.Command(mysql.COM_STMT_CLOSE, plain...)
	for _, sql := range []string{"SELECT ?, ?", "DO 1", "SELECT 1, 2, 3 FROM t WHERE id = ?", "INSERT INTO t VALUES (?, ?)", "SELECT wrong"} {
		prepare(sql)
	}
	execute(prepare("DO 1"), 0)
}

func (a *asked) others(database string) {
	a.ask(mysql.COM_STATISTICS)
	a.ask(mysql.COM_FIELD_LIST, []byte("t\x00")...)
	a.ask(mysql.COM_FIELD_LIST, []byte("no_such_table\x00")...)
	a.ask(mysql.COM_SET_OPTION, 0, 0)
	a.ask(mysql.COM_DEBUG)
	a.ask(mysql.COM_RESET_CONNECTION)
	a.ask(mysql.COM_INIT_DB, []byte("no_such_database")...)
	a.changeUser(database)
}

// changeUser logs in as root again, who has no password; the server asks for
// the other method first.
func (a *asked) changeUser(database string) {
	args := append([]byte("root\x00\x00"+database+"\x00"), 255, 0)
	args = append(args, "mysql_clear_password\x00"...)
	packets, event := a.Ask(&a.response, mysql.COM_CHANGE_USER, args...)
	for ; event == wire.Challenge; packets, event = a.Rest(&a.response) {
		empty, _ := wire.AppendPacket(nil, wire.Sequence(packets)+1, nil)
		a.Write(empty)
	}
	if event != wire.Done || a.response.Failed() {
		a.t.Errorf("change user: event %d, %q", event, packets)
	}
	if packet := a.ping(); packet[wire.HeaderLen] != mysql.OK_HEADER {
		a.t.Errorf("after change user: %q", packet)
	}
}

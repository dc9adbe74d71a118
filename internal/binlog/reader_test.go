package binlog

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// following is a reader that runs, and a database to write to.
type following struct {
	t        *testing.T
	reader   *Reader
	db       *sql.DB
	database string
}

func follow(t *testing.T, server *mysqltest.Server) *following {
	t.Helper()
	f := &following{t: t}
	f.database, f.db = servertest.Database(t, server)
	host, port, _ := net.SplitHostPort(server.Addr())
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	f.reader = New(Config{Host: host, Port: uint16(n), User: "root", Logger: slog.New(slog.DiscardHandler), Current: f.end})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.reader.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *following) end(ctx context.Context) (Position, error) {
	var p Position
	var a, b, c sql.NullString
	err := f.db.QueryRowContext(ctx, "SHOW BINARY LOG STATUS").Scan(&p.File, &p.Offset, &a, &b, &c)
	return p, err
}

func (f *following) exec(statements ...string) {
	f.t.Helper()
	conn, err := f.db.Conn(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	for _, s := range statements {
		if _, err := conn.ExecContext(f.t.Context(), s); err != nil {
			f.t.Fatalf("%s: %v", s, err)
		}
	}
	// What a statement has set must not come back with the pool.
	conn.Raw(func(any) error { return fmt.Errorf("closed") })
}

// subscribe follows a table of two columns by its first one.
func (f *following) subscribe(table string, from Position, statement func(string, string) error) *Feed {
	f.t.Helper()
	feed, err := f.reader.Subscribe(f.t.Context(), Subscription{
		Schema: f.database, Table: table, Columns: 2, From: from, Statement: statement,
		Key: func(row []any, present func(int) bool) (string, error) {
			if !present(0) {
				return "", ErrKeyNotLogged
			}
			return fmt.Sprint(row[0]), nil
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(feed.Close)
	return feed
}

// keys waits until all that is committed has been read, and takes it.
func (f *following) keys(feed *Feed) (string, error) {
	f.t.Helper()
	end, err := f.end(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	deadline := time.After(30 * time.Second)
	got := map[string]Position{}
	for {
		changed := f.reader.Changed()
		batch, err := feed.Take()
		if err != nil {
			return "", err
		}
		maps.Copy(got, batch.Keys)
		if feed.Applied().Compare(end) >= 0 {
			return strings.Join(slices.Sorted(maps.Keys(got)), " "), nil
		}
		select {
		case <-changed:
		case <-deadline:
			f.t.Fatalf("the log was read up to %s only, and ends at %s", f.reader.Position(), end)
		}
	}
}

func (f *following) expect(feed *Feed, what, want string) {
	f.t.Helper()
	if got, err := f.keys(feed); err != nil || got != want {
		f.t.Errorf("%s: keys %q, %v; want %q", what, got, err, want)
	}
}

func TestReaderHearsOfEveryChange(t *testing.T) {
	f := follow(t, servertest.Shared(t))
	f.exec("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))", "CREATE TABLE u (id INT PRIMARY KEY, v VARCHAR(20))", "INSERT INTO t VALUES (99, 'before')")
	feed, other := f.subscribe("t", Position{}, nil), f.subscribe("u", Position{}, nil)
	if _, err := f.keys(feed); err != nil {
		t.Fatal(err)
	}
	f.exec("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	f.expect(feed, "insert", "1 2 3")
	f.exec("UPDATE t SET v = 'x' WHERE id < 3")
	f.expect(feed, "update", "1 2")
	f.exec("UPDATE t SET id = 30 WHERE id = 3")
	f.expect(feed, "change of the key", "3 30")
	f.exec("DELETE FROM t WHERE id = 1")
	f.expect(feed, "delete", "1")
	f.exec("BEGIN", "INSERT INTO t VALUES (5, 'e')", "SAVEPOINT s", "INSERT INTO t VALUES (6, 'f')", "ROLLBACK TO s", "INSERT INTO t VALUES (7, 'g')", "COMMIT")
	f.expect(feed, "transaction", "5 7")
	f.exec("BEGIN", "INSERT INTO t VALUES (8, 'h')", "ROLLBACK")
	f.expect(feed, "rolled back", "")
	f.exec("SET SESSION binlog_row_image = 'MINIMAL'", "UPDATE t SET v = 'y' WHERE id = 2", "UPDATE t SET id = 50 WHERE id = 5")
	f.expect(feed, "minimal images", "2 5 50")
	f.exec("SET SESSION binlog_transaction_compression = ON", "BEGIN", "INSERT INTO t VALUES (60, 'l')", "UPDATE t SET v = 'm' WHERE id = 7", "COMMIT")
	f.expect(feed, "compressed transaction", "60 7")
	f.exec("FLUSH BINARY LOGS")
	f.expect(feed, "an idle server with a new file", "")
	f.exec("INSERT INTO t VALUES (61, 'n')", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (62, 'o')")
	f.expect(feed, "new files", "61 62")
	f.expect(other, "another table", "")
	f.exec("INSERT INTO u VALUES (1, 'a')")
	f.expect(other, "the other table", "1")
}

func TestReaderGoesOnWhenItsConnectionIsKilled(t *testing.T) {
	f := follow(t, servertest.Shared(t))
	f.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	feed := f.subscribe("t", Position{}, nil)
	for i := range 5 {
		f.exec(fmt.Sprintf("INSERT INTO t VALUES (%d, 0)", i))
		f.expect(feed, "before the kill", fmt.Sprint(i))
		var id int64
		if err := f.db.QueryRow("SELECT ID FROM performance_schema.processlist WHERE COMMAND LIKE 'Binlog Dump%' ORDER BY ID DESC LIMIT 1").Scan(&id); err != nil {
			t.Fatal(err)
		}
		f.exec(fmt.Sprintf("KILL %d", id), fmt.Sprintf("INSERT INTO t VALUES (%d, 0)", 100+i))
		f.expect(feed, "after the kill", fmt.Sprint(100+i))
	}
}

func TestReaderGoesBackForALaterSubscriber(t *testing.T) {
	f := follow(t, servertest.Shared(t))
	f.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	from, err := f.end(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	feed := f.subscribe("t", Position{}, nil)
	f.exec("INSERT INTO t VALUES (1, 0)")
	f.expect(feed, "the first", "1")
	second := f.subscribe("t", from, nil)
	f.expect(second, "the second, from before", "1")
	f.exec("INSERT INTO t VALUES (2, 0)")
	f.expect(second, "the second, further on", "2")
	if got, err := f.keys(feed); err != nil || !strings.HasSuffix(got, "2") {
		t.Errorf("the first, further on: %q, %v", got, err)
	}
	feed.Close()
	second.Close()
	f.exec("INSERT INTO t VALUES (3, 0)")
	third := f.subscribe("t", from, nil)
	f.expect(third, "a third, after all had gone", "1 2 3")
}

func TestReaderTellsOfStatements(t *testing.T) {
	f := follow(t, servertest.Shared(t))
	f.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	var seen atomic.Value
	feed := f.subscribe("t", Position{}, func(schema, query string) error {
		if strings.HasPrefix(query, "TRUNCATE") {
			seen.Store(schema)
			return fmt.Errorf("truncated")
		}
		return nil
	})
	f.exec("INSERT INTO t VALUES (1, 0)", "TRUNCATE TABLE t")
	if _, err := f.keys(feed); err == nil || err.Error() != "truncated" {
		t.Errorf("the feed ends with %v", err)
	}
	if seen.Load() != f.database {
		t.Errorf("the statement's default schema is %v", seen.Load())
	}
}

func TestReaderRefusesWhatItCannotFollow(t *testing.T) {
	t.Run("partial JSON", func(t *testing.T) {
		f := follow(t, servertest.Shared(t))
		f.exec("CREATE TABLE t (id INT PRIMARY KEY, v JSON)", "INSERT INTO t VALUES (1, '{\"a\": \"a long enough text\", \"b\": 2}')")
		feed := f.subscribe("t", Position{}, nil)
		f.exec("SET SESSION binlog_row_value_options = 'PARTIAL_JSON'", "UPDATE t SET v = JSON_SET(v, '$.b', 3)")
		if _, err := f.keys(feed); err != errPartialJSON {
			t.Errorf("the feed ends with %v", err)
		}
	})
	t.Run("purged log", func(t *testing.T) {
		f := follow(t, servertest.Start(t))
		f.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
		from, err := f.end(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.exec("FLUSH BINARY LOGS")
		end, err := f.end(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f.exec("PURGE BINARY LOGS TO '" + end.File + "'")
		feed := f.subscribe("t", from, nil)
		if _, err := f.keys(feed); err == nil || !strings.Contains(err.Error(), "1236") {
			t.Errorf("the feed ends with %v", err)
		}
	})
}

func TestReaderNeedsNoGTIDs(t *testing.T) {
	f := follow(t, servertest.Start(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"))
	f.exec("CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	feed := f.subscribe("t", Position{}, nil)
	f.exec("INSERT INTO t VALUES (1, 0)", "FLUSH BINARY LOGS")
	f.expect(feed, "insert", "1")
	f.exec("BEGIN", "INSERT INTO t VALUES (2, 0)", "DELETE FROM t WHERE id = 1", "COMMIT")
	f.expect(feed, "transaction", "1 2")
}

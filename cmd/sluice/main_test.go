package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
	"sluice/migrator"
)

// asProgram makes the test binary behave as the program: tests that kill Sluice
// need it as a process of its own.
const asProgram = "SLUICE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:]))
	}
	// Making a certificate takes its time: the tests share one.
	dir, err := os.MkdirTemp("", "sluice-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	certificates = dir
	code := servertest.Run(m)
	os.RemoveAll(dir)
	os.Exit(code)
}

// certificates is the folder of the tests' certificate.
var certificates string

// program is Sluice with these arguments, to be started by the test.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// The accounts of the tests. Sluice is told of its own only.
const (
	sluicePassword = "sluice-secret"
	appPassword    = "app-secret"
)

var accounts sync.Map // *mysqltest.Server → *sync.Once

// prepareAccounts creates the accounts on the server, once.
func prepareAccounts(t *testing.T, server *mysqltest.Server) {
	t.Helper()
	once, _ := accounts.LoadOrStore(server, &sync.Once{})
	once.(*sync.Once).Do(func() {
		admin := servertest.Open(t, server, "")
		statements := []string{
			"CREATE USER sluice@'%' IDENTIFIED BY '" + sluicePassword + "'",
			"CREATE USER app@'%' IDENTIFIED BY '" + appPassword + "'",
			"GRANT ALL ON `test\\_%`.* TO app@'%'",
			"GRANT SELECT ON sluice.* TO app@'%'",
		}
		for _, s := range append(statements, migrator.PrivilegeStatements("sluice@'%'")...) {
			if _, err := admin.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	})
}

// world is a server, a Sluice in this process in front of it, and a database.
type world struct {
	t        *testing.T
	server   *mysqltest.Server
	database string
	direct   *sql.DB // root, on the server itself
	// twin is a second database, in which the server alters natively what
	// Sluice alters in the first. The tables have the same names: constraints
	// must have them too.
	twin         *sql.DB
	twinDatabase string
	instance     *instance
	log          *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func passwordFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(sluicePassword+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// newWorld starts Sluice in front of the shared server, or of the one given.
func newWorld(t *testing.T, server *mysqltest.Server) *world {
	t.Helper()
	if server == nil {
		server = servertest.Shared(t)
	}
	prepareAccounts(t, server)
	w := &world{t: t, server: server, log: &lockedBuffer{}}
	w.database, w.direct = servertest.Database(t, server)
	w.twinDatabase, w.twin = servertest.Database(t, server)
	c := defaultConfig()
	c.Listen, c.Backend, c.PasswordFile, c.StateDir = "127.0.0.1:0", server.Addr(), passwordFile(t), certificates
	c.DrainTimeout = duration{time.Second}
	var err error
	w.instance, err = newInstance(t.Context(), &c, slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.instance.run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("sluice: %v", err)
		}
		if t.Failed() {
			t.Logf("log of Sluice:\n%s", w.log)
		}
	})
	w.eventually("Sluice is ready", func() bool { return w.instance.migrator.Ready(t.Context()) == nil })
	return w
}

// eventually waits until what is said holds.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	eventually(w.t, what, holds)
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("after a minute it is still not so that %s", what)
		}
	}
}

// through opens the test's database through Sluice, as an account that Sluice
// does not know.
func (w *world) through() *sql.DB {
	w.t.Helper()
	return openAs(w.t, "app", appPassword, w.instance.proxy.Addr().String(), w.database)
}

func openAs(t *testing.T, user, password, addr, database string) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = user, password, "tcp", addr, database
	c.Params = map[string]string{"charset": "utf8mb4"}
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// client is one connection through Sluice.
func (w *world) client(settings ...string) *sql.Conn {
	w.t.Helper()
	return connection(w.t, w.through(), settings...)
}

func connection(t *testing.T, db *sql.DB, settings ...string) *sql.Conn {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, s := range settings {
		execute(t, conn, s)
	}
	return conn
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func execute(t *testing.T, c execer, statement string, args ...any) sql.Result {
	t.Helper()
	result, err := c.ExecContext(t.Context(), statement, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", statement, err)
	}
	return result
}

// table reads an answer as text, a line for each row.
func table(t *testing.T, c queryer, query string, args ...any) []string {
	t.Helper()
	rows, err := c.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		cells := make([]string, len(values))
		for i, v := range values {
			cells[i] = v.String
			if !v.Valid {
				cells[i] = "NULL"
			}
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%.200s: %v", query, err)
	}
	return lines
}

func value(t *testing.T, c queryer, query string, args ...any) string {
	t.Helper()
	lines := table(t, c, query, args...)
	if len(lines) != 1 {
		t.Fatalf("%.200s: %d rows", query, len(lines))
	}
	return lines[0]
}

// phases is the path of the last migration of a table.
func (w *world) phases(name string) string {
	w.t.Helper()
	return value(w.t, w.direct, `SELECT GROUP_CONCAT(t.to_phase ORDER BY t.id SEPARATOR ' ') FROM sluice.transitions t
		WHERE t.migration_id = (SELECT MAX(id) FROM sluice.migrations WHERE table_schema = ? AND table_name = ?)`, w.database, name)
}

const wholePath = "preparing copying verifying ready swapping cleaning done"

// assertNoTrace fails where anything of Sluice's is left but its records.
func (w *world) assertNoTrace(tables ...string) {
	w.t.Helper()
	if got := table(w.t, w.direct, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'sluice\\_%'"); len(got) > 0 {
		w.t.Errorf("schemas are left: %v", got)
	}
	got := table(w.t, w.direct, "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? ORDER BY 1", w.database)
	if fmt.Sprint(got) != fmt.Sprint(tables) {
		w.t.Errorf("the schema holds %v, want %v", got, tables)
	}
}

func errorText(err error) string {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return fmt.Sprintf("%d (%s) %s", e.Number, e.SQLState[:], e.Message)
	}
	return fmt.Sprint(err)
}

package proxy_test

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
	"sluice/proxy"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// patience bounds every wait for something that is going to happen.
const patience = 20 * time.Second

// relay is a proxy that runs in front of a server.
type relay struct {
	*proxy.Server
	backend *mysqltest.Server
	stop    func() error // drains and returns what Run returned
}

// start runs a proxy in front of backend until the test ends.
func start(t testing.TB, backend *mysqltest.Server, change ...func(*proxy.Config)) *relay {
	t.Helper()
	config := proxy.Config{Listen: "127.0.0.1:0", Backend: backend.Addr()}
	for _, c := range change {
		c(&config)
	}
	server, err := proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var runErr error
	go func() {
		defer close(ended)
		runErr = server.Run(ctx)
	}()
	r := &relay{Server: server, backend: backend, stop: func() error {
		cancel()
		<-ended
		return runErr
	}}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return r
}

func withAlterer(a proxy.Alterer) func(*proxy.Config) {
	return func(c *proxy.Config) { c.Alterer = a }
}

// certificate is made once: RSA keys take their time under the race detector.
var certificate struct {
	once sync.Once
	tls.Certificate
	err error
}

func withTLS(t testing.TB) func(*proxy.Config) {
	t.Helper()
	certificate.once.Do(func() {
		certificate.Certificate, certificate.err = proxy.LoadOrCreateCertificate(t.TempDir())
	})
	if certificate.err != nil {
		t.Fatal(certificate.err)
	}
	return func(c *proxy.Config) { c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate.Certificate}} }
}

// config connects root to a database through the proxy.
func (r *relay) config(database string) *mysql.Config {
	c := r.backend.Config()
	c.Net, c.Addr, c.DBName = "tcp", r.Addr().String(), database
	return c
}

// open returns a pool through the proxy.
func (r *relay) open(t *testing.T, c *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

// conn returns one connection of root's through the proxy.
func (r *relay) conn(t *testing.T, database string) *sql.Conn {
	t.Helper()
	conn, err := r.open(t, r.config(database)).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func one[T any](t *testing.T, db querier, query string, args ...any) (v T) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func run(t *testing.T, db querier, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// number returns the number of the server's error in err, 0 if there is none.
func number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// eventually waits until what it asks the server for is so.
func eventually(t *testing.T, db querier, want string, query string, args ...any) {
	t.Helper()
	var got string
	for end := time.Now().Add(patience); time.Now().Before(end); {
		err := db.QueryRowContext(t.Context(), query, args...).Scan(&got)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		run(t, db, "DO SLEEP(0.005)")
	}
	t.Fatalf("%s %v: %q, want %q", query, args, got, want)
}

// rawDial connects to the proxy without the protocol.
func (r *relay) rawDial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// withDial makes the server unreachable.
func withDial(err error) func(*proxy.Config) {
	return func(c *proxy.Config) {
		c.Dial = func(context.Context) (net.Conn, error) { return nil, err }
	}
}

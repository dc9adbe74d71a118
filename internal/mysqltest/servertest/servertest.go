// Package servertest gives tests their real MySQL server.
//
// A package that needs one has this TestMain, and is checked for leaked
// goroutines by it as well:
//
//	func TestMain(m *testing.M) { servertest.Main(m) }
//
// Its tests share one server, started by the first that asks for it, and keep out
// of each other's way by a database each:
//
//	name, db := servertest.Database(t, servertest.Shared(t))
//
// A test that restarts its server, or wants other settings, starts its own with
// [Start]. All of it may be used by parallel tests.
package servertest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/internal/mysqltest"
)

// noServerEnv, when set, skips the tests that need a server.
const noServerEnv = "SLUICE_TEST_NO_SERVER"

const dropTimeout = 30 * time.Second

var shared struct {
	once   sync.Once
	server *mysqltest.Server
	err    error
}

// Main runs the tests of a package and exits.
func Main(m *testing.M) { os.Exit(Run(m)) }

// Run is Main for a TestMain that has something to clean up itself; it returns
// the exit status. It fails the tests if the shared server cannot be stopped or
// a goroutine is left.
func Run(m *testing.M) int {
	code := m.Run()
	if shared.server != nil {
		if err := shared.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop the shared server:", err)
			code = 1
		}
	}
	if code == 0 { // a failed test may well have left some, and says more
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left by the tests:", err)
			code = 1
		}
	}
	return code
}

// Shared is the server that the tests of this package share. A test may change
// what it creates there itself, not the server's settings.
func Shared(tb testing.TB) *mysqltest.Server {
	tb.Helper()
	skipWithoutServer(tb)
	shared.once.Do(func() {
		shared.server, shared.err = mysqltest.Start(context.Background(), mysqltest.Options{Progress: os.Stderr})
	})
	if shared.err != nil {
		tb.Fatalf("start the shared server: %v", shared.err)
	}
	return shared.server
}

// Start starts a server for this test alone, with args added to its command
// line, and stops it when the test ends.
func Start(tb testing.TB, args ...string) *mysqltest.Server {
	tb.Helper()
	skipWithoutServer(tb)
	server, err := mysqltest.Start(tb.Context(), mysqltest.Options{Args: args, Progress: os.Stderr})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return server
}

// Database creates an empty database for this test and opens it as root. It is
// dropped when the test ends.
func Database(tb testing.TB, server *mysqltest.Server) (name string, db *sql.DB) {
	tb.Helper()
	name = "test_" + strings.ToLower(rand.Text()[:10])
	admin := Open(tb, server, "")
	if _, err := admin.Exec("CREATE DATABASE " + name); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		// Bounded: a transaction that the test left open would block it for a year.
		ctx, cancel := context.WithTimeout(context.Background(), dropTimeout)
		defer cancel()
		if _, err := admin.ExecContext(ctx, "DROP DATABASE IF EXISTS "+name); err != nil {
			tb.Errorf("drop the test's database: %v", err)
		}
	})
	return name, Open(tb, server, name)
}

// Open opens a database of the server as root, until the test ends.
func Open(tb testing.TB, server *mysqltest.Server, database string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("mysql", server.DSN(database))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close the test's connections: %v", err)
		}
	})
	return db
}

func skipWithoutServer(tb testing.TB) {
	tb.Helper()
	if os.Getenv(noServerEnv) != "" {
		tb.Skip("needs a MySQL server, and " + noServerEnv + " is set")
	}
}

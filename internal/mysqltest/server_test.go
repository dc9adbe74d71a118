package mysqltest_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
)

// hostEnv makes the test binary start a server, tell where it is, and wait.
const hostEnv = "MYSQLTEST_HOST"

func TestMain(m *testing.M) {
	if os.Getenv(hostEnv) != "" {
		host()
	}
	servertest.Main(m)
}

func TestServerAnswersOverTLSAndSocket(t *testing.T) {
	server := servertest.Shared(t)
	for _, c := range []struct {
		way   string
		tls   string
		net   string
		addr  string
		isTLS bool
	}{
		{"plain TCP", "", "tcp", server.Addr(), false},
		{"TLS", "skip-verify", "tcp", server.Addr(), true},
		{"socket", "", "unix", server.Socket(), false},
	} {
		config := server.Config()
		config.TLSConfig, config.Net, config.Addr = c.tls, c.net, c.addr
		var name, cipher string
		if err := open(t, config).QueryRow("SHOW STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil {
			t.Errorf("%s: %v", c.way, err)
		} else if (cipher != "") != c.isTLS {
			t.Errorf("%s: cipher %q", c.way, cipher)
		}
	}
}

func TestServerLogsRowsWithGTIDsUnlessToldOtherwise(t *testing.T) {
	usual := servertest.Open(t, servertest.Shared(t), "")
	if got, want := settings(t, usual), "1 ON ROW FULL 1"; got != want {
		t.Errorf("usual settings: %s, want %s", got, want)
	}
	other := servertest.Open(t, servertest.Start(t, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--server-id=7"), "")
	if got, want := settings(t, other), "1 OFF ROW FULL 7"; got != want {
		t.Errorf("settings asked for: %s, want %s", got, want)
	}
	if one, two := uuid(t, usual), uuid(t, other); one == two {
		t.Errorf("both servers have the UUID %s", one)
	}
}

func TestRestartKeepsDataAndAddress(t *testing.T) {
	server := servertest.Start(t)
	addr := server.Addr()
	db := servertest.Open(t, server, "")
	for _, sql := range []string{"CREATE DATABASE d", "CREATE TABLE d.t (n INT)", "INSERT INTO d.t VALUES (1)"} {
		if _, err := db.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		how string
		end func() error
	}{
		{"running", func() error { return nil }},
		{"shut down", func() error { return server.Shutdown(t.Context()) }},
		{"killed", server.Kill},
		{"killed twice", func() error { return errors.Join(server.Kill(), server.Kill()) }},
	} {
		if err := c.end(); err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.how, err)
		}
		var rows int
		if err := servertest.Open(t, server, "").QueryRow("SELECT COUNT(*) FROM d.t").Scan(&rows); err != nil || rows != 1 {
			t.Errorf("%s: %d rows after the restart (%v), want 1", c.how, rows, err)
		}
		if server.Addr() != addr {
			t.Errorf("%s: moved from %s to %s", c.how, addr, server.Addr())
		}
	}
}

func TestStopLeavesNoServerAndNoFolder(t *testing.T) {
	servertest.Shared(t) // skips where there is no server
	server, err := mysqltest.Start(t.Context(), mysqltest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pid := pidOf(t, server.Socket())
	if err := errors.Join(server.Stop(), server.Stop()); err != nil {
		t.Errorf("stop, twice: %v", err)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Errorf("process %d is alive", pid)
	}
	if _, err := os.Stat(filepath.Dir(server.Socket())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
	if conn, err := net.Dial("tcp", server.Addr()); err == nil {
		conn.Close()
		t.Errorf("something still listens at %s", server.Addr())
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	servertest.Shared(t)
	server, err := mysqltest.Start(t.Context(), mysqltest.Options{Args: []string{"--no-such-option"}})
	if err == nil {
		server.Stop()
		t.Fatal("it started")
	}
	if want := "unknown option '--no-such-option'"; !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want the server's own line: %s", err, want)
	}
}

func TestClientRunsTheShell(t *testing.T) {
	out, err := servertest.Shared(t).Client("--batch", "--skip-column-names", "--execute=SELECT 'hello', @@port").CombinedOutput()
	_, port, _ := net.SplitHostPort(servertest.Shared(t).Addr())
	if got, want := string(out), "hello\t"+port+"\n"; err != nil || got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
}

func TestServerDiesWithTheProcessThatStartedIt(t *testing.T) {
	servertest.Shared(t)
	host := exec.Command(os.Args[0])
	host.Env = append(os.Environ(), hostEnv+"=1")
	host.Stderr = os.Stderr
	out, err := host.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Start(); err != nil {
		t.Fatal(err)
	}
	socket, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(errors.Join(err, host.Wait()))
	}
	socket = strings.TrimSpace(socket)
	pid := pidOf(t, socket)
	if err := host.Process.Kill(); err != nil { // kill -9: it cannot clean up
		t.Fatal(err)
	}
	host.Wait() // says that it was killed

	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		running, folder := syscall.Kill(pid, 0) == nil, exists(filepath.Dir(socket))
		if !running && !folder {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("30 s after the death of its host: server %d running: %v, folder left: %v", pid, running, folder)
		}
	}
}

// host starts a server, prints its socket's path and waits to be killed.
func host() {
	server, err := mysqltest.Start(context.Background(), mysqltest.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(server.Socket())
	select {}
}

func open(t *testing.T, config *mysql.Config) *sql.DB {
	t.Helper()
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	return db
}

func settings(t *testing.T, db *sql.DB) string {
	t.Helper()
	var s string
	if err := db.QueryRow("SELECT CONCAT_WS(' ', @@log_bin, @@gtid_mode, @@binlog_format, @@binlog_row_image, @@server_id)").Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func uuid(t *testing.T, db *sql.DB) string {
	t.Helper()
	var s string
	if err := db.QueryRow("SELECT @@server_uuid").Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// pidOf reads the process id of the server whose socket this is.
func pidOf(t *testing.T, socket string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(filepath.Dir(socket), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

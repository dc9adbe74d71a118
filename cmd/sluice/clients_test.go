//go:build clients

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/mysqltest/servertest"
)

// login is an account that Sluice was never told of, the way to connect, and the
// file with the numbers 1 to 1000.
type login struct {
	host, port, user, password, database string
	tls                                  bool
	file                                 string
}

// leg names the way for the client scripts.
func (l login) leg() string {
	if l.tls {
		return "tls"
	}
	return "plain"
}

// clientTables are what the clients find.
var clientTables = []string{
	"CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(100) NOT NULL, n INT NOT NULL) CHARACTER SET utf8mb4",
	"CREATE TABLE blobs (id INT AUTO_INCREMENT PRIMARY KEY, body LONGBLOB)",
	"CREATE TABLE numbers (n INT PRIMARY KEY)",
}

// blobPiece, so many times, is the blob of 20 MB.
const (
	blobPiece  = "0123456789"
	blobPieces = 2_000_000
)

// TestClients sends real clients through Sluice, with TLS and without, each as a
// fresh account: its first connection is a full caching_sha2_password
// authentication, the second one a fast one. Each, in this order:
//
//   - asks the server whether the connection is encrypted;
//   - inserts the note ('prepared 🐬', 1) by a prepared statement, of its own if it
//     has them, rolls one back, and commits ('committed', 3);
//   - is refused a table that does not exist;
//   - writes a blob of 20 MB and reads it back;
//   - sends SELECT 1; DO 1; SELECT 2 as one text and reads both rows;
//   - loads the file of numbers by LOAD DATA LOCAL, and reads it by a cursor of the
//     server's or, where the client has none, row by row as they come;
//   - waits for a lock that its second connection has, which ends that by KILL QUERY;
//   - alters the table online, and reads it on another connection.
//
// A script gets host, port, user, password, database, tls or plain, and the file.
// It says nothing, or what went wrong.
func TestClients(t *testing.T) {
	server := servertest.Start(t, "--local-infile=ON")
	clients := []struct {
		name string
		run  func(*testing.T, *world, login)
	}{
		{"mysql shell", mysqlShell},
		{"mariadb shell", mariadbShell},
		{"go-sql-driver", goDriver},
		{"node mysql2", script("node", "mysql2_client.mjs")},
		{"PyMySQL", script("/usr/bin/python3", "pymysql_client.py")},
		{"PHP mysqli", script("php", "-d", "mysqli.allow_local_infile=On", "mysqli_client.php")},
		{"Perl DBD-MariaDB", script("/usr/bin/perl", "dbd_mariadb_client.pl")},
		{"Ruby mysql2", script("/usr/bin/ruby", "mysql2_client.rb")},
		{"MariaDB Connector-J", script("java", "-cp", "/usr/share/java/mariadb-java-client.jar", "ConnectorJ.java")},
	}
	var numbers strings.Builder
	for n := range 1000 {
		fmt.Fprintln(&numbers, n+1)
	}
	file := filepath.Join(t.TempDir(), "numbers")
	if err := os.WriteFile(file, []byte(numbers.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		for _, tls := range []bool{true, false} {
			l := login{user: fmt.Sprintf("client_%d_%t", i, tls), password: fmt.Sprintf("pass word %d!", i), tls: tls, file: file}
			t.Run(c.name+"/"+l.leg(), func(t *testing.T) {
				w := newWorld(t, server)
				l.host, l.port, _ = net.SplitHostPort(w.instance.proxy.Addr().String())
				l.database = w.database
				execute(t, w.direct, "CREATE USER "+l.user+" IDENTIFIED WITH caching_sha2_password BY '"+l.password+"'")
				t.Cleanup(func() { w.direct.Exec("DROP USER " + l.user) })
				execute(t, w.direct, "GRANT ALL ON "+w.database+".* TO "+l.user)
				for _, s := range clientTables {
					execute(t, w.direct, s)
				}
				c.run(t, w, l)
				examineClient(t, w)
			})
		}
	}
}

// examineClient looks at what a client has left.
func examineClient(t *testing.T, w *world) {
	t.Helper()
	for query, want := range map[string]string{
		"SELECT body, n FROM notes ORDER BY id":                                                       "prepared 🐬|1; committed|3",
		fmt.Sprintf("SELECT LENGTH(body), body = REPEAT('%s', %d) FROM blobs", blobPiece, blobPieces): "20000000|1",
		"SELECT COUNT(*), SUM(n) FROM numbers":                                                        "1000|500500",
	} {
		if got := strings.Join(table(t, w.direct, query), "; "); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if got := definition(t, w.direct, "notes"); !strings.Contains(got, "`n` bigint NOT NULL") {
		t.Errorf("the table ends as %s", got)
	}
	if path := w.phases("notes"); path != wholePath {
		t.Errorf("the migration went %q", path)
	}
	w.assertNoTrace("blobs", "notes", "numbers")
}

// script runs a program that does all of it by itself. Its file comes last.
func script(command ...string) func(*testing.T, *world, login) {
	return func(t *testing.T, _ *world, l login) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		args := append(command[1:len(command):len(command)], l.host, l.port, l.user, l.password, l.database, l.leg(), l.file)
		cmd := exec.CommandContext(ctx, command[0], args...)
		cmd.Dir = "testdata/clients"
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", command[len(command)-1], err, out)
		}
	}
}

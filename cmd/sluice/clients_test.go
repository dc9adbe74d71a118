//go:build clients

package main

import (
	"database/sql"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// login is an account that Sluice was never told of, and the way to connect.
type login struct {
	host, port, user, password, database string
	tls                                  bool
}

// leg names the way for the client scripts.
func (l login) leg() string {
	if l.tls {
		return "tls"
	}
	return "plain"
}

// TestClients sends real clients through Sluice, with TLS and without, each as a
// fresh account: its first connection is a full caching_sha2_password
// authentication, the second one a fast one. Each writes, reads, prepares,
// commits, rolls back, is refused something and alters the table.
func TestClients(t *testing.T) {
	clients := []struct {
		name string
		run  func(*testing.T, *world, login)
	}{
		{"mysql shell", mysqlShell},
		{"mariadb shell", mariadbShell},
		{"go-sql-driver", goDriver},
		{"node mysql2", script("node", "testdata/clients/mysql2_client.mjs")},
		{"PyMySQL", script("/usr/bin/python3", "testdata/clients/pymysql_client.py")},
	}
	for i, c := range clients {
		for _, tls := range []bool{true, false} {
			l := login{user: fmt.Sprintf("client_%d_%t", i, tls), password: fmt.Sprintf("pass word %d!", i), tls: tls}
			t.Run(c.name+"/"+l.leg(), func(t *testing.T) {
				w := newWorld(t, nil)
				l.host, l.port, _ = net.SplitHostPort(w.instance.proxy.Addr().String())
				l.database = w.database
				execute(t, w.direct, "CREATE USER "+l.user+" IDENTIFIED WITH caching_sha2_password BY '"+l.password+"'")
				t.Cleanup(func() { w.direct.Exec("DROP USER " + l.user) })
				execute(t, w.direct, "GRANT ALL ON "+w.database+".* TO "+l.user)
				execute(t, w.direct, "CREATE TABLE notes (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(100) NOT NULL, n INT NOT NULL) CHARACTER SET utf8mb4")
				c.run(t, w, l)
				if got := table(t, w.direct, "SELECT body, n FROM notes ORDER BY id"); strings.Join(got, "; ") != "prepared 🐬|1; committed|3" {
					t.Errorf("the table holds %q", got)
				}
				if got := definition(t, w.direct, "notes"); !strings.Contains(got, "`n` bigint NOT NULL") {
					t.Errorf("the table ends as %s", got)
				}
				if path := w.phases("notes"); path != wholePath {
					t.Errorf("the migration went %q", path)
				}
				w.assertNoTrace("notes")
			})
		}
	}
}

// script runs a program that does all of it by itself.
func script(interpreter, file string) func(*testing.T, *world, login) {
	return func(t *testing.T, _ *world, l login) {
		out, err := exec.Command(interpreter, file, l.host, l.port, l.user, l.password, l.database, l.leg()).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}

const shellStatements = `
SHOW SESSION STATUS LIKE 'Ssl_cipher';
PREPARE s FROM 'INSERT INTO notes (body, n) VALUES (?, ?)'; SET @b = 'prepared 🐬', @n = 1; EXECUTE s USING @b, @n;
START TRANSACTION; INSERT INTO notes (body, n) VALUES ('rolled back', 2); ROLLBACK;
START TRANSACTION; INSERT INTO notes (body, n) VALUES ('committed', 3); COMMIT;
SET @sluice_mode = 'online';
ALTER TABLE notes MODIFY n BIGINT NOT NULL;
`

// shell sends the statements, and connects again to read and to be refused.
func shell(t *testing.T, l login, command func(args ...string) *exec.Cmd, options ...string) {
	t.Helper()
	base := append(options, "--host="+l.host, "--port="+l.port, "--user="+l.user, "--password="+l.password,
		"--default-character-set=utf8mb4", "--table", "-vvv", l.database)
	send := func(sql string) (string, error) {
		cmd := command(base...)
		cmd.Stdin = strings.NewReader(sql)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := send(shellStatements)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if encrypted := regexp.MustCompile(`\| Ssl_cipher *\| *[^ |]`).MatchString(out); encrypted != l.tls {
		t.Errorf("the connection is encrypted: %t\n%s", encrypted, out)
	}
	assertSays(t, out, "Query OK, 2 rows affected", "Records: 2  Duplicates: 0  Warnings: 0")
	if out, err = send("SELECT body FROM notes ORDER BY id"); err != nil || !regexp.MustCompile(`\| prepared 🐬 *\|\n\| committed *\|\n`).MatchString(out) {
		t.Errorf("the second connection reads: %v\n%s", err, out)
	}
	if out, err = send("SELECT * FROM nosuch"); err == nil || !strings.Contains(out, "ERROR 1146 (42S02)") {
		t.Errorf("a refused statement: %v\n%s", err, out)
	}
}

func mysqlShell(t *testing.T, w *world, l login) {
	options := []string{"--ssl-mode=DISABLED", "--get-server-public-key"}
	if l.tls {
		options = []string{"--ssl-mode=REQUIRED"}
	}
	shell(t, l, func(args ...string) *exec.Cmd { return w.server.Installation().Command("mysql", args...) }, options...)
}

func mariadbShell(t *testing.T, _ *world, l login) {
	options := []string{"--no-defaults", "--skip-ssl"}
	if l.tls {
		options = []string{"--no-defaults", "--ssl"}
	}
	shell(t, l, func(args ...string) *exec.Cmd { return exec.Command("mariadb", args...) }, options...)
}

func goDriver(t *testing.T, _ *world, l login) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = l.user, l.password, "tcp", net.JoinHostPort(l.host, l.port), l.database
	if l.tls {
		c.TLSConfig = "skip-verify"
	}
	db, err := sql.Open("mysql", c.FormatDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn := connection(t, db)
	if cipher := value(t, conn, "SHOW SESSION STATUS LIKE 'Ssl_cipher'"); (cipher != "Ssl_cipher|") != l.tls {
		t.Errorf("the connection has %s", cipher)
	}
	execute(t, conn, "INSERT INTO notes (body, n) VALUES (?, ?)", "prepared 🐬", 1)
	for _, s := range []string{"START TRANSACTION", "INSERT INTO notes (body, n) VALUES ('rolled back', 2)", "ROLLBACK",
		"START TRANSACTION", "INSERT INTO notes (body, n) VALUES ('committed', 3)", "COMMIT", "SET @sluice_mode = 'online'"} {
		execute(t, conn, s)
	}
	if _, err := conn.ExecContext(t.Context(), "SELECT * FROM nosuch"); !strings.HasPrefix(errorText(err), "1146 (42S02)") {
		t.Errorf("a refused statement: %s", errorText(err))
	}
	if n, _ := execute(t, conn, "ALTER TABLE notes MODIFY n BIGINT NOT NULL").RowsAffected(); n != 2 {
		t.Errorf("%d rows affected", n)
	}
	if got := table(t, connection(t, db), "SELECT body FROM notes ORDER BY id"); strings.Join(got, "; ") != "prepared 🐬; committed" {
		t.Errorf("the second connection reads %q", got)
	}
}

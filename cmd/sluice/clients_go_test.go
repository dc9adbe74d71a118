//go:build clients

package main

import (
	"context"
	"database/sql"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// goDriver does what TestClients says, with go-sql-driver.
func goDriver(t *testing.T, w *world, l login) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = l.user, l.password, "tcp", net.JoinHostPort(l.host, l.port), l.database
	c.MultiStatements = true
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
	blob := strings.Repeat(blobPiece, blobPieces)
	execute(t, conn, "INSERT INTO blobs (body) VALUES (?)", []byte(blob))
	if got := value(t, conn, "SELECT body FROM blobs"); got != blob {
		t.Errorf("the blob came back with %d bytes", len(got))
	}
	goSeveralResults(t, conn)
	mysql.RegisterLocalFile(l.file)
	defer mysql.DeregisterLocalFile(l.file)
	execute(t, conn, "LOAD DATA LOCAL INFILE '"+l.file+"' INTO TABLE numbers")
	if got := table(t, conn, "SELECT n FROM numbers ORDER BY n"); len(got) != 1000 || got[999] != "1000" {
		t.Errorf("%d numbers came", len(got))
	}
	goKill(t, w, conn, connection(t, db))
	if n, _ := execute(t, conn, "ALTER TABLE notes MODIFY n BIGINT NOT NULL").RowsAffected(); n != 2 {
		t.Errorf("%d rows affected", n)
	}
	if got := table(t, connection(t, db), "SELECT body FROM notes ORDER BY id"); strings.Join(got, "; ") != "prepared 🐬; committed" {
		t.Errorf("the second connection reads %q", got)
	}
}

func goSeveralResults(t *testing.T, conn *sql.Conn) {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), "SELECT 1; DO 1; SELECT 2")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []int
	for more := true; more; more = rows.NextResultSet() {
		for rows.Next() {
			var n int
			if err := rows.Scan(&n); err != nil {
				t.Fatal(err)
			}
			got = append(got, n)
		}
	}
	if err := rows.Err(); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("multi-statement: %v, %v", got, err)
	}
}

func goKill(t *testing.T, w *world, conn, other *sql.Conn) {
	t.Helper()
	id := value(t, conn, "SELECT CONNECTION_ID()")
	execute(t, other, "DO GET_LOCK('go', 0)")
	killed := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(context.WithoutCancel(t.Context()), "SELECT GET_LOCK('go', 60)")
		killed <- err
	}()
	w.eventually("the driver waits", func() bool {
		return len(table(t, other, "SELECT 1 FROM performance_schema.processlist WHERE state = 'User lock' AND id = "+id)) > 0
	})
	execute(t, other, "KILL QUERY "+id)
	if err := <-killed; !strings.HasPrefix(errorText(err), "1317 (70100)") {
		t.Errorf("a killed statement: %s", errorText(err))
	}
}

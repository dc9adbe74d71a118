package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest/servertest"
)

func TestConnectionIDIsTheServers(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	conn := r.conn(t, "")
	id := one[int](t, conn, "SELECT CONNECTION_ID()")
	direct := servertest.Open(t, r.backend, "")
	if n := one[int](t, direct, "SELECT COUNT(*) FROM performance_schema.processlist WHERE id = ?", id); n != 1 {
		t.Errorf("the server knows %d connections %d, want 1", n, id)
	}
}

func TestTransactionsAndPreparedStatements(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	name, direct := servertest.Database(t, r.backend)
	conn := r.conn(t, name)
	run(t, conn, "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(20))")

	tx, err := conn.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec("INSERT INTO t VALUES (?, ?), (?, ?)", 1, "a", 2, nil); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, direct, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows are visible before the commit", n)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	stmt, err := conn.PrepareContext(t.Context(), "SELECT v FROM t WHERE id = ?")
	if err != nil {
		t.Fatal(err)
	}
	defer stmt.Close()
	for id, want := range map[int]sql.NullString{1: {String: "a", Valid: true}, 2: {}} {
		var got sql.NullString
		if err := stmt.QueryRow(id).Scan(&got); err != nil || got != want {
			t.Errorf("id %d: %v, %v, want %v", id, got, err, want)
		}
	}
}

func TestSeveralResultsOfOneCommand(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	name, direct := servertest.Database(t, r.backend)
	run(t, direct, "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END")
	c := r.config(name)
	c.MultiStatements = true
	db := r.open(t, c)

	rows, err := db.QueryContext(t.Context(), "SELECT 0; CALL p(); SELECT 3")
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
	if fmt.Sprint(got) != "[0 1 2 3]" || rows.Err() != nil {
		t.Errorf("got %v, %v", got, rows.Err())
	}
	_, err = db.ExecContext(t.Context(), "DO 1; SELECT nothing; DO 2")
	if number(err) != 1054 {
		t.Errorf("error in the middle: %v", err)
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLocalInfile(t *testing.T) {
	r := start(t, servertest.Start(t, "--local-infile=ON"))
	name, _ := servertest.Database(t, r.backend)
	conn := r.conn(t, name)
	run(t, conn, "CREATE TABLE t (id INT PRIMARY KEY)")
	var file strings.Builder
	const n = 50_000
	for i := range n {
		fmt.Fprintln(&file, i)
	}
	mysql.RegisterReaderHandler("numbers", func() io.Reader { return strings.NewReader(file.String()) })
	defer mysql.DeregisterReaderHandler("numbers")
	mysql.RegisterReaderHandler("nothing", func() io.Reader { return strings.NewReader("") })
	defer mysql.DeregisterReaderHandler("nothing")
	run(t, conn, "LOAD DATA LOCAL INFILE 'Reader::numbers' INTO TABLE t", "LOAD DATA LOCAL INFILE 'Reader::nothing' INTO TABLE t")
	if got := one[int](t, conn, "SELECT COUNT(*) FROM t"); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

func TestPacketsBeyond16MiB(t *testing.T) {
	r := start(t, servertest.Start(t, "--max-allowed-packet=128M"))
	c := r.config("")
	c.MaxAllowedPacket = 128 << 20
	conn, err := r.open(t, c).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const full = 1<<24 - 1
	for _, size := range []int{1 << 16, full - 4, full - 1, full, 20 << 20} {
		// 0xfe and 0xff, wherever a continuation begins, must not be taken for an end.
		want := bytes.Repeat([]byte{0xfe, 0xff}, size/2+1)[:size]
		got := one[[]byte](t, conn, "SELECT ?", want)
		if !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d came back, or others", size, len(got))
		}
		if n := one[int](t, conn, "SELECT LENGTH(_binary'"+strings.Repeat("x", size)+"')"); n != size {
			t.Errorf("text of %d bytes: the server saw %d", size, n)
		}
	}
}

func TestKillQueryReachesTheSession(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t))
	conn, other := r.conn(t, ""), r.conn(t, "")
	id := one[int](t, conn, "SELECT CONNECTION_ID()")
	lock := "sluice.kill." + t.Name()
	run(t, other, "DO GET_LOCK('"+lock+"', 0)")

	answer := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(context.WithoutCancel(t.Context()), "SELECT GET_LOCK('"+lock+"', 60)")
		answer <- err
	}()
	direct := servertest.Open(t, r.backend, "")
	eventually(t, direct, "User lock", "SELECT state FROM performance_schema.processlist WHERE id = ?", id)
	run(t, other, fmt.Sprint("KILL QUERY ", id))
	if err := <-answer; number(err) != 1317 {
		t.Errorf("got %v, want 1317", err)
	}
	if got := one[int](t, conn, "SELECT CONNECTION_ID()"); got != id {
		t.Errorf("connection id %d, was %d", got, id)
	}
}

func TestAccountsThatTheProxyDoesNotKnow(t *testing.T) {
	t.Parallel()
	backend := servertest.Shared(t)
	r := start(t, backend, withTLS(t))
	direct := servertest.Open(t, backend, "")
	for _, kind := range []string{"plain", "tls"} {
		user := "stranger_" + kind
		run(t, direct, "CREATE USER "+user+"@localhost IDENTIFIED WITH caching_sha2_password BY 'pass word'")
		t.Cleanup(func() { _, _ = direct.ExecContext(context.Background(), "DROP USER "+user+"@localhost") })
		c := r.config("")
		c.User, c.Passwd = user, "pass word"
		want := ""
		if kind == "tls" {
			c.TLS = &tls.Config{InsecureSkipVerify: true}
			want = "TLS_AES_128_GCM_SHA256"
		}
		for _, login := range []string{"full", "fast"} {
			conn, err := r.open(t, c).Conn(t.Context())
			if err != nil {
				t.Fatalf("%s, %s authentication: %v", kind, login, err)
			}
			_, cipher := status(t, conn, "Ssl_cipher")
			if (cipher != "") != (want != "") {
				t.Errorf("%s: the server sees cipher %q", kind, cipher)
			}
			conn.Close()
		}
		c.Passwd = "wrong"
		if err := r.open(t, c).PingContext(t.Context()); number(err) != 1045 {
			t.Errorf("%s, wrong password: %v, want 1045", kind, err)
		}
	}
}

func status(t *testing.T, db querier, name string) (variable, value string) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SHOW STATUS LIKE '"+name+"'").Scan(&variable, &value); err != nil {
		t.Fatal(err)
	}
	return variable, value
}

func TestServerThatCannotBeReachedIsAnErrorPacket(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withDial(errors.New("no route")))
	err := r.open(t, r.config("")).PingContext(t.Context())
	if number(err) != 1105 || !strings.Contains(err.Error(), "cannot reach") {
		t.Errorf("got %v", err)
	}
}

func TestPasswordIsEncryptedForAServerWithoutTLS(t *testing.T) {
	t.Parallel()
	backend := servertest.Start(t, "--tls-version=")
	r := start(t, backend, withTLS(t))
	direct := servertest.Open(t, backend, "")
	run(t, direct, "CREATE USER u@localhost IDENTIFIED BY 'a password longer than the salt'")
	c := r.config("")
	c.User, c.Passwd, c.TLS = "u", "a password longer than the salt", &tls.Config{InsecureSkipVerify: true}
	for _, login := range []string{"full", "fast"} {
		if err := r.open(t, c).PingContext(t.Context()); err != nil {
			t.Errorf("%s authentication: %v", login, err)
		}
	}
	run(t, direct, "FLUSH PRIVILEGES") // and the server's cache of passwords
	c.Passwd = "wrong"
	if err := r.open(t, c).PingContext(t.Context()); number(err) != 1045 {
		t.Errorf("wrong password: %v, want 1045", err)
	}
}

//go:build clients

package main

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/mysqltest/servertest"
)

// shellStatements are what a shell is sent; %[1]s is the blob, %[2]s the file.
const shellStatements = `
SHOW SESSION STATUS LIKE 'Ssl_cipher';
PREPARE s FROM 'INSERT INTO notes (body, n) VALUES (?, ?)'; SET @b = 'prepared 🐬', @n = 1; EXECUTE s USING @b, @n;
START TRANSACTION; INSERT INTO notes (body, n) VALUES ('rolled back', 2); ROLLBACK;
START TRANSACTION; INSERT INTO notes (body, n) VALUES ('committed', 3); COMMIT;
INSERT INTO blobs (body) VALUES ('%[1]s');
DELIMITER //
SELECT 'first of three'; DO 1; SELECT 'last of three' //
DELIMITER ;
LOAD DATA LOCAL INFILE '%[2]s' INTO TABLE numbers;
SET @sluice_mode = 'online';
ALTER TABLE notes MODIFY n BIGINT NOT NULL;
`

// shell does what TestClients says, with a shell of which command makes a run.
func shell(t *testing.T, w *world, l login, command func(args ...string) *exec.Cmd, options ...string) {
	t.Helper()
	base := append(options, "--host="+l.host, "--port="+l.port, "--user="+l.user, "--password="+l.password, "--local-infile=1",
		"--max-allowed-packet=64M", "--default-character-set=utf8mb4", "--table", "-vv", l.database)
	send := func(sql string) (string, error) {
		cmd := command(base...)
		cmd.Stdin = strings.NewReader(sql)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	blob := strings.Repeat(blobPiece, blobPieces)
	out, err := send(fmt.Sprintf(shellStatements, blob, l.file))
	out = strings.ReplaceAll(out, blob, "…")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if encrypted := regexp.MustCompile(`\| Ssl_cipher *\| *[^ |]`).MatchString(out); encrypted != l.tls {
		t.Errorf("the connection is encrypted: %t\n%s", encrypted, out)
	}
	assertSays(t, out, "| first of three |", "| last of three |", "Records: 1000  Deleted: 0  Skipped: 0  Warnings: 0",
		"Query OK, 2 rows affected", "Records: 2  Duplicates: 0  Warnings: 0")
	if out, err = send("SELECT body FROM notes ORDER BY id"); err != nil || !regexp.MustCompile(`\| prepared 🐬 *\|\n\| committed *\|\n`).MatchString(out) {
		t.Errorf("the second connection reads: %v\n%s", err, out)
	}
	if out, err = send("SELECT * FROM nosuch"); err == nil || !strings.Contains(out, "ERROR 1146 (42S02)") {
		t.Errorf("a refused statement: %v\n%s", err, out)
	}
	shellKill(t, w, l, send)
}

func shellKill(t *testing.T, w *world, l login, send func(sql string) (string, error)) {
	t.Helper()
	execute(t, connection(t, w.direct), "DO GET_LOCK('shell', 0)")
	killed := make(chan string, 1)
	go func() {
		out, _ := send("SELECT GET_LOCK('shell', 60)")
		killed <- out
	}()
	waiting := "SELECT id FROM performance_schema.processlist WHERE state = 'User lock' AND user = '" + l.user + "'"
	w.eventually("the shell waits", func() bool { return len(table(t, w.direct, waiting)) > 0 })
	if out, err := send("KILL QUERY " + value(t, w.direct, waiting)); err != nil {
		t.Errorf("KILL QUERY: %v\n%s", err, out)
	}
	if out := <-killed; !strings.Contains(out, "ERROR 1317 (70100)") {
		t.Errorf("a killed statement: %s", out)
	}
}

func mysqlShell(t *testing.T, w *world, l login) {
	options := []string{"--ssl-mode=DISABLED", "--get-server-public-key"}
	if l.tls {
		options = []string{"--ssl-mode=REQUIRED"}
	}
	shell(t, w, l, func(args ...string) *exec.Cmd { return w.server.Installation().Command("mysql", args...) }, options...)
}

func mariadbShell(t *testing.T, w *world, l login) {
	options := []string{"--no-defaults", "--skip-ssl"}
	if l.tls {
		options = []string{"--no-defaults", "--ssl"}
	}
	shell(t, w, l, func(args ...string) *exec.Cmd { return exec.Command("mariadb", args...) }, options...)
}

// TestClientsDumpAndRestore copies a schema with everything that mysqldump knows,
// from Sluice to Sluice, and compares it with the original by dumps of both.
func TestClientsDumpAndRestore(t *testing.T) {
	w := newWorld(t, nil)
	for _, s := range []string{
		"CREATE TABLE parent (id INT AUTO_INCREMENT PRIMARY KEY, body VARCHAR(100) DEFAULT 'it''s', KEY (body)) COMMENT 'a table 🐬'",
		"CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES parent (id))",
		"CREATE TABLE log (at TIMESTAMP(6), what BLOB) PARTITION BY KEY (at) PARTITIONS 2",
		"CREATE TRIGGER parent_log AFTER INSERT ON parent FOR EACH ROW BEGIN INSERT INTO log VALUES ('2026-01-02', NEW.body); END",
		"CREATE PROCEDURE p (IN a INT) BEGIN SELECT a; ALTER TABLE log COMMENT 'by a procedure'; END",
		"CREATE FUNCTION f () RETURNS INT DETERMINISTIC RETURN 7",
		"CREATE VIEW v AS SELECT body, f() AS seven FROM parent",
		"CREATE EVENT e ON SCHEDULE EVERY 1 YEAR STARTS '2037-01-01' DO DELETE FROM log",
		"INSERT INTO parent (body) VALUES ('one'), ('zwei 🐬'), (NULL)",
		"INSERT INTO child VALUES (1, 2)",
		"INSERT INTO log VALUES ('2026-01-02 03:04:05.678901', x'00ff27')",
	} {
		execute(t, w.direct, s)
	}
	dump := func(addr, database string) string {
		host, port, _ := net.SplitHostPort(addr)
		cmd := w.server.Installation().Command("mysqldump", "--host="+host, "--port="+port, "--user=root", "--routines", "--triggers",
			"--events", "--hex-blob", "--single-transaction", "--set-gtid-purged=OFF", "--skip-dump-date", "--no-tablespaces", database)
		var complaints bytes.Buffer
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("mysqldump: %v\n%s", err, &complaints)
		}
		return string(out)
	}
	through := w.instance.proxy.Addr().String()
	host, port, _ := net.SplitHostPort(through)
	restore := w.server.Installation().Command("mysql", "--host="+host, "--port="+port, "--user=root", w.twinDatabase)
	restore.Stdin = strings.NewReader(dump(through, w.database))
	if out, err := restore.CombinedOutput(); err != nil {
		t.Fatalf("mysql: %v\n%s", err, out)
	}
	original := strings.ReplaceAll(dump(w.server.Addr(), w.database), w.database, "DATABASE")
	restored := strings.ReplaceAll(dump(w.server.Addr(), w.twinDatabase), w.twinDatabase, "DATABASE")
	if diff := cmp.Diff(original, restored); diff != "" {
		t.Errorf("the restored schema differs: %s", diff)
	}
	assertSays(t, restored, "zwei 🐬", "PROCEDURE `p`", "FUNCTION `f`", "TRIGGER `parent_log`", "EVENT `e`", "0x00FF27")
}

// TestClientsBinaryLog reads the log through Sluice as a replica does.
func TestClientsBinaryLog(t *testing.T) {
	w := newWorld(t, servertest.Start(t))
	execute(t, w.direct, "CREATE TABLE t (id INT PRIMARY KEY, body LONGTEXT)")
	execute(t, w.direct, "INSERT INTO t VALUES (1, REPEAT('🐬', 5000000))") // 20 MB: an event of two packets
	file := value(t, w.direct, "SELECT CONCAT(SUBSTRING_INDEX(@@log_bin_basename, '/', -1), '.000001')")
	execute(t, w.direct, "FLUSH BINARY LOGS") // the file is complete
	read := func(addr, mode string) string {
		host, port, _ := net.SplitHostPort(addr)
		out, err := w.server.Installation().Command("mysqlbinlog", "--host="+host, "--port="+port, "--user=root", "--ssl-mode="+mode,
			"--read-from-remote-server", file).Output()
		if err != nil {
			t.Fatalf("mysqlbinlog from %s: %v", addr, err)
		}
		return string(out)
	}
	for _, mode := range []string{"DISABLED", "REQUIRED"} {
		direct, through := read(w.server.Addr(), mode), read(w.instance.proxy.Addr().String(), mode)
		if direct != through || len(direct) < 20_000_000 {
			t.Errorf("ssl-mode %s: %d bytes through Sluice, %d directly, and they differ", mode, len(through), len(direct))
		}
	}
}

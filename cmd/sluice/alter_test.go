package main

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sampleTable = `CREATE TABLE %s (
	id INT UNSIGNED NOT NULL AUTO_INCREMENT,
	tenant SMALLINT NOT NULL,
	name VARCHAR(40) CHARACTER SET latin1 NOT NULL,
	note TEXT,
	amount DECIMAL(10,2) DEFAULT NULL,
	state ENUM('new','open','done') NOT NULL DEFAULT 'new',
	at DATETIME(3) DEFAULT NULL,
	raw BINARY(4) DEFAULT NULL,
	doc JSON DEFAULT NULL,
	doubled INT GENERATED ALWAYS AS (tenant * 2) VIRTUAL,
	PRIMARY KEY (id),
	UNIQUE KEY by_name (tenant, name),
	KEY by_state (state),
	CONSTRAINT positive CHECK (amount >= 0)
) COMMENT='it''s; AUTO_INCREMENT=7'`

func fillSample(t *testing.T, c execer, name string, rows int) {
	t.Helper()
	for from := 0; from < rows; from += 1000 {
		n := min(1000, rows-from)
		execute(t, c, fmt.Sprintf(`INSERT INTO %s (tenant, name, note, amount, state, at, raw, doc)
			WITH RECURSIVE s(n) AS (SELECT %d UNION ALL SELECT n + 1 FROM s WHERE n < %d)
			SELECT n %% 7, CONCAT('caf', CHAR(0xe9 USING latin1), n), IF(n %% 3, CONCAT('note ', n, ' 😀'), NULL), n / 100, 1 + n %% 3,
				'2024-02-29 12:00:00.123' + INTERVAL n MINUTE, UNHEX('61000000'), JSON_OBJECT('n', n, 'f', n / 3.0, 's', 'x') FROM s`, name, from+1, from+n))
	}
	// A counter above the highest row, as deleted rows leave it.
	execute(t, c, fmt.Sprintf("DELETE FROM %s WHERE id > %d - 5", name, rows))
	execute(t, c, fmt.Sprintf("UPDATE %s SET id = id + 100000 WHERE id = 3", name))
}

// contents are all rows of a table, every byte of them.
func contents(t *testing.T, c queryer, schemaName, name string) []string {
	t.Helper()
	columns := table(t, c, "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION", schemaName, name)
	hex := make([]string, len(columns))
	for i, column := range columns {
		hex[i] = "HEX(`" + column + "`)"
	}
	return table(t, c, fmt.Sprintf("SELECT %s FROM `%s`.`%s` ORDER BY %s", strings.Join(hex, ", "), schemaName, name, strings.Join(hex, ", ")))
}

// definition is SHOW CREATE TABLE.
func definition(t *testing.T, c queryer, name string) string {
	t.Helper()
	return strings.Join(table(t, c, "SHOW CREATE TABLE "+name), "\n")
}

func TestOnlineCopyEndsInTheTableOfTheNativeAlter(t *testing.T) {
	w := newWorld(t, nil)
	tests := []struct{ name, alter string }{
		{"column type", "ALTER TABLE %s MODIFY tenant BIGINT NOT NULL"},
		{"index", "ALTER TABLE %s ADD INDEX by_at (at, amount)"},
		{"several clauses", "ALTER TABLE %s ADD COLUMN extra VARCHAR(9) NOT NULL DEFAULT 'x' AFTER id, DROP COLUMN note, MODIFY amount DECIMAL(14,4), ADD UNIQUE (name, id), RENAME COLUMN at TO moment, COMMENT 'new'"},
		{"create index", "CREATE INDEX by_note ON %s (note(10)) COMMENT 'first ten'"},
		{"create unique index", "create /* c */ unique index u on %s (id, state);"},
		{"drop index", "DROP INDEX by_state ON %s"},
		{"new columns without default", "ALTER TABLE %s ADD a INT NOT NULL, ADD b VARCHAR(3) NOT NULL FIRST, ADD c ENUM('p','q') NOT NULL, ADD d DECIMAL(4,2) NOT NULL"},
		{"change with new name and charset", "ALTER TABLE %s CHANGE name label VARCHAR(50) CHARACTER SET utf8mb4 NOT NULL"},
		{"charset of the table", "ALTER TABLE %s CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"},
		{"enum reordered", "ALTER TABLE %s MODIFY state ENUM('done','open','new','gone') NOT NULL DEFAULT 'new'"},
		{"enum to text", "ALTER TABLE %s MODIFY state VARCHAR(10)"},
		{"column dropped and added again", "ALTER TABLE %s DROP COLUMN note, ADD COLUMN note INT DEFAULT 5"},
		{"datetime to timestamp", "ALTER TABLE %s MODIFY at TIMESTAMP NULL"},
		{"binary to varbinary", "ALTER TABLE %s MODIFY raw VARBINARY(10)"},
		{"generated column stored", "ALTER TABLE %s DROP COLUMN doubled, ADD COLUMN doubled INT AS (tenant * 2) STORED"},
		{"primary key widened", "ALTER TABLE %s MODIFY id BIGINT NOT NULL AUTO_INCREMENT"},
		{"row format", "ALTER TABLE %s ROW_FORMAT=COMPRESSED KEY_BLOCK_SIZE=8"},
		{"force", "ALTER TABLE %s FORCE"},
		{"partitions", "ALTER TABLE %s DROP INDEX by_name PARTITION BY HASH (id) PARTITIONS 3"},
		{"counter", "ALTER TABLE %s AUTO_INCREMENT = 500000, FORCE"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprintf("t%d", i)
			for _, db := range []*sql.DB{w.direct, w.twin} {
				execute(t, db, fmt.Sprintf(sampleTable, name))
				fillSample(t, db, name, 3000)
			}
			settings := []string{"SET time_zone = '+02:00'", "SET @sluice_mode = 'online'"}
			execute(t, connection(t, w.twin, settings[:1]...), fmt.Sprintf(tt.alter, name))
			execute(t, w.client(settings...), fmt.Sprintf(tt.alter, name))
			if path := w.phases(name); path != wholePath {
				t.Errorf("the migration went %q", path)
			}
			if diff := cmp.Diff(definition(t, w.twin, name), definition(t, w.direct, name)); diff != "" {
				t.Errorf("definition (-native +online):\n%s", diff)
			}
			if diff := cmp.Diff(contents(t, w.direct, w.twinDatabase, name), contents(t, w.direct, w.database, name)); diff != "" {
				t.Errorf("rows (-native +online):\n%.2000s", diff)
			}
			execute(t, w.direct, "DROP TABLE "+name)
			execute(t, w.twin, "DROP TABLE "+name)
			w.assertNoTrace()
		})
	}
}

func TestTablesAreCopiedByAnyUniqueKey(t *testing.T) {
	w := newWorld(t, nil)
	tests := []struct{ name, columns string }{
		{"composite", "a INT, b VARCHAR(20), v INT, PRIMARY KEY (a, b)"},
		{"three parts", "a INT, b VARCHAR(20), v INT, PRIMARY KEY (b, a, v)"},
		{"text in latin1", "a INT, b VARCHAR(20) CHARACTER SET latin1, v INT, PRIMARY KEY (b)"},
		{"binary", "a INT, b VARBINARY(20), v INT, PRIMARY KEY (b)"},
		{"fixed binary", "a INT, b BINARY(20), v INT, PRIMARY KEY (b)"},
		{"negative and large numbers", "a BIGINT, b VARCHAR(20), v INT, PRIMARY KEY (a)"},
		{"unique key, no primary key", "a INT NOT NULL, b VARCHAR(20) NOT NULL, v INT, UNIQUE KEY (v), UNIQUE KEY ab (a, b)"},
		{"decimal", "a DECIMAL(20,3), b VARCHAR(20), v INT, PRIMARY KEY (a)"},
		{"case sensitive", "a INT, b VARCHAR(20) COLLATE utf8mb4_bin, v INT, PRIMARY KEY (b)"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name := fmt.Sprintf("k%d", i)
			execute(t, w.direct, fmt.Sprintf("CREATE TABLE %s (%s)", name, tt.columns))
			execute(t, w.direct, fmt.Sprintf(`INSERT INTO %s (a, b, v)
				WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 900) SELECT n * 37 - 9000, CONCAT(CHAR(65 + n %% 26), n, ' '), n FROM s`, name))
			before := contents(t, w.direct, w.database, name)
			execute(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE "+name+" ADD INDEX extra (v)")
			if path := w.phases(name); path != wholePath {
				t.Errorf("the migration went %q", path)
			}
			if diff := cmp.Diff(before, contents(t, w.direct, w.database, name)); diff != "" {
				t.Errorf("rows (-before +after):\n%.2000s", diff)
			}
		})
	}
}

func TestInstantAlterIsTheServersOwn(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, fmt.Sprintf(sampleTable, "t"))
	fillSample(t, w.direct, "t", 100)
	execute(t, w.client(), "ALTER TABLE t ADD COLUMN quick INT")
	if n := value(t, w.direct, "SELECT COUNT(*) FROM sluice.migrations WHERE table_schema = ?", w.database); n != "0" {
		t.Errorf("%s migrations were recorded, want none", n)
	}
	if !strings.Contains(definition(t, w.direct, "t"), "`quick` int DEFAULT NULL") {
		t.Error("the column is not there")
	}
}

func TestRefusalsAreTheServersOwn(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20), b INT, c INT NOT NULL, KEY kb (b))")
	execute(t, w.direct, "INSERT INTO t VALUES (1,'short',1,1), (2,'a longer text',70000,2), (3,NULL,3,1), (4,'12abc',NULL,4)")
	execute(t, w.direct, "CREATE TABLE r LIKE t")
	execute(t, w.direct, "CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'reader'")
	execute(t, w.direct, "GRANT SELECT, INSERT ON `test\\_%`.* TO reader@'%'")
	tests := []struct{ name, alter string }{
		{"unknown column", "ALTER TABLE t MODIFY nope BIGINT"},
		{"index on an unknown column", "ALTER TABLE t ADD INDEX (nope)"},
		{"duplicate column", "ALTER TABLE t ADD COLUMN a INT, MODIFY b BIGINT"},
		{"duplicate index name", "CREATE INDEX kb ON t (a)"},
		{"no such table", "ALTER TABLE nosuch MODIFY a BIGINT"},
		{"no such schema", "ALTER TABLE nosuch.t MODIFY a BIGINT"},
		{"syntax", "ALTER TABLE t MODIFY b BIGINT NOT, ADD x"},
		{"text that is too long", "ALTER TABLE t MODIFY a VARCHAR(6)"},
		{"number out of range", "ALTER TABLE t MODIFY b SMALLINT"},
		{"text to number", "ALTER TABLE t MODIFY a INT"},
		{"null where none may be", "ALTER TABLE t MODIFY b INT NOT NULL, ADD INDEX (c)"},
		{"duplicate value", "ALTER TABLE t ADD UNIQUE INDEX u (c)"},
		{"zero date", "ALTER TABLE t ADD d DATE NOT NULL, ADD INDEX (c)"},
		{"check is violated", "ALTER TABLE t ADD CHECK (c < 3), MODIFY b BIGINT"},
		{"key does not exist", "DROP INDEX nokey ON t"},
		{"invalid default", "ALTER TABLE t ADD d DATE DEFAULT '2024-99-99', MODIFY b BIGINT"},
	}
	before := definition(t, w.direct, "t")
	rows := contents(t, w.direct, w.database, "t")
	for _, mode := range []string{"auto", "online"} {
		for _, tt := range tests {
			t.Run(mode+"/"+tt.name, func(t *testing.T) {
				_, want := openAs(t, "app", appPassword, w.server.Addr(), w.database).ExecContext(t.Context(), tt.alter)
				_, got := w.client("SET @sluice_mode = '"+mode+"'").ExecContext(t.Context(), tt.alter)
				if want == nil || errorText(want) != errorText(got) {
					t.Errorf("through Sluice: %s\ndirectly:       %s", errorText(got), errorText(want))
				}
			})
		}
		t.Run(mode+"/no privilege", func(t *testing.T) {
			const alter = "ALTER TABLE r MODIFY b BIGINT"
			_, want := openAs(t, "reader", "reader", w.server.Addr(), w.database).ExecContext(t.Context(), alter)
			conn := connection(t, openAs(t, "reader", "reader", w.instance.proxy.Addr().String(), w.database), "SET @sluice_mode = '"+mode+"'")
			_, got := conn.ExecContext(t.Context(), alter)
			// The host in the message is that of the connection; both are local.
			if want == nil || errorText(want) != errorText(got) {
				t.Errorf("through Sluice: %s\ndirectly:       %s", errorText(got), errorText(want))
			}
		})
	}
	if diff := cmp.Diff(before, definition(t, w.direct, "t")); diff != "" {
		t.Errorf("the table was changed (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(rows, contents(t, w.direct, w.database, "t")); diff != "" {
		t.Errorf("its rows were changed (-before +after):\n%s", diff)
	}
	w.assertNoTrace("r", "t")
}

func TestAnswerCountsRowsAsTheNativeAlterDoes(t *testing.T) {
	w := newWorld(t, nil)
	for _, db := range []*sql.DB{w.direct, w.twin} {
		execute(t, db, fmt.Sprintf(sampleTable, "t"))
		fillSample(t, db, "t", 500)
	}
	client := w.client("SET @sluice_mode = 'online'")
	for _, alter := range []string{"ALTER TABLE t MODIFY tenant BIGINT NOT NULL", "ALTER TABLE t ADD INDEX (at)"} {
		want, err := execute(t, w.twin, alter).RowsAffected()
		if err != nil {
			t.Fatal(err)
		}
		got, err := execute(t, client, alter).RowsAffected()
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: %d rows affected, natively %d", alter, got, want)
		}
	}
}

func TestExplainTellsThePlanAndChangesNothing(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, fmt.Sprintf(sampleTable, "t"))
	fillSample(t, w.direct, "t", 500)
	execute(t, w.direct, "CREATE TABLE myisam (a INT) ENGINE=MyISAM")
	client := w.client()
	execute(t, client, "START TRANSACTION")
	execute(t, client, "INSERT INTO t (tenant, name) VALUES (100, 'uncommitted')")
	before := definition(t, w.direct, "t")
	tests := []struct{ sql, plan string }{
		{"EXPLAIN ALTER TABLE t ADD COLUMN x INT", "instant"},
		{"EXPLAIN ALTER TABLE t MODIFY tenant BIGINT NOT NULL", "online"},
		{"EXPLAIN CREATE INDEX i ON t (at)", "online"},
		{"EXPLAIN ALTER TABLE t MODIFY tenant BIGINT NOT NULL, ALGORITHM=COPY", "native"},
		{"EXPLAIN ALTER TABLE myisam ADD COLUMN x INT", "native"},
	}
	for _, tt := range tests {
		row := strings.Split(value(t, client, tt.sql), "|")
		if row[1] != tt.plan || row[2] == "" {
			t.Errorf("%s: plan %q because of %q, want %s", tt.sql, row[1], row[2], tt.plan)
		}
	}
	_, err := client.ExecContext(t.Context(), "EXPLAIN ALTER TABLE t ADD INDEX (nope)")
	if !strings.HasPrefix(errorText(err), "1072 (42000)") {
		t.Errorf("EXPLAIN of what the server refuses: %s", errorText(err))
	}
	execute(t, client, "ROLLBACK")
	if n := value(t, client, "SELECT COUNT(*) FROM t WHERE tenant = 100"); n != "0" {
		t.Error("EXPLAIN has committed the client's transaction")
	}
	if diff := cmp.Diff(before, definition(t, w.direct, "t")); diff != "" {
		t.Errorf("EXPLAIN changed the table (-before +after):\n%s", diff)
	}
	w.assertNoTrace("myisam", "t")
}

func TestStatementsThatCannotBeCopiedRunNatively(t *testing.T) {
	w := newWorld(t, nil)
	setUp := []string{
		"CREATE TABLE parent (id INT PRIMARY KEY, v INT)",
		"CREATE TABLE child (id INT PRIMARY KEY, p INT, CONSTRAINT fk FOREIGN KEY (p) REFERENCES parent (id))",
		"CREATE TABLE triggered (id INT PRIMARY KEY, v INT)",
		"CREATE TRIGGER tr BEFORE INSERT ON triggered FOR EACH ROW SET NEW.v = 1",
		"CREATE TABLE keyless (id INT, v INT)",
		"CREATE TABLE plain (id INT PRIMARY KEY, v INT)",
	}
	for _, s := range setUp {
		execute(t, w.direct, s)
	}
	client := w.client("SET @sluice_mode = 'online'", "CREATE TEMPORARY TABLE plain (id INT PRIMARY KEY, v INT)")
	alters := []string{
		"ALTER TABLE parent MODIFY v BIGINT", "ALTER TABLE child ADD INDEX (p, id)", "ALTER TABLE triggered MODIFY v BIGINT",
		"ALTER TABLE keyless MODIFY v BIGINT", "ALTER TABLE plain MODIFY v BIGINT",
		"ALTER TABLE keyless ADD COLUMN n INT AUTO_INCREMENT PRIMARY KEY", "ALTER TABLE keyless RENAME TO renamed",
	}
	for _, alter := range alters {
		execute(t, client, alter)
	}
	if got := definition(t, client, "plain"); !strings.Contains(got, "TEMPORARY") || !strings.Contains(got, "bigint") {
		t.Errorf("the temporary table is %s", got)
	}
	if got := definition(t, w.direct, "plain"); strings.Contains(got, "bigint") {
		t.Errorf("the base table behind the temporary one was altered: %s", got)
	}
	w.assertNoTrace("child", "parent", "plain", "renamed", "triggered")
	if n := value(t, w.direct, "SELECT COUNT(*) FROM sluice.migrations WHERE table_schema = ? AND phase = 'declined' AND message <> ''", w.database); n != "6" {
		t.Errorf("%s migrations are recorded as declined with a reason, want 6", n)
	}
}

func TestModeNativeLeavesTheStatementToTheServer(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, "CREATE TABLE t (id INT PRIMARY KEY, v INT)")
	execute(t, w.client("SET @sluice_mode = 'native'"), "ALTER TABLE t MODIFY v BIGINT")
	if n := value(t, w.direct, "SELECT COUNT(*) FROM sluice.migrations WHERE table_schema = ?", w.database); n != "0" {
		t.Errorf("%s migrations were recorded, want none", n)
	}
	if !strings.Contains(definition(t, w.direct, "t"), "`v` bigint") {
		t.Error("the statement was not executed")
	}
}

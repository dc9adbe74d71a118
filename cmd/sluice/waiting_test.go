package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// bigTable makes a table whose copy takes long enough to look at it.
func (w *world) bigTable(name string, rows int) {
	w.t.Helper()
	execute(w.t, w.direct, "CREATE TABLE "+name+" (id INT AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, KEY (k))")
	conn := connection(w.t, w.direct, "SET cte_max_recursion_depth = 10000")
	for n := 0; n < rows; n += 10_000 {
		execute(w.t, conn, "INSERT INTO "+name+" (k, c) WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 10000) SELECT n, REPEAT('x', 100) FROM s")
	}
}

// start sends a statement and returns where its error will come.
func start(t *testing.T, conn *sql.Conn, statement string) <-chan error {
	ended := make(chan error, 1)
	ctx := t.Context()
	go func() {
		_, err := conn.ExecContext(ctx, statement)
		ended <- err
	}()
	return ended
}

// untilCopying waits until rows of a migration have been copied.
func (w *world) untilCopying(name string) {
	w.t.Helper()
	w.eventually("rows of "+name+" are being copied", func() bool {
		return value(w.t, w.direct, `SELECT COUNT(*) FROM sluice.migrations m JOIN sluice.checkpoints c ON c.migration_id = m.id
			WHERE m.table_schema = ? AND m.table_name = ? AND m.phase = 'copying' AND c.rows_copied > 0`, w.database, name) != "0"
	})
}

func TestKillQueryCancelsAndLeavesNothing(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 200_000)
	before := definition(t, w.direct, "t")
	client := w.client("SET @sluice_mode = 'online'")
	id := value(t, client, "SELECT CONNECTION_ID()")
	ended := start(t, client, "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.untilCopying("t")
	execute(t, w.client(), "KILL QUERY "+id)
	if err := <-ended; !strings.HasPrefix(errorText(err), "1317 (70100) Query execution was interrupted") {
		t.Errorf("the client got %s", errorText(err))
	}
	if got := definition(t, w.direct, "t"); got != before {
		t.Errorf("the table was changed to %s", got)
	}
	if path := w.phases("t"); !strings.HasSuffix(path, "copying cancelled") {
		t.Errorf("the migration went %q", path)
	}
	w.assertNoTrace("t")
	if n := value(t, client, "SELECT COUNT(*) FROM t"); n != "200000" {
		t.Errorf("the session counts %s rows", n)
	}
}

func TestProcesslistShowsTheAlterAndItsProgress(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 200_000)
	client := w.client("SET @sluice_mode = 'online'")
	id := value(t, client, "SELECT CONNECTION_ID()")
	ended := start(t, client, "ALTER TABLE t /* why */ MODIFY k BIGINT NOT NULL")
	w.eventually("the processlist shows the ALTER with its progress", func() bool {
		info := value(t, w.direct, "SELECT IFNULL(INFO, '') FROM performance_schema.processlist WHERE ID = ?", id)
		return strings.HasPrefix(info, "/* ALTER TABLE t / * why * / MODIFY k BIGINT NOT NULL -- sluice ") && strings.Contains(info, "copying ")
	})
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestMigrationOutlivesItsClient(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 200_000)
	client := w.client("SET @sluice_mode = 'online'")
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		// The driver closes the connection when the context ends.
		_, err := client.ExecContext(ctx, "ALTER TABLE t MODIFY k BIGINT NOT NULL")
		ended <- err
	}()
	w.untilCopying("t")
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client hung up and got %v", err)
	}
	w.eventually("the migration is done", func() bool { return strings.HasSuffix(w.phases("t"), " done") })
	if !strings.Contains(definition(t, w.direct, "t"), "`k` bigint") {
		t.Error("the table has its old shape")
	}
	w.assertNoTrace("t")
}

func TestSameAlterSentAgainJoinsTheRunningOne(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 200_000)
	const alter = "ALTER TABLE t MODIFY k BIGINT NOT NULL"
	first := start(t, w.client("SET @sluice_mode = 'online'"), alter)
	w.untilCopying("t")
	second := start(t, w.client("SET @sluice_mode = 'online'"), alter)
	if err := <-second; err != nil {
		t.Error(err)
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
	if n := value(t, w.direct, "SELECT COUNT(*) FROM sluice.migrations WHERE table_schema = ?", w.database); n != "1" {
		t.Errorf("%s migrations, want one", n)
	}
}

func TestAnotherAlterOfTheTableWaitsItsTurn(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 100_000)
	w.bigTable("other", 1000)
	first := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.untilCopying("t")
	second := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t ADD INDEX (c)")
	// A migration of another table goes on meanwhile.
	execute(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE other ADD INDEX (c)")
	for _, ended := range []<-chan error{first, second} {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	got := definition(t, w.direct, "t")
	if !strings.Contains(got, "`k` bigint") || !strings.Contains(got, "KEY `c` (`c`)") {
		t.Errorf("the table ends as %s", got)
	}
	overlap := value(t, w.direct, `SELECT COUNT(*) FROM sluice.migrations a JOIN sluice.migrations b ON a.id < b.id AND b.started_at < a.ended_at
		WHERE a.table_schema = ? AND a.table_name = 't' AND b.table_schema = a.table_schema AND b.table_name = 't'`, w.database)
	if overlap != "0" {
		t.Error("two migrations of one table ran at the same time")
	}
	w.assertNoTrace("other", "t")
}

func TestChangeOfTheTableByOthersEndsTheMigration(t *testing.T) {
	for _, statement := range []string{"ALTER TABLE t ADD COLUMN quick INT", "TRUNCATE TABLE t", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.k = 1"} {
		t.Run(statement, func(t *testing.T) {
			w := newWorld(t, nil)
			w.bigTable("t", 100_000)
			ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
			w.untilCopying("t")
			execute(t, w.direct, statement)
			if err := <-ended; !strings.Contains(errorText(err), "changed by another statement") {
				t.Errorf("the client got %s", errorText(err))
			}
			if strings.Contains(definition(t, w.direct, "t"), "`k` bigint") {
				t.Error("the tables were swapped")
			}
			w.assertNoTrace("t")
		})
	}
}

func TestLongTransactionIsWaitedForAndNobodyIsHeld(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 10_000)
	long := connection(t, w.through())
	execute(t, long, "START TRANSACTION")
	execute(t, long, "UPDATE t SET k = 77 WHERE id = 1")
	id := value(t, long, "SELECT CONNECTION_ID()")
	ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.eventually("the migration says for whom it waits", func() bool {
		return strings.Contains(strings.Join(table(t, w.direct, "SELECT waiting_for FROM sluice.migrations WHERE table_schema = ?", w.database), ""), "connection "+id)
	})
	short := w.client()
	for range 50 {
		execute(t, short, "UPDATE t SET k = k + 1 WHERE id = 2")
	}
	if n := value(t, w.direct, "SELECT cutover_attempts FROM sluice.migrations WHERE table_schema = ?", w.database); n != "0" {
		t.Errorf("%s attempts while a long transaction holds the table", n)
	}
	execute(t, long, "COMMIT")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := table(t, w.direct, "SELECT k FROM t WHERE id IN (1, 2) ORDER BY id"); fmt.Sprint(got) != "[77 52]" {
		t.Errorf("the rows hold %v", got)
	}
}

func TestAlterCommitsTheOpenTransactionAsItDoesNatively(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 10_000)
	client := w.client("SET @sluice_mode = 'online'", "SET autocommit = 0")
	execute(t, client, "UPDATE t SET k = -1 WHERE id = 1")
	execute(t, client, "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	execute(t, client, "ROLLBACK")
	if k := value(t, client, "SELECT k FROM t WHERE id = 1"); k != "-1" {
		t.Errorf("the row written before the ALTER holds %s: it was not committed", k)
	}
}

func TestStatementThatOnlyMentionsTheTableDoesNoHarm(t *testing.T) {
	w := newWorld(t, nil)
	w.bigTable("t", 100_000)
	ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.untilCopying("t")
	for _, s := range []string{"CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE u LIKE t", "ALTER TABLE u COMMENT 'like t'", "DROP VIEW v", "ANALYZE TABLE t"} {
		execute(t, w.direct, s)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestClientsSettingsDoNotCutTheWaitShort(t *testing.T) {
	for _, setting := range []string{"max_execution_time = 5", "sql_select_limit = 0", "character_set_results = ucs2", "character_set_results = NULL", "sql_mode = 'ANSI'", "collation_connection = latin1_german1_ci"} {
		t.Run(setting, func(t *testing.T) {
			w := newWorld(t, nil)
			w.bigTable("t", 40_000)
			execute(t, w.client("SET @sluice_mode = 'online'", "SET "+setting), `ALTER TABLE t MODIFY k BIGINT NOT NULL`)
			if got := definition(t, w.direct, "t"); !strings.Contains(got, "`k` bigint") {
				t.Errorf("the table ends as %s", got)
			}
		})
	}
}

package load_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"sluice/bench/load"
	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
)

func TestMain(m *testing.M) { servertest.Main(m) }

const rows = 5000

// start seeds a table on the server and sets clients to work on it.
func start(t *testing.T, server *mysqltest.Server, database string, db *sql.DB, change func(*load.Config)) *load.Run {
	t.Helper()
	if err := load.Seed(t.Context(), db, "t", rows); err != nil {
		t.Fatal(err)
	}
	config := load.Config{Server: server.Config(), Table: "t", Rows: rows, Seed: 1}
	config.Server.DBName = database
	if change != nil {
		change(&config)
	}
	run, err := load.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Stop() })
	return run
}

func warm(t *testing.T, run *load.Run) {
	t.Helper()
	select {
	case <-run.Warm():
	case <-time.After(time.Minute):
		t.Fatalf("not warm after a minute: %s", run.Stop())
	}
}

// serves waits until so many statements have been served.
func serves(t *testing.T, run *load.Run, statements int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := run.Await(ctx, statements); err != nil {
		t.Fatalf("%v: %s", err, run.Stop())
	}
}

func verify(t *testing.T, run *load.Run, db *sql.DB) load.Verdict {
	t.Helper()
	verdict, err := run.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return verdict
}

func exec(t *testing.T, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestNothingIsLostOnAServerThatLosesNothing(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	run := start(t, server, name, db, nil)
	warm(t, run)
	if _, err := run.Verify(t.Context(), db); err == nil {
		t.Error("a verdict while the clients work")
	}
	report := run.Stop()
	t.Log(report)
	verdict := verify(t, run, db)
	if report.Errors+report.Stale+report.Lost+report.Unknown != 0 {
		t.Errorf("%d errors, %d stale, %d lost, %d unknown: %q", report.Errors, report.Stale, report.Lost, report.Unknown, report.Details)
	}
	if report.Statements < 800 || report.Transactions == 0 || report.Writes == 0 || report.LongestWait == 0 || report.Percentile(99) == 0 {
		t.Errorf("report lacks something: %s", report)
	}
	var count int64
	if err := db.QueryRow("SELECT COUNT(*) FROM t").Scan(&count); err != nil {
		t.Fatal(err)
	}
	if verdict.Rows != count || verdict.Writes != report.Writes || verdict.Lost+verdict.Invented != 0 {
		t.Errorf("verdict %+v on %d rows", verdict, count)
	}
}

// A transaction that has read and then writes may be the victim of a deadlock
// with a native ALTER, so there are none here.
func TestClientsDoNotMindAnAlter(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	run := start(t, server, name, db, func(c *load.Config) { c.Mix = load.Mix{Reads: 5, Inserts: 1, Updates: 2, Deletes: 1} })
	warm(t, run)
	exec(t, db, "ALTER TABLE t MODIFY k BIGINT NOT NULL, MODIFY token VARCHAR(100) NOT NULL, ADD COLUMN more INT FIRST, ADD INDEX (token)")
	served := run.Served()
	serves(t, run, served+100)
	report := run.Stop()
	if verdict := verify(t, run, db); report.Errors+report.Stale+verdict.Lost+verdict.Invented != 0 {
		t.Errorf("report %s, verdict %+v", report, verdict)
	}
}

func TestWhatIsWrongInTheTableIsFound(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	run := start(t, server, name, db, func(c *load.Config) { c.Warmup = 400 })
	warm(t, run)
	run.Stop()

	const preloaded, inserted = "id <= 5000", "id > 5000"
	for what, test := range map[string]struct {
		damage, repair string
		lost, invented int64
	}{
		"row deleted": {
			"DELETE FROM t WHERE " + preloaded + " ORDER BY id LIMIT 1",
			"INSERT INTO t SELECT * FROM good WHERE id NOT IN (SELECT id FROM t)", 1, 0},
		"own rows deleted": {
			"DELETE FROM t WHERE " + inserted + " ORDER BY id DESC LIMIT 3",
			"INSERT INTO t SELECT * FROM good WHERE id NOT IN (SELECT id FROM t)", 3, 0},
		"deleted row is back": {
			"INSERT INTO t (id, owner, k, token, pad) SELECT n, 0, 1, 'x', 'y' FROM (WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s WHERE n < 1000) SELECT n FROM s) s WHERE n NOT IN (SELECT id FROM good) LIMIT 1",
			"DELETE FROM t WHERE id NOT IN (SELECT id FROM good)", 1, 1},
		"row that nobody made": {
			"INSERT INTO t (owner, k, token, pad) VALUES (1, 2, 'x', 'y')",
			"DELETE FROM t WHERE id NOT IN (SELECT id FROM good)", 0, 1},
		"older value of a row": {
			"UPDATE t JOIN good USING (id) SET t.token = 'seed-1', t.k = (SELECT k FROM seed WHERE id = 1), t.pad = (SELECT pad FROM seed WHERE id = 1) WHERE t.id = (SELECT MIN(id) FROM good WHERE token LIKE 'c%' AND " + preloaded + ")",
			"REPLACE INTO t SELECT * FROM good", 1, 0},
		"one column of a row": {
			"UPDATE t SET k = k + 1 ORDER BY id LIMIT 1",
			"REPLACE INTO t SELECT * FROM good", 1, 1},
		"row of another client": {
			"UPDATE t SET owner = owner % 8 + 1 WHERE " + inserted + " ORDER BY id LIMIT 1",
			"REPLACE INTO t SELECT * FROM good", 1, 1},
		"nothing": {"DO 1", "DO 1", 0, 0},
	} {
		exec(t, db, "DROP TABLE IF EXISTS good, seed")
		exec(t, db, "CREATE TABLE good AS SELECT * FROM t")
		if err := load.Seed(t.Context(), db, "seed", 1); err != nil {
			t.Fatal(err)
		}
		exec(t, db, test.damage)
		if v := verify(t, run, db); v.Lost != test.lost || v.Invented != test.invented {
			t.Errorf("%s: %d lost, %d invented, want %d and %d: %q", what, v.Lost, v.Invented, test.lost, test.invented, v.Details)
		}
		exec(t, db, test.repair)
	}
}

func TestWritesLostMeanwhileAreCounted(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	run := start(t, server, name, db, func(c *load.Config) { c.Mix = load.Mix{Reads: 1, Updates: 1} })
	exec(t, db, "UPDATE t SET token = CONCAT('not-', token)")
	warm(t, run)
	report := run.Stop()
	verdict := verify(t, run, db)
	if report.Lost == 0 || report.Stale == 0 || verdict.Lost < report.Lost || len(report.Details) == 0 {
		t.Errorf("report %s, verdict %d lost", report, verdict.Lost)
	}
}

// The answers that the crash swallows make both outcomes right, those that came
// bind the server.
func TestCrashOfTheServerLosesNothingAcknowledged(t *testing.T) {
	server := servertest.Start(t)
	db := servertest.Open(t, server, "")
	exec(t, db, "CREATE DATABASE app")
	db = servertest.Open(t, server, "app")
	run := start(t, server, "app", db, nil)
	warm(t, run)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	served := run.Served()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	serves(t, run, served+1000)
	report := run.Stop()
	t.Log(report)
	if verdict := verify(t, run, db); verdict.Lost+verdict.Invented != 0 || report.Stale != 0 || report.Errors == 0 {
		t.Errorf("%d stale, %d errors, verdict %+v", report.Stale, report.Errors, verdict)
	}
}

// Connections that are cut at any moment, as by a proxy that dies.
func TestLostConnectionsLoseNothingAcknowledged(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	run := start(t, server, name, db, func(c *load.Config) { c.Warmup = 500 })
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for cut := 0; cut < 100; {
		<-tick.C
		var id int64
		err := db.QueryRow("SELECT id FROM information_schema.processlist WHERE db = ? AND id <> CONNECTION_ID() ORDER BY RAND() LIMIT 1", name).Scan(&id)
		if err != nil {
			continue // they are all away at the moment
		}
		if _, err := db.Exec(fmt.Sprintf("KILL CONNECTION %d", id)); err == nil {
			cut++
		}
	}
	warm(t, run)
	report := run.Stop()
	t.Log(report)
	if verdict := verify(t, run, db); verdict.Lost+verdict.Invented != 0 || report.Stale != 0 || report.Errors == 0 {
		t.Errorf("%d stale, %d errors, verdict %+v", report.Stale, report.Errors, verdict)
	}
}

func TestEndOfTheContextStopsClientsInMidStatement(t *testing.T) {
	server := servertest.Shared(t)
	name, db := servertest.Database(t, server)
	if err := load.Seed(t.Context(), db, "t", rows); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config := load.Config{Server: server.Config(), Table: "t", Rows: rows}
	config.Server.DBName = name
	run, err := load.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	warm(t, run)
	locked, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := locked.ExecContext(t.Context(), "LOCK TABLES t WRITE"); err != nil { // they all wait
		t.Fatal(err)
	}
	cancel()
	report := run.Stop()
	if report.Errors != 0 {
		t.Errorf("%d errors: %q", report.Errors, report.Details)
	}
	if err := locked.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("SELECT 1"); err != nil {
		t.Fatal(err)
	}
}

func TestWrongConfigurationIsRefused(t *testing.T) {
	if _, err := load.Start(t.Context(), load.Config{}); err == nil {
		t.Error("no server and no table")
	}
	config := load.Config{Server: servertest.Shared(t).Config(), Table: "t"}
	config.Server.DBName = "no_such_database"
	if _, err := load.Start(t.Context(), config); err == nil {
		t.Error("no such database")
	}
}

func TestSeedLoadsManyRowsQuickly(t *testing.T) {
	_, db := servertest.Database(t, servertest.Shared(t))
	start := time.Now()
	if err := load.Seed(t.Context(), db, "t", 200_000); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	t.Logf("200,000 rows in %s", took)
	if took > time.Minute {
		t.Errorf("200,000 rows took %s", took)
	}
	if err := load.Seed(t.Context(), db, "t", 1); err == nil {
		t.Error("seeded a table that is there already")
	}
}

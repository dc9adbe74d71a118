package main

import (
	"strings"
	"testing"

	"sluice/internal/mysqltest/servertest"
)

func TestStoppedInMidCopyTellsTheClientAndGoesOn(t *testing.T) {
	server := servertest.Start(t)
	prepareAccounts(t, server)
	database, direct := servertest.Database(t, server)
	p := startProgram(t, server)
	w := &world{t: t, server: server, database: database, direct: direct}
	w.bigTable("t", 200_000)
	client := connection(t, openAs(t, "app", appPassword, p.address, database), "SET @sluice_mode = 'online'")
	ended := start(t, client, "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.untilCopying("t")
	if err := p.stop(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.output)
	}
	if err := <-ended; !strings.HasPrefix(errorText(err), "1053 (08S01)") {
		t.Errorf("the waiting client got %s", errorText(err))
	}
	if phase := value(t, direct, "SELECT phase FROM sluice.migrations"); phase != "copying" {
		t.Errorf("the migration was left %s", phase)
	}
	p.start()
	w.eventually("the migration is done", func() bool { return value(t, direct, "SELECT phase FROM sluice.migrations") == "done" })
	if got := definition(t, direct, "t"); !strings.Contains(got, "`k` bigint") {
		t.Errorf("the table ends as %s", got)
	}
	w.assertNoTrace("t")
}

func TestServerRestartInMidCopyIsOnlyAPause(t *testing.T) {
	server := servertest.Start(t)
	w := newWorld(t, server)
	w.bigTable("t", 200_000)
	ended := start(t, w.client("SET @sluice_mode = 'online'"), "ALTER TABLE t MODIFY k BIGINT NOT NULL")
	w.untilCopying("t")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Fatal("the ALTER was over before the server was killed: the test shows nothing")
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.eventually("the migration is done", func() bool {
		var phase string
		err := w.direct.QueryRowContext(t.Context(), "SELECT phase FROM sluice.migrations").Scan(&phase)
		return err == nil && phase == "done"
	})
	if got := definition(t, w.direct, "t"); !strings.Contains(got, "`k` bigint") {
		t.Errorf("the table ends as %s", got)
	}
	if n := value(t, w.direct, "SELECT COUNT(*) FROM t"); n != "200000" {
		t.Errorf("%s rows", n)
	}
	w.assertNoTrace("t")
}

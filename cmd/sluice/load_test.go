package main

import (
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sluice/bench/load"
	"sluice/internal/mysqltest"
	"sluice/internal/mysqltest/servertest"
)

// underLoad seeds a table and sets the clients of the checked write load on it,
// connected to addr.
func underLoad(t *testing.T, server *mysqltest.Server, addr, database string, rows int64) *load.Run {
	t.Helper()
	if err := load.Seed(t.Context(), servertest.Open(t, server, database), "t", rows); err != nil {
		t.Fatal(err)
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = "app", appPassword, "tcp", addr, database
	run, err := load.Start(t.Context(), load.Config{Server: c, Table: "t", Rows: rows, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { run.Stop() })
	<-run.Warm()
	return run
}

// judge stops the load and looks every acknowledged write up.
func judge(t *testing.T, server *mysqltest.Server, database string, run *load.Run) load.Report {
	t.Helper()
	report := run.Stop()
	verdict, err := run.Verify(t.Context(), servertest.Open(t, server, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Log(report)
	t.Logf("%d rows compared, %d writes looked up, %d lost, %d invented", verdict.Rows, verdict.Writes, verdict.Lost, verdict.Invented)
	if verdict.Lost != 0 || verdict.Invented != 0 {
		t.Errorf("%d writes lost, %d invented: %q", verdict.Lost, verdict.Invented, verdict.Details)
	}
	if report.Writes == 0 {
		t.Error("nothing was written meanwhile: the test shows nothing")
	}
	return report
}

func TestThirtyAltersInARowUnderLoad(t *testing.T) {
	w := newWorld(t, nil)
	run := underLoad(t, w.server, w.instance.proxy.Addr().String(), w.database, 10_000)
	client := w.client("SET @sluice_mode = 'online'")
	alters := []string{
		"ALTER TABLE t MODIFY k BIGINT NOT NULL", "ALTER TABLE t ADD COLUMN extra VARCHAR(10) NOT NULL DEFAULT 'new' AFTER id",
		"CREATE INDEX by_token ON t (token)", "ALTER TABLE t MODIFY k INT NOT NULL, DROP COLUMN extra", "DROP INDEX by_token ON t", "ALTER TABLE t FORCE",
	}
	for i := range 30 {
		if _, err := client.ExecContext(t.Context(), alters[i%len(alters)]); err != nil {
			t.Fatalf("ALTER %d: %v", i+1, err)
		}
	}
	report := judge(t, w.server, w.database, run)
	if report.Errors != 0 || report.Stale != 0 {
		t.Errorf("%d errors and %d stale reads: %q", report.Errors, report.Stale, report.Details)
	}
	if n := value(t, w.direct, "SELECT COUNT(*) FROM sluice.migrations WHERE table_schema = ? AND phase = 'done'", w.database); n != "30" {
		t.Errorf("%s migrations are done, want 30", n)
	}
	w.assertNoTrace("t")
	t.Log(value(t, w.direct, `SELECT CONCAT('cutovers: ', SUM(cutover_attempts), ' attempts, clients held ', ROUND(AVG(held_ms)), ' ms on average, ', ROUND(MAX(held_ms)), ' ms at most')
		FROM sluice.migrations WHERE table_schema = ?`, w.database))
}

func TestKilledInMidCopyGoesOnFromItsCheckpoint(t *testing.T) {
	server := servertest.Start(t)
	prepareAccounts(t, server)
	database, direct := servertest.Database(t, server)
	p := startProgram(t, server)
	const rows = 150_000
	run := underLoad(t, server, p.address, database, rows)
	client := connection(t, openAs(t, "app", appPassword, p.address, database), "SET @sluice_mode = 'online'")
	ended := start(t, client, "ALTER TABLE t MODIFY k BIGINT NOT NULL, ADD INDEX (token)")
	copied := func() int {
		n, _ := strconv.Atoi(strings.Join(table(t, direct, "SELECT rows_copied FROM sluice.checkpoints"), ""))
		return n
	}
	eventually(t, "a fifth of the rows is copied", func() bool { return copied() > rows/5 })
	p.kill()
	if err := <-ended; err == nil {
		t.Fatal("the ALTER was over before Sluice was killed: the test shows nothing")
	}
	before := copied()
	if before >= rows*9/10 {
		t.Fatalf("%d rows were copied when Sluice was killed: the test shows nothing", before)
	}
	p.start()
	eventually(t, "the migration has ended", func() bool {
		return value(t, direct, "SELECT ended_at IS NOT NULL FROM sluice.migrations") == "1"
	})
	if phase := value(t, direct, "SELECT phase FROM sluice.migrations"); phase != "done" {
		t.Errorf("the migration is %s", phase)
	}
	again := p.metric("sluice_migration_rows_copied_total")
	total := copied()
	t.Logf("%d rows were copied before the kill, %d after it, %d in all", before, again, total)
	if before+again != total {
		t.Errorf("%d rows were copied before the kill and %d after it, which is not %d: some were copied twice or left out", before, again, total)
	}
	if got := definition(t, direct, "t"); !strings.Contains(got, "`k` bigint") || !strings.Contains(got, "KEY `token`") {
		t.Errorf("the table ends as %s", got)
	}
	judge(t, server, database, run)
	if got := table(t, direct, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'sluice\\_%'"); len(got) > 0 {
		t.Errorf("schemas are left: %v", got)
	}
	if err := p.stop(); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, p.output)
	}
}

// process is Sluice as a process of its own, which can be killed and started
// again on the same address.
type process struct {
	t             *testing.T
	args          []string
	address, http string
	cmd           *exec.Cmd
	output        *lockedBuffer
}

func startProgram(t *testing.T, server *mysqltest.Server) *process {
	t.Helper()
	p := &process{t: t, address: freePort(t), http: freePort(t), output: &lockedBuffer{}}
	p.args = []string{"serve", "--listen", p.address, "--http", p.http, "--backend", server.Addr(),
		"--password-file", passwordFile(t), "--state-dir", certificates, "--drain-timeout", "1s"}
	p.start()
	t.Cleanup(func() {
		if p.cmd != nil {
			p.kill()
		}
		if t.Failed() {
			t.Logf("log of Sluice:\n%s", p.output)
		}
	})
	return p
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = program(p.t, p.args...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "Sluice is ready", func() bool {
		r, err := http.Get("http://" + p.http + "/readyz")
		if err != nil {
			return false
		}
		r.Body.Close()
		return r.StatusCode == http.StatusOK
	})
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Error(err)
	}
	p.cmd.Wait()
	p.cmd = nil
}

// stop is SIGTERM, and the exit status.
func (p *process) stop() error {
	p.t.Helper()
	cmd := p.cmd
	p.cmd = nil
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return cmd.Wait()
}

func (p *process) metric(name string) int {
	p.t.Helper()
	r, err := http.Get("http://" + p.http + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + ` (.*)$`).FindSubmatch(text)
	if m == nil {
		p.t.Fatalf("no metric %s", name)
	}
	f, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return int(f)
}

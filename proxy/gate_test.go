package proxy_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire/wiretest"
	"sluice/proxy"
)

// gated is a proxy with a table t and a way to know how many sessions are held.
type gated struct {
	*relay
	t        *testing.T
	registry *prometheus.Registry
	database string
}

func startGated(t *testing.T) *gated {
	t.Helper()
	g := &gated{t: t, registry: prometheus.NewRegistry()}
	g.relay = start(t, servertest.Shared(t), func(c *proxy.Config) { c.Registerer = g.registry })
	var direct *sql.DB
	g.database, direct = servertest.Database(t, g.backend)
	run(t, direct, "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)", "CREATE TABLE other (id INT)")
	return g
}

// metric returns the value of a counter or gauge, or the count of a histogram.
func (g *gated) metric(name string) float64 {
	g.t.Helper()
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	g.t.Fatalf("no metric %s", name)
	return 0
}

// awaitHeld waits until n sessions are held; conn is a session that is not.
func (g *gated) awaitHeld(conn *sql.Conn, n float64) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), patience)
	defer cancel()
	for g.metric("sluice_held_sessions") != n {
		if _, err := conn.ExecContext(ctx, "DO SLEEP(0.002)"); err != nil {
			g.t.Fatalf("%v sessions held, want %v: %v", g.metric("sluice_held_sessions"), n, err)
		}
	}
}

// async runs a statement and returns where its outcome will be.
func async(conn *sql.Conn, statement string) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(context.Background(), statement)
		done <- err
	}()
	return done
}

func TestGateHoldsStatementsThatNameTheTable(t *testing.T) {
	t.Parallel()
	g := startGated(t)
	watcher := g.conn(t, g.database)
	text, begun, prepared := g.conn(t, g.database), g.conn(t, g.database), g.conn(t, g.database)
	run(t, begun, "START TRANSACTION")
	stmt, err := prepared.PrepareContext(t.Context(), "INSERT INTO t (v) VALUES (?)")
	if err != nil {
		t.Fatal(err)
	}

	release := g.Hold(g.database, "t")
	fromText := async(text, "INSERT INTO t (v) VALUES (1)")
	g.awaitHeld(watcher, 1)
	fromBegun := async(begun, "INSERT INTO t (v) VALUES (2)")
	g.awaitHeld(watcher, 2)
	fromPrepared := make(chan error, 1)
	go func() {
		_, err := stmt.Exec(3)
		fromPrepared <- err
	}()
	g.awaitHeld(watcher, 3)
	run(t, watcher, "SELECT * FROM other") // another table passes
	if n := one[int](t, servertest.Open(t, g.backend, g.database), "SELECT COUNT(*) FROM t"); n != 0 {
		t.Errorf("%d rows came through", n)
	}
	release()
	release()
	for _, done := range []<-chan error{fromText, fromBegun, fromPrepared} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	run(t, begun, "COMMIT")
	if n := one[int](t, watcher, "SELECT COUNT(*) FROM t"); n != 3 {
		t.Errorf("%d rows, want 3", n)
	}
	if held, holds := g.metric("sluice_held_sessions"), g.metric("sluice_holds_total"); held != 0 || holds != 3 {
		t.Errorf("%v held, %v holds, want 0 and 3", held, holds)
	}
	if n := g.metric("sluice_hold_seconds"); n != 3 {
		t.Errorf("%v durations, want 3", n)
	}
}

func TestGatePassesSessionsThatOthersMayWaitFor(t *testing.T) {
	t.Parallel()
	g := startGated(t)
	within, locked := g.conn(t, g.database), g.conn(t, g.database)
	run(t, within, "BEGIN", "INSERT INTO t (v) VALUES (1)")
	run(t, locked, "LOCK TABLES other WRITE")
	for _, table := range []string{"t", "other"} {
		defer g.Hold(g.database, table)()
	}
	run(t, locked, "INSERT INTO other VALUES (1)", "UNLOCK TABLES")
	run(t, within, "UPDATE t SET v = 2", "COMMIT")
	if n := g.metric("sluice_holds_total"); n != 0 {
		t.Errorf("%v statements were held", n)
	}
}

func TestGateHoldsSeveralTables(t *testing.T) {
	t.Parallel()
	g := startGated(t)
	conn, watcher := g.conn(t, g.database), g.conn(t, g.database)
	first, second := g.Hold(g.database, "t"), g.Hold(g.database, "other")
	done := async(conn, "INSERT INTO other SELECT id FROM t")
	g.awaitHeld(watcher, 1)
	first() // the other still holds it
	g.awaitHeld(watcher, 1)
	second()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestHeldClientThatLeavesIsDropped(t *testing.T) {
	t.Parallel()
	g := startGated(t)
	watcher := g.conn(t, g.database)
	release := g.Hold(g.database, "t")
	c := wiretest.Dial(t, g.Addr().String(), 0)
	c.Query("INSERT INTO " + g.database + ".t (v) VALUES (1)")
	g.awaitHeld(watcher, 1)
	c.Close()
	g.awaitHeld(watcher, 0)
	eventually(t, watcher, "0", "SELECT COUNT(*) FROM performance_schema.processlist WHERE id = ?", c.Greeting.ConnectionID)
	release()
	if n := one[int](t, watcher, "SELECT COUNT(*) FROM t"); n != 0 {
		t.Error("the statement of a client that had left was run")
	}
}

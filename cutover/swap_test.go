package cutover

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/schema"
)

func TestMain(m *testing.M) { servertest.Main(m) }

// places makes three databases and the tables that are asked for.
func places(t *testing.T, db *sql.DB, source, shadow, old bool) schema.Places {
	t.Helper()
	server := servertest.Shared(t)
	var names [3]string
	for i := range names {
		names[i], _ = servertest.Database(t, server)
	}
	p := schema.Places{
		Source: schema.Table{Schema: names[0], Name: "t"}, Shadow: schema.Table{Schema: names[1], Name: "t"},
		Old: schema.Table{Schema: names[2], Name: "t"}, Check: schema.Table{Schema: names[1], Name: "c"},
	}
	for table, wanted := range map[schema.Table]bool{p.Source: source, p.Shadow: shadow, p.Old: old, p.Check: true} {
		if wanted {
			must(t, db, "CREATE TABLE "+table.String()+" (id INT PRIMARY KEY)")
		}
	}
	return p
}

func must(t *testing.T, c schema.Queryer, statement string) {
	t.Helper()
	if _, err := c.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func TestLookTellsWhatBecameOfTheSwap(t *testing.T) {
	db := servertest.Open(t, servertest.Shared(t), "")
	for i := range 8 {
		source, shadow, old := i&1 != 0, i&2 != 0, i&4 != 0
		want := Unclear
		switch {
		case source && shadow && !old:
			want = Waiting
		case source && !shadow && old:
			want = Swapped
		}
		t.Run(fmt.Sprintf("source=%t shadow=%t old=%t", source, shadow, old), func(t *testing.T) {
			got, err := Look(t.Context(), db, places(t, db, source, shadow, old))
			if got != want || (want == Unclear) != errors.Is(err, ErrUnclear) {
				t.Errorf("%s, %v; want %s", got, err, want)
			}
		})
	}
}

// countingGate counts how often it is closed and how long.
type countingGate struct {
	holds, open atomic.Int64
}

func (g *countingGate) Hold(string, string) func() {
	g.holds.Add(1)
	return func() { g.open.Add(1) }
}

func newSwap(t *testing.T, db *sql.DB, p schema.Places, g Gate) *Swap {
	t.Helper()
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &Swap{
		Places: p, Conn: conn, DB: db, Gate: g, Limits: DefaultLimits, Copied: time.Now(),
		Pump: func(context.Context) error { return nil }, Settle: func(context.Context) error { return nil },
		Commit: func(context.Context) error { return nil }, Report: func(string) {}, Logger: slog.New(slog.DiscardHandler),
	}
	if err := conn.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&s.ConnID); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSwapExchangesTheTablesAndLetsGo(t *testing.T) {
	db := servertest.Open(t, servertest.Shared(t), "")
	p := places(t, db, true, true, false)
	must(t, db, "INSERT INTO "+p.Shadow.String()+" VALUES (1)")
	g := &countingGate{}
	phase, timing, err := newSwap(t, db, p, g).Run(t.Context())
	if phase != Swapped || err != nil {
		t.Fatalf("%s, %v", phase, err)
	}
	if got, err := Look(t.Context(), db, p); got != Swapped || err != nil {
		t.Errorf("the server says %s, %v", got, err)
	}
	if g.holds.Load() != 1 || g.open.Load() != 1 || timing.Attempts != 1 || timing.Held < timing.Locked || timing.Locked < timing.Rename {
		t.Errorf("%d holds, %d releases, %+v", g.holds.Load(), g.open.Load(), timing)
	}
	must(t, db, "INSERT INTO "+p.Source.String()+" VALUES (2)") // nobody holds it any more
}

func TestSwapThatCannotSettleInTimeLetsGoAndTriesAgain(t *testing.T) {
	db := servertest.Open(t, servertest.Shared(t), "")
	p := places(t, db, true, true, false)
	g := &countingGate{}
	s := newSwap(t, db, p, g)
	tries := 0
	s.Settle = func(ctx context.Context) error {
		if tries++; tries == 1 {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		return nil
	}
	phase, timing, err := s.Run(t.Context())
	if phase != Swapped || err != nil || timing.Attempts != 2 || g.open.Load() != 2 {
		t.Errorf("%s, %v, %+v, %d releases", phase, err, timing, g.open.Load())
	}
}

func TestSwapStopsAndUnlocksWhenSettlingFails(t *testing.T) {
	db := servertest.Open(t, servertest.Shared(t), "")
	p := places(t, db, true, true, false)
	s := newSwap(t, db, p, &countingGate{})
	wrong := errors.New("rows differ")
	s.Settle = func(context.Context) error { return wrong }
	phase, _, err := s.Run(t.Context())
	if phase != Stopped || !errors.Is(err, wrong) {
		t.Errorf("%s, %v", phase, err)
	}
	if got, _ := Look(t.Context(), db, p); got != Waiting {
		t.Errorf("the server says %s", got)
	}
	must(t, db, "INSERT INTO "+p.Source.String()+" VALUES (2)")
}

func TestSwapWaitsForAnOpenTransactionWithoutLocking(t *testing.T) {
	db := servertest.Open(t, servertest.Shared(t), "")
	p := places(t, db, true, true, false)
	client, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	must(t, client, "BEGIN")
	must(t, client, "INSERT INTO "+p.Source.String()+" VALUES (1)")
	g := &countingGate{}
	s := newSwap(t, db, p, g)
	waited := make(chan string, 1)
	s.Report = func(reason string) {
		if reason != "" {
			select {
			case waited <- reason:
			default:
			}
		}
	}
	ended := make(chan error, 1)
	go func() { _, _, err := s.Run(t.Context()); ended <- err }()
	<-waited
	if n := g.holds.Load(); n != 0 {
		t.Errorf("the gate was closed %d times while an old transaction held the table", n)
	}
	// The transaction has read and now writes: with a lock request in the queue
	// it would be the victim of a deadlock.
	must(t, client, "INSERT INTO "+p.Source.String()+" VALUES (2)")
	must(t, client, "COMMIT")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

package migrator

import (
	"errors"
	"testing"

	"sluice/internal/binlog"
	"sluice/internal/mysqltest/servertest"
	"sluice/internal/rows"
	"sluice/internal/schema"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func openStore(t *testing.T) *store {
	t.Helper()
	s, err := newServer(servertest.Shared(t).Config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Close() })
	st := &store{db: s.db, owner: "test"}
	if err := st.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return st
}

func newRecord(t *testing.T, s *store) *record {
	t.Helper()
	r := &record{
		Table: schema.Table{Schema: "app", Name: "t"}, Statement: "ALTER TABLE t ADD `\xff` INT", Phase: Queued, Connection: 7,
		Session: schema.Session{Database: "app", Variables: map[string]string{"sql_mode": "ANSI_QUOTES"}},
	}
	if err := s.create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStaleRunChangesNothing(t *testing.T) {
	s := openStore(t)
	r := newRecord(t, s)
	for _, run := range []string{"old", "new"} {
		if phase, _, err := s.claim(t.Context(), r.ID, run); err != nil || phase != Queued {
			t.Fatalf("claim by %s: %s, %v", run, phase, err)
		}
	}
	before, _, err := s.load(t.Context(), r.ID)
	if err != nil {
		t.Fatal(err)
	}
	c := checkpoint{SourceFingerprint: "s", ShadowFingerprint: "t", Front: rows.Front{Bound: rows.Bound{"5"}}, Position: binlog.Position{File: "b.1", Offset: 4}, RowsCopied: 5}
	for name, write := range map[string]func(run string) error{
		"transition": func(run string) error {
			return s.transition(t.Context(), r.ID, run, Queued, Preparing, Owned, "")
		},
		"report": func(run string) error { return s.report(t.Context(), r.ID, run, Progress{RowsCopied: 9}) },
		"begin":  func(run string) error { return s.begin(t.Context(), r.ID, run, c) },
		"save": func(run string) error {
			return s.save(t.Context(), s.db, r.ID, run, c.Front, c.Position, c.RowsCopied)
		},
	} {
		if err := write("old"); !errors.Is(err, errFenced) {
			t.Errorf("%s by the stale run: %v", name, err)
		}
	}
	after, begun, err := s.load(t.Context(), r.ID)
	if err != nil || begun || after.RowsCopied != before.RowsCopied || after.Front.Bound != nil {
		t.Errorf("the stale run has changed the checkpoint to %+v (%v)", after, err)
	}
	if phase, _, err := s.claim(t.Context(), r.ID, "new"); err != nil || phase != Queued {
		t.Errorf("the stale run has changed the phase to %s (%v)", phase, err)
	}
	if err := s.begin(t.Context(), r.ID, "new", c); err != nil {
		t.Errorf("the owner cannot write: %v", err)
	}
	// Writing the same again changes nothing on the server, and is no fencing.
	if err := s.save(t.Context(), s.db, r.ID, "new", c.Front, c.Position, c.RowsCopied); err != nil {
		t.Errorf("the owner cannot write the same again: %v", err)
	}
}

func TestRecordComesBackAsItWasWritten(t *testing.T) {
	s := openStore(t)
	r := newRecord(t, s)
	left, err := s.unfinished(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := left[len(left)-1]
	if got.ID != r.ID || got.Statement != r.Statement || got.Table != r.Table || got.Session.Variables["sql_mode"] != "ANSI_QUOTES" || got.Connection != 7 {
		t.Errorf("%+v came back as %+v", r, got)
	}
	if _, _, err := s.claim(t.Context(), r.ID, "run"); err != nil {
		t.Fatal(err)
	}
	if err := s.transition(t.Context(), r.ID, "run", Queued, Cancelled, Cancel, "enough"); err != nil {
		t.Fatal(err)
	}
	if phase, message, err := s.claim(t.Context(), r.ID, "next"); err != nil || phase != Cancelled || message != "enough" {
		t.Errorf("an ended migration is claimed as %s, %q, %v", phase, message, err)
	}
}

func TestNewerStateIsRefused(t *testing.T) {
	s := openStore(t)
	if _, err := s.db.ExecContext(t.Context(), "INSERT INTO sluice.state_version VALUES (99)"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.db.Exec("DELETE FROM sluice.state_version WHERE version = 99") })
	if err := s.open(t.Context()); err == nil {
		t.Error("a state schema of a newer Sluice was accepted")
	}
}

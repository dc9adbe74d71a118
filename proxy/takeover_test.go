package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest/servertest"
	"sluice/internal/wire"
	"sluice/internal/wire/wiretest"
	"sluice/proxy"
)

// alterer is an Alterer made of a function.
type alterer func(ctx context.Context, s *proxy.Session, sql string) (proxy.Outcome, error)

func (a alterer) Alter(ctx context.Context, s *proxy.Session, sql string) (proxy.Outcome, error) {
	return a(ctx, s, sql)
}

const alter = "ALTER TABLE t ADD COLUMN c INT"

func TestAlterIsAnsweredInTheServersPlace(t *testing.T) {
	t.Parallel()
	const info = "Records: 5  Duplicates: 0  Warnings: 0"
	var seen []string
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(_ context.Context, s *proxy.Session, sql string) (proxy.Outcome, error) {
		seen = append(seen, fmt.Sprint(s.ID(), s.UnderLocks(), s.Status()&gomysql.SERVER_STATUS_IN_TRANS, sql))
		return proxy.Outcome{Result: wire.Result{AffectedRows: 5, Info: info, Status: 0xffff}}, nil
	})))
	for _, dialect := range []uint32{0, gomysql.CLIENT_DEPRECATE_EOF | gomysql.CLIENT_SESSION_TRACK | gomysql.CLIENT_QUERY_ATTRIBUTES} {
		c := wiretest.Dial(t, r.Addr().String(), dialect)
		seen = nil
		c.Query("DO 1; DO 2") // of no concern to the Alterer
		c.Result()
		c.Query(alter)
		packet := c.Read1()
		got, err := wire.ParseOK(packet[wire.HeaderLen:], c.Caps)
		want := wire.Result{AffectedRows: 5, Info: info, Status: gomysql.SERVER_STATUS_AUTOCOMMIT}
		if err != nil || got.AffectedRows != 5 || got.Info != info || got.Status != want.Status || wire.Sequence(packet) != 1 {
			t.Errorf("got %+v, %v in %q", got, err, packet)
		}
		if want := fmt.Sprint(c.Greeting.ConnectionID, false, 0, alter); len(seen) != 1 || seen[0] != want {
			t.Errorf("the Alterer saw %q, want %q", seen, want)
		}
		c.Query("SELECT 1")
		c.Result()
	}
}

func TestAlterErrorsBecomeErrorPackets(t *testing.T) {
	t.Parallel()
	var failure error
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(context.Context, *proxy.Session, string) (proxy.Outcome, error) {
		return proxy.Outcome{}, failure
	})))
	conn := r.conn(t, "")
	for _, test := range []struct {
		err  error
		want string
	}{
		{&mysql.MySQLError{Number: 1142, SQLState: [5]byte([]byte("42000")), Message: "no"}, "Error 1142 (42000): no"},
		{fmt.Errorf("try: %w", &mysql.MySQLError{Number: 1317, Message: "stopped"}), "Error 1317 (70100): stopped"},
		{errors.New("out of luck"), "Error 1105 (HY000): sluice: out of luck"},
		{fmt.Errorf("waiting: %w", proxy.ErrDraining), "Error 1053 (08S01): Server shutdown in progress"},
	} {
		failure = test.err
		if _, err := conn.ExecContext(t.Context(), alter); err == nil || err.Error() != test.want {
			t.Errorf("%v: got %v, want %s", test.err, err, test.want)
		}
	}
	run(t, conn, "DO 1")
}

func TestNativeAlterIsForwardedUntouched(t *testing.T) {
	t.Parallel()
	var seen []string
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(_ context.Context, _ *proxy.Session, sql string) (proxy.Outcome, error) {
		seen = append(seen, sql)
		return proxy.Outcome{Native: true}, nil
	})))
	name, _ := servertest.Database(t, r.backend)
	conn := r.conn(t, name)
	long := alter + " COMMENT '" + strings.Repeat("x", 1000) + "' /*" + strings.Repeat("y", 100_000) + "*/"
	tooLong := "ALTER TABLE t DROP COLUMN c /*" + strings.Repeat("z", 1<<20) + "*/"
	run(t, conn, "CREATE TABLE t (id INT)", long, tooLong, alter)
	if len(seen) != 2 || seen[0] != long || seen[1] != alter {
		t.Errorf("the Alterer saw %d statements, want two", len(seen))
	}
	stmt, err := conn.PrepareContext(t.Context(), "ALTER TABLE t DROP COLUMN c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stmt.Exec(); err != nil || len(seen) != 3 {
		t.Errorf("prepared: %v, %d statements seen", err, len(seen))
	}
	stmt.Close()
	if n := one[int](t, conn, "SELECT COUNT(*) FROM information_schema.columns WHERE table_schema = ?", name); n != 1 {
		t.Errorf("%d columns are left, want 1", n)
	}
	run(t, conn, "LOCK TABLES t WRITE")
}

func TestAltererUsesTheClientsSession(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(ctx context.Context, s *proxy.Session, _ string) (proxy.Outcome, error) {
		context_, err := s.Query(ctx, "SELECT @mine AS mine, CONNECTION_ID(), NULL")
		if err != nil {
			return proxy.Outcome{}, err
		}
		if *context_.Rows[0][1] != fmt.Sprint(s.ID()) {
			return proxy.Outcome{}, fmt.Errorf("connection %s", *context_.Rows[0][1])
		}
		if _, err := s.Query(ctx, "SELECT wrong"); number(err) != 1054 {
			return proxy.Outcome{}, fmt.Errorf("want 1054: %w", err)
		}
		if _, err := s.Query(ctx, "SELECT REPEAT('x', 2000000)"); err == nil {
			return proxy.Outcome{}, errors.New("an answer of 2 MB was accepted")
		}
		_, err = s.Query(ctx, "SET @mine = 'theirs'")
		return proxy.Outcome{Result: context_}, err
	})))
	conn := r.conn(t, "")
	run(t, conn, "SET @mine = 'mine'")
	var mine, id string
	var null sql.NullString
	if err := conn.QueryRowContext(t.Context(), alter).Scan(&mine, &id, &null); err != nil || mine != "mine" || null.Valid {
		t.Errorf("got %q, %v, %v", mine, null, err)
	}
	if got := one[string](t, conn, "SELECT @mine"); got != "theirs" {
		t.Errorf("@mine = %q", got)
	}
}

func TestQueryThatWasGivenUpEndsBeforeTheNext(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(ctx context.Context, s *proxy.Session, _ string) (proxy.Outcome, error) {
		short, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("changed my mind"))
		if _, err := s.Query(short, "SELECT SLEEP(0.2)"); err == nil || err.Error() != "changed my mind" {
			return proxy.Outcome{}, fmt.Errorf("got %w", err)
		}
		return proxy.Outcome{}, nil
	})))
	conn := r.conn(t, "")
	run(t, conn, alter)
	if n := one[int](t, conn, "SELECT 7"); n != 7 {
		t.Errorf("got %d", n)
	}
}

func TestAlterGoesOnWithoutItsClient(t *testing.T) {
	t.Parallel()
	entered, leave, left := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(ctx context.Context, s *proxy.Session, _ string) (proxy.Outcome, error) {
		close(entered)
		<-leave
		_, err := s.Query(ctx, "DO 1")
		left <- errors.Join(err, ctx.Err())
		return proxy.Outcome{}, err
	})))
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query(alter)
	<-entered
	c.Close()
	other := r.conn(t, "")
	run(t, other, "DO 1")
	close(leave)
	if err := <-left; err != nil {
		t.Error(err)
	}
}

func TestAlterHearsOfALostServer(t *testing.T) {
	t.Parallel()
	heard := make(chan error, 1)
	entered := make(chan uint32, 1)
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(ctx context.Context, s *proxy.Session, _ string) (proxy.Outcome, error) {
		entered <- s.ID()
		<-ctx.Done()
		heard <- context.Cause(ctx)
		return proxy.Outcome{}, ctx.Err()
	})))
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query(alter)
	run(t, servertest.Open(t, r.backend, ""), fmt.Sprint("KILL CONNECTION ", <-entered))
	if err := <-heard; !errors.Is(err, proxy.ErrServerLost) {
		t.Errorf("cause %v", err)
	}
	c.ExpectError(1105)
	c.ExpectClosed()
}

func TestPanicEndsOneSessionOnly(t *testing.T) {
	t.Parallel()
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(context.Context, *proxy.Session, string) (proxy.Outcome, error) {
		panic("the Alterer's fault")
	})))
	conn := r.conn(t, "")
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query(alter)
	c.ExpectClosed()
	run(t, conn, "DO 1")
}

func TestDrainTellsTheAlterer(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{})
	r := start(t, servertest.Shared(t), withAlterer(alterer(func(ctx context.Context, s *proxy.Session, _ string) (proxy.Outcome, error) {
		close(entered)
		_, err := s.Query(ctx, "SELECT SLEEP(1000)")
		return proxy.Outcome{}, err
	})))
	c := wiretest.Dial(t, r.Addr().String(), 0)
	c.Query(alter)
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- r.stop() }()
	c.ExpectError(1053)
	c.ExpectClosed()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

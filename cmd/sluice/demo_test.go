package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"

	"sluice/bench/load"
	"sluice/migrator"
)

// demonstrate runs the demo with these arguments; watch, if not nil, sees all
// that is printed so far.
func demonstrate(ctx context.Context, watch func(printed string), args ...string) (printed string, err error) {
	out := &watchedBuffer{watch: watch}
	root := newRoot()
	root.SetOut(out)
	root.SetArgs(append([]string{"demo"}, args...))
	err = root.ExecuteContext(ctx)
	return out.String(), err
}

type watchedBuffer struct {
	bytes.Buffer
	watch func(string)
}

func (b *watchedBuffer) Write(p []byte) (int, error) {
	n, err := b.Buffer.Write(p)
	if b.watch != nil {
		b.watch(b.String())
	}
	return n, err
}

// aloneInTemp gives the test a folder for temporary files that must be empty at
// its end.
func aloneInTemp(t *testing.T) {
	t.Helper()
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	t.Cleanup(func() {
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("files are left: %v (%v)", left, err)
		}
	})
}

var addresses = regexp.MustCompile(`127\.0\.0\.1:\d+`)

// assertServersGone fails where one of the servers that the demo names accepts
// connections.
func assertServersGone(t *testing.T, printed string) {
	t.Helper()
	named := addresses.FindAllString(printed, -1)
	if len(named) != 2 {
		t.Errorf("the demo names %d servers, want MySQL and Sluice:\n%s", len(named), printed)
	}
	for _, address := range named {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s still accepts connections", address)
		}
	}
}

func TestDemoShowsAnAlterUnderLoadAndLeavesNothing(t *testing.T) {
	aloneInTemp(t)
	t.Setenv(asProgram, "1")
	printed, err := demonstrate(t.Context(), nil, "--rows", "20000")
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	for _, want := range []string{
		`rows verified before the cutover +\d`, `errors of clients +0\n`, `writes checked one by one +[\d,]+, 0 lost, 0 invented\n`,
		`migration +done\n`, `SHOW CREATE TABLE +as after`, `left by Sluice +nothing\n`, `All as promised`,
	} {
		if !regexp.MustCompile(want).MatchString(printed) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(printed)
	}
	assertServersGone(t, printed)
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	for _, moment := range []string{"Loading", "One more sends"} {
		t.Run(moment, func(t *testing.T) {
			aloneInTemp(t)
			t.Setenv(asProgram, "1")
			ctx, interrupt := context.WithCancelCause(t.Context())
			printed, err := demonstrate(ctx, func(printed string) {
				if strings.Contains(printed, moment) {
					interrupt(errors.New("interrupted by the test"))
				}
			})
			if err == nil || err.Error() != "interrupted by the test" {
				t.Errorf("the demo ended with %v", err)
			}
			assertServersGone(t, printed)
		})
	}
}

func TestDemoEndsByItself(t *testing.T) {
	aloneInTemp(t)
	t.Setenv(asProgram, "1")
	_, err := demonstrate(t.Context(), nil, "--timeout", "1ms")
	if err == nil || err.Error() != "the demo did not end within 1ms" {
		t.Errorf("the demo ended with %v", err)
	}
}

func (w *world) dsn() string {
	return fmt.Sprintf("app:%s@tcp(%s)/%s", appPassword, w.instance.proxy.Addr(), w.database)
}

func TestDemoUsesARunningSluiceAndLeavesWhatItFound(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, "CREATE TABLE other (id INT PRIMARY KEY)")
	printed, err := demonstrate(t.Context(), nil, "--rows", "20000", "--clients", "3", "--dsn", w.dsn())
	if err != nil || !strings.Contains(printed, "All as promised") {
		t.Errorf("%v\n%s", err, printed)
	}
	w.assertNoTrace("other")
}

func TestInterruptedDemoTakesItsAlterBack(t *testing.T) {
	w := newWorld(t, nil)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	ended := make(chan error, 1)
	go func() {
		_, err := demonstrate(ctx, nil, "--dsn", w.dsn())
		ended <- err
	}()
	const phase = "SELECT IFNULL(MAX(phase), '') FROM sluice.migrations WHERE table_schema = ? AND table_name = ?"
	w.eventually("rows are copied", func() bool {
		return value(t, w.direct, phase, w.database, demoTable) == string(migrator.Copying)
	})
	interrupt()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the demo ended with %v", err)
	}
	if got := value(t, w.direct, phase, w.database, demoTable); got != string(migrator.Cancelled) {
		t.Errorf("the migration is %s", got)
	}
	w.assertNoTrace()
}

func TestDemoWillNotTouchATableThatIsThere(t *testing.T) {
	w := newWorld(t, nil)
	execute(t, w.direct, "CREATE TABLE "+demoTable+" (id INT PRIMARY KEY)")
	if _, err := demonstrate(t.Context(), nil, "--dsn", w.dsn()); number(err) != errTableExists {
		t.Errorf("the demo ended with %v", err)
	}
	w.assertNoTrace(demoTable)
}

func TestDemoRefusesWrongUse(t *testing.T) {
	for _, test := range []struct {
		want string
		args []string
	}{
		{"must be positive", []string{"--rows", "0"}},
		{"must be positive", []string{"--clients", "-1"}},
		{"unknown flag", []string{"--row", "1"}},
		{"read --dsn: it names no database", []string{"--dsn", "app@tcp(127.0.0.1:1)/"}},
		{"read --dsn: invalid DSN", []string{"--dsn", "127.0.0.1:3307"}},
		{"connection refused", []string{"--dsn", "app@tcp(127.0.0.1:1)/app"}},
	} {
		if _, err := demonstrate(t.Context(), nil, test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v: %v, want %q", test.args, err, test.want)
		}
	}
}

// What is not as promised must not pass.
func TestReportOfABrokenPromiseIsAnError(t *testing.T) {
	good := func() (load.Report, load.Verdict, *migrator.Listed) {
		return load.Report{Statements: 1}, load.Verdict{Rows: 1, Writes: 1},
			&migrator.Listed{Progress: migrator.Progress{Phase: migrator.Done, RowsVerified: 1}}
	}
	for what, spoil := range map[string]func(*load.Report, *load.Verdict, *migrator.Listed) *migrator.Listed{
		"":                      func(_ *load.Report, _ *load.Verdict, m *migrator.Listed) *migrator.Listed { return m },
		"stale reads":           func(r *load.Report, _ *load.Verdict, m *migrator.Listed) *migrator.Listed { r.Stale = 1; return m },
		"writes checked":        func(_ *load.Report, v *load.Verdict, m *migrator.Listed) *migrator.Listed { v.Lost = 1; return m },
		"writes checked one":    func(_ *load.Report, v *load.Verdict, m *migrator.Listed) *migrator.Listed { v.Invented = 1; return m },
		"writes checked one by": func(r *load.Report, _ *load.Verdict, m *migrator.Listed) *migrator.Listed { r.Unknown = 1; return m },
		"migration": func(_ *load.Report, _ *load.Verdict, m *migrator.Listed) *migrator.Listed {
			m.Phase = migrator.Declined
			return m
		},
		"migration: sluice.migrations has none": func(*load.Report, *load.Verdict, *migrator.Listed) *migrator.Listed { return nil },
		"rows verified": func(_ *load.Report, _ *load.Verdict, m *migrator.Listed) *migrator.Listed {
			m.RowsVerified = 0
			return m
		},
	} {
		r, v, m := good()
		var f findings
		f.ofMigration(spoil(&r, &v, m))
		f.ofWrites(r, v)
		err := f.print(&bytes.Buffer{})
		if what == "" && err != nil || what != "" && (err == nil || !strings.Contains(err.Error(), what)) {
			t.Errorf("%q: %v", what, err)
		}
	}
}

func TestNumbersAreGroupedByThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -100: "-100"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

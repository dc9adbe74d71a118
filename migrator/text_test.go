package migrator

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sluice/parser"
)

func TestProgressIsReadable(t *testing.T) {
	p := Progress{Phase: Copying, RowsTotal: 1000, RowsCopied: 500, RowsPerSecond: 99.6, Left: 5 * time.Second, WaitingFor: "x"}
	if got := p.String(); got != "copying 38%, 100 rows/s, 5s left, waiting for x" {
		t.Errorf("String: %s", got)
	}
	if got := p.Bar(8); got != "[###.....]  38%" {
		t.Errorf("Bar: %s", got)
	}
	if got := (Progress{Phase: Copying, RowsTotal: 10, RowsCopied: 90}).Fraction(); got != 0.75 {
		t.Errorf("more rows than estimated: %f", got)
	}
}

func FuzzCommentStaysAComment(f *testing.F) {
	for _, s := range []string{"", "a */ b", "/* x", "*//*/", "**//", "/*/", "tab\tline\n", "é\xff", strings.Repeat("*/", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := commentSafe(s)
		if strings.Contains(got, "*/") || strings.Contains(got, "/*") || len(got) > 500 {
			t.Errorf("%q became %q", s, got)
		}
		for _, c := range []byte(got) {
			if c < ' ' || c > '~' {
				t.Errorf("%q became %q, which has a byte that not every character set knows", s, got)
			}
		}
	})
}

func TestGrantPatternsMatchAsTheServerMatchesThem(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"app", "app", true}, {"app", "apps", false}, {"app%", "apps", true}, {"a_p", "app", true}, {`a\_p`, "app", false},
		{`a\_p`, "a_p", true}, {`sluice\_%`, "sluice_shadow_1", true}, {`sluice\_%`, "sluice", false}, {"a.p", "axp", false},
	}
	for _, tt := range tests {
		if got := likeMatch(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%s matches %s: %t", tt.pattern, tt.name, got)
		}
	}
}

func TestVersionsAreOrdered(t *testing.T) {
	for version, before := range map[string]bool{"8.0.12": true, "8.0.13": false, "8.0.36-0ubuntu1": false, "5.7.44-log": true, "9.7.4": false, "8.4.0": false} {
		if got := versionBefore(version, oldest); got != before {
			t.Errorf("%s is before 8.0.13: %t", version, got)
		}
	}
}

func TestWhatPassesIsTriedAgain(t *testing.T) {
	answer := func(n uint16) error { return &mysql.MySQLError{Number: n} }
	for _, err := range []error{answer(1205), answer(1213), answer(1053), answer(1317), mysql.ErrInvalidConn} {
		if !isPassing(err) {
			t.Errorf("%v passes, and is taken for the end", err)
		}
	}
	for _, err := range []error{answer(1062), answer(1142), permanent{answer(1205)}, errFenced, errors.New("ours")} {
		if isPassing(err) {
			t.Errorf("%v does not pass, and is tried again", err)
		}
	}
}

func TestColumnsAreFollowedThroughTheStatement(t *testing.T) {
	stmt, err := parser.Parse("ALTER TABLE t DROP COLUMN a, ADD COLUMN a INT, CHANGE b c BIGINT, RENAME COLUMN D TO e, MODIFY f INT", parser.Mode{})
	if err != nil {
		t.Fatal(err)
	}
	rename := renames(stmt)
	for from, to := range map[string]string{"a": "", "A": "", "B": "c", "d": "e", "f": "f", "g": "g"} {
		if got, ok := rename(from); got != to || ok != (to != "") {
			t.Errorf("%s becomes %q, %t; want %q", from, got, ok, to)
		}
	}
}

package parser_test

import (
	"errors"
	"strings"
	"testing"

	"sluice/parser"
)

// kinds names a statement's clauses, or its error.
func kinds(sql string, mode parser.Mode) string {
	s, err := parser.Parse(sql, mode)
	switch {
	case errors.Is(err, parser.ErrUnreadable):
		return "unreadable"
	case err != nil:
		return err.Error()
	}
	var names []string
	for _, c := range s.Clauses {
		names = append(names, c.Kind.String())
	}
	return strings.Join(names, ", ")
}

func TestSQLModeDecidesWhereQuotesEnd(t *testing.T) {
	ansi := parser.Mode{AnsiQuotes: true}
	plain := parser.Mode{NoBackslashEscapes: true}
	for _, c := range []struct {
		mode parser.Mode
		sql  string
		want string
	}{
		{parser.Mode{}, `ALTER TABLE t ADD a INT COMMENT '\', DROP b, FORCE -- '`, "add column"},
		{plain, `ALTER TABLE t ADD a INT COMMENT '\', DROP b, FORCE -- '`, "add column, drop column, force"},
		{parser.Mode{}, `ALTER TABLE t DROP "a"`, "other"},
		{ansi, `ALTER TABLE t DROP "a"`, "drop column"},
		{ansi, `ALTER TABLE "t" ADD "a\" INT, ADD "b""," INT`, "add column, add column"},
		{parser.Mode{}, `ALTER TABLE t ADD a INT COMMENT "\", DROP b"`, "add column"},
		{parser.Mode{}, `ALTER TABLE t ADD a INT COMMENT '"', DROP b`, "add column, drop column"},
		{parser.Mode{}, "ALTER TABLE t ADD a INT COMMENT '`', DROP b", "add column, drop column"},
		{parser.Mode{}, "ALTER TABLE t ADD a CHAR DEFAULT N'x,' COMMENT ',', DROP b", "add column, drop column"},
		{parser.Mode{}, "ALTER TABLE t ADD a CHAR DEFAULT 'x\x00,', DROP b", "add column, drop column"},
		{parser.Mode{}, "ALTER TABLE t ADD a DATE DEFAULT {d '2020-01-01'}, DROP b", "add column, drop column"},
	} {
		if got := kinds(c.sql, c.mode); got != c.want {
			t.Errorf("%+v %s: %s, want %s", c.mode, c.sql, got, c.want)
		}
	}
}

func TestVersionDecidesWhichCommentsAreExecuted(t *testing.T) {
	for _, c := range []struct {
		comment string
		version int
		want    string
	}{
		{"/*!, DROP b */", 0, "add column, drop column"},
		{"/*!50700 , DROP b */", 0, "add column, drop column"},
		{"/*!80000, DROP b*/", 0, "add column, drop column"},
		{"/*!80013 , DROP b */", 0, "unreadable"},
		{"/*!80013 , DROP b */", 80036, "add column, drop column"},
		{"/*!80036 , DROP b */", 80036, "add column, drop column"},
		{"/*!80037 , DROP b */", 80036, "add column"},
		{"/*!99999 , DROP b */", 90700, "add column"},
		{"/*!99999 /* , */ DROP b */", 90700, "add column"},
		{"/*!80400 /* , */ , DROP b */", 80400, "add column, drop column"},
		{"/*!080013 , DROP b */", 80036, "add column, drop column"},
		{"/*!900000 , DROP b */", 80036, "add column"},
		{"/*!800361 , DROP b */", 80036, "unreadable"}, // five digits say yes, six say no
		{"/*!080037 , DROP b */", 80036, "unreadable"},
		{"/*!8001 , DROP b */", 90700, "add column, drop column"}, // four digits are part of the text
		{"/*+ , DROP b */", 90700, "add column"},
		{"/*M!100000 , DROP b */", 90700, "add column"},
		{"/*T! , DROP b */", 90700, "add column"},
		{"/* /*! , DROP b */", 90700, "add column"},
		{"/*! /*! , DROP b */ */", 90700, "add column, other"}, // the first end ends both
		{"/*!80000 # */ , DROP b \n*/", 90700, "add column"},
	} {
		sql := "ALTER TABLE t ADD a INT " + c.comment
		if got := kinds(sql, parser.Mode{Version: c.version}); got != c.want {
			t.Errorf("%s on %d: %s, want %s", sql, c.version, got, c.want)
		}
	}
}

func TestCharsetDecidesWhatABackslashIs(t *testing.T) {
	for _, c := range []struct{ charset, sql, want string }{
		{"", "ALTER TABLE t ADD a INT COMMENT 'größe'", "add column"},
		{"", "ALTER TABLE größe ADD a INT", "add column"},
		{"", "ALTER TABLE t ADD a INT COMMENT 'gr\xf6\xdfe'", "unreadable"},
		{"latin1", "ALTER TABLE t ADD a INT COMMENT 'gr\xf6\xdfe'", "add column"},
		{"latin1", "ALTER TABLE gr\xf6\xdfe ADD a INT", "unreadable"},
		{"latin1", "ALTER TABLE `gr\xf6\xdfe` ADD a INT", "unreadable"},
		{"gbk", "ALTER TABLE t ADD a INT COMMENT '\xd6\xd0'", "add column"},
		{"gbk", "ALTER TABLE t ADD a INT COMMENT '\x95\\', DROP b", "unreadable"}, // 0x955c is one character
		{"gbk", "ALTER TABLE `\x95``, DROP b", "unreadable"},
	} {
		if got := kinds(c.sql, parser.Mode{Charset: c.charset}); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.charset, c.sql, got, c.want)
		}
	}
}

func TestOnlyASCIILettersHaveACase(t *testing.T) {
	// Both would be equal to K and S by Unicode's folding.
	for _, sql := range []string{"ALTER TABLE t DISABLE \u212aEYS", "ALTER TABLE t DISABLE KEY\u017f"} {
		if got := kinds(sql, parser.Mode{}); got != "other" {
			t.Errorf("%s: %s", sql, got)
		}
	}
}

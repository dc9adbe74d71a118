package parser_test

import (
	"testing"

	"sluice/parser"
)

var fuzzModes = []parser.Mode{
	{},
	{Version: 80036},
	{Version: 90700, AnsiQuotes: true},
	{Version: 90700, NoBackslashEscapes: true},
	{AnsiQuotes: true, NoBackslashEscapes: true, Charset: "latin1"},
}

func addSeeds(f *testing.F) {
	for _, line := range corpus(f) {
		f.Add(line.sql, uint8(line.number))
	}
	for i, sql := range others {
		f.Add(sql, uint8(i))
	}
	f.Add("/*!80000EXPLAIN ALTER TABLE`t`ALGORITHM=COPY,LOCK NONE,ADD`a`INT/*!99999 /* */ */PARTITION BY KEY()*/", uint8(1))
	f.Add("ALTER TABLE t ADD (a INT REFERENCES p(id), KEY(a)),LOCK=NONE,", uint8(0))
}

// Whatever the text, Parse ends, and what it understands survives rewriting.
func FuzzParse(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, sql string, which uint8) {
		mode := fuzzModes[int(which)%len(fuzzModes)]
		s, err := parser.Parse(sql, mode)
		if err != nil {
			return
		}
		for _, c := range s.Clauses {
			if c.Kind == parser.Other {
				return // such a statement is never rewritten
			}
		}
		for _, w := range everyRewrite {
			checkRoundTrip(t, s, w, mode)
		}
	})
}

// What Parse accepts, Candidate does not let pass, and Names finds.
func FuzzCandidate(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, sql string, which uint8) {
		s, err := parser.Parse(sql, fuzzModes[int(which)%len(fuzzModes)])
		if err != nil {
			return
		}
		if !parser.Candidate([]byte(sql)) {
			t.Errorf("no candidate: %q", sql)
		}
		if s.Table != "" && !parser.Names([]byte(sql), s.Table) {
			t.Errorf("%q not found in %q", s.Table, sql)
		}
	})
}

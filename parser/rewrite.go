package parser

import "strings"

// Rewrite says what to change in a statement's bytes. The zero value changes
// nothing.
type Rewrite struct {
	// Schema and Table, both set, replace the altered table's name. They are
	// written with backticks, which are valid under ANSI_QUOTES too.
	Schema, Table string

	// ParentSchema is where tables after REFERENCES are to be found that name
	// no schema. Otherwise the server looks beside the altered table.
	ParentSchema string

	// Algorithm replaces the statement's ALGORITHM clause, or adds one.
	Algorithm string

	// DropLock takes the LOCK clause out. The server refuses INSTANT with any
	// LOCK but DEFAULT (1221).
	DropLock bool
}

// Rewrite returns the statement's text with these changes. All else in it,
// comments included, keeps its bytes.
func (s Statement) Rewrite(w Rewrite) string {
	e := edits{}
	if w.Schema != "" && w.Table != "" {
		e.remove(s.table)
		e[s.table.from] = quoteName(w.Schema) + "." + quoteName(w.Table)
	}
	if w.ParentSchema != "" {
		for _, i := range s.parents {
			e[i] = quoteName(w.ParentSchema) + "." + s.bytes(i)
		}
	}
	kept := s.removeModifiers(e, w)
	if w.Algorithm != "" {
		s.addAlgorithm(e, w.Algorithm, kept)
	}
	return s.apply(e)
}

// edits maps tokens to what stands in their place.
type edits map[int]string

func (e edits) remove(tokens span) {
	for i := tokens.from; i < tokens.to; i++ {
		e[i] = ""
	}
}

// removeModifiers takes out what w replaces, with the commas that would be
// left over, and reports whether any group stays.
func (s Statement) removeModifiers(e edits, w Rewrite) (kept bool) {
	for _, g := range s.groups {
		gone := g.kind == Algorithm && w.Algorithm != "" || g.kind == Lock && w.DropLock
		if gone {
			e.remove(g.span)
			e[g.from] = " " // so that its neighbours do not grow together
		}
		if g.comma != noComma && (gone || !kept) {
			e[g.comma] = ""
		}
		kept = kept || !gone
	}
	return kept
}

// addAlgorithm puts the clause first in ALTER TABLE, since partitioning must
// come last, and last elsewhere.
func (s Statement) addAlgorithm(e edits, algorithm string, more bool) {
	at, clause := len(s.tokens)-1, " ALGORITHM="+algorithm
	if s.Kind == AlterTable {
		at = s.table.to - 1
		if more {
			clause += ","
		}
		clause += " "
	}
	t, edited := e[at]
	if !edited {
		t = s.bytes(at)
	}
	e[at] = t + clause
}

func (s Statement) apply(e edits) string {
	var b strings.Builder
	done := 0
	for i, t := range s.tokens {
		if text, edited := e[i]; edited {
			b.WriteString(s.text[done:t.start])
			b.WriteString(text)
			done = t.end
		}
	}
	b.WriteString(s.text[done:])
	return b.String()
}

func (s Statement) bytes(i int) string { return s.text[s.tokens[i].start:s.tokens[i].end] }

func quoteName(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

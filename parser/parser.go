// Package parser says what a statement means to Sluice: is it an ALTER TABLE,
// CREATE INDEX or DROP INDEX, of which table, and what does each of its
// clauses change.
//
// The proxy asks [Candidate] of every statement that passes, which costs a few
// nanoseconds, and [Parse] of the few that are left. What comes back keeps the
// client's own bytes: [Statement.Rewrite] puts another table's name in and
// leaves the rest alone, so the server, not this package, decides what a
// column definition means. Nothing is ever printed from a syntax tree.
//
// Hence the reader is shallow on purpose. It knows where names, strings,
// comments and parentheses begin and end, exactly as the server's lexer does,
// and how each clause of ALTER TABLE begins. A clause that it does not know
// is [Other], a text that it cannot follow is [ErrUnreadable]: both mean that
// the statement had better be run as it is. What it accepts need not be valid
// SQL; only the server knows that.
//
// The package does no I/O. Its functions keep no state and its values do not
// change once made, so all of it is safe for concurrent use.
package parser

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Errors that Parse returns, wrapped. After each of them the statement goes to
// the server as it came.
var (
	// ErrNotOurs: the text does not begin with a statement of interest.
	ErrNotOurs = errors.New("parser: not an ALTER TABLE, CREATE INDEX or DROP INDEX")
	// ErrSeveral: one of our statements begins the text, but more follows its `;`.
	ErrSeveral = errors.New("parser: several statements in one text")
	// ErrUnreadable: the text begins like one of ours, or hides how it begins,
	// and its end, its table or its parentheses cannot be made out.
	ErrUnreadable = errors.New("parser: statement not understood")
)

// Mode says how the server reads text in the client's session.
type Mode struct {
	AnsiQuotes         bool // sql_mode has ANSI_QUOTES: "a" is a name
	NoBackslashEscapes bool // sql_mode has NO_BACKSLASH_ESCAPES: \ is an ordinary character

	// Version is the server's version as in its executable comments, 80036 or
	// 90700. Below 80000, and so when left out, the server may be any from
	// 8.0.0 on: then a text with a /*!NNNNN comment of a later version is
	// ErrUnreadable, for what it says depends on the server.
	Version int

	// Charset is character_set_client; left out it is utf8mb4. In any other
	// than UTF-8, names must be ASCII and strings must not hold a character
	// that could end in a backslash, else the text is ErrUnreadable.
	Charset string
}

func (m Mode) utf8() bool {
	switch m.Charset {
	case "", "utf8mb4", "utf8mb3", "utf8":
		return true
	}
	return false
}

// Statement is one ALTER TABLE, CREATE INDEX or DROP INDEX that Parse has read.
type Statement struct {
	Kind    Kind
	Explain bool // EXPLAIN, DESCRIBE or DESC stood before it

	// Schema and Table are the altered table's name without quotes, otherwise
	// as written; Schema is empty where the name is not qualified.
	Schema, Table string

	// Clauses are in the order in which they were written. ALTER TABLE t,
	// without any, is valid.
	Clauses []Clause

	text    string
	tokens  []token
	table   span    // the tokens of the table's name
	groups  []group // what Rewrite may have to take out, and the commas between
	parents []int   // the first tokens of unqualified tables after REFERENCES
}

// Text is the statement as the client sent it, without EXPLAIN and without the
// semicolon after it.
func (s Statement) Text() string { return s.text }

// Parse reads one statement. The error is ErrNotOurs, ErrSeveral or
// ErrUnreadable, with the reason.
func Parse(sql string, mode Mode) (Statement, error) {
	lx := lexer{src: []byte(sql), mode: mode}
	h := readHead(&lx)
	if h.kind != 0 && h.explain.kind == word {
		rest := strings.TrimLeft(sql[h.explain.end:], " \t\r\n")
		s, err := parseStatement(sql[:h.explain.start]+rest, mode)
		s.Explain = err == nil
		return s, err
	}
	return parseStatement(sql, mode)
}

func parseStatement(sql string, mode Mode) (Statement, error) {
	lx := lexer{src: []byte(sql), mode: mode}
	h := readHead(&lx)
	switch {
	case lx.fault != "":
		return Statement{}, unreadable(lx.fault)
	case h.kind == 0 || h.explain.kind == word:
		return Statement{}, ErrNotOurs
	case mode.utf8() && !utf8.ValidString(sql):
		// Inside quotes the server skips as many bytes as a character's first
		// byte promises, whatever they are: a quote among them would not end the name.
		return Statement{}, unreadable("text is not valid UTF-8")
	}

	tokens, err := tokenize(&lx, h.tokens[:h.words])
	if err != nil {
		return Statement{}, err
	}
	if stop := lx.pos; stop < len(sql) { // at a semicolon
		if strings.Trim(sql[stop:], "; \t\n\v\f\r") != "" {
			return Statement{}, ErrSeveral
		}
		sql = sql[:stop]
	}

	r := reader{text: sql, mode: mode, tokens: tokens, pos: h.words}
	s := Statement{Kind: h.kind, text: sql, tokens: tokens}
	switch h.kind {
	case AlterTable:
		err = r.alterTable(&s)
	case CreateIndex:
		err = r.createIndex(&s, h.index)
	case DropIndexStatement:
		err = r.dropIndex(&s)
	}
	if err != nil {
		return Statement{}, err
	}
	s.Clauses, s.groups, s.parents = r.clauses, r.groups, r.parents
	return s, nil
}

// tokenize reads on behind the tokens of the head, to the end or to a
// semicolon, before which lx.pos then stands.
func tokenize(lx *lexer, head []token) ([]token, error) {
	tokens := head
	depth := 0
	for {
		t := lx.next()
		if lx.fault != "" {
			return nil, unreadable(lx.fault)
		}
		if t.kind == punct {
			switch lx.src[t.start] {
			case ';':
				lx.pos = t.start
				t.kind = end
			case '(':
				depth++
			case ')':
				depth--
			}
		}
		if depth < 0 || t.kind == end && depth > 0 {
			return nil, unreadable("parentheses do not match")
		}
		if t.kind == end {
			return tokens, nil
		}
		tokens = append(tokens, t)
	}
}

func unreadable(reason string) error {
	return fmt.Errorf("%w: %s", ErrUnreadable, reason)
}

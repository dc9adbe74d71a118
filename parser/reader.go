package parser

import "strings"

// A span is the tokens [from, to).
type span struct{ from, to int }

func (s span) empty() bool { return s.from == s.to }

// A group is what stands between two commas of an ALTER TABLE, mostly one
// clause; of CREATE and DROP INDEX it is what may be taken out.
type group struct {
	span
	kind  ClauseKind // of its first clause
	comma int        // the token of the comma before it, or noComma
}

const noComma = -1

// reader reads the tokens behind a statement's first words. Its methods that
// return a bool say whether they found what they are named for; then they have
// moved behind it.
type reader struct {
	text   string
	mode   Mode
	tokens []token
	pos    int

	clauses []Clause
	groups  []group
	parents []int
}

func (r *reader) more() bool { return r.pos < len(r.tokens) }

// peek reports whether these keywords come next.
func (r *reader) peek(keywords ...string) bool {
	if r.pos+len(keywords) > len(r.tokens) {
		return false
	}
	for i, k := range keywords {
		if !is(r.text, r.tokens[r.pos+i], k) {
			return false
		}
	}
	return true
}

func (r *reader) accept(keywords ...string) bool {
	if !r.peek(keywords...) {
		return false
	}
	r.pos += len(keywords)
	return true
}

// oneOf accepts any one of the keywords and returns it, or nothing.
func (r *reader) oneOf(keywords ...string) string {
	for _, k := range keywords {
		if r.accept(k) {
			return k
		}
	}
	return ""
}

func (r *reader) peekPunct(c byte) bool {
	return r.more() && r.tokens[r.pos].kind == punct && r.text[r.tokens[r.pos].start] == c
}

func (r *reader) acceptPunct(c byte) bool {
	if !r.peekPunct(c) {
		return false
	}
	r.pos++
	return true
}

// name reads a name. IF is none: IF EXISTS is of other servers.
func (r *reader) name() (string, bool) {
	if !r.more() || r.peek("IF") || r.number() {
		return "", false
	}
	return r.nameAfterDot()
}

// number reports whether a number comes next, as far as it could be taken for
// a name. Directly behind a dot it is one.
func (r *reader) number() bool {
	t := r.tokens[r.pos]
	return t.kind == word && strings.Trim(r.bytes(t), "0123456789") == ""
}

func (r *reader) nameAfterDot() (string, bool) {
	if !r.more() {
		return "", false
	}
	t := r.tokens[r.pos]
	switch t.kind {
	case word:
		r.pos++
		return r.bytes(t), true
	case name:
		r.pos++
		return unquoteName(r.bytes(t)), true
	}
	return "", false
}

// tableName reads table or schema.table.
func (r *reader) tableName() (schema, table string, ok bool) {
	if table, ok = r.name(); !ok || !r.acceptPunct('.') {
		return "", table, ok
	}
	schema = table
	table, ok = r.nameAfterDot()
	return schema, table, ok
}

// value reads one word, name or string, after an equals sign or without.
func (r *reader) value() (string, bool) {
	r.acceptPunct('=')
	if !r.more() {
		return "", false
	}
	t := r.tokens[r.pos]
	if t.kind == str {
		r.pos++
		return unquoteString(r.bytes(t), r.mode), true
	}
	return r.nameAfterDot()
}

// keywordValue reads a value that is a keyword and returns it in capitals.
func (r *reader) keywordValue() (string, bool) {
	v, ok := r.value()
	return strings.ToUpper(v), ok
}

// list passes over a list in parentheses.
func (r *reader) list() bool {
	if !r.peekPunct('(') {
		return false
	}
	r.skipOne()
	return true
}

// skipOne passes over one token, or over everything in parentheses; they are
// known to match.
func (r *reader) skipOne() {
	depth := 0
	for {
		switch {
		case r.acceptPunct('('):
			depth++
		case r.acceptPunct(')'):
			depth--
		default:
			r.pos++
		}
		if depth <= 0 {
			return
		}
	}
}

// groupEnds reports whether nothing more of a comma-separated group comes.
func (r *reader) groupEnds() bool {
	return !r.more() || r.peekPunct(',') || r.partitioning()
}

// partitioning reports whether the partitioning comes, which follows the last
// group without a comma. REMOVE and PARTITIONING are no reserved words, so
// only as the last two words do they mean what they say.
func (r *reader) partitioning() bool {
	return r.peek("PARTITION", "BY") || r.pos+2 == len(r.tokens) && r.peek("REMOVE", "PARTITIONING")
}

// add notes a clause that began at token from and ends here.
func (r *reader) add(c Clause, from int) bool {
	c.Text = r.textOf(span{from, r.pos})
	r.clauses = append(r.clauses, c)
	return true
}

// addIf is add where ok, the end of a row of questions.
func (r *reader) addIf(ok bool, c Clause, from int) bool {
	return ok && r.add(c, from)
}

// unread forgets all clauses but the first n, and the tables they refer to.
func (r *reader) unread(clauses, from int) {
	r.clauses = r.clauses[:clauses]
	for n := len(r.parents); n > 0 && r.parents[n-1] >= from; n-- {
		r.parents = r.parents[:n-1]
	}
	r.pos = from
}

func (r *reader) bytes(t token) string { return r.text[t.start:t.end] }

func (r *reader) textOf(s span) string {
	if s.empty() {
		return ""
	}
	return r.text[r.tokens[s.from].start:r.tokens[s.to-1].end]
}

func unquoteName(quoted string) string {
	q := quoted[:1]
	return strings.ReplaceAll(quoted[1:len(quoted)-1], q+q, q)
}

// unquoteString gives a string literal's value.
func unquoteString(quoted string, mode Mode) string {
	quote := quoted[0]
	body := quoted[1 : len(quoted)-1]
	var b strings.Builder
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == quote:
			i++ // the first of two
		case c == '\\' && !mode.NoBackslashEscapes:
			i++
			c = body[i]
			if e, ok := escapes[c]; ok {
				c = e
			} else if c == '%' || c == '_' {
				b.WriteByte('\\')
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

var escapes = map[byte]byte{'0': 0, 'b': '\b', 'n': '\n', 'r': '\r', 't': '\t', 'Z': 0x1a}

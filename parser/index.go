package parser

import "strings"

// createIndex reads what follows CREATE [UNIQUE | FULLTEXT | SPATIAL] INDEX.
func (r *reader) createIndex(s *Statement, kind ClauseKind) error {
	c := Clause{Kind: kind}
	var ok bool
	if c.Name, ok = r.name(); !ok {
		return unreadable("no index name after CREATE INDEX")
	}
	if r.oneOf("USING", "TYPE") != "" {
		r.name()
	}
	if !r.accept("ON") || !r.alteredTable(s) || !r.list() {
		return unreadable("no ON table (columns) in CREATE INDEX")
	}
	for r.indexOption() {
	}
	r.add(c, 0)
	r.indexModifiers()
	return nil
}

// dropIndex reads what follows DROP INDEX.
func (r *reader) dropIndex(s *Statement) error {
	c := Clause{Kind: DropIndex}
	var ok bool
	if c.Name, ok = r.name(); !ok || !r.accept("ON") || !r.alteredTable(s) {
		return unreadable("no index ON table in DROP INDEX")
	}
	r.add(primaryIfSo(c), 0)
	r.indexModifiers()
	return nil
}

func (r *reader) indexOption() bool {
	from := r.pos
	ok := false
	switch {
	case r.oneOf("VISIBLE", "INVISIBLE") != "":
		ok = true
	case r.accept("WITH", "PARSER"), r.oneOf("USING", "TYPE") != "":
		_, ok = r.name()
	case r.oneOf("KEY_BLOCK_SIZE", "COMMENT", "ENGINE_ATTRIBUTE", "SECONDARY_ENGINE_ATTRIBUTE") != "":
		_, ok = r.value()
	}
	if !ok {
		r.pos = from
	}
	return ok
}

// indexModifiers reads ALGORITHM and LOCK at the end of CREATE and DROP INDEX.
func (r *reader) indexModifiers() {
	for r.more() {
		from := r.pos
		c := Clause{}
		var ok bool
		switch r.oneOf("ALGORITHM", "LOCK") {
		case "ALGORITHM":
			c.Kind = Algorithm
			c.Value, ok = r.value()
		case "LOCK":
			c.Kind = Lock
			c.Value, ok = r.value()
		}
		if !ok {
			c = Clause{Kind: Other}
			r.pos = len(r.tokens)
		}
		c.Value = strings.ToUpper(c.Value)
		r.add(c, from)
		r.groups = append(r.groups, group{span{from, r.pos}, c.Kind, noComma})
	}
}

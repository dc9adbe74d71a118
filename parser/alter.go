package parser

// alterTable reads what follows ALTER TABLE.
func (r *reader) alterTable(s *Statement) error {
	if !r.alteredTable(s) {
		return unreadable("no table name after ALTER TABLE")
	}
	comma := noComma
	for r.more() {
		if r.partitioning() {
			r.repartition()
			break
		}
		r.group(comma)
		comma = r.pos
		if r.acceptPunct(',') && !r.more() {
			r.add(Clause{Kind: Other}, r.pos)
		}
	}
	return nil
}

func (r *reader) alteredTable(s *Statement) (ok bool) {
	from := r.pos
	s.Schema, s.Table, ok = r.tableName()
	s.table = span{from, r.pos}
	return ok
}

// group reads one comma-separated group. If any of it is not understood, all
// of it is one clause of kind Other.
func (r *reader) group(comma int) {
	from, before := r.pos, len(r.clauses)
	if !r.clause() || !r.groupEnds() {
		r.unread(before, from)
		for !r.groupEnds() {
			r.skipOne()
		}
		r.add(Clause{Kind: Other}, from)
	}
	r.groups = append(r.groups, group{span{from, r.pos}, r.clauses[before].Kind, comma})
}

func (r *reader) repartition() {
	from := r.pos
	kind := PartitionBy
	if r.accept("REMOVE") {
		kind = RemovePartitioning
	}
	r.pos = len(r.tokens)
	r.add(Clause{Kind: kind}, from)
}

func (r *reader) clause() bool {
	from := r.pos
	switch r.oneOf("ADD", "DROP", "CHANGE", "MODIFY", "ALTER", "RENAME", "CONVERT", "ORDER", "ALGORITHM", "LOCK") {
	case "ADD":
		return r.addClause(from)
	case "DROP":
		return r.dropClause(from)
	case "CHANGE":
		return r.changeClause(from)
	case "MODIFY":
		return r.modifyClause(from)
	case "ALTER":
		return r.alterClause(from)
	case "RENAME":
		return r.renameClause(from)
	case "CONVERT":
		return r.convertClause(from)
	case "ORDER":
		return r.orderClause(from)
	case "ALGORITHM":
		v, ok := r.keywordValue()
		return r.addIf(ok, Clause{Kind: Algorithm, Value: v}, from)
	case "LOCK":
		v, ok := r.keywordValue()
		return r.addIf(ok, Clause{Kind: Lock, Value: v}, from)
	}
	for _, p := range plainClauses {
		if r.accept(p.words...) {
			return r.add(p.clause, from)
		}
	}
	return r.maintenance(from) || r.options()
}

// plainClauses have nothing to read in them.
var plainClauses = [...]struct {
	words  []string
	clause Clause
}{
	{[]string{"FORCE"}, Clause{Kind: Force}},
	{[]string{"ENABLE", "KEYS"}, Clause{Kind: EnableKeys}},
	{[]string{"DISABLE", "KEYS"}, Clause{Kind: DisableKeys}},
	{[]string{"DISCARD", "TABLESPACE"}, Clause{Kind: DiscardTablespace}},
	{[]string{"IMPORT", "TABLESPACE"}, Clause{Kind: ImportTablespace}},
	{[]string{"WITH", "VALIDATION"}, Clause{Kind: Validation, Value: "WITH"}},
	{[]string{"WITHOUT", "VALIDATION"}, Clause{Kind: Validation, Value: "WITHOUT"}},
}

// maintenance reads a statement's only change, and so takes the commas in it too.
func (r *reader) maintenance(from int) bool {
	c := Clause{Kind: PartitionMaintenance}
	switch {
	case r.accept("SECONDARY_LOAD"):
		c.Kind = SecondaryLoad
	case r.accept("SECONDARY_UNLOAD"):
		c.Kind = SecondaryUnload
	default:
		c.Name = r.oneOf("ADD", "DROP", "TRUNCATE", "COALESCE", "REORGANIZE", "EXCHANGE", "ANALYZE", "CHECK",
			"OPTIMIZE", "REBUILD", "REPAIR", "DISCARD", "IMPORT")
		if c.Name == "" || !r.accept("PARTITION") {
			return false
		}
	}
	r.pos = len(r.tokens)
	return r.add(c, from)
}

func (r *reader) dropClause(from int) bool {
	if r.peek("PARTITION") {
		r.pos = from
		return r.maintenance(from)
	}
	c := Clause{Kind: DropColumn}
	switch {
	case r.accept("PRIMARY", "KEY"):
		return r.add(Clause{Kind: DropPrimaryKey}, from)
	case r.accept("FOREIGN", "KEY"):
		c.Kind = DropForeignKey
	case r.oneOf("INDEX", "KEY") != "":
		c.Kind = DropIndex
	case r.accept("CHECK"):
		c.Kind = DropCheck
	case r.accept("CONSTRAINT"):
		c.Kind = DropConstraint
	}
	if c.Kind != DropColumn {
		var ok bool
		c.Name, ok = r.name()
		return r.addIf(ok, primaryIfSo(c), from)
	}
	r.accept("COLUMN")
	var ok bool
	c.Column, ok = r.name()
	r.oneOf("RESTRICT", "CASCADE")
	return r.addIf(ok, c, from)
}

// primaryIfSo turns DROP INDEX `PRIMARY` into what it does.
func primaryIfSo(c Clause) Clause {
	if c.Kind == DropIndex && is(c.Name, token{word, 0, len(c.Name)}, "PRIMARY") {
		return Clause{Kind: DropPrimaryKey}
	}
	return c
}

func (r *reader) alterClause(from int) bool {
	c := Clause{Kind: AlterColumn}
	var ok bool
	switch {
	case r.accept("INDEX"):
		c.Kind = AlterIndex
		c.Name, ok = r.name()
		c.Value = r.oneOf("VISIBLE", "INVISIBLE")
		return r.addIf(ok && c.Value != "", c, from)
	case r.oneOf("CHECK", "CONSTRAINT") != "":
		c.Kind = AlterConstraint
		c.Name, ok = r.name()
		c.Value = "ENFORCED"
		if r.accept("NOT") {
			c.Value = "NOT ENFORCED"
		}
		return r.addIf(ok && r.accept("ENFORCED"), c, from)
	}
	r.accept("COLUMN")
	if c.Column, ok = r.name(); !ok {
		return false
	}
	switch {
	case r.accept("DROP", "DEFAULT"):
		c.Value = "DROP DEFAULT"
	case r.accept("SET", "DEFAULT"):
		c.Value = "SET DEFAULT"
		return r.addIf(r.definition(&c), c, from)
	case r.accept("SET"):
		c.Value = r.oneOf("VISIBLE", "INVISIBLE")
	}
	return r.addIf(c.Value != "", c, from)
}

func (r *reader) renameClause(from int) bool {
	c := Clause{Kind: RenameTable}
	var ok bool
	switch {
	case r.accept("COLUMN"):
		c.Kind = RenameColumn
		c.Column, c.NewColumn, ok = r.nameToName()
	case r.oneOf("INDEX", "KEY") != "":
		c.Kind = RenameIndex
		c.Name, c.NewName, ok = r.nameToName()
	default:
		if r.oneOf("TO", "AS") == "" {
			r.acceptPunct('=')
		}
		c.NewSchema, c.NewName, ok = r.tableName()
	}
	return r.addIf(ok, c, from)
}

func (r *reader) nameToName() (from, to string, ok bool) {
	if from, ok = r.name(); !ok || !r.accept("TO") {
		return "", "", false
	}
	to, ok = r.name()
	return from, to, ok
}

func (r *reader) convertClause(from int) bool {
	c := Clause{Kind: ConvertCharset}
	if !r.accept("TO") || !r.charsetWords() || r.peekPunct('=') {
		return false
	}
	var ok bool
	if c.Value, ok = r.value(); ok && r.accept("COLLATE") {
		c.Name, ok = r.value()
	}
	return r.addIf(ok, c, from)
}

// orderClause takes the rest: a comma in it separates columns, not clauses.
func (r *reader) orderClause(from int) bool {
	if !r.accept("BY") || r.groupEnds() {
		return false
	}
	for r.more() && !r.partitioning() {
		r.skipOne()
	}
	return r.add(Clause{Kind: OrderBy}, from)
}

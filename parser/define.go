package parser

// addClause reads what follows ADD.
func (r *reader) addClause(from int) bool {
	switch {
	case r.peek("PARTITION"):
		r.pos = from
		return r.maintenance(from)
	case r.accept("COLUMN") && !r.peekPunct('('):
		return r.column(Clause{Kind: AddColumn}, from)
	case r.peekPunct('('):
		return r.addList()
	}
	return r.element(from)
}

// addList reads (element, element, …).
func (r *reader) addList() bool {
	list := *r
	list.skipOne()
	closing := list.pos - 1
	list.tokens, list.pos = r.tokens[:closing], r.pos+1
	for {
		if !list.element(list.pos) {
			return false
		}
		if !list.acceptPunct(',') {
			break
		}
	}
	r.clauses, r.parents, r.pos = list.clauses, list.parents, closing+1
	return list.pos == closing
}

// element reads the definition of an index, a constraint or a column.
func (r *reader) element(from int) bool {
	c := Clause{}
	constraint := r.accept("CONSTRAINT")
	if constraint && !r.peek("PRIMARY") && !r.peek("UNIQUE") && !r.peek("FOREIGN") && !r.peek("CHECK") {
		var ok bool
		if c.Name, ok = r.name(); !ok {
			return false
		}
	}
	switch {
	case r.accept("PRIMARY", "KEY"):
		c.Kind = AddPrimaryKey
	case r.accept("UNIQUE"):
		c.Kind = AddUnique
		r.oneOf("INDEX", "KEY")
	case r.accept("FOREIGN", "KEY"):
		c.Kind = AddForeignKey
	case r.accept("CHECK"):
		c.Kind = AddCheck
		return r.list() && r.definition(&c) && r.add(c, from)
	case constraint:
		return false
	case r.oneOf("INDEX", "KEY") != "":
		c.Kind = AddIndex
	case r.accept("FULLTEXT"):
		c.Kind = AddFulltext
		r.oneOf("INDEX", "KEY")
	case r.accept("SPATIAL"):
		c.Kind = AddSpatial
		r.oneOf("INDEX", "KEY")
	default:
		return r.column(Clause{Kind: AddColumn}, from)
	}
	return r.index(c, from)
}

// index reads [name] [USING type] (columns) and what follows.
func (r *reader) index(c Clause, from int) bool {
	if !r.peek("USING") && !r.peekPunct('(') {
		name, ok := r.name()
		if !ok {
			return false
		}
		if c.Kind != AddForeignKey { // an index's name wins over its constraint's
			c.Name = name
		}
	}
	if c.Kind == AddPrimaryKey {
		c.Name = ""
	}
	if r.oneOf("USING", "TYPE") != "" {
		if _, ok := r.name(); !ok {
			return false
		}
	}
	return r.list() && r.definition(&c) && r.add(c, from)
}

func (r *reader) changeClause(from int) bool {
	r.accept("COLUMN")
	c := Clause{Kind: ChangeColumn}
	var ok bool
	if c.Column, ok = r.name(); !ok {
		return false
	}
	c.NewColumn, ok = r.name()
	return ok && !r.groupEnds() && r.definition(&c) && r.add(c, from)
}

func (r *reader) modifyClause(from int) bool {
	r.accept("COLUMN")
	return r.column(Clause{Kind: ModifyColumn}, from)
}

// column reads a column's name and definition.
func (r *reader) column(c Clause, from int) bool {
	var ok bool
	c.Column, ok = r.name()
	return ok && !r.groupEnds() && !r.peekPunct('.') && r.definition(&c) && r.add(c, from)
}

// definition passes over the rest of a group and notes the table that it refers to.
func (r *reader) definition(c *Clause) bool {
	for !r.groupEnds() {
		if !r.accept("REFERENCES") {
			r.skipOne()
			continue
		}
		first := r.pos
		var ok bool
		if c.ParentSchema, c.Parent, ok = r.tableName(); !ok {
			return false
		}
		if c.ParentSchema == "" {
			r.parents = append(r.parents, first)
		}
	}
	return true
}

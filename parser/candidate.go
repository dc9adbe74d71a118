package parser

// Candidate reports whether sql may begin with a statement that Parse
// understands, under any Mode. It never says no to one, costs some nanoseconds
// and allocates nothing.
func Candidate(sql []byte) bool {
	lx := lexer{src: sql}
	lx.skip()
	switch lx.byteAt(lx.pos) | 0x20 {
	case 'a', 'c', 'd', 'e':
		if lx.fault == "" && readHead(&lx).kind != 0 {
			return true
		}
	}
	return lx.fault == faultVersion
}

// head is how a statement begins, up to its first name.
type head struct {
	kind    Kind       // 0: not one of ours
	index   ClauseKind // what CREATE INDEX adds
	explain token      // EXPLAIN, of kind end if there is none
	tokens  [3]token   // the words behind EXPLAIN
	words   int        // how many of tokens there are
}

func readHead(lx *lexer) head {
	var h head
	t := lx.next()
	if is(lx.src, t, "EXPLAIN") || is(lx.src, t, "DESCRIBE") || is(lx.src, t, "DESC") {
		h.explain = t
		t = lx.next()
	}
	h.take(t)
	switch {
	case is(lx.src, t, "ALTER"):
		if h.takeNext(lx, "TABLE") {
			h.kind = AlterTable
		}
	case is(lx.src, t, "DROP"):
		if h.takeNext(lx, "INDEX") {
			h.kind = DropIndexStatement
		}
	case is(lx.src, t, "CREATE"):
		h.create(lx)
	}
	return h
}

// create reads the words between CREATE and an index's name.
func (h *head) create(lx *lexer) {
	t := lx.next()
	h.take(t)
	switch {
	case is(lx.src, t, "INDEX"):
		h.kind, h.index = CreateIndex, AddIndex
		return
	case is(lx.src, t, "UNIQUE"):
		h.index = AddUnique
	case is(lx.src, t, "FULLTEXT"):
		h.index = AddFulltext
	case is(lx.src, t, "SPATIAL"):
		h.index = AddSpatial
	default:
		return
	}
	if h.takeNext(lx, "INDEX") {
		h.kind = CreateIndex
	}
}

func (h *head) take(t token) {
	h.tokens[h.words] = t
	h.words++
}

func (h *head) takeNext(lx *lexer, keyword string) bool {
	t := lx.next()
	h.take(t)
	return is(lx.src, t, keyword)
}

// is reports whether t is that keyword, given in capitals. Only ASCII letters
// have a case here, as in the server's table of keywords.
func is[T string | []byte](src T, t token, keyword string) bool {
	if t.kind != word || t.end-t.start != len(keyword) {
		return false
	}
	for i := range len(keyword) {
		if upper(src[t.start+i]) != keyword[i] {
			return false
		}
	}
	return true
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 0x20
	}
	return c
}

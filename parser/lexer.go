package parser

type tokenKind uint8

const (
	end   tokenKind = iota // no token: the text has ended, or a fault was met
	word                   // keyword, bare name or number
	name                   // `name`, or "name" under ANSI_QUOTES
	str                    // 'string', or "string"
	punct                  // any other byte
)

// A token is the bytes [start, end) of the text. Comments are none.
type token struct {
	kind       tokenKind
	start, end int
}

// faultVersion is the fault of an executable comment of which only the
// server knows whether it is executed.
const faultVersion = "an executable comment depends on the server's version"

// lexer cuts a text into tokens at the places where the server does. It
// allocates nothing.
type lexer struct {
	src    []byte
	mode   Mode
	pos    int
	inside bool   // within an executed /*! comment, which a */ will end
	fault  string // why the text cannot be followed any further
}

// next reads one token. At the end, and after a fault, it is of kind end.
func (lx *lexer) next() token {
	lx.skip()
	start := lx.pos
	if lx.fault != "" || start == len(lx.src) {
		return token{end, start, start}
	}
	kind := punct
	switch c := lx.src[start]; {
	case isNameByte(c):
		kind = word
		lx.word()
	case c == '`', c == '"' && lx.mode.AnsiQuotes:
		kind = name
		lx.quotedName(c)
	case c == '\'', c == '"':
		kind = str
		lx.quotedString(c)
	case c == 0:
		lx.fault = "NUL byte outside quotes"
	default:
		lx.pos++
	}
	if lx.fault != "" {
		kind = end
	}
	return token{kind, start, lx.pos}
}

func (lx *lexer) word() {
	start, dollars := lx.pos, 0
	for ; lx.pos < len(lx.src) && isNameByte(lx.src[lx.pos]); lx.pos++ {
		switch c := lx.src[lx.pos]; {
		case c == '$':
			dollars++
		case c >= 0x80 && !lx.mode.utf8():
			lx.fault = "name is not ASCII and not UTF-8"
			return
		}
	}
	if lx.src[start] == '$' && dollars > 1 {
		lx.fault = "dollar-quoted text" // $$…$$, $tag$…$tag$ of later servers
	}
}

func (lx *lexer) quotedName(quote byte) {
	for i := lx.pos + 1; i < len(lx.src); i++ {
		switch c := lx.src[i]; {
		case c == quote && lx.byteAt(i+1) == quote:
			i++
		case c == quote:
			lx.pos = i + 1
			return
		case c == 0:
			lx.fault = "NUL byte in a name"
			return
		case c >= 0x80 && !lx.mode.utf8():
			lx.fault = "name is not ASCII and not UTF-8"
			return
		}
	}
	lx.fault = "quoted name has no end"
}

func (lx *lexer) quotedString(quote byte) {
	for i := lx.pos + 1; i < len(lx.src); i++ {
		switch c := lx.src[i]; {
		case c == '\\' && !lx.mode.NoBackslashEscapes:
			if lx.src[i-1] >= 0x80 && !lx.mode.utf8() {
				// In gbk, sjis and their like the backslash may be half a character.
				lx.fault = "backslash behind a character that is not UTF-8"
				return
			}
			i++
		case c == quote && lx.byteAt(i+1) == quote:
			i++
		case c == quote:
			lx.pos = i + 1
			return
		}
	}
	lx.fault = "string has no end"
}

// skip passes over blanks and comments and steps into and out of executable
// comments.
func (lx *lexer) skip() {
	for lx.fault == "" && lx.pos < len(lx.src) {
		switch c := lx.src[lx.pos]; {
		case isBlank(c):
			lx.pos++
		case c == '#', c == '-' && lx.dashes():
			lx.skipLine()
		case c == '/' && lx.byteAt(lx.pos+1) == '*':
			lx.comment()
		case c == '*' && lx.inside && lx.byteAt(lx.pos+1) == '/':
			lx.inside = false
			lx.pos += 2
		default:
			return
		}
	}
	if lx.inside && lx.fault == "" {
		lx.fault = "executable comment has no end"
	}
}

// dashes: two of them begin a comment only before a blank, a control character
// or the end.
func (lx *lexer) dashes() bool {
	if lx.byteAt(lx.pos+1) != '-' {
		return false
	}
	c := lx.byteAt(lx.pos + 2) // 0 at the end, where the server sees a NUL too
	return c <= ' ' || c == 0x7f
}

func (lx *lexer) skipLine() {
	for ; lx.pos < len(lx.src) && lx.src[lx.pos] != '\n'; lx.pos++ {
		if lx.src[lx.pos] == 0 {
			lx.fault = "NUL byte in a comment" // there the server's comment ends
			return
		}
	}
}

// comment stands before a slash and a star.
func (lx *lexer) comment() {
	if lx.byteAt(lx.pos+2) != '!' {
		lx.skipComment(lx.pos+2, false)
		return
	}
	body := lx.pos + 3
	digits, number, short := 0, 0, 0
	for ; digits < 6 && isDigit(lx.byteAt(body+digits)); digits++ {
		short, number = number, number*10+int(lx.src[body+digits]-'0')
	}
	switch {
	case digits < 5: // no version: the digits are part of the text
		lx.pos, lx.inside = body, true
		return
	case digits == 5:
		short = number
	}
	// Six digits are a version to newer servers; older ones read five and take
	// the sixth for text.
	run, known := lx.executes(number)
	runShort, knownShort := lx.executes(short)
	switch {
	case !known || !knownShort || run != runShort:
		lx.fault = faultVersion
	case run:
		lx.pos, lx.inside = body+digits, true
	default:
		lx.skipComment(body, true)
	}
}

// executes tells whether the server executes a /*! comment of that version.
func (lx *lexer) executes(version int) (run, known bool) {
	if lx.mode.Version < oldestVersion {
		return true, version <= oldestVersion
	}
	return version <= lx.mode.Version, true
}

// oldestVersion is that of the oldest server that Sluice serves.
const oldestVersion = 80000

// skipComment passes over a comment from its body on. One of a later version
// may hold one level of comments, others hold none.
func (lx *lexer) skipComment(i int, nesting bool) {
	depth := 1
	for ; i+1 < len(lx.src); i++ {
		switch {
		case lx.src[i] == '*' && lx.src[i+1] == '/':
			i++
			if depth--; depth == 0 {
				lx.pos = i + 1
				return
			}
		case nesting && depth == 1 && lx.src[i] == '/' && lx.src[i+1] == '*':
			i++
			depth++
		}
	}
	lx.fault = "comment has no end"
}

func (lx *lexer) byteAt(i int) byte {
	if i < len(lx.src) {
		return lx.src[i]
	}
	return 0
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || isDigit(c) || c == '_' || c == '$' || c >= 0x80
}

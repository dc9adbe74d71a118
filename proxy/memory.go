package proxy

import (
	"bytes"
	"encoding/binary"

	"github.com/go-mysql-org/go-mysql/mysql"

	"sluice/parser"
)

// locks are the kinds of locks that the server's status flags do not show.
type locks uint8

const (
	lockTables locks = 1 << iota
	lockHandler
	lockXA
)

// memory is what the client's side of a session remembers of its commands.
type memory struct {
	last  byte // the command that was answered last, until settle has seen it
	begin bool // its text opens a transaction and does nothing else
	begun bool // the transaction has run no statement yet
	locks locks

	preparing  []byte // the text of the COM_STMT_PREPARE under way; nil if it was too long
	statements map[uint32]statement
	alters     int // how many of the statements may be ALTERs
}

// statement is a prepared statement.
type statement struct {
	text  []byte // nil if it was too long to keep
	alter bool   // the text passes parser.Candidate
}

// settle takes the answer to the last command into account. The phase is idle.
func (s *Session) settle() {
	m := &s.memory
	failed := s.status&statusFailed != 0
	switch m.last {
	case mysql.COM_SLEEP:
		return
	case mysql.COM_QUERY:
		m.begun = m.begin && s.inTransaction()
	case mysql.COM_STMT_PREPARE:
		if !failed {
			m.add(s.response.StatementID())
		}
	case mysql.COM_RESET_CONNECTION, mysql.COM_CHANGE_USER:
		if !failed {
			*m = memory{}
		}
	case mysql.COM_STMT_EXECUTE:
		m.begun = false
	}
	m.last, m.begin = mysql.COM_SLEEP, false
}

// query looks at the first words of a COM_QUERY.
func (m *memory) query(text []byte) {
	m.begin = false
	text = skipBlanks(text)
	if len(text) == 0 {
		return
	}
	switch text[0] | 0x20 {
	case 'b', 's':
		m.begin = opensTransaction(text)
	case 'l':
		if hasWord(text, "lock") {
			m.locks |= lockTables
		}
	case 'u':
		if hasWord(text, "unlock") {
			m.locks &^= lockTables
		}
	case 'f':
		if hasWord(text, "flush") && (contains(text, "read lock") || contains(text, "export")) {
			m.locks |= lockTables
		}
	case 'h':
		if hasWord(text, "handler") {
			m.locks |= lockHandler
		}
	case 'x':
		m.xa(text)
	}
}

func (m *memory) xa(text []byte) {
	switch {
	case !hasWord(text, "xa"):
	case contains(text, "commit"), contains(text, "rollback"):
		m.locks &^= lockXA
	case contains(text, "start"), contains(text, "begin"):
		m.locks |= lockXA
	}
}

// opensTransaction reports whether text is BEGIN or START TRANSACTION and
// nothing else. WITH CONSISTENT SNAPSHOT is a statement of its own right: what
// it sees was fixed when it ran.
func opensTransaction(text []byte) bool {
	const longest = 64
	if len(text) > longest {
		return false
	}
	text = bytes.TrimRight(text, " \t\r\n;")
	for _, s := range []string{"begin", "begin work", "start transaction", "start transaction read write", "start transaction read only"} {
		if len(s) == len(text) && hasPrefixFold(text, s) {
			return true
		}
	}
	return false
}

// prepare remembers the text of a COM_STMT_PREPARE until its answer brings the
// statement's id.
func (m *memory) prepare(payload []byte, whole bool) {
	m.preparing = nil
	if whole {
		m.preparing = bytes.Clone(payload[1:])
	}
}

func (m *memory) add(id uint32) {
	if m.statements == nil {
		m.statements = map[uint32]statement{}
	}
	st := statement{text: m.preparing, alter: m.preparing != nil && parser.Candidate(m.preparing)}
	if st.alter {
		m.alters++
	}
	m.statements[id] = st
	m.preparing = nil
}

// closeStatement forgets the statement that a COM_STMT_CLOSE names.
func (m *memory) closeStatement(payload []byte) {
	id, ok := statementID(payload)
	if !ok {
		return
	}
	if m.statements[id].alter {
		m.alters--
	}
	delete(m.statements, id)
}

// text returns the text of the statement that a COM_STMT_EXECUTE runs, or nil
// if it is not known.
func (m *memory) text(payload []byte) []byte {
	id, _ := statementID(payload)
	return m.statements[id].text
}

// alter returns the text of the statement that a COM_STMT_EXECUTE runs if it
// may be an ALTER.
func (m *memory) alter(payload []byte) (string, bool) {
	if m.alters == 0 {
		return "", false
	}
	id, _ := statementID(payload)
	st := m.statements[id]
	return string(st.text), st.alter
}

// statementID reads the id that follows the command byte in the commands on a
// prepared statement.
func statementID(payload []byte) (uint32, bool) {
	if len(payload) < 5 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(payload[1:]), true
}

// skipBlanks passes over blanks and comments, but into a version comment.
func skipBlanks(text []byte) []byte {
	for {
		text = bytes.TrimLeft(text, " \t\r\n\v\f(")
		switch {
		case bytes.HasPrefix(text, []byte("/*!")):
			text = bytes.TrimLeft(text[3:], "0123456789")
		case bytes.HasPrefix(text, []byte("/*")):
			_, after, ok := bytes.Cut(text[2:], []byte("*/"))
			if !ok {
				return nil
			}
			text = after
		case bytes.HasPrefix(text, []byte("#")), bytes.HasPrefix(text, []byte("-- ")):
			_, after, _ := bytes.Cut(text, []byte("\n"))
			text = after
		default:
			return text
		}
	}
}

// hasWord reports whether text begins with the word, in any case.
func hasWord(text []byte, word string) bool {
	if !hasPrefixFold(text, word) {
		return false
	}
	return len(text) == len(word) || bytes.IndexByte([]byte(" \t\r\n\v\f/`;"), text[len(word)]) >= 0
}

// hasPrefixFold is bytes.HasPrefix for a lower-case ASCII prefix and text in any case.
func hasPrefixFold(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && bytes.EqualFold(text[:len(prefix)], []byte(prefix))
}

// contains reports whether text contains the lower-case words, in any case and
// with any number of blanks between them.
func contains(text []byte, words string) bool {
	return bytes.Contains(bytes.Join(bytes.Fields(bytes.ToLower(text)), []byte(" ")), []byte(words))
}

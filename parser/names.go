package parser

// Names reports whether the text contains the table's name as a whole word, in
// any letter case, quoted or not. It says yes too often rather than too
// seldom: also inside strings and comments, and where only the bytes outside
// ASCII differ. It allocates nothing.
func Names(sql []byte, table string) bool {
	if table == "" {
		return false
	}
	first := fold(table[0])
	for i, c := range sql {
		if fold(c) != first || isNameByte(c) && i > 0 && continuesWord(sql[i-1]) {
			continue
		}
		if n := matchName(sql[i:], table); n > 0 {
			after := i + n
			if !isNameByte(sql[after-1]) || after == len(sql) || !isNameByte(sql[after]) {
				return true
			}
		}
	}
	return false
}

// continuesWord: a byte of a name does, unless it is a digit, which may end the
// version of an executable comment.
func continuesWord(before byte) bool { return isNameByte(before) && !isDigit(before) }

// matchName returns how many bytes at the beginning of sql are the name, 0 for
// none. A run of quotes in the name matches any run of them, since they may be
// doubled; so do bytes outside ASCII, of which neither the charset nor the
// letter case is known here.
func matchName(sql []byte, table string) int {
	i := 0
	for j := 0; j < len(table); j++ {
		if i == len(sql) || fold(sql[i]) != fold(table[j]) {
			return 0
		}
		c := fold(sql[i])
		i++
		if c != 0x80 && c != '`' && c != '"' {
			continue
		}
		for i < len(sql) && fold(sql[i]) == c {
			i++
		}
		for j+1 < len(table) && fold(table[j+1]) == c {
			j++
		}
	}
	return i
}

// fold makes letters of both cases one, and all bytes outside ASCII.
func fold(c byte) byte {
	if c >= 0x80 {
		return 0x80
	}
	return upper(c)
}

package parser

// options reads table options, one or more without commas between them.
func (r *reader) options() bool {
	for first := true; first || !r.groupEnds(); first = false {
		if !r.option() {
			return false
		}
	}
	return true
}

func (r *reader) option() bool {
	from := r.pos
	c := Clause{Kind: TableOption}
	var ok bool
	switch {
	case r.accept("DATA", "DIRECTORY"):
		c.Name = "DATA DIRECTORY"
	case r.accept("INDEX", "DIRECTORY"):
		c.Name = "INDEX DIRECTORY"
	case r.accept("UNION"):
		c.Name = "UNION"
		r.acceptPunct('=')
		at := r.pos
		ok = r.list()
		c.Value = r.textOf(span{at, r.pos})
		return r.addIf(ok, c, from)
	default:
		if c.Name = r.oneOf(keywordOptions...); c.Name != "" {
			c.Value, ok = r.keywordValue()
			return r.addIf(ok, c, from)
		}
		if c.Name = r.oneOf(valueOptions...); c.Name == "" {
			c.Name = r.charsetOption()
		}
	}
	if c.Name == "" {
		return false
	}
	c.Value, ok = r.value()
	return r.addIf(ok, c, from)
}

// keywordOptions have a keyword for a value, or a number.
var keywordOptions = []string{
	"ROW_FORMAT", "INSERT_METHOD", "STORAGE", "PACK_KEYS", "STATS_AUTO_RECALC", "STATS_PERSISTENT", "STATS_SAMPLE_PAGES",
}

var valueOptions = []string{
	"ENGINE", "AUTO_INCREMENT", "COMMENT", "KEY_BLOCK_SIZE", "COMPRESSION", "ENCRYPTION", "TABLESPACE",
	"ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "SECONDARY_ENGINE_ATTRIBUTE", "AUTOEXTEND_SIZE",
	"MAX_ROWS", "MIN_ROWS", "AVG_ROW_LENGTH", "CHECKSUM", "TABLE_CHECKSUM", "DELAY_KEY_WRITE", "CONNECTION", "PASSWORD",
}

// charsetOption reads [DEFAULT] CHARSET or [DEFAULT] COLLATE, in any spelling.
func (r *reader) charsetOption() string {
	r.accept("DEFAULT")
	switch {
	case r.charsetWords():
		return "CHARSET"
	case r.accept("COLLATE"):
		return "COLLATE"
	}
	return ""
}

func (r *reader) charsetWords() bool {
	return r.accept("CHARSET") || r.accept("CHARACTER", "SET") || r.accept("CHAR", "SET")
}

package rows

import (
	"encoding/hex"
	"fmt"
	"strings"

	"sluice/internal/binlog"
	"sluice/internal/schema"
)

// Key is the shared unique key: unique and not null on both sides. It orders
// the copy and says which row of the shadow belongs to which row of the source.
type Key struct {
	SourceIndex string // name of the index, for FORCE INDEX
	ShadowIndex string
	Columns     []KeyColumn
}

// KeyColumn is a column of the shared key, with its name on either side.
type KeyColumn struct {
	Source, Shadow string
	column         schema.Column // of the source
	position       int           // in the row images of the source
}

// Bound is a key value: one SQL literal for each key column. The nil Bound
// stands for the open end of a range.
type Bound []string

// keyTypes are the types whose values order and compare the same in a literal
// as in the column. The others: FLOAT and DOUBLE have no exact literal, ENUM
// and SET sort by number and compare by text, a TIMESTAMP literal is ambiguous
// in the hour that a time zone repeats, BIT, JSON and spatial types are no use
// as keys.
var keyTypes = map[string]bool{
	"tinyint": true, "smallint": true, "mediumint": true, "int": true, "bigint": true, "decimal": true,
	"char": true, "varchar": true, "binary": true, "varbinary": true,
	"date": true, "datetime": true, "time": true, "year": true,
}

// isText reports whether the values of c have a character set.
func isText(c schema.Column) bool { return c.Charset != "" && c.Charset != "binary" }

func isInteger(c schema.Column) bool {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "year":
		return true
	}
	return false
}

// sharedKey picks the unique key of the source by which the migration can tell
// rows apart on both sides, the primary key before others.
func sharedKey(source, shadow *schema.Definition, renamed func(string) (string, bool)) (Key, error) {
	var reasons []string
	for _, candidate := range source.Unique {
		key, err := mapKey(candidate, source, shadow, renamed)
		if err == nil {
			return key, nil
		}
		reasons = append(reasons, fmt.Sprintf("%s: %v", candidate.Name, err))
	}
	if len(reasons) == 0 {
		return Key{}, fmt.Errorf("the table has no unique key")
	}
	return Key{}, fmt.Errorf("no unique key that both the old and the new table can be read by (%s)", strings.Join(reasons, "; "))
}

func mapKey(candidate schema.Key, source, shadow *schema.Definition, renamed func(string) (string, bool)) (Key, error) {
	key := Key{SourceIndex: candidate.Name}
	for _, part := range candidate.Columns {
		column, ok := source.Column(part.Column)
		switch {
		case part.Column == "" || !ok:
			return Key{}, fmt.Errorf("has an expression")
		case part.Prefix:
			return Key{}, fmt.Errorf("indexes a prefix of %s", part.Column)
		case part.Nullable:
			return Key{}, fmt.Errorf("%s may be NULL", part.Column)
		case part.Descending:
			return Key{}, fmt.Errorf("%s is in descending order", part.Column)
		case !keyTypes[column.DataType]:
			return Key{}, fmt.Errorf("%s is of type %s", part.Column, column.DataType)
		}
		to, ok := renamed(column.Name)
		if !ok {
			return Key{}, fmt.Errorf("%s does not survive", column.Name)
		}
		target, ok := shadow.Column(to)
		if !ok || !sameOrder(column, target) {
			return Key{}, fmt.Errorf("%s changes its type", column.Name)
		}
		key.Columns = append(key.Columns, KeyColumn{Source: column.Name, Shadow: target.Name, column: column, position: source.Position(column.Name)})
	}
	for _, k := range shadow.Unique {
		if covers(k, key.Columns) {
			key.ShadowIndex = k.Name
			return key, nil
		}
	}
	return Key{}, fmt.Errorf("is not unique in the new table")
}

// sameOrder reports whether a literal of the old key column finds the same row
// in the new one.
func sameOrder(from, to schema.Column) bool {
	switch {
	case isInteger(from):
		return isInteger(to) && (from.DataType == "year") == (to.DataType == "year")
	case isText(from):
		return isText(to) && keyTypes[to.DataType]
	case from.DataType == "decimal":
		return to.DataType == "decimal" && to.Scale >= from.Scale
	default:
		return from.DataType == to.DataType && to.Scale >= from.Scale
	}
}

// covers reports whether k has exactly the columns, in that order, all not null.
func covers(k schema.Key, columns []KeyColumn) bool {
	if len(k.Columns) != len(columns) {
		return false
	}
	for i, part := range k.Columns {
		if part.Prefix || part.Nullable || part.Descending || !strings.EqualFold(part.Column, columns[i].Shadow) {
			return false
		}
	}
	return true
}

// Literal is a binlog.KeyFunc: the key of a logged row as one SQL row literal.
func (k Key) Literal(row []any, present func(int) bool) (string, error) {
	literals := make(Bound, len(k.Columns))
	for i, c := range k.Columns {
		if c.position >= len(row) || !present(c.position) {
			return "", fmt.Errorf("column %s: %w", c.Source, binlog.ErrKeyNotLogged)
		}
		literal, err := c.literal(row[c.position])
		if err != nil {
			return "", err
		}
		literals[i] = literal
	}
	return literals.row(), nil
}

// row renders a bound as it stands in an IN list.
func (b Bound) row() string {
	if len(b) == 1 {
		return b[0]
	}
	return "(" + strings.Join(b, ", ") + ")"
}

// literal renders a value as go-mysql decodes it from the log.
func (c KeyColumn) literal(value any) (string, error) {
	switch v := value.(type) {
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64, uint:
		return fmt.Sprintf("%d", v), nil
	case string:
		return c.textLiteral([]byte(v)), nil
	case []byte:
		return c.textLiteral(v), nil
	}
	return "", fmt.Errorf("key column %s: a logged value of type %T", c.Source, value)
}

func (c KeyColumn) textLiteral(v []byte) string {
	switch {
	case isText(c.column):
		return "_" + c.column.Charset + " x'" + hex.EncodeToString(v) + "'"
	case c.column.DataType == "binary":
		// The log leaves trailing zero bytes of BINARY(n) out.
		padded := make([]byte, max(c.column.Octets, len(v)))
		copy(padded, v)
		return "_binary x'" + hex.EncodeToString(padded) + "'"
	case c.column.DataType == "varbinary":
		return "_binary x'" + hex.EncodeToString(v) + "'"
	case c.column.DataType == "decimal":
		return string(v)
	default: // temporal: digits, signs and separators
		return "'" + string(v) + "'"
	}
}

// selectLiteral is an expression that renders the column of a row as literal
// would.
func (c KeyColumn) selectLiteral(name string) string {
	column := schema.Quote(name)
	switch {
	case isText(c.column):
		return "CONCAT('_" + c.column.Charset + " x''', HEX(CONVERT(" + column + " USING " + c.column.Charset + ")), '''')"
	case c.column.DataType == "binary", c.column.DataType == "varbinary":
		return "CONCAT('_binary x''', HEX(" + column + "), '''')"
	case c.column.DataType == "decimal", isInteger(c.column):
		return "CAST(" + column + " AS CHAR)"
	default:
		return "CONCAT('''', " + column + ", '''')"
	}
}

// side is one of the two tables seen through the key.
type side struct {
	table schema.Table
	index string
	name  func(KeyColumn) string
	key   Key
}

// after is the condition "the key is above b"; the nil Bound leaves it out.
func (s side) after(b Bound) string {
	if b == nil {
		return ""
	}
	return s.lexical(b, ">", ">")
}

// upTo is the condition "the key is at or below b".
func (s side) upTo(b Bound) string {
	if b == nil {
		return ""
	}
	return s.lexical(b, "<", "<=")
}

func (s side) column(i int) string { return schema.Quote(s.name(s.key.Columns[i])) }

// lexical renders (a, b, c) > (x, y, z) as
// a >= x AND (a > x OR (a = x AND (b > y OR (b = y AND c > z)))):
// the server makes a range scan of the first comparison, and of no row
// constructor. strict compares the leading columns, last the last one.
func (s side) lexical(b Bound, strict, last string) string {
	n := len(b) - 1
	condition := s.column(n) + " " + last + " " + b[n]
	for i := n - 1; i >= 0; i-- {
		condition = fmt.Sprintf("(%s %s %s OR (%s = %s AND %s))", s.column(i), strict, b[i], s.column(i), b[i], condition)
	}
	if n == 0 {
		return condition
	}
	return s.column(0) + " " + strict + "= " + b[0] + " AND " + condition
}

// between joins the conditions of a range.
func (s side) between(lo, hi Bound) string {
	var parts []string
	for _, c := range []string{s.after(lo), s.upTo(hi)} {
		if c != "" {
			parts = append(parts, c)
		}
	}
	if len(parts) == 0 {
		return "TRUE"
	}
	return strings.Join(parts, " AND ")
}

// in is the condition "the key is one of keys", which are row literals.
func (s side) in(keys []string) string {
	columns := make([]string, len(s.key.Columns))
	for i := range columns {
		columns[i] = s.column(i)
	}
	left := columns[0]
	if len(columns) > 1 {
		left = "(" + strings.Join(columns, ", ") + ")"
	}
	return left + " IN (" + strings.Join(keys, ", ") + ")"
}

// order lists the key columns, each with the direction behind it.
func (s side) order(direction string) string {
	columns := make([]string, len(s.key.Columns))
	for i := range columns {
		columns[i] = s.column(i) + direction
	}
	return strings.Join(columns, ", ")
}

// literals is a list of expressions that render the key of a row.
func (s side) literals() string {
	all := make([]string, len(s.key.Columns))
	for i, c := range s.key.Columns {
		all[i] = c.selectLiteral(s.name(c))
	}
	return strings.Join(all, ", ")
}

func (s side) from() string {
	return s.table.String() + " FORCE INDEX (" + schema.Quote(s.index) + ")"
}

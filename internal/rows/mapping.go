package rows

import (
	"fmt"
	"strings"

	"sluice/internal/schema"
)

// A Mapping says how a row of the source becomes a row of the shadow.
type Mapping struct {
	Places schema.Places
	Key    Key

	from, to []string // copied columns, by their names on either side
	fill     []fill   // new columns that an INSERT must give a value
	compare  []comparison
}

// fill is a value that the native ALTER gives a new NOT NULL column without
// default in the rows that exist.
type fill struct{ column, literal string }

// comparison renders a copied column on both sides so that equal values give
// equal text.
type comparison struct{ source, shadow string }

// Rename maps a column of the source to its name in the new table; ok is false
// for a column whose values do not survive.
type Rename func(column string) (name string, ok bool)

// NewMapping plans the copy between two definitions. The error says why the
// rows cannot be copied; the migration is then left to the server.
func NewMapping(places schema.Places, source, shadow *schema.Definition, rename Rename) (*Mapping, error) {
	m := &Mapping{Places: places}
	filled := map[string]bool{}
	for _, c := range source.Columns {
		name, ok := rename(c.Name)
		if !ok {
			continue
		}
		target, ok := shadow.Column(name)
		if !ok {
			return nil, fmt.Errorf("column %s was to become %s, which the new table does not have", c.Name, name)
		}
		filled[target.Name] = true
		if target.Generated {
			continue // the server computes it again
		}
		m.from = append(m.from, c.Name)
		m.to = append(m.to, target.Name)
		m.compare = append(m.compare, compareColumn(c, target))
	}
	for _, c := range shadow.Columns {
		switch {
		case filled[c.Name] || c.Generated:
		case c.AutoInc:
			return nil, fmt.Errorf("the new column %s numbers the existing rows in the order of the native ALTER", c.Name)
		case c.Nullable || c.HasDefault:
		default:
			literal, err := implicitDefault(c)
			if err != nil {
				return nil, err
			}
			m.fill = append(m.fill, fill{c.Name, literal})
		}
	}
	if len(m.from) == 0 {
		return nil, fmt.Errorf("no column survives")
	}
	var err error
	m.Key, err = sharedKey(source, shadow, rename)
	return m, err
}

// implicitDefault is the value of a NOT NULL column without a DEFAULT clause
// in rows that exist when it is added (Reference Manual, "Data Type Default
// Values").
func implicitDefault(c schema.Column) (string, error) {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "year":
		return "0", nil
	case "char", "varchar", "binary", "varbinary", "tinytext", "text", "mediumtext", "longtext",
		"tinyblob", "blob", "mediumblob", "longblob", "set":
		return "''", nil
	case "enum":
		return "1", nil
	case "date":
		return "'0000-00-00'", nil
	case "datetime", "timestamp":
		return "'0000-00-00 00:00:00'", nil
	case "time":
		return "'00:00:00'", nil
	}
	return "", fmt.Errorf("the new column %s is NOT NULL, has no default, and is of type %s", c.Name, c.DataType)
}

// compareColumn renders a column so that its text is equal on both sides when
// the value on the shadow is what the server stores for the value on the
// source. Where that is not so for some exotic conversion, rows look different
// that are not: the exact comparison (see compare.go) then decides, more
// slowly, and never the other way round.
func compareColumn(from, to schema.Column) comparison {
	return comparison{source: render(castTo(schema.Quote(from.Name), from, to), to), shadow: render(schema.Quote(to.Name), to)}
}

// castTo converts a value of the source as storing it in the new column does.
func castTo(column string, from, to schema.Column) string {
	if from.ColumnType == to.ColumnType {
		return column
	}
	switch to.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		if isText(from) {
			return column
		}
		if to.Unsigned {
			return "CAST(" + column + " AS UNSIGNED)"
		}
		return "CAST(" + column + " AS SIGNED)"
	case "decimal":
		return fmt.Sprintf("CAST(%s AS DECIMAL(%d, %d))", column, to.Precision, to.Scale)
	case "double":
		return "(" + column + " + 0e0)"
	case "date":
		return "CAST(" + column + " AS DATE)"
	case "datetime", "timestamp":
		return fmt.Sprintf("CAST(%s AS DATETIME(%d))", column, to.Scale)
	case "time":
		return fmt.Sprintf("CAST(%s AS TIME(%d))", column, to.Scale)
	case "json":
		return "CAST(" + column + " AS JSON)"
	}
	return column
}

// render makes bytes of a value that has the type of column c. Text carries its
// length, so that no two rows have the same rendering: see rowExpression.
func render(value string, c schema.Column) string {
	switch {
	case c.DataType == "json":
		return lengthPrefixed("CAST(CAST(" + value + " AS CHAR) AS BINARY)")
	case c.DataType == "bit":
		return "IFNULL(CAST(" + value + " + 0 AS CHAR), 'N')"
	case isText(c):
		return lengthPrefixed("CAST(CONVERT(" + value + " USING utf8mb4) AS BINARY)")
	case c.DataType == "float": // as text a FLOAT shows six digits only
		return "IFNULL(CAST(" + value + " + 0e0 AS CHAR), 'N')"
	case isInteger(c), c.DataType == "decimal", c.DataType == "double",
		c.DataType == "date", c.DataType == "datetime", c.DataType == "timestamp", c.DataType == "time":
		return "IFNULL(CAST(" + value + " AS CHAR), 'N')"
	default:
		return lengthPrefixed("CAST(" + value + " AS BINARY)")
	}
}

func lengthPrefixed(bytes string) string {
	return "IFNULL(LENGTH(" + bytes + "), 'N'), " + bytes
}

// rowExpression is the digest of a row. CONCAT_WS leaves NULLs out; the length
// before each text (N for NULL) makes the rendering unambiguous all the same.
func rowExpression(rendered []string) string {
	return "UNHEX(SHA2(CONCAT_WS('#', " + strings.Join(rendered, ", ") + "), 256))"
}

func (m *Mapping) source() side {
	return side{table: m.Places.Source, index: m.Key.SourceIndex, key: m.Key, name: func(c KeyColumn) string { return c.Source }}
}

func (m *Mapping) shadow() side {
	return side{table: m.Places.Shadow, index: m.Key.ShadowIndex, key: m.Key, name: func(c KeyColumn) string { return c.Shadow }}
}

// insert is "INSERT INTO to (…) SELECT … FROM source" without a condition.
func (m *Mapping) insert(to schema.Table) string {
	columns := append([]string{}, m.to...)
	values := make([]string, len(m.from))
	for i, c := range m.from {
		values[i] = schema.Quote(c)
	}
	for _, f := range m.fill {
		columns = append(columns, f.column)
		values = append(values, f.literal)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s",
		to, schema.QuoteAll(columns), strings.Join(values, ", "), m.source().from())
}

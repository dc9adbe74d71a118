package schema

import (
	"fmt"
	"strings"
)

// State is the schema in which Sluice keeps its records: migrations, their
// checkpoints and their history.
const State = "sluice"

// Table names a table on the server, in the case in which the server stores it.
type Table struct {
	Schema, Name string
}

// String renders t qualified and quoted, ready to stand in a statement.
func (t Table) String() string {
	return Quote(t.Schema) + "." + Quote(t.Name)
}

// Quote renders an identifier in backticks, which are valid in every sql_mode.
func Quote(name string) string {
	return "`" + strings.ReplaceAll(name, "`", "``") + "`"
}

// QuoteAll renders names as a comma-separated list of identifiers.
func QuoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = Quote(n)
	}
	return strings.Join(quoted, ", ")
}

// Literal renders s as a string literal that means the same in every sql_mode
// and connection character set: hexadecimal with the utf8mb4 introducer.
func Literal(s string) string {
	return fmt.Sprintf("_utf8mb4 x'%X'", s)
}

// Places are the tables that one migration works with. Shadow and old table
// carry the original's name, in schemas that belong to this migration alone:
// so the names of constraints, which are unique per schema, come out as they
// were, error messages name the table as the client knows it, and nothing of
// ours ever stands in the user's schema.
type Places struct {
	Source Table // the user's table
	Shadow Table // the new table while it is being filled
	Old    Table // the original after the swap
	Check  Table // scratch rows of the verification, shaped like the shadow
}

// PlacesOf returns the places of migration id of the table source.
func PlacesOf(id int64, source Table) Places {
	shadow := fmt.Sprintf("sluice_shadow_%d", id)
	check := "check_rows"
	if strings.EqualFold(source.Name, check) {
		check = "rows_to_check"
	}
	return Places{
		Source: source,
		Shadow: Table{shadow, source.Name},
		Old:    Table{fmt.Sprintf("sluice_old_%d", id), source.Name},
		Check:  Table{shadow, check},
	}
}

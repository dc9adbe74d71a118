package migrator

import (
	"errors"
	"fmt"
	"strings"

	"sluice/parser"
)

// statementWatch looks at every statement in the binary log. One that may have
// changed the table by another way than logged rows ends the migration: rows
// that TRUNCATE or a statement-based INSERT changed are not in the log.
//
// It may end a migration needlessly, for a statement that only mentions the
// table; it must never overlook one.
func (a *attempt) statementWatch() func(defaultSchema, query string) error {
	table, schemaName := a.places.Source.Name, a.places.Source.Schema
	return func(defaultSchema, query string) error {
		text := []byte(query)
		if !parser.Names(text, table) {
			return nil
		}
		if parser.Names(text, a.places.Shadow.Schema) || parser.Names(text, a.places.Old.Schema) {
			return nil // our own
		}
		if !strings.EqualFold(defaultSchema, schemaName) && !parser.Names(text, schemaName) {
			return nil // a table of that name elsewhere
		}
		word, _, _ := strings.Cut(strings.ToUpper(strings.TrimLeft(query, " \t\r\n(")), " ")
		switch word {
		case "SAVEPOINT", "ANALYZE", "GRANT", "REVOKE", "FLUSH":
			return nil
		case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL":
			return permanent{fmt.Errorf("a session wrote to %s with binlog_format = STATEMENT: such changes cannot be followed; let it use ROW and send the ALTER again", a.places.Source)}
		}
		return permanent{errors.Join(errSourceChanged, fmt.Errorf("the statement begins with %s", word))}
	}
}

package migrator

import (
	"fmt"
	"strings"

	"sluice/parser"
)

// statementWatch looks at every statement in the binary log. One that may have
// changed the table's rows by another way than logged rows ends the migration:
// what TRUNCATE or a statement-based INSERT changed is not in the log. Whatever
// changes the table's definition, its triggers or the foreign keys around it is
// also found, at the latest, by comparing fingerprints under the lock.
//
// It may end a migration needlessly, for a statement that only mentions the
// table; it must never overlook one.
func (a *attempt) statementWatch() func(defaultSchema, query string) error {
	p := a.places
	client := a.migration.record.Session
	return func(defaultSchema, query string) error {
		text := []byte(query)
		switch {
		case !parser.Names(text, p.Source.Name):
			return nil
		case parser.Names(text, p.Shadow.Schema), parser.Names(text, p.Old.Schema):
			return nil // our own
		case !strings.EqualFold(defaultSchema, p.Source.Schema) && !parser.Names(text, p.Source.Schema):
			return nil // a table of that name elsewhere
		}
		words := strings.Fields(strings.ToUpper(query) + " ? ?")
		switch words[0] {
		case "SAVEPOINT", "ANALYZE", "GRANT", "REVOKE", "FLUSH", "SET":
			return nil
		case "CREATE":
			if !strings.HasSuffix(words[1], "INDEX") && words[2] != "INDEX" {
				return nil // a view, a trigger, another table made from this one
			}
		case "ALTER", "DROP":
			if stmt, err := parser.Parse(query, parser.Mode{Version: client.Version()}); err == nil && !strings.EqualFold(stmt.Table, p.Source.Name) {
				return nil
			}
			if words[1] != "TABLE" && words[1] != "INDEX" && !strings.HasPrefix(words[1], "/*") {
				return nil // a view, a user, a routine
			}
		case "INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "CALL":
			return permanent{fmt.Errorf("a session wrote to %s with binlog_format = STATEMENT: such changes cannot be followed; let it use ROW and send the ALTER again", p.Source)}
		}
		return permanent{fmt.Errorf("%w (a statement that begins with %s %s)", errSourceChanged, words[0], words[1])}
	}
}

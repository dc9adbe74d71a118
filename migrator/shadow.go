package migrator

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/rows"
	"sluice/internal/schema"
	"sluice/parser"
)

// blueprint is everything that is known once the shadow stands, empty.
type blueprint struct {
	source, shadow *schema.Definition
	mapping        *rows.Mapping
	inPlace        bool // the native ALTER would not have copied rows: its answer counts none
	warnings       uint16
}

// neutral are the settings under which a table is made again from its SHOW
// CREATE TABLE: whatever it contains was valid once.
var neutral = []string{
	"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', foreign_key_checks = 0, unique_checks = 1",
}

// build makes the shadow table: the original's own definition, then the client's
// statement, under the client's session settings. What the server has to say
// against the statement comes back as its own error.
func (s *server) build(ctx context.Context, p schema.Places, source *schema.Definition, stmt parser.Statement, client schema.Session) (*blueprint, error) {
	if err := unsuited(source, stmt); err != nil {
		return nil, err
	}
	if err := s.createSchemas(ctx, p); err != nil {
		return nil, err
	}
	conn, err := s.session(ctx, neutral...)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+p.Shadow.String()+" "+source.Body()); err != nil {
		return nil, fmt.Errorf("make the shadow table: %w", err)
	}
	b := &blueprint{source: source}
	if b.inPlace, b.warnings, err = alterShadow(ctx, conn, p, stmt, client); err != nil {
		return nil, err
	}
	if b.shadow, err = schema.Load(ctx, s.db, p.Shadow); err != nil {
		return nil, err
	}
	if b.mapping, err = newMapping(p, source, b.shadow, stmt); err != nil {
		return nil, decline("%v", err)
	}
	return b, nil
}

func newMapping(p schema.Places, source, shadow *schema.Definition, stmt parser.Statement) (*rows.Mapping, error) {
	if shadow.Engine != "InnoDB" {
		return nil, fmt.Errorf("the new table's engine is %s", shadow.Engine)
	}
	return rows.NewMapping(p, source, shadow, renames(stmt))
}

// alterShadow gives the shadow the client's statement. INPLACE is tried first
// only to learn which algorithm the native ALTER would have taken.
func alterShadow(ctx context.Context, conn *session, p schema.Places, stmt parser.Statement, client schema.Session) (inPlace bool, warnings uint16, err error) {
	if _, err := conn.ExecContext(ctx, "USE "+schema.Quote(p.Shadow.Schema)); err != nil {
		return false, 0, fmt.Errorf("use the shadow's schema: %w", err)
	}
	if err := client.Apply(ctx, conn); err != nil {
		return false, 0, err
	}
	rewrite := parser.Rewrite{Schema: p.Shadow.Schema, Table: p.Shadow.Name, Algorithm: "INPLACE"}
	_, err = conn.ExecContext(ctx, stmt.Rewrite(rewrite))
	inPlace = err == nil
	if needsWork(err) {
		rewrite.Algorithm = "COPY"
		_, err = conn.ExecContext(ctx, stmt.Rewrite(rewrite))
	}
	if err != nil {
		return false, 0, permanent{asClientSees(err, p)}
	}
	if err := conn.QueryRowContext(ctx, "SELECT @@warning_count").Scan(&warnings); err != nil {
		return false, 0, fmt.Errorf("count warnings: %w", err)
	}
	return inPlace, warnings, nil
}

// asClientSees gives a server's error the schema name that the client knows.
func asClientSees(err error, p schema.Places) error {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Message = strings.NewReplacer(p.Shadow.Schema, p.Source.Schema, p.Old.Schema, p.Source.Schema).Replace(e.Message)
	return &told
}

// createSchemas makes the migration's two schemas with the defaults of the
// source's: a table without CHARACTER SET takes its schema's.
func (s *server) createSchemas(ctx context.Context, p schema.Places) error {
	var charset, collation string
	err := s.db.QueryRowContext(ctx, "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", p.Source.Schema).
		Scan(&charset, &collation)
	if err != nil {
		return fmt.Errorf("read the defaults of schema %s: %w", p.Source.Schema, err)
	}
	for _, name := range []string{p.Shadow.Schema, p.Old.Schema} {
		if _, err := s.db.ExecContext(ctx, fmt.Sprintf("CREATE DATABASE %s DEFAULT CHARACTER SET %s COLLATE %s", schema.Quote(name), charset, collation)); err != nil {
			return fmt.Errorf("create the schema %s: %w", name, err)
		}
	}
	return nil
}

// dropSchemas removes what createSchemas made and all that is in it.
func (s *server) dropSchemas(ctx context.Context, p schema.Places) error {
	var err error
	for _, name := range []string{p.Shadow.Schema, p.Old.Schema} {
		if _, e := s.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+schema.Quote(name)); e != nil {
			err = errors.Join(err, fmt.Errorf("drop the schema %s: %w", name, e))
		}
	}
	return err
}

// unsuited tells why a table or a statement is left to the server.
func unsuited(source *schema.Definition, stmt parser.Statement) error {
	switch {
	case source.Engine != "InnoDB":
		return decline("the table's engine is %s", source.Engine)
	case len(source.Triggers) > 0:
		return decline("the table has triggers (%s)", strings.Join(source.Triggers, ", "))
	case len(source.ReferencesOut) > 0:
		return decline("the table has foreign keys (%s)", strings.Join(source.ReferencesOut, ", "))
	case len(source.ReferencesIn) > 0:
		return decline("foreign keys point to the table (from %s)", strings.Join(source.ReferencesIn, ", "))
	}
	for _, c := range stmt.Clauses {
		if reason := unsuitedClause(c); reason != "" {
			return decline("%s", reason)
		}
	}
	if len(stmt.Clauses) == 0 {
		return decline("the statement changes nothing")
	}
	return nil
}

func unsuitedClause(c parser.Clause) string {
	if c.Kind == parser.AddForeignKey || c.Parent != "" {
		return "the statement adds a foreign key"
	}
	switch c.Kind {
	case parser.Other:
		return "a clause that Sluice cannot read: " + c.Text
	case parser.Algorithm, parser.Lock:
		if c.Value != "DEFAULT" {
			return "the statement names its own " + c.Text
		}
	case parser.RenameTable:
		return "the statement renames the table"
	case parser.OrderBy:
		return "the statement orders the rows"
	case parser.EnableKeys, parser.DisableKeys:
		return "ENABLE and DISABLE KEYS do nothing to an InnoDB table"
	case parser.PartitionMaintenance:
		return "partition maintenance works on single partitions"
	case parser.DiscardTablespace, parser.ImportTablespace:
		return "the statement works on the table's files"
	case parser.SecondaryLoad, parser.SecondaryUnload:
		return "the statement works on a secondary engine"
	case parser.TableOption:
		switch c.Name {
		case "DATA DIRECTORY", "INDEX DIRECTORY", "TABLESPACE", "UNION", "SECONDARY_ENGINE":
			return "the statement sets " + c.Name
		}
	}
	return ""
}

// renames follows the columns through the statement's clauses.
func renames(stmt parser.Statement) rows.Rename {
	dropped, renamed := map[string]bool{}, map[string]string{}
	for _, c := range stmt.Clauses {
		switch c.Kind {
		case parser.DropColumn:
			dropped[strings.ToLower(c.Column)] = true
		case parser.ChangeColumn, parser.RenameColumn:
			renamed[strings.ToLower(c.Column)] = c.NewColumn
		}
	}
	return func(column string) (string, bool) {
		lower := strings.ToLower(column)
		if dropped[lower] {
			return "", false
		}
		if name, ok := renamed[lower]; ok {
			return name, true
		}
		return column, true
	}
}

var atRow = regexp.MustCompile(` at row [0-9]+$`)

// asNative turns the error of a copied chunk into the one that the native ALTER
// gives for the same rows, by letting the server alter just these rows: an
// INSERT reports some errors under another number (1048 for 1138, 1406 for
// 1265). before is the number of rows that were copied before them.
func (s *server) asNative(ctx context.Context, b *blueprint, stmt parser.Statement, client schema.Session, which rows.Selection, before int64, copyErr error) error {
	p := b.mapping.Places
	conn, err := s.session(ctx, neutral...)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "CREATE TABLE "+p.Old.String()+" "+b.source.Body()); err != nil {
		return fmt.Errorf("reproduce an error: %w", err)
	}
	defer s.db.ExecContext(context.WithoutCancel(ctx), "DROP TABLE "+p.Old.String())
	var columns []string
	for _, c := range b.source.Columns {
		if !c.Generated {
			columns = append(columns, c.Name)
		}
	}
	if err := b.mapping.CopyUnchanged(ctx, conn, p.Old, columns, which); err != nil {
		return fmt.Errorf("reproduce an error: %w", err)
	}
	if err := client.Apply(ctx, conn); err != nil {
		return err
	}
	rewrite := parser.Rewrite{Schema: p.Old.Schema, Table: p.Old.Name, Algorithm: "COPY"}
	if b.inPlace {
		rewrite.Algorithm = "INPLACE" // which words some errors differently
	}
	_, err = conn.ExecContext(ctx, stmt.Rewrite(rewrite))
	var native *mysql.MySQLError
	if !errors.As(err, &native) {
		return asClientSees(copyErr, p) // the rows have changed meanwhile, or the server sees no error in them
	}
	told := asClientSees(native, p).(*mysql.MySQLError)
	told.Message = atRow.ReplaceAllStringFunc(told.Message, func(at string) string {
		var row int64
		fmt.Sscanf(at, " at row %d", &row)
		return fmt.Sprintf(" at row %d", row+before)
	})
	return told
}

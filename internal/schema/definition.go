package schema

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// Column is one column as information_schema.COLUMNS describes it.
type Column struct {
	Name       string
	DataType   string // lower case, without length: int, varchar, datetime
	ColumnType string // as declared: int unsigned, varchar(20)
	Charset    string // "" for types that have none
	Collation  string
	Nullable   bool
	HasDefault bool // an explicit default, expression defaults included
	Generated  bool // VIRTUAL or STORED
	AutoInc    bool
	Unsigned   bool
	Octets     int // CHARACTER_OCTET_LENGTH, of character and binary types
	Scale      int // fraction digits of DECIMAL and of temporal types
	Precision  int // digits of DECIMAL
}

// Key is a unique key, the primary key among them.
type Key struct {
	Name    string
	Columns []KeyPart
}

// KeyPart is one column of a key.
type KeyPart struct {
	Column     string // "" where the part is an expression
	Prefix     bool   // only the first characters are indexed
	Descending bool
	Nullable   bool
}

// Definition is what Sluice needs to know of a table.
type Definition struct {
	Table   Table
	Engine  string
	Create  string // SHOW CREATE TABLE, identifiers in backticks
	Columns []Column
	Unique  []Key // visible unique keys without expressions, the primary key first

	Triggers      []string
	ReferencesOut []string // names of its own foreign keys
	ReferencesIn  []string // `schema.table` of the tables whose foreign keys point to it

	// Estimates of the server's statistics: for progress, not for decisions
	// that must be right.
	EstimatedRows  int64
	EstimatedBytes int64
}

// Column finds a column by name, in any letter case, as the server does.
func (d *Definition) Column(name string) (Column, bool) {
	for _, c := range d.Columns {
		if strings.EqualFold(c.Name, name) {
			return c, true
		}
	}
	return Column{}, false
}

// Position returns the place of a column in the table, counted from 0, or -1.
// Row images in the binary log list columns in this order.
func (d *Definition) Position(name string) int {
	for i, c := range d.Columns {
		if strings.EqualFold(c.Name, name) {
			return i
		}
	}
	return -1
}

var autoIncrementOption = regexp.MustCompile(` AUTO_INCREMENT=[0-9]+`)

// Fingerprint is equal for two definitions exactly when SHOW CREATE TABLE and
// the triggers and foreign keys around the table are, the AUTO_INCREMENT
// counter aside, which every INSERT moves.
func (d *Definition) Fingerprint() string {
	options := strings.LastIndex(d.Create, "\n)")
	text := d.Create[:options+1] + autoIncrementOption.ReplaceAllString(d.Create[options+1:], "")
	sum := sha256.New()
	for _, part := range [][]string{{text}, d.Triggers, d.ReferencesIn} {
		fmt.Fprintf(sum, "%q", part)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Body is SHOW CREATE TABLE without "CREATE TABLE name": the part from the
// opening parenthesis on.
func (d *Definition) Body() string {
	return strings.TrimPrefix(d.Create, "CREATE TABLE "+Quote(d.Table.Name)+" ")
}

// ErrNoTable says that the table does not exist or is a view.
type ErrNoTable struct{ Table Table }

func (e *ErrNoTable) Error() string { return fmt.Sprintf("no base table %s", e.Table) }

// Load reads the definition of t. The connection must have the server's
// default quoting (no ANSI_QUOTES). The error is an *ErrNoTable where there is
// no such base table.
func Load(ctx context.Context, q Queryer, t Table) (*Definition, error) {
	return load(ctx, q, t, loadTable, loadCreate, loadColumns, loadUniqueKeys, loadTriggers, loadReferences)
}

// LoadOutline reads just what Fingerprint depends on: it is for the moment in
// which everybody waits.
func LoadOutline(ctx context.Context, q Queryer, t Table) (*Definition, error) {
	return load(ctx, q, t, loadCreate, loadTriggers, loadReferences)
}

func load(ctx context.Context, q Queryer, t Table, parts ...func(context.Context, Queryer, *Definition) error) (*Definition, error) {
	d := &Definition{Table: t}
	for _, part := range parts {
		if err := part(ctx, q, d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func loadTable(ctx context.Context, q Queryer, d *Definition) error {
	var kind string
	var engine sql.NullString
	var rows, data, index sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, INDEX_LENGTH
		FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?`, d.Table.Schema, d.Table.Name).
		Scan(&d.Table.Name, &kind, &engine, &rows, &data, &index)
	if err == sql.ErrNoRows || (err == nil && kind != "BASE TABLE") {
		return &ErrNoTable{d.Table}
	}
	if err != nil {
		return fmt.Errorf("read %s from information_schema: %w", d.Table, err)
	}
	d.Engine, d.EstimatedRows, d.EstimatedBytes = engine.String, rows.Int64, data.Int64+index.Int64
	return nil
}

func loadCreate(ctx context.Context, q Queryer, d *Definition) error {
	var name string
	if err := q.QueryRowContext(ctx, "SHOW CREATE TABLE "+d.Table.String()).Scan(&name, &d.Create); err != nil {
		return fmt.Errorf("show create table %s: %w", d.Table, err)
	}
	return nil
}

func loadColumns(ctx context.Context, q Queryer, d *Definition) error {
	rows, err := q.QueryContext(ctx, `SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IFNULL(CHARACTER_SET_NAME, ''), IFNULL(COLLATION_NAME, ''),
			IS_NULLABLE = 'YES', COLUMN_DEFAULT IS NOT NULL, GENERATION_EXPRESSION <> '', EXTRA, IFNULL(CHARACTER_OCTET_LENGTH, 0),
			COALESCE(DATETIME_PRECISION, NUMERIC_SCALE, 0), IFNULL(NUMERIC_PRECISION, 0)
		FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? ORDER BY ORDINAL_POSITION`, d.Table.Schema, d.Table.Name)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", d.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Column
		var extra string
		if err := rows.Scan(&c.Name, &c.DataType, &c.ColumnType, &c.Charset, &c.Collation, &c.Nullable, &c.HasDefault,
			&c.Generated, &extra, &c.Octets, &c.Scale, &c.Precision); err != nil {
			return fmt.Errorf("read the columns of %s: %w", d.Table, err)
		}
		c.AutoInc = strings.Contains(extra, "auto_increment")
		c.Unsigned = strings.Contains(c.ColumnType, "unsigned")
		d.Columns = append(d.Columns, c)
	}
	return rows.Err()
}

func loadUniqueKeys(ctx context.Context, q Queryer, d *Definition) error {
	rows, err := q.QueryContext(ctx, `SELECT INDEX_NAME, IFNULL(COLUMN_NAME, ''), SUB_PART IS NOT NULL, IFNULL(COLLATION, 'A') = 'D', NULLABLE = 'YES'
		FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND NON_UNIQUE = 0 AND IS_VISIBLE = 'YES'
		ORDER BY INDEX_NAME <> 'PRIMARY', INDEX_NAME, SEQ_IN_INDEX`, d.Table.Schema, d.Table.Name)
	if err != nil {
		return fmt.Errorf("read the keys of %s: %w", d.Table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var part KeyPart
		if err := rows.Scan(&name, &part.Column, &part.Prefix, &part.Descending, &part.Nullable); err != nil {
			return fmt.Errorf("read the keys of %s: %w", d.Table, err)
		}
		if n := len(d.Unique); n == 0 || d.Unique[n-1].Name != name {
			d.Unique = append(d.Unique, Key{Name: name})
		}
		last := &d.Unique[len(d.Unique)-1]
		last.Columns = append(last.Columns, part)
	}
	return rows.Err()
}

func loadTriggers(ctx context.Context, q Queryer, d *Definition) (err error) {
	d.Triggers, err = names(ctx, q, `SELECT TRIGGER_NAME FROM information_schema.TRIGGERS
		WHERE EVENT_OBJECT_SCHEMA = ? AND EVENT_OBJECT_TABLE = ? ORDER BY 1`, d.Table)
	return err
}

func loadReferences(ctx context.Context, q Queryer, d *Definition) (err error) {
	d.ReferencesOut, err = names(ctx, q, `SELECT CONSTRAINT_NAME FROM information_schema.REFERENTIAL_CONSTRAINTS
		WHERE CONSTRAINT_SCHEMA = ? AND TABLE_NAME = ? ORDER BY 1`, d.Table)
	if err != nil {
		return err
	}
	d.ReferencesIn, err = names(ctx, q, `SELECT CONCAT(CONSTRAINT_SCHEMA, '.', TABLE_NAME) FROM information_schema.REFERENTIAL_CONSTRAINTS
		WHERE UNIQUE_CONSTRAINT_SCHEMA = ? AND REFERENCED_TABLE_NAME = ? ORDER BY 1`, d.Table)
	return err
}

func names(ctx context.Context, q Queryer, query string, t Table) ([]string, error) {
	rows, err := q.QueryContext(ctx, query, t.Schema, t.Name)
	if err != nil {
		return nil, fmt.Errorf("read what surrounds %s: %w", t, err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("read what surrounds %s: %w", t, err)
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

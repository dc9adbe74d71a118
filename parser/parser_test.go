package parser_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/parser"
)

// parse reads a statement as MySQL 9.7 would with its default sql_mode.
func parse(t testing.TB, sql string) parser.Statement {
	t.Helper()
	s, err := parser.Parse(sql, parser.Mode{Version: 90700})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return s
}

func TestClausesSayWhatChanges(t *testing.T) {
	for sql, want := range map[string][]parser.Clause{
		"ALTER TABLE t": nil,
		"ALTER TABLE t ADD `a``b` INT FIRST , drop  COLUMN c": {
			{Kind: parser.AddColumn, Column: "a`b", Text: "ADD `a``b` INT FIRST"},
			{Kind: parser.DropColumn, Column: "c", Text: "drop  COLUMN c"},
		},
		"ALTER TABLE t ADD (a INT, INDEX i (a))": {
			{Kind: parser.AddColumn, Column: "a", Text: "a INT"},
			{Kind: parser.AddIndex, Name: "i", Text: "INDEX i (a)"},
		},
		"ALTER TABLE t CHANGE a b INT COMMENT ',', RENAME COLUMN c TO d": {
			{Kind: parser.ChangeColumn, Column: "a", NewColumn: "b", Text: "CHANGE a b INT COMMENT ','"},
			{Kind: parser.RenameColumn, Column: "c", NewColumn: "d", Text: "RENAME COLUMN c TO d"},
		},
		"ALTER TABLE t ALTER a SET DEFAULT 1, ALTER b DROP DEFAULT, ALTER c SET INVISIBLE": {
			{Kind: parser.AlterColumn, Column: "a", Value: "SET DEFAULT", Text: "ALTER a SET DEFAULT 1"},
			{Kind: parser.AlterColumn, Column: "b", Value: "DROP DEFAULT", Text: "ALTER b DROP DEFAULT"},
			{Kind: parser.AlterColumn, Column: "c", Value: "INVISIBLE", Text: "ALTER c SET INVISIBLE"},
		},
		"ALTER TABLE t ALTER INDEX i invisible, ALTER CHECK c NOT ENFORCED": {
			{Kind: parser.AlterIndex, Name: "i", Value: "INVISIBLE", Text: "ALTER INDEX i invisible"},
			{Kind: parser.AlterConstraint, Name: "c", Value: "NOT ENFORCED", Text: "ALTER CHECK c NOT ENFORCED"},
		},
		"ALTER TABLE t ADD CONSTRAINT c UNIQUE u (a), ADD CONSTRAINT c2 UNIQUE (b), ADD UNIQUE (c)": {
			{Kind: parser.AddUnique, Name: "u", Text: "ADD CONSTRAINT c UNIQUE u (a)"},
			{Kind: parser.AddUnique, Name: "c2", Text: "ADD CONSTRAINT c2 UNIQUE (b)"},
			{Kind: parser.AddUnique, Text: "ADD UNIQUE (c)"},
		},
		"ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY i (a) REFERENCES `d`.p (id)": {
			{Kind: parser.AddForeignKey, Name: "f", ParentSchema: "d", Parent: "p",
				Text: "ADD CONSTRAINT f FOREIGN KEY i (a) REFERENCES `d`.p (id)"},
		},
		"ALTER TABLE t ADD a INT REFERENCES p (id)": {
			{Kind: parser.AddColumn, Column: "a", Parent: "p", Text: "ADD a INT REFERENCES p (id)"},
		},
		"ALTER TABLE t DROP KEY `primary`": {{Kind: parser.DropPrimaryKey, Text: "DROP KEY `primary`"}},
		"DROP INDEX `PRIMARY` ON t":        {{Kind: parser.DropPrimaryKey, Text: "DROP INDEX `PRIMARY` ON t"}},
		"ALTER TABLE t RENAME AS d.`u v`": {
			{Kind: parser.RenameTable, NewSchema: "d", NewName: "u v", Text: "RENAME AS d.`u v`"},
		},
		"ALTER TABLE t CONVERT TO CHARSET utf8mb4 COLLATE utf8mb4_bin": {
			{Kind: parser.ConvertCharset, Value: "utf8mb4", Name: "utf8mb4_bin", Text: "CONVERT TO CHARSET utf8mb4 COLLATE utf8mb4_bin"},
		},
		`ALTER TABLE t engine='InnoDB' COMMENT "it's \"a\"\n\%" row_format dynamic`: {
			{Kind: parser.TableOption, Name: "ENGINE", Value: "InnoDB", Text: "engine='InnoDB'"},
			{Kind: parser.TableOption, Name: "COMMENT", Value: "it's \"a\"\n\\%", Text: `COMMENT "it's \"a\"\n\%"`},
			{Kind: parser.TableOption, Name: "ROW_FORMAT", Value: "DYNAMIC", Text: "row_format dynamic"},
		},
		"ALTER TABLE t ADD a INT, algorithm=inplace, LOCK none PARTITION BY KEY (a), KEY": {
			{Kind: parser.AddColumn, Column: "a", Text: "ADD a INT"},
			{Kind: parser.Algorithm, Value: "INPLACE", Text: "algorithm=inplace"},
			{Kind: parser.Lock, Value: "NONE", Text: "LOCK none"},
			{Kind: parser.PartitionBy, Text: "PARTITION BY KEY (a), KEY"},
		},
		"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u": {
			{Kind: parser.PartitionMaintenance, Name: "EXCHANGE", Text: "EXCHANGE PARTITION p WITH TABLE u"},
		},
		"CREATE INDEX i ON t (a) COMMENT 'LOCK=NONE' LOCK=shared": {
			{Kind: parser.AddIndex, Name: "i", Text: "CREATE INDEX i ON t (a) COMMENT 'LOCK=NONE'"},
			{Kind: parser.Lock, Value: "SHARED", Text: "LOCK=shared"},
		},
	} {
		if diff := cmp.Diff(want, parse(t, sql).Clauses); diff != "" {
			t.Errorf("%s (-want +got)\n%s", sql, diff)
		}
	}
}

func TestWhatIsNotUnderstoodIsOther(t *testing.T) {
	for _, sql := range []string{
		"ALTER TABLE t FROBNICATE a",
		"ALTER TABLE t ADD a INT,",
		"ALTER TABLE t , ADD a INT",
		"ALTER TABLE t ADD a",
		"ALTER TABLE t ADD u.a INT",
		"ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT",
		"ALTER TABLE t DROP COLUMN IF EXISTS a",
		"ALTER TABLE t DROP a b",
		"ALTER TABLE t DROP 'a'",
		"ALTER TABLE t ADD (a INT, INDEX)",
		"ALTER TABLE t ADD (a INT) FIRST",
		"ALTER TABLE t RENAME a.b.c",
		"ALTER TABLE t FORCE FORCE",
		"ALTER TABLE t ENGINE=InnoDB FROBNICATE=1",
		"ALTER TABLE t ENGINE=InnoDB ALGORITHM=COPY",
		"ALTER TABLE t ADD CONSTRAINT INDEX (a)",
		"ALTER TABLE t CONVERT TO utf8mb4",
		"CREATE INDEX i ON t (a) FROBNICATE",
		"DROP INDEX i ON t RESTRICT",
	} {
		found := false
		for _, c := range parse(t, sql).Clauses {
			found = found || c.Kind == parser.Other
		}
		if !found {
			t.Errorf("%s: %v", sql, parse(t, sql).Clauses)
		}
	}
}

func TestErrorsTellWhoseStatementItIs(t *testing.T) {
	for sql, want := range map[string]error{
		"":                                          parser.ErrNotOurs,
		"SELECT 1":                                  parser.ErrNotOurs,
		"SELECT 1; ALTER TABLE t ADD a INT":         parser.ErrNotOurs,
		"ALTER USER u":                              parser.ErrNotOurs,
		"ALTER IGNORE TABLE t ADD a INT":            parser.ErrNotOurs,
		"ALTER `TABLE` t ADD a INT":                 parser.ErrNotOurs,
		"CREATE TABLE t (a INT)":                    parser.ErrNotOurs,
		"CREATE UNIQUE TABLE t":                     parser.ErrNotOurs,
		"DROP TABLE t":                              parser.ErrNotOurs,
		"EXPLAIN SELECT 1":                          parser.ErrNotOurs,
		"EXPLAIN EXPLAIN ALTER TABLE t":             parser.ErrNotOurs,
		"DESCRIBE t":                                parser.ErrNotOurs,
		"/*!99999 ALTER TABLE t ADD a INT */":       parser.ErrNotOurs,
		"ALTER TABLE t ADD a INT; SELECT 1":         parser.ErrSeveral,
		"ALTER TABLE t ADD a INT; -- done":          parser.ErrSeveral,
		"/*! ALTER TABLE t ADD a INT; */":           parser.ErrSeveral,
		"ALTER TABLE":                               parser.ErrUnreadable,
		"ALTER TABLE 5 ADD a INT":                   parser.ErrUnreadable,
		"ALTER TABLE .t ADD a INT":                  parser.ErrUnreadable,
		"ALTER TABLE 't' ADD a INT":                 parser.ErrUnreadable,
		"ALTER TABLE `t ADD a INT":                  parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT COMMENT 'it\\'":    parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT /* , DROP b":       parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT /*/":               parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT /*!80000 , DROP b": parser.ErrUnreadable,
		"ALTER TABLE t ADD (a INT":                  parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT)":                  parser.ErrUnreadable,
		"ALTER TABLE t ADD a INT\x00":               parser.ErrUnreadable,
		"ALTER TABLE t ADD `a\x00` INT":             parser.ErrUnreadable,
		"ALTER TABLE t ADD `a\xe9` INT":             parser.ErrUnreadable,
		"ALTER TABLE t # \x00\n ADD a INT":          parser.ErrUnreadable,
		"ALTER TABLE t ADD $$a$$ INT":               parser.ErrUnreadable,
		"CREATE INDEX ON t (a)":                     parser.ErrUnreadable,
		"CREATE INDEX i ON t":                       parser.ErrUnreadable,
		"DROP INDEX i":                              parser.ErrUnreadable,
	} {
		if _, err := parser.Parse(sql, parser.Mode{Version: 90700}); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", sql, err, want)
		}
	}
}

func TestTextIsTheClientsOwn(t *testing.T) {
	for sql, want := range map[string]struct {
		explain bool
		text    string
	}{
		" /* id 7 */ ALTER TABLE t ADD a INT -- why\n":     {false, " /* id 7 */ ALTER TABLE t ADD a INT -- why\n"},
		"ALTER TABLE t ADD a INT ; ":                       {false, "ALTER TABLE t ADD a INT "},
		"EXPLAIN ALTER TABLE t ADD a INT;":                 {true, "ALTER TABLE t ADD a INT"},
		"-- plan\ndesc\n CREATE INDEX i ON t (a)":          {true, "-- plan\nCREATE INDEX i ON t (a)"},
		"/*!80000 DESCRIBE */ DROP INDEX i ON t":           {true, "/*!80000 */ DROP INDEX i ON t"},
		"/*!40000 ALTER TABLE `t` DISABLE KEYS */;":        {false, "/*!40000 ALTER TABLE `t` DISABLE KEYS */"},
		"ALTER TABLE t COMMENT ';' /* ; */ # ; \n , FORCE": {false, "ALTER TABLE t COMMENT ';' /* ; */ # ; \n , FORCE"},
	} {
		s := parse(t, sql)
		if s.Explain != want.explain || s.Text() != want.text {
			t.Errorf("%q: explain %v, %q", sql, s.Explain, s.Text())
		}
	}
}

func TestNamesAreReadAsTheServerReadsThem(t *testing.T) {
	for sql, want := range map[string][2]string{
		"ALTER TABLE t":                        {"", "t"},
		"ALTER TABLE `d``x` . `t.y`":           {"d`x", "t.y"},
		"ALTER TABLE d.select FORCE":           {"d", "select"},
		"ALTER TABLE table.t FORCE":            {"table", "t"},
		"ALTER TABLE d.5 FORCE":                {"d", "5"},
		"ALTER TABLE 1t FORCE":                 {"", "1t"},
		"ALTER TABLE $t FORCE":                 {"", "$t"},
		"ALTER TABLE größe FORCE":              {"", "größe"},
		"ALTER TABLE /*!80000 d. */ t FORCE":   {"d", "t"},
		"ALTER TABLE /*!80000d*/./*x*/t FORCE": {"d", "t"},
		"CREATE INDEX i ON -- on\n d.t (a)":    {"d", "t"},
		"DROP INDEX `ON` ON `ON`":              {"", "ON"},
		"/*!080000 ALTER TABLE t FORCE */":     {"", "t"},
		"--\nALTER TABLE t--\x01\nFORCE":       {"", "t"},
		"ALTER\vTABLE\f t\r\nFORCE #":          {"", "t"},
		"ALTER TABLE t FORCE --":               {"", "t"},
	} {
		if s := parse(t, sql); s.Schema != want[0] || s.Table != want[1] {
			t.Errorf("%q: schema %q, table %q", sql, s.Schema, s.Table)
		}
	}
}

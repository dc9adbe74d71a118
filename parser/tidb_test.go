package parser_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	tidb "github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver"

	"sluice/parser"
)

// change is what this package and TiDB's parser can both say of a clause.
type change struct {
	Kind         parser.ClauseKind
	Column, Into string
	Name         string
}

// reading is what both say of a statement.
type reading struct {
	Kind          parser.Kind
	Schema, Table string
	Changes       []change
}

// corpusLine is a line of testdata/alter.sql.
type corpusLine struct {
	number int
	mark   byte // '!': TiDB refuses it, '~': TiDB reads it differently, else 0
	sql    string
}

func corpus(t testing.TB) []corpusLine {
	t.Helper()
	f, err := os.Open("testdata/alter.sql")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []corpusLine
	scan := bufio.NewScanner(f)
	for n := 1; scan.Scan(); n++ {
		l := corpusLine{number: n, sql: scan.Text()}
		if l.sql == "" || strings.HasPrefix(l.sql, "-- ") {
			continue
		}
		if l.sql[0] == '!' || l.sql[0] == '~' {
			l.mark, l.sql = l.sql[0], l.sql[1:]
		}
		lines = append(lines, l)
	}
	if err := scan.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// TiDB's parser is the oracle: what it can read we read alike. Every line that
// it cannot is marked, so that a newer one which can is noticed.
func TestTiDBReadsTheSame(t *testing.T) {
	lines := corpus(t)
	if len(lines) < 250 {
		t.Errorf("only %d statements in the corpus", len(lines))
	}
	oracle := tidb.New()
	for _, line := range lines {
		t.Run(fmt.Sprintf("line %d", line.number), func(t *testing.T) {
			ours := readOurs(t, line.sql)
			node, err := oracle.ParseOneStmt(line.sql, "", "")
			if refused := line.mark == '!'; refused != (err != nil) {
				t.Fatalf("%s\nmarked as refused by TiDB: %v; its error: %v", line.sql, refused, err)
			}
			if err != nil {
				return
			}
			diff := cmp.Diff(readTiDB(t, node), ours)
			if differs := line.mark == '~'; differs != (diff != "") {
				t.Errorf("%s\nmarked as different: %v (-TiDB +ours)\n%s", line.sql, differs, diff)
			}
		})
	}
}

func TestCorpusIsUnderstood(t *testing.T) {
	seen := map[parser.ClauseKind]bool{}
	for _, line := range corpus(t) {
		s := parse(t, line.sql)
		for _, c := range s.Clauses {
			seen[c.Kind] = true
			if c.Kind == parser.Other {
				t.Errorf("not understood: %s", line.sql)
			}
		}
		if !parser.Candidate([]byte(line.sql)) {
			t.Errorf("no candidate: %s", line.sql)
		}
	}
	for k := parser.AddColumn; k <= parser.Validation; k++ {
		if !seen[k] {
			t.Errorf("no statement in the corpus has the clause %q", k)
		}
	}
}

func readOurs(t *testing.T, sql string) reading {
	s := parse(t, sql)
	r := reading{Kind: s.Kind, Schema: s.Schema, Table: s.Table}
	for _, c := range s.Clauses {
		if s.Kind != parser.AlterTable && (c.Kind == parser.Algorithm || c.Kind == parser.Lock) {
			continue // TiDB does not keep their order, nor whether they are there
		}
		name := c.Name
		switch c.Kind {
		case parser.RenameTable:
			name = c.NewSchema + "." + c.NewName
		case parser.RenameIndex:
			name += " to " + c.NewName
		case parser.ConvertCharset, parser.Algorithm, parser.Lock, parser.TableOption:
			name = "" // TiDB gives numbers, or more than was written
		case parser.AddForeignKey:
			name += " references " + c.ParentSchema + "." + c.Parent
		}
		r.Changes = append(r.Changes, change{c.Kind, c.Column, c.NewColumn, name})
		if c.Kind != parser.AddForeignKey && c.Parent != "" {
			r.Changes = append(r.Changes, change{Name: "references " + c.Parent})
		}
	}
	return r
}

func readTiDB(t *testing.T, node ast.StmtNode) reading {
	switch n := node.(type) {
	case *ast.AlterTableStmt:
		r := reading{Kind: parser.AlterTable, Schema: n.Table.Schema.O, Table: n.Table.Name.O}
		for _, spec := range n.Specs {
			r.Changes = append(r.Changes, tidbChanges(t, spec)...)
		}
		return r
	case *ast.CreateIndexStmt:
		kinds := map[ast.IndexKeyType]parser.ClauseKind{
			ast.IndexKeyTypeNone: parser.AddIndex, ast.IndexKeyTypeUnique: parser.AddUnique, ast.IndexKeyTypeFulltext: parser.AddFulltext,
			ast.IndexKeyTypeSpatial: parser.AddSpatial,
		}
		r := reading{Kind: parser.CreateIndex, Schema: n.Table.Schema.O, Table: n.Table.Name.O}
		r.Changes = []change{{Kind: kinds[n.KeyType], Name: n.IndexName}}
		return r
	case *ast.DropIndexStmt:
		r := reading{Kind: parser.DropIndexStatement, Schema: n.Table.Schema.O, Table: n.Table.Name.O}
		r.Changes = []change{{Kind: parser.DropIndex, Name: n.IndexName}}
		return r
	}
	return reading{} // another statement: ALTER TABLE … ANALYZE PARTITION is ANALYZE TABLE to it
}

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/bench/load"
	"sluice/migrator"
)

// finding is a line of the report.
type finding struct {
	what, value string
	wrong       string // what is not as promised; "" if all is well
}

type findings []finding

func (f *findings) add(what, value string) { *f = append(*f, finding{what: what, value: value}) }

// expect adds a line that is wrong unless ok; without an explanation the value
// says it all.
func (f *findings) expect(ok bool, what, value, wrong string) {
	if ok {
		wrong = ""
	} else if wrong == "" {
		wrong = value
	}
	*f = append(*f, finding{what, value, wrong})
}

// print writes the report. The error lists what is wrong.
func (f findings) print(out io.Writer) error {
	var wrong []error
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w)
	for _, line := range f {
		mark := "  "
		if line.wrong != "" {
			mark = "! "
			wrong = append(wrong, fmt.Errorf("%s: %s", line.what, line.wrong))
		}
		fmt.Fprintf(w, "%s%s\t%s\n", mark, line.what, line.value)
	}
	fmt.Fprintln(w)
	if err := w.Flush(); err != nil {
		return err
	}
	if len(wrong) > 0 {
		return fmt.Errorf("not as promised: %w", errors.Join(wrong...))
	}
	fmt.Fprintln(out, "All as promised.")
	return nil
}

// examine looks at everything that the demo promises, after the clients have
// stopped.
func examine(ctx context.Context, s *stage, db *sql.DB, run *load.Run, a *act, before []string) (findings, error) {
	judge, err := open(s.judge)
	if err != nil {
		return nil, err
	}
	defer judge.Close()
	m, err := s.migration(ctx)
	if err != nil {
		return nil, err
	}
	verdict, err := run.Verify(ctx, judge)
	if err != nil {
		return nil, err
	}
	var f findings
	f.add("rows in the table", grouped(verdict.Rows))
	f.ofClients(a)
	f.ofMigration(m)
	f.ofWrites(a.report, verdict)
	if err := f.ofDefinition(ctx, db); err != nil {
		return nil, err
	}
	after, err := s.inventory(ctx)
	if err != nil {
		return nil, err
	}
	f.ofTraces(before, after)
	return f, nil
}

func (f *findings) ofClients(a *act) {
	r, seconds := a.report, a.alterTook.Seconds()
	f.add("the ALTER took", fmt.Sprintf("%.1f s", seconds))
	f.expect(a.meanwhile > 0, "statements served meanwhile", fmt.Sprintf("%s (%s/s)", grouped(a.meanwhile), grouped(int64(float64(a.meanwhile)/seconds))), "none")
	f.expect(r.Errors == 0, "errors of clients", grouped(r.Errors), strings.Join(r.Details, "; "))
	f.add("longest wait of any client", fmt.Sprintf("%s (%s); 99%% took at most %s", milliseconds(r.LongestWait), r.LongestWaitOf, milliseconds(r.Percentile(99))))
}

// ofMigration tells what Sluice has recorded.
func (f *findings) ofMigration(m *migrator.Listed) {
	if m == nil {
		f.expect(false, "migration", "none", "sluice.migrations has none: the server altered the table itself")
		return
	}
	f.expect(m.Phase == migrator.Done, "migration", string(m.Phase), strings.TrimSuffix(string(m.Phase)+", "+m.Message, ", "))
	f.add("clients held at the cutover", fmt.Sprintf("%s (attempt %d)", milliseconds(m.Held), m.CutoverAttempts))
	f.expect(m.RowsVerified > 0, "rows verified before the cutover", grouped(m.RowsVerified), "")
}

// ofWrites compares the table with what the clients were told.
func (f *findings) ofWrites(r load.Report, v load.Verdict) {
	ok := v.Rows > 0 && v.Writes > 0 && v.Lost == 0 && v.Invented == 0 && r.Unknown == 0
	f.expect(v.Rows > 0, "rows compared with the clients' notes", grouped(v.Rows), "")
	f.expect(ok, "writes checked one by one", fmt.Sprintf("%s, %d lost, %d invented", grouped(v.Writes), v.Lost, v.Invented),
		strings.Join(append(v.Details, fmt.Sprintf("%d without an answer", r.Unknown)), "; "))
	f.expect(r.Stale == 0, "stale reads", grouped(r.Stale), strings.Join(r.Details, "; "))
}

var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// ofDefinition compares the table with a twin that the server alters natively.
func (f *findings) ofDefinition(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, statement := range []string{
		load.Definition(demoTwin),
		"SET @sluice_mode = 'native'",
		"ALTER TABLE " + demoTwin + " " + demoClauses,
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("make a table to compare with: %s: %w", statement, err)
		}
	}
	got, err := definitionOf(ctx, conn, demoTable)
	if err != nil {
		return err
	}
	want, err := definitionOf(ctx, conn, demoTwin)
	if err != nil {
		return err
	}
	value := "as after a native ALTER"
	if got != want {
		value = "not " + value
	}
	f.expect(got == want, "SHOW CREATE TABLE", value, "it is\n"+got+"\nand should be\n"+want)
	if _, err = conn.ExecContext(ctx, "DROP TABLE "+demoTwin); err != nil {
		return fmt.Errorf("drop the table to compare with: %w", err)
	}
	return nil
}

// definitionOf leaves out the table's name and how far it has counted.
func definitionOf(ctx context.Context, conn *sql.Conn, table string) (string, error) {
	var name, text string
	if err := conn.QueryRowContext(ctx, "SHOW CREATE TABLE "+table).Scan(&name, &text); err != nil {
		return "", fmt.Errorf("read the definition of %s: %w", table, err)
	}
	text = strings.Replace(text, "CREATE TABLE `"+name+"`", "CREATE TABLE", 1)
	return autoIncrement.ReplaceAllString(text, ""), nil
}

// ofTraces looks for what Sluice has left besides its records.
func (f *findings) ofTraces(before, after []string) {
	var left []string
	for _, name := range after {
		if name != "table "+demoTable && !slices.Contains(before, name) {
			left = append(left, name)
		}
	}
	value := "nothing"
	if len(left) > 0 {
		value = strings.Join(left, ", ")
	}
	f.expect(len(left) == 0, "left by Sluice", value, "")
}

// inventory lists the tables and triggers of the schema, and the schemas of
// migrations that the account can see.
func (s *stage) inventory(ctx context.Context) ([]string, error) {
	db, err := open(s.judge)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, `
		SELECT CONCAT('table ', TABLE_NAME) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()
		UNION ALL SELECT CONCAT('trigger ', TRIGGER_NAME) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()
		UNION ALL SELECT CONCAT('schema ', SCHEMA_NAME) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME LIKE 'sluice\\_%'`)
	if err != nil {
		return nil, fmt.Errorf("list the tables: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the tables: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// grouped writes a number as 1,234,567.
func grouped(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

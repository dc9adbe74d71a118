package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/go-sql-driver/mysql"
)

// measureIdle opens n sessions through each proxy, lets them be idle, closes
// them, and does it again; and prints what memory, threads and open files the
// proxy has each time.
func (b *bench) measureIdle(ctx context.Context, n int) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "way\tsessions\tMiB before\tMiB idle\tKiB per session\tMiB after\tMiB after again\tfiles before\tafter\tserver sessions left\t")
	db, err := sql.Open("mysql", b.server.DSN(""))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, way := range b.ways {
		if way.name == direct {
			continue
		}
		sessions := n
		if most := maxSessions(); sessions > most {
			fmt.Fprintf(os.Stderr, "%s: a process may open files for no more than %d sessions here\n", way.name, most)
			sessions = most
		}
		before, _, err := memory(way.pid)
		if err != nil {
			return err
		}
		files := openFiles(way.pid)
		var idle float64
		var after [2]float64
		for round := range after {
			if now, err := b.idle(ctx, way, sessions); err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			} else if round == 0 {
				idle = now
			}
			if err := await(ctx, func() bool { return openFiles(way.pid) <= files }); err != nil {
				return fmt.Errorf("%s: %d open files are left, %d there were before: %w", way.name, openFiles(way.pid), files, err)
			}
			if after[round], _, err = memory(way.pid); err != nil {
				return err
			}
		}
		var left int
		err = await(ctx, func() bool {
			return db.QueryRowContext(ctx, "SELECT COUNT(*) FROM performance_schema.processlist WHERE user = ?", account).Scan(&left) != nil || left == 0
		})
		if err != nil {
			return fmt.Errorf("%s: %d sessions are left on the server: %w", way.name, left, err)
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%d\t%d\t\n", way.name, sessions, before, idle,
			(idle-before)*1024/float64(sessions), after[0], after[1], files, openFiles(way.pid), left)
	}
	return w.Flush()
}

// idle opens n sessions, each of which has run a query, returns the proxy's
// memory, and closes them.
func (b *bench) idle(ctx context.Context, w way, n int) (float64, error) {
	c := b.config()
	c.Addr = w.addr
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return 0, err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	conns := make([]*sql.Conn, 0, n)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	for range n {
		conn, err := db.Conn(ctx)
		if err != nil {
			return 0, fmt.Errorf("session %d: %w", len(conns)+1, err)
		}
		conns = append(conns, conn)
		if _, err := conn.ExecContext(ctx, "DO 1"); err != nil {
			return 0, fmt.Errorf("session %d: %w", len(conns), err)
		}
	}
	now, _, err := memory(w.pid)
	return now, err
}

func openFiles(pid int) int {
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return -1
	}
	return len(files)
}

// await waits until done, for a while.
func await(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for !done() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// measureTransfers sends through each proxy what is larger than anybody should
// keep, and prints by how much the proxy's memory grew at most.
func (b *bench) measureTransfers(ctx context.Context) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "transfer\tway\ttook\tproxy's MiB before\tat most\t")
	for _, t := range []struct {
		name string
		run  func(context.Context, *sql.DB) error
	}{
		{"result of 5 million rows", manyRows},
		{"200 MB in rows of 20 MB", wideRows},
		{"LOAD DATA LOCAL of 512 MB", loadFile},
	} {
		for _, way := range b.ways {
			if err := b.transfer(ctx, w, t.name, way, t.run); err != nil {
				return fmt.Errorf("%s through %s: %w", t.name, way.name, err)
			}
		}
	}
	return w.Flush()
}

func (b *bench) transfer(ctx context.Context, out io.Writer, name string, w way, run func(context.Context, *sql.DB) error) error {
	c := b.config()
	c.Addr, c.MaxAllowedPacket = w.addr, 1<<30
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	if err := db.PingContext(ctx); err != nil {
		return err
	}
	var before, peak float64
	if w.pid != 0 {
		// 5 sets the peak back to what is resident now: proc(5), clear_refs.
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", w.pid), []byte("5"), 0); err != nil {
			return err
		}
		if before, _, err = memory(w.pid); err != nil {
			return err
		}
	}
	start := time.Now()
	if err := run(ctx, db); err != nil {
		return err
	}
	took := time.Since(start)
	if w.pid != 0 {
		if _, peak, err = memory(w.pid); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%s\t%s\t%.1f s\t%.1f\t%.1f\t\n", name, w.name, took.Seconds(), before, peak)
	return err
}

func manyRows(ctx context.Context, db *sql.DB) error {
	const want = 5_000_000
	rows, err := db.QueryContext(ctx, fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
		"SELECT /*+ SET_VAR(cte_max_recursion_depth = %d) */ i FROM n", want, want))
	if err != nil {
		return err
	}
	defer rows.Close()
	var n, last int
	for ; rows.Next(); n++ {
		if err := rows.Scan(&last); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if n != want || last != want {
		return fmt.Errorf("%d rows came, the last is %d", n, last)
	}
	return nil
}

func wideRows(ctx context.Context, db *sql.DB) error {
	const want, width = 10, 20_000_000
	rows, err := db.QueryContext(ctx, fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "+
		"SELECT REPEAT('x', %d) FROM n", want, width))
	if err != nil {
		return err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var text sql.RawBytes
		if err := rows.Scan(&text); err != nil {
			return err
		}
		if len(text) != width {
			return fmt.Errorf("row %d has %d bytes", n, len(text))
		}
	}
	if n != want {
		return fmt.Errorf("%d rows came", n)
	}
	return rows.Err()
}

// file is a file of so many lines, made while it is read.
type file struct{ left int }

const fileLine = "0123456789012345678901234567890\n"

// Read gives whole lines.
func (f *file) Read(p []byte) (int, error) {
	n := 0
	for f.left > 0 && len(p)-n >= len(fileLine) {
		n += copy(p[n:], fileLine)
		f.left--
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func loadFile(ctx context.Context, db *sql.DB) error {
	const lines = 512 << 20 / len(fileLine)
	mysql.RegisterReaderHandler("lines", func() io.Reader { return &file{left: lines} })
	defer mysql.DeregisterReaderHandler("lines")
	for _, s := range []string{
		"CREATE TABLE IF NOT EXISTS lines_loaded (line CHAR(1)) ENGINE=BLACKHOLE", // the server's work is not what is measured
		"LOAD DATA LOCAL INFILE 'Reader::lines' INTO TABLE lines_loaded (@line) SET line = RIGHT(@line, 1)",
	} {
		result, err := db.ExecContext(ctx, s)
		if err != nil {
			return err
		}
		if n, _ := result.RowsAffected(); n != 0 && n != int64(lines) {
			return fmt.Errorf("%d lines arrived, %d were sent", n, lines)
		}
	}
	return nil
}

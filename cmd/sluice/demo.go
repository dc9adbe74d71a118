package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/spf13/cobra"

	"sluice/bench/load"
)

// demo shows an ALTER TABLE under load and checks that it was as promised.
type demo struct {
	out     io.Writer
	rows    int64
	clients int
	timeout time.Duration
	dsn     string
}

// What the demo makes and changes.
const (
	demoDatabase = "demo"
	demoTable    = "sluice_demo"
	demoTwin     = "sluice_demo_twin"
	demoClauses  = "MODIFY k BIGINT NOT NULL, ADD INDEX token (token)"
)

func newDemo() *cobra.Command {
	d := &demo{rows: 200_000, clients: 8, timeout: 5 * time.Minute}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show an ALTER TABLE under live load, and check every write",
		Long: "Show an ALTER TABLE under live load, and check every write.\n\n" +
			"A MySQL of the demo's own is started, with Sluice in front of it; where this machine has\n" +
			"no MySQL, one is fetched. Both are gone afterwards, with all their files. With --dsn, the\n" +
			"demo uses a Sluice that runs already, and leaves there what it found.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out = cmd.OutOrStdout()
			return d.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.Int64Var(&d.rows, "rows", d.rows, "rows in the table")
	f.IntVar(&d.clients, "clients", d.clients, "clients that read and write meanwhile")
	f.DurationVar(&d.timeout, "timeout", d.timeout, "when the demo ends by itself")
	f.StringVar(&d.dsn, "dsn", "", "use the Sluice at user:password@tcp(host:port)/database instead of starting one")
	return cmd
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.rows < 1 || d.clients < 1 || d.timeout <= 0 {
		return errors.New("rows, clients and timeout must be positive")
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d.timeout, fmt.Errorf("the demo did not end within %s", d.timeout))
	defer cancel()
	s, err := d.stage(ctx)
	if err != nil {
		return because(ctx, err)
	}
	defer func() { err = errors.Join(err, s.close()) }()
	findings, err := d.play(ctx, s)
	if err == nil {
		err = findings.print(d.out)
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		s.showLog(d.out)
	}
	return because(ctx, err)
}

// because is the reason why ctx has ended, if it has: other errors follow from
// that.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// act is what is known when the play is over.
type act struct {
	alterTook time.Duration
	meanwhile int64 // statements served while the ALTER ran
	report    load.Report
}

// play makes the table, alters it under load and looks at everything.
func (d *demo) play(ctx context.Context, s *stage) (findings, error) {
	db, err := open(s.client)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	before, err := s.inventory(ctx)
	if err != nil {
		return nil, err
	}
	d.say("Loading %s rows into %s.", grouped(d.rows), demoTable)
	err = load.Seed(ctx, db, demoTable, d.rows)
	s.seeded = number(err) != errTableExists
	if err != nil {
		return nil, err
	}

	run, err := load.Start(ctx, load.Config{Server: s.client, Table: demoTable, Rows: d.rows, Clients: d.clients})
	if err != nil {
		return nil, err
	}
	defer run.Stop()
	a, err := d.alterUnder(ctx, s, db, run)
	if err != nil {
		return nil, err
	}
	return examine(ctx, s, db, run, a, before)
}

// alterUnder sends the ALTER when the load is in full swing, and lets the load
// go on for a while on the new table.
func (d *demo) alterUnder(ctx context.Context, s *stage, db *sql.DB, run *load.Run) (*act, error) {
	d.say("%d clients read, insert, update, delete and run transactions.", d.clients)
	select {
	case <-run.Warm():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	statement := "ALTER TABLE " + demoTable + " " + demoClauses
	d.say("One more sends:  %s;", statement)

	served, start := run.Served(), time.Now()
	answer := make(chan error, 1)
	go func() { answer <- alter(ctx, db, statement) }()
	if err := d.follow(ctx, s, run, answer); err != nil {
		return nil, fmt.Errorf("%s: %w", statement, err)
	}
	a := &act{alterTook: time.Since(start), meanwhile: run.Served() - served}
	if err := run.Await(ctx, run.Served()+100*int64(d.clients)); err != nil {
		return nil, err
	}
	a.report = run.Stop()
	return a, nil
}

// alter sends the statement on a connection of its own. When ctx ends it is
// taken back by KILL QUERY, as Ctrl-C in the mysql shell does: to drop the
// connection would not do, for a migration goes on without its client.
func alter(ctx context.Context, db *sql.DB, statement string) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var id int64
	if err := conn.QueryRowContext(ctx, "SELECT CONNECTION_ID()").Scan(&id); err != nil {
		return err
	}
	waiting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	answer := make(chan error, 1)
	go func() {
		_, err := conn.ExecContext(waiting, statement)
		answer <- err
	}()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	}
	insist := time.AfterFunc(undoTimeout, giveUp)
	defer insist.Stop()
	_, err = db.ExecContext(waiting, fmt.Sprintf("KILL QUERY %d", id))
	return errors.Join(err, <-answer)
}

// undoTimeout bounds what must be done although the context has ended.
const undoTimeout = 10 * time.Second

func open(config *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// Numbers of the server's errors.
const (
	errTableExists       = 1050 // ER_TABLE_EXISTS_ERROR
	errTableAccessDenied = 1142 // ER_TABLEACCESS_DENIED_ERROR
)

// number is that of a server's error, 0 of any other.
func number(err error) uint16 {
	var refused *mysql.MySQLError
	if errors.As(err, &refused) {
		return refused.Number
	}
	return 0
}

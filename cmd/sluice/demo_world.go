package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-sql-driver/mysql"

	"sluice/internal/mysqltest"
	"sluice/migrator"
)

// stage is where the demo plays: a MySQL server and a Sluice in front of it.
type stage struct {
	client *mysql.Config // the application's account, through Sluice
	judge  *mysql.Config // root without Sluice; where Sluice is not ours, the same as client
	last   int64         // the latest migration before ours
	seeded bool          // the demo's table is there

	// Of a stage of our own; else nil and "".
	server *mysqltest.Server
	sluice *ownSluice
	folder string
}

func (d *demo) stage(ctx context.Context) (*stage, error) {
	if d.dsn != "" {
		return existingStage(ctx, d.dsn)
	}
	s := &stage{}
	if err := s.build(ctx, d.out); err != nil {
		return nil, errors.Join(err, s.close())
	}
	d.say("MySQL %s at %s, Sluice in front of it at %s.", s.server.Installation().Version, s.judge.Addr, s.client.Addr)
	return s, nil
}

// existingStage uses what runs already.
func existingStage(ctx context.Context, dsn string) (*stage, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("read --dsn: %w", err)
	}
	if config.DBName == "" {
		return nil, errors.New("read --dsn: it names no database")
	}
	config.Logger = &mysql.NopLogger{}
	s := &stage{client: config, judge: config}
	// Other migrations of this table may have been there.
	m, err := s.migration(ctx)
	if number(err) == errTableAccessDenied {
		return nil, fmt.Errorf("%w; the demo reads the progress there: GRANT SELECT ON sluice.* TO %s", err, config.User)
	}
	if m != nil {
		s.last = m.ID
	}
	return s, err
}

// build starts MySQL and Sluice, with an account for each of Sluice and the
// application.
func (s *stage) build(ctx context.Context, progress io.Writer) (err error) {
	if s.server, err = mysqltest.Start(ctx, mysqltest.Options{Progress: progress}); err != nil {
		return err
	}
	own, app := rand.Text(), rand.Text()
	if err := createAccounts(ctx, s.server.Config(), own, app); err != nil {
		return err
	}
	if s.folder, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
		return fmt.Errorf("make a folder for Sluice: %w", err)
	}
	password := filepath.Join(s.folder, "password")
	if err := os.WriteFile(password, []byte(own), 0o600); err != nil {
		return fmt.Errorf("hand Sluice its password: %w", err)
	}
	if s.sluice, err = startSluice(ctx, s.folder, "--backend", s.server.Addr(), "--user", "sluice", "--password-file", password); err != nil {
		return err
	}
	s.judge = s.server.Config()
	s.judge.DBName = demoDatabase
	s.judge.Logger = &mysql.NopLogger{}
	s.client = s.judge.Clone()
	s.client.User, s.client.Passwd, s.client.Addr = "app", app, s.sluice.address
	s.client.TLSConfig = "skip-verify" // Sluice makes its certificate itself
	return nil
}

// createAccounts makes one for Sluice, with the documented privileges and no
// others, and one for the application, of which Sluice is not told.
func createAccounts(ctx context.Context, root *mysql.Config, own, app string) error {
	db, err := open(root)
	if err != nil {
		return err
	}
	defer db.Close()
	statements := append([]string{
		"CREATE DATABASE " + demoDatabase,
		fmt.Sprintf("CREATE USER sluice@'%%' IDENTIFIED BY '%s'", own),
		fmt.Sprintf("CREATE USER app@'%%' IDENTIFIED BY '%s'", app),
		"GRANT ALL ON " + demoDatabase + ".* TO app@'%'",
	}, migrator.PrivilegeStatements("sluice@'%'")...)
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the accounts: %w", err)
		}
	}
	return nil
}

// migration is the demo's, nil while there is none.
func (s *stage) migration(ctx context.Context) (*migrator.Listed, error) {
	list, err := migrator.List(ctx, s.judge, false)
	if err != nil {
		return nil, err
	}
	for _, m := range list {
		if m.ID > s.last && strings.EqualFold(m.Table, s.client.DBName+"."+demoTable) {
			return &m, nil
		}
	}
	return nil, nil
}

// dropTables removes the demo's tables.
func (s *stage) dropTables() error {
	db, err := open(s.client)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	if _, err := db.ExecContext(ctx, "DROP TABLE IF EXISTS "+demoTable+", "+demoTwin); err != nil {
		return fmt.Errorf("drop the demo's tables: %w", err)
	}
	return nil
}

// showLog prints the end of Sluice's log, if it is a Sluice of ours.
func (s *stage) showLog(out io.Writer) {
	if s.sluice != nil {
		fmt.Fprintf(out, "\nThe end of Sluice's log:\n%s\n", s.sluice.logEnd())
	}
}

// close removes whatever the demo has made.
func (s *stage) close() error {
	var errs []error
	if s.seeded && s.server == nil {
		errs = append(errs, s.dropTables())
	}
	if s.sluice != nil {
		errs = append(errs, s.sluice.stop())
	}
	if s.server != nil {
		errs = append(errs, s.server.Stop())
	}
	if s.folder != "" {
		errs = append(errs, os.RemoveAll(s.folder))
	}
	return errors.Join(errs...)
}

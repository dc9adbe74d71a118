package migrator

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"sluice/cutover"
	"sluice/internal/binlog"
	"sluice/internal/schema"
	"sluice/parser"
)

// Mode says which ALTERs are carried out online.
type Mode string

const (
	Auto   Mode = "auto"   // INSTANT where the server can, online otherwise, natively what cannot be copied
	Online Mode = "online" // always a copy, where one is possible
	Native Mode = "native" // everything is left to the server
)

// Config is what a Migrator needs.
type Config struct {
	// Server is the account and address of Sluice's own connections: TCP.
	Server *mysql.Config
	Mode   Mode
	Gate   cutover.Gate
	Limits cutover.Limits
	Logger *slog.Logger
	// Registerer receives the metrics; nil: nobody does.
	Registerer prometheus.Registerer
}

// Migrator carries out the migrations of one server.
type Migrator struct {
	cfg    Config
	server *server
	store  *store
	reader *binlog.Reader
	count  *metrics

	mu     sync.Mutex
	start  func(*Migration) // gives a migration its goroutine; nil unless Run is running
	active map[schema.Table]*Migration
}

// New checks nothing on the server yet; Run does.
func New(cfg Config) (*Migrator, error) {
	s, err := newServer(cfg.Server)
	if err != nil {
		return nil, err
	}
	if cfg.Gate == nil {
		cfg.Gate = openGate{}
	}
	if cfg.Limits == (cutover.Limits{}) {
		cfg.Limits = cutover.DefaultLimits
	}
	name, _ := os.Hostname()
	m := &Migrator{
		cfg: cfg, server: s,
		store:  &store{db: s.db, owner: fmt.Sprintf("%s:%d", name, os.Getpid())},
		active: map[schema.Table]*Migration{},
	}
	m.count = newMetrics(cfg.Registerer, m)
	return m, nil
}

// openGate is for a process without a proxy: nobody is held.
type openGate struct{}

func (openGate) Hold(string, string) func() { return func() {} }

// Run makes the state schema where it is missing, takes up the migrations that
// nobody owns, and serves Alter until ctx ends. Then it stops: every migration
// is left at its checkpoint for the next process. When Run returns nothing that
// it started is alive.
func (m *Migrator) Run(ctx context.Context) error {
	defer m.server.db.Close()
	if err := m.store.open(ctx); err != nil {
		return err
	}
	left, err := m.store.unfinished(ctx)
	if err != nil {
		return err
	}
	if m.reader, err = m.newReader(ctx); err != nil {
		return err
	}
	reading, stopReading := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReading()
	var g errgroup.Group
	g.Go(func() error { return m.reader.Run(reading) })

	working, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	var migrations sync.WaitGroup
	m.serve(func(x *Migration) {
		own, cancel := context.WithCancelCause(working)
		x.cancel = cancel
		migrations.Go(func() {
			defer cancel(nil)
			x.run(working, own)
			m.finished(x)
		})
	})
	m.adopt(left)
	<-ctx.Done()
	m.serve(nil) // no new ones
	stop(ErrStopped)
	migrations.Wait()
	stopReading()
	return g.Wait()
}

// newReader reads the log over TLS exactly when our other connections have it.
func (m *Migrator) newReader(ctx context.Context) (*binlog.Reader, error) {
	host, port, err := net.SplitHostPort(m.cfg.Server.Addr)
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("address of the server: %w", err)
	}
	var name, cipher string
	if err := m.server.db.QueryRowContext(ctx, "SHOW SESSION STATUS LIKE 'Ssl_cipher'").Scan(&name, &cipher); err != nil {
		return nil, fmt.Errorf("ask whether the connection is encrypted: %w", err)
	}
	config := binlog.Config{
		Host: host, Port: uint16(number), User: m.cfg.Server.User, Password: m.cfg.Server.Passwd,
		Logger: m.cfg.Logger, Current: m.server.logEnd,
	}
	if cipher != "" {
		config.TLS = m.cfg.Server.TLS
		if config.TLS == nil { // TLSConfig "preferred" or "skip-verify": as the driver does
			config.TLS = &tls.Config{InsecureSkipVerify: true}
		}
	}
	return binlog.New(config), nil
}

func (m *Migrator) serve(start func(*Migration)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.start = start
}

// adopt takes up what an earlier process left. Two migrations of one table wait
// for each other at the table's lock, oldest first.
func (m *Migrator) adopt(left []*record) {
	for _, r := range left {
		stmt, err := parser.Parse(r.Statement, modeOf(r.Session, false))
		if err != nil {
			m.cfg.Logger.Error("migration: the recorded statement cannot be read; it is left alone", "migration", r.ID, "error", err)
			continue
		}
		x := newMigration(m, r, stmt)
		m.mu.Lock()
		if m.active[r.Table] == nil {
			m.active[r.Table] = x
		}
		if m.start != nil {
			m.cfg.Logger.Info("migration: taking up what an earlier process left", "migration", r.ID, "table", r.Table.String(), "phase", string(r.Phase))
			m.start(x)
		}
		m.mu.Unlock()
	}
}

func newMigration(m *Migrator, r *record, stmt parser.Statement) *Migration {
	x := &Migration{migrator: m, record: r, stmt: stmt, done: make(chan struct{})}
	x.meter.enter(r.Phase)
	return x
}

// errNotRunning is the answer while the Migrator starts or stops.
var errNotRunning = errors.New("starting or stopping; send the statement again in a moment")

// recordTimeout bounds the writing of a migration's record.
const recordTimeout = 10 * time.Second

// submit records a migration and starts it, unless the table has one by now:
// then that one is returned.
func (m *Migrator) submit(ctx context.Context, r *record, stmt parser.Statement) (x *Migration, started bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if other := m.active[r.Table]; other != nil {
		return other, false, nil
	}
	if m.start == nil {
		return nil, false, errNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout) // everybody's ALTERs wait for this one
	defer cancel()
	if err := m.store.create(ctx, r); err != nil {
		return nil, false, err
	}
	x = newMigration(m, r, stmt)
	m.active[r.Table] = x
	x.waiting++
	m.start(x)
	return x, true, nil
}

// on returns the migration that the table has now, or nil.
func (m *Migrator) on(t schema.Table) *Migration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.active[t]
}

func (m *Migrator) finished(x *Migration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.active[x.record.Table] == x {
		delete(m.active, x.record.Table)
	}
}

// Active lists the migrations of this process that have not ended.
func (m *Migrator) Active() []*Migration {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Migration, 0, len(m.active))
	for _, x := range m.active {
		all = append(all, x)
	}
	return all
}

// Ready reports whether the server answers and Alter is served.
func (m *Migrator) Ready(ctx context.Context) error {
	m.mu.Lock()
	running := m.start != nil
	m.mu.Unlock()
	if !running {
		return errNotRunning
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return m.server.db.PingContext(ctx)
}

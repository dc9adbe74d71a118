package load

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Run is a load that is under way, or was. Stop must be called.
type Run struct {
	config  Config
	began   time.Time
	clients []*client
	db      *sql.DB
	served  atomic.Int64
	working sync.WaitGroup
	warm    chan struct{}
	stop    chan struct{}
	stopped func() Report
}

// Start connects the clients and sets them to work, until Stop is called. When
// ctx ends first they drop their connections in the middle of whatever they do.
func Start(ctx context.Context, config Config) (*Run, error) {
	config, err := config.completed()
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config.Server)
	if err != nil {
		return nil, fmt.Errorf("connect the clients: %w", err)
	}
	r := &Run{
		config: config, began: time.Now(), db: sql.OpenDB(connector),
		warm: make(chan struct{}), stop: make(chan struct{}),
	}
	r.stopped = sync.OnceValue(r.finish)
	r.makeClients()
	for _, c := range r.clients {
		if err := c.connect(ctx); err != nil {
			r.Stop()
			return nil, fmt.Errorf("connect client %d: %w", c.ledger.number, err)
		}
	}
	for _, c := range r.clients {
		r.working.Go(func() { c.run(ctx, r.stop) })
	}
	return r, nil
}

func (r *Run) makeClients() {
	var cold atomic.Int64
	cold.Store(int64(r.config.Clients))
	for i := range r.config.Clients {
		r.clients = append(r.clients, &client{
			config: &r.config, texts: textsFor(r.config.Table), began: r.began, db: r.db,
			ledger: newLedger(i, &r.config), stats: &stats{latency: newHistogram()},
			random: rand.New(rand.NewPCG(r.config.Seed, uint64(i))), served: &r.served,
			warm: func() {
				if cold.Add(-1) == 0 {
					close(r.warm)
				}
			},
		})
	}
}

// Warm is closed when every client has been served Warmup statements.
func (r *Run) Warm() <-chan struct{} { return r.warm }

// Served is how many statements have been served up to now.
func (r *Run) Served() int64 { return r.served.Load() }

// Await waits until so many statements have been served since the start.
func (r *Run) Await(ctx context.Context, statements int64) error {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for r.Served() < statements {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %d statements are served: %w", statements, context.Cause(ctx))
		}
	}
	return nil
}

// Stop lets every client finish what it is doing and reports. It may be called
// again.
func (r *Run) Stop() Report { return r.stopped() }

func (r *Run) finish() Report {
	close(r.stop)
	r.working.Wait()
	report := Report{Took: time.Since(r.began), Latency: newHistogram()}
	for _, c := range r.clients {
		c.disconnect() // those that never ran
		report.add(c.stats, c.ledger)
	}
	if err := r.db.Close(); err != nil {
		report.Details = append(report.Details, fmt.Sprintf("close the connections: %v", err))
	}
	return report
}

// errRunning is the answer to a question that only a stopped Run can answer.
var errRunning = errors.New("load: Stop comes before Verify")

// Command relaybench measures what it costs to stand between sysbench and MySQL:
// for Sluice, and beside it, in the same rounds, for HAProxy (TCP mode) and MySQL
// Router, where they are installed or can be fetched. A figure is only ever a
// ratio to the same work without anything between, since machines differ and are
// noisy.
//
// With --idle and --transfers it measures memory instead: of sessions that do
// nothing, and of results and files that are larger than anybody should keep.
//
//	go run ./bench/relaybench --out DIR
//
// It starts everything it needs, a MySQL with its data in memory included, and
// leaves nothing but the files in DIR.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// What we start dies with the thread that started it: see start.
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		stop()
		os.Exit(1)
	}
}

// options are what a user can choose.
type options struct {
	sluice      string
	rounds      int
	seconds     int
	connections []int
	workloads   []string
	tls         []string
	out         string
	idle        int
	transfers   bool
}

func command() *cobra.Command {
	o := options{}
	cmd := &cobra.Command{
		Use:           "relaybench",
		Short:         "Measure what a proxy costs",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVar(&o.sluice, "sluice", "bin/sluice", "the Sluice to measure")
	f.IntVar(&o.rounds, "rounds", 5, "rounds; each runs every way once, in another order")
	f.IntVar(&o.seconds, "seconds", 3, "seconds that each way has in a round")
	f.IntSliceVar(&o.connections, "connections", []int{1, 16, 64}, "numbers of connections")
	f.StringSliceVar(&o.workloads, "workloads", []string{"oltp_point_select", "oltp_read_write"}, "sysbench's workloads")
	f.StringSliceVar(&o.tls, "tls", []string{plain, secure}, "plain, tls")
	f.StringVar(&o.out, "out", "", "folder for result.json, relay.png and relay.svg; empty: none")
	f.IntVar(&o.idle, "idle", 0, "measure the memory of so many idle sessions instead")
	f.BoolVar(&o.transfers, "transfers", false, "measure the memory that large transfers take instead")
	return cmd
}

func (o options) validate() error {
	var errs []error
	if o.rounds < 1 || o.seconds < 1 || o.idle < 0 || len(o.connections) == 0 || len(o.workloads) == 0 || len(o.tls) == 0 {
		errs = append(errs, errors.New("rounds, seconds, connections, workloads and tls must be given and positive"))
	}
	for _, t := range o.tls {
		if t != plain && t != secure {
			errs = append(errs, fmt.Errorf("tls must be %s or %s, not %q", plain, secure, t))
		}
	}
	if _, err := os.Stat(o.sluice); err != nil {
		errs = append(errs, fmt.Errorf("no Sluice to measure, run make build: %w", err))
	}
	return errors.Join(errs...)
}

func (o options) run(ctx context.Context) (err error) {
	if err := o.validate(); err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	switch {
	case o.idle > 0:
		return b.measureIdle(ctx, o.idle)
	case o.transfers:
		return b.measureTransfers(ctx)
	}
	return b.measureSpeed(ctx, o)
}

// measureSpeed runs all the rounds and reports.
func (b *bench) measureSpeed(ctx context.Context, o options) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	var results []result
	for _, work := range o.workloads {
		for _, tls := range o.tls {
			for _, n := range o.connections {
				r, err := b.compare(ctx, setting{Workload: work, TLS: tls, Connections: n}, o)
				if err != nil {
					return err
				}
				results = append(results, r)
				fmt.Print(r.table())
			}
		}
	}
	fmt.Println("\nA ratio is queries per second to those without a proxy in the same round: the median, and in brackets the least and the\n" +
		"greatest. CPU is the proxy's own, in seconds for 100,000 queries. HAProxy passes TLS through unread; Sluice and Router\n" +
		"decrypt and encrypt on both sides.")
	for _, r := range results {
		if v := r.verdict(); v != "" {
			fmt.Println(v)
		}
	}
	if o.out == "" {
		return nil
	}
	return write(o.out, results)
}

// compare runs one setting's rounds: every way once in each, one way later each
// time, so that none always follows the same.
func (b *bench) compare(ctx context.Context, s setting, o options) (result, error) {
	r := result{setting: s, Runs: map[string][]run{}}
	ways := slices.Clone(b.ways)
	for range o.rounds {
		for _, w := range slices.Clone(ways) {
			one, err := b.measure(ctx, s, w, o.seconds)
			switch {
			case err == nil:
				r.Runs[w.name] = append(r.Runs[w.name], one)
			case ctx.Err() != nil:
				return r, context.Cause(ctx)
			case w.name == direct || w.name == "sluice":
				return r, fmt.Errorf("%s through %s: %w", s, w.name, err)
			default:
				first, _, _ := strings.Cut(err.Error(), "\n\n")
				fmt.Fprintf(os.Stderr, "%s: %s is left out: %s\n", s, w.name, first)
				ways = slices.DeleteFunc(ways, func(x way) bool { return x == w })
				delete(r.Runs, w.name)
			}
		}
		ways = append(ways[1:], ways[0])
	}
	for _, w := range b.ways {
		if len(r.Runs[w.name]) > 0 {
			r.Ways = append(r.Ways, w.name)
		}
	}
	return r, nil
}

// measure runs sysbench once.
func (b *bench) measure(ctx context.Context, s setting, w way, seconds int) (run, error) {
	before, err := cpu(w.pid)
	if err != nil {
		return run{}, err
	}
	one, err := b.sysbench(ctx, s, w, seconds)
	if err != nil {
		return run{}, err
	}
	after, err := cpu(w.pid)
	one.CPU = after - before
	return one, err
}

// setting is what is measured.
type setting struct {
	Workload    string
	TLS         string
	Connections int
}

const (
	plain  = "plain"
	secure = "tls"
)

// String describes the setting.
func (s setting) String() string {
	return fmt.Sprintf("%s, %s, %d connections", strings.TrimPrefix(s.Workload, "oltp_"), s.TLS, s.Connections)
}

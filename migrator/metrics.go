package migrator

import (
	"github.com/prometheus/client_golang/prometheus"

	"sluice/cutover"
)

// metrics are the figures of this package on /metrics. Tables and users are no
// labels: their number has no bound.
type metrics struct {
	rowsCopied, rowsVerified, changesApplied prometheus.Counter
	ended                                    *prometheus.CounterVec
	cutovers                                 *prometheus.CounterVec
	held, locked                             prometheus.Histogram
}

func newMetrics(r prometheus.Registerer, m *Migrator) *metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 12) // 1 ms to 2 s
	x := &metrics{
		rowsCopied:     prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_migration_rows_copied_total", Help: "Rows copied into shadow tables."}),
		rowsVerified:   prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_migration_rows_verified_total", Help: "Rows compared between original and shadow."}),
		changesApplied: prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_migration_changes_applied_total", Help: "Changed rows brought up to date in shadow tables."}),
		ended:          prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_migrations_ended_total", Help: "Migrations that came to their end, by phase."}, []string{"phase"}),
		cutovers:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sluice_cutover_attempts_total", Help: "Attempts at a cutover, by result."}, []string{"result"}),
		held:           prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sluice_cutover_held_seconds", Help: "How long clients were held by a successful cutover.", Buckets: buckets}),
		locked:         prometheus.NewHistogram(prometheus.HistogramOpts{Name: "sluice_cutover_locked_seconds", Help: "How long the table was locked by a successful cutover.", Buckets: buckets}),
	}
	running := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sluice_migrations_running", Help: "Migrations under way in this process."},
		func() float64 { return float64(len(m.Active())) })
	if r != nil {
		r.MustRegister(x.rowsCopied, x.rowsVerified, x.changesApplied, x.ended, x.cutovers, x.held, x.locked, running)
	}
	return x
}

// cutover counts a swap that came to its end.
func (x *metrics) cutover(phase cutover.Phase, t cutover.Timing) {
	if phase == cutover.Swapped {
		x.cutovers.WithLabelValues("not in time").Add(float64(t.Attempts - 1))
		x.held.Observe(t.Held.Seconds())
		x.locked.Observe(t.Locked.Seconds())
	} else {
		x.cutovers.WithLabelValues("not in time").Add(float64(t.Attempts))
	}
	x.cutovers.WithLabelValues(phase.String()).Inc()
}

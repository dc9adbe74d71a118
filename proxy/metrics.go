package proxy

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Sides of a session, the values of the label "side" and "leg".
const (
	clientSide = "client"
	serverSide = "server"
)

// States of a session, the values of the label "state".
const (
	stateLogin    = "login"
	stateRelay    = "relay"
	stateHeld     = "held"
	stateAltering = "altering"
	stateOpaque   = "opaque"
)

// Decisions on statements that may be ALTERs, the values of the label "decision".
const (
	decisionNative   = "native"
	decisionAnswered = "answered"
	decisionFailed   = "failed"
	decisionTooLong  = "too_long"
)

// metrics are all values that the proxy exports. Those of the hot path are
// resolved to their counters beforehand: no label is looked up per statement.
type metrics struct {
	connections prometheus.Counter
	failures    *prometheus.CounterVec
	commands    prometheus.Counter
	sessions    *prometheus.GaugeVec
	intercepted *prometheus.CounterVec

	fromClient, toClient prometheus.Counter
	fromServer, toServer prometheus.Counter

	held        prometheus.Gauge
	holds       prometheus.Counter
	holdSeconds prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "sluice", Name: name, Help: help}
	}
	bytes := prometheus.NewCounterVec(counter("bytes_total", "Bytes of the command phase, by leg and direction as seen by the proxy."), []string{"leg", "dir"})
	m := &metrics{
		connections: prometheus.NewCounter(counter("connections_total", "Clients accepted.")),
		failures:    prometheus.NewCounterVec(counter("connection_errors_total", "Connections that ended in an error, by the side at fault."), []string{"side", "reason"}),
		commands:    prometheus.NewCounter(counter("commands_total", "Commands received from clients.")),
		sessions: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: "sluice", Name: "sessions", Help: "Sessions by what they are doing.",
		}, []string{"state"}),
		intercepted: prometheus.NewCounterVec(counter("intercepted_statements_total", "Statements that may be ALTERs, by what became of them."), []string{"decision"}),
		fromClient:  bytes.WithLabelValues(clientSide, "in"),
		toClient:    bytes.WithLabelValues(clientSide, "out"),
		fromServer:  bytes.WithLabelValues(serverSide, "in"),
		toServer:    bytes.WithLabelValues(serverSide, "out"),
		held: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: "sluice", Name: "held_sessions", Help: "Sessions that the gate holds now.",
		}),
		holds: prometheus.NewCounter(counter("holds_total", "Statements that the gate has held.")),
		holdSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sluice", Name: "hold_seconds", Help: "How long the gate held a statement.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
		}),
	}
	for _, d := range []string{decisionNative, decisionAnswered, decisionFailed, decisionTooLong} {
		m.intercepted.WithLabelValues(d)
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.connections, m.failures, m.commands, m.sessions, m.intercepted, bytes, m.held, m.holds, m.holdSeconds} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

func (m *metrics) failure(side, reason string) { m.failures.WithLabelValues(side, reason).Inc() }

package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Report is what the clients have to tell of a run.
type Report struct {
	Took         time.Duration
	Statements   int64    // served, BEGIN and COMMIT included
	Transactions int64    // committed
	Writes       int64    // acknowledged
	Unknown      int64    // writes that were not answered
	Errors       int64    // also those of connecting
	Stale        int64    // reads that did not show their client's latest write
	Lost         int64    // acknowledged writes that were not there when they were to be overwritten
	Details      []string // the first few of what went wrong

	// LongestWait is the longest time that a single statement took, served or
	// not, sent LongestWaitAt after the start.
	LongestWait   time.Duration
	LongestWaitAt time.Duration
	LongestWaitOf string
	// Latency is that of the statements served, in microseconds.
	Latency *hdrhistogram.Histogram
}

// String is a line for the logs of tests.
func (r Report) String() string {
	return fmt.Sprintf("%d statements (%d transactions) in %s, %d writes, %d unknown, %d errors, %d stale, %d lost; p50 %s, p99 %s, longest %s (%s, at %s) %q",
		r.Statements, r.Transactions, r.Took.Round(time.Millisecond), r.Writes, r.Unknown, r.Errors, r.Stale, r.Lost,
		r.Percentile(50), r.Percentile(99), r.LongestWait.Round(time.Microsecond), r.LongestWaitOf, r.LongestWaitAt.Round(time.Millisecond), r.Details)
}

// Percentile is the time within which p percent of the statements were served.
func (r Report) Percentile(p float64) time.Duration {
	return time.Duration(r.Latency.ValueAtPercentile(p)) * time.Microsecond
}

const (
	longestRecorded   = time.Hour // longer ones count as this long
	detailsPerClient  = 3
	detailsOfReport   = 10
	significantDigits = 3
)

// stats are the figures of one client.
type stats struct {
	statements, transactions, errors, stale, lost int64

	details   []string
	longest   time.Duration
	longestAt time.Duration
	longestOf string
	latency   *hdrhistogram.Histogram
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, longestRecorded.Microseconds(), significantDigits)
}

func (s *stats) note(what string, at, took time.Duration) {
	s.statements++
	s.latency.RecordValue(min(took, longestRecorded).Microseconds()) // cannot fail: it is in the range
	s.waited(what, at, took)
}

func (s *stats) fail(what string, at, took time.Duration, err error) {
	s.errors++
	s.detail("error: %s, sent after %s: %v", what, at.Round(time.Millisecond), err)
	s.waited(what, at, took)
}

func (s *stats) waited(what string, at, took time.Duration) {
	if took > s.longest {
		s.longest, s.longestAt, s.longestOf = took, at, what
	}
}

// detail keeps the first few.
func (s *stats) detail(format string, args ...any) {
	if len(s.details) < detailsPerClient {
		s.details = append(s.details, fmt.Sprintf(format, args...))
	}
}

func (r *Report) add(s *stats, l *ledger) {
	r.Statements += s.statements
	r.Transactions += s.transactions
	r.Errors += s.errors
	r.Stale += s.stale
	r.Lost += s.lost
	r.Writes += l.writes
	r.Unknown += l.unknown
	r.Details = append(r.Details, s.details[:min(len(s.details), detailsOfReport-len(r.Details))]...)
	if s.longest > r.LongestWait {
		r.LongestWait, r.LongestWaitAt, r.LongestWaitOf = s.longest, s.longestAt, s.longestOf
	}
	r.Latency.Merge(s.latency)
}

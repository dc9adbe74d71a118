package migrator

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Progress is what can be told of a migration at a moment.
type Progress struct {
	Phase           Phase
	RowsTotal       int64 // an estimate of the server until the copy is complete
	RowsCopied      int64
	RowsVerified    int64
	ChangesApplied  int64
	RowsPerSecond   float64       // of the present phase
	Left            time.Duration // until the present phase ends, 0 if unknown
	WaitingFor      string        // "" if it does not wait
	CutoverAttempts int
	Held            time.Duration // how long clients were held at the gate, once it is over
}

// Fraction is how much of the work is done, from 0 to 1: copying counts for
// three quarters.
func (p Progress) Fraction() float64 {
	part := func(n int64) float64 {
		if p.RowsTotal <= 0 {
			return 0
		}
		return min(float64(n)/float64(p.RowsTotal), 1)
	}
	switch p.Phase {
	case Copying:
		return 0.75 * part(p.RowsCopied)
	case Verifying:
		return 0.75 + 0.24*part(p.RowsVerified)
	case Ready, Swapping:
		return 0.99
	case Cleaning, Done:
		return 1
	}
	return 0
}

// Bar draws the fraction as a bar of width characters with the percentage
// behind it.
func (p Progress) Bar(width int) string {
	f := p.Fraction()
	full := int(f * float64(width))
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("#", full), strings.Repeat(".", width-full), 100*f)
}

// String is a line for people: "copying 42%, 12000 rows/s, 35s left".
func (p Progress) String() string {
	parts := []string{fmt.Sprintf("%s %.0f%%", p.Phase, 100*p.Fraction())}
	if p.RowsPerSecond > 0 {
		parts = append(parts, fmt.Sprintf("%.0f rows/s", p.RowsPerSecond))
	}
	if p.Left > 0 {
		parts = append(parts, fmt.Sprintf("%s left", p.Left.Round(time.Second)))
	}
	if p.WaitingFor != "" {
		parts = append(parts, "waiting for "+p.WaitingFor)
	}
	return strings.Join(parts, ", ")
}

// meter gathers progress; it is safe for concurrent use.
type meter struct {
	mu    sync.Mutex
	p     Progress
	since time.Time // when the present phase began
	base  int64     // rows that were done then
}

func (m *meter) enter(p Phase) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p.Phase, m.p.WaitingFor = p, ""
	m.p.RowsPerSecond, m.p.Left = 0, 0
	m.since, m.base = time.Now(), m.doneLocked()
}

// update changes the figures and brings rate and rest up to date.
func (m *meter) update(f func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.p)
	took := time.Since(m.since)
	if done := m.doneLocked(); done > m.base && took > 0 {
		m.p.RowsPerSecond = float64(done-m.base) / took.Seconds()
		m.p.Left = time.Duration(float64(max(m.p.RowsTotal-done, 0)) / m.p.RowsPerSecond * float64(time.Second))
	}
}

func (m *meter) doneLocked() int64 {
	switch m.p.Phase {
	case Copying:
		return m.p.RowsCopied
	case Verifying:
		return m.p.RowsVerified
	}
	return 0
}

func (m *meter) snapshot() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p
}

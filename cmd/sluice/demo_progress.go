package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"sluice/bench/load"
	"sluice/migrator"
)

// follow shows how the ALTER gets on until its answer comes.
func (d *demo) follow(ctx context.Context, s *stage, run *load.Run, answer <-chan error) error {
	line := newLiveLine(d.out)
	defer line.end()
	tick := time.NewTicker(line.interval)
	defer tick.Stop()
	start := time.Now()
	for {
		select {
		case err := <-answer:
			return err
		case <-tick.C:
		}
		if ctx.Err() != nil {
			continue // the answer is on its way
		}
		m, err := s.migration(ctx)
		if err != nil || m == nil {
			m = &migrator.Listed{Progress: migrator.Progress{Phase: migrator.Queued}}
		}
		line.show(fmt.Sprintf("%6.1f s  %s", time.Since(start).Seconds(), progressText(m, run.Served())))
	}
}

func progressText(m *migrator.Listed, served int64) string {
	text := fmt.Sprintf("%s %-9s | %s statements served", m.Bar(20), m.Phase, grouped(served))
	switch {
	case m.WaitingFor != "":
		text += " | waiting for " + m.WaitingFor
	case m.RowsPerSecond > 0:
		text += fmt.Sprintf(" | %s rows/s", grouped(int64(m.RowsPerSecond)))
	}
	return text
}

// liveLine is a line that is written again and again on a terminal, and as
// another line each time elsewhere, less often.
type liveLine struct {
	out      io.Writer
	terminal bool
	interval time.Duration
}

func newLiveLine(out io.Writer) *liveLine {
	l := &liveLine{out: out, terminal: isTerminal(out), interval: time.Second}
	if l.terminal {
		l.interval = 200 * time.Millisecond
	}
	return l
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (l *liveLine) show(text string) {
	if l.terminal {
		const clear, width = "\r\x1b[K", 79 // a line that wraps cannot be rewritten
		fmt.Fprint(l.out, clear+text[:min(len(text), width)])
		return
	}
	fmt.Fprintln(l.out, text)
}

// end leaves the line as it is.
func (l *liveLine) end() {
	if l.terminal {
		fmt.Fprintln(l.out)
	}
}

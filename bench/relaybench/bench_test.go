package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// report is what sysbench 1.0.20 printed.
const report = `SQL statistics:
    queries performed:
        read:                            190122
        write:                           0
        other:                           0
        total:                           190122
    transactions:                        190122 (37933.35 per sec.)
    queries:                             190122 (37933.35 per sec.)
    ignored errors:                      3      (0.60 per sec.)
    reconnects:                          0      (0.00 per sec.)

General statistics:
    total time:                          5.0107s
    total number of events:              190122

Latency (ms):
         min:                                    0.05
         avg:                                    0.42
         max:                                   11.94
         95th percentile:                        0.84
         sum:                                79706.37
`

func TestSysbenchReportIsRead(t *testing.T) {
	got, err := parseSysbench(report)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(run{Queries: 190122, Rate: 37933.35, P95: 0.84, Errors: 3}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseSysbench("FATAL: no"); err == nil {
		t.Error("a report without figures was taken")
	}
}

func TestProcessorTimeIsRead(t *testing.T) {
	const stat = "9843 (a (strange) name) S 1 9843 9843 0 -1 4194560 3163 0 0 0 150 250 0 0 20 0 3 0 1 2 3"
	if got, err := parseStat(stat); err != nil || got != 4 {
		t.Errorf("got %v, %v, want 4 s", got, err)
	}
	if _, err := parseStat("9843 (cut short) S 1"); err == nil {
		t.Error("a stat that was cut short was taken")
	}
	if seconds, err := cpu(os.Getpid()); err != nil || seconds < 0 {
		t.Errorf("our own: %v, %v", seconds, err)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	r := result{setting: setting{"oltp_point_select", plain, 16}, Ways: []string{direct, "haproxy", "sluice"}, Runs: map[string][]run{
		direct:    {{Rate: 100, Queries: 100}, {Rate: 200, Queries: 200}, {Rate: 400, Queries: 400}},
		"haproxy": {{Rate: 40, Queries: 40}, {Rate: 100, Queries: 100}, {Rate: 160, Queries: 160}},
		"sluice":  {{Rate: 50, Queries: 50, CPU: 1}, {Rate: 120, Queries: 120, CPU: 1.2}, {Rate: 160, Queries: 160, CPU: 16}},
	}}
	if diff := cmp.Diff(spread{0.5, 0.4, 0.6}, r.ratio("sluice")); diff != "" {
		t.Error(diff)
	}
	if got := r.cpu("sluice"); got != 2000 {
		t.Errorf("%v s of CPU, want 2000", got)
	}
	if got, want := r.verdict(), "point_select, plain, 16 connections: sluice 0.500 of direct, 1.25 times haproxy"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	folder := t.TempDir()
	if err := write(folder, []result{r}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"result.json", "relay.png", "relay.svg"} {
		if info, err := os.Stat(filepath.Join(folder, file)); err != nil || info.Size() < 300 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

func TestEvenNumberOfRoundsHasTheMeanOfTheTwoInTheMiddle(t *testing.T) {
	if diff := cmp.Diff(spread{2.5, 1, 9}, spreadOf([]float64{9, 2, 3, 1})); diff != "" {
		t.Error(diff)
	}
}

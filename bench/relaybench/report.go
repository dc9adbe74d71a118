package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// result is what the rounds of one setting measured.
type result struct {
	setting
	Ways []string
	Runs map[string][]run // of each way, by round
}

// spread is a median and what lies around it.
type spread struct{ Median, Least, Greatest float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// ratio is that of the way's rate to the direct one's of the same round.
func (r result) ratio(way string) spread {
	var ratios []float64
	for i, one := range r.Runs[way] {
		ratios = append(ratios, one.Rate/r.Runs[direct][i].Rate)
	}
	return spreadOf(ratios)
}

// median is that of a value over the way's rounds.
func (r result) median(way string, value func(run) float64) float64 {
	var values []float64
	for _, one := range r.Runs[way] {
		values = append(values, value(one))
	}
	return spreadOf(values).Median
}

// cpu is the proxy's processor time for 100,000 queries, in seconds.
func (r result) cpu(way string) float64 {
	const per = 100_000
	return r.median(way, func(one run) float64 { return one.CPU / one.Queries * per })
}

// table shows the result to people.
func (r result) table() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n%s\n", r.setting)
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "way\tqueries/s\tratio\t\tp95 ms\tCPU s\terrors\t")
	for _, way := range r.Ways {
		ratio := r.ratio(way)
		fmt.Fprintf(w, "%s\t%.0f\t%.3f\t(%.2f–%.2f)\t%.2f\t%.2f\t%.0f\t\n", way,
			r.median(way, func(one run) float64 { return one.Rate }), ratio.Median, ratio.Least, ratio.Greatest,
			r.median(way, func(one run) float64 { return one.P95 }), r.cpu(way),
			r.median(way, func(one run) float64 { return one.Errors }))
	}
	w.Flush() // to memory: cannot fail
	return text.String()
}

// verdict compares Sluice with each of the others that were there.
func (r result) verdict() string {
	sluice := r.ratio("sluice").Median
	var parts []string
	for _, way := range r.Ways {
		if way != direct && way != "sluice" {
			parts = append(parts, fmt.Sprintf("%.2f times %s", sluice/r.ratio(way).Median, way))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s: sluice %.3f of direct, %s", r.setting, sluice, strings.Join(parts, ", "))
}

// write writes the results and their picture.
func write(folder string, results []result) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, "result.json"), append(text, '\n'), 0o644),
		drawTo(filepath.Join(folder, "relay.png"), results),
		drawTo(filepath.Join(folder, "relay.svg"), results),
	)
}

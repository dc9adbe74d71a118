package main

import (
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Colours that are told apart with any kind of sight, and in grey.
var colours = map[string]color.Color{
	"haproxy": color.RGBA{0x99, 0xa3, 0xad, 0xff},
	"router":  color.RGBA{0xe0, 0x9f, 0x3e, 0xff},
	"sluice":  color.RGBA{0x1f, 0x6f, 0xb5, 0xff},
}

// drawPanels draws a panel of bars for each workload and each of plain and TLS: the
// ratio to direct, by the number of connections.
func drawPanels(results []result) ([][]*plot.Plot, error) {
	var workloads, tls []string
	for _, r := range results {
		if !slices.Contains(workloads, r.Workload) {
			workloads = append(workloads, r.Workload)
		}
		if !slices.Contains(tls, r.TLS) {
			tls = append(tls, r.TLS)
		}
	}
	var panels [][]*plot.Plot
	for _, w := range workloads {
		var row []*plot.Plot
		for _, t := range tls {
			var of []result
			for _, r := range results {
				if r.Workload == w && r.TLS == t {
					of = append(of, r)
				}
			}
			p, err := panel(of)
			if err != nil {
				return nil, err
			}
			p.Title.Text = w + ", " + t
			row = append(row, p)
		}
		panels = append(panels, row)
	}
	return panels, nil
}

// panel draws the results of one workload, which differ in their connections.
func panel(results []result) (*plot.Plot, error) {
	p := plot.New()
	p.Y.Label.Text = "queries/s, relative to direct"
	p.X.Label.Text = "connections"
	p.Y.Min, p.Y.Max = 0, 1
	p.Add(plotter.NewGrid())
	p.Legend.Top = true
	var names []string
	for _, r := range results {
		names = append(names, strconv.Itoa(r.Connections))
	}
	p.NominalX(names...)

	ways := slices.DeleteFunc(slices.Clone(results[0].Ways), func(w string) bool { return w == direct })
	const width = vg.Length(16)
	for i, way := range ways {
		var values plotter.Values
		for _, r := range results {
			values = append(values, r.ratio(way).Median)
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, fmt.Errorf("draw %s: %w", way, err)
		}
		bars.Color = colours[way]
		bars.LineStyle.Width = 0
		bars.Offset = (vg.Length(i) - vg.Length(len(ways)-1)/2) * (width + 2)
		p.Add(bars)
		p.Legend.Add(way, bars)
	}
	return p, nil
}

// drawTo draws all panels into a file, in the format that its name ends with.
func drawTo(file string, results []result) error {
	panels, err := drawPanels(results)
	if err != nil {
		return err
	}
	const panelWidth, panelHeight = 4 * vg.Inch, 3 * vg.Inch
	width, height := panelWidth*vg.Length(len(panels[0])), panelHeight*vg.Length(len(panels))
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	if filepath.Ext(file) == ".svg" {
		canvas = vgsvg.New(width, height)
	} else {
		canvas = vgimg.PngCanvas{Canvas: vgimg.New(width, height)}
	}
	tiles := draw.Tiles{Rows: len(panels), Cols: len(panels[0]), PadX: 12, PadY: 12, PadTop: 6, PadBottom: 6, PadLeft: 6, PadRight: 6}
	for i, row := range plot.Align(panels, tiles, draw.New(canvas)) {
		for j, tile := range row {
			panels[i][j].Draw(tile)
		}
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if _, err := canvas.WriteTo(out); err != nil {
		return fmt.Errorf("draw %s: %w", file, err)
	}
	return out.Close()
}

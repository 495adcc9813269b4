package bench

import (
	_ "embed" // for the template
	"fmt"
	"html/template"
	"io"
	"math"
)

//go:embed overview.svg.tmpl
var overviewText string

// The numbers of the overview, in the units of its viewBox.
const (
	overviewWidth = 760
	overviewLeft  = 130 // of the bars: names of scenarios are before
	overviewRight = 700 // of the largest bar: its label is behind
	overviewTop   = 62
	overviewBar   = 8
	overviewPeers = 4 // that have colours; others are in the full report only
)

// writeOverview writes overview.svg: what the others cost in every scenario, divided by
// what the first does, on a logarithmic scale. That is processor time where it was measured,
// else memory.
func (c *comparison) writeOverview(w io.Writer) error {
	page, err := template.New("overview").Parse(overviewText)
	if err != nil {
		panic("overview.svg.tmpl: " + err.Error())
	}
	return page.Execute(w, c.overview())
}

type overviewBarOf struct {
	Class, Y, TextY, X, Width, TextX int
	Label, Text                      string
}

type overviewRow struct {
	Name string
	Y    int
	Bars []overviewBarOf
}

type overviewMark struct {
	Class, Text string
	X, TextX    int
}

type overview struct {
	Title, Subtitle                                 string
	Width, Height, Top, Bottom, ScaleY, LabelX, Bar int
	Legend, Grid                                    []overviewMark
	Rows                                            []overviewRow
}

func (c *comparison) overview() *overview {
	names := c.names()
	names = names[:min(len(names), 1+overviewPeers)]
	v := &overview{
		Title:    "What others cost beside " + abbreviated(names[0], peerNameMax),
		Subtitle: fmt.Sprintf("processor time for each unit of work (idle: memory) × that of %s, less is better; %s, %d × %s", abbreviated(names[0], peerNameMax), c.Machine.Date, c.Machine.Cores, abbreviated(c.Machine.CPU, 30)),
		Width:    overviewWidth, Top: overviewTop, LabelX: overviewLeft - 8, Bar: overviewBar,
	}
	x := 0
	for k, name := range names[1:] {
		name = abbreviated(name, peerNameMax)
		v.Legend = append(v.Legend, overviewMark{Class: fmt.Sprint(k), Text: name, X: x, TextX: x + 15})
		x += 35 + 7*len([]rune(name))
	}
	rows := c.rows()
	low, high := 0.5, 2.
	for i := range rows {
		cost, _ := rows[i].cost()
		for k := range names {
			if ratio := rows[i].ratio(cost, k); ratio > 0 {
				low, high = min(low, ratio), max(high, ratio)
			}
		}
	}
	at := func(ratio float64) int {
		return overviewLeft + int(math.Round((overviewRight-overviewLeft)*math.Log(ratio/low)/math.Log(high/low)))
	}
	y := overviewTop + 6
	for i := range rows {
		r := overviewRow{Name: rows[i].entry.name}
		cost, _ := rows[i].cost()
		begin := y
		for k := 1; k < len(names); k++ {
			ratio := rows[i].ratio(cost, k)
			b := overviewBarOf{Class: k - 1, Y: y, TextY: y + overviewBar, X: at(1), Label: times(ratio), Text: names[k] + " " + times(ratio)}
			if ratio > 0 {
				b.X, b.Width = min(at(1), at(ratio)), max(1, at(max(1, ratio))-at(min(1, ratio)))
			}
			if state := rows[i].columns[k].state(); state != "" {
				b.Label = state
			}
			b.TextX = b.X + b.Width + 4
			r.Bars = append(r.Bars, b)
			y += overviewBar + 1
		}
		r.Y = (begin+y)/2 + 4
		v.Rows = append(v.Rows, r)
		y += 6
	}
	v.Bottom = y
	v.ScaleY, v.Height = y+14, y+20
	for _, n := range []float64{0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500} {
		if n < low || n > high {
			continue
		}
		class := "grid"
		if n == 1 {
			class = "one"
		}
		v.Grid = append(v.Grid, overviewMark{Class: class, Text: "×" + number(n), X: at(n)})
	}
	return v
}

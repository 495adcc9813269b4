package bench

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// chart is a bar chart of one figure of one scenario, in the units of an SVG viewBox
// that is chartWidth wide: as wide as a telephone, so that text needs no scaling there.
//
//	name of the broker                1.23 M/s ×0.42
//	▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇▇├──┤
//	what went wrong
type chart struct {
	Title  string
	Height int
	Bars   []bar
}

type bar struct {
	Name      string // of the broker, in full
	Label     string // the same, as far as there is room
	Value     string
	First     bool // the one that the others are compared with
	Y         int  // of the text; the bar is below
	Width     float64
	Low, High float64 // ends of the whisker; equal if there is none
	Trouble   string  // what went wrong, below the bar
	TroubleY  int
	Faulty    bool // the bar counts for nothing
}

const (
	chartWidth  = 360
	textHeight  = 14
	barHeight   = 12
	barPitch    = textHeight + barHeight + 12
	troubleMost = 52 // characters
)

// BarY is where the rectangle begins.
func (b bar) BarY() int { return b.Y + 5 }

// Middle is the height of the whisker.
func (b bar) Middle() float64 { return float64(b.BarY()) + barHeight/2. }

// charts returns those of one row: rate always, the others where they were measured.
func (r *row) charts(names []string) (charts []chart) {
	for i, f := range comparedFigures() {
		if r.applies(f) {
			charts = append(charts, r.chart(f, names))
		} else if i == 0 && !r.anything() {
			charts = append(charts, r.chart(f, names)) // which says why there is none
		}
	}
	return charts
}

// anything says whether any figure of the row was measured.
func (r *row) anything() bool {
	for _, f := range comparedFigures() {
		if r.applies(f) {
			return true
		}
	}
	return false
}

// chart returns the bars of one figure. Their lengths begin at zero.
func (r *row) chart(f comparedFigure, names []string) chart {
	most := 0.0
	for k := range r.columns {
		_, _, high := r.columns[k].spread(f.pick)
		most = max(most, high)
	}
	scale := func(v float64) float64 {
		if most <= 0 {
			return 0
		}
		return math.Round(max(v, 0)/most*chartWidth*10) / 10
	}
	c := chart{Title: fmt.Sprintf(f.title, r.entry.unit)}
	y := textHeight
	for k, name := range names {
		col := &r.columns[k]
		median, low, high := col.spread(f.pick)
		b := bar{
			Name: name, Label: abbreviated(name, peerNameMax), First: k == 0, Y: y,
			Width: scale(median), Low: scale(low), High: scale(high), Trouble: abbreviated(col.state(), troubleMost), Faulty: !col.ok(),
		}
		if len(col.outcomes) > 0 {
			b.Value = "not measured"
			if median != 0 {
				b.Value = f.show(median)
				if k > 0 {
					b.Value += " " + times(r.ratio(f, k))
				}
			}
		}
		y += barPitch
		if b.Trouble != "" {
			b.TroubleY = b.BarY() + textHeight
			if b.Width > 0 {
				b.TroubleY += barHeight
				y += textHeight
			}
		}
		c.Bars = append(c.Bars, b)
	}
	c.Height = y - textHeight + 2
	return c
}

// abbreviated returns at most so many characters of text.
func abbreviated(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

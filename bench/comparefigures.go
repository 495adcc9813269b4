package bench

import (
	"fmt"
	"slices"
	"strings"
)

// comparedFigure is what brokers are compared by. 0 means that it was not measured.
type comparedFigure struct {
	name  string // in sentences
	title string // of a chart; %s is the unit of the row
	short string // of a column of a table
	less  bool   // is better
	show  func(v float64) string
	pick  func(outcome) float64
}

func comparedFigures() []comparedFigure {
	return []comparedFigure{
		{"rate", "%ss a second", "rate /s", false, func(v float64) string { return metricNumber(v) + "/s" }, func(o outcome) float64 { return o.rate }},
		{"processor time", "processor time of the broker for each %s, less is better", "CPU µs", true, func(v float64) string { return number(v) + " µs" },
			func(o outcome) float64 { return o.serverCPU }},
		{"memory", "resident memory of the broker for each %s, less is better", "RSS B", true, func(v float64) string { return metricNumber(v) + "B" },
			func(o outcome) float64 { return o.rss }},
	}
}

// metricNumber writes v with three digits that count, and k or M.
func metricNumber(v float64) string {
	switch {
	case v >= 999_500:
		return number(v/1e6) + " M"
	case v >= 999.5:
		return number(v/1e3) + " k"
	}
	return number(v) + " "
}

// spread returns the median of what pick takes from the outcomes, and the extremes.
func (c *column) spread(pick func(outcome) float64) (median, low, high float64) {
	for i, o := range c.outcomes {
		v := pick(o)
		if i == 0 {
			low, high = v, v
		}
		low, high = min(low, v), max(high, v)
	}
	return c.median(pick), low, high
}

// state says why a column has less than all figures: empty if it has them all.
func (c *column) state() string {
	switch {
	case c.lacking != "":
		return "not offered"
	case len(c.outcomes) == 0 && len(c.failed) == 0:
		return "not run"
	case len(c.outcomes) == 0:
		return "failed"
	case !c.ok():
		return c.trouble()
	}
	return ""
}

// applies says whether a row has a figure at all.
func (r *row) applies(f comparedFigure) bool {
	return slices.ContainsFunc(r.columns, func(c column) bool { return c.median(f.pick) != 0 })
}

// ratio returns what column k has of figure f, divided by what the first has. 0: one of
// them has none.
func (r *row) ratio(f comparedFigure, k int) float64 {
	v, base := r.columns[k].median(f.pick), r.columns[0].median(f.pick)
	if v == 0 || base == 0 {
		return 0
	}
	return v / base
}

// times writes a ratio.
func times(ratio float64) string {
	if ratio == 0 {
		return "–"
	}
	return "×" + number(ratio)
}

// margin is how far a broker must be ahead to count as ahead.
const margin = 1.05

// behind says where the first broker is not the best by each figure, and where it did
// not even do what it should.
func (c *comparison) behind() (lines []string) {
	rows, names := c.rows(), c.names()
	var spoilt []string
	for i := range rows {
		if first := &rows[i].columns[0]; first.state() != "" {
			spoilt = append(spoilt, fmt.Sprintf("%s (%s)", rows[i].entry.name, first.state()))
		}
	}
	if len(spoilt) > 0 {
		lines = append(lines, fmt.Sprintf("%s itself has no honest figures of %s.", names[0], strings.Join(spoilt, ", ")))
	}
	for _, f := range comparedFigures() {
		rivals, worse := 0, []string(nil)
		for i := range rows {
			r := &rows[i]
			for k := 1; k < len(names); k++ {
				ratio := r.ratio(f, k)
				if ratio == 0 || !r.columns[0].ok() || !r.columns[k].ok() {
					continue
				}
				rivals++
				if f.less {
					ratio = 1 / ratio
				}
				if ratio > margin {
					worse = append(worse, fmt.Sprintf("%s (%s %s)", r.entry.name, names[k], times(r.ratio(f, k))))
				}
			}
		}
		switch {
		case rivals == 0:
		case len(worse) == 0:
			lines = append(lines, fmt.Sprintf("By %s nobody is ahead of %s.", f.name, names[0]))
		default:
			lines = append(lines, fmt.Sprintf("By %s ahead of %s: %s.", f.name, names[0], strings.Join(worse, ", ")))
		}
	}
	return lines
}

// glance returns a table with a line for each scenario: how the others compare with the
// first.
func (c *comparison) glance() (table [][]string) {
	rows, names := c.rows(), c.names()
	header := []string{"scenario", names[0]}
	for _, name := range names[1:] {
		header = append(header, name+" rate", name+" CPU")
	}
	table = append(table, header)
	rate := comparedFigures()[0]
	for i := range rows {
		r := &rows[i]
		cost, suffix := r.cost()
		cells := []string{r.entry.name, r.summary(0, rate, cost)}
		for k := 1; k < len(names); k++ {
			col := &r.columns[k]
			state := col.state()
			if len(col.outcomes) == 0 {
				cells = append(cells, state, "–")
				continue
			}
			cells = append(cells, strings.TrimSpace(times(r.ratio(rate, k))+" "+state), times(r.ratio(cost, k))+suffix)
		}
		table = append(table, cells)
	}
	return table
}

// cost returns what the brokers of a row are compared by besides the rate, and what to add to a
// ratio of it: processor time, or memory where only that was measured.
func (r *row) cost() (f comparedFigure, suffix string) {
	figures := comparedFigures()
	cpu, memory := figures[1], figures[2]
	if !r.applies(cpu) && r.applies(memory) {
		return memory, " memory"
	}
	return cpu, ""
}

// summary writes the figures of one column in a few words.
func (r *row) summary(k int, figures ...comparedFigure) string {
	var parts []string
	for _, f := range figures {
		if v := r.columns[k].median(f.pick); v != 0 {
			parts = append(parts, f.show(v))
		}
	}
	if state := r.columns[k].state(); state != "" {
		parts = append(parts, state)
	}
	return strings.Join(parts, ", ")
}

// table returns every figure: a line for each scenario and broker, after a header.
func (c *comparison) table() (table [][]string) {
	figures := comparedFigures()
	header := []string{"scenario", "broker"}
	for _, f := range figures {
		header = append(header, f.short, "×")
	}
	table = append(table, append(header, "p99 µs", "loader µs (busy)", "runs", "faults"))
	rows := c.rows()
	for i := range rows {
		r := &rows[i]
		for k, name := range c.names() {
			col := &r.columns[k]
			cells := []string{r.entry.name, name}
			for _, f := range figures {
				cells = append(cells, ranged(col.spread(f.pick)), times(r.ratio(f, k)))
			}
			cells = append(cells, ranged(col.spread(func(o outcome) float64 { return micros(o.p99) })), col.loader(),
				fmt.Sprint(len(col.outcomes)), col.words())
			table = append(table, cells)
		}
	}
	return table
}

// ranged writes a median and the extremes around it.
func ranged(median, low, high float64) string {
	if low == high {
		return number(median)
	}
	return fmt.Sprintf("%s (%s to %s)", number(median), number(low), number(high))
}

// loader returns what the loader cost.
func (c *column) loader() string {
	return fmt.Sprintf("%s (%.0f %%)", number(c.median(func(o outcome) float64 { return o.loaderCPU })),
		100*c.median(func(o outcome) float64 { return o.loaderUse }))
}

// words says what went wrong, or why nothing was done: "none" otherwise.
func (c *column) words() string {
	if state := c.state(); c.lacking != "" || state == "not run" {
		return state
	}
	return c.trouble()
}

// remarks are the sentences about one scenario that its figures need: who was not asked,
// and what the errors were, each once.
func (r *row) remarks(names []string) (lines []string) {
	for k := range r.columns {
		c := &r.columns[k]
		if c.lacking != "" {
			lines = append(lines, fmt.Sprintf("%s was not asked: %s.", names[k], c.lacking))
		}
		if c.faults.any() {
			lines = append(lines, fmt.Sprintf("%s mistreated messages: %s. A rate with losses is not a rate.", names[k], c.faults))
		}
		var told []string
		for _, err := range c.failed {
			if text := err.Error(); !slices.Contains(told, text) {
				told = append(told, text)
				lines = append(lines, fmt.Sprintf("%s failed: %s.", names[k], text))
			}
		}
	}
	return lines
}

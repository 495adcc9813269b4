package bench

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// metric is a group of columns of the report: one for each broker, and their ratio.
// 0 means that it was not measured.
type metric struct {
	title string
	unit  string // the rows that have it; empty: all
	pick  func(outcome) float64
}

func metrics() []metric {
	return []metric{
		{"rate /s", "", func(o outcome) float64 { return o.rate }},
		{"CPU µs", "", func(o outcome) float64 { return o.serverCPU }},
		{"p99 µs", "", func(o outcome) float64 { return float64(o.p99.Nanoseconds()) / 1e3 }},
		{"RSS B", unitConnection, func(o outcome) float64 { return o.rss }},
	}
}

// writeReport prints rows as a Markdown table. The ratios are those of the first
// broker to the last.
func writeReport(w io.Writer, brokers []string, rows []row) {
	header, rule := []string{"scenario", "per"}, []string{"---", "---"}
	for _, m := range metrics() {
		for _, b := range brokers {
			header, rule = append(header, b+" "+m.title), append(rule, "---:")
		}
		if len(brokers) > 1 {
			header, rule = append(header, "×"), append(rule, "---:")
		}
	}
	header, rule = append(header, "loader µs (busy)", "faults"), append(rule, "---", "---")
	writeLine(w, header)
	writeLine(w, rule)
	for i := range rows {
		writeLine(w, rows[i].cells(brokers))
	}
}

func writeLine(w io.Writer, cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }

func (r *row) cells(brokers []string) []string {
	cells := []string{r.entry.name, r.entry.unit}
	for _, m := range metrics() {
		cells = append(cells, r.metric(m)...)
	}
	return append(cells, r.loader(), r.trouble(brokers))
}

// metric returns the cells of one group: empty ones if it does not apply.
func (r *row) metric(m metric) []string {
	values := make([]float64, len(r.columns))
	cells := make([]string, len(r.columns), len(r.columns)+1)
	if len(r.columns) > 1 {
		cells = append(cells, "")
	}
	if m.unit != "" && m.unit != r.entry.unit {
		return cells
	}
	for i := range r.columns {
		values[i] = r.columns[i].median(m.pick)
		cells[i] = number(values[i])
	}
	if last := len(values) - 1; last > 0 {
		cells[last+1] = "–"
		if values[0] != 0 && values[last] != 0 {
			cells[last+1] = number(values[0] / values[last])
		}
	}
	return cells
}

// loader returns what the loader cost with each broker.
func (r *row) loader() string {
	var cells []string
	for i := range r.columns {
		cells = append(cells, r.columns[i].loader())
	}
	return strings.Join(cells, ", ")
}

// trouble returns what went wrong with each broker, "none" if nothing did.
func (r *row) trouble(brokers []string) string {
	var cells []string
	for i := range r.columns {
		if !r.columns[i].ok() {
			cells = append(cells, brokers[i]+": "+r.columns[i].trouble())
		}
	}
	if len(cells) == 0 {
		return "none"
	}
	return strings.Join(cells, "; ")
}

// trouble returns what went wrong with one broker, "none" if nothing did.
func (c *column) trouble() string {
	var cells []string
	if c.faults.any() {
		cells = append(cells, c.faults.String())
	}
	if n := len(c.failed); n > 0 {
		cells = append(cells, fmt.Sprintf("%d of %d runs failed", n, n+len(c.outcomes)))
	}
	if len(cells) == 0 {
		return "none"
	}
	return strings.Join(cells, ", ")
}

// number writes v with three digits that count, and no fraction from 100 on.
func number(v float64) string {
	switch size := math.Abs(v); {
	case v == 0:
		return "–"
	case size >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case size >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

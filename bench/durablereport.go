package bench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// durableFigure is a column of the report of gannet bench durable.
type durableFigure struct {
	title   string
	compare bool // followed by the ratio to the broker that is the measure
	pick    func(outcome) float64
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func durableFigures() []durableFigure {
	return []durableFigure{
		{"acked /s", true, func(o outcome) float64 { return o.rate }},
		{"drained /s", true, func(o outcome) float64 { return o.drained }},
		{"in + out /s", true, func(o outcome) float64 { return o.both }},
		{"CPU µs for each acked", true, func(o outcome) float64 { return o.ackCPU }},
		{"CPU µs for each in or out", true, func(o outcome) float64 { return o.serverCPU }},
		{"ack p50 µs", false, func(o outcome) float64 { return micros(o.p50) }},
		{"ack p99 µs", false, func(o outcome) float64 { return micros(o.p99) }},
		{"loader busy %", false, func(o outcome) float64 { return 100 * o.loaderUse }},
	}
}

// writeDurable prints a Markdown table of medians for each row, a broker a line, and
// after it every round. Ratios are those to the broker named measure.
func writeDurable(w io.Writer, brokers []string, rows []row, measure string) {
	base := slices.Index(brokers, measure)
	for i := range rows {
		r := &rows[i]
		fmt.Fprintf(w, "### %s: %s\n\n", r.entry.name, r.entry.about)
		header := []string{"broker"}
		for _, f := range durableFigures() {
			header = append(header, f.title)
			if f.compare {
				header = append(header, "×")
			}
		}
		writeLine(w, append(header, "faults"))
		writeRule(w, 1, len(header)-1, 1)
		for k, name := range brokers {
			writeLine(w, r.durableCells(name, k, base))
		}
		fmt.Fprintln(w)
		writeRounds(w, brokers, r)
	}
}

// writeRule prints the line under a header: so many columns of words, of numbers,
// and of words again.
func writeRule(w io.Writer, left, numbers, right int) {
	cells := slices.Repeat([]string{"---"}, left)
	cells = append(cells, slices.Repeat([]string{"---:"}, numbers)...)
	writeLine(w, append(cells, slices.Repeat([]string{"---"}, right)...))
}

func (r *row) durableCells(name string, k, base int) []string {
	cells := []string{name}
	for _, f := range durableFigures() {
		v := r.columns[k].median(f.pick)
		cells = append(cells, number(v))
		if !f.compare {
			continue
		}
		ratio := "–"
		if base >= 0 {
			if b := r.columns[base].median(f.pick); v != 0 && b != 0 {
				ratio = number(v / b)
			}
		}
		cells = append(cells, ratio)
	}
	return append(cells, r.columns[k].trouble())
}

// writeRounds prints what the medians come from.
func writeRounds(w io.Writer, brokers []string, r *row) {
	header := []string{"run of " + r.entry.name, "broker"}
	for _, f := range durableFigures() {
		header = append(header, f.title)
	}
	writeLine(w, append(header, "received"))
	writeRule(w, 2, len(header)-1, 0)
	for k, name := range brokers {
		for i, o := range r.columns[k].outcomes {
			cells := []string{fmt.Sprint(i + 1), name}
			for _, f := range durableFigures() {
				cells = append(cells, number(f.pick(o)))
			}
			writeLine(w, append(cells, fmt.Sprint(o.total)))
		}
		for _, err := range r.columns[k].failed {
			fmt.Fprintf(w, "\n%s failed: %v\n", name, err)
		}
	}
	fmt.Fprintln(w)
}

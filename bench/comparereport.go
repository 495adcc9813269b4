package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What follows is said in every report of a comparison, in HTML and in Markdown.

// facts returns what the machine is, in pairs of a name and a value.
func (c *comparison) facts() [][2]string {
	m := c.Machine
	memory := ""
	if m.Memory > 0 {
		memory = fmt.Sprintf("%.1f GiB", float64(m.Memory)/(1<<30))
	}
	facts := [][2]string{
		{"date", m.Date}, {"processor", m.CPU}, {"cores", fmt.Sprint(m.Cores)}, {"memory", memory}, {"system", m.System},
		{"kernel", strings.TrimSpace(m.Kernel + " " + m.Arch)}, {"Go of the loader", m.Go}, {"load average before", m.Load},
		{"rounds", fmt.Sprintf("%d of %v s each, brokers in turn", c.Rounds, c.Seconds)},
		{"payload", fmt.Sprintf("%d bytes", c.Payload)},
	}
	for i := range facts {
		facts[i][1] = cmp.Or(facts[i][1], "unknown")
	}
	return facts
}

// explanation says how to read the figures.
func (c *comparison) explanation() []string {
	lines := []string{
		"Every run has a fresh broker, on the machine that the loader shares. Figures are medians of the rounds, with the smallest and the largest. " +
			"× is the figure divided by that of " + c.names()[0] + ".",
		"A rate counts what was delivered. Processor time is that of the whole broker, for each message in or out, connection or cycle. " +
			"Where the loader is busy all the time, the rate is the loader's and only processor time compares brokers. " +
			"Where messages are sent by the clock, as the list of scenarios says, the rate says only who keeps up.",
	}
	if c.Ended != "" {
		lines = append(lines, "It was ended early, so that rounds are missing: "+c.Ended+".")
	}
	return lines
}

// absentLines name who was asked for and is not there.
func (c *comparison) absentLines() (lines []string) {
	for _, p := range c.Absent {
		lines = append(lines, fmt.Sprintf("%s was not measured: %s.", p.Name, p.Reason))
	}
	return lines
}

// release says which version it is.
func (m *measured) release() string {
	if m.Address != "" {
		return "ran already"
	}
	return cmp.Or(m.Release, "version unknown")
}

// settings returns what a broker was told: its command line and its files.
func (m *measured) settings() string {
	if m.Program == "" {
		return ""
	}
	var b strings.Builder
	for _, key := range sortedKeys(m.Environment) {
		fmt.Fprintf(&b, "%s=%s ", key, m.Environment[key])
	}
	b.WriteString(strings.Join(append([]string{m.Program}, m.Arguments...), " ") + "\n")
	for _, name := range sortedKeys(m.Files) {
		fmt.Fprintf(&b, "\n# %s\n%s", name, m.Files[name])
	}
	return b.String()
}

// writeGlance prints the short table to a terminal or a Markdown file.
func (c *comparison) writeGlance(w io.Writer) {
	table := c.glance()
	writeTable(w, table, 1)
	fmt.Fprintln(w)
	for _, line := range slices.Concat(c.behind(), c.absentLines()) {
		fmt.Fprintln(w, marked(line))
	}
}

// writeTable prints a Markdown table whose first columns are words.
func writeTable(w io.Writer, table [][]string, words int) {
	for i, cells := range table {
		var safe []string
		for _, cell := range cells {
			safe = append(safe, marked(cell))
		}
		writeLine(w, safe)
		if i == 0 {
			writeRule(w, words, len(cells)-words, 0)
		}
	}
}

// marked makes text harmless in Markdown: one line without cells or elements.
func marked(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;", "`", "'").Replace(text)
}

// writeMarkdown writes report.md.
func (c *comparison) writeMarkdown(w io.Writer) error {
	out := &errorWriter{w: w}
	fmt.Fprintf(out, "# %s\n\n", marked(c.title()))
	for _, fact := range c.facts() {
		fmt.Fprintf(out, "- %s: %s\n", fact[0], marked(fact[1]))
	}
	for _, m := range c.Peers {
		fmt.Fprintf(out, "- %s: %s\n", marked(m.Name), marked(m.release()))
	}
	fmt.Fprintln(out)
	for _, line := range c.explanation() {
		fmt.Fprintf(out, "%s\n\n", marked(line))
	}
	fmt.Fprintf(out, "## At a glance\n\n")
	c.writeGlance(out)
	fmt.Fprintf(out, "\n## All figures\n\n")
	writeTable(out, c.table(), 2)
	rows := c.rows()
	fmt.Fprintf(out, "\n## Scenarios\n\n")
	for i := range rows {
		fmt.Fprintf(out, "- %s: %s\n", rows[i].entry.name, marked(rows[i].entry.about))
		for _, line := range rows[i].remarks(c.names()) {
			fmt.Fprintf(out, "  - %s\n", marked(line))
		}
	}
	fmt.Fprintf(out, "\n## Settings\n")
	for i := range c.Peers {
		m := &c.Peers[i]
		fmt.Fprintf(out, "\n### %s\n\n", marked(m.Name))
		if m.Notes != "" {
			fmt.Fprintf(out, "%s\n\n", marked(m.Notes))
		}
		for line := range strings.Lines(m.settings()) {
			fmt.Fprintf(out, "    %s", line)
		}
	}
	return out.err
}

// title names who is compared.
func (c *comparison) title() string {
	names := c.names()
	if len(names) == 1 {
		return names[0] + " measured"
	}
	return names[0] + " beside " + strings.Join(names[1:], ", ")
}

// errorWriter remembers the first error, so that a report is written without asking
// after every line.
type errorWriter struct {
	w   io.Writer
	err error
}

func (e *errorWriter) Write(b []byte) (int, error) {
	if e.err == nil {
		_, e.err = e.w.Write(b)
	}
	return len(b), nil
}

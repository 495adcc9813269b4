package config

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Extent is how much Write writes.
type Extent byte

// What is not the default, which is enough to have the same Config again, with secrets; or everything, with secrets hidden.
const (
	Changed Extent = iota
	Everything
)

// Write writes c in Gannet's own format. Read again by Load, the result of Changed is the same Config.
func Write(w io.Writer, c *Config, extent Extent) error {
	out := bufio.NewWriter(w)
	defaults := Default()
	section := ""
	for _, s := range settings() {
		if s.name == "listen" || s.name == "in-memory" { // blocks say the one, and durability the other
			continue
		}
		lines := s.lines(c, &defaults, extent)
		if len(lines) > 0 && s.group != section {
			section = s.group
			fmt.Fprintf(out, "\n# %s\n", section)
		}
		writeLines(out, lines)
	}
	for i := range c.Listen {
		writeListener(out, c, &c.Listen[i], extent)
	}
	return out.Flush()
}

// writeListener writes a block. Of access it has what differs from that of the broker.
func writeListener(out *bufio.Writer, c *Config, l *Listener, extent Extent) {
	fmt.Fprintf(out, "\n[listener %s]\n", l)
	for _, s := range listenerSettings() {
		writeLines(out, s.lines(l, &Listener{}, extent))
	}
	if l.Access == nil {
		return
	}
	for _, s := range accessSettings() {
		if !slices.Equal(s.value.texts(l.Access), s.value.texts(&c.Access)) {
			writeLines(out, s.lines(l.Access, &c.Access, extent))
		}
	}
}

func writeLines(out *bufio.Writer, lines []string) {
	for _, line := range lines {
		_, _ = out.WriteString(line + "\n") // Flush has the error
	}
}

// lines are those of a file that make t what it is, or a comment where no line can say it because it is the default.
func (s *setting[T]) lines(t, defaults *T, extent Extent) []string {
	v := &s.value
	texts := v.texts(t)
	same := slices.Equal(texts, v.texts(defaults))
	switch {
	case same && extent == Changed:
		return nil
	case same && len(texts) == 0:
		return []string{"# " + s.name + " ="}
	case len(texts) == 0:
		return []string{s.name + " = " + none}
	}
	lines := make([]string, len(texts))
	for i, text := range texts {
		lines[i] = s.name + " = " + quote(text)
		if v.conceal == nil || extent != Everything {
			continue
		}
		if shown := v.conceal(text); shown != text {
			lines[i] = "# " + s.name + " = " + shown
		}
	}
	return lines
}

// shown is the value of one setting for people.
func (s *setting[T]) shown(t *T) string {
	texts := s.value.texts(t)
	if len(texts) == 0 {
		return none
	}
	if conceal := s.value.conceal; conceal != nil {
		texts = slices.Clone(texts)
		for i := range texts {
			texts[i] = conceal(texts[i])
		}
		texts = slices.Compact(texts)
	}
	return strings.Join(texts, ", ")
}

package bench

import (
	"fmt"
	"io"
	"os"
)

// liveLine shows how a run goes: on a terminal in one line that is written over every
// second, elsewhere in a line for each second. Not safe for concurrent use.
type liveLine struct {
	out      io.Writer
	terminal bool
	width    int // columns of what stands in the terminal's line
}

func newLiveLine(out io.Writer) *liveLine {
	l := &liveLine{out: out}
	if f, ok := out.(*os.File); ok {
		if info, err := f.Stat(); err == nil {
			l.terminal = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return l
}

// show tells of a second.
func (l *liveLine) show(unit string, s *second) {
	text := fmt.Sprintf("%4.0f s  %s: %.0f %ss/s", s.At, s.Phase, s.Rate, unit)
	if s.Sent > 0 {
		text += fmt.Sprintf(", %.0f sent/s", s.Sent)
	}
	if s.Max > 0 {
		text += fmt.Sprintf("  p50 %s  p99 %s  max %s ms", number(s.P50/1e3), number(s.P99/1e3), number(s.Max/1e3))
	}
	if s.BrokerRSS > 0 {
		text += fmt.Sprintf("  broker %s, %.0f MiB", percent(s.BrokerUse), mebi(s.BrokerRSS))
	}
	if s.Faults > 0 {
		text += fmt.Sprintf("  FAULTS %d", s.Faults)
	}
	l.write(text)
}

func (l *liveLine) write(text string) {
	if !l.terminal {
		fmt.Fprintln(l.out, text)
		return
	}
	fmt.Fprintf(l.out, "\r%-*s", l.width, text)
	l.width = len(text)
}

// say writes a sentence in a line of its own.
func (l *liveLine) say(text string) {
	l.end()
	fmt.Fprintln(l.out, text)
}

// end wipes the line of the terminal.
func (l *liveLine) end() {
	if l.terminal && l.width > 0 {
		fmt.Fprintf(l.out, "\r%*s\r", l.width, "")
		l.width = 0
	}
}

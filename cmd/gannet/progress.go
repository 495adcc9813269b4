package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// The times of a progress display: nothing is said of what is quickly done.
const (
	progressAfter   = time.Second            // from the beginning to the first line
	terminalEvery   = 200 * time.Millisecond // between two states of the one line on a terminal
	noTerminalEvery = 5 * time.Second        // between two lines elsewhere
)

// progress tells how far something is that can take long: on a terminal in one line that is written over, elsewhere
// in a line now and then. Not safe for concurrent use.
type progress struct {
	out      io.Writer
	now      func() time.Time
	terminal bool
	next     time.Time
	width    int // of what stands in the line of the terminal
}

// newProgress begins to count the time. out is the standard error stream.
func newProgress(out io.Writer) *progress {
	p := &progress{out: out, now: time.Now, terminal: isTerminal(out)}
	p.next = p.now().Add(progressAfter)
	return p
}

// isTerminal reports whether w is one, or another character device, where it does not matter.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show is what the functions of the store call; see persist.Progress.
func (p *progress) show(what string, done, total int64) {
	now := p.now()
	if now.Before(p.next) {
		return
	}
	line := "gannet: " + what
	switch {
	case total > 0:
		line += fmt.Sprintf(": %d of %d (%d %%)", done, total, int(100*float64(done)/float64(total)))
	case done > 0:
		line += fmt.Sprintf(": %d", done)
	}
	if !p.terminal {
		p.next = now.Add(noTerminalEvery)
		fmt.Fprintln(p.out, line)
		return
	}
	p.next = now.Add(terminalEvery)
	fmt.Fprintf(p.out, "\r%-*s", p.width, line)
	p.width = len(line)
}

// end wipes the line, so that what is written next begins at its start.
func (p *progress) end() {
	if p.width > 0 {
		fmt.Fprintf(p.out, "\r%*s\r", p.width, "")
		p.width = 0
	}
}

package main

import (
	"fmt"
	"io"
	"sync"
)

// logLines is how many lines may wait for a slow standard error, and logBytes how many bytes they may have. Further ones are dropped, and
// counted in the next line that gets through.
const (
	logLines = 4096
	logBytes = 4 << 20
)

// logWriter writes lines on a goroutine of its own, so that whoever logs, an event loop above all, never waits for a terminal or a
// pipe. Safe for concurrent use.
type logWriter struct {
	w      io.Writer
	mu     sync.Mutex
	wake   sync.Cond
	lines  [][]byte
	bytes  int // in lines
	lost   int
	closed bool
	joined chan struct{}
}

func newLogWriter(w io.Writer) *logWriter {
	l := &logWriter{w: w, joined: make(chan struct{})}
	l.wake.L = &l.mu
	go l.run()
	return l
}

// Write takes one line. It never fails and never waits; b is copied.
func (l *logWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return l.w.Write(b) // the last words of a process that ends
	case len(l.lines) >= logLines || l.bytes+len(b) > logBytes:
		l.lost++
	default:
		l.bytes += len(b)
		l.lines = append(l.lines, append([]byte(nil), b...))
		l.wake.Signal()
	}
	return len(b), nil
}

// Close writes what waits and joins the goroutine. Lines written later go straight to the writer.
func (l *logWriter) Close() {
	l.mu.Lock()
	l.closed = true
	l.wake.Signal()
	l.mu.Unlock()
	<-l.joined
}

func (l *logWriter) run() {
	defer close(l.joined)
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.closed || len(l.lines) > 0 {
		if len(l.lines) == 0 {
			l.wake.Wait()
			continue
		}
		lines, lost := l.lines, l.lost
		l.lines, l.bytes, l.lost = nil, 0, 0
		l.mu.Unlock()
		for _, b := range lines {
			_, _ = l.w.Write(b) // nowhere to complain
		}
		if lost > 0 {
			fmt.Fprintf(l.w, "gannet: %d log lines dropped: standard error is too slow\n", lost)
		}
		l.mu.Lock()
	}
}

package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// gated is a writer that lets nothing through until it is opened.
type gated struct {
	open chan struct{}
	mu   sync.Mutex
	buf  bytes.Buffer
}

func (g *gated) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.Write(b)
}

func TestLogNeverWaitsAndSaysWhatItDropped(t *testing.T) {
	g := &gated{open: make(chan struct{})}
	l := newLogWriter(g)
	const n = 2*logLines + 10
	for i := range n {
		if _, err := fmt.Fprintf(l, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	l.Close()
	fmt.Fprint(l, "after\n")
	out := g.buf.String()
	lines := strings.Count(out, "line ")
	if !strings.HasPrefix(out, "line 0\nline 1\n") || !strings.HasSuffix(out, "after\n") {
		t.Errorf("begins %.20q, ends %q", out, out[len(out)-20:])
	}
	var dropped int
	for _, s := range strings.Split(out, "\n") {
		var d int
		if _, err := fmt.Sscanf(s, "gannet: %d log lines dropped", &d); err == nil {
			dropped += d
		}
	}
	if lines+dropped != n || dropped == 0 {
		t.Errorf("%d lines written and %d said to be dropped, of %d", lines, dropped, n)
	}
}

func TestLogThatWaitsIsBoundedInBytes(t *testing.T) {
	g := &gated{open: make(chan struct{})}
	l := newLogWriter(g)
	line := []byte(strings.Repeat("x", 1<<20) + "\n")
	for range 3 * logBytes / len(line) {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	l.mu.Lock()
	waiting := 0
	for _, b := range l.lines {
		waiting += len(b)
	}
	l.mu.Unlock()
	if waiting == 0 || waiting > logBytes {
		t.Errorf("%d bytes wait", waiting)
	}
	close(g.open)
	l.Close()
	if !strings.Contains(g.buf.String(), "log lines dropped") {
		t.Error("nobody hears of what was dropped")
	}
}

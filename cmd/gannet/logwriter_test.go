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

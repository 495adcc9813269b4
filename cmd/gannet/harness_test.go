package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/config"
	"github.com/gannetmq/gannet/engine"
)

// startBroker runs a broker in this process, configured by flags, on a port of
// its own. It returns the flags that lead pub and sub to it.
func startBroker(t *testing.T, flags ...string) []string {
	t.Helper()
	c, err := config.Load(config.Source{Args: append([]string{"--listen=mqtt://127.0.0.1:0"}, flags...), ReadFile: os.ReadFile})
	if err != nil {
		t.Fatal(err)
	}
	admission := newAdmission(slog.New(slog.DiscardHandler))
	ch, err := admission.prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	admission.commit(ch)()
	server, err := engine.New(admission.options(&c, ch), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("broker: %v", err)
		}
		admission.close()
	})
	return addressFlags(server.Addrs()[0])
}

func addressFlags(address net.Addr) []string {
	host, port, _ := net.SplitHostPort(address.String())
	return []string{"-h", host, "-p", port}
}

// result is what a subcommand left behind.
type result struct {
	status         int
	stdout, stderr string
}

// run executes a subcommand to its end.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := process{stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr}
	status := p.run(t.Context(), args)
	return result{status, stdout.String(), stderr.String()}
}

// running is a subcommand under way.
type running struct {
	t      *testing.T
	lines  *bufio.Scanner // of its standard output
	cancel context.CancelFunc
	wait   func() int
}

// start begins a subcommand whose output is read line by line. Its standard
// error stream is joined to the output.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reader, writer := io.Pipe()
	status := make(chan int, 1)
	go func() {
		p := process{stdin: strings.NewReader(""), stdout: writer, stderr: writer}
		status <- p.run(ctx, args)
		writer.Close()
	}()
	r := &running{t: t, lines: bufio.NewScanner(reader), cancel: cancel}
	r.wait = sync.OnceValue(func() int {
		_, _ = io.Copy(io.Discard, reader)
		return <-status
	})
	t.Cleanup(func() { cancel(); r.wait() })
	return r
}

// until reads lines up to the first that contains text, and returns that one.
func (r *running) until(text string) string {
	r.t.Helper()
	var seen []string
	for r.lines.Scan() {
		if line := r.lines.Text(); strings.Contains(line, text) {
			return line
		}
		seen = append(seen, r.lines.Text())
	}
	r.t.Fatalf("the output ended without %q:\n%s", text, strings.Join(seen, "\n"))
	return ""
}

// args joins lists of arguments.
func args(lists ...any) []string {
	var out []string
	for _, l := range lists {
		switch l := l.(type) {
		case string:
			out = append(out, l)
		case []string:
			out = append(out, l...)
		}
	}
	return out
}

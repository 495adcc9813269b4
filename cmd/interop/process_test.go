package interop

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// process is a command that runs while the test goes on. Its lines, from both output
// streams, are kept for the transcript that a failed test prints.
type process struct {
	command *exec.Cmd
	lines   chan string // closed when the process has said its last
	ended   chan int    // its exit status, once; -1 if it was killed

	mu         sync.Mutex
	transcript []string
}

// start runs a command. The test's end kills it if it still runs. Output comes line by
// line although it is no terminal, for which stdbuf asks the C library.
func start(t *testing.T, command ...string) *process {
	t.Helper()
	p := &process{
		command: exec.Command("stdbuf", append([]string{"-oL"}, command...)...),
		lines:   make(chan string, inboxSize),
		ended:   make(chan int, 1),
	}
	reader, writer := io.Pipe()
	p.command.Stdout, p.command.Stderr = writer, writer
	if err := p.command.Start(); err != nil {
		t.Fatalf("start %s: %v", command[0], err)
	}
	go func() {
		p.command.Wait()
		p.ended <- p.command.ProcessState.ExitCode()
		writer.Close()
	}()
	go p.read(reader)
	t.Cleanup(func() {
		p.command.Process.Kill()
		for range p.lines {
		}
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(command, " "), p.text())
		}
	})
	return p
}

func (p *process) read(from io.Reader) {
	defer close(p.lines)
	s := bufio.NewScanner(from)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		p.mu.Lock()
		p.transcript = append(p.transcript, s.Text())
		p.mu.Unlock()
		p.lines <- s.Text()
	}
	io.Copy(io.Discard, from)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.transcript, "\n")
}

// until is the first of the coming lines that contains part; those before it are gone.
func (p *process) until(t *testing.T, part string) string {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, more := <-p.lines:
			if !more {
				t.Fatalf("ended without a line with %q", part)
			}
			if strings.Contains(line, part) {
				return line
			}
		case <-timeout:
			t.Fatalf("no line with %q", part)
		}
	}
}

// status waits until the process ends of itself.
func (p *process) status(t *testing.T) int {
	t.Helper()
	return await(t, p.ended, "the end of the process")
}

// kill ends the process without giving it a chance to say goodbye.
func (p *process) kill(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.status(t)
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	status         int // -1: killed, or never ran
}

// run executes a command to its end. input may be empty.
func run(t *testing.T, input string, command ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &stdout, &stderr
	c.Run()
	if ctx.Err() != nil {
		t.Fatalf("%s: still running\nstdout: %s\nstderr: %s", strings.Join(command, " "), abbreviate(stdout.String()), stderr.String())
	}
	return result{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// succeed executes a command, which must exit with 0, and returns its output.
func succeed(t *testing.T, input string, command ...string) string {
	t.Helper()
	r := run(t, input, command...)
	if r.status != 0 {
		t.Fatalf("%s: exit status %d\nstdout: %s\nstderr: %s", strings.Join(command, " "), r.status, abbreviate(r.stdout), r.stderr)
	}
	return r.stdout
}

func abbreviate(s string) string {
	if len(s) > 2000 {
		return s[:2000] + "..."
	}
	return s
}

// startGannet runs a broker of the test's own on a free port and returns its address.
func startGannet(t *testing.T, flags ...string) string {
	t.Helper()
	p := start(t, append([]string{gannetBinary(), "serve", "--in-memory", "--listen", "mqtt://127.0.0.1:0"}, flags...)...)
	_, address, found := strings.Cut(p.until(t, "address="), "address=")
	address, _, _ = strings.Cut(address, " ")
	if !found || address == "" {
		t.Fatalf("no address in %q", p.text())
	}
	return address
}

package secure

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for an event that must come. It bounds a failure,
// not a success.
const patience = 30 * time.Second

// look is the pause between two looks at a state that nobody announces.
const look = 20 * time.Millisecond

// TestMain refuses to run without a broker: a suite that passes because it was pointed
// at nothing is worse than none.
func TestMain(m *testing.M) {
	if os.Getenv("INTEROP_BIN") == "" {
		fmt.Fprintln(os.Stderr, "INTEROP_BIN is not set: start the suite with run.sh")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// eventually asks reached again and again until it says yes.
func eventually(t *testing.T, what string, reached func() bool) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(look)
	defer again.Stop()
	for !reached() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// freePort finds a port by opening it. Somebody else may take it in between; the broker
// then says so and the test fails.
func freePort(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	_, port, _ := net.SplitHostPort(free.Addr().String())
	return port
}

// folder is a temporary folder that a broker which gave up root can still read.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	status         int // -1: killed, or never ran
}

// run executes a command to its end, in dir if it is not empty. input may be empty.
func run(t *testing.T, dir, input string, command ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	c.Dir, c.Stdin, c.Stdout, c.Stderr = dir, strings.NewReader(input), &stdout, &stderr
	c.Run()
	r := result{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		t.Fatalf("%s: still running\n%v", strings.Join(command, " "), r)
	}
	return r
}

// succeed executes a command, which must exit with 0, and returns its output.
func succeed(t *testing.T, dir string, command ...string) string {
	t.Helper()
	r := run(t, dir, "", command...)
	if r.status != 0 {
		t.Fatalf("%s: %v", strings.Join(command, " "), r)
	}
	return r.stdout
}

func (r result) String() string {
	return fmt.Sprintf("exit status %d\nstdout: %sstderr: %s", r.status, orNothing(r.stdout), orNothing(r.stderr))
}

func orNothing(s string) string {
	if s == "" {
		return "-\n"
	}
	return "\n" + strings.TrimSuffix(s, "\n") + "\n"
}

// abbreviate keeps the beginning and the end of a long text.
func abbreviate(s string) string {
	const most = 3 << 10
	if len(s) <= most {
		return s
	}
	return s[:most/2] + "\n...\n" + s[len(s)-most/2:]
}

// with is flags and more, in a slice of its own.
func with(flags []string, more ...string) []string { return slices.Concat(flags, more) }

// dialogue is a process that is talked to while it runs. What it says on both output
// streams is one text. Safe for concurrent use.
type dialogue struct {
	command *exec.Cmd
	input   io.WriteCloser
	ended   chan struct{} // closed when it is gone and its text complete

	mu      sync.Mutex
	text    bytes.Buffer
	read    int // of text, by until
	changed chan struct{}
}

// talk starts a command; the end of the test kills it if it still runs. Output comes line
// by line although it is no terminal, for which stdbuf asks the C library.
func talk(t *testing.T, command ...string) *dialogue {
	t.Helper()
	return talkRaw(t, append([]string{"stdbuf", "-oL"}, command...)...)
}

// talkRaw is talk for a process that has to be our own child, for signals.
func talkRaw(t *testing.T, command ...string) *dialogue {
	t.Helper()
	d := &dialogue{command: exec.Command(command[0], command[1:]...), ended: make(chan struct{}), changed: make(chan struct{})}
	d.command.Stdout, d.command.Stderr = d, d
	// Children of the process that outlive it must not keep Wait from coming back.
	d.command.WaitDelay = time.Second
	input, err := d.command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.input = input
	if err := d.command.Start(); err != nil {
		t.Fatalf("start %s: %v", command[0], err)
	}
	go func() {
		d.command.Wait()
		close(d.ended)
	}()
	d.killWith(t)
	return d
}

// killWith ends the process with the test, which prints what it said if it failed.
func (d *dialogue) killWith(t *testing.T) {
	t.Cleanup(func() {
		d.command.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("%s\n%s", strings.Join(d.command.Args, " "), abbreviate(d.all()))
		}
	})
}

// Write takes what the process says.
func (d *dialogue) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text.Write(p)
	close(d.changed)
	d.changed = make(chan struct{})
	return len(p), nil
}

func (d *dialogue) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *dialogue) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(d.input, text); err != nil {
		t.Fatalf("write to %s: %v", d.command.Path, err)
	}
}

// until waits for part in what has not been read yet, and reads up to its end.
func (d *dialogue) until(t *testing.T, part string) {
	t.Helper()
	d.await(t, part, func(rest string) int {
		if at := strings.Index(rest, part); at >= 0 {
			return at + len(part)
		}
		return -1
	})
}

// line waits for a whole line with part, and reads up to its end. It returns the line
// from part on.
func (d *dialogue) line(t *testing.T, part string) string {
	t.Helper()
	read := d.await(t, part, func(rest string) int {
		if at := strings.Index(rest, part); at >= 0 {
			if end := strings.IndexByte(rest[at:], '\n'); end >= 0 {
				return at + end + 1
			}
		}
		return -1
	})
	return strings.TrimRight(read[strings.Index(read, part):], "\r\n")
}

// await reads as much as end says, once it does not say -1.
func (d *dialogue) await(t *testing.T, part string, end func(rest string) int) string {
	t.Helper()
	late := time.After(patience)
	for over := false; ; {
		d.mu.Lock()
		rest, changed := d.text.String()[d.read:], d.changed
		if n := end(rest); n >= 0 {
			d.read += n
			d.mu.Unlock()
			return rest[:n]
		}
		d.mu.Unlock()
		if over {
			t.Fatalf("ended without %q", part)
		}
		select {
		case <-changed:
		case <-d.ended:
			over = true // and one more look
		case <-late:
			t.Fatalf("did not say %q", part)
		}
	}
}

// status waits until the process ends of itself.
func (d *dialogue) status(t *testing.T) int {
	t.Helper()
	select {
	case <-d.ended:
		return d.command.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%s: does not end", d.command.Path)
		return -1
	}
}

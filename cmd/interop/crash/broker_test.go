package crash

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// program is how one maker's broker is run on a data directory. Gannet is under test;
// mosquitto shows that the test can fail.
type program struct {
	name string
	// command is the command line, and the address where it is known beforehand.
	command func(t *testing.T, dir string) (argv []string, address string)
	// ready finds the address in the log line that says the broker serves.
	ready func(line, address string) (string, bool)
}

// gannet is the binary under test with flags for a load that no default bound stops.
func gannet(flags ...string) program {
	return program{
		name: "gannet " + strings.Join(flags, " "),
		command: func(_ *testing.T, dir string) ([]string, string) {
			argv := []string{os.Getenv("INTEROP_BIN"), "serve", "--listen", "mqtt://127.0.0.1:0", "--data-dir", dir,
				"--max-queued-messages", "1000000", "--max-group-queued-messages", "1000000",
				"--max-queued-bytes", "1GiB", "--max-group-queued-bytes", "1GiB"}
			return append(argv, flags...), ""
		},
		ready: func(line, _ string) (string, bool) {
			_, address, found := strings.Cut(line, " address=")
			address, _, _ = strings.Cut(address, " ")
			return address, found
		},
	}
}

// mosquitto is Debian's broker with its persistence on. It writes its file when it ends
// in an orderly way and each half hour, never when it acknowledges.
func mosquitto() program {
	return program{
		name: "mosquitto",
		command: func(t *testing.T, dir string) ([]string, string) {
			// The port is found by opening it. Somebody else may take it in between, and
			// mosquitto then ends, which the test reports.
			free, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			address := free.Addr().String()
			free.Close()
			_, port, _ := net.SplitHostPort(address)
			file := filepath.Join(t.TempDir(), "mosquitto.conf")
			lines := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nallow_anonymous true\npersistence true\n"+
				"persistence_location %s/\nmax_queued_messages 0\n", port, dir)
			if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
				t.Fatal(err)
			}
			return []string{"mosquitto", "-c", file}, address
		},
		ready: func(line, address string) (string, bool) {
			return address, strings.Contains(line, " running")
		},
	}
}

// broker is a program that is started, killed and started again on one data directory.
// Each start has a port of its own, so that a client never talks to a stranger who took
// the old one. Safe for concurrent use, but for start, signal and their kin, which are
// for one goroutine.
type broker struct {
	t       *testing.T
	program program
	wrap    []string // a command that runs the broker in its own place, such as strace -D
	dir     string

	process *exec.Cmd
	ended   chan struct{} // closed when the process is gone and its log read
	spoke   chan struct{} // closed at its first line

	mu      sync.Mutex
	address string        // empty while nobody serves
	changed chan struct{} // closed and replaced whenever address changes
	wanted  bool          // the process is meant to run
	lines   []string      // the log over all starts, its oldest part dropped
	broken  context.CancelCauseFunc
}

const logLinesKept = 400

// newBroker prepares a broker. broken is told when the process ends without being asked.
func newBroker(t *testing.T, p program, dir string, broken context.CancelCauseFunc) *broker {
	b := &broker{t: t, program: p, dir: dir, changed: make(chan struct{}), broken: broken}
	t.Cleanup(func() {
		b.signal(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("log of %s\n%s", p.name, b.log())
		}
	})
	return b
}

// spawn starts the process and does not wait until it serves.
func (b *broker) spawn() {
	b.t.Helper()
	argv, address := b.program.command(b.t, b.dir)
	argv = append(append([]string(nil), b.wrap...), argv...)
	reader, writer, err := os.Pipe()
	if err != nil {
		b.t.Fatal(err)
	}
	c := exec.Command(argv[0], argv[1:]...)
	c.Stdout, c.Stderr = writer, writer
	b.process, b.ended, b.spoke = c, make(chan struct{}), make(chan struct{})
	b.mu.Lock()
	b.wanted = true
	b.mu.Unlock()
	b.note("-- start")
	if err := c.Start(); err != nil {
		b.t.Fatalf("start %s: %v", argv[0], err)
	}
	writer.Close()
	go b.follow(reader, address, b.spoke, b.ended, c)
}

// follow reads the log of one process and tells when it serves and when it is gone.
func (b *broker) follow(from io.ReadCloser, address string, spoke, ended chan struct{}, c *exec.Cmd) {
	defer from.Close()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for first := true; lines.Scan(); first = false {
		b.note(lines.Text())
		if found, ok := b.program.ready(lines.Text(), address); ok {
			b.announce(found)
		}
		if first {
			close(spoke)
		}
	}
	err := c.Wait()
	b.announce("")
	b.mu.Lock()
	unasked := b.wanted
	b.mu.Unlock()
	if unasked {
		b.broken(fmt.Errorf("the broker ended of itself: %v", err))
	}
	close(ended)
}

// start runs the broker and waits until it serves.
func (b *broker) start(ctx context.Context) error {
	b.spawn()
	_, err := b.serving(ctx)
	return err
}

// serving waits until a broker serves and returns its address.
func (b *broker) serving(ctx context.Context) (string, error) {
	for {
		b.mu.Lock()
		address, changed := b.address, b.changed
		b.mu.Unlock()
		if address != "" {
			return address, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return "", fmt.Errorf("wait for the broker: %w", context.Cause(ctx))
		}
	}
}

// dial connects to the broker once it serves.
func (b *broker) dial(ctx context.Context) (net.Conn, error) {
	address, err := b.serving(ctx)
	if err != nil {
		return nil, err
	}
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// signal sends s and waits until the process is gone. The status is -1 after SIGKILL, or
// where nothing ran.
func (b *broker) signal(s syscall.Signal) int {
	if b.process == nil {
		return -1
	}
	b.mu.Lock()
	b.wanted = false
	b.mu.Unlock()
	b.announce("")
	b.note("-- " + s.String())
	err := b.process.Process.Signal(s)
	<-b.ended
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		b.t.Errorf("signal %v: %v", s, err)
	}
	status := b.process.ProcessState.ExitCode()
	b.process = nil
	return status
}

// hangUp ends c so that whoever reads from it sees the end of the stream.
// paho.mqtt.golang takes a connection that was closed under it for one that it closed
// itself, and tells nobody.
func hangUp(c net.Conn) {
	if half, ok := c.(interface {
		CloseRead() error
		CloseWrite() error
	}); ok {
		half.CloseWrite()
		half.CloseRead()
	}
}

func (b *broker) announce(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.address = address
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *broker) note(line string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == logLinesKept {
		b.lines = b.lines[:copy(b.lines, b.lines[1:])]
	}
	b.lines = append(b.lines, line)
}

func (b *broker) log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.lines, "\n")
}

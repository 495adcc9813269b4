package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

const (
	// asGannet makes this test binary the program itself, for tests that need a process that can be killed.
	asGannet = "TEST_RUNS_AS_GANNET"
	// fileLimit is how large a file the program may write: a disk that fails.
	fileLimit = "TEST_FILE_LIMIT"
)

func TestMain(m *testing.M) {
	if os.Getenv(asGannet) != "" {
		var limit syscall.Rlimit // its fields are of another type on FreeBSD
		if _, err := fmt.Sscan(os.Getenv(fileLimit), &limit.Cur); err == nil {
			limit.Max = limit.Cur
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
				panic(err)
			}
		}
		go func() { // the test must not leave it behind, also when it crashes
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(statusFailure)
		}()
		main()
	}
	os.Exit(m.Run())
}

// child is gannet in a process of its own.
type child struct {
	t       *testing.T
	cmd     *exec.Cmd
	lines   *bufio.Scanner // of both output streams
	seen    []string
	address string // of the first listener, after listening
	wait    func() int
}

// spawn starts it. It is killed when the test ends, if not before.
func spawn(t *testing.T, dir string, args ...string) *child {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(os.Args[0], args...), lines: bufio.NewScanner(reader)}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, writer, writer
	c.cmd.Env = append(os.Environ(), asGannet+"=1")
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	writer.Close()
	c.wait = sync.OnceValue(func() int {
		for c.lines.Scan() {
			c.seen = append(c.seen, c.lines.Text())
		}
		reader.Close()
		stdin.Close()
		var status *exec.ExitError
		if err := c.cmd.Wait(); err != nil && !errors.As(err, &status) {
			t.Error(err)
		}
		return c.cmd.ProcessState.ExitCode()
	})
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			t.Logf("gannet %s:\n%s", strings.Join(args, " "), strings.Join(c.seen, "\n"))
		}
	})
	return c
}

// serveChild starts a broker with its state in dir/data and waits until it listens.
func serveChild(t *testing.T, dir string, flags ...string) *child {
	t.Helper()
	c := spawn(t, dir, append([]string{"serve", "--listen=mqtt://127.0.0.1:0", "--log-format=json"}, flags...)...)
	var line struct{ Address string }
	if err := json.Unmarshal([]byte(c.until(`"listening"`)), &line); err != nil {
		t.Fatal(err)
	}
	c.address = line.Address
	return c
}

// until reads lines up to the first that contains text, and returns that one.
func (c *child) until(text string) string {
	c.t.Helper()
	for c.lines.Scan() {
		c.seen = append(c.seen, c.lines.Text())
		if strings.Contains(c.lines.Text(), text) {
			return c.lines.Text()
		}
	}
	c.t.Fatalf("the output ended without %q", text)
	return ""
}

// said reports whether a line that was read contains text.
func (c *child) said(text string) bool { return strings.Contains(strings.Join(c.seen, "\n"), text) }

// kill ends the process like a crash and waits for it.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	c.wait()
}

// terminate sends SIGTERM.
func (c *child) terminate() {
	c.t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		c.t.Error(err)
	}
}

// dial connects a 3.1.1 client, which resumes its Session if it has a name.
func (c *child) dial(name string, onMessage func(*client.Client, client.Message)) *client.Client {
	c.t.Helper()
	return c.connect(client.Options{ClientID: name, Resume: name != "", OnMessage: onMessage})
}

func (c *child) connect(o client.Options) *client.Client {
	c.t.Helper()
	o.Address = c.address
	conn, err := client.Dial(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(conn.Close)
	return conn
}

// subscribe makes a Session with one subscription at QoS 1 and leaves it.
func (c *child) subscribe(name, filter string) {
	c.t.Helper()
	conn := c.dial(name, nil)
	if got, err := conn.Subscribe(c.t.Context(), client.Subscription{Filter: filter, QoS: codec.QoS1}); err != nil || got[0] != 1 {
		c.t.Fatalf("subscribe: %v, %v", got, err)
	}
	if err := conn.Disconnect(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// publish waits for the acknowledgement.
func (c *child) publish(m client.Message) {
	c.t.Helper()
	conn := c.dial("", nil)
	if code, err := conn.Publish(c.t.Context(), m); err != nil || code >= 0x80 {
		c.t.Fatalf("publish: %v, %v", code, err)
	}
	if err := conn.Disconnect(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// drain resumes a Session and returns the payloads of what it is owed, up to the first that is last.
func (c *child) drain(name, last string) []string {
	c.t.Helper()
	conn := c.dial(name, nil)
	if !conn.Accepted().SessionPresent {
		c.t.Errorf("%s: no session", name)
	}
	var got []string
	for m := range conn.Messages() {
		if string(m.Payload) == last {
			conn.Close()
			return got
		}
		got = append(got, string(m.Payload))
	}
	c.t.Fatalf("%s: the connection ended after %d messages: %v", name, len(got), conn.Err())
	return nil
}

// refused reports whether nobody listens at the address any more.
func refused(address string) bool {
	conn, err := net.Dial("tcp", address)
	if err == nil {
		conn.Close()
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}

// last is the last line that was read.
func (c *child) last() string {
	if len(c.seen) == 0 {
		return ""
	}
	return c.seen[len(c.seen)-1]
}

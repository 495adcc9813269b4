package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for an event that must come. It bounds a failure, not
// a success.
const patience = 30 * time.Second

// broker is a running one, and what is known of its counts.
type broker struct {
	name    string
	address string
	pid     int
	watcher *watcher
	before  counts // all that is accounted for
}

// brokers starts Gannet, and mosquitto where it is installed. Their bounds on queues are
// lifted: a loader that the machine lets wait must not lose messages.
func brokers(t *testing.T, p placement) []*broker {
	all := []*broker{p.start(t, "gannet", func(log string) string {
		_, address, _ := strings.Cut(log, " address=")
		address, _, found := strings.Cut(address, " ")
		if !found {
			return ""
		}
		return address
	}, os.Getenv("INTEROP_BIN"), "serve", "--in-memory", "--listen=mqtt://127.0.0.1:0", "--sys-interval=1",
		"--max-accept-rate=0", "--max-inflight=65535", "--max-queued-messages=100000000", "--max-queued-bytes=4GiB", "--max-outbound-bytes=1GiB")}
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			t.Log("mosquitto is not installed: Gannet only")
			return all
		}
	}
	port := freePort(t)
	file := filepath.Join(t.TempDir(), "mosquitto.conf")
	conf := fmt.Sprintf("user root\nlistener %s 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n"+
		"max_inflight_messages 65535\nmax_queued_messages 0\nconnection_messages false\nsys_interval 1\n", port)
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return append(all, p.start(t, "mosquitto", func(log string) string {
		if !strings.Contains(log, " running") {
			return ""
		}
		return "127.0.0.1:" + port
	}, path, "-c", file))
}

// freePort finds a port by opening it. Somebody else may take it in between; the broker
// then ends, and the test with it.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// placement is which processors the broker and the loader may use.
type placement struct{ broker, loader string }

// placements by the name that the flag has. With two processors apart is one for each:
// whether the kernel has to wake another processor for a message costs more than the
// message, and where it may choose, it chooses differently for different loaders.
var placements = map[string]placement{
	"apart": {broker: "0", loader: "1"},
	"free":  {},
}

// on returns the command line that keeps a command on some processors.
func on(processors string, command []string) []string {
	if processors == "" {
		return command
	}
	return append([]string{"taskset", "-c", processors}, command...)
}

// start runs a broker until the end of the test. address finds where it listens in its
// log, "" until it does.
func (p placement) start(t *testing.T, name string, address func(log string) string, command ...string) *broker {
	t.Helper()
	command = on(p.broker, command)
	process := exec.Command(command[0], command[1:]...)
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	process.Stdout, process.Stderr = writer, writer
	if err := process.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	writer.Close()
	found, ended := make(chan string, 1), make(chan string, 1)
	go func() {
		var log bytes.Buffer
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			if log.Len() < 64<<10 {
				log.WriteString(lines.Text() + "\n")
			}
			if a := address(lines.Text() + " "); a != "" && cap(found) > len(found) {
				found <- a
			}
		}
		process.Wait()
		ended <- log.String()
	}()
	t.Cleanup(func() {
		process.Process.Kill()
		if log := <-ended; t.Failed() {
			t.Logf("%s\n%s", name, log)
		}
	})
	b := &broker{name: name, pid: process.Process.Pid}
	select {
	case b.address = <-found:
	case log := <-ended:
		ended <- ""
		t.Fatalf("%s ended:\n%s", name, log)
	case <-time.After(patience):
		t.Fatalf("%s does not listen", name)
	}
	b.watcher = watch(t, b.address)
	b.before = b.watcher.after(t, b.watcher.tick())
	return b
}

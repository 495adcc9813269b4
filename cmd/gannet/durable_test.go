package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/codec"
)

// shortDir is a temporary folder with a short name: the path of a socket is limited to about a hundred bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gannet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestKilledBrokerComesBackWithWhatItAcknowledged(t *testing.T) {
	for _, durability := range []string{"sync", "os", "off"} {
		t.Run(durability, func(t *testing.T) {
			dir, flags := shortDir(t), []string{"--durability", durability}
			broker := serveChild(t, dir, flags...)
			broker.subscribe("away", "q/#")
			for i := range 10 {
				broker.publish(client.Message{Topic: "q/1", Payload: fmt.Append(nil, i), QoS: codec.QoS1})
			}
			broker.publish(client.Message{Topic: "r", Payload: []byte("kept"), QoS: codec.QoS1, Retain: true})
			broker.kill()

			broker = serveChild(t, dir, flags...)
			if durability == "off" {
				if broker.dial("away", nil).Accepted().SessionPresent {
					t.Error("the session came back from nowhere")
				}
				return
			}
			broker.publish(client.Message{Topic: "q/1", Payload: []byte("last"), QoS: codec.QoS1})
			if got := strings.Join(broker.drain("away", "last"), " "); got != "0 1 2 3 4 5 6 7 8 9" {
				t.Errorf("queued: %s", got)
			}
			conn := broker.dial("", nil)
			if _, err := conn.Subscribe(t.Context(), client.Subscription{Filter: "r"}); err != nil {
				t.Fatal(err)
			}
			if m := <-conn.Messages(); string(m.Payload) != "kept" || !m.Retain {
				t.Errorf("retained: %+v", m)
			}
		})
	}
}

// load publishes numbered messages at QoS 1 to a topic of each publisher's own until its connections end or stop is called,
// and notes what was acknowledged.
type load struct {
	ctx   context.Context
	stop  func()
	group sync.WaitGroup
	acked chan string // told of each; must be read
}

func startLoad(broker *child, publishers int) *load {
	ctx, cancel := context.WithCancel(broker.t.Context())
	l := &load{ctx: ctx, acked: make(chan string, 1<<20)}
	for p := range publishers {
		conn := broker.dial("", nil)
		l.group.Go(func() { l.publish(conn, p) })
	}
	l.stop = func() {
		cancel()
		l.group.Wait()
	}
	return l
}

func (l *load) publish(conn *client.Client, publisher int) {
	sent := make(chan func() error, client.DefaultMaxInflight)
	defer close(sent)
	l.group.Go(func() {
		for wait := range sent {
			_ = wait() // not acknowledged: it may be there or not
		}
	})
	for i := 0; ; i++ {
		payload := fmt.Sprintf("%d/%d", publisher, i)
		p, err := conn.Send(l.ctx, client.Message{Topic: fmt.Sprint("q/", publisher), Payload: []byte(payload), QoS: codec.QoS1})
		if err != nil {
			return
		}
		sent <- func() error {
			code, err := p.Wait(l.ctx)
			if err == nil && code < 0x80 {
				l.acked <- payload
			}
			return err
		}
	}
}

// checkLoad compares what a Session got with what was acknowledged: all of it, and the messages of each publisher in order.
func checkLoad(t *testing.T, got, acked []string) {
	t.Helper()
	next := map[string]int{}
	there := map[string]bool{}
	for _, payload := range got {
		var publisher string
		var i int
		publisher, number, _ := strings.Cut(payload, "/")
		if _, err := fmt.Sscan(number, &i); err != nil {
			t.Fatalf("%q: %v", payload, err)
		}
		if i < next[publisher] {
			t.Errorf("%s after number %d", payload, next[publisher]-1)
		}
		next[publisher] = i + 1
		there[payload] = true
	}
	lost := 0
	for _, payload := range acked {
		if !there[payload] {
			lost++
		}
	}
	if lost > 0 || len(acked) == 0 {
		t.Errorf("%d of %d acknowledged messages lost, %d delivered", lost, len(acked), len(got))
	}
	t.Logf("%d acknowledged, %d delivered", len(acked), len(got))
}

func collect(n int, from chan string) []string {
	var out []string
	for range n {
		out = append(out, <-from)
	}
	return out
}

func TestTerminationUnderLoadLosesNothingAcknowledged(t *testing.T) {
	dir := shortDir(t)
	broker := serveChild(t, dir, "--max-queued-messages=1000000")
	broker.subscribe("away", "q/#")
	l := startLoad(broker, 4)
	acked := collect(500, l.acked)
	broker.terminate()
	if status := broker.wait(); status != 0 || !broker.said("broker stopped") {
		t.Errorf("status %d", status)
	}
	l.stop()
	close(l.acked)
	for payload := range l.acked {
		acked = append(acked, payload)
	}

	broker = serveChild(t, dir)
	broker.publish(client.Message{Topic: "q/end", Payload: []byte("end"), QoS: codec.QoS1})
	checkLoad(t, broker.drain("away", "end"), acked)
}

func TestBackupOfARunningBrokerHasAllThatWasAcknowledged(t *testing.T) {
	dir := shortDir(t)
	broker := serveChild(t, dir, "--max-queued-messages=1000000", "--store-memtable=4MiB")
	broker.subscribe("away", "q/#")
	l := startLoad(broker, 4)
	defer l.stop()
	acked := collect(2000, l.acked)
	got := run(t, "", "store", "backup", filepath.Join(dir, "data"), filepath.Join(dir, "copy"))
	if want := fmt.Sprintf("store %[1]s/data: copied to %[1]s/copy, by the running broker\n", dir); got != (result{0, want, ""}) {
		t.Fatalf("backup: %+v", got)
	}
	broker.terminate() // the load is too much for what comes
	broker.wait()

	if got := run(t, "", "store", "verify", filepath.Join(dir, "copy")); got.status != 0 {
		t.Errorf("verify: %+v", got)
	}
	copied := serveChild(t, dir, "--data-dir=copy")
	copied.publish(client.Message{Topic: "q/end", Payload: []byte("end"), QoS: codec.QoS1})
	checkLoad(t, copied.drain("away", "end"), acked)
}

func TestFailedDiskStopsAcknowledgementsAndIsSaid(t *testing.T) {
	const size = 64 << 10
	dir := shortDir(t)
	t.Setenv(fileLimit, fmt.Sprint(10*size))
	broker := serveChild(t, dir)
	conn := broker.connect(client.Options{Version: codec.V5, MaxInflight: 100})
	var sent []*client.Pending
	for i := range 64 { // enough for a log that is too large, whenever the store begins a new one
		p, err := conn.Send(t.Context(), client.Message{Topic: fmt.Sprint("r/", i), Payload: make([]byte, size), QoS: codec.QoS1, Retain: true})
		if err != nil {
			t.Fatal(err)
		}
		sent = append(sent, p)
	}
	broker.until("the store has failed")
	other := broker.connect(client.Options{Version: codec.V5})
	if _, err := other.Subscribe(t.Context(), client.Subscription{Filter: "flow"}); err != nil {
		t.Fatal(err)
	}
	if code, err := other.Publish(t.Context(), client.Message{Topic: "r", Payload: []byte("x"), QoS: codec.QoS1, Retain: true}); code != codec.QuotaExceeded {
		t.Errorf("PUBACK %#x, %v", byte(code), err)
	}
	if _, err := other.Publish(t.Context(), client.Message{Topic: "flow", Payload: []byte("on")}); err != nil {
		t.Error(err)
	}
	if m := <-other.Messages(); string(m.Payload) != "on" {
		t.Errorf("QoS 0: %+v", m)
	}
	broker.terminate()
	if status := broker.wait(); status != 1 || !strings.Contains(broker.last(), `"broker ended"`) || !strings.Contains(broker.last(), "file too large") {
		t.Errorf("status %d: %s", status, broker.last())
	}

	t.Setenv(fileLimit, "")
	broker = serveChild(t, dir)
	reader := broker.dial("", nil)
	if _, err := reader.Subscribe(t.Context(), client.Subscription{Filter: "r/#"}); err != nil {
		t.Fatal(err)
	}
	broker.publish(client.Message{Topic: "r/end", Payload: []byte("end"), QoS: codec.QoS1})
	kept := map[string]bool{}
	for m := range reader.Messages() {
		if m.Topic == "r/end" {
			break
		}
		kept[m.Topic] = true
	}
	acked := 0
	for i, p := range sent {
		if code, err := p.Wait(t.Context()); err == nil && code < 0x80 {
			acked++
			if topic := fmt.Sprint("r/", i); !kept[topic] {
				t.Errorf("%s was acknowledged and is lost", topic)
			}
		}
	}
	if acked == len(sent) {
		t.Error("all was acknowledged, though not all can be on the disk")
	}
}

func TestBrokerInMemoryWritesNothing(t *testing.T) {
	for _, flag := range []string{"--in-memory", "--durability=off"} {
		dir := shortDir(t)
		broker := serveChild(t, dir, flag)
		broker.subscribe("away", "q/#")
		broker.publish(client.Message{Topic: "q/1", Payload: []byte("x"), QoS: codec.QoS1, Retain: true})
		broker.terminate()
		if status := broker.wait(); status != 0 {
			t.Errorf("%s: status %d", flag, status)
		}
		if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if path != dir {
				t.Errorf("%s: %s", flag, path)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}

func TestStoreThatCannotBeUsedIsOneLineAndStatus2(t *testing.T) {
	dir := shortDir(t)
	serveChild(t, dir)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ dataDir, want string }{
		{"data", "gannet: store data: in use by another gannet: stop that one, or give this one a folder of its own with --data-dir\n"},
		{filepath.Join(file, "data"), "gannet: store " + file + "/data: "},
		{"/proc/gannet", "gannet: store /proc/gannet: "},
	} {
		second := spawn(t, dir, "serve", "--listen=mqtt://127.0.0.1:0", "--data-dir", test.dataDir)
		status := second.wait()
		if got := strings.Join(second.seen, "\n") + "\n"; status != 2 || !strings.HasPrefix(got, test.want) || len(second.seen) != 1 {
			t.Errorf("%s: status %d: %s", test.dataDir, status, got)
		}
	}
}

func TestRunningBrokerTellsOfItself(t *testing.T) {
	dir := shortDir(t)
	serveChild(t, dir).kill() // leaves its socket behind
	broker := serveChild(t, dir, "--durability=os")
	broker.subscribe("away", "q/#")
	broker.publish(client.Message{Topic: "r", Payload: []byte("x"), Retain: true, QoS: codec.QoS1})
	got := run(t, "", "store", "info", filepath.Join(dir, "data"))
	for _, want := range []string{
		"store                 " + dir + "/data\n", fmt.Sprintf(", process %d, since 2", broker.cmd.Process.Pid), "durability            os\n",
		"sessions              1\n", "retained messages     1\n",
	} {
		if got.status != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in %+v", want, got)
		}
	}
	if got := run(t, "", "store", "info", "--json", filepath.Join(dir, "data")); got.status != 0 || !strings.Contains(got.stdout, `"durability": "os"`) {
		t.Errorf("--json: %+v", got)
	}
	for _, command := range []string{"verify", "repair", "export"} {
		got := run(t, "", "store", command, filepath.Join(dir, "data"))
		want := fmt.Sprintf("gannet: store %[1]s/data: in use by another gannet: stop it, or look at a copy made with gannet store backup %[1]s/data TO\n", dir)
		if got != (result{2, "", want}) {
			t.Errorf("%s: %+v", command, got)
		}
	}
	broker.terminate()
	broker.wait()
	if _, err := os.Stat(filepath.Join(dir, "data", "control.sock")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestSecondSignalEndsASlowShutdownAtOnce(t *testing.T) {
	broker := serveChild(t, shortDir(t), "--shutdown-timeout=1h", "--max-outbound-bytes=64MiB")
	deaf := broker.dial("", func(*client.Client, client.Message) { <-t.Context().Done() }) // takes one message and no more
	if _, err := deaf.Subscribe(t.Context(), client.Subscription{Filter: "#"}); err != nil {
		t.Fatal(err)
	}
	for range 64 {
		broker.publish(client.Message{Topic: "t", Payload: make([]byte, 256<<10), QoS: codec.QoS1})
	}
	broker.terminate()
	for !refused(broker.address) { // until the first signal has been taken
		select {
		case <-t.Context().Done():
			t.Fatal("the broker listens on")
		default:
		}
	}
	broker.terminate()
	if status := broker.wait(); status != 1 {
		t.Errorf("status %d", status)
	}
}

package crash

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/eclipse/paho.golang/packets"
)

// TestAcknowledgedAfterSync watches the system calls of the broker while mosquitto_pub
// publishes to a session whose client is away, one message after the other. Between the
// read that brought a PUBLISH and the write of its PUBACK, a sync of the log has to begin
// and to complete. Then many messages are published without waiting, and share their syncs.
func TestAcknowledgedAfterSync(t *testing.T) {
	const pipelined, syncsMax = 10_000, 2000
	calls, marks := traceRun(t, "sync", func(ctx context.Context, b *broker) { pipeline(ctx, t, b, pipelined) })
	for _, payload := range singles() {
		if err := syncedBetween(calls, payload); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d messages one by one: each PUBACK after a completed sync, %d syncs", len(singles()), marks[0])
	syncs := marks[1] - marks[0]
	t.Logf("%d messages pipelined: %d syncs, %d messages a sync", pipelined, syncs, pipelined/max(1, syncs))
	if syncs > syncsMax {
		t.Errorf("%d syncs for %d messages, want at most %d", syncs, pipelined, syncsMax)
	}
}

// TestUnsyncedIsSeen looks at a broker that was told not to wait for the disk: the proof
// above must not hold there.
func TestUnsyncedIsSeen(t *testing.T) {
	calls, _ := traceRun(t, "os", func(context.Context, *broker) {})
	early := 0
	for _, payload := range singles() {
		if syncedBetween(calls, payload) != nil {
			early++
		}
	}
	t.Logf("%d of %d messages were acknowledged before a sync", early, len(singles()))
	if early == 0 {
		t.Error("no message was acknowledged before a sync")
	}
}

// singles are the payloads of the messages that are published one by one.
func singles() (payloads []string) {
	for i := range 20 {
		payloads = append(payloads, fmt.Sprintf("single-%02d", i))
	}
	return payloads
}

// traceRun publishes the singles and then whatever then does. It returns the system calls
// of the broker and how many syncs there were before and after then.
func traceRun(t *testing.T, durability string, then func(context.Context, *broker)) (calls []call, syncs [2]int) {
	t.Helper()
	trace := traced(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	b := newBroker(t, gannet("--durability", durability), t.TempDir(), cancel)
	b.wrap = []string{"strace", "-D", "-f", "-y", "-qq", "-s", "200", "-o", trace,
		"-e", "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync"}
	if err := b.start(ctx); err != nil {
		t.Fatal(err)
	}
	offline(ctx, t, b, "sleeper", "strace/#")
	for _, payload := range singles() {
		pubQoS1(ctx, t, b, "strace/single", payload)
	}
	syncs[0] = syncsIn(readTrace(t, trace))
	then(ctx, b)
	syncs[1] = syncsIn(readTrace(t, trace))
	if status := b.signal(syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM", status)
	}
	return readTrace(t, trace), syncs
}

// traced returns the file for the trace, or skips where no process may be traced.
func traced(t *testing.T) string {
	t.Helper()
	if out, err := exec.Command("strace", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("this system does not let strace trace a process: %v %s", err, out)
	}
	return filepath.Join(t.TempDir(), "trace")
}

// offline makes a durable session with a subscription and leaves it.
func offline(ctx context.Context, t *testing.T, b *broker, clientID, filter string) {
	t.Helper()
	w, _, err := openWire(ctx, b, clientID, true)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := w.subscribe(1, filter); err != nil {
		t.Fatal(err)
	}
	if err := w.disconnect(); err != nil {
		t.Fatal(err)
	}
}

// pubQoS1 is one mosquitto_pub, which ends when it has its PUBACK.
func pubQoS1(ctx context.Context, t *testing.T, b *broker, topic, payload string) {
	t.Helper()
	address, err := b.serving(ctx)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := strings.Cut(address, ":")
	c := exec.CommandContext(ctx, "mosquitto_pub", "-h", host, "-p", port, "-V", "mqttv311", "-q", "1", "-t", topic, "-m", payload)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_pub: %v %s", err, out)
	}
}

// pipeline publishes count messages with as many on the way as the broker allows.
func pipeline(ctx context.Context, t *testing.T, b *broker, count int) {
	t.Helper()
	w, connack, err := openWire(ctx, b, "pipeline", false)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	window := 65535
	if connack.Properties != nil && connack.Properties.ReceiveMaximum != nil {
		window = int(*connack.Properties.ReceiveMaximum)
	}
	for sent, acked := 0, 0; acked < count; {
		for ; sent < count && sent-acked < window; sent++ {
			m := &packets.Publish{
				Topic: "strace/many", QoS: 1, PacketID: w.nextID(),
				Payload: []byte(fmt.Sprint("many-", sent)), Properties: &packets.Properties{},
			}
			if err := w.queue(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.out.Flush(); err != nil {
			t.Fatal(err)
		}
		p, err := w.receive()
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := p.Content.(*packets.Puback); ok {
			if a.ReasonCode >= 0x80 {
				t.Fatal(refused(a.ReasonCode))
			}
			acked++
		}
	}
}

// call is one end of a system call: where it began, where it completed, or both at once.
type call struct {
	thread, name  string
	begin, finish bool
	text          string
}

var (
	wholeCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += `)
	begunCall   = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumedCall = regexp.MustCompile(`^(\d+) +<\.\.\. (\w+) resumed>(.*)$`)
)

// readTrace reads what strace wrote. A call that others overlapped has two lines, in the
// order in which things happened.
func readTrace(t *testing.T, file string) (calls []call) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := wholeCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, call{m[1], m[2], true, true, m[3]})
		} else if m := begunCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, call{m[1], m[2], true, false, m[3]})
		} else if m := resumedCall.FindStringSubmatch(line); m != nil {
			calls = append(calls, call{m[1], m[2], false, true, m[3]})
		}
	}
	return calls
}

func syncsIn(calls []call) (n int) {
	for _, c := range calls {
		if c.begin && c.syncs() {
			n++
		}
	}
	return n
}

func (c call) syncs() bool { return c.name == "fsync" || c.name == "fdatasync" }

// syncsLog is for the beginning of a call, which alone names the file.
func (c call) syncsLog() bool { return c.begin && c.syncs() && strings.Contains(c.text, ".log>") }

func (c call) reads() bool { return strings.HasPrefix(c.name, "re") }

// acknowledges is whether the call writes a PUBACK of MQTT 3.1.1.
func (c call) acknowledges() bool {
	return !c.syncs() && !c.reads() && strings.Contains(c.text, `"@\2`)
}

// syncedBetween looks for the read that completes with payload, the next PUBACK that
// begins to be written, and a sync with both of its ends between them.
func syncedBetween(calls []call, payload string) error {
	read := -1
	for i, c := range calls {
		if c.finish && c.reads() && strings.Contains(c.text, payload) {
			read = i
			break
		}
	}
	if read < 0 {
		return fmt.Errorf("%s: no read brings it", payload)
	}
	begun := map[string]bool{} // threads with a sync that began after the read
	for _, c := range calls[read+1:] {
		switch {
		case c.begin && c.acknowledges():
			return fmt.Errorf("%s: PUBACK before a sync", payload)
		case c.syncsLog() && c.finish:
			return nil
		case c.syncsLog():
			begun[c.thread] = true
		case c.syncs() && c.finish && begun[c.thread]:
			return nil
		}
	}
	return fmt.Errorf("%s: neither a sync nor a PUBACK", payload)
}

package interop

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for an event that must come. It bounds a
// failure, not a success.
const patience = 20 * time.Second

// TestMain refuses to run without a broker: a suite that passes because it was
// pointed at nothing is worse than none.
func TestMain(m *testing.M) {
	for _, name := range []string{"INTEROP_ADDR", "INTEROP_BIN"} {
		if os.Getenv(name) == "" {
			fmt.Fprintf(os.Stderr, "%s is not set: start the suite with run.sh\n", name)
			os.Exit(2)
		}
	}
	if _, _, err := net.SplitHostPort(brokerAddr()); err != nil {
		fmt.Fprintf(os.Stderr, "INTEROP_ADDR: %v\n", err)
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// brokerAddr is host:port of the broker under test.
func brokerAddr() string { return os.Getenv("INTEROP_ADDR") }

// gannetBinary is the path of the binary under test.
func gannetBinary() string { return os.Getenv("INTEROP_BIN") }

// unique makes a Client Identifier or a Topic Name of the test's own, so that tests
// that share the broker never see each other's messages.
func unique(t *testing.T, suffix string) string {
	name := strings.NewReplacer("/", "-", "#", "-", "+", "-", " ", "-").Replace(t.Name())
	return name + "-" + suffix
}

// message is an Application Message as the stories see it, whatever the library.
type message struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
	dup     bool
}

// text makes a message with a short payload.
func text(topic string, qos byte, payload string) message {
	return message{topic: topic, payload: []byte(payload), qos: qos}
}

// String abbreviates, so that a failed test on a 16 MiB payload stays readable.
func (m message) String() string {
	payload := fmt.Sprintf("%q", m.payload)
	if len(m.payload) > 64 {
		payload = fmt.Sprintf("%d bytes, SHA-256 %.8x", len(m.payload), sha256.Sum256(m.payload))
	}
	return fmt.Sprintf("%s q%d r%t d%t %s", m.topic, m.qos, m.retain, m.dup, payload)
}

// same compares everything but DUP, which a server may set whenever it sends again.
func (m message) same(o message) bool {
	return m.topic == o.topic && m.qos == o.qos && m.retain == o.retain && bytes.Equal(m.payload, o.payload)
}

// inbox collects what a client receives, in order. put is for the library's
// goroutines, next for the test's.
type inbox chan message

// inboxSize is more than any test lets one client have before it reads.
const inboxSize = 16384

func newInbox() inbox { return make(inbox, inboxSize) }

// put never blocks: a full inbox would stall the library and look like a fault of
// the broker.
func (b inbox) put(m message) {
	select {
	case b <- m:
	default:
		panic(fmt.Sprintf("inbox: more than %d messages unread", inboxSize))
	}
}

// next is the next message; it fails the test if none comes.
func (b inbox) next(t *testing.T) message {
	t.Helper()
	select {
	case m := <-b:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		return message{}
	}
}

// expect fails the test unless the next message is want.
func (b inbox) expect(t *testing.T, want message) {
	t.Helper()
	if got := b.next(t); !got.same(want) {
		t.Fatalf("received %v, want %v", got, want)
	}
}

// await is the value of an event that must come.
func await[T any](t *testing.T, events <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-events:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: did not happen", what)
		panic("unreachable")
	}
}

// payloadOf makes n bytes that no off-by-one and no swapped block leaves intact.
func payloadOf(n int) []byte {
	b := make([]byte, n)
	state := uint32(n) | 1
	for i := range b {
		state = state*1664525 + 1013904223
		b[i] = byte(state >> 24)
	}
	return b
}

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// echo is a client that hears its own messages.
type echo struct {
	isReady bool
	got     int
	held    int // messages that came while something was still to be written
}

func (x *echo) ready(*client) error { x.isReady = true; return nil }
func (x *echo) fill(*client)        {}
func (x *echo) ended(c *client) error {
	return fmt.Errorf("client %s left", c.id)
}

func (x *echo) packet(c *client, _ codec.Frame) error {
	x.got++
	if len(c.out) > 0 {
		x.held++
	}
	return nil
}

func TestWhatIsDueIsWrittenBeforeWhatHasComeIsRead(t *testing.T) {
	x := &echo{}
	l, err := newLoop(target{addr: startFake(t, honest)}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c := &client{id: "echo", filter: "echo"}
	l.open(c)
	turn := func() {
		t.Helper()
		if err := l.turn(turnLimit); err != nil {
			t.Fatal(err)
		}
	}
	for !x.isReady {
		turn()
	}
	d := codec.Delivery{Topic: []byte("echo"), Payload: []byte("payload")}
	for x.got < 10 {
		c.out = codec.AppendDelivery(c.out, codec.V311, &d)
		l.touch(c)
		turn()
	}
	if x.held > 0 {
		t.Errorf("%d of %d messages were read while others were due", x.held, x.got)
	}
}

// A table of descriptors that grows while clients connect would keep all of them waiting, and be measured with them.
func TestTableOfDescriptorsIsLargeEnoughBeforeAnybodyConnects(t *testing.T) {
	const clients = 9000 // more than the other tests open
	size := func() (n int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Skipf("this system does not tell the size of the table: %v", err)
		}
		for line := range strings.Lines(string(status)) {
			if after, ok := strings.CutPrefix(line, "FDSize:"); ok {
				n, _ = strconv.Atoi(strings.TrimSpace(after))
			}
		}
		return n
	}
	l := &loop{}
	for range clients {
		l.open(new(client))
	}
	if want := min(clients, descriptorLimit()); size() < want {
		t.Errorf("room for %d descriptors, want %d", size(), want)
	}
}

func TestNextConnectionIsBegunAsSoonAsItMayBe(t *testing.T) {
	one := []*client{{}}
	for _, tt := range []struct {
		name    string
		how     *access
		waiting []*client
		started int
		want    time.Duration
	}{
		{"nobody waits", nil, nil, 0, turnLimit},
		{"nobody waits for the clock", &access{rate: 100}, nil, 0, turnLimit},
		{"there is room", nil, one, dialing - 1, 0},
		{"there is none", nil, one, dialing, turnLimit},
		{"there is none by the clock", &access{rate: 100, dialing: 2}, one, 2, turnLimit},
		{"by the clock", &access{rate: 100}, one, 0, 7 * time.Millisecond},
	} {
		l := &loop{target: target{how: tt.how}, waiting: tt.waiting, started: tt.started, now: time.Second, dialed: time.Second + 7*time.Millisecond}
		if got := l.untilDial(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

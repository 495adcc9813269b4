package crash

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// quotaExceeded is the reason code for a message that cannot be stored.
const quotaExceeded = 0x97

// TestFullDiskRefusesAndRecovers fills the disk under the store. A QoS 1 message that is
// not stored is refused or its connection closed, never acknowledged; QoS 0 flows on; when
// there is space again the broker goes on by itself; and after SIGKILL all that was
// acknowledged, before, meanwhile and afterwards, is there. The one message that finds the
// disk full has been taken over by then; it may wait for its PUBACK until there is space.
func TestFullDiskRefusesAndRecovers(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("this system lets nobody mount a small disk, see TestFullStoreRefusesAndRecovers: mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	f := newFullness(t, gannet("--durability", "sync"), disk)
	ballast := f.leave(1 << 20)
	f.publishUntilRefused(16 << 20 / payloadSize)
	f.qos0Flows()
	f.refusedStill()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	f.publishUntilAcknowledged()
	f.waitingIsAcknowledged()
	f.qos0Flows()
	f.kill()
	f.fetch()
}

// TestFullStoreRefusesAndRecovers is the same for the bound that the operator sets on the
// store. Space is back when the session's client has fetched its messages.
func TestFullStoreRefusesAndRecovers(t *testing.T) {
	const overshoot = 8 // the store is looked at from time to time
	f := newFullness(t, gannet("--durability", "sync", "--max-store-bytes", "4MiB"), t.TempDir())
	f.publishUntilRefused(overshoot * 4 << 20 / payloadSize)
	f.qos0Flows()
	f.refusedStill()
	f.kill()
	f.fetch()
	f.publishUntilAcknowledged()
	f.kill()
	f.fetch()
}

// fullness is one broker that runs out of space, a session whose client is away, and a
// publisher that remembers what was acknowledged.
type fullness struct {
	t       *testing.T
	ctx     context.Context
	broker  *broker
	disk    string
	random  *rand.Rand
	out     *wire // of the publisher; nil when it was closed
	waiting *held // what found the disk full
	last    int
	acked   []int
	refused map[string]int // by what the publisher saw
}

// held is a message without its PUBACK.
type held struct {
	number   int
	wire     *wire
	packetID uint16
}

// holdUp is how long a publisher waits for a PUBACK before it asks over another connection.
const holdUp = 2 * time.Second

func newFullness(t *testing.T, p program, disk string) *fullness {
	t.Helper()
	limited, stop := context.WithTimeout(t.Context(), roundLimit)
	t.Cleanup(stop)
	ctx, cancel := context.WithCancelCause(limited)
	t.Cleanup(func() { cancel(nil) })
	f := &fullness{
		t: t, ctx: ctx, disk: disk, random: rand.New(rand.NewPCG(1, 1)), refused: map[string]int{},
		broker: newBroker(t, p, filepath.Join(disk, "data"), cancel),
	}
	if err := f.broker.start(ctx); err != nil {
		t.Fatal(err)
	}
	offline(ctx, t, f.broker, "sleeper", "full/#")
	return f
}

// leave fills the disk but for so many bytes, and returns the file that does.
func (f *fullness) leave(free int64) (ballast string) {
	f.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(f.disk, &s); err != nil {
		f.t.Fatal(err)
	}
	ballast = filepath.Join(f.disk, "ballast")
	if available := int64(s.Bavail) * s.Bsize; available > free {
		if err := os.WriteFile(ballast, make([]byte, available-free), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
	return ballast
}

// publish sends the next message and returns whether it was acknowledged.
func (f *fullness) publish() bool {
	f.t.Helper()
	if f.out == nil {
		w, _, err := openWire(f.ctx, f.broker, fmt.Sprint("publisher-", f.last), false)
		if err != nil {
			f.refuse(err)
			return false
		}
		f.t.Cleanup(w.close)
		f.out = w
	}
	f.last++
	if err := f.out.conn.SetReadDeadline(time.Now().Add(holdUp)); err != nil {
		f.t.Fatal(err)
	}
	err := f.out.publish("full/stream", 1, false, f.payload())
	if err == nil {
		f.acked = append(f.acked, f.last)
		return true
	}
	if timedOut(err) {
		f.hold()
		return false
	}
	f.refuse(err)
	return false
}

const payloadSize = 4 << 10

// payload is 4 KiB that no table of the store compresses.
func (f *fullness) payload() []byte {
	p := fmt.Appendf(nil, "%d ", f.last)
	for range payloadSize / 8 {
		p = binary.NativeEndian.AppendUint64(p, f.random.Uint64())
	}
	return p
}

// hold sets aside the connection of a message that is neither acknowledged nor refused.
func (f *fullness) hold() {
	f.t.Helper()
	if f.waiting != nil {
		f.t.Fatalf("messages %d and %d were neither acknowledged nor refused in %v", f.waiting.number, f.last, holdUp)
	}
	f.waiting = &held{f.last, f.out, f.out.lastID}
	f.out = nil
}

// waitingIsAcknowledged expects the PUBACK of the message that was held, if one was.
func (f *fullness) waitingIsAcknowledged() {
	f.t.Helper()
	h := f.waiting
	if h == nil {
		return
	}
	if err := h.wire.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		f.t.Fatal(err)
	}
	if _, err := h.wire.await(packets.PUBACK, h.packetID); err != nil {
		f.t.Fatalf("message %d, which found the disk full: %v", h.number, err)
	}
	f.t.Logf("message %d, which found the disk full, was acknowledged when there was space", h.number)
	f.acked = append(f.acked, h.number)
	slices.Sort(f.acked)
}

// refuse notes how the publisher was turned away: by Quota exceeded, or by a close.
func (f *fullness) refuse(err error) {
	f.t.Helper()
	if err := context.Cause(f.ctx); err != nil {
		f.t.Fatal(err)
	}
	f.refused[err.Error()]++
	var code refused
	switch {
	case !errors.As(err, &code):
		if f.out != nil {
			f.out.close()
			f.out = nil
		}
	case code != quotaExceeded:
		f.t.Errorf("refused with %#x, want %#x", byte(code), quotaExceeded)
	}
}

// publishUntilRefused publishes at most so many messages.
func (f *fullness) publishUntilRefused(most int) {
	f.t.Helper()
	for len(f.refused) == 0 {
		if f.publish(); f.last == most {
			f.t.Fatalf("%d of %d messages of 4 KiB were acknowledged", len(f.acked), most)
		}
	}
	f.t.Logf("%d messages acknowledged, then: %v", len(f.acked), f.refused)
}

// refusedStill publishes on. What is acknowledged now must be there later, like the rest.
func (f *fullness) refusedStill() {
	f.t.Helper()
	before := len(f.acked)
	for range 50 {
		f.publish()
	}
	f.t.Logf("50 more: %d acknowledged, %v", len(f.acked)-before, f.refused)
}

// publishUntilAcknowledged tries as a patient client does.
func (f *fullness) publishUntilAcknowledged() {
	f.t.Helper()
	start, tries := time.Now(), 0
	retry := time.NewTicker(50 * time.Millisecond)
	defer retry.Stop()
	for ; !f.publish(); tries++ {
		select {
		case <-retry.C:
		case <-f.ctx.Done():
			f.t.Fatalf("space is back and messages are still refused after %d tries: %v", tries, f.refused)
		}
	}
	f.t.Logf("with space again, acknowledged after %d tries, %v", tries, time.Since(start).Round(time.Millisecond))
}

// qos0Flows publishes and receives a message that nothing has to be stored for.
func (f *fullness) qos0Flows() {
	f.t.Helper()
	listener, _, err := openWire(f.ctx, f.broker, "listener", false)
	if err != nil {
		f.t.Fatal(err)
	}
	defer listener.close()
	if err := listener.subscribe(0, "flow"); err != nil {
		f.t.Fatal(err)
	}
	talker, _, err := openWire(f.ctx, f.broker, "talker", false)
	if err != nil {
		f.t.Fatal(err)
	}
	defer talker.close()
	for i := range 10 {
		if err := talker.publish("flow", 0, false, []byte(fmt.Sprint(i))); err != nil {
			f.t.Fatal(err)
		}
		m, err := listener.nextWithin(patience)
		if err != nil {
			f.t.Fatalf("QoS 0 does not flow: %v", err)
		}
		if string(m.Payload) != fmt.Sprint(i) {
			f.t.Fatalf("received %q, want %d", m.Payload, i)
		}
	}
}

func (f *fullness) kill() {
	f.t.Helper()
	f.broker.signal(syscall.SIGKILL)
	if err := f.broker.start(f.ctx); err != nil {
		f.t.Fatal(err)
	}
	f.out = nil
}

// fetch resumes the session, expects every acknowledged message in order, acknowledges
// them and leaves again.
func (f *fullness) fetch() {
	f.t.Helper()
	w, connack, err := openWire(f.ctx, f.broker, "sleeper", true)
	if err != nil {
		f.t.Fatal(err)
	}
	defer w.close()
	if !connack.SessionPresent {
		f.t.Fatal("the session is gone")
	}
	for got := 0; len(f.acked) > 0; {
		m, err := w.nextWithin(patience)
		if err != nil {
			f.t.Fatalf("%d acknowledged messages did not come, the first of them %d: %v", len(f.acked), f.acked[0], err)
		}
		number := numberOf(m.Payload)
		if number <= got {
			f.t.Errorf("received %d after %d", number, got)
		}
		got = number
		if number > f.acked[0] {
			f.t.Fatalf("received %d, and not %d, which was acknowledged", number, f.acked[0])
		}
		if number == f.acked[0] {
			f.acked = f.acked[1:]
		}
	}
	if err := w.disconnect(); err != nil {
		f.t.Fatal(err)
	}
}

package broker

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/persist"
)

// withWill is c with a will of QoS 1 to topic "will".
func withWill(c *codec.Connect, delaySeconds uint32) *codec.Connect {
	c.HasWill, c.WillTopic, c.WillPayload, c.WillQoS = true, []byte("will"), []byte(c.ClientID), codec.QoS1
	if delaySeconds > 0 {
		c.WillProperties.WillDelayInterval = delaySeconds
		c.WillProperties.Set(codec.PropWillDelayInterval)
	}
	return c
}

// expireIn is c with another Session Expiry Interval.
func expireIn(c *codec.Connect, seconds uint32) *codec.Connect {
	c.Properties.SessionExpiryInterval = seconds
	c.Properties.Set(codec.PropSessionExpiryInterval)
	return c
}

func (w *wire) expectSession(present bool) {
	w.r.t.Helper()
	if f := w.expect(codec.TypeConnack); f.Body[1] != 0 || f.Body[0] == 1 != present {
		w.r.t.Fatalf("CONNACK %x, want session present %v", f.Body[:2], present)
	}
}

// open connects without looking at what comes back.
func (r *rig) open(loop int, c *codec.Connect) *wire {
	w := r.dial(loop, true)
	w.v = c.Version
	w.send(c.Append(nil, c.Version))
	r.Settle()
	return w
}

func TestWhatRanOutWhileTheBrokerWasDownEndsAtTheFirstTick(t *testing.T) {
	store := &persist.Memory{}
	r := newRigWithStore(t, 2, store, nil)
	r.connect(1, durable("watch", codec.V5)).subscribe("will", codec.QoS1)
	r.connect(0, withWill(durable("parked", codec.V5), 10)).gone()
	r.connect(1, expireIn(durable("short", codec.V5), 5)).gone()
	r.connect(0, withWill(durable("connected", codec.V5), 0))
	r.connect(0, withWill(durable("patient", codec.V5), 10))

	r.Now += 60_000
	r = r.crashAndRestart(store)
	watch := r.connect(1, durable("watch", codec.V5))
	watch.expectNothing()
	if r.b.Sessions() != 5 {
		t.Errorf("%d sessions before the first tick", r.b.Sessions())
	}
	r.Pass(tickMillis)
	if r.b.Sessions() != 4 {
		t.Errorf("%d sessions, one has expired", r.b.Sessions())
	}
	seen := map[string]bool{}
	for range 2 {
		f := watch.expect(codec.TypePublish)
		var p codec.Publish
		if err := p.Parse(codec.V5, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
		seen[string(p.Payload)] = true
		watch.puback(p.PacketID)
	}
	if watch.expectNothing(); !seen["parked"] || !seen["connected"] {
		t.Errorf("wills of %v", seen)
	}
	r.Pass(10_000) // its connection was lost when the broker was
	watch.expectPublish("will", "patient")
	r = r.crashAndRestart(store)
	r.Pass(60_000)
	r.connect(1, durable("watch", codec.V5)).expectPublish("will", "patient")
	if r.b.Sessions() != 4 {
		t.Errorf("%d sessions", r.b.Sessions())
	}
}

func TestWhatRanOutEndsBeforeTheClientComesBackThough(t *testing.T) {
	for _, clean := range []bool{false, true} {
		store := &persist.Memory{}
		r := newRigWithStore(t, 2, store, nil)
		r.connect(1, durable("watch", codec.V5)).subscribe("will", codec.QoS1)
		r.connect(0, expireIn(durable("short", codec.V5), 5)).gone()
		r.connect(0, withWill(durable("connected", codec.V5), 0))
		r.Now += 5000
		r = r.crashAndRestart(store) // and no tick
		back := durable("connected", codec.V5)
		back.CleanStart = clean
		r.open(0, back).expectSession(!clean)
		r.open(0, durable("short", codec.V5)).expectSession(false)
		r.connect(1, durable("watch", codec.V5)).expectPublish("will", "connected")
	}
}

func TestSessionThatEndedDoesNotComeBackAfterItsSuccessorWasAccepted(t *testing.T) {
	store := &persist.Memory{Manual: true}
	r := newRigWithStore(t, 1, store, nil)
	r.open(0, durable("c", codec.V311))
	r.commit(store, 100)
	r.open(0, connectAs("c", codec.V311)).gone() // Clean Session
	w := r.open(0, connectAs("c", codec.V311))
	w.expectNothing()
	r.commit(store, 100)
	w.expectSession(false)
	r = r.crashAndRestart(store)
	w = r.open(0, durable("c", codec.V311))
	r.commit(store, 100)
	w.expectSession(false)
}

package broker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// refusing is a broker with a subscriber of a durable session and one of another, after which its store takes nothing new.
func refusing(t *testing.T) (r *rig, store *persist.Memory, owed, volatile *wire) {
	store = &persist.Memory{}
	r = newRigWithStore(t, 2, store, func(o *Options) { o.Session.ReceiveMaximum = 2 })
	owed = r.connect(1, durable("owed", codec.V5))
	owed.subscribe("t/owed", codec.QoS2)
	volatile = r.connect(0, connectAs("volatile", codec.V5))
	volatile.subscribe("t/#", codec.QoS2)
	store.SetUnavailable(true)
	return r, store, owed, volatile
}

func TestUnavailableStoreRefusesWhatItWouldHaveToTake(t *testing.T) {
	r, store, owed, volatile := refusing(t)
	pub := r.connect(0, connectAs("pub", codec.V5))
	for range 5 { // more than the Receive Maximum: it must not leak
		for id, qos := range []codec.QoS{codec.QoS1, codec.QoS2} {
			pub.publish("t/owed", "refused", qos, uint16(id+1))
			r.Settle()
			pub.expectAck([]codec.PacketType{codec.TypePuback, codec.TypePubrec}[id], uint16(id+1), codec.QuotaExceeded)
		}
	}
	owed.expectNothing()
	volatile.expectNothing()
	if n := r.Loops[0].Counters().RefusedPublish; n != 10 {
		t.Errorf("%d refused", n)
	}
	store.SetUnavailable(false)
	pub.publish("t/owed", "taken", codec.QoS2, 2) // the identifier is free again
	r.Settle()
	pub.expectAck(codec.TypePubrec, 2, codec.Success)
	owed.expectPublish("t/owed", "taken")
	volatile.expectPublish("t/owed", "taken")
	owed.expectNothing()
}

func TestUnavailableStoreRefusesWhatItsPublisherWouldBeOwed(t *testing.T) {
	r, _, _, volatile := refusing(t)
	// Nobody who subscribes has a session in the store, but the publisher's session would have to know the identifier.
	pub := &wire{}
	for _, again := range []bool{false, true} {
		pub = r.open(0, durable("owed", codec.V5)) // known: it may come back
		pub.expectSession(true)
		pub.publish("t", "x", codec.QoS2, 7)
		r.Settle()
		if pub.expectAck(codec.TypePubrec, 7, codec.QuotaExceeded); again {
			break
		}
	}
	pub.publish("t", "x", codec.QoS1, 8) // needs no record
	r.Settle()
	pub.expectAck(codec.TypePuback, 8, codec.Success)
	volatile.expectPublish("t", "x")
}

func TestUnavailableStoreClosesA311Publisher(t *testing.T) {
	for _, qos := range []codec.QoS{codec.QoS1, codec.QoS2} {
		r, store, owed, volatile := refusing(t)
		store.SetUnavailable(false)
		pub := r.connect(0, durable("pub", codec.V311))
		store.SetUnavailable(true)
		pub.publish("t/owed", "x", qos, 1)
		r.Settle()
		if pub.expectNothing(); !pub.Closed {
			t.Errorf("qos %d: not closed", qos)
		}
		owed.expectNothing()
		volatile.expectNothing()
		store.SetUnavailable(false)
		pub = r.connect(0, durable("pub", codec.V311))
		pub.publish("t/owed", "x", qos, 1)
		r.Settle()
		pub.expect([]codec.PacketType{codec.TypePuback, codec.TypePubrec}[qos-1])
		owed.expectPublish("t/owed", "x")
		volatile.expectPublish("t/owed", "x")
	}
}

func TestUnavailableStoreLetsQoS0Through(t *testing.T) {
	r, store, owed, volatile := refusing(t)
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t/owed", "x", codec.QoS0, 0)
	p := codec.Publish{Topic: []byte("t/owed"), Payload: []byte("retained"), Retain: true}
	pub.send(p.Append(nil, pub.v))
	r.Settle()
	for _, w := range []*wire{owed, volatile} {
		w.expectPublish("t/owed", "x")
		w.expectPublish("t/owed", "retained")
	}
	if n := r.Loops[0].Counters().Drops[session.DropUnstored]; n != 1 || r.b.Retained() != 0 {
		t.Errorf("%d counted as not retained, %d are retained", n, r.b.Retained())
	}
	p.QoS, p.PacketID = codec.QoS1, 1
	p.Topic = []byte("nobody")
	pub.send(p.Append(nil, pub.v))
	r.Settle()
	if pub.expectNothing(); !pub.Closed {
		t.Error("a retained message of QoS 1 was taken")
	}
	store.SetUnavailable(false)
}

func TestUnavailableStoreTakesNoNewSessionsAndSubscriptions(t *testing.T) {
	r, store, owed, volatile := refusing(t)
	subscribed := func(w *wire, want codec.ReasonCode) {
		t.Helper()
		w.send(subscribeTo(w.v, "new", codec.QoS1))
		r.Settle()
		f := w.expect(codec.TypeSuback)
		if got := codec.ReasonCode(f.Body[len(f.Body)-1]); got != want {
			t.Errorf("SUBACK %v, want %v", got, want)
		}
	}
	subscribed(owed, codec.ImplementationSpecificError)
	subscribed(volatile, 1)
	store.SetUnavailable(false)
	old := r.connect(0, durable("old", codec.V311))
	store.SetUnavailable(true)
	subscribed(old, 0x80)
	for _, c := range []struct {
		connect *codec.Connect
		code    byte
	}{
		{durable("new5", codec.V5), byte(codec.ServerUnavailable)},
		{durable("new3", codec.V311), 3},
		{connectAs("new5", codec.V5), 0},
		{connectAs("new3", codec.V311), 0},
		{durable("old", codec.V311), 0},
	} {
		w := r.open(0, c.connect)
		if f := w.expect(codec.TypeConnack); f.Body[1] != c.code || w.Closed != (c.code != 0) {
			t.Errorf("%s: CONNACK %x, closed %v, want code %#x", c.connect.ClientID, f.Body[:2], w.Closed, c.code)
		}
	}
}

func TestUnavailableStoreRefusesForTheParkedMembersOfAGroup(t *testing.T) {
	r, store, _, _ := refusing(t)
	store.SetUnavailable(false)
	member := r.connect(1, durable("member", codec.V5))
	member.subscribe("$share/g/s", codec.QoS1)
	member.gone()
	store.SetUnavailable(true)
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 3 {
		pub.publish("s", fmt.Sprint(i), codec.QoS1, 1)
		r.Settle()
		pub.expectAck(codec.TypePuback, 1, codec.QuotaExceeded)
	}
	r.connect(1, durable("member", codec.V5)).expectNothing()
}

func TestWhoWaitsForABrokenDiskIsTold(t *testing.T) {
	store := &persist.Memory{Manual: true}
	r := newRigWithStore(t, 2, store, nil)
	sub := r.dial(1, true)
	sub.v = codec.V5
	sub.send(durable("sub", codec.V5).Append(nil, codec.V5))
	sub.send((&codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("t"), QoS: 2}}}).Append(nil, codec.V5))
	r.Settle()
	r.commit(store, 9)
	sub.expect(codec.TypeConnack)
	sub.expect(codec.TypeSuback)
	pub, old := r.connect(0, connectAs("pub", codec.V5)), r.connect(0, connectAs("old", codec.V311))
	pub.publish("t", "held", codec.QoS2, 1)
	old.publish("t", "held too", codec.QoS1, 1)
	r.Settle()

	store.SetErr(errors.New("disk full"))
	r.Pass(1000)
	if f := pub.expect(codec.TypeDisconnect); codec.ReasonCode(f.Body[0]) != codec.QuotaExceeded || !pub.Closed || !old.Closed {
		t.Errorf("code %#x, closed %v %v", f.Body[0], pub.Closed, old.Closed)
	}
	if sub.Closed {
		t.Error("a subscriber was closed that asked for nothing")
	}
	sub.expectPublish("t", "held too") // at QoS 1 it may come again
	sub.expectNothing()

	store.SetErr(nil)
	r.commit(store, 9)
	sub.expectPublish("t", "held")
}

// TestShortOfMemory: whoever has a session goes on, and nothing more is kept for anybody.
func TestShortOfMemory(t *testing.T) {
	r := newRig(t, 1, nil)
	parked := r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("parked")})
	parked.subscribe("t/parked", codec.QoS1)
	parked.gone()
	sub := r.connect(0, connectAs("sub", codec.V5))
	sub.subscribe("t/#", codec.QoS1)
	pub := r.connect(0, connectAs("pub", codec.V5))
	r.b.ShortOfMemory(true)

	pub.publish("t/parked", "refused", codec.QoS1, 1)
	r.Settle()
	pub.expectAck(codec.TypePuback, 1, codec.QuotaExceeded)
	sub.expectNothing()
	pub.publish("t/other", "taken", codec.QoS1, 2)
	r.Settle()
	pub.expectAck(codec.TypePuback, 2, codec.Success)
	sub.expectPublish("t/other", "taken")
	late := r.dial(0, true)
	late.send(connectAs("late", codec.V5).Append(nil, codec.V5))
	r.Settle()
	if f := late.expect(codec.TypeConnack); f.Body[1] != byte(codec.ServerBusy) || !late.Closed {
		t.Errorf("CONNACK % x, closed %v", f.Body, late.Closed)
	}
	r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("parked")})

	r.b.ShortOfMemory(false)
	r.connect(0, connectAs("late", codec.V5))
}

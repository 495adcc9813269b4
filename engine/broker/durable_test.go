package broker

import (
	"fmt"
	"math/rand"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// manual is a broker over a store that commits when it is told.
func manual(t *testing.T, loops int, change func(*Options)) (*rig, *simStore) {
	m := &simMemory{}
	m.Manual = true
	store := &simStore{simBackend: m}
	return newRigWithStore(t, loops, store, change), store
}

func (r *rig) commitAll(store *simStore) {
	r.Settle()
	store.commit(1 << 20)
	r.Settle()
}

// durable connects a client with a session in the store.
func (r *rig) durable(store *simStore, loop int, c *codec.Connect) *wire {
	r.t.Helper()
	w := r.open(loop, c)
	w.expectNothing()
	r.commitAll(store)
	w.expect(codec.TypeConnack)
	return w
}

func (w *wire) subscribeDurably(store *simStore, filter string, qos codec.QoS) {
	w.r.t.Helper()
	w.send(subscribeTo(w.v, filter, qos))
	w.r.Settle()
	w.expectNothing()
	w.r.commitAll(store)
	w.expect(codec.TypeSuback)
}

// rnd0 is chance where it does not matter.
func rnd0() *rand.Rand { return rand.New(rand.NewSource(1)) }

func (r *rig) restart(store *simStore) (*rig, *simStore) {
	next := store.restart(rnd0())
	x := newRigWithStore(r.t, len(r.Loops), next, func(o *Options) { *o = *r.b.options() })
	x.Now = r.Now
	if err := x.b.Restore(x.Now); err != nil {
		r.t.Fatal(err)
	}
	return x, next
}

func TestQoS2WaitsForItsRecordOnWhicheverLoopItsSubscriberIs(t *testing.T) {
	r, store := manual(t, 3, nil)
	sub := r.durable(store, 1, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS2)
	pub := r.durable(store, 0, durable("pub", codec.V5))
	pub.publish("t", "x", codec.QoS2, 1)
	r.Settle()
	sub.expectNothing()
	pub.expectNothing()
	r.commitAll(store)
	p := sub.expectPublish("t", "x")
	pub.expectAck(codec.TypePubrec, 1, codec.Success)

	sub.send(codec.AppendPubackShort(nil, codec.TypePubrec, p.PacketID))
	pub.send([]byte{byte(codec.TypePubrel)<<4 | 2, 2, 0, 1})
	r.Settle()
	sub.expectNothing() // PUBREL, after which PUBLISH must not come again
	pub.expectNothing() // PUBCOMP, after which the identifier is free
	r.commitAll(store)
	sub.expectAck(codec.TypePubrel, p.PacketID, codec.Success)
	pub.expectAck(codec.TypePubcomp, 1, codec.Success)
}

func TestQoS2FollowsItsSessionToAnotherLoopWhileItIsHeld(t *testing.T) {
	for _, displaced := range []bool{false, true} {
		r, store := manual(t, 3, nil)
		sub := r.durable(store, 1, durable("sub", codec.V5))
		sub.subscribeDurably(store, "t", codec.QoS2)
		pub := r.connect(0, connectAs("pub", codec.V5))
		pub.publish("t", "x", codec.QoS2, 1) // held: loop 1 hears of it by its mailbox
		if !displaced {
			sub.gone()
		}
		young := r.open(2, durable("sub", codec.V5))
		r.Settle()
		sub.In = nil // a goodbye, if it was displaced
		young.expectNothing()
		r.commitAll(store)
		young.expectSession(true)
		if p := young.expectPublish("t", "x"); !p.Dup {
			t.Error("what may have been sent is sent again without DUP")
		}
		young.expectNothing()
		if _, ok := sub.next(); ok {
			t.Error("the old connection got it, too")
		}
		for _, l := range r.Loops {
			if len(l.holding) > 0 || l.box.waiting.Load() {
				t.Errorf("displaced %v: loop %d: %d are held, waiting %v", displaced, l.index, len(l.holding), l.box.waiting.Load())
			}
		}
	}
}

func TestWhatIsReadFollowsItsSessionToAnotherLoop(t *testing.T) {
	r, store := manual(t, 2, func(o *Options) { o.Session.QueueWindow = 2 })
	sub := r.durable(store, 0, durable("sub", codec.V311))
	sub.subscribeDurably(store, "t", codec.QoS1)
	sub.gone()
	pub := r.connect(1, connectAs("pub", codec.V311))
	const n = 7
	for i := range n {
		pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
	}
	r.commitAll(store)
	for i := range 2 { // as long as the first read is under way
		sub = r.durable(store, i, durable("sub", codec.V311))
	}
	if len(store.reads) != 1 {
		t.Fatalf("%d reads, want one at a time", len(store.reads))
	}
	for i := range n {
		r.answerAll(store)
		p := sub.expectPublish("t", fmt.Sprint(i))
		if i%2 == 0 {
			sub.puback(p.PacketID)
		}
	}
	sub.expectNothing()
}

func TestReadThatFailsIsTriedAgain(t *testing.T) {
	r, store := manual(t, 1, nil)
	sub := r.durable(store, 0, durable("sub", codec.V311))
	sub.subscribeDurably(store, "t", codec.QoS1)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "x", codec.QoS1, 1)
	r.commitAll(store)
	sub = r.durable(store, 0, durable("sub", codec.V311))
	for range 3 {
		if !store.answer(rnd0(), true) {
			t.Fatal("no read")
		}
		r.Settle()
		sub.expectNothing()
		if len(store.reads) > 0 {
			t.Fatal("tried again at once")
		}
		r.Pass(tickMillis)
	}
	r.answerAll(store)
	sub.expectPublish("t", "x")
}

func TestGroupQueueSurvivesARestart(t *testing.T) {
	r, store := manual(t, 2, nil)
	for i, id := range []string{"a", "b"} {
		w := r.durable(store, i, durable(id, codec.V5))
		w.subscribeDurably(store, "$share/g/t", codec.QoS2)
		w.gone()
	}
	pub := r.connect(0, connectAs("pub", codec.V311))
	const n = 5
	for i := range n {
		pub.publish("t", fmt.Sprint(i), codec.QoS2, uint16(i+1))
	}
	r.Settle()
	pub.expectNothing()
	r.commitAll(store)
	for i := range n {
		pub.expectAck(codec.TypePubrec, uint16(i+1), codec.Success)
	}
	for range 2 { // the second time with new messages behind those from before
		r, store = r.restart(store)
	}
	pub = r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", fmt.Sprint(n), codec.QoS2, 1)
	r.commitAll(store)
	b := r.durable(store, 1, durable("b", codec.V5))
	r.commitAll(store)
	for i := range n + 1 {
		b.expectPublish("t", fmt.Sprint(i))
	}
	// Now they are b's, and no longer the group's.
	r, store = r.restart(store)
	a := r.durable(store, 1, durable("a", codec.V5))
	a.expectNothing()
	b = r.durable(store, 0, durable("b", codec.V5))
	r.answerAll(store)
	for i := range n + 1 {
		b.expectPublish("t", fmt.Sprint(i))
	}
}

func TestGroupQueueIsForgottenWithItsLastMember(t *testing.T) {
	leave := map[string]func(r *rig, store *simStore){
		"unsubscribe": func(r *rig, store *simStore) {
			w := r.durable(store, 0, durable("a", codec.V5))
			w.send(unsubscribeFrom(codec.V5, "$share/g/t"))
			r.commitAll(store)
		},
		"clean start": func(r *rig, store *simStore) { r.open(0, connectAs("a", codec.V5)) },
		"expiry":      func(r *rig, store *simStore) { r.Pass(3700_000) },
	}
	for name, how := range leave {
		for _, restarted := range []bool{false, true} {
			r, store := manual(t, 1, func(o *Options) { o.Session.MaxInflight = 1 })
			w := r.durable(store, 0, durable("a", codec.V5))
			w.subscribeDurably(store, "$share/g/t", codec.QoS1)
			w.gone()
			pub := r.connect(0, connectAs("pub", codec.V311))
			for i := range 3 {
				pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
			}
			r.commitAll(store)
			if restarted {
				r, store = r.restart(store)
			}
			how(r, store)
			r.commitAll(store)
			_, store = r.restart(store)
			err := loadAll(store, func(rec session.Record) error {
				if rec.Kind == session.QueuePut && rec.Message.Topic[0] == 't' && name != "unsubscribe" || rec.Kind == session.SessionPut && rec.State.Group != "" {
					return fmt.Errorf("record of kind %d of session %d", rec.Kind, rec.Session)
				}
				return nil
			})
			if err != nil {
				t.Errorf("%s, restarted %v: the store still has a %v", name, restarted, err)
			}
		}
	}
}

// A crash between the end of the last member and that of its group leaves a queue without a group.
func TestQueueOfAGroupWithoutMembersIsForgottenAtTheStart(t *testing.T) {
	store := &persist.Memory{}
	store.Append([]session.Record{
		{Kind: session.SessionPut, Session: 7, State: &session.State{Group: "$share/g/t"}},
		{Kind: session.QueuePut, Session: 7, Seq: 1, QoS: 1, Message: (&session.Message{Topic: []byte("t"), QoS: 1}).Keep()},
	})
	r := newRigWithStore(t, 1, store, nil)
	if err := r.b.Restore(r.Now); err != nil {
		t.Fatal(err)
	}
	w := r.connect(0, durable("a", codec.V5))
	w.subscribe("$share/g/t", codec.QoS1)
	w.expectNothing()
	if err := loadAll(store, func(rec session.Record) error {
		if rec.Session == 7 {
			return fmt.Errorf("kind %d", rec.Kind)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestWideFanoutToDurableSessionsIsHeldAsAnyOther(t *testing.T) {
	const n = 6
	r, store := manual(t, 3, func(o *Options) { o.WideFanout = 2 })
	var subs []*wire
	for i := range n {
		w := r.durable(store, i%3, durable(fmt.Sprint("s", i), codec.V5))
		w.subscribeDurably(store, "t", codec.QoS2)
		subs = append(subs, w)
	}
	pub := r.durable(store, 0, durable("pub", codec.V5))
	pub.publish("t", "x", codec.QoS2, 1)
	r.Settle()
	pub.expectNothing()
	for _, w := range subs {
		w.expectNothing()
	}
	r, store = r.restart(store) // nothing of it was there; or all of it
	pub = r.durable(store, 0, durable("pub", codec.V5))
	p := codec.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: codec.QoS2, PacketID: 1, Dup: true}
	pub.send(p.Append(nil, pub.v))
	r.commitAll(store)
	pub.expectAck(codec.TypePubrec, 1, codec.Success)
	for i := range subs {
		w := r.durable(store, i%3, durable(fmt.Sprint("s", i), codec.V5))
		r.answerAll(store)
		w.expectPublish("t", "x")
		w.expectNothing()
	}
}

func TestLongBacklogIsDrainedInOrderThroughNarrowPlaces(t *testing.T) {
	const n = 5000
	store := &persist.Memory{}
	r := newRigWithStore(t, 2, store, func(o *Options) {
		o.MaxOutboundBytes = 50
		o.Session.QueueWindow, o.Session.QueueWindowBytes = 7, 60
		o.Session.ReceiveMaximum = n
	})
	c := durable("sub", codec.V5)
	c.Properties.ReceiveMaximum = 3
	c.Properties.Set(codec.PropReceiveMaximum)
	sub := r.connect(1, c)
	sub.subscribe("t", codec.QoS2)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range n {
		pub.publish("t", fmt.Sprint(i), codec.QoS(1+i%2), uint16(i+1))
	}
	r.Settle()
	sub = r.connect(1, c)
	for i := 0; i < n; {
		f, ok := sub.next()
		if !ok {
			t.Fatalf("stuck after %d", i)
		}
		switch f.Type {
		case codec.TypePubrel:
			sub.send(codec.AppendPubackShort(nil, codec.TypePubcomp, uint16(f.Body[0])<<8|uint16(f.Body[1])))
		case codec.TypePublish:
			var p codec.Publish
			if err := p.Parse(sub.v, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			if string(p.Payload) != fmt.Sprint(i) {
				t.Fatalf("got %s, want %d", p.Payload, i)
			}
			i++
			sub.send(codec.AppendPubackShort(nil, []codec.PacketType{codec.TypePuback, codec.TypePubrec}[p.QoS-1], p.PacketID))
		}
		r.Settle()
	}
}

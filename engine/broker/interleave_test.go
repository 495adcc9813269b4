package broker

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/fake"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// What one loop does between two steps of another, in the order that is hardest to meet by chance.

// halfway lets the session decide about one packet. What it decided is carried out by the function returned: between the two,
// other loops may do as they like.
func (w *wire) halfway(packet []byte) (rest func()) {
	cn, c, out := w.conn, w.conn.client, &session.Output{}
	f, _, err := codec.Next(packet, 0)
	if err != nil {
		w.r.t.Fatal(err)
	}
	c.mu.Lock()
	w.loop.begin(c, out)
	c.s.Packet(f, w.r.Now, out)
	w.loop.end(c, out)
	c.mu.Unlock()
	return func() { w.loop.act(cn, c, out, w.r.Now) }
}

func subscribeTo(v codec.Version, filter string, qos codec.QoS) []byte {
	s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte(filter), QoS: qos}}}
	return s.Append(nil, v)
}

func unsubscribeFrom(v codec.Version, filter string) []byte {
	return (&codec.Unsubscribe{PacketID: 2, Filters: [][]byte{[]byte(filter)}}).Append(nil, v)
}

// retain makes n retained messages r/0, r/1 and so on.
func (r *rig) retain(n int) {
	pub := r.connect(0, connectAs("retainer", codec.V311))
	for i := range n {
		p := codec.Publish{Topic: fmt.Append(nil, "r/", i), Payload: []byte("v"), Retain: true, QoS: codec.QoS1, PacketID: uint16(i + 1)}
		pub.send(p.Append(nil, pub.v))
	}
	r.Settle()
}

// drink takes all PUBLISH packets that came, acknowledges those of QoS 1 and adds their topics to seen.
func (w *wire) drink(seen map[string]int) {
	for {
		f, ok := w.next()
		if !ok {
			return
		}
		if f.Type != codec.TypePublish {
			continue
		}
		var p codec.Publish
		if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
			w.r.t.Fatal(err)
		}
		seen[string(p.Topic)]++
		if p.QoS == codec.QoS1 {
			w.puback(p.PacketID)
		}
	}
}

func TestSubscriptionOvertakenByTheEndOfItsSessionIsUndone(t *testing.T) {
	for _, filter := range []string{"t", "t/#", "$share/g/t"} {
		r := newRig(t, 2, nil)
		old := r.connect(0, durable("c", codec.V5))
		rest := old.halfway(subscribeTo(codec.V5, filter, 1))
		r.connect(1, connectAs("c", codec.V5)) // Clean Start
		rest()
		r.Settle()
		if s := r.b.router.Stats(); s.Subscriptions+s.SharedSubscriptions != 0 {
			t.Errorf("%s: %+v in the router, nobody subscribes", filter, s)
		}
	}
}

func TestSubscriptionOvertakenByTheNextConnectionIsAsThatWantsIt(t *testing.T) {
	for _, filter := range []string{"t", "$share/g/t"} {
		r := newRig(t, 2, nil)
		old := r.connect(0, durable("c", codec.V5))
		rest := old.halfway(subscribeTo(codec.V5, filter, 2))
		young := r.connect(1, durable("c", codec.V5))
		young.send(unsubscribeFrom(codec.V5, filter))
		rest()
		r.Settle()
		if s := r.b.router.Stats(); s.Subscriptions+s.SharedSubscriptions != 0 {
			t.Errorf("%s: %+v in the router, nobody subscribes", filter, s)
		}
	}
	r := newRig(t, 2, nil)
	old := r.connect(0, durable("c", codec.V5))
	subscribe := old.halfway(subscribeTo(codec.V5, "t", 0))
	young := r.connect(1, durable("c", codec.V5))
	young.subscribe("t", codec.QoS1)
	subscribe()
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("t", "x", codec.QoS1, 1)
	r.Settle()
	if p := young.expectPublish("t", "x"); p.QoS != codec.QoS1 {
		t.Errorf("delivered at QoS %d: an old subscription replaced a newer one", p.QoS)
	}
}

func TestReplayFollowsItsSessionToAnotherLoop(t *testing.T) {
	const n = 3 * replayBatch
	r := newRig(t, 2, nil)
	r.retain(n)
	old := r.connect(0, durable("c", codec.V5))
	old.send(subscribeTo(codec.V5, "r/#", 0)) // the first batch, and loop 0 has the rest on its list
	young := r.dial(1, true)
	young.v = codec.V5
	young.send(durable("c", codec.V5).Append(nil, codec.V5))
	r.Settle()
	seen := map[string]int{}
	old.drink(seen)
	young.drink(seen)
	if len(seen) != n {
		t.Errorf("%d of %d retained messages", len(seen), n)
	}
}

func TestReplayOfASubscriptionOvertakenByATakeoverBegins(t *testing.T) {
	r := newRig(t, 2, nil)
	r.retain(3)
	old := r.connect(0, durable("c", codec.V5))
	rest := old.halfway(subscribeTo(codec.V5, "r/#", 0))
	young := r.connect(1, durable("c", codec.V5))
	rest()
	r.Settle()
	seen := map[string]int{}
	if young.drink(seen); len(seen) != 3 {
		t.Errorf("%d of 3 retained messages", len(seen))
	}
}

func TestReplayGoesOnWhenASharedSubscriptionToTheSameFilterEnds(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.Session.MaxInflight = 4 })
	r.retain(20)
	sub := r.connect(0, connectAs("sub", codec.V5))
	sub.subscribe("$share/g/r/#", codec.QoS1)
	sub.send(subscribeTo(codec.V5, "r/#", 1))
	sub.send(unsubscribeFrom(codec.V5, "$share/g/r/#"))
	r.Settle()
	seen := map[string]int{}
	if sub.drink(seen); len(seen) != 20 {
		t.Errorf("%d of 20 retained messages", len(seen))
	}
}

func TestOverlappingDeliveryDoesNotOvertakeAWideFanout(t *testing.T) {
	r := newRig(t, 2, func(o *Options) { o.WideFanout = 2 })
	var subs []*wire
	for i := range 3 {
		s := r.connect(1, connectAs(fmt.Sprint("s", i), codec.V5))
		s.subscribe("a/b", codec.QoS1)
		subs = append(subs, s)
	}
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("a/b", "1", codec.QoS1, 1) // handed over; loop 1 has not looked yet
	more := codec.Subscribe{PacketID: 3, Filters: []codec.Subscription{{Filter: []byte("a/#"), QoS: 1}}}
	more.Properties.SubscriptionIdentifiers = []uint32{7}
	more.Properties.Set(codec.PropSubscriptionIdentifier)
	subs[0].send(more.Append(nil, codec.V5))
	pub.publish("a/b", "2", codec.QoS1, 2)
	r.Settle()
	subs[0].expect(codec.TypeSuback)
	for _, s := range subs {
		s.expectPublish("a/b", "1")
		p := s.expectPublish("a/b", "2")
		if ids := p.Properties.SubscriptionIdentifiers; s == subs[0] && (len(ids) != 1 || ids[0] != 7) {
			t.Errorf("subscription identifiers %v, want 7", ids)
		}
		s.expectNothing()
	}
}

func TestTakeoverIsCountedAsClosedByTheServer(t *testing.T) {
	r := newRig(t, 2, nil)
	old := r.connect(0, durable("c", codec.V311))
	r.connect(1, durable("c", codec.V311))
	r.Settle()
	if n := r.Loops[0].Counters().Closed[codec.SessionTakenOver]; n != 1 || !old.Closed {
		t.Errorf("%d connections counted, closed %v", n, old.Closed)
	}
}

// hasty is a store that has written before its caller knows the ticket.
type hasty struct {
	persist.Memory
	b *Broker
}

func (s *hasty) Append(records []session.Record) (ticket uint64) {
	ticket = s.Memory.Append(records)
	s.b.Durable(s.Commit(100))
	return ticket
}

func TestAcknowledgementIsNotForgottenWhenTheStoreIsFasterThanTheLoop(t *testing.T) {
	store := &hasty{Memory: persist.Memory{Manual: true}}
	store.b = newRig(t, 1, nil).b // until the broker is there
	r := newRigWithStore(t, 1, store, nil)
	store.b = r.b
	r.connect(0, durable("sub", codec.V5)).subscribe("t", codec.QoS1)
	r.connect(0, durable("sub", codec.V5)).gone()
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("t", "x", codec.QoS1, 1)
	r.Settle()
	pub.expectAck(codec.TypePuback, 1, codec.Success)
}

func TestClosingDoesNotWriteWhatWaitsForTheStore(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		store := &persist.Memory{Manual: true}
		r := newRigWithStore(t, 1, store, nil)
		w := r.dial(0, true)
		w.v = codec.V5
		w.send(durable("c", codec.V5).Append(nil, codec.V5))
		if takeover {
			r.dial(0, true).send(durable("c", codec.V5).Append(nil, codec.V5))
		} else {
			w.send([]byte{0xF0, 0xFF, 0, 0})
		}
		r.Settle()
		if w.expectNothing(); !w.Closed {
			t.Error("not closed")
		}
	}
}

func TestExpiredRetainedMessageLeavesTheStore(t *testing.T) {
	store := &persist.Memory{}
	r := newRigWithStore(t, 1, store, nil)
	pub := r.connect(0, connectAs("pub", codec.V5))
	p := codec.Publish{Topic: []byte("t"), Payload: []byte("x"), Retain: true}
	p.Properties.MessageExpiryInterval = 1
	p.Properties.Set(codec.PropMessageExpiryInterval)
	pub.send(p.Append(nil, codec.V5))
	r.Pass(2000)
	pub.subscribe("t", 0)
	if r = r.crashAndRestart(store); r.b.Retained() != 0 {
		t.Error("an expired retained message came back")
	}
}

// fair lets other goroutines run before it takes a record.
type fair struct{ persist.Memory }

func (s *fair) Append(records []session.Record) uint64 {
	runtime.Gosched()
	return s.Memory.Append(records)
}

func TestRetainedMessagesReachTheStoreInTheOrderTheyReplaceEachOther(t *testing.T) {
	store := &fair{}
	r := newRigWithStore(t, 2, store, nil)
	for round := range 300 {
		var both sync.WaitGroup
		for _, l := range r.Loops {
			both.Go(func() {
				for i := range 5 {
					l.retain(&session.Message{Topic: []byte("t"), Payload: fmt.Append(nil, l.index, " ", i)})
				}
			})
		}
		both.Wait()
		held, _ := r.b.retained.index.Get([]byte("t"))
		err := loadAll(store, func(rec session.Record) error {
			if rec.Message != held {
				return fmt.Errorf("round %d: the store has %q, the broker %q", round, rec.Message.Payload, held.Payload)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// slowWire is a wire that a test can hold inside Write, and that other loops may write to.
type slowWire struct {
	*wire
	entered, leave chan struct{} // nil: Write does not wait
	direct         int           // bytes that other loops wrote
}

func (w *slowWire) Write(b []byte) error {
	if w.entered != nil {
		close(w.entered)
		<-w.leave
		w.entered = nil
	}
	return w.wire.Write(b)
}

func (w *slowWire) WriteDirect(b []byte) int {
	w.direct += len(b)
	_ = w.wire.Write(b)
	return len(b)
}

func (w *slowWire) hold() { w.entered, w.leave = make(chan struct{}), make(chan struct{}) }

func (r *rig) dialSlow(loop int) *slowWire {
	w := &slowWire{wire: &wire{r: r, loop: r.Loops[loop], Transport: fake.Transport{Keep: true}, v: codec.V5}}
	w.conn = w.loop.Open(w, &Listener{Name: "slow", Policy: session.Policy{AllowAnonymous: true}}, r.Now)
	w.send(durable("c", codec.V5).Append(nil, codec.V5))
	return w
}

func TestNobodyWritesBesideTheOwnerAfterATakeover(t *testing.T) {
	r := newRig(t, 3, nil)
	old := r.dialSlow(0)
	old.subscribeAfterConnack("t")
	pub := r.connect(2, connectAs("pub", codec.V5))
	turn := func(loop int) (done chan struct{}) {
		done = make(chan struct{})
		go func() { r.Loops[loop].Turn(r.Now); close(done) }()
		return done
	}

	old.hold()
	old.send(codec.AppendPingreq(nil))
	first := turn(0) // loop 0 is inside Write of the old connection,
	<-old.entered
	young := r.dialSlow(1)
	r.Loops[1].Turn(r.Now) // CONNACK
	young.direct = 0
	young.hold()
	young.send(codec.AppendPingreq(nil))
	second := turn(1) // loop 1 is inside Write of the new one,
	<-young.entered
	close(old.leave) // and loop 0 has done its Write
	<-first
	pub.publish("t", "x", codec.QoS0, 0)
	r.Loops[2].Turn(r.Now)
	if young.direct > 0 {
		t.Error("loop 2 wrote while loop 1 was writing")
	}
	close(young.leave)
	<-second
	r.Settle()
	young.expect(codec.TypeConnack)
	young.expect(codec.TypePingresp)
	young.expectPublish("t", "x")
}

func (w *slowWire) subscribeAfterConnack(filter string) {
	w.r.Settle()
	w.expect(codec.TypeConnack)
	w.subscribe(filter, codec.QoS0)
}

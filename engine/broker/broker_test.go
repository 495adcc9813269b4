package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

func (w *wire) expectPublish(topic, payload string) codec.Publish {
	w.r.t.Helper()
	f := w.expect(codec.TypePublish)
	var p codec.Publish
	if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
		w.r.t.Fatal(err)
	}
	if topic != string(p.Topic) || payload != string(p.Payload) {
		w.r.t.Fatalf("got %s %q, want %s %q", p.Topic, p.Payload, topic, payload)
	}
	return p
}

func (w *wire) expectAck(t codec.PacketType, id uint16, code codec.ReasonCode) {
	w.r.t.Helper()
	f := w.expect(t)
	var a codec.Ack
	if err := a.Parse(t, w.v, f.Flags, f.Body); err != nil {
		w.r.t.Fatal(err)
	}
	if a.PacketID != id || a.Reason != code {
		w.r.t.Fatalf("%v id %d %v, want id %d %v", t, a.PacketID, a.Reason, id, code)
	}
}

func (w *wire) puback(id uint16) {
	w.send(codec.AppendPubackShort(nil, codec.TypePuback, id))
	w.r.Settle()
}

func durable(id string, v codec.Version) *codec.Connect {
	c := &codec.Connect{Version: v, ClientID: []byte(id)}
	if v == codec.V5 {
		c.Properties.SessionExpiryInterval = 3600
		c.Properties.Set(codec.PropSessionExpiryInterval)
	}
	return c
}

func TestMessageCrossesLoopsWithOneWritePerTurn(t *testing.T) {
	r := newRig(t, 2, nil)
	sub := r.connect(1, connectAs("sub", codec.V5))
	sub.subscribe("a/+", codec.QoS1)
	pub := r.connect(0, connectAs("pub", codec.V311))
	before := sub.Writes
	for i := range 10 {
		pub.publish("a/b", fmt.Sprint(i), codec.QoS0, 0)
	}
	r.Settle()
	if got := sub.Writes - before; got != 1 {
		t.Errorf("%d writes for one turn", got)
	}
	for i := range 10 {
		sub.expectPublish("a/b", fmt.Sprint(i))
	}
}

func TestTakeoverAcrossLoopsDisconnectsTheOldConnection(t *testing.T) {
	r := newRig(t, 2, nil)
	old := r.connect(0, durable("c", codec.V5))
	old.subscribe("t", codec.QoS1)
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("t", "one", codec.QoS1, 1)
	r.Settle()
	old.expectPublish("t", "one")

	young := r.dial(1, true)
	young.v = codec.V5
	young.send(durable("c", codec.V5).Append(nil, codec.V5))
	r.Settle()
	f := old.expect(codec.TypeDisconnect)
	if codec.ReasonCode(f.Body[0]) != codec.SessionTakenOver || !old.Closed {
		t.Errorf("old connection: code %#x, closed %v", f.Body[0], old.Closed)
	}
	if f := young.expect(codec.TypeConnack); f.Body[0] != 1 {
		t.Error("no session present")
	}
	if p := young.expectPublish("t", "one"); !p.Dup || p.QoS != codec.QoS1 {
		t.Errorf("resent %+v", p)
	}
	old.gone()
	pub.publish("t", "two", codec.QoS1, 2)
	r.Settle()
	young.expectPublish("t", "two")
}

func TestCleanStartEndsTheOldSession(t *testing.T) {
	r := newRig(t, 2, nil)
	a := r.connect(0, durable("c", codec.V311))
	a.subscribe("t", codec.QoS1)
	a.gone()
	b := r.connect(1, connectAs("c", codec.V311))
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "x", codec.QoS1, 1)
	r.Settle()
	b.expectNothing()
	if n := r.b.Sessions(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	if s := r.b.router.Stats(); s.Subscriptions != 0 {
		t.Errorf("%+v left in the router", s)
	}
}

func TestSessionExpiresAndItsWillGoesOut(t *testing.T) {
	r := newRig(t, 1, nil)
	watch := r.connect(0, connectAs("watch", codec.V5))
	watch.subscribe("will", codec.QoS0)
	c := durable("c", codec.V5)
	c.Properties.SessionExpiryInterval = 5
	c.HasWill, c.WillTopic, c.WillPayload = true, []byte("will"), []byte("bye")
	c.WillProperties.WillDelayInterval = 60
	c.WillProperties.Set(codec.PropWillDelayInterval)
	r.connect(0, c).gone()
	r.Pass(4900)
	watch.expectNothing()
	r.Pass(500)
	watch.expectPublish("will", "bye")
	if n := r.b.Sessions(); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

func TestWillDelayIsCancelledByAResumingConnection(t *testing.T) {
	r := newRig(t, 2, nil)
	watch := r.connect(0, connectAs("watch", codec.V5))
	watch.subscribe("will", codec.QoS0)
	c := durable("c", codec.V5)
	c.HasWill, c.WillTopic, c.WillPayload = true, []byte("will"), []byte("bye")
	c.WillProperties.WillDelayInterval = 2
	c.WillProperties.Set(codec.PropWillDelayInterval)
	r.connect(0, c).gone()
	r.Pass(1000)
	r.connect(1, durable("c", codec.V5))
	r.Pass(5000)
	watch.expectNothing()
}

func TestRetainedReplayOfManyIsCompleteAndInTurns(t *testing.T) {
	for _, qos := range []codec.QoS{0, 1} {
		r := newRig(t, 1, func(o *Options) { o.Session.MaxInflight = 50; o.MaxOutboundBytes = 4096 })
		pub := r.connect(0, connectAs("pub", codec.V311))
		const n = 3000
		for i := range n {
			p := codec.Publish{Topic: fmt.Appendf(nil, "r/%04d/x", i), Payload: []byte("v"), Retain: true}
			pub.send(p.Append(nil, codec.V311))
		}
		r.Settle()
		sub := r.connect(0, connectAs("sub", codec.V311))
		s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("r/+/#"), QoS: qos}}}
		sub.send(s.Append(nil, sub.v))
		r.Settle()
		sub.expect(codec.TypeSuback)
		seen := map[string]bool{}
		for {
			f, ok := sub.next()
			if !ok {
				break
			}
			var p codec.Publish
			if err := p.Parse(sub.v, f.Flags, f.Body); err != nil || !p.Retain || seen[string(p.Topic)] {
				t.Fatalf("%v %+v", err, p)
			}
			seen[string(p.Topic)] = true
			if qos > 0 {
				sub.puback(p.PacketID)
			}
		}
		if len(seen) != n {
			t.Errorf("qos %d: %d of %d", qos, len(seen), n)
		}
	}
}

func TestSlowReaderLosesQoS0ButKeepsQoS1(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.MaxOutboundBytes = 1000 })
	sub := r.connect(0, connectAs("sub", codec.V5))
	sub.subscribe("a/#", codec.QoS1)
	other := r.connect(0, connectAs("other", codec.V5))
	other.subscribe("a/#", codec.QoS1)
	sub.Full, sub.Stuck = true, 5000
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("a/first", "x", 0, 0) // takes notice of the full socket
	r.Settle()
	for i := range 100 {
		pub.publish("a/0", strings.Repeat("x", 100), codec.QoS0, 0)
		pub.publish("a/1", fmt.Sprint(i), codec.QoS1, uint16(i+1))
		r.Settle()
		other.In = other.In[:0]
	}
	if d := r.Loops[0].Counters().Drops[session.DropOutboundFull]; d == 0 {
		t.Error("no QoS 0 message was counted as dropped")
	}
	sub.In = sub.In[:0]
	sub.Full, sub.Stuck = false, 0
	r.Loops[0].Turn(r.Now)
	r.Settle()
	for i := range 100 {
		for {
			f := sub.expect(codec.TypePublish)
			var p codec.Publish
			if err := p.Parse(sub.v, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			if string(p.Topic) == "a/1" {
				if string(p.Payload) != fmt.Sprint(i) {
					t.Fatalf("got %q, want %d", p.Payload, i)
				}
				sub.puback(p.PacketID)
				break
			}
		}
	}
}

func TestFullQueueRefusesA5Publisher(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.Session.MaxQueuedMessages = 2 })
	sub := r.connect(0, durable("sub", codec.V5))
	sub.subscribe("t", codec.QoS1)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V5))
	old := r.connect(0, connectAs("old", codec.V311))
	for i, want := range []codec.ReasonCode{codec.Success, codec.Success, codec.QuotaExceeded} {
		pub.publish("t", fmt.Sprint("new", i), codec.QoS1, uint16(i+1))
		r.Settle()
		pub.expectAck(codec.TypePuback, uint16(i+1), want)
	}
	// A 3.1.1 publisher cannot be told: the oldest message makes room.
	old.publish("t", "old0", codec.QoS1, 1)
	r.Settle()
	old.expectAck(codec.TypePuback, 1, codec.Success)
	if n := r.Loops[0].Counters().Drops[session.DropQueueFull]; n != 1 {
		t.Errorf("%d drops counted", n)
	}
	back := r.connect(0, durable("sub", codec.V5))
	back.expectPublish("t", "new1")
	back.expectPublish("t", "old0")
	back.expectNothing()
}

func TestNoMatchingSubscribersIsSaidTo5(t *testing.T) {
	r := newRig(t, 1, nil)
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("nobody", "x", codec.QoS1, 9)
	r.Settle()
	pub.expectAck(codec.TypePuback, 9, codec.NoMatchingSubscribers)
}

func TestOverlappingSubscriptionsMakeOneCopyWithAllIdentifiers(t *testing.T) {
	r := newRig(t, 1, nil)
	sub := r.connect(0, connectAs("sub", codec.V5))
	for i, f := range []string{"a/b", "a/+", "#"} {
		s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte(f), QoS: codec.QoS(i % 2)}}}
		s.Properties.SubscriptionIdentifiers = []uint32{uint32(i + 1)}
		s.Properties.Set(codec.PropSubscriptionIdentifier)
		sub.send(s.Append(nil, sub.v))
		r.Settle()
		sub.expect(codec.TypeSuback)
	}
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.publish("a/b", "x", codec.QoS2, 1)
	r.Settle()
	p := sub.expectPublish("a/b", "x")
	if p.QoS != codec.QoS1 || len(p.Properties.SubscriptionIdentifiers) != 3 {
		t.Errorf("%+v", p)
	}
	sub.expectNothing()
}

func share(r *rig, loop int, id string, v codec.Version, c *codec.Connect) *wire {
	w := r.connect(loop, c)
	w.subscribe("$share/g/t/#", codec.QoS1)
	return w
}

func TestSharedGroupGoesRoundAndPassesOverTheDead(t *testing.T) {
	r := newRig(t, 2, nil)
	a := share(r, 0, "a", codec.V5, durable("a", codec.V5))
	b := share(r, 1, "b", codec.V5, durable("b", codec.V5))
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 10 {
		pub.publish("t/x", fmt.Sprint(i), codec.QoS1, uint16(i+1))
	}
	r.Settle()
	if len(a.In) == 0 || len(b.In) == 0 {
		t.Fatal("one member got nothing")
	}
	// a dies with its five unacknowledged: b gets them.
	got := map[string]int{}
	a.gone()
	for range 10 {
		f := b.expect(codec.TypePublish)
		var p codec.Publish
		if err := p.Parse(b.v, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
		got[string(p.Payload)]++
	}
	if len(got) != 10 {
		t.Errorf("got %v", got)
	}
}

func TestSharedGroupOfParkedMembersKeepsMessages(t *testing.T) {
	r := newRig(t, 2, nil)
	a := share(r, 0, "a", codec.V5, durable("a", codec.V5))
	b := share(r, 1, "b", codec.V5, durable("b", codec.V5))
	a.gone()
	b.gone()
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 10 {
		pub.publish("t/x", fmt.Sprint(i), codec.QoS1, uint16(i+1))
		r.Settle()
		pub.expectAck(codec.TypePuback, uint16(i+1), codec.Success)
	}
	b = r.connect(1, durable("b", codec.V5))
	for i := range 10 {
		b.expectPublish("t/x", fmt.Sprint(i))
	}
}

func TestSharedGroupRespectsWindows(t *testing.T) {
	r := newRig(t, 1, nil)
	c := durable("a", codec.V5)
	c.Properties.ReceiveMaximum = 1
	c.Properties.Set(codec.PropReceiveMaximum)
	a := share(r, 0, "a", codec.V5, c)
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 5 {
		pub.publish("t/x", fmt.Sprint(i), codec.QoS1, uint16(i+1))
	}
	r.Settle()
	for i := range 5 {
		p := a.expectPublish("t/x", fmt.Sprint(i))
		a.expectNothing()
		a.puback(p.PacketID)
	}
}

func TestWideFanoutKeepsThePublishersOrder(t *testing.T) {
	r := newRig(t, 3, func(o *Options) { o.WideFanout = 8 })
	var subs []*wire
	for i := range 30 {
		s := r.connect(i%3, connectAs(fmt.Sprint("s", i), codec.V311))
		s.subscribe("wide", codec.QoS1)
		if i < 3 {
			s.subscribe("narrow", codec.QoS1)
		}
		subs = append(subs, s)
	}
	pub := r.connect(0, connectAs("pub", codec.V311))
	for i := range 20 {
		pub.publish([]string{"wide", "narrow"}[i%2], fmt.Sprint(i), codec.QoS0, 0)
		if i%7 == 0 {
			r.Loops[i%3].Turn(r.Now)
		}
	}
	r.Settle()
	for i, s := range subs {
		for k := range 20 {
			if k%2 == 0 || i < 3 {
				s.expectPublish([]string{"wide", "narrow"}[k%2], fmt.Sprint(k))
			}
		}
		s.expectNothing()
	}
}

func TestConnectTimeoutClosesTheSilent(t *testing.T) {
	r := newRig(t, 1, nil)
	w := r.dial(0, true)
	r.Pass(9500)
	if w.Closed {
		t.Fatal("closed too early")
	}
	r.Pass(1000)
	if !w.Closed {
		t.Fatal("still open")
	}
}

func TestKeepAliveTimeoutIsOneAndAHalf(t *testing.T) {
	r := newRig(t, 1, nil)
	c := connectAs("c", codec.V5)
	c.KeepAlive = 10
	w := r.connect(0, c)
	r.Pass(14_000)
	w.send(codec.AppendPingreq(nil))
	r.Pass(14_500)
	w.expect(codec.TypePingresp)
	w.expectNothing()
	r.Pass(1_000)
	if f := w.expect(codec.TypeDisconnect); codec.ReasonCode(f.Body[0]) != codec.KeepAliveTimeout || !w.Closed {
		t.Errorf("code %#x closed %v", f.Body[0], w.Closed)
	}
}

func TestPacketsArriveByteByByte(t *testing.T) {
	r := newRig(t, 1, nil)
	sub := r.connect(0, connectAs("sub", codec.V5))
	sub.subscribe("t", codec.QoS0)
	pub := r.connect(0, connectAs("pub", codec.V5))
	b := (&codec.Publish{Topic: []byte("t"), Payload: make([]byte, 300)}).Append(nil, codec.V5)
	b = append(b, b...)
	for i := range b {
		pub.send(b[i : i+1])
	}
	r.Settle()
	sub.expect(codec.TypePublish)
	sub.expect(codec.TypePublish)
}

func TestAnnouncedLengthReservesNoMemory(t *testing.T) {
	r := newRig(t, 1, nil)
	pub := r.connect(0, connectAs("pub", codec.V5))
	pub.send([]byte{0x30, 0x80, 0x80, 0x80, 0x07}) // 14 MiB: within the maximum
	pub.send(make([]byte, 1000))
	if c := cap(pub.conn.partial.B); c > 16<<10 {
		t.Errorf("%d bytes reserved for 1000 received", c)
	}
	pub.gone()
	fresh := r.dial(0, true)
	fresh.send([]byte{0x10, 0xff, 0xff, 0xff, 0x07})
	if !fresh.Closed {
		t.Error("a CONNECT of 16 MiB is waited for")
	}
}

func TestShutdownSaysWhyTo5(t *testing.T) {
	r := newRig(t, 1, nil)
	a := r.connect(0, connectAs("a", codec.V5))
	b := r.connect(0, connectAs("b", codec.V311))
	r.Loops[0].Shutdown(r.Now)
	if f := a.expect(codec.TypeDisconnect); codec.ReasonCode(f.Body[0]) != codec.ServerShuttingDown || !a.Closed {
		t.Errorf("code %#x", f.Body[0])
	}
	b.expectNothing()
	if !b.Closed {
		t.Error("3.1.1 client left open")
	}
}

// direct is a wire that other loops may write to.
type direct struct {
	*wire
	takes int // bytes that WriteDirect takes
	calls int
}

func (d *direct) WriteDirect(b []byte) int {
	d.calls++
	n := min(len(b), d.takes)
	d.In = append(d.In, b[:n]...)
	return n
}

func TestRestingLoopIsWrittenForAndABusyOneIsNotWoken(t *testing.T) {
	r := newRig(t, 2, nil)
	sub := r.connect(1, connectAs("sub", codec.V311))
	sub.subscribe("t", codec.QoS0)
	d := &direct{wire: sub, takes: 1000}
	sub.conn.t = d
	pub := r.connect(0, connectAs("pub", codec.V311))
	r.Settle()

	pub.publish("t", "direct", codec.QoS0, 0)
	r.Loops[0].Turn(r.Now)
	sub.expectPublish("t", "direct")
	if r.Woken[1] || d.calls != 1 {
		t.Errorf("woken %v, %d direct writes", r.Woken[1], d.calls)
	}

	d.takes = 3 // the socket is nearly full: the owner sends the rest
	pub.publish("t", "in two pieces", codec.QoS0, 0)
	r.Loops[0].Turn(r.Now)
	if !r.Woken[1] {
		t.Error("the owner was not woken for the rest")
	}
	r.Settle()
	sub.expectPublish("t", "in two pieces")

	r.Loops[1].Begin()
	pub.publish("t", "posted", codec.QoS0, 0)
	r.Loops[0].Turn(r.Now)
	if r.Woken[1] || d.calls != 2 {
		t.Errorf("busy loop: woken %v, %d direct writes", r.Woken[1], d.calls)
	}
	if r.Loops[1].Rest() {
		t.Fatal("rests with mail in its box")
	}
	r.Loops[1].Turn(r.Now)
	sub.expectPublish("t", "posted")
	if !r.Loops[1].Rest() {
		t.Error("does not rest with an empty box")
	}
}

func TestExpiredRetainedMessagesMakeRoom(t *testing.T) {
	r := newRig(t, 2, func(o *Options) { o.MaxRetained = 10 })
	pub := r.connect(1, connectAs("pub", codec.V5))
	retain := func(topic string) {
		p := codec.Publish{Topic: []byte(topic), Payload: []byte("x"), Retain: true}
		p.Properties.MessageExpiryInterval = 2
		p.Properties.Set(codec.PropMessageExpiryInterval)
		pub.send(p.Append(nil, codec.V5))
		r.Settle()
	}
	for i := range 10 {
		retain(fmt.Sprint("old/", i))
	}
	r.Pass(1000)
	retain("new")
	if n := r.b.Retained(); n != 10 {
		t.Fatalf("%d retained", n)
	}
	r.Pass(1500)
	if n, bytes := r.b.Retained(), r.b.retained.bytes.Load(); n != 0 || bytes != 0 {
		t.Errorf("%d retained with %d bytes after they expired", n, bytes)
	}
	retain("new")
	if n := r.b.Retained(); n != 1 {
		t.Errorf("%d retained", n)
	}
}

func TestGroupFindsTheOneFreeMemberAmongManyBlocked(t *testing.T) {
	r := newRig(t, 1, nil)
	one := func(id string) *wire {
		c := durable(id, codec.V5)
		c.Properties.ReceiveMaximum = 1
		c.Properties.Set(codec.PropReceiveMaximum)
		return share(r, 0, id, codec.V5, c)
	}
	pub := r.connect(0, connectAs("pub", codec.V5))
	var members []*wire
	for i := range 4 * groupTries {
		members = append(members, one(fmt.Sprint("m", i)))
	}
	for i := range 4 * groupTries { // every window is full
		pub.publish("t/x", "fill", codec.QoS1, uint16(i+1))
	}
	r.Settle()
	free := members[3*groupTries]
	free.puback(free.expectPublish("t/x", "fill").PacketID)
	pub.publish("t/x", "last", codec.QoS1, 60000)
	r.Settle()
	r.Pass(2000)
	got := 0
	for _, m := range members {
		got += strings.Count(string(m.In), "last")
	}
	if got != 1 {
		t.Errorf("the message reached %d members", got)
	}
}

func TestRetainedMessageIsNotRefusedForAFullQueue(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.Session.MaxInflight, o.Session.MaxQueuedMessages = 1, 1 })
	r.connect(0, connectAs("sub", codec.V5)).subscribe("t", codec.QoS1)
	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 3 {
		p := codec.Publish{Topic: []byte("t"), Payload: fmt.Append(nil, i), QoS: codec.QoS1, PacketID: uint16(i + 1), Retain: true}
		pub.send(p.Append(nil, pub.v))
		r.Settle()
		pub.expectAck(codec.TypePuback, uint16(i+1), codec.Success)
	}
	late := r.connect(0, connectAs("late", codec.V5))
	late.subscribe("t", 0)
	late.expectPublish("t", "2")
}

package broker

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

func (r *rig) crashAndRestart(store *persist.Memory) *rig {
	store.Crash()
	next := newRigWithStore(r.t, len(r.Loops), store, func(o *Options) { *o = *r.b.options() })
	next.Now = r.Now
	if err := next.b.Restore(next.Now); err != nil {
		r.t.Fatal(err)
	}
	return next
}

// loadAll visits all that is in the store, one record at a time.
func loadAll(s Store, visit func(session.Record) error) error {
	var mu sync.Mutex
	return s.Load(func() func(session.Record) error {
		return func(r session.Record) error {
			mu.Lock()
			defer mu.Unlock()
			return visit(r)
		}
	})
}

func (r *rig) commit(store *persist.Memory, n int) {
	r.b.Durable(store.Commit(n))
	r.Settle()
}

func TestAcknowledgementsWaitForTheStore(t *testing.T) {
	store := &persist.Memory{Manual: true}
	r := newRigWithStore(t, 2, store, nil)
	sub := r.dial(1, true)
	sub.v = codec.V5
	sub.send(durable("sub", codec.V5).Append(nil, codec.V5))
	r.Settle()
	sub.expectNothing()
	r.commit(store, 1)
	sub.expect(codec.TypeConnack)
	sub.send((&codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("t"), QoS: 2}}}).Append(nil, codec.V5))
	r.Settle()
	sub.expectNothing()
	r.commit(store, 1)
	sub.expect(codec.TypeSuback)

	pub := r.connect(0, connectAs("pub", codec.V5))
	for i := range 3 {
		pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
	}
	pub.publish("other", "x", codec.QoS1, 9)
	r.Settle()
	pub.expectAck(codec.TypePuback, 9, codec.NoMatchingSubscribers) // nothing durable is owed
	for i := range 3 {
		sub.expectPublish("t", fmt.Sprint(i))
		pub.expectNothing()
		r.commit(store, 1)
		pub.expectAck(codec.TypePuback, uint16(i+1), codec.Success)
	}
}

func TestRestartBringsBackSessionsQueuesAndRetained(t *testing.T) {
	store := &persist.Memory{}
	r := newRigWithStore(t, 2, store, nil)
	sub := r.connect(1, durable("sub", codec.V311))
	sub.subscribe("t/#", codec.QoS2)
	watch := r.connect(1, durable("watch", codec.V311))
	watch.subscribe("$share/g/t/+", codec.QoS1)
	pub := r.connect(0, durable("pub", codec.V311))
	pub.publish("t/1", "seen", codec.QoS1, 1)
	p := codec.Publish{Topic: []byte("kept"), Payload: []byte("r"), Retain: true}
	pub.send(p.Append(nil, codec.V311))
	r.Settle()
	first := sub.expectPublish("t/1", "seen")
	sub.gone()
	watch.gone()
	pub.publish("t/2", "waits", codec.QoS2, 2)
	r.Settle()

	r = r.crashAndRestart(store)
	back := r.connect(0, durable("sub", codec.V311))
	if p := back.expectPublish("t/1", "seen"); !p.Dup || p.PacketID != first.PacketID {
		t.Errorf("resent with dup %v id %d, was %d", p.Dup, p.PacketID, first.PacketID)
	}
	if p := back.expectPublish("t/2", "waits"); p.Dup {
		t.Error("never sent, but dup")
	}
	back.subscribe("kept", 0)
	back.expectPublish("kept", "r")
	// The publisher repeats its QoS 2 message: known, so not routed again.
	again := r.connect(1, durable("pub", codec.V311))
	again.publish("t/2", "waits", codec.QoS2, 2)
	r.Settle()
	again.expect(codec.TypePubrec)
	back.expectNothing()
}

func TestCrashBeforeTheCommitLosesOnlyWhatWasNotAcknowledged(t *testing.T) {
	store := &persist.Memory{Manual: true}
	r := newRigWithStore(t, 1, store, nil)
	sub := r.dial(0, true)
	sub.v = codec.V311
	sub.send(durable("sub", codec.V311).Append(nil, codec.V311))
	sub.send((&codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("t"), QoS: 1}}}).Append(nil, codec.V311))
	r.Settle()
	r.commit(store, 100)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "acked", codec.QoS1, 1)
	r.Settle()
	r.commit(store, 100)
	pub.expectAck(codec.TypePuback, 1, codec.Success)
	pub.publish("t", "not acked", codec.QoS1, 2)
	r.Settle()
	pub.expectNothing()

	r = r.crashAndRestart(store)
	back := r.dial(0, true)
	back.v = codec.V311
	back.send(durable("sub", codec.V311).Append(nil, codec.V311))
	r.Settle()
	r.commit(store, 100)
	back.expect(codec.TypeConnack)
	back.expectPublish("t", "acked")
	back.expectNothing()
}

package broker

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

func TestFullQueueInTheStoreDropsNoMoreThanItMust(t *testing.T) {
	for _, most := range []int{1, 3} {
		store := &simStore{simBackend: &simMemory{}}
		r := newRigWithStore(t, 1, store, func(o *Options) { o.Session.MaxQueuedMessages, o.Session.QueueWindow = most, 2 })
		sub := r.connect(0, durable("sub", codec.V5))
		sub.subscribe("t", codec.QoS1)
		sub.gone()
		pub := r.connect(0, connectAs("pub", codec.V311))
		const n = 8
		for i := range n {
			pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
		}
		r.Settle()
		sub = r.connect(0, durable("sub", codec.V5))
		r.answerAll(store)
		for i := n - most; i < n; i++ {
			sub.expectPublish("t", fmt.Sprint(i))
		}
		if dropped := r.Loops[0].Counters().Drops[session.DropQueueFull]; dropped != uint64(n-most) {
			t.Errorf("queue of %d: %d dropped, want %d", most, dropped, n-most)
		}
	}
}

// answerAll does what reads there are, and those that follow from them.
func (r *rig) answerAll(store *simStore) {
	r.Settle()
	for len(store.reads) > 0 {
		q := store.reads[0]
		store.reads = store.reads[1:]
		store.simBackend.Read(q.QueueRead, q.done)
		r.Settle()
	}
}

func TestGroupGoesOnWhenWhatAMemberWaitedForIsGivenUp(t *testing.T) {
	store := &simStore{simBackend: &simMemory{}}
	r := newRigWithStore(t, 1, store, nil)
	member := r.connect(0, durable("member", codec.V5))
	member.subscribe("t", codec.QoS1)
	member.subscribe("$share/g/s", codec.QoS1)
	member.gone()
	pub := r.connect(0, connectAs("pub", codec.V5))
	p := codec.Publish{Topic: []byte("t"), Payload: []byte("short-lived"), QoS: codec.QoS1, PacketID: 1}
	p.Properties.MessageExpiryInterval = 1
	p.Properties.Set(codec.PropMessageExpiryInterval)
	pub.send(p.Append(nil, pub.v))
	r.Settle()
	member = r.connect(0, durable("member", codec.V5)) // and its queue is being read
	pub.publish("s", "x", codec.QoS1, 2)
	r.Settle()
	member.expectNothing()
	r.Now += 2000
	r.answerAll(store)
	member.expectPublish("s", "x")
}

package broker

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

func TestWillIsPublishedOnceWhereverACrashCuts(t *testing.T) {
	for _, delay := range []uint32{0, 5} {
		for cut := range 8 {
			r, store := manual(t, 1, nil)
			watch := r.durable(store, 0, durable("watch", codec.V5))
			watch.subscribeDurably(store, "will", codec.QoS2)
			watch.gone()
			c := withWill(durable("c", codec.V5), delay)
			c.WillQoS = codec.QoS2
			w := r.durable(store, 0, c)
			w.gone()
			if delay > 0 {
				r.commitAll(store)
				r.Pass(Time(delay) * 1000)
			}
			store.commit(cut)
			r, store = r.restart(store)
			r.Pass(60_000)
			r.commitAll(store)
			watch = r.durable(store, 0, durable("watch", codec.V5))
			r.answerAll(store)
			watch.expectPublish("will", "c")
			watch.expectNothing()
		}
	}
}

func TestWhatIsSaidAgainWaitsForWhatBacksIt(t *testing.T) {
	r, store := manual(t, 1, nil)
	sub := r.durable(store, 0, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS2)
	pub := r.durable(store, 0, durable("pub", codec.V5))
	pub.publish("t", "x", codec.QoS2, 1)
	r.commitAll(store)
	pub.expectAck(codec.TypePubrec, 1, codec.Success)
	id := sub.expectPublish("t", "x").PacketID
	for range 2 {
		sub.send(codec.AppendPubackShort(nil, codec.TypePubrec, id))
		pub.send([]byte{byte(codec.TypePubrel)<<4 | 2, 2, 0, 1})
		r.Settle()
		sub.expectNothing()
		pub.expectNothing()
	}
	r.commitAll(store)
	sub.expectAck(codec.TypePubrel, id, codec.Success)
	sub.expectAck(codec.TypePubrel, id, codec.Success)
	pub.expectAck(codec.TypePubcomp, 1, codec.Success)
	pub.expectAck(codec.TypePubcomp, 1, codec.PacketIdentifierNotFound)
	sub.send(unsubscribeFrom(codec.V5, "t"))
	r.Settle()
	sub.expectNothing()
	r.commitAll(store)
	sub.expect(codec.TypeUnsuback)
}

func TestQoS2FromTheQueueWaitsForItsRecord(t *testing.T) {
	r, store := manual(t, 1, func(o *Options) { o.Session.MaxInflight = 1 })
	sub := r.durable(store, 0, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS2)
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "1", codec.QoS1, 1)
	r.commitAll(store)
	first := sub.expectPublish("t", "1")
	pub.publish("t", "2", codec.QoS2, 2) // waits in memory
	sub.puback(first.PacketID)
	sub.expectNothing()
	r.commitAll(store)
	sub.expectPublish("t", "2")
}

func TestQueueOfAParkedSessionIsInTheStoreOnly(t *testing.T) {
	r, store := manual(t, 1, func(o *Options) { o.Session.MaxInflight = 1 })
	sub := r.durable(store, 0, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS1)
	pub := r.connect(0, connectAs("pub", codec.V311))
	for i := range 3 {
		pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
	}
	r.commitAll(store)
	sub.expectPublish("t", "0")
	sub.gone()
	sub = r.durable(store, 0, durable("sub", codec.V5))
	if len(store.reads) != 1 {
		t.Errorf("%d reads", len(store.reads))
	}
	r.answerAll(store)
	for i := range 3 {
		p := sub.expectPublish("t", fmt.Sprint(i))
		sub.puback(p.PacketID)
	}
}

// [MQTT-3.3.1-1]
func TestAfterARestartWhatMayHaveBeenSentHasDup(t *testing.T) {
	for parked := range 3 { // how often before
		r, store := manual(t, 1, func(o *Options) { o.Session.MaxInflight, o.Session.QueueWindow = 2, 1 })
		sub := r.durable(store, 0, durable("sub", codec.V5))
		sub.subscribeDurably(store, "t", codec.QoS1)
		pub := r.connect(0, connectAs("pub", codec.V311))
		for i := range 5 {
			pub.publish("t", fmt.Sprint(i), codec.QoS1, uint16(i+1))
		}
		r.commitAll(store)
		for i := range parked {
			if i > 0 {
				sub = r.durable(store, 0, durable("sub", codec.V5)) // and nothing is read for it
			}
			sub.gone()
			r.commitAll(store)
		}
		r, store = r.restart(store)
		sub = r.durable(store, 0, durable("sub", codec.V5))
		for i := range 5 {
			r.commitAll(store)
			r.answerAll(store)
			p := sub.expectPublish("t", fmt.Sprint(i))
			// Of a session that was connected nobody knows how far its client had got.
			if sent := i < 2; p.Dup != sent && (sent || parked > 0) {
				t.Errorf("parked %d times: message %d has dup %v", parked, i, p.Dup)
			}
			sub.puback(p.PacketID)
		}
	}
}

func TestFailedReadIsTriedAgainByTheLoopThatTheSessionMovedTo(t *testing.T) {
	r, store := manual(t, 2, nil)
	sub := r.durable(store, 0, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS1)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "x", codec.QoS1, 1)
	r.commitAll(store)
	r.durable(store, 0, durable("sub", codec.V5))
	store.answer(rnd0(), true) // loop 0 has it in its mailbox
	young := r.dial(1, true)
	young.v = codec.V5
	young.send(durable("sub", codec.V5).Append(nil, codec.V5))
	r.commitAll(store)
	young.expectSession(true)
	r.Pass(tickMillis)
	r.answerAll(store)
	young.expectPublish("t", "x")
}

// meddling is a store during whose next Append something else happens.
type meddling struct {
	persist.Memory
	meddle func()
}

func (s *meddling) Append(records []session.Record) uint64 {
	if f := s.meddle; f != nil && records[0].Kind == session.QueuePut {
		s.meddle = nil
		f()
	}
	return s.Memory.Append(records)
}

func TestQoS2WhoseConnectionWasTakenOverWhileItWasRoutedIsKnownAfterACrash(t *testing.T) {
	store := &meddling{}
	r := newRigWithStore(t, 2, store, nil)
	sub := r.connect(0, durable("sub", codec.V5))
	sub.subscribe("t", codec.QoS2)
	pub := r.connect(0, durable("pub", codec.V5))
	store.meddle = func() { r.dial(1, true).send(durable("pub", codec.V5).Append(nil, codec.V5)) }
	pub.publish("t", "x", codec.QoS2, 1)
	r.Settle()
	sub.expectPublish("t", "x")

	next := newRigWithStore(t, 1, &store.Memory, nil)
	if err := next.b.Restore(next.Now); err != nil {
		t.Fatal(err)
	}
	sub = next.connect(0, durable("sub", codec.V5))
	sub.expectPublish("t", "x")
	pub = next.connect(0, durable("pub", codec.V5))
	p := codec.Publish{Topic: []byte("t"), Payload: []byte("x"), QoS: codec.QoS2, PacketID: 1, Dup: true}
	pub.send(p.Append(nil, pub.v))
	next.Settle()
	pub.expectAck(codec.TypePubrec, 1, codec.Success)
	sub.expectNothing()
}

func TestFailedReadOfASessionThatEndedIsForgotten(t *testing.T) {
	r, store := manual(t, 1, nil)
	sub := r.durable(store, 0, durable("sub", codec.V5))
	sub.subscribeDurably(store, "t", codec.QoS1)
	sub.gone()
	pub := r.connect(0, connectAs("pub", codec.V311))
	pub.publish("t", "x", codec.QoS1, 1)
	r.commitAll(store)
	r.durable(store, 0, durable("sub", codec.V5))
	r.open(0, connectAs("sub", codec.V5)) // Clean Start
	r.commitAll(store)
	store.answer(rnd0(), true)
	r.Settle()
	if n := len(r.Loops[0].failedReads); n > 0 {
		t.Errorf("%d reads are to be tried again", n)
	}
}

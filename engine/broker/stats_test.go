package broker

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// TestCountersAreWhatIsOnTheWire counts the packets of a small story at both ends.
func TestCountersAreWhatIsOnTheWire(t *testing.T) {
	r := newRig(t, 1, nil)
	parked := r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("parked")})
	parked.subscribe("a/#", codec.QoS1)
	parked.gone()

	w := r.connect(0, connectAs("w", codec.V5))
	w.subscribe("a/b", codec.QoS2)
	w.publish("a/b", "0", codec.QoS0, 0)
	w.publish("a/b", "one", codec.QoS1, 1)
	w.publish("a/b", "two", codec.QoS2, 2)
	w.send((&codec.Ack{PacketID: 2}).Append(nil, codec.TypePubrel, codec.V5))
	w.send(codec.AppendPingreq(nil))
	w.send((&codec.Unsubscribe{PacketID: 9, Filters: [][]byte{[]byte("a/b")}}).Append(nil, codec.V5))
	r.Settle()

	var seen [16]uint64
	for {
		f, ok := w.next()
		if !ok {
			break
		}
		seen[f.Type]++
	}
	want := [16]uint64{codec.TypePublish: 3, codec.TypePuback: 1, codec.TypePubrec: 1, codec.TypePubcomp: 1, codec.TypePingresp: 1, codec.TypeUnsuback: 1}
	if seen != want {
		t.Fatalf("on the wire: %v, want %v", seen, want)
	}
	seen[codec.TypeConnack], seen[codec.TypeSuback] = 2, 2 // taken by connect and subscribe
	c := r.Loops[0].Counters()
	if c.PacketsOut != seen {
		t.Errorf("sent %v, want %v", c.PacketsOut, seen)
	}
	received := [16]uint64{codec.TypeConnect: 2, codec.TypeSubscribe: 2, codec.TypePublish: 3, codec.TypePubrel: 1, codec.TypePingreq: 1, codec.TypeUnsubscribe: 1}
	if c.PacketsIn != received {
		t.Errorf("received %v, want %v", c.PacketsIn, received)
	}
	if c.PublishBytesIn != 7 || c.PublishBytesOut != 7 {
		t.Errorf("payload bytes in %d, out %d, want 7", c.PublishBytesIn, c.PublishBytesOut)
	}
	if c.Connected != 1 {
		t.Errorf("%d connected, want 1", c.Connected)
	}
	if c.Queued != 2 || c.QueuedBytes == 0 {
		t.Errorf("%d messages of %d bytes are queued, want 2", c.Queued, c.QueuedBytes)
	}

	back := r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("parked")})
	back.expect(codec.TypePublish)
	back.expect(codec.TypePublish)
	if c := r.Loops[0].Counters(); c.Queued != 0 || c.QueuedBytes != 0 || c.PacketsOut[codec.TypePublish] != 5 {
		t.Errorf("after the drain %d messages of %d bytes are queued, %d PUBLISH sent", c.Queued, c.QueuedBytes, c.PacketsOut[codec.TypePublish])
	}
}

func TestQueueOfASessionThatEndsIsNotCounted(t *testing.T) {
	r := newRig(t, 1, nil)
	w := r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("parked")})
	w.subscribe("a", codec.QoS1)
	w.gone()
	r.connect(0, connectAs("p", codec.V5)).publish("a", "x", codec.QoS1, 1)
	r.Settle()
	if n := r.Loops[0].Counters().Queued; n != 1 {
		t.Fatalf("%d are queued, want 1", n)
	}
	again := r.connect(0, connectAs("parked", codec.V311)) // Clean Session
	if n := r.Loops[0].Counters().Queued; n != 0 {
		t.Errorf("%d are queued for nobody", n)
	}
	r.connect(0, connectAs("parked", codec.V311)) // takes over
	again.gone()
	if n := r.Loops[0].Counters().Connected; n != 2 {
		t.Errorf("%d connected, want 2", n)
	}
}

func TestSessionsThatExpireAreCounted(t *testing.T) {
	r := newRig(t, 1, nil)
	c := connectAs("a", codec.V5)
	c.Properties.SessionExpiryInterval = 10
	c.Properties.Set(codec.PropSessionExpiryInterval)
	r.connect(0, c).gone()
	r.Pass(11_000)
	if c := r.Loops[0].Counters(); c.Expired != 1 || c.Connected != 0 || r.b.Sessions() != 0 {
		t.Errorf("%d expired, %d connected, %d sessions", c.Expired, c.Connected, r.b.Sessions())
	}
}

// TestWhatTheServerSaysOfItselfIsNotStored: it is retained, but a restart makes it anew.
func TestWhatTheServerSaysOfItselfIsNotStored(t *testing.T) {
	st := &recordCounter{Store: &persist.Memory{}}
	r := newRigWithStore(t, 1, st, nil)
	r.b.Publish(&session.Message{Topic: []byte("$SYS/broker/uptime"), Payload: []byte("1"), Retain: true})
	r.Settle()
	if st.n != 0 || r.b.Retained() != 0 || r.b.retained.index.Len() != 1 {
		t.Errorf("%d records, %d retained, %d of clients; want none, one and none", st.n, r.b.retained.index.Len(), r.b.Retained())
	}
	r.b.Publish(&session.Message{Topic: []byte("a"), Payload: []byte("1"), Retain: true})
	r.Settle()
	if st.n != 1 {
		t.Errorf("%d records of an ordinary retained message", st.n)
	}
}

// TestBoundsOnRetainedMessagesAreForClients: what the server says of itself takes no place of theirs.
func TestBoundsOnRetainedMessagesAreForClients(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.MaxRetained = 1 })
	for _, topic := range []string{"$SYS/broker/a", "$SYS/broker/b", "mine", "$SYS/broker/a", "one more"} {
		r.b.Publish(&session.Message{Topic: []byte(topic), Payload: []byte("1"), Retain: true})
	}
	r.Settle()
	if n, dropped := r.b.retained.index.Len(), r.Loops[0].Counters().Drops[session.DropRetainedFull]; n != 3 || dropped != 1 {
		t.Errorf("%d retained, %d refused; want 3 and 1", n, dropped)
	}
}

// recordCounter counts what is appended to a Store.
type recordCounter struct {
	Store
	n int
}

func (s *recordCounter) Append(records []session.Record) uint64 {
	s.n += len(records)
	return s.Store.Append(records)
}

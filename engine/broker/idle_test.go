package broker

import (
	"reflect"
	"testing"
	"unsafe"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// TestIdleClientStaysSmall holds the size of what every idle connection costs here. Both are sizes that the allocator has: a byte
// more costs 16.
func TestIdleClientStaysSmall(t *testing.T) {
	if n := unsafe.Sizeof(client{}); n > 192 {
		t.Errorf("a client has %d bytes", n)
	}
	if n := unsafe.Sizeof(Conn{}); n > 80 {
		t.Errorf("a connection has %d bytes", n)
	}
	if n := unsafe.Sizeof(parkedTimer{}); n > 32 {
		t.Errorf("the deadline of a parked client has %d bytes", n)
	}
}

// TestIdleClientKeepsNothingOfItsBeginning: neither the replay of retained messages nor the handshake leaves anything with a client.
func TestIdleClientKeepsNothingOfItsBeginning(t *testing.T) {
	r := newRig(t, 1, nil)
	other := r.connect(0, connectAs("other", codec.V5))
	retained := codec.Publish{Topic: []byte("r/1"), Payload: []byte("x"), Retain: true}
	other.send(retained.Append(nil, codec.V5))
	r.Settle()

	w := r.dial(0, true)
	w.v = codec.V5
	hello := w.conn.hello
	w.send(connectAs("idle", codec.V5).Append(nil, codec.V5))
	r.Settle()
	w.expect(codec.TypeConnack)
	if w.conn.hello != nil || !reflect.ValueOf(*hello).IsZero() {
		t.Errorf("of the greeting there is %+v", hello)
	}
	if next := r.dial(0, true); next.conn.hello != hello {
		t.Error("the greeting is not used again")
	}
	c := w.conn.client
	for _, filter := range []string{"nothing/here", "r/1", "r/+"} {
		w.subscribe(filter, codec.QoS1)
		if filter != "nothing/here" {
			w.expect(codec.TypePublish)
		}
		w.expectNothing()
		if c.extra != nil {
			t.Errorf("after %s the client keeps %+v", filter, c.extra)
		}
	}
	w.subscribe("$share/g/r/1", codec.QoS1)
	if c.extra == nil {
		t.Error("a member of a group does not know it")
	}
	u := codec.Unsubscribe{PacketID: 2, Filters: [][]byte{[]byte("$share/g/r/1")}}
	w.send(u.Append(nil, codec.V5))
	r.Settle()
	w.expect(codec.TypeUnsuback)
	if c.extra != nil {
		t.Errorf("after it left its group the client keeps %+v", c.extra)
	}
}

// TestParkedClientWaitsForWhatItMust: one whose session never expires is on no wheel, one with a deadline is until it is back.
func TestParkedClientWaitsForWhatItMust(t *testing.T) {
	r := newRig(t, 2, nil)
	never := r.connect(0, &codec.Connect{Version: codec.V311, ClientID: []byte("never")})
	c := connectAs("minute", codec.V5)
	c.Properties.SessionExpiryInterval = 60
	c.Properties.Set(codec.PropSessionExpiryInterval)
	minute := r.connect(0, c)
	parked := func() int { return r.Loops[0].parked.w.count + r.Loops[1].parked.w.count }
	never.gone()
	if n := parked(); n != 0 {
		t.Errorf("%d timers for a session that never expires", n)
	}
	minute.gone()
	if n := parked(); n != 1 {
		t.Errorf("%d timers for a session that expires", n)
	}
	if minute = r.connect(1, c); parked() != 0 {
		t.Error("the deadline of a session stays when its client is back")
	}
	minute.gone()
	r.Now += session.Seconds(61)
	for _, l := range r.Loops {
		l.Tick(r.Now)
	}
	r.Settle()
	if n := r.b.Sessions(); n != 1 || parked() != 0 {
		t.Errorf("%d sessions, %d timers", n, parked())
	}
}

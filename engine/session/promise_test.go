package session

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// One call may deliver several messages of QoS 2, as the replay of retained ones does: none of them is seen before all are stored, or
// a crash would leave the client with identifiers that the session does not know of [MQTT-4.3.3-2].
func TestNoDeliveryOfACallLeavesBeforeItsRecords(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Durable = true
	s := New(&cfg, 1, "c")
	s.Connect(&Hello{Version: codec.V5, ClientID: "c", receiveMaximum: 10, Expiry: 3600}, 0, &Output{})
	out := &Output{Room: 1 << 20}
	for range 3 {
		var o Outgoing
		o.Reset(&Message{Topic: []byte("t"), Payload: []byte("p"), QoS: codec.QoS2}, 1000, false)
		if s.Deliver(&o, &Route{QoS: codec.QoS2}, out) != Sent {
			t.Fatal("not sent")
		}
	}
	all := len(out.Frames)
	if s.Recorded(7, out); len(out.Frames) > 0 {
		t.Errorf("%d of %d bytes leave before the store has all", len(out.Frames), all)
	}
	if s.Durable(7, out); len(out.Frames) != all {
		t.Errorf("%d of %d bytes leave when the store has all", len(out.Frames), all)
	}
}

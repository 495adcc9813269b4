package broker

import (
	"bytes"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// TestReconfigure: who is connected keeps what was announced, who comes now gets the new bounds, and bounds of the broker hold at once.
func TestReconfigure(t *testing.T) {
	r := newRig(t, 2, func(o *Options) { o.Session.MaxPacketSize = 1000 })
	before := r.connect(0, connectAs("before", codec.V5))
	before.subscribe("t", codec.QoS0)
	o := *r.b.options()
	o.Session.MaxPacketSize, o.Session.MaxQoS, o.MaxRetained = 100, codec.QoS1, 1
	o.Session.MaxTopicLevels = 1 << 20 // the router could not bear it
	r.b.Reconfigure(o)

	payload := string(bytes.Repeat([]byte("x"), 500))
	before.publish("t", payload, codec.QoS2, 1)
	r.Settle()
	before.expect(codec.TypePublish)
	before.expectAck(codec.TypePubrec, 1, codec.Success)
	after := r.connect(1, connectAs("after", codec.V5))
	after.publish("t", payload, codec.QoS1, 1)
	r.Settle()
	after.expect(codec.TypeDisconnect)
	if !after.Closed || before.Closed {
		t.Errorf("closed: %v who came after, %v who was there before", after.Closed, before.Closed)
	}
	o.Session.MaxPacketSize = 1000
	r.b.Reconfigure(o)
	deep := bytes.Repeat([]byte("a/"), 200)
	s := codec.Subscribe{PacketID: 2, Filters: []codec.Subscription{{Filter: deep}}}
	again := r.connect(1, connectAs("again", codec.V5))
	again.send(s.Append(nil, codec.V5))
	r.Settle()
	again.expect(codec.TypeSuback)
	for _, topic := range []string{"one", "two"} {
		r.b.Publish(&session.Message{Topic: []byte(topic), Payload: []byte("x"), Retain: true})
	}
	r.Settle()
	if n := r.b.Retained(); n != 1 {
		t.Errorf("%d retained, 1 allowed", n)
	}
}

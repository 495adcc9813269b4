package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestDeliveriesStopAtTheReceiveMaximum(t *testing.T) {
	t.Parallel()
	for _, window := range []int{1, 2, 5} {
		t.Run(fmt.Sprint(window), func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.3.4-9", "MQTT-4.9.0-1", "MQTT-4.9.0-2")
			b, topic := broker(t), unique(t)
			pub, c := b.join(t, V5), b.connect(t, V5, hello{props: prop(codec.PropReceiveMaximum, window)})
			c.subscribe(filter{topic, 2})
			const n = 24
			for i := range n {
				pub.publish(message{topic: topic, payload: fmt.Sprint(i), qos: codec.QoS(1 + i/2%2)})
			}
			var open []*packet
			for i := range window {
				open = append(open, c.delivery(topic, fmt.Sprint(i)))
			}
			// Each way to finish a delivery lets exactly one more go.
			for next := window; next < n; next++ {
				c.ping()
				p := open[0]
				open = open[1:]
				switch {
				case p.qos() == codec.QoS1 && next%3 == 0:
					c.puback(p.id, codec.QuotaExceeded)
				case p.qos() == codec.QoS1:
					c.puback(p.id, 0)
				case next%3 == 0:
					c.pubrec(p.id, codec.QuotaExceeded)
				default:
					c.pubrec(p.id, 0)
					c.expectAck(codec.TypePubrel, p.id)
					c.ping() // PUBREC alone frees nothing
					c.pubcomp(p.id)
				}
				open = append(open, c.delivery(topic, fmt.Sprint(next)))
			}
			c.ping()
		})
	}
}

func TestAFullWindowHoldsUpNothingElse(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-10", "MQTT-4.9.0-3")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.connect(t, V5, hello{props: prop(codec.PropReceiveMaximum, 1)})
	c.subscribe(filter{topic, 2})
	pub.publish(message{topic: topic, payload: "1", qos: 1})
	pub.publish(message{topic: topic, payload: "2", qos: 1})
	open := c.delivery(topic, "1")
	c.ping()
	c.send(subscribePacket(V5, 100, nil, filter{topic + "/x", 2}))
	c.expectAck(codec.TypeSuback, 100)
	c.send(unsubscribePacket(V5, 101, topic+"/x"))
	c.expectAck(codec.TypeUnsuback, 101)
	c.start(message{topic: topic + "/y", qos: 1, id: 102})
	c.expectAck(codec.TypePuback, 102)
	c.start(message{topic: topic + "/y", qos: 2, id: 103})
	c.expectAck(codec.TypePubrec, 103)
	c.send(ackPacket(codec.TypePubrel, 103, 0))
	c.expectAck(codec.TypePubcomp, 103)
	c.acknowledge(open)
	c.receive(topic, "2")
}

func TestQoS0IsDeliveredWhileTheWindowIsFull(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.9.0-3")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.connect(t, V5, hello{props: prop(codec.PropReceiveMaximum, 1)})
	c.subscribe(filter{topic + "/1", 1}, filter{topic + "/0", 0})
	pub.publish(message{topic: topic + "/1", payload: "open", qos: 1})
	c.delivery(topic+"/1", "open")
	pub.publish(message{topic: topic + "/0", payload: "free", qos: 0})
	c.delivery(topic+"/0", "free")
}

func TestResendsKeepWithinTheReceiveMaximum(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-9", "MQTT-4.9.0-2", "MQTT-4.4.0-1")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t), props: prop(codec.PropReceiveMaximum, 10)})
	pub, c := b.join(t, V5), b.connect(t, V5, h)
	c.subscribe(filter{topic, 1})
	const n = 14
	for i := range n {
		pub.publish(message{topic: topic, payload: fmt.Sprint(i), qos: 1})
	}
	for i := range 10 {
		c.delivery(topic, fmt.Sprint(i))
	}
	c.crash()
	c = b.connect(t, V5, lasting(V5, hello{id: h.id, props: prop(codec.PropReceiveMaximum, 2)}))
	open := []*packet{c.delivery(topic, "0"), c.delivery(topic, "1")}
	for i := range n {
		c.ping()
		equal(t, "DUP", open[0].dup(), i < 10)
		c.acknowledge(open[0])
		if open = open[1:]; i+2 < n {
			open = append(open, c.delivery(topic, fmt.Sprint(i+2)))
		}
	}
	c.ping()
}

func TestClientBeyondTheServersReceiveMaximumIsClosed(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-7")
	b, topic := brokerWith(t, small), unique(t)
	sub, c := b.join(t, V5), b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	equal(t, "receive maximum", c.ack.number(codec.PropReceiveMaximum, 65535), smallWindow)
	for i := range smallWindow {
		c.start(message{topic: topic, qos: 2, id: uint16(1 + i)})
		c.expectAck(codec.TypePubrec, uint16(1+i))
		sub.delivery(topic, "")
	}
	// A repeat takes no further slot, and a finished handshake gives one back.
	c.start(message{topic: topic, qos: 2, id: 1, dup: true})
	c.expectAck(codec.TypePubrec, 1)
	c.send(ackPacket(codec.TypePubrel, 1, 0))
	c.expectAck(codec.TypePubcomp, 1)
	c.start(message{topic: topic, qos: 2, id: 9})
	c.expectAck(codec.TypePubrec, 9)
	sub.delivery(topic, "")
	c.start(message{topic: topic, qos: 1, id: 10})
	c.refused(codec.ReceiveMaximumExceeded)
	sub.ping()
}

func TestReceiveMaximumOfTheServerIsPerConnection(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-7")
	b := brokerWith(t, small)
	c := b.join(t, V5)
	for i := range 5 * smallWindow { // QoS 1 is acknowledged, so the window never fills
		equal(t, "code", c.publish(message{topic: unique(t), qos: codec.QoS(1 + i%2)}) < codec.UnspecifiedError, true)
	}
	other := b.join(t, V311) // 3.1.1 has no Receive Maximum
	for i := range 2 * smallWindow {
		other.start(message{topic: "x", qos: 2, id: uint16(1 + i)})
		other.expectAck(codec.TypePubrec, uint16(1+i))
	}
}

func TestDeliveriesKeepWithinTheClientsMaximumPacketSize(t *testing.T) {
	t.Parallel()
	for q := range codec.QoS(3) {
		t.Run(fmt.Sprintf("QoS %d", q), func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.2-24", "MQTT-3.1.2-25")
			b, topic := broker(t), unique(t)
			const limit = 200
			head := 3 + 2 + len(topic) + 1 // the remaining length takes two bytes
			if q > 0 {
				head += 2
			}
			fits := strings.Repeat("x", limit-head)
			pub := b.join(t, V5)
			c := b.connect(t, V5, hello{props: cat(prop(codec.PropMaximumPacketSize, limit), prop(codec.PropReceiveMaximum, 1))})
			c.subscribe(filter{topic, byte(q)})
			for range 3 {
				pub.publish(message{topic: topic, payload: fits, qos: q})
				equal(t, "size", c.receive(topic, fits).size, limit)
				pub.publish(message{topic: topic, payload: fits + "x", qos: q})
				pub.publish(message{topic: topic, payload: strings.Repeat("y", 5000), qos: q})
				pub.publish(message{topic: topic, payload: "small", qos: q})
				c.receive(topic, "small") // no slot of the window is lost
				c.ping()
			}
		})
	}
}

func TestQueuedMessagesTooLargeForTheNextConnectionAreDropped(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-24", "MQTT-3.1.2-25")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	pub, c := b.join(t, V5), b.connect(t, V5, h)
	c.subscribe(filter{topic, 1})
	pub.publish(message{topic: topic, payload: strings.Repeat("a", 5000), qos: 1})
	pub.publish(message{topic: topic, payload: "sent", qos: 1})
	c.delivery(topic, strings.Repeat("a", 5000))
	c.delivery(topic, "sent")
	c.crash()
	pub.publish(message{topic: topic, payload: strings.Repeat("b", 5000), qos: 1})
	pub.publish(message{topic: topic, payload: "queued", qos: 1})
	narrow := h
	narrow.props = cat(h.props, prop(codec.PropMaximumPacketSize, 300), prop(codec.PropReceiveMaximum, 1))
	c = b.connect(t, V5, narrow)
	c.receive(topic, "sent")
	c.receive(topic, "queued")
	c.ping()
	c.crash()
	b.connect(t, V5, h).ping() // dropped for good: they counted as sent
}

func TestRetainedMessageTooLargeForTheClientIsLeftOut(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-24", "MQTT-3.1.2-25")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	pub.publish(message{topic: topic, payload: strings.Repeat("x", 5000), qos: 1, retain: true})
	c := b.connect(t, V5, hello{props: prop(codec.PropMaximumPacketSize, 300)})
	c.subscribe(filter{topic, 1})
	c.ping()
	pub.publish(message{topic: topic, payload: "small", qos: 1})
	c.receive(topic, "small")
}

// TestExplanationsYieldToTheMaximumPacketSize connects with room for each answer without a Reason String, and not with one.
func TestExplanationsYieldToTheMaximumPacketSize(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, guarded)
	for _, tt := range []struct {
		name    string
		rows    []string
		explain bool // the broker explains where there is room
		provoke func(c *client) *packet
	}{
		{"PUBACK", rows("MQTT-3.4.2-2", "MQTT-3.4.2-3"), true, func(c *client) *packet {
			c.start(message{topic: "forbidden", qos: 1, id: 1})
			return c.expectAck(codec.TypePuback, 1)
		}},
		{"PUBREC", rows("MQTT-3.5.2-2", "MQTT-3.5.2-3"), true, func(c *client) *packet {
			c.start(message{topic: "forbidden", qos: 2, id: 1})
			return c.expectAck(codec.TypePubrec, 1)
		}},
		{"PUBREL", rows("MQTT-3.6.2-2", "MQTT-3.6.2-3"), false, func(c *client) *packet {
			c.send(ackPacket(codec.TypePubrec, 1, 0))
			return c.expectAck(codec.TypePubrel, 1)
		}},
		{"PUBCOMP", rows("MQTT-3.7.2-2", "MQTT-3.7.2-3"), false, func(c *client) *packet {
			c.send(ackPacket(codec.TypePubrel, 1, 0))
			return c.expectAck(codec.TypePubcomp, 1)
		}},
		{"SUBACK", rows("MQTT-3.9.2-1", "MQTT-3.9.2-2"), true, func(c *client) *packet {
			return c.trySubscribe(nil, filter{"a#b", 0})
		}},
		{"UNSUBACK", rows("MQTT-3.11.2-1", "MQTT-3.11.2-2"), false, func(c *client) *packet {
			return c.unsubscribe("never/there")
		}},
		{"DISCONNECT", rows("MQTT-3.14.2-3", "MQTT-3.14.2-4"), true, func(c *client) *packet {
			c.send((&hello{id: c.id}).encode(V5))
			return c.expect(codec.TypeDisconnect)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, tt.rows...)
			free := b.join(t, V5)
			wordy := tt.provoke(free)
			if wordy.has(codec.PropReasonString) != tt.explain {
				t.Fatalf("reason string %q: this test shows less or more than it thinks", wordy.text(codec.PropReasonString))
			}
			// CONNACK has to fit in any case.
			limit := free.ack.size
			if tt.explain && wordy.size <= limit {
				t.Fatalf("%s of %d bytes fits beside a CONNACK of %d", tt.name, wordy.size, limit)
			}
			for n := limit; n <= max(limit, wordy.size); n++ {
				c := b.connect(t, V5, hello{props: prop(codec.PropMaximumPacketSize, n)})
				p := tt.provoke(c) // the witness sees its size
				equal(t, "code", fmt.Sprint(p.code, p.codes), fmt.Sprint(wordy.code, wordy.codes))
				equal(t, "reason string", p.has(codec.PropReasonString), tt.explain && n >= wordy.size)
			}
		})
	}
}

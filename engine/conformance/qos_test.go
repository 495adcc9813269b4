package conformance

import (
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestPublishQoS2DuplicateIsDeliveredOnce(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.3.3-10", "MQTT-4.3.3-12", "MQTT-2.2.1-5"),
		rows("MQTT-4.3.3-2", "MQTT-2.3.1-3"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub, sub := b.join(t, v), b.join(t, v)
			sub.subscribe(filter{topic, 2})
			m := message{topic: topic, payload: "x", qos: 2, id: 9}
			for range 3 { // after PUBCOMP the identifier is free: whatever DUP says, this is a new message
				pub.start(m)
				pub.expectAck(codec.TypePubrec, 9)
				for _, m.dup = range []bool{true, b.external, true} { // a repeat without DUP is the client's fault
					pub.start(m)
					pub.expectAck(codec.TypePubrec, 9)
				}
				pub.send(ackPacket(codec.TypePubrel, 9, 0))
				pub.expectAck(codec.TypePubcomp, 9)
				sub.receive(topic, "x")
				nothing([]*client{sub}, pub)
			}
		})
}

func TestPublishQoS1WithTheSameIdentifierIsANewMessage(t *testing.T) {
	bothVersions(t, rows("MQTT-4.3.2-5"), rows("MQTT-4.3.2-2"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub, sub := b.join(t, v), b.join(t, v)
		sub.subscribe(filter{topic, 1})
		for _, dup := range []bool{false, true, false} {
			pub.start(message{topic: topic, payload: "x", qos: 1, id: 5, dup: dup})
			pub.expectAck(codec.TypePuback, 5)
			sub.receive(topic, "x")
		}
	})
}

func TestPubrelOfAnUnknownIdentifierIsAnswered(t *testing.T) {
	t.Parallel()
	t.Run("5.0", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.7.2-1", "MQTT-4.3.3-11")
		c := broker(t).join(t, V5)
		c.send(ackPacket(codec.TypePubrel, 44, 0))
		equal(t, "code", c.expectAck(codec.TypePubcomp, 44).code, codec.PacketIdentifierNotFound)
	})
	t.Run("3.1.1", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-4.3.3-2")
		c := broker(t).join(t, V311)
		c.send(ackPacket(codec.TypePubrel, 44, 0))
		c.expectAck(codec.TypePubcomp, 44)
	})
}

func TestPubrecOfAnUnknownIdentifierIsAnswered(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.6.2-1")
	c := broker(t).join(t, V5)
	c.send(ackPacket(codec.TypePubrec, 44, 0))
	rel := c.expectAck(codec.TypePubrel, 44)
	if !c.b.external {
		equal(t, "code", rel.code, codec.PacketIdentifierNotFound)
	}
	c.ping()
}

func TestStrayAcknowledgementsDoNoHarm(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub, c := b.join(t, v), b.join(t, v)
		c.subscribe(filter{topic, 2})
		c.send(ackPacket(codec.TypePuback, 1, 0), ackPacket(codec.TypePubcomp, 1, 0), ackPacket(codec.TypePuback, 65535, 0))
		c.ping()
		pub.publish(message{topic: topic, payload: "x", qos: 2})
		p := c.delivery(topic, "x")
		if !b.external { // what another broker makes of this is its own affair
			c.send(ackPacket(codec.TypePuback, p.id, 0), ackPacket(codec.TypePubcomp, p.id, 0))
			c.ping()
		}
		c.acknowledge(p)
		c.ping()
	})
}

func TestOutboundQoS2HandshakeRuns(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.3.3-4", "MQTT-3.6.2-1", "MQTT-2.2.1-5"),
		rows("MQTT-4.3.3-1", "MQTT-2.3.1-6"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub, c := b.join(t, v), b.join(t, v)
			c.subscribe(filter{topic, 2})
			pub.publish(message{topic: topic, payload: "x", qos: 2})
			p := c.delivery(topic, "x")
			c.pubrec(p.id, 0)
			equal(t, "code", c.expectAck(codec.TypePubrel, p.id).code, 0)
			c.pubrec(p.id, 0) // again: the answer is the same
			equal(t, "code", c.expectAck(codec.TypePubrel, p.id).code, 0)
			c.pubcomp(p.id)
			c.ping()
		})
}

func TestFailingPubrecEndsTheHandshake(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.3.3-4", "MQTT-4.4.0-2")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	c.subscribe(filter{topic, 2})
	for _, code := range []codec.ReasonCode{
		codec.UnspecifiedError, codec.ImplementationSpecificError, codec.NotAuthorized, codec.TopicNameInvalid,
		codec.PacketIdentifierInUse, codec.QuotaExceeded, codec.PayloadFormatInvalid,
	} {
		pub.publish(message{topic: topic, payload: "x", qos: 2})
		p := c.delivery(topic, "x")
		c.pubrec(p.id, code)
		c.ping() // no PUBREL
	}
}

func TestNoMatchingSubscribersMayBeSaid(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.4.2-1", "MQTT-3.5.2-1")
	b := broker(t)
	pub := b.join(t, V5)
	for _, q := range []codec.QoS{1, 2} {
		code := pub.publish(message{topic: unique(t), qos: q})
		if code != codec.NoMatchingSubscribers && !(b.external && code == codec.Success) {
			t.Fatalf("QoS %d to nobody: code 0x%02x", q, byte(code))
		}
	}
}

func TestSentMessagesDoNotExpire(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.3.3-7", "MQTT-4.3.3-13", "MQTT-3.3.2-5")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t), props: prop(codec.PropReceiveMaximum, 3)})
	pub, c := b.join(t, V5), b.connect(t, V5, h)
	c.subscribe(filter{topic, 2})
	expiry := prop(codec.PropMessageExpiryInterval, 1)
	for i, q := range []codec.QoS{1, 2, 2, 1} {
		pub.publish(message{topic: topic, payload: string(rune('a' + i)), qos: q, props: expiry})
	}
	one, two, three := c.delivery(topic, "a"), c.delivery(topic, "b"), c.delivery(topic, "c")
	c.pubrec(three.id, 0)
	c.expectAck(codec.TypePubrel, three.id)
	c.ping() // the window is full: the fourth waits, and expires
	c.crash()
	pub.silentFor(1700 * time.Millisecond)

	c = b.connect(t, V5, h)
	for range 3 {
		p := c.next()
		switch {
		case p != nil && p.kind == codec.TypePubrel && p.id == three.id:
		case p != nil && p.kind == codec.TypePublish && p.dup() && (p.id == one.id && p.payload == "a" || p.id == two.id && p.payload == "b"):
		default:
			t.Fatalf("after the expiry: %v", p)
		}
	}
	c.pubcomp(three.id)
	c.acknowledge(one)
	c.acknowledge(two)
	c.ping()
}

func TestQoS2HandshakeOfAPublisherOutlivesTheExpiry(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.3.3-13")
	b, topic := broker(t), unique(t)
	pub, sub := b.join(t, V5), b.join(t, V5)
	sub.subscribe(filter{topic, 2})
	pub.start(message{topic: topic, payload: "x", qos: 2, id: 3, props: prop(codec.PropMessageExpiryInterval, 1)})
	pub.expectAck(codec.TypePubrec, 3)
	if b.external { // it may pass the message on only at PUBREL, when it has expired
		sub = nil
	}
	var p *packet
	if sub != nil {
		p = sub.delivery(topic, "x")
	}
	pub.silentFor(1500 * time.Millisecond)
	pub.send(ackPacket(codec.TypePubrel, 3, 0))
	equal(t, "code", pub.expectAck(codec.TypePubcomp, 3).code, 0)
	if sub != nil {
		sub.acknowledge(p)
		sub.ping()
	}
}

func TestDeliveriesBegunAreFinishedAfterUnsubscribe(t *testing.T) {
	bothVersions(t, rows("MQTT-3.10.4-3"), rows("MQTT-3.10.4-3"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t)})
		pub, c := b.join(t, v), b.connect(t, v, h)
		c.subscribe(filter{topic, 2})
		for _, text := range []string{"1", "2", "3"} {
			pub.publish(message{topic: topic, payload: text, qos: 2})
		}
		one, two, three := c.delivery(topic, "1"), c.delivery(topic, "2"), c.delivery(topic, "3")
		c.pubrec(two.id, 0)
		c.expectAck(codec.TypePubrel, two.id)
		c.unsubscribe(topic)
		c.acknowledge(one)
		c.pubcomp(two.id)
		c.ping()
		// The third goes on even on the next connection.
		c.crash()
		c = b.connect(t, v, h)
		p := c.delivery(topic, "3")
		equal(t, "packet identifier", p.id, three.id)
		c.acknowledge(p)
		c.ping()
	})
}

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestCleanStartThrowsTheSessionAway(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.2-4", "MQTT-3.1.4-4", "MQTT-3.2.2-2"),
		rows("MQTT-3.1.2-6", "MQTT-3.1.4-3", "MQTT-3.2.2-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			h := lasting(v, hello{id: unique(t)})
			pub, c := b.join(t, v), b.connect(t, v, h)
			c.subscribe(filter{topic, 1})
			c.leave()
			pub.publish(message{topic: topic, payload: "queued", qos: 1})

			h.resume = false
			c = b.connect(t, v, h)
			equal(t, "session present", c.ack.present, false)
			pub.publish(message{topic: topic, payload: "live", qos: 1})
			c.ping() // neither the queued message nor the old subscription
		})
}

func TestCleanStartDisplacesTheOldSessionOfALiveConnection(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-4", "MQTT-3.1.4-3"), rows("MQTT-3.1.2-6", "MQTT-3.1.4-2"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t)})
		pub, old := b.join(t, v), b.connect(t, v, h)
		old.subscribe(filter{topic, 1})
		h.resume = false
		c := b.connect(t, v, h)
		old.refused(codec.SessionTakenOver)
		pub.publish(message{topic: topic, payload: "live", qos: 1})
		c.ping()
	})
}

func TestSessionIsResumed(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.2-5", "MQTT-3.1.2-23", "MQTT-3.2.2-3", "MQTT-3.1.4-4", "MQTT-4.5.0-1", "MQTT-3.2.0-1"),
		rows("MQTT-3.1.2-4", "MQTT-3.1.2-5", "MQTT-3.2.2-2", "MQTT-3.1.4-3", "MQTT-4.1.0-1", "MQTT-4.5.0-1", "MQTT-3.2.0-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			h := lasting(v, hello{id: unique(t)})
			pub, c := b.join(t, v), b.connect(t, v, h)
			equal(t, "session present at first", c.ack.present, false)
			c.subscribe(filter{topic + "/+", 2})
			for round := range 3 {
				if round == 1 {
					c.crash()
				} else {
					c.leave()
				}
				pub.publish(message{topic: topic + "/1", payload: "one", qos: 1})
				pub.publish(message{topic: topic + "/2", payload: "two", qos: 2})
				c = b.connect(t, v, h) // CONNACK comes first
				equal(t, "session present", c.ack.present, true)
				p := c.receive(topic+"/1", "one")
				equal(t, "QoS", p.qos(), 1)
				equal(t, "DUP of a message never sent", p.dup(), false)
				equal(t, "QoS", c.receive(topic+"/2", "two").qos(), 2)
				pub.publish(message{topic: topic + "/3", payload: "live", qos: 1})
				c.receive(topic+"/3", "live")
				c.ping()
			}
		})
}

func TestWithoutAStoredSessionANewOneIsMade(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-6", "MQTT-3.2.2-3", "MQTT-3.1.4-4"), rows("MQTT-3.2.2-3", "MQTT-3.1.4-3"), func(t *testing.T, v codec.Version) {
		c := broker(t).connect(t, v, hello{resume: true})
		equal(t, "session present", c.ack.present, false)
		c.ping()
	})
}

func TestSessionsOfDifferentClientsAreApart(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.3-2"), rows("MQTT-3.1.3-2"), func(t *testing.T, v codec.Version) {
		b, topic, id := broker(t), unique(t), unique(t)
		c := b.connect(t, v, lasting(v, hello{id: id}))
		c.subscribe(filter{topic, 1})
		c.leave()
		b.join(t, v).publish(message{topic: topic, payload: "mine", qos: 1})
		for _, other := range []string{id + "x", id[:len(id)-1], id + " ", "X" + id[1:]} {
			c := b.connect(t, v, lasting(v, hello{id: other}))
			equal(t, "session present of another identifier", c.ack.present, false)
			c.ping()
		}
		c = b.connect(t, v, lasting(v, hello{id: id}))
		equal(t, "session present", c.ack.present, true)
		c.receive(topic, "mine")
	})
}

func TestSessionOfACleanSessionIsNeverReused(t *testing.T) {
	t.Parallel()
	covers(t, V311, "MQTT-3.1.2-6", "MQTT-3.2.2-3")
	b, topic := broker(t), unique(t)
	id := unique(t)
	c := b.connect(t, V311, hello{id: id})
	c.subscribe(filter{topic, 1})
	c.leave()
	b.join(t, V311).publish(message{topic: topic, payload: "x", qos: 1})
	c = b.connect(t, V311, hello{id: id, resume: true})
	equal(t, "session present", c.ack.present, false)
	c.ping()
}

func TestSessionWithoutExpiryEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.1.0-2", "MQTT-3.2.2-3")
	b, topic := broker(t), unique(t)
	for _, props := range [][]byte{nil, prop(codec.PropSessionExpiryInterval, 0)} {
		id := unique(t)
		c := b.connect(t, V5, hello{id: id, props: props})
		c.subscribe(filter{topic, 1})
		c.leave()
		b.join(t, V5).publish(message{topic: topic, payload: "x", qos: 1})
		c = b.connect(t, V5, hello{id: id, resume: true})
		equal(t, "session present", c.ack.present, false)
		c.ping()
	}
}

func TestSessionEndsWhenItsExpiryIntervalIsOver(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.1.0-2")
	b, topic := broker(t), unique(t)
	id := unique(t)
	c := b.connect(t, V5, hello{id: id, props: prop(codec.PropSessionExpiryInterval, 1)})
	c.subscribe(filter{topic, 1})
	c.leave()
	pub := b.join(t, V5)
	pub.publish(message{topic: topic, payload: "x", qos: 1})
	pub.silentFor(1800 * time.Millisecond)
	c = b.connect(t, V5, hello{id: id, resume: true, props: prop(codec.PropSessionExpiryInterval, 1)})
	equal(t, "session present", c.ack.present, false)
	pub.publish(message{topic: topic, payload: "y", qos: 1})
	c.ping()
}

func TestSessionExpiryRunsOnlyWhileDisconnected(t *testing.T) {
	bothVersions(t, rows("MQTT-4.1.0-1"), rows("MQTT-4.1.0-2"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := hello{}
		if v == V5 {
			h.props = prop(codec.PropSessionExpiryInterval, 1)
		}
		c, brief := b.connect(t, v, h), b.join(t, v) // the session of brief expires at once
		c.subscribe(filter{topic, 1})
		brief.subscribe(filter{topic, 1})
		pub := b.join(t, v)
		pub.publish(message{topic: topic, payload: "first", qos: 1})
		open, openBrief := c.delivery(topic, "first"), brief.delivery(topic, "first")
		c.silentFor(1800 * time.Millisecond)
		pub.publish(message{topic: topic, payload: "later", qos: 1})
		c.receive(topic, "later")
		brief.receive(topic, "later")
		c.acknowledge(open)
		brief.acknowledge(openBrief)
		c.ping()
		brief.ping()
	})
}

func TestDisconnectChangesTheSessionExpiry(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-23", "MQTT-4.1.0-2")
	b := broker(t)
	t.Run("to zero", func(t *testing.T) {
		id := unique(t)
		c := b.connect(t, V5, hello{id: id, props: prop(codec.PropSessionExpiryInterval, 600)})
		c.send(disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 0)))
		c.closed()
		equal(t, "session present", b.connect(t, V5, hello{id: id, resume: true}).ack.present, false)
	})
	t.Run("up", func(t *testing.T) {
		id := unique(t)
		c := b.connect(t, V5, hello{id: id, props: prop(codec.PropSessionExpiryInterval, 1)})
		c.send(disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 600)))
		c.closed()
		b.join(t, V5).silentFor(1800 * time.Millisecond)
		equal(t, "session present", b.connect(t, V5, hello{id: id, resume: true}).ack.present, true)
	})
}

func TestDisconnectMustNotRaiseTheSessionExpiryFromZero(t *testing.T) {
	t.Parallel()
	c := broker(t).join(t, V5)
	c.send(disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 60)))
	c.refused(codec.ProtocolError)
}

func TestResumingConnectionSetsANewSessionExpiry(t *testing.T) {
	t.Parallel()
	b, id := broker(t), unique(t)
	b.connect(t, V5, hello{id: id, props: prop(codec.PropSessionExpiryInterval, 600)}).leave()
	c := b.connect(t, V5, hello{id: id, resume: true})
	equal(t, "session present", c.ack.present, true)
	c.leave()
	equal(t, "session present", b.connect(t, V5, hello{id: id, resume: true}).ack.present, false)
}

func TestServerThatLowersTheSessionExpirySaysSo(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, impatient)
	c := b.connect(t, V5, hello{props: prop(codec.PropSessionExpiryInterval, 600)})
	equal(t, "session expiry interval", c.ack.number(codec.PropSessionExpiryInterval, -1), 1)
	id := c.id
	c.leave()
	pub := broker(t).join(t, V5)
	pub.silentFor(1800 * time.Millisecond)
	equal(t, "session present", b.connect(t, V5, hello{id: id, resume: true}).ack.present, false)
}

func TestUnacknowledgedMessagesAreResentOnResume(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.1-1", "MQTT-4.4.0-1", "MQTT-4.3.2-3", "MQTT-4.3.3-3"),
		rows("MQTT-3.3.1-1", "MQTT-4.4.0-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-2.3.1-4", "MQTT-4.6.0-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			h := lasting(v, hello{id: unique(t)})
			pub, c := b.join(t, v), b.connect(t, v, h)
			c.subscribe(filter{topic, 2})
			const n = 6
			ids := make([]uint16, n)
			for i := range n {
				pub.publish(message{topic: topic, payload: fmt.Sprint(i), qos: codec.QoS(1 + i%2)})
				p := c.delivery(topic, fmt.Sprint(i))
				equal(t, "DUP of the first send", p.dup(), false)
				ids[i] = p.id
			}
			for range 2 {
				c.crash()
				c = b.connect(t, v, h)
				for i := range n {
					p := c.delivery(topic, fmt.Sprint(i))
					equal(t, "DUP of a resend", p.dup(), true)
					equal(t, "packet identifier of a resend", p.id, ids[i])
					equal(t, "QoS of a resend", p.qos(), codec.QoS(1+i%2))
				}
				c.ping()
			}
			// A new message does not take an identifier that is still in use: the witness looks.
			pub.publish(message{topic: topic, payload: "new", qos: 1})
			c.delivery(topic, "new")
		})
}

func TestAcknowledgedMessagesAreNotResent(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.3.2-3", "MQTT-4.4.0-2", "MQTT-4.3.3-3"),
		rows("MQTT-4.3.2-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			h := lasting(v, hello{id: unique(t)})
			pub, c := b.join(t, v), b.connect(t, v, h)
			c.subscribe(filter{topic, 2})
			for _, q := range []codec.QoS{1, 2} {
				pub.publish(message{topic: topic, payload: "done", qos: q})
				c.receive(topic, "done")
				if v == V5 {
					pub.publish(message{topic: topic, payload: "refused", qos: q})
					p := c.delivery(topic, "refused")
					if q == codec.QoS1 {
						c.puback(p.id, codec.UnspecifiedError)
					} else {
						c.pubrec(p.id, codec.QuotaExceeded)
					}
				}
			}
			c.ping()
			c.crash()
			c = b.connect(t, v, h)
			equal(t, "session present", c.ack.present, true)
			c.ping()
		})
}

func TestPubrelIsResentAfterPubrec(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.3.3-5", "MQTT-4.3.3-6", "MQTT-4.4.0-1", "MQTT-4.3.3-4", "MQTT-3.6.2-1"),
		rows("MQTT-4.3.3-1", "MQTT-4.4.0-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			h := lasting(v, hello{id: unique(t)})
			pub, c := b.join(t, v), b.connect(t, v, h)
			c.subscribe(filter{topic, 2})
			pub.publish(message{topic: topic, payload: "x", qos: 2})
			p := c.delivery(topic, "x")
			c.pubrec(p.id, 0)
			c.expectAck(codec.TypePubrel, p.id)
			for range 2 {
				c.crash()
				c = b.connect(t, v, h)
				c.expectAck(codec.TypePubrel, p.id)
				c.ping() // and no PUBLISH
			}
			c.pubcomp(p.id)
			c.ping()
			c.crash()
			c = b.connect(t, v, h)
			c.ping()
		})
}

func TestNothingIsResentOnALiveConnection(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.4.0-1")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	c.subscribe(filter{topic, 2})
	pub.publish(message{topic: topic, payload: "1", qos: 1})
	pub.publish(message{topic: topic, payload: "2", qos: 2})
	c.delivery(topic, "1")
	two := c.delivery(topic, "2")
	c.pubrec(two.id, 0)
	c.expectAck(codec.TypePubrel, two.id)
	c.silentFor(2 * time.Second)
	c.ping()
}

func TestInboundQoS2StateSurvivesTheConnection(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.3.3-10", "MQTT-3.1.2-23"),
		rows("MQTT-4.3.3-2", "MQTT-2.3.1-3", "MQTT-4.1.0-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			sub := b.join(t, v)
			sub.subscribe(filter{topic, 0})
			h := lasting(v, hello{id: unique(t)})
			c := b.connect(t, v, h)
			m := message{topic: topic, payload: "once", qos: 2, id: 7}
			c.send(m.encode(v))
			c.expectAck(codec.TypePubrec, 7)
			c.crash()

			c = b.connect(t, v, h)
			equal(t, "session present", c.ack.present, true)
			m.dup = true
			c.send(m.encode(v))
			c.expectAck(codec.TypePubrec, 7)
			c.send(ackPacket(codec.TypePubrel, 7, 0))
			equal(t, "code", c.expectAck(codec.TypePubcomp, 7).code, 0)
			sub.receive(topic, "once")
			nothing([]*client{sub}, c)
		})
}

func TestNoMessageIsLostBetweenConnections(t *testing.T) {
	bothVersions(t, rows("MQTT-4.5.0-1", "MQTT-4.6.0-5"), rows("MQTT-4.5.0-1", "MQTT-4.6.0-6"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t)})
		pub, c := b.join(t, v), b.connect(t, v, h)
		c.subscribe(filter{topic, 1})
		sent, got := 0, 0
		for range 5 {
			for range 20 {
				pub.publish(message{topic: topic, payload: fmt.Sprint(sent), qos: 1})
				sent++
			}
			c.vanish()
			c = b.connect(t, v, h)
			for got < sent {
				p := c.expect(codec.TypePublish)
				equal(t, "payload", p.payload, fmt.Sprint(got))
				c.acknowledge(p)
				got++
			}
			c.ping() // so that the acknowledgements have arrived before the connection goes
		}
	})
}

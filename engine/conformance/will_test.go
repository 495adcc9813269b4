package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestWillIsPublishedOnAnAbnormalEnd(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.2-7", "MQTT-3.1.2-8", "MQTT-3.1.2-10"),
		rows("MQTT-3.1.2-8", "MQTT-3.1.2-10"),
		func(t *testing.T, v codec.Version) {
			for name, end := range map[string]func(*client){
				"network gone":     (*client).vanish,
				"malformed packet": (*client).crash,
				"protocol error":   func(c *client) { c.send((&hello{id: c.id}).encode(v)); c.gone() },
			} {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b, topic := broker(t), unique(t)
					sub := b.join(t, v)
					sub.subscribe(filter{topic, 2})
					h := hello{id: unique(t), will: &will{topic: topic, payload: "will", qos: 1}}
					c := b.connect(t, v, h)
					nothing([]*client{sub}, c) // not while the connection lives
					end(c)
					p := sub.receive(topic, "will")
					equal(t, "QoS", p.qos(), 1)
					equal(t, "RETAIN", p.retain(), false)
					// Published, it is gone: the next connection has no will.
					c = b.connect(t, v, hello{id: h.id})
					c.crash()
					sub.ping()
				})
			}
		})
}

func TestWillIsDiscardedOnDisconnect(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.14.4-3", "MQTT-3.1.2-8", "MQTT-3.1.2-10"),
		rows("MQTT-3.14.4-3", "MQTT-3.1.2-8", "MQTT-3.1.2-10"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			sub := b.join(t, v)
			sub.subscribe(filter{topic, 0})
			h := lasting(v, hello{id: unique(t), will: &will{topic: topic, payload: "will"}})
			b.connect(t, v, h).leave()
			sub.ping()
			h.will = nil
			b.connect(t, v, h).crash() // the session has not kept it
			sub.ping()
		})
}

func TestWithoutAWillNothingIsPublished(t *testing.T) {
	bothVersions(t, nil, rows("MQTT-3.1.2-12"), func(t *testing.T, v codec.Version) {
		b, id := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{id + "/#", 0}, filter{id, 0})
		c := b.connect(t, v, hello{id: id})
		c.crash()
		sub.ping()
	})
}

func TestDisconnectWithWillPublishesIt(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.14.4-3", "MQTT-3.1.2-8")
	b, topic := broker(t), unique(t)
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	for _, code := range []codec.ReasonCode{codec.DisconnectWithWill, codec.UnspecifiedError, codec.ProtocolError, codec.QuotaExceeded} {
		c := b.connect(t, V5, hello{will: &will{topic: topic, payload: fmt.Sprint(code)}})
		c.send(disconnectPacket(code))
		c.closed()
		sub.receive(topic, fmt.Sprint(code))
	}
}

func TestWillRetainFlagRules(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.2-14", "MQTT-3.1.2-15"),
		rows("MQTT-3.1.2-16", "MQTT-3.1.2-17"),
		func(t *testing.T, v codec.Version) {
			for _, retain := range []bool{false, true} {
				b, topic := broker(t), unique(t)
				sub := b.join(t, v)
				sub.subscribe(filter{topic, 1})
				b.connect(t, v, hello{will: &will{topic: topic, payload: "will", qos: 1, retain: retain}}).crash()
				sub.receive(topic, "will")
				late := b.join(t, v)
				late.subscribe(filter{topic, 1})
				if retain {
					equal(t, "RETAIN", late.receive(topic, "will").retain(), true)
				}
				late.ping()
			}
		})
}

func TestWillIsDeliveredAtItsQoS(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-7"), rows("MQTT-3.1.2-8"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 2})
		for q := range codec.QoS(3) {
			b.connect(t, v, hello{will: &will{topic: topic, payload: "will", qos: q}}).vanish()
			equal(t, "QoS", sub.receive(topic, "will").qos(), q)
		}
	})
}

func TestEmptyWillPayloadIsPublished(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 0})
		b.connect(t, v, hello{will: &will{topic: topic}}).vanish()
		sub.receive(topic, "")
	})
}

func TestWillPropertiesArePublishedWithIt(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.3-10")
	b, topic := broker(t), unique(t)
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	b.connect(t, V5, hello{will: &will{topic: topic, payload: "will", props: cat(
		pair("b", "2"), prop(codec.PropContentType, "text/plain"), pair("a", "1"), prop(codec.PropPayloadFormatIndicator, 1),
		pair("b", "2"), prop(codec.PropResponseTopic, "answers"), prop(codec.PropMessageExpiryInterval, 60), pair("", ""),
	)}}).vanish()
	p := sub.receive(topic, "will")
	equal(t, "user properties", pairs(p), "b=2 a=1 b=2 = ")
	equal(t, "content type", p.text(codec.PropContentType), "text/plain")
	equal(t, "response topic", p.text(codec.PropResponseTopic), "answers")
	equal(t, "payload format indicator", p.number(codec.PropPayloadFormatIndicator, -1), 1)
	if n := p.number(codec.PropMessageExpiryInterval, -1); n < 50 || n > 60 {
		t.Fatalf("message expiry interval %d", n)
	}
}

// pairs writes the User Properties of a packet in their order.
func pairs(p *packet) string {
	s := ""
	for _, x := range p.all(codec.PropUserProperty) {
		s += x.name + "=" + x.value + " "
	}
	return s
}

// delayed is a CONNECT with a will that is delayed by some seconds.
func delayed(topic string, delay, expiry int) hello {
	return hello{
		props: prop(codec.PropSessionExpiryInterval, expiry),
		will:  &will{topic: topic, payload: "will", props: prop(codec.PropWillDelayInterval, delay)},
	}
}

func TestWillWaitsForItsDelay(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-8")
	b, topic := broker(t), unique(t)
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	b.connect(t, V5, delayed(topic, 1, 600)).crash()
	sub.ping() // not at once
	sub.receive(topic, "will")
}

func TestWillGoesOutWhenTheSessionEndsBeforeItsDelay(t *testing.T) {
	t.Parallel()
	b := broker(t)
	for name, end := range map[string]func(t *testing.T, topic string){
		"expiry 0": func(t *testing.T, topic string) { b.connect(t, V5, delayed(topic, 600, 0)).crash() },
		"expiry 1": func(t *testing.T, topic string) { b.connect(t, V5, delayed(topic, 600, 1)).crash() },
		"expiry lowered by DISCONNECT": func(t *testing.T, topic string) {
			c := b.connect(t, V5, delayed(topic, 600, 600))
			c.send(disconnectPacket(codec.DisconnectWithWill, prop(codec.PropSessionExpiryInterval, 0)))
			c.closed()
		},
		"clean start": func(t *testing.T, topic string) {
			h := delayed(topic, 600, 600)
			h.id = unique(t)
			b.connect(t, V5, h).crash()
			b.connect(t, V5, hello{id: h.id})
		},
		"clean start takes over": func(t *testing.T, topic string) {
			h := delayed(topic, 600, 600)
			h.id = unique(t)
			old := b.connect(t, V5, h)
			b.connect(t, V5, hello{id: h.id})
			old.refused(codec.SessionTakenOver)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.2-8", "MQTT-3.1.3-9")
			topic := unique(t)
			sub := b.join(t, V5)
			sub.subscribe(filter{topic, 0})
			end(t, topic)
			sub.receive(topic, "will")
		})
	}
}

func TestReconnectWithinTheDelayCancelsTheWill(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.3-9", "MQTT-3.1.2-8")
	b, topic := broker(t), unique(t)
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	h := delayed(topic, 1, 600)
	h.id, h.resume = unique(t), true
	b.connect(t, V5, h).crash()
	h.will = nil
	c := b.connect(t, V5, h)
	equal(t, "session present", c.ack.present, true)
	sub.silentFor(1800 * time.Millisecond)
	c.crash() // and the new connection has none
	sub.ping()
}

func TestTakeoverPublishesAnUndelayedWill(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-8"), rows("MQTT-3.1.2-8"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 0})
		h := lasting(v, hello{id: unique(t), will: &will{topic: topic, payload: "will"}})
		old := b.connect(t, v, h)
		h.will = nil
		b.connect(t, v, h)
		old.refused(codec.SessionTakenOver)
		sub.receive(topic, "will")
	})
}

func TestMalformedDisconnectPublishesTheWill(t *testing.T) {
	bothVersions(t, rows("MQTT-3.14.1-1"), rows("MQTT-3.14.1-1"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 0})
		for flags := byte(1); flags < 16; flags++ {
			c := b.connect(t, v, hello{will: &will{topic: topic, payload: fmt.Sprint(flags)}})
			c.send([]byte{0xe0 | flags, 0})
			c.refused(codec.MalformedPacket)
			sub.receive(topic, fmt.Sprint(flags))
		}
	})
}

func TestWillOfAParkedQoS1SubscriberIsQueued(t *testing.T) {
	bothVersions(t, rows("MQTT-4.5.0-1"), rows("MQTT-4.5.0-1"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t)})
		c := b.connect(t, v, h)
		c.subscribe(filter{topic, 1})
		c.leave()
		b.connect(t, v, hello{will: &will{topic: topic, payload: "will", qos: 1}}).crash()
		b.connect(t, v, h).receive(topic, "will")
	})
}

func TestClientReceivesItsOwnWillIfItsSessionLives(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t), will: &will{topic: topic, payload: "mine", qos: 1}})
	c := b.connect(t, V5, h)
	c.subscribe(filter{topic, 1})
	c.crash()
	h.will = nil
	b.connect(t, V5, h).receive(topic, "mine")
}

func TestWillOfAnInvalidTopicIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.7.0-1", "MQTT-4.7.3-1"), rows("MQTT-4.7.1-1", "MQTT-4.7.3-1"), func(t *testing.T, v codec.Version) {
		for _, topic := range []string{"", "a/#", "+/a"} {
			c := broker(t).open(t, v, hello{will: &will{topic: topic, payload: "x"}})
			if v == V5 {
				c.refusedConnect(codec.TopicNameInvalid, codec.MalformedPacket, codec.ProtocolError)
			} else {
				c.refusedConnect()
			}
		}
	})
}

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestRetainedMessageIsSentToNewSubscribers(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.1-5", "MQTT-3.3.1-9"),
		rows("MQTT-3.3.1-5", "MQTT-3.3.1-6", "MQTT-3.3.1-8"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub := b.join(t, v)
			for i, q := range []codec.QoS{0, 1, 2} {
				pub.publish(message{topic: topic + "/one", payload: fmt.Sprint("old", i), qos: q, retain: true})
			}
			pub.publish(message{topic: topic + "/two", payload: "two", qos: 1, retain: true})
			pub.leave() // retained messages do not belong to a session
			for granted := range codec.QoS(3) {
				sub := b.join(t, v)
				sub.subscribe(filter{topic + "/one", byte(granted)})
				p := sub.receive(topic+"/one", "old2")
				equal(t, "RETAIN", p.retain(), true)
				equal(t, "QoS", p.qos(), granted)
				equal(t, "DUP", p.dup(), false)
				sub.ping()
				sub.subscribe(filter{topic + "/+", byte(granted)})
				got := map[string]bool{}
				for range 2 {
					p := sub.expect(codec.TypePublish)
					got[p.topic+" "+p.payload] = p.retain()
					sub.acknowledge(p)
				}
				if len(got) != 2 || !got[topic+"/one old2"] || !got[topic+"/two two"] {
					t.Fatalf("retained messages: %v", got)
				}
				sub.ping()
			}
		})
}

func TestRetainedMessageOutlivesItsPublishersSession(t *testing.T) {
	t.Parallel()
	covers(t, V311, "MQTT-3.1.2-7")
	b, topic := broker(t), unique(t)
	pub := b.connect(t, V311, hello{})
	pub.publish(message{topic: topic, payload: "x", qos: 1, retain: true})
	pub.leave()
	b.connect(t, V311, hello{id: pub.id}).leave() // clean
	sub := b.join(t, V311)
	sub.subscribe(filter{topic, 0})
	sub.receive(topic, "x")
}

func TestEmptyRetainedMessageClearsTheTopic(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.1-6", "MQTT-3.3.1-7"),
		rows("MQTT-3.3.1-10", "MQTT-3.3.1-11"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub, current := b.join(t, v), b.join(t, v)
			current.subscribe(filter{topic, 1})
			for q := range codec.QoS(3) {
				pub.publish(message{topic: topic, payload: "x", qos: 1, retain: true})
				current.receive(topic, "x")
				pub.publish(message{topic: topic, qos: q, retain: true})
				equal(t, "RETAIN", current.receive(topic, "").retain(), false)
				late := b.join(t, v)
				late.subscribe(filter{topic, 1})
				late.ping()
			}
			// Clearing what was never there keeps nothing either.
			pub.publish(message{topic: topic + "/never", qos: 1, retain: true})
			late := b.join(t, v)
			late.subscribe(filter{topic + "/#", 1})
			late.ping()
		})
}

func TestUnretainedMessageLeavesTheRetainedOneAlone(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-8"), rows("MQTT-3.3.1-12"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub := b.join(t, v)
		pub.publish(message{topic: topic, payload: "kept", qos: 1, retain: true})
		pub.publish(message{topic: topic, payload: "passing", qos: 1})
		pub.publish(message{topic: topic, qos: 1}) // empty, but not retained
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 1})
		sub.receive(topic, "kept")
		sub.ping()
	})
}

func TestRetainedQoS0MessageReplacesTheFormerOne(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-5"), rows("MQTT-3.3.1-7"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub := b.join(t, v)
		pub.publish(message{topic: topic, payload: "old", qos: 2, retain: true})
		pub.publish(message{topic: topic, payload: "new", retain: true})
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 2})
		equal(t, "QoS", sub.receive(topic, "new").qos(), 0)
		sub.ping()
	})
}

func TestLiveMessagesAreForwardedWithoutRetain(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-12"), rows("MQTT-3.3.1-9"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub, sub := b.join(t, v), b.join(t, v)
		sub.subscribe(filter{topic, 2})
		for q := range codec.QoS(3) {
			pub.publish(message{topic: topic, payload: "x", qos: q, retain: true})
			equal(t, "RETAIN", sub.receive(topic, "x").retain(), false)
		}
	})
}

func TestRetainAsPublishedKeepsTheFlag(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.1-13", "MQTT-3.3.1-12")
	b, topic := broker(t), unique(t)
	pub, as, not := b.join(t, V5), b.join(t, V5), b.join(t, V5)
	as.subscribe(filter{topic, 2 | retainAsPublished})
	not.subscribe(filter{topic, 2})
	for q := range codec.QoS(3) {
		for _, retain := range []bool{true, false} {
			pub.publish(message{topic: topic, payload: "x", qos: q, retain: retain})
			equal(t, "RETAIN as published", as.receive(topic, "x").retain(), retain)
			equal(t, "RETAIN", not.receive(topic, "x").retain(), false)
		}
	}
}

func TestRetainAsPublishedKeepsTheFlagOfQueuedMessages(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.1-13")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	pub, c := b.join(t, V5), b.connect(t, V5, h)
	c.subscribe(filter{topic, 1 | retainAsPublished})
	c.leave()
	pub.publish(message{topic: topic, payload: "r", qos: 1, retain: true})
	pub.publish(message{topic: topic, payload: "n", qos: 1})
	c = b.connect(t, V5, h)
	equal(t, "RETAIN", c.receive(topic, "r").retain(), true)
	equal(t, "RETAIN", c.receive(topic, "n").retain(), false)
}

func TestRetainHandlingSaysWhenRetainedMessagesAreSent(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.1-9", "MQTT-3.3.1-10", "MQTT-3.3.1-11", "MQTT-3.8.4-4")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	pub.publish(message{topic: topic, payload: "x", qos: 1, retain: true})
	for _, tt := range []struct {
		name          string
		options       byte
		first, repeat bool
	}{
		{"always", 1, true, true},
		{"if new", 1 | retainIfNew, true, false},
		{"never", 1 | retainNever, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := b.join(t, V5)
			round := func(what string, sent bool) {
				c.subscribe(filter{topic, tt.options})
				if sent {
					equal(t, "RETAIN "+what, c.receive(topic, "x").retain(), true)
				}
				c.ping()
			}
			round("first", tt.first)
			round("repeat", tt.repeat)
			c.subscribe(filter{topic, tt.options ^ 1}) // with another QoS it is still the same subscription
			if tt.repeat {
				c.receive(topic, "x")
			}
			c.ping()
			c.unsubscribe(topic)
			round("after unsubscribe", tt.first)
		})
	}
}

func TestSubscriptionOfAResumedSessionIsNotNew(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.1-10")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	c := b.connect(t, V5, h)
	c.subscribe(filter{topic, 1 | retainIfNew})
	c.leave()
	b.join(t, V5).publish(message{topic: topic, payload: "x", retain: true})
	c = b.connect(t, V5, h)
	c.ping()
	c.subscribe(filter{topic, 1 | retainIfNew})
	c.ping()
}

func TestRetainedMessageExpires(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-5", "MQTT-3.3.2-6")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	pub.publish(message{topic: topic + "/brief", payload: "x", retain: true, props: prop(codec.PropMessageExpiryInterval, 1)})
	pub.publish(message{topic: topic + "/long", payload: "y", retain: true, props: prop(codec.PropMessageExpiryInterval, 100)})
	early := b.join(t, V5)
	early.subscribe(filter{topic + "/brief", 0})
	equal(t, "message expiry interval", early.receive(topic+"/brief", "x").number(codec.PropMessageExpiryInterval, -1), 1)
	pub.silentFor(1700 * time.Millisecond)
	for _, v := range []codec.Version{V5, V311} {
		late := b.join(t, v)
		late.subscribe(filter{topic + "/#", 0})
		p := late.receive(topic+"/long", "y")
		if n := p.number(codec.PropMessageExpiryInterval, -1); v == V5 && (n < 90 || n > 99) {
			t.Fatalf("message expiry interval %d after 1.7 of 100 seconds", n)
		}
		late.ping()
	}
}

func TestRetainedMessageKeepsItsProperties(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
	b, topic := broker(t), unique(t)
	b.join(t, V5).publish(message{topic: topic, payload: "x", qos: 1, retain: true, props: allProperties})
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 1})
	checkAllProperties(t, sub.receive(topic, "x"))
}

func TestManyRetainedMessagesReachANarrowWindow(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-9"), rows("MQTT-3.3.1-6"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub := b.join(t, v)
		const n = 300
		for i := range n {
			pub.publish(message{topic: fmt.Sprintf("%s/%d/x", topic, i), payload: "x", qos: 1, retain: true})
		}
		h := hello{}
		if v == V5 {
			h.props = prop(codec.PropReceiveMaximum, 7)
		}
		c := b.connect(t, v, h)
		c.subscribe(filter{topic + "/+/x", 1})
		got := map[string]bool{}
		for range n {
			p := c.expect(codec.TypePublish)
			if got[p.topic] || !p.retain() {
				t.Fatalf("%s", p)
			}
			got[p.topic] = true
			c.acknowledge(p)
		}
		c.ping()
	})
}

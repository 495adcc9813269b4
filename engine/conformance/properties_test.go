package conformance

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// allProperties are those that a server passes on, not in the order of their identifiers and with others in between.
var allProperties = cat(
	pair("z", "1"), prop(codec.PropResponseTopic, "re/ply \u00e9"), prop(codec.PropMessageExpiryInterval, 1000),
	pair("a", ""), prop(codec.PropCorrelationData, "\x00\xff\x7f"), pair("z", "1"), prop(codec.PropPayloadFormatIndicator, 1),
	pair("", "empty name"), prop(codec.PropContentType, "\ufefftext/plain"), pair("z", "0"),
)

// checkAllProperties wants allProperties in a delivery.
func checkAllProperties(t *testing.T, p *packet) {
	t.Helper()
	equal(t, "user properties", pairs(p), "z=1 a= z=1 =empty name z=0 ")
	equal(t, "response topic", p.text(codec.PropResponseTopic), "re/ply \u00e9")
	equal(t, "correlation data", p.text(codec.PropCorrelationData), "\x00\xff\x7f")
	equal(t, "payload format indicator", p.number(codec.PropPayloadFormatIndicator, -1), 1)
	equal(t, "content type", p.text(codec.PropContentType), "\ufefftext/plain")
	if n := p.number(codec.PropMessageExpiryInterval, -1); n < 980 || n > 1000 {
		t.Fatalf("message expiry interval %d", n)
	}
}

func TestPropertiesOfPublishAreForwardedUnchanged(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20", "MQTT-1.5.4-3")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	subs := []*client{b.join(t, V5), b.join(t, V5)}
	for _, s := range subs {
		s.subscribe(filter{topic, 2})
	}
	old := b.join(t, V311)
	old.subscribe(filter{topic, 2})
	for q := range codec.QoS(3) {
		pub.publish(message{topic: topic, payload: "x", qos: q, props: allProperties})
		pub.publish(message{topic: topic, payload: "bare", qos: q})
		pub.publish(message{topic: topic, payload: "0", qos: q, props: prop(codec.PropPayloadFormatIndicator, 0)})
		for _, s := range subs {
			checkAllProperties(t, s.receive(topic, "x"))
			equal(t, "properties of a bare message", len(s.receive(topic, "bare").props), 0)
			equal(t, "payload format indicator", s.receive(topic, "0").number(codec.PropPayloadFormatIndicator, -1), 0)
		}
		for _, text := range []string{"x", "bare", "0"} {
			old.receive(topic, text) // a 3.1.1 subscriber sees none of it
		}
	}
}

func TestPropertiesOfQueuedMessagesAreForwarded(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-4", "MQTT-3.3.2-15", "MQTT-3.3.2-16", "MQTT-3.3.2-17", "MQTT-3.3.2-18", "MQTT-3.3.2-20")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	c := b.connect(t, V5, h)
	c.subscribe(filter{topic, 1})
	c.leave()
	b.join(t, V5).publish(message{topic: topic, payload: "x", qos: 1, props: allProperties})
	for range 2 {
		c = b.connect(t, V5, h)
		checkAllProperties(t, c.delivery(topic, "x"))
		c.crash()
	}
}

func TestPacketsAlwaysHaveAPropertyLength(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-2.2.2-1")
	// The decoder takes no CONNACK, PUBLISH, SUBACK or UNSUBACK without one.
	b, topic := broker(t), unique(t)
	c := b.join(t, V5)
	c.subscribe(filter{topic, 0})
	c.start(message{topic: topic, payload: ""})
	p := c.delivery(topic, "")
	equal(t, "size of an empty PUBLISH", p.size, 2+2+len(topic)+1)
	ack := c.unsubscribe(topic)
	equal(t, "size of UNSUBACK", ack.size, 2+2+1+1)
}

func TestMessageExpiresInTheQueue(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-5", "MQTT-3.3.2-6")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	c, pub := b.connect(t, V5, h), b.join(t, V5)
	old := b.connect(t, V311, hello{id: unique(t), resume: true})
	c.subscribe(filter{topic, 1})
	old.subscribe(filter{topic, 1})
	c.leave()
	old.leave()
	pub.publish(message{topic: topic, payload: "brief", qos: 1, props: prop(codec.PropMessageExpiryInterval, 1)})
	pub.publish(message{topic: topic, payload: "long", qos: 1, props: prop(codec.PropMessageExpiryInterval, 100)})
	pub.publish(message{topic: topic, payload: "for ever", qos: 1})
	pub.publish(message{topic: topic, payload: "brief too", qos: 1, props: prop(codec.PropMessageExpiryInterval, 1)})
	pub.silentFor(1700 * time.Millisecond)

	c = b.connect(t, V5, h)
	p := c.receive(topic, "long")
	if n := p.number(codec.PropMessageExpiryInterval, -1); n < 90 || n > 99 {
		t.Fatalf("message expiry interval %d after 1.7 of 100 seconds", n)
	}
	equal(t, "message expiry interval", c.receive(topic, "for ever").has(codec.PropMessageExpiryInterval), false)
	c.ping()

	old = b.connect(t, V311, hello{id: old.id, resume: true})
	old.receive(topic, "long")
	old.receive(topic, "for ever")
	old.ping()
}

func TestMessageExpiryIntervalIsForwardedAtOnce(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-6")
	b, topic := broker(t), unique(t)
	c, pub := b.join(t, V5), b.join(t, V5)
	c.subscribe(filter{topic, 0})
	for _, n := range []int{1000, 65536, 0xffffffff} {
		pub.publish(message{topic: topic, props: prop(codec.PropMessageExpiryInterval, n)})
		if got := c.delivery(topic, "").number(codec.PropMessageExpiryInterval, -1); got > n || got < n-20 {
			t.Fatalf("message expiry interval %d, not %d", got, n)
		}
	}
}

func TestTopicAliasOfThePublisherIsResolved(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-12", "MQTT-3.1.2-27")
	b, topic := broker(t), unique(t)
	sub, pub := b.join(t, V5), b.join(t, V5)
	sub.subscribe(filter{topic + "/#", 0})
	most := pub.ack.number(codec.PropTopicAliasMaximum, 0)
	if most == 0 && !b.external {
		t.Fatal("no topic aliases announced")
	}
	for _, alias := range []int{1, most} {
		if alias > most {
			continue
		}
		number := prop(codec.PropTopicAlias, alias)
		for _, name := range []string{topic + "/one", topic + "/two"} { // set, then set anew
			pub.publish(message{topic: name, payload: "full", props: number})
			equal(t, "alias passed on", sub.delivery(name, "full").has(codec.PropTopicAlias), false)
			for q := range codec.QoS(3) {
				pub.publish(message{payload: "alias", qos: q, props: number})
				equal(t, "alias passed on", sub.delivery(name, "alias").has(codec.PropTopicAlias), false)
			}
		}
	}
	sub.ping()
}

func TestEveryTopicAliasUpToTheMaximumWorks(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-12", "MQTT-3.2.2-17", "MQTT-3.3.2-9")
	b, topic := brokerWith(t, small), unique(t)
	sub, pub := b.join(t, V5), b.join(t, V5)
	equal(t, "topic alias maximum", pub.ack.number(codec.PropTopicAliasMaximum, 0), smallAliases)
	sub.subscribe(filter{topic + "/+", 0})
	for i := smallAliases; i > 0; i-- {
		pub.start(message{topic: fmt.Sprintf("%s/%d", topic, i), props: prop(codec.PropTopicAlias, i)})
		sub.delivery(fmt.Sprintf("%s/%d", topic, i), "")
	}
	for i := 1; i <= smallAliases; i++ {
		pub.start(message{payload: "again", props: prop(codec.PropTopicAlias, i)})
		sub.delivery(fmt.Sprintf("%s/%d", topic, i), "again")
	}
	pub.start(message{topic: topic, props: prop(codec.PropTopicAlias, smallAliases+1)})
	pub.refused(codec.TopicAliasInvalid)
}

func TestTopicAliasOutOfRangeIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-8", "MQTT-3.3.2-9", "MQTT-3.2.2-17")
	b := broker(t)
	for _, topic := range []string{"x", ""} {
		c := b.join(t, V5)
		c.start(message{topic: topic, props: prop(codec.PropTopicAlias, 0)})
		c.refused(codec.TopicAliasInvalid)
		c = b.join(t, V5)
		above := c.ack.number(codec.PropTopicAliasMaximum, 0) + 1
		c.start(message{topic: topic, props: prop(codec.PropTopicAlias, above)})
		c.refused(codec.TopicAliasInvalid)
	}
}

func TestTopicAliasIsRefusedWhereNoneIsAnnounced(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-18")
	c := brokerWith(t, basic).join(t, V5)
	equal(t, "topic alias maximum", c.ack.number(codec.PropTopicAliasMaximum, 0), 0)
	c.start(message{topic: "x", props: prop(codec.PropTopicAlias, 1)})
	c.refused(codec.TopicAliasInvalid)
}

func TestTopicAliasDiesWithItsConnection(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-7")
	b := broker(t)
	h := lasting(V5, hello{id: unique(t)})
	c := b.connect(t, V5, h)
	c.publish(message{topic: unique(t), qos: 1, props: prop(codec.PropTopicAlias, 1)})
	c.leave()
	c = b.connect(t, V5, h)
	equal(t, "session present", c.ack.present, true)
	c.start(message{props: prop(codec.PropTopicAlias, 1)})
	c.refused(codec.ProtocolError)
}

func TestServerKeepsWithinTheClientsTopicAliasMaximum(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-26", "MQTT-3.3.2-11", "MQTT-3.3.2-8")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	for _, most := range []int{1, 3, 65535} {
		c := b.connect(t, V5, hello{props: prop(codec.PropTopicAliasMaximum, most)})
		c.subscribe(filter{topic + "/+", 2})
		aliased := 0
		for i := range 60 {
			name := fmt.Sprintf("%s/%d", topic, i%20)
			pub.publish(message{topic: name, payload: fmt.Sprint(i), qos: codec.QoS(i % 3)})
			if c.receive(name, fmt.Sprint(i)).alias { // the witness resolves aliases and knows the maximum
				aliased++
			}
		}
		if aliased == 0 && !b.external {
			t.Fatalf("no alias used with a maximum of %d: this test shows nothing", most)
		}
		c.leave()
	}
}

func TestServerUsesNoTopicAliasUnlessAllowed(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-27")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	for _, props := range [][]byte{nil, prop(codec.PropTopicAliasMaximum, 0)} {
		c := b.connect(t, V5, hello{props: props})
		c.subscribe(filter{topic, 1})
		for range 5 {
			pub.publish(message{topic: topic, payload: "x", qos: 1})
			equal(t, "alias", c.receive(topic, "x").has(codec.PropTopicAlias), false)
		}
	}
}

func TestOutboundTopicAliasesDieWithTheConnection(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-7")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	h := lasting(V5, hello{id: unique(t), props: prop(codec.PropTopicAliasMaximum, 10)})
	c := b.connect(t, V5, h)
	c.subscribe(filter{topic, 1})
	for range 3 {
		for range 3 {
			pub.publish(message{topic: topic, payload: "x", qos: 1})
			c.receive(topic, "x")
		}
		c.leave()
		pub.publish(message{topic: topic, payload: "queued", qos: 1})
		c = b.connect(t, V5, h)
		equal(t, "first delivery by alias alone", c.receive(topic, "queued").alias, false)
	}
}

func TestSubscriptionIdentifierFromAClientIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-6")
	c := broker(t).join(t, V5)
	c.start(message{topic: "x", props: prop(codec.PropSubscriptionIdentifier, 1)})
	c.refused(codec.ProtocolError, codec.MalformedPacket)
}

func TestSubscriptionIdentifiersComeWithDeliveries(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-3", "MQTT-1.5.5-1")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	// Around the places where the identifier grows by a byte; the decoder takes the shortest form only.
	for _, n := range []int{1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455} {
		c.subscribeWith(prop(codec.PropSubscriptionIdentifier, n), filter{topic, 1})
		for q := range codec.QoS(2) {
			pub.publish(message{topic: topic, payload: "x", qos: q})
			equal(t, "subscription identifiers", identifiers(c.receive(topic, "x")), fmt.Sprint([]int{n}))
		}
	}
	c.subscribe(filter{topic, 1}) // replaced by one without
	pub.publish(message{topic: topic, payload: "x", qos: 1})
	equal(t, "subscription identifiers", identifiers(c.receive(topic, "x")), "[]")
}

func TestQueuedAndRetainedDeliveriesCarrySubscriptionIdentifiers(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-3", "MQTT-3.3.4-4")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	pub, c := b.join(t, V5), b.connect(t, V5, h)
	pub.publish(message{topic: topic, payload: "retained", qos: 1, retain: true})
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 7), filter{topic, 1})
	equal(t, "identifiers of the retained message", identifiers(c.receive(topic, "retained")), "[7]")
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 9), filter{topic + "/#", 1 | retainNever})
	c.leave()
	pub.publish(message{topic: topic, payload: "queued", qos: 1})
	c = b.connect(t, V5, h)
	equal(t, "identifiers of the queued message", identifiers(c.delivery(topic, "queued")), "[7 9]")
	c.crash()
	c = b.connect(t, V5, h)
	equal(t, "identifiers of the resent message", identifiers(c.delivery(topic, "queued")), "[7 9]")
}

// identifiers writes the Subscription Identifiers of a delivery in ascending order.
func identifiers(p *packet) string {
	var list []int
	for _, x := range p.all(codec.PropSubscriptionIdentifier) {
		list = append(list, x.number)
	}
	slices.Sort(list)
	return fmt.Sprint(list)
}

func TestOverlappingSubscriptionsCarryAllIdentifiers(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-3", "MQTT-3.3.4-4", "MQTT-3.3.4-5")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 1), filter{topic + "/a", 0})
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 2), filter{topic + "/+", 1})
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 3), filter{topic + "/#", 2})
	c.subscribe(filter{topic + "/+/#", 0}, filter{topic + "/b", 0})
	pub.publish(message{topic: topic + "/a", payload: "x", qos: 2})
	if !b.external {
		equal(t, "subscription identifiers", identifiers(c.receive(topic+"/a", "x")), "[1 2 3]")
		c.ping()
		return
	}
	// Several copies, each with its own, are allowed.
	all := map[int]bool{}
	for len(all) < 3 {
		p := c.receive(topic+"/a", "x")
		for _, x := range p.all(codec.PropSubscriptionIdentifier) {
			all[x.number] = true
		}
	}
}

func TestProblemInformationIsLeftOutOnRequest(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-29")
	b := brokerWith(t, guarded)
	provoke := func(props []byte) (wordy int) {
		c := b.connect(t, V5, hello{props: props})
		for _, q := range []codec.QoS{1, 2} {
			c.start(message{topic: "forbidden", qos: q, id: uint16(q)})
			p := c.next()
			equal(t, p.kind.String()+" code", p.code, codec.NotAuthorized)
			wordy += len(p.all(codec.PropReasonString)) + len(p.all(codec.PropUserProperty))
		}
		for _, p := range []*packet{
			c.trySubscribe(nil, filter{"forbidden/x", 0}, filter{"a#", 0}),
			c.unsubscribe("nothing", "#a"),
		} {
			wordy += len(p.all(codec.PropReasonString)) + len(p.all(codec.PropUserProperty))
		}
		c.send(ackPacket(codec.TypePubrel, 99, 0))
		p := c.expectAck(codec.TypePubcomp, 99)
		c.send(ackPacket(codec.TypePubrec, 98, 0))
		q := c.expectAck(codec.TypePubrel, 98)
		return wordy + len(p.props) + len(q.props)
	}
	if provoke(nil) == 0 {
		t.Fatal("no reason string even where it is allowed: this test shows nothing")
	}
	equal(t, "explanations", provoke(prop(codec.PropRequestProblemInformation, 0)), 0)
}

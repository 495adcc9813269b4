package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestServerAnnouncesItsMaximumQoS(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-9", "MQTT-3.2.2-10")
	b, topic := brokerWith(t, basic), unique(t)
	c, pub := b.join(t, V5), b.join(t, V5)
	equal(t, "maximum QoS", c.ack.number(codec.PropMaximumQoS, 2), 1)
	equal(t, "codes", hex(c.subscribe(filter{topic, 0}, filter{topic + "/1", 1}, filter{topic + "/2", 2}).codes), "000101")
	pub.publish(message{topic: topic + "/2", qos: 1})
	equal(t, "QoS", c.receive(topic+"/2", "").qos(), 1)
}

func TestPublishAboveTheMaximumQoSIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-11")
	b, topic := brokerWith(t, basic), unique(t)
	sub, c := b.join(t, V5), b.join(t, V5)
	sub.subscribe(filter{topic, 1})
	c.start(message{topic: topic, qos: 2})
	c.refused(codec.QoSNotSupported)
	sub.ping()
}

func TestWillAboveTheMaximumQoSIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-12")
	b := brokerWith(t, basic)
	b.open(t, V5, hello{will: &will{topic: "x", qos: 2}}).refusedConnect(codec.QoSNotSupported)
	b.connect(t, V5, hello{will: &will{topic: "x", qos: 1}})
}

func TestRetainIsRefusedWhereItIsNotAvailable(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-13", "MQTT-3.2.2-14")
	b, topic := brokerWith(t, basic), unique(t)
	sub, c := b.join(t, V5), b.join(t, V5)
	equal(t, "retain available", c.ack.number(codec.PropRetainAvailable, 1), 0)
	sub.subscribe(filter{topic, 0})
	c.start(message{topic: topic, retain: true})
	c.refused(codec.RetainNotSupported)
	sub.ping()
	b.open(t, V5, hello{will: &will{topic: topic, retain: true}}).refusedConnect(codec.RetainNotSupported)
}

func TestPacketAboveTheServersMaximumSizeIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.2.2-15"), nil, func(t *testing.T, v codec.Version) {
		b := brokerWith(t, small)
		topic := unique(t)
		head := 3 + 2 + len(topic)
		if v == V5 {
			head++
		}
		sub, c := b.join(t, v), b.join(t, v)
		if v == V5 {
			equal(t, "maximum packet size", c.ack.number(codec.PropMaximumPacketSize, 0), smallPacket)
		}
		sub.subscribe(filter{topic, 0})
		fits := strings.Repeat("x", smallPacket-head)
		c.start(message{topic: topic, payload: fits})
		sub.delivery(topic, fits)
		c.start(message{topic: topic, payload: fits + "x"})
		c.refused(codec.PacketTooLarge)
		// The length alone is enough to be refused.
		c = b.join(t, v)
		c.send([]byte{0x30, 0xff, 0xff, 0xff, 0x7f})
		c.refused(codec.PacketTooLarge)
		sub.ping()
	})
}

func TestConnectAboveTheServersMaximumSizeIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-15")
	b := brokerWith(t, small)
	c := b.open(t, V5, hello{user: strings.Repeat("x", smallPacket)})
	if p := c.next(); p != nil && p.code != codec.PacketTooLarge {
		t.Fatalf("%s", p)
	}
	c.gone()
}

func TestSubscriptionsBeyondTheQuotaAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.9.3-2", "MQTT-3.8.4-7"), rows("MQTT-3.9.3-2"), func(t *testing.T, v codec.Version) {
		b, topic := brokerWith(t, small), unique(t)
		c := b.join(t, v)
		var filters []filter
		for i := range 5 {
			filters = append(filters, filter{fmt.Sprintf("%s/%d", topic, i), 1})
		}
		want := "0101019797"
		if v == V311 {
			want = "0101018080"
		}
		equal(t, "codes", hex(c.trySubscribe(nil, filters...).codes), want)
		c.unsubscribe(filters[0].name)
		equal(t, "codes", hex(c.trySubscribe(nil, filters[4], filters[1]).codes), "0101")
	})
}

func TestPublishThatIsNotAllowedIsRefused(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, guarded)
	t.Run("5.0", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.3.3-9", "MQTT-3.4.2-1", "MQTT-3.5.2-1")
		topic := unique(t)
		watcher, c := b.join(t, V5), b.join(t, V5)
		watcher.subscribe(filter{topic + "/#", 2})
		bad := message{topic: topic + "/forbidden", payload: "x", id: 1, retain: true}
		c.start(bad) // QoS 0 is dropped
		c.ping()
		bad.qos = 1
		c.start(bad)
		equal(t, "code", c.expectAck(codec.TypePuback, 1).code, codec.NotAuthorized)
		bad.qos = 2
		for range 2 { // after a failing PUBREC the identifier is free: no repeat of anything
			c.start(bad)
			equal(t, "code", c.expectAck(codec.TypePubrec, 1).code, codec.NotAuthorized)
		}
		nothing([]*client{watcher}, c)
		c.start(message{topic: topic + "/fine", payload: "y", qos: 2, id: 1})
		equal(t, "code", c.expectAck(codec.TypePubrec, 1).code, codec.Success)
		watcher.receive(topic+"/fine", "y")
		c.send(ackPacket(codec.TypePubrel, 1, 0))
		equal(t, "code", c.expectAck(codec.TypePubcomp, 1).code, codec.Success)
		late := b.join(t, V5)
		late.subscribe(filter{topic + "/#", 0})
		late.ping()
	})
	t.Run("3.1.1", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.3.5-2")
		topic := unique(t)
		watcher, c := b.join(t, V311), b.join(t, V311)
		watcher.subscribe(filter{topic + "/#", 2})
		for range 2 {
			for q := range codec.QoS(3) {
				c.publish(message{topic: topic + "/forbidden", payload: "x", qos: q, retain: true})
			}
		}
		watcher.ping()
	})
}

func TestSubscriptionThatIsNotAllowedIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.9.3-1", "MQTT-3.9.3-2"), rows("MQTT-3.9.3-1", "MQTT-3.9.3-2"), func(t *testing.T, v codec.Version) {
		b, topic := brokerWith(t, guarded), unique(t)
		c := b.join(t, v)
		want := "018702"
		if v == V311 {
			want = "018002"
		}
		ack := c.trySubscribe(nil, filter{topic + "/1", 1}, filter{topic + "/forbidden", 1}, filter{topic + "/2", 2})
		equal(t, "codes", hex(ack.codes), want)
		if v == V5 {
			equal(t, "code", c.trySubscribe(nil, filter{"$share/g/" + topic + "/forbidden", 1}).codes[0], codec.NotAuthorized)
		}
	})
}

func TestWillThatIsNotAllowedIsRefused(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, guarded)
	t.Run("5.0", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.1.4-2")
		b.open(t, V5, hello{will: &will{topic: "forbidden"}}).refusedConnect(codec.NotAuthorized)
	})
	t.Run("3.1.1", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.2.2-5")
		b.open(t, V311, hello{will: &will{topic: "forbidden"}}).refusedConnect(codec.ReasonCode(codec.RefusedNotAuthorized))
	})
}

func TestTopicAliasDoesNotHideTheTopicFromAuthorization(t *testing.T) {
	t.Parallel()
	b, topic := brokerWith(t, guarded), unique(t)
	watcher, c := b.join(t, V5), b.join(t, V5)
	watcher.subscribe(filter{topic + "/#", 0})
	alias := prop(codec.PropTopicAlias, 1)
	for _, name := range []string{topic + "/forbidden", "", ""} {
		c.start(message{topic: name, qos: 1, id: 1, props: alias})
		equal(t, "code", c.expectAck(codec.TypePuback, 1).code, codec.NotAuthorized)
	}
	watcher.ping()
}

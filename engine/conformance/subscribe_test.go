package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestSubscribeIsAnsweredFilterByFilter(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-5", "MQTT-3.8.4-6", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2", "MQTT-2.2.1-6"),
		rows("MQTT-3.8.4-1", "MQTT-3.8.4-2", "MQTT-3.8.4-4", "MQTT-3.8.4-5", "MQTT-3.9.3-1", "MQTT-3.9.3-2", "MQTT-2.3.1-7"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			c, pub := b.join(t, v), b.join(t, v)
			var filters []filter
			for i := range 9 {
				filters = append(filters, filter{fmt.Sprintf("%s/%d", topic, i), byte(i % 3)})
			}
			for _, id := range []uint16{1, 256, 65535} {
				c.send(subscribePacket(v, int(id), nil, filters...))
				ack := c.expectAck(codec.TypeSuback, id)
				equal(t, "codes", hex(ack.codes), "000102000102000102")
				c.ping() // one SUBACK
			}
			for i, f := range filters {
				pub.publish(message{topic: f.name, qos: 2})
				equal(t, "QoS", c.receive(f.name, "").qos(), codec.QoS(i%3))
			}
		})
}

func TestInvalidFiltersAreRefusedOneByOne(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.3-1", "MQTT-3.8.4-7", "MQTT-3.9.3-1", "MQTT-3.9.3-2"),
		rows("MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.3-1", "MQTT-3.9.3-1", "MQTT-3.9.3-2"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			bad := []string{"", "#/", "a#", "a/#/b", "a/b#", "##", "a/+b", "a+/b", "++", "a/b+", "+a", "#+"}
			if b.external {
				for _, f := range bad { // closing is allowed too, so each gets a connection
					c := b.join(t, v)
					c.send(subscribePacket(v, 1, nil, filter{f, 0}))
					if p := c.next(); p != nil && p.kind == codec.TypeSuback && p.codes[0] < codec.UnspecifiedError {
						t.Errorf("filter %q granted", f)
					}
				}
				return
			}
			want := codec.TopicFilterInvalid
			if v == V311 {
				want = codec.UnspecifiedError
			}
			c := b.join(t, v)
			for _, f := range bad {
				ack := c.trySubscribe(nil, filter{topic + "/1", 1}, filter{f, 1}, filter{topic + "/2", 2})
				equal(t, "codes for "+f, hex(ack.codes), hex([]codec.ReasonCode{1, want, 2}))
			}
			// A bad filter is not active, not even for a topic of the same letters.
			pub := b.join(t, v)
			for _, name := range []string{"a", "a/b", "b"} {
				pub.publish(message{topic: name, payload: topic})
			}
			pub.publish(message{topic: topic + "/1", qos: 1})
			c.receive(topic+"/1", "")
			c.ping()
		})
}

func TestWildcardsMatchWholeLevels(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.2-3", "MQTT-4.7.1-1", "MQTT-4.7.1-2", "MQTT-4.7.0-1"),
		rows("MQTT-3.3.2-3", "MQTT-4.7.1-2", "MQTT-4.7.1-3", "MQTT-4.7.1-1"),
		func(t *testing.T, v codec.Version) {
			b, root := broker(t), unique(t)
			pub := b.join(t, v)
			topics := []string{"", "/a", "/a/b", "/a/b/c", "/", "//", "/a/", "//b", "/aa"}
			for pattern, matches := range map[string]string{
				"/#":     ",/a,/a/b,/a/b/c,/,//,/a/,//b,/aa",
				"/+":     "/a,/,/aa",
				"/+/+":   "/a/b,//,/a/,//b",
				"/+/b":   "/a/b,//b",
				"/a/#":   "/a,/a/b,/a/b/c,/a/",
				"/a/+":   "/a/b,/a/",
				"/+/b/#": "/a/b,/a/b/c,//b",
				"/+/+/+": "/a/b/c",
				"/a":     "/a",
				"/":      "/",
				"/a/+/#": "/a/b,/a/b/c,/a/",
			} {
				c := b.join(t, v)
				c.subscribe(filter{root + pattern, 0})
				for _, topic := range topics {
					pub.start(message{topic: root + topic, payload: pattern})
				}
				pub.ping()
				for _, want := range strings.Split(matches, ",") {
					c.delivery(root+want, pattern)
				}
				c.ping()
				c.leave()
			}
		})
}

func TestIdenticalFilterReplacesTheSubscription(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.8.4-3", "MQTT-3.8.4-4"),
		rows("MQTT-3.8.4-3"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			c, pub := b.join(t, v), b.join(t, v)
			pub.publish(message{topic: topic, payload: "kept", qos: 2, retain: true})
			for _, granted := range []byte{2, 0, 1, 1} {
				c.subscribe(filter{topic, granted})
				p := c.receive(topic, "kept") // sent again each time
				equal(t, "RETAIN", p.retain(), true)
				equal(t, "QoS", p.qos(), codec.QoS(granted))
				pub.publish(message{topic: topic, payload: "live", qos: 2})
				equal(t, "QoS", c.receive(topic, "live").qos(), codec.QoS(granted))
				c.ping() // one copy
			}
			c.unsubscribe(topic)
			pub.publish(message{topic: topic, payload: "live", qos: 2})
			c.ping()
		})
}

func TestReplacingASubscriptionLosesNoMessage(t *testing.T) {
	bothVersions(t, rows("MQTT-3.8.4-4", "MQTT-3.8.4-3"), rows("MQTT-3.8.4-3"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		c, pub := b.join(t, v), b.join(t, v)
		c.subscribe(filter{topic, 1})
		got := 0
		take := func() {
			for len(c.stash) > 0 {
				c.receive(topic, fmt.Sprint(got))
				got++
			}
		}
		for i := range 200 {
			pub.start(message{topic: topic, payload: fmt.Sprint(i), qos: 1})
			if i%10 == 5 {
				c.subscribe(filter{topic, byte(1 + i/10%2)}) // what comes before SUBACK stays to be read
				take()
			}
			pub.expectAck(codec.TypePuback, uint16(i+1))
		}
		for got < 200 {
			c.receive(topic, fmt.Sprint(got))
			got++
		}
		c.ping()
	})
}

func TestNewOptionsOfAReplacedSubscriptionApply(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.8.4-3")
	b, topic := broker(t), unique(t)
	c := b.join(t, V5)
	c.subscribe(filter{topic, 0 | noLocal})
	c.publish(message{topic: topic, payload: "1", retain: true})
	c.subscribe(filter{topic, 0 | retainAsPublished | retainNever})
	c.start(message{topic: topic, payload: "2", retain: true})
	equal(t, "RETAIN", c.delivery(topic, "2").retain(), true)
	c.subscribe(filter{topic, 0 | retainNever})
	c.start(message{topic: topic, payload: "3", retain: true})
	equal(t, "RETAIN", c.delivery(topic, "3").retain(), false)
	c.ping()
}

func TestOverlappingSubscriptionsDeliverAtTheHighestQoS(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.4-2"), rows("MQTT-3.3.5-1"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		c, pub := b.join(t, v), b.join(t, v)
		c.subscribe(filter{topic + "/#", 1}, filter{topic + "/a", 0}, filter{topic + "/+", 2})
		for q := range codec.QoS(3) {
			pub.publish(message{topic: topic + "/a", payload: "x", qos: q})
			best := c.receive(topic+"/a", "x").qos()
			if b.external { // further copies are allowed
				pub.publish(message{topic: topic + "/a", payload: "fence"})
				for p := c.expect(codec.TypePublish); p.payload != "fence"; p = c.expect(codec.TypePublish) {
					best = max(best, p.qos())
					c.acknowledge(p)
				}
				c = b.join(t, v)
				c.subscribe(filter{topic + "/#", 1}, filter{topic + "/a", 0}, filter{topic + "/+", 2})
			} else {
				c.ping()
			}
			equal(t, "highest QoS", best, q)
		}
	})
}

func TestNoLocalKeepsOwnMessagesAway(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.8.3-3")
	b, topic := broker(t), unique(t)
	h := lasting(V5, hello{id: unique(t)})
	c, other, without := b.connect(t, V5, h), b.join(t, V5), b.join(t, V5)
	c.subscribe(filter{topic, 2 | noLocal})
	other.subscribe(filter{topic, 2 | noLocal})
	without.subscribe(filter{topic, 2})
	for q := range codec.QoS(3) {
		c.publish(message{topic: topic, payload: "mine", qos: q})
		c.ping()
		other.receive(topic, "mine")
		without.receive(topic, "mine")
		without.publish(message{topic: topic, payload: "theirs", qos: q})
		c.receive(topic, "theirs")
		other.receive(topic, "theirs")
		without.receive(topic, "theirs")
	}
	// It is the client that counts, not the connection.
	c.leave()
	c = b.connect(t, V5, h)
	c.publish(message{topic: topic, payload: "mine", qos: 1})
	c.ping()
}

func TestNoLocalHoldsForAnOverlappingSubscriptionOnly(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.8.3-3")
	b, topic := broker(t), unique(t)
	c := b.join(t, V5)
	c.subscribe(filter{topic + "/a", 1 | noLocal}, filter{topic + "/+", 0})
	id := c.start(message{topic: topic + "/a", payload: "x", qos: 1})
	p := c.await(codec.TypePublish, 0)
	equal(t, "QoS by the other subscription", p.qos(), 0)
	c.await(codec.TypePuback, id)
	c.ping()
}

func TestNoLocalOnASharedSubscriptionIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.8.3-4")
	c := broker(t).join(t, V5)
	c.send(subscribePacket(V5, 1, nil, filter{"$share/g/x", 1 | noLocal}))
	c.refused(codec.ProtocolError)
}

func TestSubscribeWithoutFilterIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.8.3-2"), rows("MQTT-3.8.3-3"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		c.send(subscribePacket(v, 1, nil))
		c.refused(codec.ProtocolError, codec.MalformedPacket)
		c = broker(t).join(t, v)
		c.send(framed(0x82, u16(1), willBlock(v), str("x"))) // a filter, but no options
		c.refused(codec.MalformedPacket, codec.ProtocolError)
	})
}

func TestReservedSubscriptionOptionsAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.8.3-5"), rows("MQTT-3.8.3-4"), func(t *testing.T, v codec.Version) {
		options := []byte{0x40, 0x80, 0xc1}
		if v == V311 {
			options = append(options, 0x04, 0x08, 0x10, 0x20, 0x03)
		}
		for _, o := range options {
			c := broker(t).join(t, v)
			c.send(subscribePacket(v, 1, nil, filter{"fine", 0}, filter{"x", o}))
			c.refused(codec.MalformedPacket, codec.ProtocolError)
		}
	})
}

func TestSubscriptionOptionsOutOfRangeAreRefused(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]byte{"QoS 3": 3, "Retain Handling 3": 0x30} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := broker(t).join(t, V5)
			c.send(subscribePacket(V5, 1, nil, filter{"x", options}))
			c.refused(codec.ProtocolError, codec.MalformedPacket)
		})
	}
}

func TestRefusedSubscribeLeavesNoSubscription(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		if b.external {
			return // it may have begun before it saw the fault
		}
		h := lasting(v, hello{id: unique(t)})
		c := b.connect(t, v, h)
		c.send(subscribePacket(v, 1, nil, filter{topic, 1}, filter{"x", 0x83}))
		c.gone()
		c = b.connect(t, v, h)
		b.join(t, v).publish(message{topic: topic, qos: 1})
		c.ping()
	})
}

func TestUnsubscribeRemovesExactFilters(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-4"),
		rows("MQTT-3.10.4-1", "MQTT-3.10.4-2", "MQTT-3.10.4-4", "MQTT-2.3.1-7"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			c, pub := b.join(t, v), b.join(t, v)
			c.subscribe(filter{topic + "/a", 2}, filter{topic + "/+", 1}, filter{topic + "/A", 0})
			for _, other := range []string{topic + "/#", topic + "/a/", topic, strings.ToUpper(topic) + "/a", topic + "/b"} {
				c.unsubscribe(other)
			}
			pub.publish(message{topic: topic + "/a", qos: 2})
			equal(t, "QoS", c.receive(topic+"/a", "").qos(), 2)
			if b.external { // a copy for the wildcard as well is allowed
				c.send(pingreq)
				for p := c.next(); p.kind != codec.TypePingresp; p = c.next() {
					c.acknowledge(p)
				}
			}
			c.unsubscribe(topic + "/a")
			pub.publish(message{topic: topic + "/a", qos: 2})
			equal(t, "QoS by the wildcard", c.receive(topic+"/a", "").qos(), 1)
			c.unsubscribe(topic + "/+")
			pub.publish(message{topic: topic + "/a", qos: 2})
			c.ping()
			pub.publish(message{topic: topic + "/A", qos: 2})
			c.receive(topic+"/A", "")
			c.ping()
		})
}

func TestUnsubscribeIsAnsweredOnceFilterByFilter(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.11.3-1", "MQTT-3.11.3-2", "MQTT-2.2.1-6"),
		rows("MQTT-3.10.4-5", "MQTT-3.10.4-6", "MQTT-3.10.4-4", "MQTT-2.3.1-7"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			c, pub := b.join(t, v), b.join(t, v)
			c.subscribe(filter{topic + "/1", 0}, filter{topic + "/2", 0}, filter{topic + "/3", 0})
			for i, id := range []uint16{1, 256, 65535} {
				c.send(unsubscribePacket(v, int(id), topic+"/none", topic+"/1", topic+"/3", topic+"/none"))
				ack := c.expectAck(codec.TypeUnsuback, id)
				if v == V5 {
					want := "11000011"
					if i > 0 {
						want = "11111111"
					}
					equal(t, "codes", hex(ack.codes), want)
				} else {
					equal(t, "size of UNSUBACK", ack.size, 4)
				}
				c.ping()
			}
			for _, last := range "123" {
				pub.publish(message{topic: topic + "/" + string(last)})
			}
			c.delivery(topic+"/2", "")
			c.ping()
		})
}

func TestUnsubscribeWithoutFilterIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.10.3-2"), rows("MQTT-3.10.3-2"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		c.send(unsubscribePacket(v, 1))
		c.refused(codec.ProtocolError, codec.MalformedPacket)
	})
}

func TestUnsubscribedMessagesAreNotQueued(t *testing.T) {
	bothVersions(t, rows("MQTT-3.10.4-2"), rows("MQTT-3.10.4-2"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t)})
		c := b.connect(t, v, h)
		c.subscribe(filter{topic, 1})
		c.unsubscribe(topic)
		c.leave()
		b.join(t, v).publish(message{topic: topic, qos: 1})
		c = b.connect(t, v, h)
		equal(t, "session present", c.ack.present, true)
		c.ping()
	})
}

func TestSubscribersOfDifferentVersionsMeet(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	versions := []codec.Version{codec.V31, V311, V5}
	var subs []*client
	for _, v := range versions {
		s := b.join(t, v)
		s.subscribe(filter{topic, 2})
		subs = append(subs, s)
	}
	for _, v := range versions {
		pub := b.join(t, v)
		for q := range codec.QoS(3) {
			pub.publish(message{topic: topic, payload: v.String(), qos: q})
			for _, s := range subs {
				equal(t, "QoS", s.receive(topic, v.String()).qos(), q)
			}
		}
	}
}

// hex writes reason codes, two digits each.
func hex(codes []codec.ReasonCode) string { return fmt.Sprintf("%x", codes) }

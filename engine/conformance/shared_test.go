package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestGroupGetsEachMessageOnce(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.8.2-1", "MQTT-4.8.2-2")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	members := []*client{b.join(t, V5), b.join(t, V5), b.join(t, V5)}
	for _, m := range members {
		m.subscribe(filter{"$share/g/" + topic + "/#", 1})
		m.subscribe(filter{"$share/g/" + topic + "/#", 1}) // joins once
	}
	alone, other := b.join(t, V5), b.join(t, V5)
	alone.subscribe(filter{topic + "/+", 1})
	other.subscribe(filter{"$share/other/" + topic + "/#", 1})
	const n = 60
	for i := range n {
		pub.publish(message{topic: topic + "/x", payload: fmt.Sprint(i), qos: 1})
		alone.receive(topic+"/x", fmt.Sprint(i))
		other.receive(topic+"/x", fmt.Sprint(i))
	}
	got := map[string]int{}
	for _, m := range members {
		count := 0
		m.send(pingreq)
		for p := m.next(); p.kind != codec.TypePingresp; p = m.next() {
			got[p.payload]++
			count++
			m.acknowledge(p)
		}
		if count == 0 && !b.external {
			t.Error("a member got nothing")
		}
	}
	for i := range n {
		equal(t, fmt.Sprintf("copies of %d", i), got[fmt.Sprint(i)], 1)
	}
	alone.ping()
	other.ping()
}

func TestMalformedSharedFiltersAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		filter string
		row    string
	}{
		{"$share//x", "MQTT-4.8.2-1"},
		{"$share/", "MQTT-4.8.2-1"},
		{"$share/g", "MQTT-4.8.2-2"},
		{"$share/g/", "MQTT-4.8.2-2"},
		{"$share/g+/x", "MQTT-4.8.2-2"},
		{"$share/+/x", "MQTT-4.8.2-2"},
		{"$share/#/x", "MQTT-4.8.2-2"},
		{"$share/g#/x", "MQTT-4.8.2-2"},
		{"$share/g/x#", "MQTT-4.7.1-1"},
		{"$share/g/x+", "MQTT-4.7.1-2"},
	} {
		t.Run(strings.ReplaceAll(tt.filter, "/", "|"), func(t *testing.T) {
			t.Parallel()
			covers(t, V5, tt.row)
			c := broker(t).join(t, V5)
			if c.b.external {
				c.send(subscribePacket(V5, 1, nil, filter{tt.filter, 0}))
				if p := c.next(); p != nil && p.kind == codec.TypeSuback && p.codes[0] < codec.UnspecifiedError {
					t.Fatalf("%s", p)
				}
				return
			}
			equal(t, "code", c.trySubscribe(nil, filter{tt.filter, 0}).codes[0], codec.TopicFilterInvalid)
			c.ping()
		})
	}
}

func TestFilterThatMerelyLooksSharedIsOrdinary(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	if b.external {
		return // topics that begin with $ are the server's own affair
	}
	one, two, pub := b.join(t, V5), b.join(t, V5), b.join(t, V5)
	for _, c := range []*client{one, two} {
		c.subscribe(filter{"$shared/g/" + topic, 0})
	}
	pub.publish(message{topic: "$shared/g/" + topic})
	one.delivery("$shared/g/"+topic, "")
	two.delivery("$shared/g/"+topic, "")
}

func TestGroupMembersAreServedAtTheirOwnQoS(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.8.2-3")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	for granted := range codec.QoS(3) {
		// Each member in turn is the only one.
		m := b.join(t, V5)
		m.subscribe(filter{"$share/g/" + topic, byte(granted)})
		for q := range codec.QoS(3) {
			pub.publish(message{topic: topic, payload: "x", qos: q})
			equal(t, "QoS", m.receive(topic, "x").qos(), min(q, granted))
		}
		m.unsubscribe("$share/g/" + topic)
		pub.publish(message{topic: topic, payload: "x", qos: 1})
		m.ping()
	}
	// And all together.
	var members []*client
	for granted := range 3 {
		m := b.join(t, V5)
		m.subscribe(filter{"$share/g/" + topic, byte(granted)})
		members = append(members, m)
	}
	for range 12 {
		pub.publish(message{topic: topic, payload: "x", qos: 2})
	}
	total := 0
	for granted, m := range members {
		m.send(pingreq)
		for p := m.next(); p.kind != codec.TypePingresp; p = m.next() {
			equal(t, "QoS", p.qos(), codec.QoS(granted))
			m.acknowledge(p)
			total++
		}
	}
	equal(t, "deliveries", total, 12)
}

// groupOfTwo has one member with a lasting session and a delivery of QoS q open, and another member that sees the rest.
func groupOfTwo(t *testing.T, b *target, topic string, q codec.QoS) (h hello, holder, other, pub *client, open *packet) {
	t.Helper()
	h = lasting(V5, hello{id: unique(t)})
	pub, holder = b.join(t, V5), b.connect(t, V5, h)
	holder.subscribe(filter{"$share/g/" + topic, 2})
	pub.publish(message{topic: topic, payload: "open", qos: q})
	open = holder.delivery(topic, "open")
	other = b.join(t, V5)
	other.subscribe(filter{"$share/g/" + topic, 2})
	return h, holder, other, pub, open
}

func TestQoS2DeliveryOfAGroupStaysWithItsMember(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.8.2-4")
	for name, received := range map[string]bool{"before PUBREC": false, "after PUBREC": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, topic := broker(t), unique(t)
			h, holder, other, _, open := groupOfTwo(t, b, topic, 2)
			if received {
				holder.pubrec(open.id, 0)
				holder.expectAck(codec.TypePubrel, open.id)
			}
			holder.crash()
			other.ping()
			holder = b.connect(t, V5, h)
			if received {
				holder.expectAck(codec.TypePubrel, open.id)
				holder.pubcomp(open.id)
			} else {
				p := holder.delivery(topic, "open")
				equal(t, "packet identifier", p.id, open.id)
				equal(t, "DUP", p.dup(), true)
				holder.acknowledge(p)
			}
			holder.ping()
			other.ping()
		})
	}
}

func TestQoS2DeliveryOfAGroupEndsWithItsMembersSession(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.8.2-5")
	b, topic := broker(t), unique(t)
	h, holder, other, _, _ := groupOfTwo(t, b, topic, 2)
	holder.send(disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 0)))
	holder.closed()
	other.ping()
	b.connect(t, V5, hello{id: h.id}).ping()
	other.ping()
}

func TestQoS1DeliveryOfAGroupGoesToAnotherMemberWhenTheSessionEnds(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	_, holder, other, _, _ := groupOfTwo(t, b, topic, 1)
	holder.send(disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 0)))
	holder.closed()
	if !b.external { // a server should, and need not
		other.receive(topic, "open")
	}
	other.ping()
}

func TestRefusedDeliveryIsDroppedForTheWholeGroup(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.8.2-6")
	for _, q := range []codec.QoS{1, 2} {
		for _, code := range []codec.ReasonCode{codec.UnspecifiedError, codec.NotAuthorized, codec.QuotaExceeded} {
			b, topic := broker(t), unique(t)
			_, holder, other, _, open := groupOfTwo(t, b, topic, q)
			if q == codec.QoS1 {
				holder.puback(open.id, code)
			} else {
				holder.pubrec(open.id, code)
			}
			holder.ping()
			other.ping()
			holder.leave()
			other.ping()
		}
	}
}

func TestRetainedMessagesAreNotSentToSharedSubscriptions(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	pub.publish(message{topic: topic, payload: "x", retain: true})
	c.subscribe(filter{"$share/g/" + topic, 0})
	c.ping()
}

func TestSharedAndOrdinarySubscriptionsAreIndependent(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	c.subscribe(filter{"$share/g/" + topic, 0}, filter{topic, 0})
	pub.publish(message{topic: topic, payload: "x"})
	c.delivery(topic, "x")
	c.delivery(topic, "x")
	c.unsubscribe(topic)
	pub.publish(message{topic: topic, payload: "y"})
	c.delivery(topic, "y")
	c.unsubscribe("$share/g/" + topic)
	pub.publish(message{topic: topic, payload: "z"})
	c.ping()
}

func TestGroupMembersReceiveTheirSubscriptionIdentifier(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-3")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.join(t, V5)
	c.subscribeWith(prop(codec.PropSubscriptionIdentifier, 11), filter{"$share/g/" + topic, 1})
	pub.publish(message{topic: topic, payload: "x", qos: 1})
	equal(t, "subscription identifiers", identifiers(c.receive(topic, "x")), "[11]")
}

func TestGroupKeepsWithinEachMembersReceiveMaximum(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.4-9", "MQTT-4.9.0-2")
	b, topic := broker(t), unique(t)
	pub := b.join(t, V5)
	var members []*client
	for range 2 {
		m := b.connect(t, V5, hello{props: prop(codec.PropReceiveMaximum, 1)})
		m.subscribe(filter{"$share/g/" + topic, 1})
		members = append(members, m)
	}
	const n = 10
	for i := range n {
		pub.publish(message{topic: topic, payload: fmt.Sprint(i), qos: 1})
	}
	got := map[string]bool{}
	for _, m := range members {
		got[m.expect(codec.TypePublish).payload] = true
	}
	members[0].ping()
	members[1].ping()
	if b.external {
		return // who gets what is its own affair
	}
	// The first never acknowledges: the second gets all the rest.
	for id := range members[1].watch.open {
		members[1].puback(id, 0)
	}
	for len(got) < n {
		p := members[1].expect(codec.TypePublish)
		if got[p.payload] {
			t.Fatalf("%s twice", p)
		}
		got[p.payload] = true
		members[1].acknowledge(p)
	}
	members[0].ping()
	members[1].ping()
}

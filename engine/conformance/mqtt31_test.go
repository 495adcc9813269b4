package conformance

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// MQTT 3.1 is no OASIS document and numbers no statements; these tests pin what its clients rely on.

const v31 = codec.V31

func TestMQTT31ClientIsServed(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	c := b.join(t, v31)
	equal(t, "code", c.subscribe(filter{topic, 2}).codes[0], codec.GrantedQoS2)
	for q := range codec.QoS(3) {
		c.start(message{topic: topic, payload: "x", qos: q, id: 50})
		switch q {
		case codec.QoS1:
			c.await(codec.TypePuback, 50)
		case codec.QoS2:
			c.await(codec.TypePubrec, 50)
			c.send(ackPacket(codec.TypePubrel, 50, 0))
			c.await(codec.TypePubcomp, 50)
		}
		equal(t, "QoS", c.receive(topic, "x").qos(), q)
	}
	c.unsubscribe(topic)
	c.publish(message{topic: topic, qos: 1})
	c.ping()
	c.leave()
}

func TestMQTT31SessionIsResumed(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	h := hello{id: unique(t), resume: true}
	c := b.connect(t, v31, h)
	c.subscribe(filter{topic, 1})
	c.leave()
	b.join(t, v31).publish(message{topic: topic, payload: "queued", qos: 1})
	c = b.connect(t, v31, h)
	equal(t, "QoS", c.delivery(topic, "queued").qos(), 1)
	c.crash()
	c = b.connect(t, v31, h)
	equal(t, "DUP", c.receive(topic, "queued").dup(), true)
}

func TestMQTT31EmptyClientIdentifierIsRefused(t *testing.T) {
	t.Parallel()
	for _, resume := range []bool{false, true} {
		c := broker(t).open(t, v31, hello{emptyID: true, resume: resume})
		c.refusedConnect(codec.ReasonCode(codec.RefusedIdentifier))
	}
}

func TestMQTT31RetriesWithDupAreTaken(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	if b.external {
		return
	}
	c := b.join(t, v31)
	retry := subscribePacket(v31, 1, nil, filter{topic, 1})
	retry[0] = 0x8a
	c.send(retry)
	c.expectAck(codec.TypeSuback, 1)
	c.start(message{topic: topic, payload: "x", qos: 2, id: 2})
	c.await(codec.TypePubrec, 2)
	c.send([]byte{0x6a, 2, 0, 2})
	c.await(codec.TypePubcomp, 2)
	c.receive(topic, "x")
	retry = unsubscribePacket(v31, 3, topic)
	retry[0] = 0xaa
	c.send(retry)
	c.expectAck(codec.TypeUnsuback, 3)
}

func TestMQTT31CredentialsMayBeMissingDespiteTheirFlags(t *testing.T) {
	t.Parallel()
	b := broker(t)
	if b.external {
		return
	}
	for _, flags := range []byte{0x82, 0xc2} {
		c := b.dial(t, v31)
		c.send(connectPacket(v31, flags, 0, nil, str(unique(t)[:20])))
		c.accepted()
	}
	c := b.dial(t, v31)
	c.send(connectPacket(v31, 0xc2, 0, nil, cat(str(unique(t)), str("user"))))
	c.accepted()
}

func TestMQTT31WillIsPublished(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	sub := b.join(t, v31)
	sub.subscribe(filter{topic, 1})
	b.connect(t, v31, hello{will: &will{topic: topic, payload: "will", qos: 1}}).crash()
	sub.receive(topic, "will")
}

func TestMQTT31KeepAliveRunsOut(t *testing.T) {
	t.Parallel()
	broker(t).connect(t, v31, hello{keepAlive: 1}).closed()
}

func TestMQTT31ViolationsCloseTheConnection(t *testing.T) {
	t.Parallel()
	b := broker(t)
	for _, packet := range [][]byte{
		{0, 0},
		{0x36, 4, 0, 1, 'a', 0}, // QoS 3
		framed(0x30, str("a/#")),
		framed(0x82, u16(1)),
		framed(0x82, u16(0), str("a"), []byte{0}),
		{0x20, 2, 0, 0},
		{0xf0, 0},
	} {
		c := b.join(t, v31)
		c.send(packet)
		c.refused()
	}
}

func TestSharedSubscriptionsOf3xDoNotBreakOthers(t *testing.T) {
	t.Parallel()
	b, topic := broker(t), unique(t)
	three, five, pub := b.join(t, V311), b.join(t, V5), b.join(t, V5)
	three.trySubscribe(nil, filter{"$share/g/" + topic, 0}) // granted or not: no promise is made
	five.subscribe(filter{topic, 0})
	pub.publish(message{topic: topic, payload: "x"})
	five.delivery(topic, "x")
}

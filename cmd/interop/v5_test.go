package interop

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

// The tests of this file speak 5.0 with paho.golang about what only 5.0 has.

// connectV5 is a connection with a clean start and no will.
func connectV5(t *testing.T, name string) *pahoV5Client {
	t.Helper()
	return connectPahoV5(t, connectOptions{id: unique(t, name)}).(*pahoV5Client)
}

// TestPropertiesArriveUnchanged sends every property of PUBLISH that a server
// forwards; User Properties keep their order and their repetitions [MQTT-3.3.2-17]
// [MQTT-3.3.2-18].
func TestPropertiesArriveUnchanged(t *testing.T) {
	topic := unique(t, "topic")
	subscriber, publisher := connectV5(t, "sub"), connectV5(t, "pub")
	subscriber.subscribe(t, 2, topic)
	user := paho.UserProperties{
		{Key: "z", Value: "first"}, {Key: "a", Value: "second"},
		{Key: "z", Value: "again"}, {Key: "", Value: ""}, {Key: "ключ", Value: "значение"},
	}
	publisher.publishPacket(t, &paho.Publish{
		Topic: topic, QoS: 1, Payload: []byte("{}"),
		Properties: &paho.PublishProperties{
			ContentType:     "application/json",
			ResponseTopic:   "answers/here",
			CorrelationData: []byte{0, 1, 0xFF},
			PayloadFormat:   pointer(byte(1)),
			MessageExpiry:   pointer(uint32(3600)),
			User:            user,
		},
	})
	got := await(t, subscriber.packets, "the message").Properties
	if got.ContentType != "application/json" {
		t.Errorf("content type %q", got.ContentType)
	}
	if got.ResponseTopic != "answers/here" {
		t.Errorf("response topic %q", got.ResponseTopic)
	}
	if !slices.Equal(got.CorrelationData, []byte{0, 1, 0xFF}) {
		t.Errorf("correlation data %x", got.CorrelationData)
	}
	if got.PayloadFormat == nil || *got.PayloadFormat != 1 {
		t.Errorf("payload format indicator %v", got.PayloadFormat)
	}
	if got.MessageExpiry == nil || *got.MessageExpiry == 0 || *got.MessageExpiry > 3600 {
		t.Errorf("message expiry interval %v", got.MessageExpiry)
	}
	if !slices.Equal(got.User, user) {
		t.Errorf("user properties %v, want %v", got.User, user)
	}
}

// TestRequestIsAnsweredOnItsResponseTopic has two clients that know nothing of each
// other but the topic of the request.
func TestRequestIsAnsweredOnItsResponseTopic(t *testing.T) {
	requests, answers := unique(t, "requests"), unique(t, "answers")
	responder, requester := connectV5(t, "responder"), connectV5(t, "requester")
	responder.subscribe(t, 1, requests)
	requester.subscribe(t, 1, answers)
	for i := range 10 {
		requester.publishPacket(t, &paho.Publish{
			Topic: requests, QoS: 1, Payload: fmt.Append(nil, "question ", i),
			Properties: &paho.PublishProperties{ResponseTopic: answers, CorrelationData: []byte{byte(i)}},
		})
		question := await(t, responder.packets, "the request")
		responder.publishPacket(t, &paho.Publish{
			Topic: question.Properties.ResponseTopic, QoS: 1, Payload: append([]byte("answer to "), question.Payload...),
			Properties: &paho.PublishProperties{CorrelationData: question.Properties.CorrelationData},
		})
		answer := await(t, requester.packets, "the answer")
		if string(answer.Payload) != fmt.Sprint("answer to question ", i) || !slices.Equal(answer.Properties.CorrelationData, []byte{byte(i)}) {
			t.Fatalf("answer %q with correlation data %x", answer.Payload, answer.Properties.CorrelationData)
		}
	}
}

// TestPacketsTooLargeForTheClientAreNotSent announces a small Maximum Packet Size:
// larger messages are left out, the others come [MQTT-3.1.2-24].
func TestPacketsTooLargeForTheClientAreNotSent(t *testing.T) {
	topic := unique(t, "topic")
	small := dialPahoV5(t, &paho.Connect{
		ClientID: unique(t, "small"), CleanStart: true,
		Properties: &paho.ConnectProperties{MaximumPacketSize: pointer(uint32(1000))},
	}, nil)
	small.subscribe(t, 2, topic)
	publisher := connectV5(t, "pub")
	for qos := range byte(3) {
		publisher.publish(t, message{topic: topic, qos: qos, payload: payloadOf(1000)})
		publisher.publish(t, text(topic, qos, "fits"))
		small.inbox().expect(t, text(topic, qos, "fits"))
	}
}

// TestReceiveMaximumBoundsWhatIsUnderWay acknowledges by hand with a Receive Maximum
// of 3: the fourth message waits for the first acknowledgement, QoS 0 does not
// [MQTT-3.3.4-9].
func TestReceiveMaximumBoundsWhatIsUnderWay(t *testing.T) {
	topic, fence := unique(t, "topic"), unique(t, "fence")
	slow := dialPahoV5(t, &paho.Connect{
		ClientID: unique(t, "slow"), CleanStart: true,
		Properties: &paho.ConnectProperties{ReceiveMaximum: pointer(uint16(3))},
	}, func(c *paho.ClientConfig) {
		c.EnableManualAcknowledgment = true
		c.SendAcksInterval = time.Millisecond
	})
	slow.subscribe(t, 1, topic, fence)
	publisher := connectV5(t, "pub")
	for i := range 5 {
		publisher.publish(t, text(topic, 1, fmt.Sprint(i)))
	}
	publisher.publish(t, text(fence, 0, "end"))
	for i := range 3 {
		slow.inbox().expect(t, text(topic, 1, fmt.Sprint(i)))
	}
	slow.inbox().expect(t, text(fence, 0, "end"))
	for i := range 2 {
		if err := slow.library.Ack(<-slow.packets); err != nil {
			t.Fatal(err)
		}
		slow.inbox().expect(t, text(topic, 1, fmt.Sprint(3+i)))
	}
}

// TestNoLocalSparesThePublisher publishes to its own subscription [MQTT-3.8.3-3].
func TestNoLocalSparesThePublisher(t *testing.T) {
	topic, fence := unique(t, "topic"), unique(t, "fence")
	c := connectV5(t, "c")
	c.subscribePacket(t, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
		{Topic: topic, QoS: 1, NoLocal: true}, {Topic: fence, QoS: 1},
	}})
	c.publish(t, text(topic, 1, "mine"))
	c.publish(t, text(fence, 1, "end"))
	c.inbox().expect(t, text(fence, 1, "end"))
	connectV5(t, "other").publish(t, text(topic, 1, "theirs"))
	c.inbox().expect(t, text(topic, 1, "theirs"))
}

// TestRetainOptionsOfSubscriptions covers Retain As Published and the three values
// of Retain Handling [MQTT-3.3.1-9] to [MQTT-3.3.1-13].
func TestRetainOptionsOfSubscriptions(t *testing.T) {
	topic, fence := unique(t, "topic"), unique(t, "fence")
	publisher, c := connectV5(t, "pub"), connectV5(t, "c")
	c.subscribe(t, 1, fence)
	old := message{topic: topic, payload: []byte("old"), qos: 1, retain: true}
	publisher.publish(t, old)
	end := func() {
		t.Helper()
		publisher.publish(t, text(fence, 1, "end"))
		c.inbox().expect(t, text(fence, 1, "end"))
	}
	subscribe := func(handling byte) {
		t.Helper()
		c.subscribePacket(t, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{
			{Topic: topic, QoS: 1, RetainHandling: handling, RetainAsPublished: true},
		}})
	}
	subscribe(2) // never
	end()
	subscribe(1) // only if new, and it is not
	end()
	subscribe(0) // always
	c.inbox().expect(t, old)
	c.unsubscribe(t, topic)
	subscribe(1)
	c.inbox().expect(t, old)
	live := message{topic: topic, payload: []byte("live"), qos: 1, retain: true}
	publisher.publish(t, live)
	c.inbox().expect(t, live)
	publisher.publish(t, message{topic: topic, qos: 1, retain: true})
	c.inbox().expect(t, message{topic: topic, qos: 1, retain: true})
}

// TestSubscriptionIdentifierTellsWhatMatched has two subscriptions with identifiers
// of one and of two bytes [MQTT-3.3.4-3].
func TestSubscriptionIdentifierTellsWhatMatched(t *testing.T) {
	prefix := unique(t, "p")
	c := connectV5(t, "c")
	for id, filter := range map[int]string{7: prefix + "/a", 300: prefix + "/b"} {
		c.subscribePacket(t, &paho.Subscribe{
			Properties:    &paho.SubscribeProperties{SubscriptionIdentifier: pointer(id)},
			Subscriptions: []paho.SubscribeOptions{{Topic: filter, QoS: 1}},
		})
	}
	for id, topic := range map[int]string{7: prefix + "/a", 300: prefix + "/b"} {
		c.publish(t, text(topic, 1, "x"))
		got := await(t, c.packets, "the message").Properties.SubscriptionIdentifier
		if got == nil || *got != id {
			t.Errorf("%s: subscription identifier %v, want %d", topic, got, id)
		}
	}
}

// TestTopicAliasesOfTheClientAreResolved sends each topic under an alias twice, the
// second time without its name, and has more topics than aliases, so that every alias
// is given a new meaning on the way: the subscriber sees names only [MQTT-3.3.2-7]
// [MQTT-3.3.2-12].
func TestTopicAliasesOfTheClientAreResolved(t *testing.T) {
	publisher, subscriber := connectV5(t, "pub"), connectV5(t, "sub")
	most := publisher.connack.Properties.TopicAliasMaximum
	if most == nil || *most == 0 {
		t.Fatal("CONNACK allows no topic aliases")
	}
	prefix := unique(t, "p") + "/"
	subscriber.subscribe(t, 1, prefix+"#")
	for i := range 2*int(*most) + 1 {
		topic := fmt.Sprint(prefix, i)
		for _, name := range []string{topic, ""} {
			publisher.publishPacket(t, &paho.Publish{
				Topic: name, QoS: 1, Payload: []byte(topic),
				Properties: &paho.PublishProperties{TopicAlias: pointer(uint16(1 + i%int(*most)))},
			})
			subscriber.inbox().expect(t, text(topic, 1, topic))
		}
	}
}

// TestTopicAliasesOfTheServerAreConsistent allows the server aliases and resolves
// what it makes of them.
func TestTopicAliasesOfTheServerAreConsistent(t *testing.T) {
	const most = 4
	subscriber := dialPahoV5(t, &paho.Connect{
		ClientID: unique(t, "sub"), CleanStart: true,
		Properties: &paho.ConnectProperties{TopicAliasMaximum: pointer(uint16(most))},
	}, nil)
	prefix := unique(t, "p") + "/"
	subscriber.subscribe(t, 1, prefix+"#")
	publisher := connectV5(t, "pub")
	names := map[uint16]string{}
	for range 3 {
		for i := range most + 3 {
			topic := fmt.Sprint(prefix, i)
			publisher.publish(t, text(topic, byte(i%2), topic))
			got := await(t, subscriber.packets, "the message")
			name := got.Topic
			if alias := got.Properties.TopicAlias; alias != nil {
				if *alias == 0 || *alias > most {
					t.Fatalf("topic alias %d, maximum %d", *alias, most)
				}
				if name != "" {
					names[*alias] = name
				}
				name = names[*alias]
			}
			if name != topic || string(got.Payload) != topic {
				t.Fatalf("received %q for %q, want %q", got.Payload, name, topic)
			}
		}
	}
}

// TestAcknowledgementsSayWhatHappened looks at the codes that are neither success
// nor failure.
func TestAcknowledgementsSayWhatHappened(t *testing.T) {
	c := connectV5(t, "c")
	for qos := byte(1); qos <= 2; qos++ {
		code := c.publishPacket(t, &paho.Publish{Topic: unique(t, "nobody"), QoS: qos, Payload: []byte("x")})
		// PUBCOMP, which the library reports for QoS 2, has no such code.
		if qos == 1 && code != 0x10 {
			t.Errorf("PUBACK without subscribers: %#x, want 0x10", code)
		}
	}
	answer, err := c.library.Unsubscribe(t.Context(), &paho.Unsubscribe{Topics: []string{unique(t, "never")}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(answer.Reasons, []byte{0x11}) {
		t.Errorf("UNSUBACK of an unknown filter: %#x, want 0x11", answer.Reasons)
	}
}

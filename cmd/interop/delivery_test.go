package interop

import (
	"fmt"
	"testing"
)

// TestEveryQoSReachesTheSubscriberInOrder publishes with every QoS to subscriptions
// of every QoS; a message arrives with the lower of the two [MQTT-3.8.4-8].
func TestEveryQoSReachesTheSubscriberInOrder(t *testing.T) {
	const each = 20
	eachPair(t, func(t *testing.T, p, s flavour) {
		publisher := p.connect(t, connectOptions{id: unique(t, "pub")})
		subscriber := s.connect(t, connectOptions{id: unique(t, "sub")})
		for granted := range byte(3) {
			for sent := range byte(3) {
				topic := unique(t, fmt.Sprintf("%d/%d", granted, sent))
				subscriber.subscribe(t, granted, topic)
				for i := range each {
					publisher.publish(t, text(topic, sent, fmt.Sprint("message ", i)))
				}
				for i := range each {
					subscriber.inbox().expect(t, text(topic, min(granted, sent), fmt.Sprint("message ", i)))
				}
			}
		}
	})
}

// TestClientReceivesItsOwnMessages has one connection be both ends.
func TestClientReceivesItsOwnMessages(t *testing.T) {
	each(t, func(t *testing.T, f flavour) {
		c := f.connect(t, connectOptions{id: unique(t, "c")})
		topic := unique(t, "echo")
		c.subscribe(t, 2, topic)
		for qos := range byte(3) {
			c.publish(t, text(topic, qos, "to myself"))
			c.inbox().expect(t, text(topic, qos, "to myself"))
		}
	})
}

// TestWildcardsSelectTopics checks which of a set of topics each filter lets through.
func TestWildcardsSelectTopics(t *testing.T) {
	topics := []string{"a", "a/b", "a/b/c", "a/x/c", "a//c", "b/a"}
	cases := []struct {
		filter string
		wants  []string
	}{
		{"a/#", []string{"a", "a/b", "a/b/c", "a/x/c", "a//c"}},
		{"a/+", []string{"a/b"}},
		{"a/+/c", []string{"a/b/c", "a/x/c", "a//c"}},
		{"+/b/#", []string{"a/b", "a/b/c"}},
		{"+/a", []string{"b/a"}},
		{"a/b/c", []string{"a/b/c"}},
	}
	each(t, func(t *testing.T, f flavour) {
		publisher := f.connect(t, connectOptions{id: unique(t, "pub")})
		for i, c := range cases {
			subscriber := f.connect(t, connectOptions{id: unique(t, fmt.Sprint("sub", i))})
			prefix := unique(t, fmt.Sprint("p", i)) + "/"
			fence := unique(t, fmt.Sprint("fence", i))
			subscriber.subscribe(t, 1, prefix+c.filter, fence)
			for _, topic := range topics {
				publisher.publish(t, text(prefix+topic, 1, topic))
			}
			publisher.publish(t, text(fence, 1, "end"))
			for _, topic := range c.wants {
				subscriber.inbox().expect(t, text(prefix+topic, 1, topic))
			}
			subscriber.inbox().expect(t, text(fence, 1, "end"))
		}
	})
}

// TestUnsubscribeEndsDelivery publishes on both sides of an UNSUBSCRIBE.
func TestUnsubscribeEndsDelivery(t *testing.T) {
	each(t, func(t *testing.T, f flavour) {
		c := f.connect(t, connectOptions{id: unique(t, "c")})
		topic, fence := unique(t, "topic"), unique(t, "fence")
		c.subscribe(t, 1, topic, fence)
		c.publish(t, text(topic, 1, "before"))
		c.inbox().expect(t, text(topic, 1, "before"))
		c.unsubscribe(t, topic)
		c.publish(t, text(topic, 1, "after"))
		c.publish(t, text(fence, 1, "end"))
		c.inbox().expect(t, text(fence, 1, "end"))
	})
}

// TestRetainedMessageIsSetReadReplacedAndCleared follows one retained message
// through its life, written by one flavour and read by another. RETAIN is set on
// what a new subscription gets and not on what an old one does [MQTT-3.3.1-8]
// [MQTT-3.3.1-12].
func TestRetainedMessageIsSetReadReplacedAndCleared(t *testing.T) {
	eachPair(t, func(t *testing.T, p, s flavour) {
		publisher := p.connect(t, connectOptions{id: unique(t, "pub")})
		topic, fence := unique(t, "state"), unique(t, "fence")
		retained := func(qos byte, payload string) message {
			m := text(topic, qos, payload)
			m.retain = true
			return m
		}
		live := s.connect(t, connectOptions{id: unique(t, "live")})
		live.subscribe(t, 2, topic)
		// A new reader subscribes to the fence last, so that the fence cannot
		// overtake a retained message that should not be there.
		read := func(name string) client {
			reader := s.connect(t, connectOptions{id: unique(t, name)})
			reader.subscribe(t, 2, topic)
			reader.subscribe(t, 2, fence)
			return reader
		}
		for qos := range byte(3) {
			payload := fmt.Sprint("value ", qos)
			publisher.publish(t, retained(qos, payload))
			live.inbox().expect(t, text(topic, qos, payload))
			read(fmt.Sprint("reader", qos)).inbox().expect(t, retained(qos, payload))
		}

		publisher.publish(t, retained(1, ""))
		live.inbox().expect(t, text(topic, 1, ""))
		reader := read("after")
		publisher.publish(t, text(fence, 1, "end"))
		reader.inbox().expect(t, text(fence, 1, "end"))
	})
}

// TestWillIsPublishedWhenTheConnectionBreaks lets one flavour die and another hear
// of it, with every Will QoS, and finds a retained Will afterwards [MQTT-3.1.2-8].
func TestWillIsPublishedWhenTheConnectionBreaks(t *testing.T) {
	eachPair(t, func(t *testing.T, p, s flavour) {
		watcher := s.connect(t, connectOptions{id: unique(t, "watcher")})
		for qos := range byte(3) {
			topic := unique(t, fmt.Sprint("will", qos))
			watcher.subscribe(t, 2, topic)
			will := text(topic, qos, "gone")
			will.retain = true
			dying := p.connect(t, connectOptions{id: unique(t, "dying"), will: &will})
			dying.drop(t)
			watcher.inbox().expect(t, text(topic, qos, "gone"))

			late := s.connect(t, connectOptions{id: unique(t, fmt.Sprint("late", qos))})
			late.subscribe(t, 2, topic)
			late.inbox().expect(t, will)
			late.publish(t, message{topic: topic, retain: true})
			watcher.inbox().expect(t, message{topic: topic})
		}
	})
}

// TestDisconnectDiscardsTheWill ends a connection in an orderly way. The same
// client's next connection proves that the server is done with the first
// [MQTT-3.14.4-3].
func TestDisconnectDiscardsTheWill(t *testing.T) {
	each(t, func(t *testing.T, f flavour) {
		topic := unique(t, "will")
		watcher := f.connect(t, connectOptions{id: unique(t, "watcher")})
		watcher.subscribe(t, 1, topic)
		will := text(topic, 1, "gone")
		leaving := f.connect(t, connectOptions{id: unique(t, "leaving"), will: &will})
		leaving.disconnect(t)
		again := f.connect(t, connectOptions{id: unique(t, "leaving")})
		again.publish(t, text(topic, 1, "end"))
		watcher.inbox().expect(t, text(topic, 1, "end"))
	})
}

package conformance

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// TestWideFanOutServesEachSubscriberByItsOwnOptions has subscribers enough that a broker may take another way for them.
func TestWideFanOutServesEachSubscriberByItsOwnOptions(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.8.4-8", "MQTT-4.6.0-5", "MQTT-3.8.3-3", "MQTT-3.3.1-12", "MQTT-3.3.1-13", "MQTT-3.3.4-3", "MQTT-3.3.2-17")
	covers(t, V311, "MQTT-3.8.4-6", "MQTT-4.6.0-6", "MQTT-3.3.1-9")
	b, topic := broker(t), unique(t)
	type subscriber struct {
		*client
		qos        codec.QoS
		as         bool
		identifier int
	}
	var subs []*subscriber
	for i := range 150 {
		s := &subscriber{qos: codec.QoS(i % 3)}
		f := filter{topic, byte(s.qos)}
		if i%2 == 0 {
			s.client = b.join(t, V311)
			s.subscribe(f)
		} else {
			s.client = b.join(t, V5)
			if i%4 == 1 {
				s.as, f.options = true, f.options|retainAsPublished
			}
			var props []byte
			if i%10 == 1 {
				s.identifier = i
				props = prop(codec.PropSubscriptionIdentifier, i)
			}
			s.subscribeWith(props, f)
		}
		subs = append(subs, s)
	}
	deaf, pub := b.join(t, V5), b.join(t, V5)
	deaf.subscribe(filter{topic, 2 | noLocal})
	pub.subscribe(filter{topic, 2 | noLocal})
	for round := range 4 {
		for q := range codec.QoS(3) {
			text := fmt.Sprintf("%d at %d", round, q)
			retain := round%2 == 1
			pub.publish(message{topic: topic, payload: text, qos: q, retain: retain, props: pair("k", text)})
			for _, s := range subs {
				p := s.receive(topic, text)
				equal(t, "QoS", p.qos(), min(q, s.qos))
				equal(t, "RETAIN", p.retain(), retain && s.as)
				equal(t, "subscription identifier", p.number(codec.PropSubscriptionIdentifier, 0), s.identifier)
				if s.v == V5 {
					equal(t, "user properties", pairs(p), "k="+text+" ")
				}
			}
			deaf.receive(topic, text)
			pub.ping() // its own
		}
	}
	for _, s := range subs {
		s.ping()
	}
}

func TestWideFanOutKeepsTheOrderOfAPublisher(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.6.0-5", "MQTT-4.6.0-6")
	b, topic := broker(t), unique(t)
	var subs []*client
	for range 100 {
		c := b.join(t, V5)
		c.subscribe(filter{topic + "/#", 1})
		subs = append(subs, c)
	}
	// One of them hears of some messages alone: they must not overtake the ones for all.
	one := subs[len(subs)-1]
	one.subscribe(filter{topic + "-alone", 1})
	pub := b.join(t, V5)
	var ids []uint16
	for i := range 18 {
		name := topic
		if i%3 == 2 {
			name += "-alone"
		}
		ids = append(ids, pub.start(message{topic: name, payload: fmt.Sprint(i), qos: 1}))
	}
	for i := range 18 {
		if i%3 == 2 {
			one.receive(topic+"-alone", fmt.Sprint(i))
			continue
		}
		for _, c := range subs {
			c.receive(topic, fmt.Sprint(i))
		}
	}
	for _, id := range ids {
		pub.expectAck(codec.TypePuback, id)
	}
}

package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestPublishIsAnsweredByItsQoS(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.4-1", "MQTT-4.3.2-4", "MQTT-4.3.3-8", "MQTT-4.3.3-11", "MQTT-2.2.1-5", "MQTT-3.4.2-1", "MQTT-3.5.2-1"),
		rows("MQTT-3.3.4-1", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT-2.3.1-6"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			c := b.join(t, v)
			c.start(message{topic: topic})
			c.ping() // no answer to QoS 0
			for _, id := range []uint16{1, 2, 255, 256, 32768, 65535} {
				c.start(message{topic: topic, qos: 1, id: id})
				c.expectAck(codec.TypePuback, id)
				c.start(message{topic: topic, qos: 2, id: id})
				c.expectAck(codec.TypePubrec, id)
				c.send(ackPacket(codec.TypePubrel, id, 0))
				equal(t, "code", c.expectAck(codec.TypePubcomp, id).code, 0)
			}
			c.ping()
		})
}

func TestDeliveryHasTheLowerOfPublishedAndGrantedQoS(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.8.4-8", "MQTT-2.2.1-2", "MQTT-4.3.1-1", "MQTT-3.3.1-2", "MQTT-4.3.2-2", "MQTT-4.3.3-2", "MQTT-3.3.2-3"),
		rows("MQTT-3.8.4-6", "MQTT-2.3.1-5", "MQTT-4.3.1-1", "MQTT-3.3.1-2", "MQTT-4.3.2-1", "MQTT-4.3.3-1", "MQTT-3.3.2-3"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub := b.join(t, v)
			for granted := range codec.QoS(3) {
				sub := b.join(t, v)
				suback := sub.subscribe(filter{topic + "/+", byte(granted)})
				equal(t, "granted", codec.QoS(suback.codes[0]), granted)
				for published := range codec.QoS(3) {
					text := fmt.Sprintf("%d to %d", published, granted)
					pub.publish(message{topic: topic + "/x", payload: text, qos: published})
					// The payload would begin with a Packet Identifier if QoS 0 carried one.
					p := sub.receive(topic+"/x", text)
					equal(t, "QoS", p.qos(), min(published, granted))
					equal(t, "DUP", p.dup(), false)
					equal(t, "RETAIN", p.retain(), false)
				}
				sub.ping()
				sub.leave()
			}
		})
}

func TestDupOfThePublisherIsNotPassedOn(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-3"), rows("MQTT-3.3.1-3"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub, sub := b.join(t, v), b.join(t, v)
		sub.subscribe(filter{topic, 2})
		for _, q := range []codec.QoS{1, 2} {
			pub.publish(message{topic: topic, payload: "x", qos: q, dup: true})
			equal(t, "DUP", sub.receive(topic, "x").dup(), false)
		}
	})
}

func TestDupWithQoS0IsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-2"), rows("MQTT-3.3.1-2"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		if c.b.external && v == V311 {
			return // may be closed, and may not
		}
		c.start(message{topic: "x", dup: true})
		c.refused(codec.MalformedPacket, codec.ProtocolError)
	})
}

func TestQoS3IsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.1-4"), rows("MQTT-3.3.1-4"), func(t *testing.T, v codec.Version) {
		for _, m := range []message{{topic: "x", qos: 3}, {topic: "x", qos: 3, dup: true, retain: true}} {
			c := broker(t).join(t, v)
			c.start(m)
			c.refused(codec.MalformedPacket)
		}
	})
}

func TestTopicNameWithWildcardIsRefused(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.3.2-2", "MQTT-4.7.0-1"),
		rows("MQTT-3.3.2-2", "MQTT-4.7.1-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			sub := b.join(t, v)
			sub.subscribe(filter{topic + "/#", 0})
			for _, wild := range []string{"/#", "/+", "/a#", "/a+b", "/+/b"} {
				for q := range codec.QoS(3) {
					c := b.join(t, v)
					c.start(message{topic: topic + wild, payload: "x", qos: q})
					c.refused(codec.TopicNameInvalid, codec.MalformedPacket, codec.ProtocolError)
				}
			}
			sub.ping()
		})
}

func TestEmptyTopicNameIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.7.3-1"), rows("MQTT-4.7.3-1"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		c.start(message{topic: "", payload: "x"})
		c.refused(codec.ProtocolError)
	})
}

func TestTruncatedTopicNameIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-3.3.2-1"), rows("MQTT-3.3.2-1"), func(t *testing.T, v codec.Version) {
		for _, body := range [][]byte{{}, {0}, {0, 5, 'a', 'b'}} {
			c := broker(t).join(t, v)
			c.send(framed(0x30, body))
			c.refused(codec.MalformedPacket)
		}
	})
}

func TestPacketIdentifierZeroIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-2.2.1-3"), rows("MQTT-2.3.1-1"), func(t *testing.T, v codec.Version) {
		for _, packet := range [][]byte{
			(&message{topic: "x", qos: 1}).encode(v),
			(&message{topic: "x", qos: 2}).encode(v),
			subscribePacket(v, 0, nil, filter{"x", 0}),
			unsubscribePacket(v, 0, "x"),
		} {
			c := broker(t).join(t, v)
			c.send(packet)
			c.refused(codec.ProtocolError, codec.MalformedPacket)
		}
	})
}

func TestDeliveriesInFlightHaveIdentifiersOfTheirOwn(t *testing.T) {
	bothVersions(t,
		rows("MQTT-2.2.1-4", "MQTT-4.3.2-1", "MQTT-4.3.3-1"),
		rows("MQTT-2.3.1-4", "MQTT-2.3.1-1", "MQTT-4.3.2-1", "MQTT-4.3.3-1"),
		func(t *testing.T, v codec.Version) {
			b, topic := broker(t), unique(t)
			pub, sub := b.join(t, v), b.join(t, v)
			sub.subscribe(filter{topic, 2})
			var open []*packet
			for i := range 200 {
				q := codec.QoS(1 + i%2)
				pub.publish(message{topic: topic, payload: fmt.Sprint(i), qos: q})
				p := sub.delivery(topic, fmt.Sprint(i)) // the witness knows which are in use
				if q == codec.QoS2 && i%4 == 1 {
					sub.pubrec(p.id, 0)
					sub.expectAck(codec.TypePubrel, p.id) // in use until PUBCOMP
				}
				if i%3 == 0 && i%4 != 1 {
					sub.acknowledge(p)
					continue
				}
				open = append(open, p)
			}
			seen := map[uint16]bool{}
			for _, p := range open {
				if seen[p.id] || p.id == 0 {
					t.Fatalf("packet identifier %d", p.id)
				}
				seen[p.id] = true
			}
		})
}

func TestPacketIdentifiersAreUsedAgain(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-2.2.1-4", "MQTT-4.3.2-1")
	b, topic := broker(t), unique(t)
	pub, sub := b.join(t, V5), b.join(t, V5)
	sub.subscribe(filter{topic, 1})
	// One delivery stays open while the identifiers go almost round; another then, past the end. The witness would see an
	// identifier given out twice.
	const n, batch, held = 70000, 20, 60000
	var open *packet
	for sent := 0; sent < n; sent += batch {
		if sent%held == 0 {
			if open != nil {
				sub.acknowledge(open)
			}
			pub.publish(message{topic: topic, payload: "open", qos: 1, id: 100})
			open = sub.delivery(topic, "open")
		}
		var burst, acks []byte
		for i := range batch {
			burst = append(burst, (&message{topic: topic, qos: 1, id: uint16(1 + i)}).encode(V5)...)
		}
		pub.send(burst)
		for range batch {
			p := sub.delivery(topic, "")
			sub.watch.settled(p.id)
			acks = append(acks, ackPacket(codec.TypePuback, p.id, 0)...)
		}
		sub.send(acks)
		for i := range batch {
			pub.expectAck(codec.TypePuback, uint16(1+i))
		}
	}
	sub.acknowledge(open)
	sub.ping()
}

func TestPayloadIsForwardedUnchanged(t *testing.T) {
	bothVersions(t, rows("MQTT-1.5.5-1"), nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		pub, sub := b.join(t, v), b.join(t, v)
		sub.subscribe(filter{topic, 1})
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		// Around the places where the remaining length grows by a byte.
		for _, n := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152} {
			for d := -len(topic) - 8; d <= 0; d += 4 {
				if n > 20000 && d < 0 {
					continue
				}
				text := strings.Repeat(string(all), 1+n/256)[:max(n+d, 0)]
				pub.publish(message{topic: topic, payload: text, qos: 1})
				sub.receive(topic, text)
			}
		}
	})
}

func TestTopicsAreComparedByteByByte(t *testing.T) {
	bothVersions(t,
		rows("MQTT-4.7.3-4", "MQTT-1.5.4-3", "MQTT-3.3.2-3"),
		rows("MQTT-4.7.3-4", "MQTT-1.5.3-3", "MQTT-3.3.2-3"),
		func(t *testing.T, v codec.Version) {
			b, root := broker(t), unique(t)
			topics := []string{
				root + "/caf\u00e9", root + "/cafe\u0301", // composed and decomposed
				root + "/CAF\u00c9", root + "/cafe",
				root + "/x", root + "/x/", root + "//x", "/" + root + "/x", root + "/X", root + "/x ",
				"\ufeff" + root + "/x", root + "/\ufeffx", root + "/x\ufeff", // EF BB BF is a character like others
				root + "/\U0001F426", root + "/\uFF58",
			}
			pub := b.join(t, v)
			subs := make([]*client, len(topics))
			for i, topic := range topics {
				subs[i] = b.join(t, v)
				subs[i].subscribe(filter{topic, 0})
			}
			all := b.join(t, v)
			all.subscribe(filter{root + "/#", 0})
			for i, topic := range topics {
				pub.publish(message{topic: topic, payload: fmt.Sprint(i)})
			}
			for i, topic := range topics {
				subs[i].delivery(topic, fmt.Sprint(i))
				subs[i].ping()
				if strings.HasPrefix(topic, root) {
					all.delivery(topic, fmt.Sprint(i))
				}
			}
			all.ping()
		})
}

func TestTopicOfMaximumLengthIsRouted(t *testing.T) {
	bothVersions(t, rows("MQTT-4.7.3-3"), rows("MQTT-4.7.3-3"), func(t *testing.T, v codec.Version) {
		b, root := broker(t), unique(t)
		topic := root + strings.Repeat("x", 65535-len(root))
		pub, sub := b.join(t, v), b.join(t, v)
		if sub.trySubscribe(nil, filter{topic, 1}).codes[0] < codec.UnspecifiedError {
			pub.publish(message{topic: topic, payload: "far", qos: 1})
			sub.receive(topic, "far")
		} else if !b.external {
			t.Fatal("filter of 65535 bytes refused")
		}
		sub.ping()
		pub.ping()
	})
}

func TestTopicWithManyLevelsIsRefusedCleanly(t *testing.T) {
	bothVersions(t, rows("MQTT-4.7.3-3"), rows("MQTT-4.7.3-3"), func(t *testing.T, v codec.Version) {
		b := broker(t)
		topic := unique(t) + strings.Repeat("/", 60000)
		pub, sub := b.join(t, v), b.join(t, v)
		if b.external {
			sub.send(subscribePacket(v, 1, nil, filter{topic, 0}))
			sub.next() // refused or closed
			b.join(t, v).ping()
			return
		}
		code := sub.trySubscribe(nil, filter{topic, 0}).codes[0]
		want := codec.TopicFilterInvalid
		if v == V311 {
			want = codec.UnspecifiedError
		}
		equal(t, "code of the filter", code, want)
		code = pub.publish(message{topic: topic, qos: 1})
		if v == V5 {
			equal(t, "code of the topic", code, codec.TopicNameInvalid)
		}
		pub.ping()
	})
}

func TestWildcardsDoNotMatchTopicsThatBeginWithDollar(t *testing.T) {
	bothVersions(t, rows("MQTT-4.7.2-1"), rows("MQTT-4.7.2-1"), func(t *testing.T, v codec.Version) {
		b, root := broker(t), unique(t)
		pub, sub, exact := b.join(t, v), b.join(t, v), b.join(t, v)
		sub.subscribe(filter{"+/" + root, 0}, filter{"+/" + root + "/#", 0}, filter{"#", 0})
		exact.subscribe(filter{"$" + root + "/" + root, 0})
		pub.publish(message{topic: "$" + root + "/" + root, payload: "hidden"})
		exact.delivery("$"+root+"/"+root, "hidden")
		pub.publish(message{topic: root + "/" + root, payload: "fence"})
		for {
			// Others publish too, and # matches them all.
			p := sub.expect(codec.TypePublish)
			if strings.HasPrefix(p.topic, "$") {
				t.Fatalf("%s", p)
			}
			if p.topic == root+"/"+root {
				break
			}
			sub.acknowledge(p)
		}
	})
}

func TestMessagesOfOnePublisherKeepTheirOrder(t *testing.T) {
	bothVersions(t, rows("MQTT-4.6.0-5", "MQTT-4.6.0-6"), rows("MQTT-4.6.0-5", "MQTT-4.6.0-6"), func(t *testing.T, v codec.Version) {
		for q := range codec.QoS(3) {
			t.Run(fmt.Sprintf("QoS %d", q), func(t *testing.T) {
				t.Parallel()
				b, topic := broker(t), unique(t)
				pub := b.join(t, v)
				var subs []*client
				for range 4 {
					s := b.join(t, v)
					s.subscribe(filter{topic, byte(q)})
					subs = append(subs, s)
				}
				for burst := range 10 {
					const n = 20
					for i := range n {
						id := pub.start(message{topic: topic, payload: fmt.Sprint(burst*n + i), qos: q, id: uint16(1 + i)})
						if q == codec.QoS2 {
							pub.send(ackPacket(codec.TypePubrel, id, 0))
						}
					}
					for _, s := range subs {
						for i := range n {
							s.receive(topic, fmt.Sprint(burst*n+i))
						}
					}
					for i := range n {
						switch q {
						case codec.QoS1:
							pub.expectAck(codec.TypePuback, uint16(1+i))
						case codec.QoS2:
							pub.await(codec.TypePubcomp, uint16(1+i))
						}
					}
					pub.stash = nil // PUBREC
				}
			})
		}
	})
}

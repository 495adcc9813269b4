package interop

import (
	"fmt"
	"slices"
	"testing"
)

// TestLargePayloadArrivesIntact sends 1 MiB with every QoS from every flavour to
// every other.
func TestLargePayloadArrivesIntact(t *testing.T) {
	payload := payloadOf(1 << 20)
	eachPair(t, func(t *testing.T, p, s flavour) {
		topic := unique(t, "large")
		publisher := p.connect(t, connectOptions{id: unique(t, "pub")})
		subscriber := s.connect(t, connectOptions{id: unique(t, "sub")})
		subscriber.subscribe(t, 2, topic)
		for qos := range byte(3) {
			m := message{topic: topic, payload: payload, qos: qos}
			publisher.publish(t, m)
			subscriber.inbox().expect(t, m)
		}
	})
}

// TestLargestPacketArrivesIntact sends a PUBLISH of exactly the Maximum Packet Size
// that the server announces. The first half of the test is for 5.0, which is told
// the size; 3.x clients meet the same bound untold.
func TestLargestPacketArrivesIntact(t *testing.T) {
	limit := announcedMaximumPacketSize(t)
	each(t, func(t *testing.T, f flavour) {
		topic := unique(t, "largest")
		c := f.connect(t, connectOptions{id: unique(t, "c")})
		c.subscribe(t, 1, topic)
		m := message{topic: topic, payload: payloadOf(limit - overhead(f, topic)), qos: 1}
		c.publish(t, m)
		c.inbox().expect(t, m)
	})
}

// announcedMaximumPacketSize asks the server by way of a 5.0 client.
func announcedMaximumPacketSize(t *testing.T) int {
	t.Helper()
	c := connectPahoV5(t, connectOptions{id: unique(t, "probe")}).(*pahoV5Client)
	size := c.connack.Properties.MaximumPacketSize
	if size == nil {
		t.Fatal("CONNACK announces no Maximum Packet Size")
	}
	c.disconnect(t)
	return int(*size)
}

// overhead is what a PUBLISH with QoS 1 adds to its payload: type and Remaining
// Length (four bytes from 2 MiB on), the topic with its length, the Packet
// Identifier, and in 5.0 an empty property list.
func overhead(f flavour, topic string) int {
	n := 1 + 4 + 2 + len(topic) + 2
	if f.version == 5 {
		n++
	}
	return n
}

// TestPacketTooLargeEndsTheConnection sends one byte more than the announced size. A
// 5.0 client may read 0x95; the server closes while the client still writes, which can
// cost the client that last packet, so a bare close is as good.
func TestPacketTooLargeEndsTheConnection(t *testing.T) {
	limit := announcedMaximumPacketSize(t)
	each(t, func(t *testing.T, f flavour) {
		topic := unique(t, "topic")
		watcher := f.connect(t, connectOptions{id: unique(t, "watcher")})
		watcher.subscribe(t, 1, topic)
		c := f.connect(t, connectOptions{id: unique(t, "c")})
		c.attempt(message{topic: topic, payload: payloadOf(limit - overhead(f, topic) + 1), qos: 1})
		if code := await(t, c.lost(), "the end of the connection"); code != noReason && (f.version < 5 || code != 0x95) {
			t.Errorf("connection ended with %#x, want 0x95", code)
		}
		watcher.publish(t, text(topic, 1, "end"))
		watcher.inbox().expect(t, text(topic, 1, "end"))
	})
}

// TestManyTopicsGoToTheRightSubscriptions subscribes to many topics one by one,
// unsubscribes from every second, and publishes to all, before and after.
func TestManyTopicsGoToTheRightSubscriptions(t *testing.T) {
	const count, batch = 1000, 50
	each(t, func(t *testing.T, f flavour) {
		c := f.connect(t, connectOptions{id: unique(t, "c")})
		publisher := f.connect(t, connectOptions{id: unique(t, "pub")})
		var all, odd, even []string
		for i := range count {
			topic := unique(t, fmt.Sprintf("building/%d/floor/%d/sensor/%d", i/100, i/10%10, i%10))
			all = append(all, topic)
			if i%2 == 0 {
				even = append(even, topic)
			} else {
				odd = append(odd, topic)
			}
		}
		for some := range slices.Chunk(all, batch) {
			c.subscribe(t, 1, some...)
		}
		for _, topics := range [][]string{all, odd} {
			for _, topic := range all {
				publisher.publish(t, text(topic, 1, topic))
			}
			for _, topic := range topics {
				c.inbox().expect(t, text(topic, 1, topic))
			}
			for some := range slices.Chunk(even, batch) {
				c.unsubscribe(t, some...)
			}
		}
		publisher.publish(t, text(all[1], 1, "end"))
		c.inbox().expect(t, text(all[1], 1, "end"))
	})
}

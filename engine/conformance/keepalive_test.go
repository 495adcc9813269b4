package conformance

import (
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestSilentClientIsDroppedAfterItsKeepAlive(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-22", "MQTT-3.2.2-22"), rows("MQTT-3.1.2-24"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		watcher := b.connect(t, v, hello{}) // Keep Alive 0
		watcher.subscribe(filter{topic, 0})
		start := time.Now()
		c := b.connect(t, v, hello{keepAlive: 1, will: &will{topic: topic, payload: "will"}})
		c.refused(codec.KeepAliveTimeout)
		if waited := time.Since(start); waited < 1500*time.Millisecond {
			t.Fatalf("closed after %v with a keep alive of 1 s", waited)
		}
		watcher.receive(topic, "will")
		watcher.ping() // it was silent as long
	})
}

func TestAnyPacketKeepsTheConnectionAlive(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-22"), rows("MQTT-3.1.2-24"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		c := b.connect(t, v, hello{keepAlive: 1})
		for _, packet := range [][]byte{
			pingreq, (&message{topic: topic}).encode(v), ackPacket(codec.TypePuback, 77, 0),
		} {
			c.send(packet)
			if packet[0] == pingreq[0] {
				c.expect(codec.TypePingresp)
			}
			c.silentFor(time.Second)
		}
		c.ping()
	})
}

func TestDeliveriesDoNotKeepTheConnectionAlive(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-22")
	b, topic := broker(t), unique(t)
	pub, c := b.join(t, V5), b.connect(t, V5, hello{keepAlive: 1})
	c.subscribe(filter{topic, 0})
	for range 3 {
		pub.silentFor(400 * time.Millisecond)
		pub.publish(message{topic: topic})
		c.delivery(topic, "")
	}
	c.refused(codec.KeepAliveTimeout)
}

func TestServerKeepAliveRules(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, impatient)
	for name, keepAlive := range map[string]int{"none wanted": 0, "a long one wanted": 3600} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.2-21", "MQTT-3.2.2-21")
			start := time.Now()
			c := b.connect(t, V5, hello{keepAlive: keepAlive})
			equal(t, "server keep alive", c.ack.number(codec.PropServerKeepAlive, -1), 1)
			c.refused(codec.KeepAliveTimeout)
			if waited := time.Since(start); waited < 1500*time.Millisecond {
				t.Fatalf("closed after %v with a server keep alive of 1 s", waited)
			}
		})
	}
	t.Run("a short one wanted", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.2.2-22")
		c := b.connect(t, V5, hello{keepAlive: 1})
		equal(t, "server keep alive", c.ack.has(codec.PropServerKeepAlive), false)
		c.refused(codec.KeepAliveTimeout)
	})
}

func TestPingIsAnswered(t *testing.T) {
	bothVersions(t, rows("MQTT-3.12.4-1"), rows("MQTT-3.12.4-1"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		for range 3 {
			c.ping()
		}
		c.send(pingreq, pingreq, pingreq)
		for range 3 {
			c.expect(codec.TypePingresp)
		}
		c.leave()
	})
}

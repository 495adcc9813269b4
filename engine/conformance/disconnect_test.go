package conformance

import (
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

func TestServerClosesAfterTheClientsDisconnect(t *testing.T) {
	bothVersions(t, rows("MQTT-3.14.4-1"), rows("MQTT-3.14.4-2"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 0})
		c := b.join(t, v)
		// What follows DISCONNECT has no effect, not even on the way of closing.
		c.send(disconnectNow, (&message{topic: topic, payload: "late", retain: true}).encode(v), pingreq, []byte{0, 0})
		c.closed()
		sub.ping()
		late := b.join(t, v)
		late.subscribe(filter{topic, 0})
		late.ping()
	})
}

func TestDisconnectFormsAreTaken(t *testing.T) {
	t.Parallel()
	for name, packet := range map[string][]byte{
		"empty":           disconnectNow,
		"code":            {0xe0, 1, 0},
		"code and length": {0xe0, 2, 0, 0},
		"reason":          disconnectPacket(0, prop(codec.PropReasonString, "done"), pair("a", "b")),
		"expiry":          disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 0)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.14.2-1")
			b, topic := broker(t), unique(t)
			sub := b.join(t, V5)
			sub.subscribe(filter{topic, 0})
			c := b.connect(t, V5, hello{will: &will{topic: topic, payload: "will"}})
			c.send(packet)
			c.closed()
			sub.ping()
		})
	}
}

func TestDisconnectCodesOfAClient(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.14.2-1")
	b, topic := broker(t), unique(t)
	if b.external {
		return
	}
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	for _, code := range []codec.ReasonCode{
		0x01, 0x10, 0x18, 0x7f, 0x84, 0x85, 0x86, 0x88, 0x91, 0x92, 0xa3, 0xff, // not in the table
		codec.NotAuthorized, codec.ServerBusy, codec.ServerShuttingDown, codec.KeepAliveTimeout, codec.SessionTakenOver,
		codec.RetainNotSupported, codec.QoSNotSupported, codec.UseAnotherServer, codec.ServerMoved, codec.MaximumConnectTime,
	} {
		c := b.connect(t, V5, hello{will: &will{topic: topic, payload: "will"}})
		c.send(disconnectPacket(code))
		c.refused(codec.ProtocolError, codec.MalformedPacket)
		sub.receive(topic, "will")
	}
}

func TestServerClosesBehindItsOwnDisconnect(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.14.4-1", "MQTT-3.14.4-2", "MQTT-3.14.2-2", "MQTT-4.13.2-1")
	b, topic := broker(t), unique(t)
	c := b.connect(t, V5, lasting(V5, hello{}))
	c.subscribe(filter{topic, 1})
	// Behind the offence: nothing of it is answered.
	c.send((&hello{id: c.id}).encode(V5), pingreq, (&message{topic: topic, qos: 1, id: 1}).encode(V5))
	c.refused(codec.ProtocolError) // the witness wants no Session Expiry Interval, and nothing behind DISCONNECT
}

func TestShutdownTellsItsClients(t *testing.T) {
	t.Parallel()
	if broker(t).external {
		return
	}
	b, err := startServer(plain)
	if err != nil {
		t.Fatal(err)
	}
	five, three, mute := b.join(t, V5), b.join(t, V311), b.dial(t, V5)
	b.stop()
	five.refused(codec.ServerShuttingDown)
	three.refused()
	mute.closed()
	select {
	case err := <-b.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patience):
		t.Fatal("the server has not ended")
	}
}

package codec

import (
	"bytes"
	"testing"
)

// hotPackets are those that a broker reads and writes all day long.
func hotPackets() map[string]vector {
	payload := bytes.Repeat([]byte("x"), 64)
	topic := []byte("sensors/kitchen/temperature")
	return map[string]vector{
		"publish 3.1.1 qos 0": {v: V311, packet: &Publish{Topic: topic, Payload: payload}},
		"publish 3.1.1 qos 1": {v: V311, packet: &Publish{Topic: topic, Payload: payload, QoS: QoS1, PacketID: 7}},
		"publish 5.0 qos 0":   {v: V5, packet: &Publish{Topic: topic, Payload: payload}},
		"publish 5.0 alias": {v: V5, packet: &Publish{Payload: payload, QoS: QoS1, PacketID: 7,
			Properties: with(Properties{TopicAlias: 3}, PropTopicAlias)}},
		"publish 5.0 properties": {v: V5, packet: &Publish{Topic: topic, Payload: payload, QoS: QoS1, PacketID: 7,
			Properties: with(Properties{MessageExpiryInterval: 60, ContentType: []byte("application/json"), User: users("trace", "4711", "room", "12"), TopicAlias: 3, SubscriptionIdentifiers: []uint32{5}},
				PropMessageExpiryInterval, PropContentType, PropUserProperty, PropTopicAlias, PropSubscriptionIdentifier)}},
		"puback 3.1.1":        {v: V311, packet: &typedAck{TypePuback, Ack{PacketID: 7}}},
		"puback 5.0":          {v: V5, packet: &typedAck{TypePuback, Ack{PacketID: 7}}},
		"pubrec 5.0 reason":   {v: V5, packet: &typedAck{TypePubrec, Ack{PacketID: 7, Reason: NoMatchingSubscribers}}},
		"pubrel 5.0":          {v: V5, packet: &typedAck{TypePubrel, Ack{PacketID: 7}}},
		"pubcomp 5.0 unknown": {v: V5, packet: &typedAck{TypePubcomp, Ack{PacketID: 7, Reason: PacketIdentifierNotFound}}},
	}
}

func mustNotAllocate(t *testing.T, name string, run func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}

func TestHotPacketsDoNotAllocate(t *testing.T) {
	var p packets
	buffer := make([]byte, 0, 1024)
	for name, c := range hotPackets() {
		b := encode(c.packet, c.v)
		mustNotAllocate(t, "parse "+name, func() {
			f, _, err := Next(b, 0)
			if err == nil {
				_, err = p.parse(c.v, f)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
		mustNotAllocate(t, "append "+name, func() {
			switch packet := c.packet.(type) {
			case *Publish:
				buffer = packet.Append(buffer[:0], c.v)
			case *typedAck:
				buffer = packet.Append(buffer[:0], packet.Type, c.v)
			}
		})
	}
}

func TestPacketsParseWithoutAllocatingOnceWarm(t *testing.T) {
	var p packets
	for _, c := range vectors() {
		f := frame(t, wire(t, c.wire))
		if f.Type == TypePingreq || f.Type == TypePingresp {
			continue // the helper allocates for these
		}
		mustNotAllocate(t, c.name, func() {
			if _, err := p.parse(c.v, f); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDeliveryAndRefusalsDoNotAllocate(t *testing.T) {
	buffer := make([]byte, 0, 1024)
	for _, v := range []Version{V31, V311, V5} {
		d := Delivery{Topic: []byte("a/b"), Payload: make([]byte, 64), Passthrough: sample(PropContentType), QoS: QoS1, PacketID: 1,
			HasExpiry: true, Expiry: 60, TopicAlias: 2, SubscriptionIDs: []uint32{1, 2, 3}}
		mustNotAllocate(t, "delivery "+v.String(), func() {
			if d.Size(v) > 1024 {
				t.Fatal("too large")
			}
			buffer = AppendDelivery(buffer[:0], v, &d)
		})
	}
	mustNotAllocate(t, "short ack", func() { buffer = AppendPubackShort(buffer[:0], TypePuback, 1) })
	mustNotAllocate(t, "pingresp", func() { buffer = AppendPingresp(buffer[:0]) })

	var p Publish
	bad := []byte{0, 1, '#'}
	mustNotAllocate(t, "refusal", func() {
		if p.Parse(V311, 0, bad) == nil {
			t.Fatal("no error")
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for name, c := range hotPackets() {
		b.Run(name, func(b *testing.B) {
			var p packets
			in := encode(c.packet, c.v)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				f, _, err := Next(in, 0)
				if err == nil {
					_, err = p.parse(c.v, f)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, c := range hotPackets() {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				switch packet := c.packet.(type) {
				case *Publish:
					out = packet.Append(out[:0], c.v)
				case *typedAck:
					out = packet.Append(out[:0], packet.Type, c.v)
				}
			}
			b.SetBytes(int64(len(out)))
		})
	}
}

func BenchmarkAppendDelivery(b *testing.B) {
	topic, payload := []byte("sensors/kitchen/temperature"), make([]byte, 64)
	for name, c := range map[string]struct {
		v Version
		d Delivery
	}{
		"3.1.1 qos 0": {V311, Delivery{Topic: topic, Payload: payload}},
		"3.1.1 qos 1": {V311, Delivery{Topic: topic, Payload: payload, QoS: QoS1, PacketID: 7}},
		"5.0 qos 0":   {V5, Delivery{Topic: topic, Payload: payload}},
		"5.0 full": {V5, Delivery{Topic: topic, Payload: payload, QoS: QoS1, PacketID: 7, HasExpiry: true, Expiry: 60, TopicAlias: 3,
			SubscriptionIDs: []uint32{5}, Passthrough: users("trace", "4711")}},
	} {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out = AppendDelivery(out[:0], c.v, &c.d)
			}
			b.SetBytes(int64(len(out)))
		})
	}
}

func BenchmarkNext(b *testing.B) {
	stream := bytes.Repeat([]byte{0x40, 2, 0, 1}, 256)
	b.ReportAllocs()
	b.SetBytes(int64(len(stream)))
	for b.Loop() {
		for rest := stream; len(rest) > 0; {
			f, _, err := Next(rest, 1<<20)
			if err != nil || f.Size == 0 {
				b.Fatal(f, err)
			}
			rest = rest[f.Size:]
		}
	}
}

func BenchmarkParseConnect(b *testing.B) {
	for _, c := range vectors() {
		if p, ok := c.packet.(*Connect); ok && p.HasWill {
			b.Run(p.Version.String(), func(b *testing.B) {
				var p Connect
				f := frame(b, wire(b, c.wire))
				b.ReportAllocs()
				for b.Loop() {
					if err := p.Parse(f.Flags, f.Body); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

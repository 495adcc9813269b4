package codec

import (
	"bytes"
	"testing"
)

func TestDeliveryOnTheWire(t *testing.T) {
	full := Delivery{
		Topic: []byte("a/b"), Payload: []byte("hi"), Passthrough: sample(PropContentType),
		PacketID: 0x1234, QoS: QoS2, Dup: true, Retain: true,
		HasExpiry: true, Expiry: 60, TopicAlias: 9, SubscriptionIDs: []uint32{1, 128},
	}
	for _, c := range []struct {
		name string
		v    Version
		d    Delivery
		want string
	}{
		{"3.1 at qos 0", V31, Delivery{Topic: []byte("a"), Payload: []byte("x")}, "30 04 0001 'a' 'x'"},
		{"3.1.1 at qos 1", V311, Delivery{Topic: []byte("a"), QoS: QoS1, PacketID: 1}, "32 05 0001 'a' 0001"},
		{"3.1.1 has no properties", V311, full, "3d 09 0003 'a/b' 1234 'hi'"},
		{"5.0 at qos 0", V5, Delivery{Topic: []byte("a"), Payload: []byte("x"), PacketID: 7}, "30 05 0001 'a' 00 'x'"},
		{"5.0 with everything", V5, full, "3d 1b 0003 'a/b' 1234 11 02 0000003c 23 0009 0b 01 0b 8001 03 0001 'x' 'hi'"},
		{"5.0 with alias for topic", V5, Delivery{TopicAlias: 65535, Retain: true}, "31 06 0000 03 23 ffff"},
		{"expiry of 0", V5, Delivery{Topic: []byte("a"), HasExpiry: true}, "30 09 0001 'a' 05 02 00000000"},
		{"no dup with qos 0", V5, Delivery{Topic: []byte("a"), Dup: true}, "30 04 0001 'a' 00"},
	} {
		got := AppendDelivery([]byte("before"), c.v, &c.d)
		want := append([]byte("before"), wire(t, c.want)...)
		if !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", c.name, got, want)
		}
		if n := c.d.Size(c.v); n != len(want)-len("before") {
			t.Errorf("%s: size %d, want %d", c.name, n, len(want)-len("before"))
		}
		head := AppendDeliveryHead([]byte("before"), c.v, &c.d)
		if !bytes.Equal(append(head, c.d.Payload...), want) {
			t.Errorf("%s: head % x, want % x", c.name, head, want)
		}
	}
}

// Size is exact at the steps of Remaining Length and Property Length, and what is
// written comes back from Next and Parse.
func TestDeliverySizeIsExactAtEveryStep(t *testing.T) {
	pairs := func(n int) []byte {
		return bytes.Repeat(sample(PropUserProperty), n)
	}
	for _, payload := range []int{0, 1, 100, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 16370, 16376, 16377, 16378, 16379, 16380, 16384, 2097140, 2097152} {
		for _, passthrough := range [][]byte{nil, pairs(1), pairs(18), pairs(19), pairs(2341)} {
			for _, v := range []Version{V31, V311, V5} {
				d := Delivery{Topic: []byte("a/b"), Payload: make([]byte, payload), Passthrough: passthrough, QoS: QoS1, PacketID: 3, SubscriptionIDs: []uint32{16384}}
				b := AppendDelivery(nil, v, &d)
				if head := AppendDeliveryHead(nil, v, &d); !bytes.Equal(head, b[:len(b)-payload]) {
					t.Fatalf("%v, payload %d, properties %d: head % x", v, payload, len(passthrough), head)
				}
				if d.Size(v) != len(b) {
					t.Fatalf("%v, payload %d, properties %d: size %d, written %d", v, payload, len(passthrough), d.Size(v), len(b))
				}
				var p Publish
				f := frame(t, b)
				if err := p.Parse(v, f.Flags, f.Body); err != nil {
					t.Fatalf("%v, payload %d, properties %d: %v", v, payload, len(passthrough), err)
				}
				if string(p.Topic) != "a/b" || len(p.Payload) != payload || p.QoS != QoS1 || p.PacketID != 3 {
					t.Fatalf("%v, payload %d, properties %d: came back as %v", v, payload, len(passthrough), p)
				}
				if v == V5 && (!bytes.Equal(p.Passthrough, passthrough) || p.Properties.SubscriptionIdentifiers[0] != 16384) {
					t.Fatalf("payload %d, properties %d: properties came back as %+v", payload, len(passthrough), p.Properties)
				}
			}
		}
	}
}

func TestDeliveryAboveTheProtocolsMaximumIsNotWritten(t *testing.T) {
	d := Delivery{Topic: []byte("a"), Payload: make([]byte, maxVarint-2)}
	if n := d.Size(V311); n != MaxPacketSize+1 {
		t.Errorf("size %d, want %d", n, MaxPacketSize+1)
	}
	if got := AppendDelivery([]byte("before"), V311, &d); string(got) != "before" {
		t.Errorf("%d bytes were written", len(got)-len("before"))
	}
}

func TestShortAcks(t *testing.T) {
	for packet, want := range map[PacketType]string{
		TypePuback: "40 02 0102", TypePubrec: "50 02 0102", TypePubrel: "62 02 0102", TypePubcomp: "70 02 0102",
	} {
		if got := AppendPubackShort(nil, packet, 0x0102); !bytes.Equal(got, wire(t, want)) {
			t.Errorf("%v: % x, want %s", packet, got, want)
		}
	}
}

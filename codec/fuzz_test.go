package codec

import (
	"bytes"
	"testing"
)

// FuzzPackets feeds one packet of any type and version through parse, append and
// parse again. What must hold for a packet that is accepted:
//
//   - it reads the same into a fresh value and into one that held another packet;
//   - appended and parsed again, no field has changed;
//   - appended once more, the bytes are the same;
//   - its forwarded properties are its properties without the consumed ones.
func FuzzPackets(f *testing.F) {
	for _, c := range vectors() {
		b := wire(f, c.wire)
		if len(b) > 1000 {
			continue
		}
		_, width := varint(b[1:])
		f.Add(byte(c.v), b[0], b[1+width:])
	}
	for _, c := range rejects {
		b := wire(f, c.wire)
		f.Add(byte(c.v), b[0], b[1:])
	}
	used := make(map[PacketType]*packets)
	f.Fuzz(func(t *testing.T, level, first byte, body []byte) {
		v := V31 + Version(level)%3
		in := Frame{Type: PacketType(first >> 4), Flags: first & 15, Body: body}
		if in.Type == 0 {
			return
		}
		packet, err := new(packets).parse(v, in)
		if err != nil {
			if e, ok := err.(*Error); !ok || e == nil || e.Message == "" || e.Code < UnspecifiedError {
				t.Fatalf("a parser returned %#v", err)
			}
			return
		}
		if used[in.Type] == nil {
			used[in.Type] = new(packets)
		}
		again, err := used[in.Type].parse(v, in)
		if err != nil {
			t.Fatalf("into a used value: %v", err)
		}
		if d := diff(packet, again); d != "" {
			t.Fatalf("into a used value: %s", d)
		}
		if p, ok := packet.(*Connect); ok {
			v = p.Version
			checkPassthrough(t, p.WillPassthrough, p.WillProperties, willProperties)
		}
		if p, ok := packet.(*Publish); ok {
			checkPassthrough(t, p.Passthrough, p.Properties, TypePublish)
		}

		b := encode(packet, v)
		out, _, err := Next(b, 0)
		if err != nil || out.Size != len(b) {
			t.Fatalf("appended % x, of which Next takes %d bytes, %v", b, out.Size, err)
		}
		second, err := new(packets).parse(v, out)
		if err != nil {
			t.Fatalf("appended % x: %v", b, err)
		}
		if d := diff(packet, second, "Passthrough", "WillPassthrough"); d != "" {
			t.Fatalf("appended % x: %s", b, d)
		}
		if c := encode(second, v); !bytes.Equal(b, c) {
			t.Fatalf("appended % x, then % x", b, c)
		}
	})
}

// checkPassthrough parses forwarded properties and compares them with all of
// those of the packet.
func checkPassthrough(t *testing.T, forwarded []byte, all Properties, host PacketType) {
	t.Helper()
	var p Properties
	r := reader{rest: block(forwarded), t: host, v: V5}
	if p.parse(&r, host, nil); r.err != nil {
		t.Fatalf("passthrough % x: %v", forwarded, r.err)
	}
	all.set &^= notForwarded
	if d := diff(&p, &all, "MessageExpiryInterval", "TopicAlias", "SubscriptionIdentifiers", "WillDelayInterval"); d != "" {
		t.Fatalf("passthrough % x: %s", forwarded, d)
	}
}

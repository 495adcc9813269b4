package session

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// FuzzPackets feeds a session whatever a client may send, between deliveries, lost connections and a store that is late: it
// neither panics nor loses count, it writes packets only, and it says nothing after it closed.
func FuzzPackets(f *testing.F) {
	publish := codec.Publish{QoS: codec.QoS2, PacketID: 3, Topic: []byte("a/b"), Payload: []byte("x")}
	subscribe := codec.Subscribe{PacketID: 4, Filters: []codec.Subscription{{Filter: []byte("$share/g/a"), QoS: codec.QoS1}}}
	for _, v := range []codec.Version{codec.V31, codec.V311, codec.V5} {
		b := publish.Append([]byte{byte(v)}, v)
		b = subscribe.Append(b, v)
		for _, t := range []codec.PacketType{codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp} {
			b = codec.AppendPubackShort(b, t, 2)
			b = codec.AppendPubackShort(b, t, 3)
		}
		f.Add(append(codec.AppendPingreq(b), 0xE0, 0))
	}
	b := publish.Append([]byte{8 + 2}, codec.V5)
	for id := range uint16(4) {
		publish.PacketID = 10 + id
		b = codec.AppendPingreq(publish.Append(b, codec.V5))
	}
	f.Add(b)
	f.Add([]byte("\x05\x30\x08\x00\x01a\x03\x23\x00\x01x\x30\x07\x00\x00\x03\x23\x00\x01y"))
	f.Add([]byte("\x05\xf0\x0b\x19\x09\x15\x00\x06riddle"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		cfg := plainConfig()
		cfg.ReceiveMaximum, cfg.TopicAliasMaximum, cfg.Durable, cfg.MaxSubscriptions = 3, 2, true, 4
		cfg.MaxPacketSize, cfg.QueueWindow, cfg.MaxQueuedMessages = 1<<12, 1, 3
		if b[0]&8 != 0 {
			cfg.MaxMessageRate, cfg.MaxByteRate, cfg.MaxRateDebt = 2, 100, 4
		}
		now := start
		v := []codec.Version{codec.V31, codec.V311, codec.V5}[b[0]%3]
		s, out := New(&cfg, 1, "c"), &Output{Room: 1 << 12}
		hello := &Hello{Version: v, ClientID: "c", Expiry: 100, receiveMaximum: 2, aliasMaximum: 1, method: riddle{}}
		s.Connect(hello, start, out)
		var o Outgoing
		var st store
		ticket, read := uint64(1), QueueRead{}
		recorded := func() {
			if len(out.Records) > 0 {
				st.append(out.Records, ticket)
				clear(out.Records)
				out.Records = out.Records[:0]
				s.Recorded(ticket, out)
			}
			if out.HasRead {
				read, out.HasRead = out.Read, false
			}
		}
		recorded()
		for b = b[1:]; len(b) > 0 && !out.Close; {
			p, _, err := codec.Next(b, cfg.MaxPacketSize)
			if err == nil && p.Size == 0 {
				break
			}
			out.Reset()
			out.Frames = out.Frames[:0]
			out.DurableUpTo = st.durable
			if err != nil {
				s.Malformed(err, out)
			} else {
				s.Packet(p, now, out)
				b = b[p.Size:]
			}
			recorded()
			if out.AckQoS > 0 {
				from := len(out.Frames)
				s.Acknowledge(out.AckID, out.AckQoS, codec.NoMatchingSubscribers, out)
				recorded()
				s.Answer(ticket, from, out)
			}
			if out.HasPublish && !out.Close {
				o.Reset(&out.Publish, now, true)
				s.Deliver(&o, &Route{QoS: codec.QoS2, IDs: []uint32{1, 2}}, out)
				recorded()
			}
			if p.Type == codec.TypePingreq && !out.Close { // the client has some patience, time passes and the store gets on
				now += 300
				s.Tick(now, out)
			}
			if p.Type == codec.TypePingreq && !out.Close {
				st.sync(ticket)
				out.DurableUpTo = ticket
				s.Durable(ticket, out)
				ticket++
				if s.more != nil && s.more.backlog.reading {
					s.Loaded(read, st.read(read, false), false, now, out)
					recorded()
				}
			}
			readable(t, v, out.Frames)
			s.check(t, 0)
		}
		out.Reset()
		s.ConnectionLost(now, out)
		recorded()
		s.check(t, 0)
		if !s.Ended() {
			out.Frames = out.Frames[:0]
			out.Reset()
			s.Connect(hello, now+1, out)
			readable(t, v, out.Frames)
			s.check(t, 0)
		}
	})
}

// readable fails unless b is whole packets that a client of version v can read, with nothing behind a DISCONNECT.
func readable(t *testing.T, v codec.Version, b []byte) {
	t.Helper()
	for len(b) > 0 {
		f, _, err := codec.Next(b, 0)
		if err != nil || f.Size == 0 {
			t.Fatalf("not a packet: % x", b)
		}
		renderFrame(t, v, f)
		if b = b[f.Size:]; f.Type == codec.TypeDisconnect && len(b) > 0 {
			t.Fatalf("after DISCONNECT: % x", b)
		}
	}
}

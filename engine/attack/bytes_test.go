package attack

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

func TestGarbage(t *testing.T) {
	s := serve(t, nil)
	s.under(func() {
		r := rand.New(rand.NewPCG(1, 2))
		valid := [][]byte{
			(&codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("g")}).Append(nil, codec.V5),
			(&codec.Publish{Topic: []byte("a/b"), Payload: []byte("x"), QoS: 2, PacketID: 7}).Append(nil, codec.V5),
			subscribePacket(codec.V5, filter("a/#", 1), filter("$share/g/a/+", 2)),
			{0x62, 2, 0, 7}, {0x40, 2, 0, 1}, {0xe0, 0}, {0xf0, 0}, pingreq,
		}
		for i := range 300 {
			h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: fmt.Append(nil, "g", i%8)}
			c := s.dial(t, codec.V5)
			if i%2 == 1 {
				_ = c.write(h.Append(nil, c.v))
			}
			b := make([]byte, 1+r.IntN(300))
			for j := range b {
				b[j] = byte(r.Uint32())
			}
			if i%3 == 0 { // packets with a few bytes wrong are the better garbage
				b = b[:0]
				for range 1 + r.IntN(6) {
					b = append(b, valid[r.IntN(len(valid))]...)
				}
				for range 1 + r.IntN(4) {
					b[r.IntN(len(b))] = byte(r.Uint32())
				}
			}
			_ = c.write(b)
			if i%5 == 0 {
				_ = c.write([]byte{0, 0}) // packet type 0 after whatever it was
			}
			c.close()
		}
		s.until("all of it is judged", func() bool { return s.Broker().Connections() == 2 })
		s.heapWithin(4 * mib)
	})
	s.quiet()
}

// What is announced costs nothing before it comes.
func TestAnnouncedLengthsReserveNothing(t *testing.T) {
	const each = 40
	s := serve(t, nil)
	lengths := map[string]int{"256 MiB": 1<<28 - 1, "the largest packet": int(s.options.Broker.Session.MaxPacketSize) - 5, "64 KiB": 60000}
	s.under(func() {
		var open []*client
		for name, length := range lengths {
			head := binary.AppendUvarint([]byte{0x30}, uint64(length))
			for i := range each {
				c := s.connect(t, fmt.Sprint(name, i), codec.V5)
				c.send(head)
				c.send([]byte{0, 1, 'a'})
				open = append(open, c)
				early := s.dial(t, codec.V5)
				early.send(append(binary.AppendUvarint([]byte{0x10}, uint64(length)), 0, 4, 'M'))
				open = append(open, early)
			}
		}
		// Too large is known from the header alone: 256 MiB to everybody, 16 MiB to those who are not accepted yet.
		left := 2 + 2*each + each
		s.until("the impossible ones are refused", func() bool { return s.Broker().Connections() == left })
		s.heapWithin(4 * mib)
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

func TestHalfPackets(t *testing.T) {
	const senders, half = 50, 256 * kib
	s := serve(t, func(o *engine.Options) { o.Broker.Session.MaxPacketSize = 512 * kib })
	s.under(func() {
		body := make([]byte, half)
		whole := (&codec.Publish{Topic: []byte("h"), Payload: make([]byte, 2*half-16)}).Append(nil, codec.V311)
		copy(body, whole)
		var open []*client
		for i := range senders {
			c := s.connect(t, fmt.Sprint("h", i), codec.V311)
			before := s.counters().BytesIn
			c.send(body)
			s.until("half of it is read", func() bool { return s.counters().BytesIn >= before+half })
			open = append(open, c)
		}
		s.heapWithin(senders*int(s.options.Broker.Session.MaxPacketSize) + 4*mib)
		for _, c := range open {
			c.send(whole[half:])
			c.ping() // the other half makes a packet of it
			c.close()
		}
	})
	s.quiet()
}

func TestOneByteAtATime(t *testing.T) {
	s := serve(t, nil)
	s.under(func() {
		h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("slow")}
		c := s.dial(t, codec.V5)
		b := h.Append(nil, c.v)
		b = append(b, subscribePacket(c.v, filter("slow/+", 2))...)
		b = (&codec.Publish{Topic: []byte("slow/x"), Payload: bytes.Repeat([]byte("y"), 300), QoS: 2, PacketID: 9}).Append(b, c.v)
		for i := range b {
			c.send(b[i : i+1])
			s.counters() // a turn of every loop
		}
		c.expect(codec.TypeConnack)
		c.expect(codec.TypeSuback)
		seen := map[codec.PacketType]bool{}
		for range 2 {
			f, err := c.next()
			if err != nil {
				t.Fatal(err)
			}
			seen[f.Type] = true
		}
		if !seen[codec.TypePublish] || !seen[codec.TypePubrec] {
			t.Errorf("got %v", seen)
		}
		c.close()
	})
	s.quiet()
}

func TestDeepAndLongTopics(t *testing.T) {
	s := serve(t, nil)
	s.under(func() {
		deep := strings.Repeat("a/", 9999) + "a"
		plus := strings.Repeat("+/", 9999) + "#"
		long := strings.Repeat("x", 65535)
		const most = 128 // session.Config.MaxTopicLevels
		var open []*client
		for i := range 20 {
			c := s.connect(t, fmt.Sprint("d", i), codec.V5)
			codes := c.subscribe(filter(deep, 1), filter(plus, 1), filter(strings.Repeat("/", 65535), 1), filter(long, 1),
				filter(strings.Repeat("+/", most-1)+"+", 1), filter(strings.Repeat("a/", most-1)+"#", 1))
			for k, want := range []codec.ReasonCode{codec.TopicFilterInvalid, codec.TopicFilterInvalid, codec.TopicFilterInvalid, 1, 1, 1} {
				if codes[k] != want {
					t.Errorf("filter %d: 0x%02x, not 0x%02x", k, byte(codes[k]), byte(want))
				}
			}
			p := s.connect(t, "", codec.V5)
			defer p.close()
			p.publish(deep, nil, codec.QoS1, 1)
			var ack codec.Ack
			f := p.expect(codec.TypePuback)
			if err := ack.Parse(f.Type, c.v, f.Flags, f.Body); err != nil || ack.Reason != codec.TopicNameInvalid {
				t.Errorf("a topic of 10000 levels: %v, 0x%02x", err, byte(ack.Reason))
			}
			p.publish(strings.Repeat("b/", most-1)+"b", nil, codec.QoS0, 0)
			p.publish(long, nil, codec.QoS0, 0)
			p.ping()
			open = append(open, c)
			s.counters()
		}
		s.heapWithin(20*(4*65535+s.options.Broker.Session.MaxTopicBytes) + 8*mib)
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

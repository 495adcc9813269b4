package attack

import (
	"fmt"
	"sync"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/session"
)

// perReader is what one client that does not read may cost: what its connection holds, what waits in its session, the
// identifiers in flight, and what the growing of buffers and lists adds to all of it.
func (s *server) perReader() int {
	b, c := &s.options.Broker, &s.options.Broker.Session
	const entry = 128 // of a queue or of the window, with the header of its message
	held := b.MaxOutboundBytes + int(c.MaxPacketSize)
	return 2*held + c.MaxQueuedBytes + c.MaxQueuedMessages*entry*2 + int(c.MaxInflight)*entry*2 + 64*kib
}

// tight lowers the bounds, so that an attack of modest size reaches all of them.
func tight(o *engine.Options) {
	b, c := &o.Broker, &o.Broker.Session
	b.MaxOutboundBytes = 64 * kib
	c.MaxPacketSize, c.MaxQueuedBytes, c.MaxQueuedMessages, c.MaxInflight = 64*kib, 128*kib, 500, 100
}

// flood sends n messages in packs and returns when all are routed.
func (s *server) flood(topic string, size, n int, qos codec.QoS) {
	s.t.Helper()
	c := s.connect(s.t, "", codec.V311)
	const pack = 50
	for id := 1; n > 0; n -= pack {
		var b []byte
		for range pack {
			b = (&codec.Publish{Topic: []byte(topic), Payload: make([]byte, size), QoS: qos, PacketID: uint16(id)}).Append(b, c.v)
			id = id%60000 + 1
		}
		c.send(b)
		for i := 0; i < pack && qos > 0; i++ {
			c.expect(codec.TypePuback)
		}
	}
	c.ping()
	c.close()
}

func TestSubscribersThatNeverRead(t *testing.T) {
	const readers = 40
	for qos := codec.QoS0; qos <= codec.QoS1; qos++ {
		t.Run(fmt.Sprint("QoS", qos), func(t *testing.T) {
			s := serve(t, tight)
			s.under(func() {
				var deaf []*client
				for i := range readers {
					h := codec.Connect{Version: codec.V311, CleanStart: i%2 == 0, ClientID: fmt.Append(nil, "r", i)}
					c := s.connectWith(t, &h).deafen()
					c.subscribe(filter("fire/#", qos))
					deaf = append(deaf, c)
				}
				s.flood("fire/hose", 1000, 5000, qos)
				s.heapWithin(readers*s.perReader() + 4*mib)
				for _, c := range deaf {
					c.close()
				}
				s.until("they are gone", func() bool { return s.Broker().Connections() == 2 })
				// The sessions of half of them stay, with what waits in their queues.
				s.heapWithin(readers/2*(s.options.Broker.Session.MaxQueuedBytes+int(s.options.Broker.Session.MaxInflight)*1200+100*kib) + 4*mib)
			})
			s.quiet()
		})
	}
}

// Who asks and never reads the answers is cut off when more waits for him than a connection may hold.
func TestRequestersThatNeverReadTheAnswers(t *testing.T) {
	s := serve(t, tight)
	s.under(func() {
		var askers sync.WaitGroup
		var open []*client
		for _, attack := range []struct {
			name    string
			request []byte
		}{
			{"PINGREQ", pingreq},
			{"SUBSCRIBE", subscribePacket(codec.V311, filter("a", 0), filter("b", 0))},
			{"PUBLISH QoS 1", (&codec.Publish{Topic: []byte("t"), QoS: 1, PacketID: 1}).Append(nil, codec.V311)},
			{"PUBREL", []byte{0x62, 2, 0, 9}},
		} {
			c := s.connect(t, attack.name, codec.V311).deafen()
			open = append(open, c)
			askers.Go(func() {
				var pack []byte
				for len(pack) < 32*kib {
					pack = append(pack, attack.request...)
				}
				for c.write(pack) == nil { // until the broker has had enough
				}
			})
		}
		askers.Wait()
		s.heapWithin(len(open)*s.perReader() + 4*mib)
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

// Answers that become ready one at a time must not cost many times their size while they wait for the socket.
func TestSmallAnswersToAClientThatNeverReads(t *testing.T) {
	const pings = 20_000
	s := serve(t, func(o *engine.Options) { o.Loops = 1 })
	c := s.connect(t, "small", codec.V311).deafen()
	c.subscribe(filter("large", 0))
	s.flood("large", 512*kib, 50, 0)
	if s.counters().Drops[session.DropOutboundFull] == 0 {
		t.Fatal("the sockets are not full")
	}
	before := s.counters().PacketsIn[codec.TypePingreq]
	held := heapInUse()
	for i := range pings {
		c.send(pingreq)
		s.until("it is answered", func() bool { return s.counters().PacketsIn[codec.TypePingreq] > before+uint64(i) })
	}
	grown := int(heapInUse()) - int(held)
	t.Logf("%d bytes for answers of %d", grown, 2*pings)
	if grown > 4*2*pings+128*kib {
		t.Errorf("answers of %d bytes cost %d", 2*pings, grown)
	}
	c.close()
	s.quiet()
}

func TestRetainedMessagesToAClientThatNeverReads(t *testing.T) {
	const topics = 100_000
	s := serve(t, tight)
	pub := s.connect(t, "fill", codec.V311)
	var b []byte
	for i := range topics {
		b = (&codec.Publish{Topic: fmt.Appendf(nil, "r/%d/%d", i%100, i), Payload: make([]byte, 32), Retain: true}).Append(b, pub.v)
		if len(b) > 64*kib || i == topics-1 {
			pub.send(b)
			b = b[:0]
		}
	}
	pub.ping()
	pub.close()
	if n := s.Broker().Retained(); n != topics {
		t.Fatalf("%d retained", n)
	}
	const perMessage = 320 // message, index, and the 44 bytes of its own
	// The messages are just enough for the store to begin another table of some megabytes, and until the first is written out
	// there are both.
	s.until("the store has written its table", func() bool { return heapInUse() <= s.heap+topics*perMessage })
	s.heapWithin(topics * perMessage)
	s.heap = heapInUse()
	s.under(func() {
		var deaf []*client
		for i := range 20 {
			c := s.connect(t, fmt.Sprint("deaf", i), codec.V311).deafen()
			for _, f := range []string{"#", "r/+/+", "+/7/#", "r/#"} {
				c.send(subscribePacket(c.v, filter(f, codec.QoS(i%2))))
			}
			deaf = append(deaf, c)
		}
		var last uint64
		s.until("nothing moves any more", func() bool {
			now := s.counters().PacketsOut[codec.TypePublish]
			still := now == last
			last = now
			return still
		})
		s.heapWithin(20*s.perReader() + 4*mib)
		// Beside them somebody who reads gets everything.
		c := s.connect(t, "hears", codec.V311)
		c.send(subscribePacket(c.v, filter("r/#", 0)))
		c.expect(codec.TypeSuback)
		for range topics {
			c.expect(codec.TypePublish)
		}
		c.close()
		for _, c := range deaf {
			c.close()
		}
	})
	s.quiet()
}

// The largest packet goes to 200 who do not read. Each connection may hold it once, and no more than it.
func TestHugePayloadToSlowReaders(t *testing.T) {
	const readers = 200
	s := serve(t, func(o *engine.Options) {
		tight(o)
		o.Broker.Session.MaxPacketSize = 128 * kib
	})
	s.under(func() {
		var deaf []*client
		for i := range readers {
			c := s.connect(t, fmt.Sprint("r", i), codec.V5).deafen()
			c.subscribe(filter("huge", codec.QoS(i%3)))
			deaf = append(deaf, c)
		}
		for range 2 {
			s.flood("huge", 128*kib-32, 50, 0)
		}
		s.heapWithin(readers*2*(s.options.Broker.MaxOutboundBytes+128*kib) + 16*mib)
		for _, c := range deaf {
			c.close()
		}
	})
	s.quiet()
}

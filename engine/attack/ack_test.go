package attack

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// Clients that read everything and acknowledge nothing hold a window and a queue, each, and no more.
func TestSubscribersThatNeverAcknowledge(t *testing.T) {
	const silent = 30
	s := serve(t, tight)
	s.under(func() {
		var open []*client
		for i := range silent {
			h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: fmt.Append(nil, "n", i)}
			h.Properties.SessionExpiryInterval = uint32(i % 2 * 3600)
			h.Properties.Set(codec.PropSessionExpiryInterval)
			c := s.connectWith(t, &h)
			c.subscribe(filter("ack/#", codec.QoS(1+i%2)))
			open = append(open, c)
		}
		s.flood("ack/x", 500, 3000, 1)
		for i, c := range open {
			for range int(s.options.Broker.Session.MaxInflight) {
				f := c.expect(codec.TypePublish)
				if i%2 == 1 { // the first half of the handshake only: QoS 2 stays in flight
					id := binary.BigEndian.Uint16(f.Body[2+len("ack/x"):])
					c.send(codec.AppendPubackShort(nil, codec.TypePubrec, id))
				}
			}
		}
		s.heapWithin(silent*s.perReader() + 4*mib)
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

// Each subscription of one client matches the same topic and has an identifier, and all identifiers belong to each message:
// they count, too.
func TestIdentifiersOfManySubscriptionsInTheQueue(t *testing.T) {
	const subscriptions, messages = 1000, 600
	s := serve(t, tight)
	s.under(func() {
		h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("ids")}
		h.Properties.ReceiveMaximum = 1
		h.Properties.Set(codec.PropReceiveMaximum)
		c := s.connectWith(t, &h)
		levels := 10 // 1024 filters with a wildcard or a name at each level
		topic := "i"
		for range levels {
			topic += "/i"
		}
		for n := range subscriptions {
			name := "i"
			for l := range levels {
				if n>>l&1 == 0 {
					name += "/+"
				} else {
					name += "/i"
				}
			}
			sub := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{filter(name, 1)}}
			sub.Properties.SubscriptionIdentifiers = []uint32{uint32(n + 1)}
			sub.Properties.Set(codec.PropSubscriptionIdentifier)
			c.send(sub.Append(nil, c.v))
			c.expect(codec.TypeSuback)
		}
		held := heapInUse()
		s.flood(topic, 1, messages, 1)
		if grown, bound := int(heapInUse())-int(held), 2*s.options.Broker.Session.MaxQueuedBytes+256*kib; grown > bound {
			t.Errorf("what waits takes %d bytes, more than %d", grown, bound)
		}
		c.close()
	})
	s.quiet()
}

// Publishers that begin QoS 2 with every identifier there is and never release one, over and over.
func TestIdentifiersThatAreNeverReleased(t *testing.T) {
	const publishers = 3
	s := serve(t, nil)
	s.under(func() {
		var open []*client
		for i := range publishers {
			c := s.connect(t, fmt.Sprint("q", i), codec.V311)
			for id := 1; id <= 65535; {
				var b []byte
				n := 0
				for ; n < 1000 && id <= 65535; n++ {
					b = (&codec.Publish{Topic: []byte("q"), QoS: 2, PacketID: uint16(id)}).Append(b, c.v)
					id++
				}
				c.send(b)
				for range n {
					c.expect(codec.TypePubrec)
				}
			}
			c.in = nil
			open = append(open, c)
		}
		const bitmap = 8 * kib
		s.heapWithin(publishers*(bitmap+16*kib) + 2*mib)

		// A 5.0 client is held to its Receive Maximum.
		c := s.connect(t, "five", codec.V5)
		var b []byte
		for id := range 2000 {
			b = (&codec.Publish{Topic: []byte("q"), QoS: 2, PacketID: uint16(id + 1)}).Append(b, c.v)
		}
		_ = c.write(b)
		if !c.ended() {
			t.Error("more than the Receive Maximum was taken")
		}
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

func TestTopicAliasChurn(t *testing.T) {
	const clients, rounds, long = 5, 3, 20_000
	s := serve(t, nil)
	s.under(func() {
		var open []*client
		for i := range clients {
			h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: fmt.Append(nil, "a", i)}
			h.Properties.TopicAliasMaximum = 65535
			h.Properties.Set(codec.PropTopicAliasMaximum)
			c := s.connectWith(t, &h)
			for round := range rounds {
				var b []byte
				for alias := 1; alias <= 64; alias++ {
					topic := fmt.Appendf(nil, "%d/%d/%0*d", i, round, long, alias)
					p := codec.Publish{Topic: topic}
					p.Properties.TopicAlias = uint16(alias)
					p.Properties.Set(codec.PropTopicAlias)
					b = p.Append(b, c.v)
					p.Topic = nil
					b = p.Append(b, c.v)
				}
				c.send(b)
				c.ping()
			}
			open = append(open, c)
		}
		in := int(s.options.Broker.Session.TopicAliasMaximum) * (long + 4*kib) // 20000 bytes come in blocks of 20480
		// Each loop remembers what matched the topics it saw.
		s.heapWithin(clients*in + 4*mib)
		for _, c := range open {
			c.close()
		}
	})
	s.quiet()
}

// Members of a group that never acknowledge, or die as soon as they have a message: whoever works in the end gets everything.
func TestGroupMembersThatDie(t *testing.T) {
	const rounds, messages, stuck = 100, 500, 10
	s := serve(t, tight)
	s.under(func() {
		share := filter("$share/g/job/#", 1)
		var open []*client
		for i := range stuck {
			c := s.connect(t, fmt.Sprint("stuck", i), codec.V5)
			c.subscribe(share)
			open = append(open, c)
		}
		pub := s.connect(t, "boss", codec.V5)
		for id := 1; id <= messages; id++ {
			pub.publish("job/x", fmt.Append(nil, id), 1, uint16(id))
			pub.expect(codec.TypePuback)
		}
		for range rounds {
			c := s.connect(t, "dies", codec.V5)
			c.subscribe(share)
			c.close()
		}
		s.heapWithin(stuck*s.perReader() + 4*mib)

		works := s.connect(t, "works", codec.V5)
		works.send(subscribePacket(works.v, share))
		for _, c := range open {
			c.close() // what they did not acknowledge goes back to the group
		}
		seen := map[string]bool{}
		for len(seen) < messages {
			f, err := works.next()
			if err != nil {
				t.Fatalf("%d of %d messages: %v", len(seen), messages, err)
			}
			if f.Type != codec.TypePublish {
				continue
			}
			var p codec.Publish
			if err := p.Parse(works.v, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			seen[string(p.Payload)] = true
			works.send(codec.AppendPubackShort(nil, codec.TypePuback, p.PacketID))
		}
		works.close()
		pub.close()
	})
	s.quiet()
}

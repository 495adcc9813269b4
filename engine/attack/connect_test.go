package attack

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// Many connections fight for one Client Identifier, on all loops. In the end one has it, and nothing of the others is left.
func TestTakeoverStorm(t *testing.T) {
	const fighters, rounds = 16, 60
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprint("Clean Start ", clean), func(t *testing.T) {
			s := serve(t, nil)
			s.under(func() {
				var all sync.WaitGroup
				for i := range fighters {
					all.Go(func() {
						for n := range rounds {
							c := s.dial(t, codec.V5)
							h := codec.Connect{Version: codec.V5, CleanStart: clean, ClientID: []byte("one")}
							h.Properties.SessionExpiryInterval = uint32(n % 2 * 1000)
							h.Properties.Set(codec.PropSessionExpiryInterval)
							b := h.Append(nil, c.v)
							b = append(b, subscribePacket(c.v, filter("one/+", 1), filter("$share/g/one/#", 1))...)
							b = (&codec.Publish{Topic: []byte("one/x"), QoS: 1, PacketID: uint16(i*rounds + n + 1)}).Append(b, c.v)
							_ = c.write(b)
							if f, err := c.next(); err == nil && f.Type != codec.TypeConnack {
								t.Errorf("%v before CONNACK", f.Type)
							}
							c.close()
						}
					})
				}
				all.Wait()
				last := s.connect(t, "one", codec.V5)
				last.subscribe(filter("last", 0))
				last.ping()
				s.until("only the last is left", func() bool { return s.Broker().Connections() == 3 && s.Broker().Sessions() == 3 })
				s.heapWithin(4 * mib)
				last.close()
			})
			s.quiet()
		})
	}
}

// Connections that never say CONNECT are closed when their time is up, and cost little until then.
func TestConnectionsThatNeverSayConnect(t *testing.T) {
	const silent = 1000
	s := serve(t, func(o *engine.Options) { o.Broker.ConnectTimeout = 500 * time.Millisecond })
	s.under(func() {
		var open []*client
		for i := range silent {
			c := s.dial(t, codec.V5)
			if i%2 == 0 {
				c.send([]byte{0x10, 100, 0, 4, 'M', 'Q'}) // the first half of one
			}
			open = append(open, c)
		}
		s.heapWithin(silent*8*kib + 4*mib)
		for _, c := range open {
			if !c.ended() {
				t.Fatal("a connection without CONNECT was kept")
			}
			c.close()
		}
	})
	s.quiet()
}

// A thousand clients die at once, and each leaves a will; every will is a message to everybody who is left.
func TestWillStorm(t *testing.T) {
	const dying = 1000
	s := serve(t, nil)
	s.under(func() {
		watch := s.connect(t, "watch", codec.V5)
		watch.subscribe(filter("will/#", 1))
		var open []*client
		for i := range dying {
			h := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: fmt.Append(nil, "w", i), HasWill: true,
				WillTopic: fmt.Append(nil, "will/", i), WillPayload: make([]byte, 1000), WillQoS: 1, WillRetain: i%2 == 0}
			c := s.connectWith(t, &h)
			if i%10 == 0 { // some hear of the others' death, too
				c.subscribe(filter("will/+", 0))
			}
			open = append(open, c)
		}
		s.heapWithin(dying*8*kib + 4*mib)
		for _, c := range open {
			c.close()
		}
		for range dying {
			f := watch.expect(codec.TypePublish)
			var p codec.Publish
			if err := p.Parse(watch.v, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			watch.send(codec.AppendPubackShort(nil, codec.TypePuback, p.PacketID))
		}
		watch.ping()
		if n := s.Broker().Retained(); n != dying/2 {
			t.Errorf("%d retained wills", n)
		}
		s.until("they are gone", func() bool { return s.Broker().Sessions() == 3 })
		const remembered = 2 * 64 * 1024 * 40 // by router.Cache of two loops
		s.heapWithin(dying/2*(1000+320) + 4*mib + remembered)
		watch.close()
	})
	s.quiet()
}

package attack

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// A loop that routes faster than its neighbour delivers may not pile up work there: all subscribers of a wide topic are on one
// loop, and the publisher is on the other.
func TestFloodToSubscribersOfAnotherLoop(t *testing.T) {
	const subscribers, messages = 150, 20_000
	s := serve(t, func(o *engine.Options) { o.Broker.MaxOutboundBytes = 64 * kib })
	s.under(func() {
		// Connections go to the loop that has the fewest, so every other one is on the same loop.
		var there, here []*client
		for i := range subscribers {
			c := s.connect(t, fmt.Sprint("s", i), codec.V311)
			c.subscribe(filter("wide", 0))
			there = append(there, c)
			here = append(here, s.connect(t, fmt.Sprint("x", i), codec.V311))
		}
		for _, c := range here {
			c.close()
		}
		s.until("half of them are gone", func() bool { return s.Broker().Connections() == 2+subscribers })
		flood := s.connect(t, "flood", codec.V311)
		one := (&codec.Publish{Topic: []byte("wide"), Payload: make([]byte, 8)}).Append(nil, flood.v)
		var burst []byte
		for range 1000 {
			burst = append(burst, one...)
		}
		for range messages / 1000 {
			flood.send(burst)
		}
		flood.ping() // all are parsed
		s.heapWithin(2*subscribers*64*kib + 16*mib)
		for _, c := range append(there, flood) {
			c.close()
		}
	})
	s.quiet()
}

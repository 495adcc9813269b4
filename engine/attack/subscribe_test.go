package attack

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// One SUBSCRIBE or UNSUBSCRIBE of the largest size names millions of filters. Neither may stop the loop nor leave
// memory behind.
func TestMillionsOfFiltersInOnePacket(t *testing.T) {
	s := serve(t, nil)
	full := make([]codec.Subscription, s.options.Broker.Session.MaxSubscriptions)
	for i := range full {
		full[i] = filter(fmt.Sprintf("full/%06d", i), 0)
	}
	// The same length as those that exist, so that a comparison has to look at the bytes.
	many := make([]codec.Subscription, 200_000)
	for i := range many {
		many[i] = filter(fmt.Sprintf("more/%06d", i), 0)
	}
	names := make([][]byte, len(many))
	for i := range many {
		names[i] = many[i].Filter
	}
	same := make([]codec.Subscription, 300_000)
	for i := range same {
		same[i] = full[0]
	}
	unsubscribe := (&codec.Unsubscribe{PacketID: 1, Filters: names}).Append(nil, codec.V5)
	s.heap = heapInUse()
	s.under(func() {
		c := s.connect(t, "many", codec.V5)
		begun := time.Now()
		c.subscribe(full...)
		t.Logf("%d filters: %v", len(full), time.Since(begun))
		begun = time.Now()
		for i, code := range c.subscribe(many...) {
			if code != codec.QuotaExceeded {
				t.Fatalf("filter %d too many: 0x%02x", i, byte(code))
			}
		}
		t.Logf("%d filters too many: %v", len(many), time.Since(begun))
		begun = time.Now()
		c.send(unsubscribe)
		c.expect(codec.TypeUnsuback)
		t.Logf("%d filters that are not there: %v", len(names), time.Since(begun))
		begun = time.Now()
		c.subscribe(same...)
		t.Logf("%d times the same filter: %v", len(same), time.Since(begun))
		c.ping()
		c.in = nil
		s.heapWithin(len(full)*1*kib + 8*mib)
		c.close()
		s.until("it is gone", func() bool { return s.Broker().Sessions() == 2 })
		s.heapWithin(8 * mib)
	})
	s.quiet()
	runtime.KeepAlive([]any{full, many, same, names}) // what the test holds is in the measure from the beginning
}

// Wildcard filters come and go, from everybody, over the topics of everybody.
func TestStormOfWildcards(t *testing.T) {
	s := serve(t, nil)
	s.under(func() {
		r := rand.New(rand.NewPCG(3, 4))
		levels := []string{"+", "pair", "a", "b", "x", ""}
		var storm []*client
		for i := range 20 {
			storm = append(storm, s.connect(t, fmt.Sprint("w", i), codec.V5))
		}
		for round := range 20 {
			for _, c := range storm {
				var fs []codec.Subscription
				var names [][]byte
				for range 50 {
					parts := make([]string, 1+r.IntN(6))
					for k := range parts {
						parts[k] = levels[r.IntN(len(levels))]
					}
					name := strings.Join(parts, "/")
					if r.IntN(2) == 0 {
						name += "/#"
					}
					if name != "" {
						fs = append(fs, filter(name, 0))
						names = append(names, []byte(name))
					}
				}
				c.send(subscribePacket(c.v, fs...))
				if round%2 == 1 {
					c.send((&codec.Unsubscribe{PacketID: 2, Filters: names}).Append(nil, c.v))
				}
			}
		}
		for _, c := range storm {
			c.send([]byte{0xe0, 0})
			if !c.ended() {
				t.Fatal("it hangs")
			}
		}
		s.until("the storm is over", func() bool { return s.Broker().Sessions() == 2 })
		s.heapWithin(8 * mib)
	})
	s.quiet()
}

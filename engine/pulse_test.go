package engine

import (
	"testing"
	"time"
)

func TestAliveNeedsATickOfEveryLoop(t *testing.T) {
	s := &Server{clock: newClock(), loops: []*loop{{}, {}}}
	now := int64(s.clock.now())
	for _, test := range []struct {
		first, second int64 // milliseconds ago
		alive         bool
	}{{100, 100, true}, {100, 60_000, false}, {60_000, 100, false}} {
		s.loops[0].ticked.Store(now - test.first)
		s.loops[1].ticked.Store(now - test.second)
		if s.Alive(30*time.Second) != test.alive {
			t.Errorf("ticks %d and %d ms ago: alive is not %t", test.first, test.second, test.alive)
		}
	}
}

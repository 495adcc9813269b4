package engine

import (
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

// clock tells the time to every loop of one server. It reads the wall clock once,
// at its creation, and adds what the monotonic clock has advanced since: a step of
// the wall clock can neither expire a thousand sessions at once nor keep them for
// ever. Safe for concurrent use; it never changes.
type clock struct {
	start   time.Time
	startMs int64
}

func newClock() clock {
	start := time.Now()
	return clock{start: start, startMs: start.UnixMilli()}
}

// now returns milliseconds since the Unix epoch; it never goes back.
func (c clock) now() broker.Time {
	return broker.Time(c.startMs + time.Since(c.start).Milliseconds())
}

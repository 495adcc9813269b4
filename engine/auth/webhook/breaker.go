package webhook

import (
	"math/bits"
	"sync"
	"time"
)

// state is that of a breaker.
type state uint8

const (
	closed  state = iota // questions are asked
	open                 // none is, until a point in time
	probing              // one is, and shows how to go on
)

// window is how many of the last results the rate of failures is taken from.
const window = 32

// breaker stops questions to a service that fails. A result counts only in the state in which its question was asked: what was under way
// when the breaker opened says nothing about the service of later. Safe for concurrent use.
type breaker struct {
	inARowMax int
	pause     time.Duration

	mu     sync.Mutex
	state  state
	epoch  uint64    // counts changes of state
	until  time.Time // while open
	inARow int
	last   uint64 // results, newest in the lowest bit, 1 = failure
	seen   int    // of them, up to window
	opened uint64 // how often
}

// ready tells whether take might say yes.
func (b *breaker) ready(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == closed || b.state == open && !now.Before(b.until)
}

// take asks whether a question may be asked. If so, report has to be called with the epoch.
func (b *breaker) take(now time.Time) (epoch uint64, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == probing, b.state == open && now.Before(b.until):
		return 0, false
	case b.state == open:
		b.become(probing)
	}
	return b.epoch, true
}

// report says how it went, and returns the change that comes of it, if changed.
func (b *breaker) report(epoch uint64, ok bool, now time.Time) (to state, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return b.state, false
	}
	switch b.state {
	case closed:
		if b.count(ok); !b.bad() {
			return closed, false
		}
		b.trip(now)
	case probing:
		if ok {
			b.inARow, b.last, b.seen = 0, 0, 0
			b.become(closed)
		} else {
			b.trip(now)
		}
	default:
		panic("webhook: a result of a question that an open breaker let through")
	}
	return b.state, true
}

func (b *breaker) count(ok bool) {
	b.last <<= 1
	if b.inARow++; ok {
		b.inARow = 0
	} else {
		b.last |= 1
	}
	b.seen = min(b.seen+1, window)
}

func (b *breaker) bad() bool {
	return b.inARow >= b.inARowMax || b.seen == window && bits.OnesCount64(b.last&(1<<window-1)) >= window/2
}

func (b *breaker) trip(now time.Time) {
	b.until = now.Add(b.pause)
	b.opened++
	b.become(open)
}

func (b *breaker) become(s state) {
	b.state = s
	b.epoch++
}

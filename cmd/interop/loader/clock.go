package main

import (
	"syscall"
	"time"
)

// clock counts from the beginning of a load. Safe for concurrent use.
type clock struct{ base time.Time }

func (c clock) now() time.Duration { return time.Since(c.base) }

// sleepUntil returns at a time, or a little later: the kernel adds up to 50 µs. It blocks
// a thread, because timers of a Go runtime that has nothing else to do are rounded up to
// a millisecond, and what is due within one would leave in one burst.
func (c clock) sleepUntil(at time.Duration) {
	for left := at - c.now(); left > 0; left = at - c.now() {
		span := syscall.NsecToTimespec(int64(left))
		_ = syscall.Nanosleep(&span, nil) // a signal ends it early: again
	}
}

// dueAfter returns when event k is due, after the first, of events that come with a rate
// a second.
func dueAfter(k int, rate float64) time.Duration {
	return time.Duration(float64(k) / rate * float64(time.Second))
}

// dueWithin returns how many events of a rate a second are due in a time.
func dueWithin(length time.Duration, rate float64) int {
	return int(length.Seconds()*rate + 0.5)
}

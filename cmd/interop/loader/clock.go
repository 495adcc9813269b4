package main

import (
	"runtime"
	"syscall"
	"time"
)

// clock counts from the beginning of a load. Safe for concurrent use.
type clock struct{ base time.Time }

func (c clock) now() time.Duration { return time.Since(c.base) }

// sharpen readies the goroutine that sleeps, for all that is left of the process. Its thread
// is one that the kernel wakes in time, and not up to 50 µs later; and there is one processor
// more than there would be, because it keeps one of the scheduler's while it sleeps.
func sharpen() {
	runtime.LockOSThread()
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_TIMERSLACK, 1, 0) // or it wakes later, and Late says so
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
}

// sleepUntil returns at a time, or a little later. It blocks a thread, because timers of a
// Go runtime that has nothing else to do are rounded up to a millisecond, and what is due
// within one would leave in one burst.
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

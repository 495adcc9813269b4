package fake

import "github.com/gannetmq/gannet/engine/session"

// TickMillis is how far apart the ticks of Rig.Pass are.
const TickMillis session.Time = 250

// Loop is what a broker's loop is asked to do.
type Loop interface {
	NeedsTurn() bool
	Turn(now session.Time)
	Tick(now session.Time) (soon bool)
}

// Rig is loops that are turned by hand, one after the other on one goroutine, at an instant that stands still until it is
// moved. Not safe for concurrent use, and neither are the loops then: only their mailboxes may be reached from elsewhere.
type Rig[L Loop] struct {
	Loops []L
	Woken []bool // loops that were woken and have not had their turn
	Now   session.Time
}

// NewRig makes n loops with open, which is given what wakes the loop.
func NewRig[L Loop](n int, now session.Time, open func(wake func()) L) *Rig[L] {
	r := &Rig[L]{Woken: make([]bool, n), Now: now}
	for i := range n {
		r.Loops = append(r.Loops, open(func() { r.Woken[i] = true }))
	}
	return r
}

// Settle turns all loops until none has anything to do.
func (r *Rig[L]) Settle() {
	for busy := true; busy; {
		busy = false
		for i, l := range r.Loops {
			if r.Woken[i] || l.NeedsTurn() {
				r.Woken[i], busy = false, true
				l.Turn(r.Now)
			}
		}
	}
}

// Tick fires the timers that are due by now, and lets the loops act on that.
func (r *Rig[L]) Tick() {
	for _, l := range r.Loops {
		l.Tick(r.Now)
	}
	r.Settle()
}

// Pass lets time go by, a tick each TickMillis.
func (r *Rig[L]) Pass(d session.Time) {
	for end := r.Now + d; r.Now < end; {
		r.Now = min(r.Now+TickMillis, end)
		r.Tick()
	}
}

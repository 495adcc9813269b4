package broker

import "math"

// tickMillis is the resolution of all timers of the broker.
const tickMillis = 250

// Slots of the near wheel (64 s) and of the far one, whose slots each hold one round of the near wheel.
const (
	nearSlots = 256
	farSlots  = 256
)

// timer is an intrusive list node: inserting, moving and removing a deadline allocates nothing.
type timer[T any] struct {
	prev, next *T
	slot       int32  // 0 = not in a wheel; else see wheel.head
	due        uint32 // ticks since the wheel's origin
}

// timed is anything with a timer inside.
type timed[T any] interface {
	*T
	timerNode() *timer[T]
}

// wheel is a two-level timer wheel: slots of a quarter second, then of about a minute; what lies further
// than 4.5 hours waits in the last far slot and is sorted anew each time round. Firing says no more than
// «look again»: the owner of a deadline that has moved puts it back. It also keeps those who have no deadline, so that
// the wheel is the list of all that is in it, and nobody needs another one. Not safe for concurrent use.
type wheel[T any, P timed[T]] struct {
	origin Time
	now    int64 // ticks since origin, the slot that fired last
	near   [nearSlots]*T
	far    [farSlots]*T
	kept   *T // without a deadline
	count  int
}

const keptSlot = 1 + nearSlots + farSlots

func (w *wheel[T, P]) init(now Time) { w.origin = now }

// put sets the deadline of x, moving it if it is in already. Never takes it out.
func (w *wheel[T, P]) put(x P, due Time, never Time) {
	w.remove(x)
	if due == never {
		return
	}
	ticks := (max(due-w.origin, 0) + tickMillis - 1) / tickMillis // never early
	x.timerNode().due = uint32(min(ticks, math.MaxUint32))        // 34 years
	w.insert(x)
}

func (w *wheel[T, P]) insert(x P) {
	tick := max(int64(x.timerNode().due), w.now+1)
	switch delta := tick - w.now; {
	case delta < nearSlots:
		w.link(x, 1+tick%nearSlots)
	case delta < nearSlots*(farSlots-1):
		w.link(x, 1+nearSlots+tick/nearSlots%farSlots)
	default:
		w.link(x, 1+nearSlots+(w.now/nearSlots+farSlots-1)%farSlots)
	}
}

// keep takes x in without a deadline, or takes its deadline away.
func (w *wheel[T, P]) keep(x P) {
	w.remove(x)
	w.link(x, keptSlot)
}

// head is where the list of a slot begins.
func (w *wheel[T, P]) head(slot int32) **T {
	switch i := slot - 1; {
	case i < nearSlots:
		return &w.near[i]
	case i < nearSlots+farSlots:
		return &w.far[i-nearSlots]
	default:
		return &w.kept
	}
}

func (w *wheel[T, P]) link(x P, slot int64) {
	n, head := x.timerNode(), w.head(int32(slot))
	n.slot, n.prev, n.next = int32(slot), nil, *head
	if *head != nil {
		P(*head).timerNode().prev = x
	}
	*head = x
	w.count++
}

// remove takes x out; nothing happens when it is not in.
func (w *wheel[T, P]) remove(x P) {
	n := x.timerNode()
	if n.slot == 0 {
		return
	}
	if n.prev != nil {
		P(n.prev).timerNode().next = n.next
	} else {
		*w.head(n.slot) = n.next
	}
	if n.next != nil {
		P(n.next).timerNode().prev = n.prev
	}
	n.prev, n.next, n.slot = nil, nil, 0
	w.count--
}

// appendAll appends whatever is in the wheel to dst.
func (w *wheel[T, P]) appendAll(dst []P) []P {
	for slot := int32(1); slot <= keptSlot; slot++ {
		for x := *w.head(slot); x != nil; x = P(x).timerNode().next {
			dst = append(dst, x)
		}
	}
	return dst
}

// advance fires everything due up to now. fire is called after x has left the wheel and may put it back.
func (w *wheel[T, P]) advance(now Time, fire func(P)) {
	for target := int64(now-w.origin) / tickMillis; w.now < target; {
		if w.count == 0 {
			w.now = target
			return
		}
		w.now++
		if w.now%nearSlots == 0 {
			i := w.now / nearSlots % farSlots
			for x := w.far[i]; x != nil; x = w.far[i] {
				w.remove(x)
				w.insert(x)
				if P(x).timerNode().slot == int32(1+nearSlots+i) {
					panic("broker: timer went back into the slot it came from")
				}
			}
		}
		i := w.now % nearSlots
		for x := w.near[i]; x != nil; x = w.near[i] {
			w.remove(x)
			if int64(P(x).timerNode().due) > w.now {
				w.insert(x)
				continue
			}
			fire(x)
		}
	}
}

// promptMillis is how far away a deadline counts as near: its end is noticed within a quarter second, that of others within one.
const promptMillis = 5000

// later returns the later of near and due, if due is near as of now.
func later(near, due, now Time) Time {
	if due <= now+promptMillis {
		return max(near, due+tickMillis)
	}
	return near
}

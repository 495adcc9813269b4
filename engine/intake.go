package engine

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Intake: how connections come to an event loop.
//
// Every loop watches every listener (eventLoop.listen). When somebody knocks, the kernel
// wakes one loop that sleeps, or tells those that are awake, and the loop takes from the
// backlog what is there: no goroutine is woken for it, and nobody waits for anybody.
// Whatever keeps the loop from going on with a listener, be it an error, the throttle, or
// a crowd of greetings, it does not wait for: it stops watching that listener, a timer
// ends the pause, and the clients stay where they are.
//
// The kernel prefers some loop when all sleep, so the loops have to see to it that each
// gets its share. A loop keeps what it has accepted unless another has clearly fewer
// connections; then it puts the socket into the other's intake, and wakes it. The few
// connections of a small broker, each of which may be a busy one, are thus spread evenly,
// and the many of a large one are mostly kept.
//
// A connection that must be greeted first goes to a goroutine (greeting.go), and comes
// back to an intake, not necessarily this one, when that is done.

const (
	// acceptBurst bounds what a loop accepts on a listener before it looks after its
	// connections again.
	acceptBurst = 16

	// slackPart is the part of the connections of the loop with the fewest, an eighth,
	// by which another may have more and still keep what it accepts.
	slackPart = 8

	// arrivalsMost bounds the connections that wait for a loop to open them. A loop that
	// lets so many wait is stuck: what comes then is closed, and counted as AdoptErrors.
	arrivalsMost = 1024
)

// errBehind ends a connection for which the loop has no time.
var errBehind = errors.New("the event loop is behind")

// intake belongs to one loop. Only attend, hand and look may be called from any goroutine.
type intake struct {
	loop   *loop
	door   *door
	inlets []*inlet
	entry  entry // scratch, of the connection that is being accepted

	load    atomic.Int64 // connections of the loop, with those that wait in arrivals
	holding atomic.Bool  // an inlet has a greeting for which there is no place

	mu       sync.Mutex
	arrivals []arrival
	spare    []arrival // the other half of arrivals' double buffer
	fresh    []*listener
}

// inlet is a listener as one loop sees it. Owned by that loop.
type inlet struct {
	listener *listener
	open     bool          // the loop watches the listener; if not, there is a pause
	until    time.Time     // of the pause
	pause    time.Duration // of the next one for an error
	timer    *time.Timer   // that ends the pause
	token    bool          // from the throttle, and not used yet
	held     *greeting     // accepted, but there is no place for it yet
}

// arrival is a connection that somebody else has accepted.
type arrival struct {
	fd    int
	entry entry
}

func newIntake(l *loop, d *door) *intake { return &intake{loop: l, door: d} }

// From any goroutine.

// attend has the loop accept on l until l is closed, and then tell door.wait.
func (in *intake) attend(l *listener) {
	in.mu.Lock()
	in.fresh = append(in.fresh, l)
	in.mu.Unlock()
	in.look()
}

// hand gives the loop a connection. False: it has too many, and a is still the caller's.
func (in *intake) hand(a arrival) bool {
	in.mu.Lock()
	ok := len(in.arrivals) < arrivalsMost
	if ok {
		in.arrivals = append(in.arrivals, a)
		in.load.Add(1)
	}
	in.mu.Unlock()
	if ok {
		in.look()
	}
	return ok
}

// look has the loop look after its intake.
func (in *intake) look() { in.loop.request(requestIntake) }

// fewest returns the intake of the loop with the fewest connections.
func (d *door) fewest() *intake {
	best := d.intakes[0]
	for _, in := range d.intakes[1:] {
		if in.load.Load() < best.load.Load() {
			best = in
		}
	}
	return best
}

// placeFreed tells the loops that a greeting has ended.
func (d *door) placeFreed() {
	for _, in := range d.intakes {
		if in.holding.Load() {
			in.look()
		}
	}
}

// On the loop.

// ring accepts what waits at the listeners.
func (in *intake) ring() {
	for _, i := range in.inlets {
		in.draw(i)
	}
}

// tend opens what has arrived, begins with new listeners, ends with closed ones, and ends pauses.
func (in *intake) tend() {
	in.mu.Lock()
	arrivals, fresh := in.arrivals, in.fresh
	in.arrivals, in.fresh = in.spare[:0], nil
	in.mu.Unlock()
	for n := range arrivals {
		in.load.Add(-1)
		in.open(arrivals[n].fd, &arrivals[n].entry)
	}
	clear(arrivals)
	in.spare = arrivals
	for _, l := range fresh {
		in.inlets = append(in.inlets, &inlet{listener: l, pause: acceptPauseMin})
	}
	kept := in.inlets[:0]
	for _, i := range in.inlets {
		if i.listener.closed() {
			in.drop(i)
			continue
		}
		kept = append(kept, i)
		if !i.open && (i.held != nil || !time.Now().Before(i.until)) {
			in.resume(i)
		}
	}
	clear(in.inlets[len(kept):])
	in.inlets = kept
	in.holding.Store(in.holds())
}

// draw accepts at i, as many as there are but not more than acceptBurst: the loop is told again of those that are left.
func (in *intake) draw(i *inlet) {
	for n := 0; n < acceptBurst && i.open; n++ {
		if t := in.door.throttle; t != nil && !i.token {
			i.token = true
			if d := t.take(time.Now()); d > 0 {
				in.rest(i, d)
				return
			}
		}
		fd, peer, err := in.door.reserve.accept(i.listener)
		switch err {
		case nil:
			i.token, i.pause = false, acceptPauseMin
			in.receive(i, fd, peer)
		case syscall.EAGAIN, net.ErrClosed:
			return
		default:
			in.rest(i, in.door.starved(i.listener, err, &i.pause))
		}
	}
}

// receive finds out what is to become of fd, accepted at i.
func (in *intake) receive(i *inlet, fd int, peer netip.AddrPort) {
	s := in.door.admit(i.listener, peer.Addr())
	switch {
	case s == nil:
		_ = syscall.Close(fd)
	case s.greets():
		i.held = &greeting{nc: newBareConn(fd, peer), peer: peer, listener: i.listener, setup: s}
		in.greet(i)
	default:
		in.entry = s.entry(i.listener, peer)
		in.place(fd, &in.entry)
		in.entry = entry{}
	}
}

// place gives fd to this loop, or to one that has fewer connections.
func (in *intake) place(fd int, e *entry) {
	to := in.door.fewest()
	if few := to.load.Load(); in.load.Load() > few+few/slackPart && to.hand(arrival{fd, *e}) {
		return
	}
	in.open(fd, e)
}

// open makes fd a connection of this loop.
func (in *intake) open(fd int, e *entry) {
	if err := in.loop.events.adopt(fd, e); err != nil {
		in.door.lost(e, err)
	}
}

// greet finds a place for the greeting that i holds, or has i rest until there may be one. A place that gets free after
// the second attempt is told to a loop that is holding.
func (in *intake) greet(i *inlet) {
	_, ok := in.door.greetings.tryStart(i.held)
	if !ok {
		in.holding.Store(true)
		var patience time.Duration
		if patience, ok = in.door.greetings.tryStart(i.held); !ok {
			in.rest(i, patience)
			return
		}
	}
	i.held = nil
}

func (in *intake) holds() bool {
	for _, i := range in.inlets {
		if i.held != nil {
			return true
		}
	}
	return false
}

// rest has i pause for d.
func (in *intake) rest(i *inlet, d time.Duration) {
	if i.open {
		i.open = false
		_ = i.listener.control(func(fd int) error {
			in.loop.events.unlisten(fd)
			return nil
		})
	}
	i.until = time.Now().Add(d)
	if i.timer == nil {
		i.timer = time.AfterFunc(d, in.look)
		return
	}
	i.timer.Reset(d)
}

// resume ends the pause of i, if nothing stands against it.
func (in *intake) resume(i *inlet) {
	if i.held != nil {
		in.greet(i)
		if i.held != nil {
			return
		}
	}
	err := i.listener.control(in.loop.events.listen)
	i.open = err == nil
	if err != nil && err != net.ErrClosed {
		in.door.complain("accept", i.listener.name(), err.Error())
		in.rest(i, acceptPauseMax)
	}
}

// drop ends with i, whose listener is closed.
func (in *intake) drop(i *inlet) {
	if i.timer != nil {
		i.timer.Stop()
	}
	if i.held != nil {
		_ = i.held.nc.Close()
		in.door.leave(i.listener)
	}
	in.door.wait.Done()
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// target is a broker that runs. pid is 0 when its process is not known; processor
// time and memory are then not measured.
type target struct {
	addr  netip.AddrPort
	pid   int
	layer func() layer // makes what lies below the packets of one connection; nil: MQTT over TCP
	how   *access      // how clients present themselves; nil: as the zero value

	restart func() error // ends the broker, starts it again, and waits until it listens; nil: nobody here can
}

// outcome is what one run of one scenario against one broker measured. A unit is a
// message, a connection or a cycle.
type outcome struct {
	rate      float64       // units a second: messages delivered, connections, cycles
	serverCPU float64       // microseconds for each unit; of messages, those in and those out count
	loaderCPU float64       // the same of the loader
	loaderUse float64       // share of one processor that the loader was busy, 0 to 1
	p99       time.Duration // message: encoded to read; connection: to SUBACK; cycle: all of it
	rss       float64       // bytes for each connection; 0: not measured
	total     uint64        // units of the whole run, with what was not measured
	faults    faults

	// Of durable runs, in which rate counts acknowledgements while publishing.
	drained float64       // messages a second, while the Sessions were drained
	both    float64       // messages a second, in and out, of the whole run
	ackCPU  float64       // microseconds of the broker for each message acknowledged
	p50     time.Duration // encoded to acknowledged, as is p99 then
}

var errStalled = errors.New("nothing moves any more")

const (
	setupLimit = time.Minute           // for all clients to be ready, or all messages to arrive
	turnLimit  = 50 * time.Millisecond // of one wait: how late the end of ctx may be noticed
)

// reading is what the clocks say at one moment.
type reading struct {
	at     time.Duration
	server time.Duration
	loader time.Duration
}

func (t target) read(l *loop) (r reading, err error) {
	if t.pid != 0 {
		if r.server, err = processCPU(t.pid); err != nil {
			return r, err
		}
	}
	r.loader, r.at = ownCPU(), l.clock()
	return r, nil
}

// cost fills in what two readings say about the units between them. done units make
// the rate, worked units share the processor time.
func (o *outcome) cost(from, to reading, done, worked uint64) {
	seconds := (to.at - from.at).Seconds()
	o.rate = float64(done) / seconds
	o.loaderUse = (to.loader - from.loader).Seconds() / seconds
	if worked > 0 {
		o.serverCPU = float64((to.server - from.server).Microseconds()) / float64(worked)
		o.loaderCPU = float64((to.loader - from.loader).Microseconds()) / float64(worked)
	}
}

// phase is a part of a run.
type phase struct {
	limit    time.Duration        // after which it is over: an error if it has done
	stall    time.Duration        // without progress, after which it is an error
	done     func() bool          // whether it is over; nil: when limit has passed
	progress func() uint64        // changes when something moves
	pace     func() time.Duration // works before each turn, and says when to work again; may be nil
}

// run turns l until the phase is over.
func (p phase) run(ctx context.Context, l *loop) error {
	start := l.clock()
	last, moved := p.progress(), start
	for p.done == nil || !p.done() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		left := p.limit - (l.now - start)
		if left <= 0 {
			if p.done == nil {
				return nil
			}
			return fmt.Errorf("not done after %v", p.limit)
		}
		if n := p.progress(); n != last {
			last, moved = n, l.now
		} else if l.now-moved >= p.stall {
			return errStalled
		}
		wait := min(left, turnLimit)
		if p.pace != nil {
			wait = min(wait, p.pace())
		}
		if err := l.turn(wait); err != nil {
			return err
		}
	}
	return nil
}

// measured runs p, which has no end of its own, until the broker is warm and then for the
// time that is measured, at the beginning of which it calls mark.
func (p phase) measured(ctx context.Context, t target, l *loop, b budget, mark func()) (from, to reading, err error) {
	p.limit = b.warm
	if err := p.run(ctx, l); err != nil {
		return from, to, err
	}
	if from, err = t.read(l); err != nil {
		return from, to, err
	}
	mark()
	p.limit = b.length
	if err := p.run(ctx, l); err != nil {
		return from, to, err
	}
	to, err = t.read(l)
	return from, to, err
}

// assemble connects a fleet, whose loop is to be closed.
func assemble(ctx context.Context, t target, groups []groupSpec, prefix string, patience time.Duration) (*fleet, *loop, error) {
	x, err := newFleet(&fleetSpec{groups: groups}, prefix, t.how.protocol(), 1)
	if err != nil {
		return nil, nil, err
	}
	l, err := newLoop(t, x)
	if err != nil {
		return nil, nil, err
	}
	x.open(l)
	all := len(x.members)
	setup := phase{
		limit: setupLimit, stall: patience,
		done:     func() bool { return x.readyCount == all },
		progress: func() uint64 { return uint64(x.readyCount) },
	}
	if err := setup.run(ctx, l); err != nil {
		l.close()
		return nil, nil, fmt.Errorf("%d of %d clients ready: %w", x.readyCount, all, err)
	}
	return x, l, nil
}

// finish has a fleet send nothing more, waits for what is under way, and books what does
// not come.
func (x *fleet) finish(ctx context.Context, patience time.Duration) error {
	x.until = x.loop.clock()
	drain := phase{limit: setupLimit, stall: patience, done: x.settled, progress: x.progress, pace: x.pace}
	if err := drain.run(ctx, x.loop); err != nil && !errors.Is(err, errStalled) {
		return fmt.Errorf("while the last messages arrive: %w", err)
	}
	x.sweep(true)
	return nil
}

// take returns the latencies of all groups since the last take.
func (x *fleet) take() (all histogram) {
	for i := range x.latency {
		all.take(&x.latency[i])
	}
	return all
}

// measureFleet runs a fleet until it is warm and then, measured, for a time. Unlike in
// gannet bench run nothing is given up before the end: a broker that loses so much that
// no window is open any more has failed.
func measureFleet(ctx context.Context, t target, groups []groupSpec, b budget) (o outcome, err error) {
	x, l, err := assemble(ctx, t, groups, "bench", b.patience)
	if err != nil {
		return o, err
	}
	defer l.close()
	x.start(1, math.MaxInt64)
	load := phase{stall: b.patience, progress: x.progress, pace: x.pace}
	var sent, received uint64
	from, to, err := load.measured(ctx, t, l, b, func() {
		sent, received = x.sent, x.received
		x.take()
	})
	if err != nil {
		x.sweep(true)
		return o, fmt.Errorf("after %d messages sent and %d received: %w (faults: %v)", x.sent, x.received, err, x.faults)
	}
	out := x.received - received
	o.cost(from, to, out, x.sent-sent+out)
	latency := x.take()
	o.p99 = latency.quantile(0.99)
	err = x.finish(ctx, b.patience)
	o.total, o.faults = x.received, x.faults
	return o, err
}

// measureArrivals has a number of clients connect and subscribe, as fast as they may.
func measureArrivals(ctx context.Context, t target, b budget) (o outcome, err error) {
	a, n := &arrivals{}, b.connections
	l, err := newLoop(t, a)
	if err != nil {
		return o, err
	}
	defer l.close()
	before, err := t.rss()
	if err != nil {
		return o, err
	}
	from, err := t.read(l)
	if err != nil {
		return o, err
	}
	if err := a.grow(ctx, l, n, b.patience); err != nil {
		return o, err
	}
	to, err := t.read(l)
	if err != nil {
		return o, err
	}
	after, err := t.rss()
	if err != nil {
		return o, err
	}
	o.cost(from, to, uint64(n), uint64(n))
	o.p99 = a.latency.quantile(0.99)
	o.rss = float64(after-before) / float64(n)
	o.total = uint64(n)
	return o, nil
}

// grow adds clients up to n and waits until all are there.
func (a *arrivals) grow(ctx context.Context, l *loop, n int, patience time.Duration) error {
	if room := descriptorLimit() - spareDescriptors; n > room {
		return fmt.Errorf("%d connections, and the limit of open files of this process allows %d: write smaller --connections", n, room)
	}
	a.more(l, n-a.wanted)
	p := phase{
		limit: setupLimit, stall: patience,
		done:     func() bool { return a.arrived == n },
		progress: func() uint64 { return uint64(a.arrived) },
	}
	if err := p.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d clients ready: %w", a.arrived, n, err)
	}
	return nil
}

// rss returns the resident memory of the broker in bytes, 0 if its process is not
// known.
func (t target) rss() (int64, error) {
	if t.pid == 0 {
		return 0, nil
	}
	return processRSS(t.pid)
}

// measureChurn lets the clients of x come and go until the broker is warm and then,
// measured, for a time.
func measureChurn(ctx context.Context, t target, x *churn, b budget) (o outcome, err error) {
	l, err := newLoop(t, x)
	if err != nil {
		return o, err
	}
	defer l.close()
	x.open(l)

	load := phase{stall: b.patience, progress: func() uint64 { return x.cycles }}
	var cycles uint64
	from, to, err := load.measured(ctx, t, l, b, func() {
		cycles = x.cycles
		x.latency.reset()
	})
	if err != nil {
		return o, fmt.Errorf("after %d cycles: %w", x.cycles, err)
	}
	o.cost(from, to, x.cycles-cycles, x.cycles-cycles)
	o.p99 = x.latency.quantile(0.99)

	x.closing = true
	drain := phase{limit: setupLimit, stall: b.patience, done: func() bool { return x.present == 0 }, progress: load.progress}
	if err := drain.run(ctx, l); err != nil {
		return o, fmt.Errorf("%d clients do not get through their cycle: %w", x.present, err)
	}
	o.total, o.faults = x.cycles, x.faults
	return o, nil
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// runFleet connects a fleet, takes it through its phases and waits for the last
// messages.
func runFleet(ctx context.Context, r *runner, spec *fleetSpec) error {
	x, err := newFleet(spec, r.o.prefix, r.target.how.protocol(), r.o.seed)
	if err != nil {
		return misused(err)
	}
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	defer func() { r.book(x.faults) }()
	if err := r.connectFleet(ctx, l, x); err != nil {
		return err
	}
	for i := range spec.phases {
		if err = r.fleetPhase(ctx, l, x, &spec.phases[i]); err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, errInterrupted) && !errors.Is(err, errStalled) {
		x.sweep(true)
		return err
	}
	return errors.Join(err, r.drainFleet(l, x))
}

func (r *runner) connectFleet(ctx context.Context, l *loop, x *fleet) error {
	if _, err := r.meet(ctx, l, 0, nil, nil); err != nil {
		return err
	}
	x.open(l)
	n := len(x.members)
	return r.do(ctx, l, &stage{
		name: "connect", unit: unitConnection,
		phase: phase{
			limit: r.connectLimit(n), stall: r.o.patience,
			done:     func() bool { return x.readyCount == n },
			progress: func() uint64 { return uint64(x.readyCount) },
			pace:     x.pace, // those who read slowly
		},
		done:  func() uint64 { return uint64(x.readyCount) },
		sweep: x.ping,
	})
}

// connectLimit is how long n clients may take to connect.
func (r *runner) connectLimit(n int) time.Duration {
	limit := setupLimit + time.Duration(n)*time.Millisecond
	if rate := r.target.how.connectRate(); rate > 0 {
		limit += time.Duration(float64(n) / rate * float64(time.Second))
	}
	return limit
}

// fleetPhase measures one phase.
func (r *runner) fleetPhase(ctx context.Context, l *loop, x *fleet, p *phaseSpec) error {
	var latency []latencySource
	for i := range x.latency {
		latency = append(latency, latencySource{of: "publish to receive", group: x.spec.groups[i].name, h: &x.latency[i]})
	}
	if _, err := r.meet(ctx, l, 0, x.pace, x.ping); err != nil {
		return err
	}
	if p.unheard {
		x.since = l.clock() + p.length
	}
	x.behind = 0
	x.start(p.factor, l.clock()+p.length)
	every := max(1, int(r.o.patience/time.Second)) // seconds between two looks for losses
	swept := 0
	err := r.do(ctx, l, &stage{
		name: p.name, unit: unitMessage, unheard: p.unheard,
		phase:   phase{limit: p.length, stall: 2*r.o.patience + time.Second, progress: x.progress, pace: x.pace},
		done:    func() uint64 { return x.received + x.aside },
		sent:    func() uint64 { return x.sent },
		faults:  func() faults { return x.faults },
		offered: func() float64 { return x.offered() },
		sweep: func(second int) {
			x.ping(second)
			if swept++; swept%every == 0 {
				x.sweep(false)
			}
		},
		latency: latency,
	})
	if n := len(r.result.Phases); n > 0 && !p.unheard {
		r.result.Phases[n-1].Behind = micros(x.behind)
	}
	return err
}

// offered returns how many messages a second are due by the clock.
func (x *fleet) offered() (rate float64) {
	for i := range x.sources {
		rate += x.sources[i].spec.rate * x.factor
	}
	return rate
}

// drainFleet waits for what is under way, gives up the rest, and has the clients leave.
// It is not ended by the user, who wants the result, but by the patience of the run.
func (r *runner) drainFleet(l *loop, x *fleet) error {
	ctx := context.Background()
	x.until = min(x.until, l.clock())
	drain := phase{limit: setupLimit, stall: r.o.patience, done: x.settled, progress: x.progress, pace: x.pace}
	if err := drain.run(ctx, l); err != nil && !errors.Is(err, errStalled) {
		r.result.note("the last messages: %v", err)
	}
	x.sending = false
	x.sweep(true)
	late := phase{limit: lingering, stall: time.Minute, progress: func() uint64 { return 0 }, pace: x.pace}
	if err := late.run(ctx, l); err != nil {
		return err
	}
	r.addDrained(x)
	if x.aside > 0 {
		r.result.note("%d messages went to clients that read slowly, or had been retained before: no latency is taken of them, and what is missing of them is no loss.", x.aside)
	}
	if x.departed > 0 {
		r.result.note("%d clients that read slowly were disconnected by the broker.", x.departed)
	}
	x.farewell()
	left := phase{limit: r.o.patience, stall: r.o.patience, done: x.gone, progress: func() uint64 { return uint64(l.now) }}
	_ = left.run(ctx, l) // a broker that does not close is none of the load's concern
	return r.endSessions(ctx, l, x)
}

// endSessions takes away the Sessions that would stay with the broker after the run.
func (r *runner) endSessions(ctx context.Context, l *loop, x *fleet) error {
	n := x.forget()
	end := phase{
		limit: r.connectLimit(n), stall: r.o.patience,
		done:     func() bool { return x.forgotten == n && x.gone() },
		progress: func() uint64 { return uint64(x.forgotten) },
	}
	if err := end.run(ctx, l); err != nil {
		return fmt.Errorf("%d of %d sessions ended: %w", x.forgotten, n, err)
	}
	return nil
}

// addDrained adds the latencies of the messages that came after the last phase to it:
// they were due in it.
func (r *runner) addDrained(x *fleet) {
	n := len(r.result.Phases)
	if n == 0 {
		return
	}
	p := &r.result.Phases[n-1]
	for i := range x.latency {
		h := &x.latency[i]
		s := latencySource{of: "publish to receive", group: x.spec.groups[i].name}
		at := slices.IndexFunc(p.Latency, func(l latencyResult) bool { return l.Group == s.group })
		if at < 0 || h.total() == 0 {
			p.addLatency(s, h)
			continue
		}
		before, err := histogramOf(p.Latency[at].Buckets)
		if err != nil {
			panic(err) // counts made them
		}
		h.add(&before)
		p.Latency[at] = latencyOf(s.of, s.group, h)
	}
}

// gone says whether every client has left, but for those who read slowly: whatever is
// before the end they would have to read first.
func (x *fleet) gone() bool {
	for i := range x.members {
		if c := x.members[i].client; c.fd >= 0 && !c.deaf {
			return false
		}
	}
	return true
}

// versionName is how people write a version.
func versionName(v codec.Version) string {
	switch v {
	case codec.V31:
		return "3.1"
	case codec.V311:
		return "3.1.1"
	case codec.V5:
		return "5.0"
	}
	return fmt.Sprintf("protocol level %d", v)
}

package bench

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// durableSpec describes a load on the queues of Sessions whose clients are away.
type durableSpec struct {
	publishers int
	sessions   int
	window     int
	payload    int
	everything bool // every Session hears every publisher; otherwise each publisher one Session
}

// reached returns how many Sessions a message is queued for.
func (s *durableSpec) reached() uint64 {
	if s.everything {
		return uint64(s.sessions)
	}
	return 1
}

// topics returns the topic of each publisher: bench/SESSION/PUBLISHER.
func (s *durableSpec) topics() (topics []string) {
	for i := range s.publishers {
		topics = append(topics, fmt.Sprintf("bench/%d/%d", i%s.sessions, i))
	}
	return topics
}

// session names a Session and its filter. "+/+" instead of "#" because nats-server
// needs two consumers for the latter.
func (s *durableSpec) session(i int) (id, filter string) {
	level := strconv.Itoa(i)
	if s.everything {
		level = "+"
	}
	return "parked-" + strconv.Itoa(i), "bench/" + level + "/+"
}

const (
	durablePatience = 20 * time.Second       // without any progress
	lingering       = 200 * time.Millisecond // for what should not come
)

// durableCatalog returns the variants of gannet bench durable.
func durableCatalog() []entry {
	variant := func(name, about string, spec durableSpec) entry {
		return entry{name, about, unitMessage, func(ctx context.Context, t target, b budget) (outcome, error) {
			return measureDurable(ctx, t, spec, b)
		}}
	}
	spec := durableSpec{publishers: 50, sessions: 10, window: 20, payload: 256}
	everything := spec
	everything.everything = true
	return []entry{
		variant("fan-out", "50 publishers, 20 in flight each, 256 B, every message queued for 10 absent sessions", everything),
		variant("p2p", "50 publishers, 20 in flight each, 256 B, every message queued for one of 10 absent sessions", spec),
	}
}

// measureDurable makes the Sessions, feeds them while their clients are away, and has
// the clients come back for what is theirs.
func measureDurable(ctx context.Context, t target, spec durableSpec, b budget) (o outcome, err error) {
	if _, err := park(ctx, t, spec.sessions, spec.session, b.patience, nil); err != nil {
		return o, err
	}
	fed, err := o.feed(ctx, t, spec, b)
	if err != nil {
		return o, err
	}
	drained, err := o.drain(ctx, t, spec, fed.messages, b)
	if err != nil {
		return o, err
	}
	out := drained.messages
	o.both = float64(fed.messages+out) / (fed.took + drained.took).Seconds()
	o.serverCPU = float64((fed.server + drained.server).Microseconds()) / float64(fed.messages+out)
	o.loaderCPU = float64((fed.loader + drained.loader).Microseconds()) / float64(fed.messages+out)
	o.loaderUse = (fed.loader + drained.loader).Seconds() / (fed.took + drained.took).Seconds()
	o.total = out
	return o, nil
}

// effort is what one half of a durable run took, all of it.
type effort struct {
	messages uint64 // published and acknowledged, or received
	took     time.Duration
	server   time.Duration // processor time
	loader   time.Duration
}

func effortBetween(from, to reading, messages uint64) effort {
	return effort{messages: messages, took: to.at - from.at, server: to.server - from.server, loader: to.loader - from.loader}
}

// feed publishes for a time, of which the part after warming up is measured, and
// waits for the last acknowledgement.
func (o *outcome) feed(ctx context.Context, t target, spec durableSpec, b budget) (e effort, err error) {
	topics := spec.topics()
	x := newFeed(feedSpec{
		publishers: spec.publishers, window: spec.window, payload: spec.payload,
		topic: func(dst []byte, publisher int, _ uint64) []byte { return append(dst, topics[publisher]...) },
	})
	l, err := newLoop(t, x)
	if err != nil {
		return e, err
	}
	defer l.close()
	if err := x.connect(ctx, l, b.patience); err != nil {
		return e, err
	}
	begun, err := t.read(l)
	if err != nil {
		return e, err
	}
	x.start()
	load := phase{stall: b.patience, progress: x.progress}
	var acked uint64
	from, to, err := load.measured(ctx, t, l, b, func() {
		acked = x.acked
		x.latency.reset()
	})
	if err != nil {
		return e, fmt.Errorf("after %d messages acknowledged: %w", x.acked, err)
	}
	measured := x.acked - acked
	o.cost(from, to, measured, measured)
	o.ackCPU = o.serverCPU
	o.p50, o.p99 = x.latency.quantile(0.5), x.latency.quantile(0.99)

	x.sending = false
	rest := phase{limit: setupLimit, stall: b.patience, done: x.settled, progress: x.progress}
	if err := rest.run(ctx, l); err != nil {
		return e, fmt.Errorf("%d of %d messages acknowledged: %w", x.acked, x.sent, err)
	}
	end, err := t.read(l)
	o.faults.add(x.faults)
	return effortBetween(begun, end, x.acked), err
}

// drain has the clients come back. Everything that was acknowledged is owed to them.
func (o *outcome) drain(ctx context.Context, t target, spec durableSpec, acked uint64, b budget) (e effort, err error) {
	x := newCollection(spec.sessions, spec.publishers, acked*spec.reached())
	x.belongs = func(session int, _ bool, _ []byte, publisher int, _ uint64) bool {
		return spec.everything || publisher%spec.sessions == session
	}
	var clients []*client
	for i := range spec.sessions {
		id, _ := spec.session(i)
		clients = append(clients, &client{id: id, durable: true})
	}
	l, err := newLoop(t, x)
	if err != nil {
		return e, err
	}
	defer l.close()
	from, err := t.read(l)
	if err != nil {
		return e, err
	}
	if err := x.collect(ctx, l, clients, b.patience); err != nil {
		return e, err
	}
	to, err := t.read(l)
	if err != nil {
		return e, err
	}
	if x.absent > 0 {
		return e, fmt.Errorf("%d of %d sessions are gone", x.absent, spec.sessions)
	}
	if err := x.linger(ctx, l, lingering); err != nil {
		return e, err
	}
	x.close()
	o.faults.add(x.faults)
	e = effortBetween(from, to, x.received)
	if x.received > 0 {
		e.took = x.last - from.at // what was waited for losses is no work
		o.drained = float64(x.received) / e.took.Seconds()
	}
	return e, nil
}

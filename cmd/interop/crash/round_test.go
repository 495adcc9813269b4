package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds the wait for an event that must come, and so a failure.
	patience = 20 * time.Second
	// roundLimit bounds a round that does not come to its end.
	roundLimit = 2 * time.Minute
	// attemptsMax bounds the connects that one client needs until it is let in.
	attemptsMax = 5000
	// fenceTopic is what every subscriber hears besides the streams.
	fenceTopic = "fence"
)

// settings of a round.
type settings struct {
	program  program
	seed     uint64
	kills    int
	messages int // for each publisher
	signal   syscall.Signal
	quiet    time.Duration // without a delivery, after which what is owed is lost
}

// round is one broker, its clients and its end.
type round struct {
	settings
	t         *testing.T
	broker    *broker
	ledger    *ledger
	random    *rand.Rand
	published atomic.Bool // all publishers are through
	cancel    context.CancelCauseFunc
	probes    sync.WaitGroup
	churn     *churn
	ended     int // how often the broker was ended
}

// play lets clients publish and receive while the broker is ended and started again, and
// returns what became of the messages.
func play(t *testing.T, o settings) verdict {
	t.Helper()
	limited, stop := context.WithTimeout(t.Context(), roundLimit)
	defer stop()
	ctx, cancel := context.WithCancelCause(limited)
	defer cancel(nil)
	r := &round{
		settings: o, t: t, ledger: newLedger(), cancel: cancel,
		random: rand.New(rand.NewPCG(o.seed, 0)),
		broker: newBroker(t, o.program, t.TempDir(), cancel),
	}
	if err := r.run(ctx); err != nil {
		r.ledger.fault(nil, "the round did not come to its end: %v", err)
	}
	v := r.ledger.verdict()
	v.kills = r.ended
	return v
}

func (r *round) run(ctx context.Context) error {
	if err := r.broker.start(ctx); err != nil {
		return err
	}
	publishers, subscribers := r.publishers(), r.subscribers()
	for _, s := range subscribers {
		if err := s.enrol(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	listening, hangUp := context.WithCancel(ctx)
	var audience, company sync.WaitGroup
	defer audience.Wait()
	defer hangUp()
	for _, s := range subscribers {
		audience.Go(func() { r.must(s.run(listening)) })
	}
	r.churn = newChurn(r)
	for _, p := range publishers {
		streams := p.streams()
		for _, s := range streams {
			r.ledger.open(s.topic, s.qos)
		}
		company.Go(func() { r.must(p.run(ctx, streams, r.messages)) })
	}
	var churning sync.WaitGroup
	churning.Go(func() { r.churn.run(ctx) })
	killing := make(chan struct{})
	go func() {
		defer close(killing)
		r.must(r.endBroker(ctx))
	}()
	company.Wait()
	r.published.Store(true)
	r.ledger.touch()
	churning.Wait()
	<-killing
	r.probes.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return r.settle(ctx, subscribers)
}

// must ends the round early when one of its parts cannot go on.
func (r *round) must(err error) {
	if err != nil {
		r.cancel(err)
	}
}

// settle waits until the subscribers have what they are owed, or nothing comes any more.
// Then the broker is ended once more: nothing that was acknowledged may come back.
func (r *round) settle(ctx context.Context, subscribers []*subscriber) error {
	l := r.ledger
	// What is still owed is counted by the verdict.
	_ = r.progress(ctx, func() bool { return l.owed == 0 })
	for _, fence := range []string{"first", "second"} {
		if err := r.fence(ctx, fence, subscribers); err != nil {
			return err
		}
		if fence == "first" {
			if err := r.restart(ctx); err != nil {
				return err
			}
		}
	}
	r.probe(ctx)
	return r.churn.verify(ctx)
}

// fence publishes a message to all, behind everything that was owed to them.
func (r *round) fence(ctx context.Context, name string, subscribers []*subscriber) error {
	w, _, err := openWire(ctx, r.broker, "fencer", false)
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.publish(fenceTopic, 1, false, []byte(name)); err != nil {
		return fmt.Errorf("fence: %w", err)
	}
	var missing []string
	err = r.progress(ctx, func() bool {
		missing = missing[:0]
		for _, s := range subscribers {
			if !r.ledger.fences[s.name+" "+name] {
				missing = append(missing, s.name)
			}
		}
		return len(missing) == 0
	})
	if err != nil {
		r.ledger.fault(nil, "the %s fence did not come to %v: %v", name, missing, err)
	}
	return nil
}

var errQuiet = errors.New("nothing comes any more")

// progress waits until condition holds, for as long as there are deliveries.
func (r *round) progress(ctx context.Context, condition func() bool) error {
	for {
		before, met := r.ledger.count(delivered), false
		limited, cancel := context.WithTimeoutCause(ctx, r.quiet, errQuiet)
		err := r.ledger.until(limited, func() bool {
			met = condition()
			return met || r.ledger.events[delivered] != before
		})
		cancel()
		if met || err != nil {
			return err
		}
	}
}

// insist connects until the broker lets the client in.
func (r *round) insist(ctx context.Context, name string, connect func() (bool, error)) (present bool, err error) {
	for range attemptsMax {
		present, err = connect()
		if err == nil {
			r.ledger.connected()
			return present, nil
		}
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	return false, fmt.Errorf("%s: not let in: %w", name, err)
}

// endBroker ends the broker at the moments that the seed gives, which are counts of
// things that clients saw, and starts it again at once.
func (r *round) endBroker(ctx context.Context) error {
	total := r.messages * len(r.publisherKinds())
	marks := make([]int, r.kills)
	for i := range marks {
		marks[i] = 1 + r.random.IntN(total-1)
	}
	sort.Ints(marks)
	for _, mark := range marks {
		after, again := r.random.IntN(40), r.random.IntN(4) == 0
		if err := r.count(ctx, acked, mark); err != nil {
			return err
		}
		// Not just behind an acknowledgement: some deliveries later.
		if err := r.count(ctx, delivered, r.ledger.count(delivered)+after); err != nil {
			return err
		}
		if err := r.restart(ctx); err != nil {
			return err
		}
		if !again {
			continue
		}
		// Once more, while the clients come back.
		if err := r.count(ctx, connected, r.ledger.count(connected)+r.random.IntN(8)); err != nil {
			return err
		}
		if err := r.restart(ctx); err != nil {
			return err
		}
	}
	return nil
}

// count waits for the nth event of a kind, or until the publishers are through.
func (r *round) count(ctx context.Context, kind event, n int) error {
	return r.ledger.until(ctx, func() bool { return r.ledger.events[kind] >= n || r.published.Load() })
}

// restart ends the broker, starts it again, and looks at the retained messages.
func (r *round) restart(ctx context.Context) error {
	r.end(r.signal)
	if r.signal == syscall.SIGKILL && r.random.IntN(8) == 0 {
		// Ended while it starts.
		r.broker.spawn()
		select {
		case <-r.broker.spoke:
		case <-r.broker.ended:
		}
		r.end(r.signal)
	}
	if err := r.broker.start(ctx); err != nil {
		return err
	}
	r.probes.Go(func() { r.probe(ctx) })
	return nil
}

func (r *round) end(s syscall.Signal) {
	r.ended++
	if status := r.broker.signal(s); s == syscall.SIGTERM && status != 0 {
		r.ledger.fault(nil, "exit status %d after SIGTERM", status)
	}
}

// publisherKinds names the publishers and their libraries.
func (r *round) publisherKinds() []byte { return []byte{4, 4, 5, 5} }

func (r *round) publishers() []*publisher {
	var all []*publisher
	for i, level := range r.publisherKinds() {
		w := newWitness(r.ledger, level)
		p := &publisher{
			name: fmt.Sprintf("publisher-%d-v%d", i, level), round: r, witness: w,
			window: []int{1, 10, 40, 100}[r.random.IntN(4)],
			random: rand.New(rand.NewPCG(r.seed, uint64(i)+100)),
		}
		if level == 5 {
			p.sender = newPahoV5Sender(r.broker, p.name, w)
		} else {
			p.sender = newPahoV3Sender(r.broker, p.name, w)
		}
		all = append(all, p)
	}
	return all
}

func (r *round) subscribers() []*subscriber {
	const streams, shared = "crash/+/+", "$share/crew/crash/+/+"
	exact := func(id string, pass application) receiver {
		return newExactReceiver(r.broker, id, []uint16{1, 10, 100, 1000}[r.random.IntN(4)], pass)
	}
	pahoV3 := func(id string, pass application) receiver { return newPahoV3Receiver(r.broker, id, pass) }
	pahoV5 := func(id string, pass application) receiver { return newPahoV5Receiver(r.broker, id, pass) }
	var all []*subscriber
	for i, k := range []struct {
		name     string
		make     func(string, application) receiver
		filter   string
		qos      byte
		restless bool
	}{
		{"exact-steady", exact, streams, 2, false},
		{"exact-restless", exact, streams, 2, true},
		{"paho-v5-steady", pahoV5, streams, 2, false},
		{"paho-v5-restless", pahoV5, streams, 2, true},
		{"paho-v3-steady", pahoV3, streams, 1, false},
		{"paho-v3-restless", pahoV3, streams, 1, true},
		{"crew-steady", exact, shared, 2, false},
		{"crew-restless-a", exact, shared, 2, true},
		{"crew-restless-b", exact, shared, 2, true},
	} {
		account := k.name
		if k.filter == shared {
			account = "crew"
		}
		s := &subscriber{
			name: k.name, round: r, account: r.ledger.account(account, k.filter != shared),
			qos: k.qos, filters: []string{k.filter, fenceTopic}, restless: k.restless,
			random: rand.New(rand.NewPCG(r.seed, uint64(i)+200)),
			leave:  make(chan struct{}, 1),
		}
		s.receiver = k.make(k.name, s.received)
		all = append(all, s)
	}
	return all
}

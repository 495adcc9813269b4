package broker

import (
	"flag"
	"fmt"
	"math/rand"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

var (
	simSeed       = flag.Int64("sim.seed", 0, "run the simulations with this seed only")
	simRuns       = flag.Int("sim.runs", 100, "how many seeds TestSimulation runs")
	simPebbleRuns = flag.Int("sim.pebble.runs", 20, "how many seeds TestSimulationOnPebble runs")
	simSteps      = flag.Int("sim.steps", 600, "steps of one run")
	simTrace      = flag.Bool("sim.trace", false, "tell what the clients and the store see")
)

// TestSimulation runs the whole core, from bytes to bytes, with clients that publish, acknowledge late, lose their links and come
// back, leave wills, share subscriptions, take their sessions over and begin new ones, on loops that turn in any order,
// over a store that commits when it likes, refuses new things for a while, fails to read, and crashes. Everything
// follows from a seed.
//
// Checked: what was acknowledged reaches every subscriber that was told of its subscription, and of a group of shared
// subscriptions somebody; QoS 2 arrives once; what was refused reaches nobody; messages of one publisher on one topic keep
// their order; no more is in flight than the Receive Maximum allows; a session that was acknowledged is there again until
// it expires, and then no more; the retained message is the last one acknowledged; a will is published if the connection was lost, and not if the
// client came back in time. Where queues are small, no more is missing than was counted. In the end the store holds what is
// owed to nobody of nobody.
func TestSimulation(t *testing.T) {
	simulate(t, *simRuns, func(*testing.T, int) simBackend {
		m := &simMemory{}
		m.Manual = true
		return m
	})
}

// TestSimulationOnPebble is TestSimulation on Pebble and a file system in memory, which a crash leaves with what was synced and a
// random part of the rest.
//
// What clients, loops and the broker's clock do follows from the seed here, too, and so does when the broker hears that
// something is durable, or what was read. Two things do not: how far Pebble has got by itself when a crash comes, so that the
// next process may find more or less of what nobody had been told of; and in which order it then loads the sessions. A seed that
// failed after a crash may have to run a few times (-count) to fail again.
func TestSimulationOnPebble(t *testing.T) {
	simulate(t, *simPebbleRuns, func(t *testing.T, window int) simBackend {
		return openSimPebble(t, vfs.NewCrashableMem(), window)
	})
}

func simulate(t *testing.T, runs int, open func(t *testing.T, window int) simBackend) {
	run := func(t *testing.T, seed int64) {
		s := newSim(t, seed, open)
		for range *simSteps {
			s.step()
		}
		s.finish()
		s.check()
		s.checkStore()
	}
	if *simSeed != 0 {
		run(t, *simSeed)
		return
	}
	for seed := int64(1); seed <= int64(runs); seed++ {
		if !t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { run(t, seed) }) {
			t.Fatalf("replay with -run %s -sim.seed %d", t.Name(), seed)
		}
	}
}

const simClients = 5

// sim is the world of one run.
type sim struct {
	*rig
	rnd     *rand.Rand
	opts    Options
	store   *simStore
	clients [simClients]*simClient
	sent    []*simMessage
	links   []*wire // that the broker was not yet told to be closed

	// What may happen in this run.
	crashes, faults, small, shared, wills, ends, spliced bool

	restarts  int
	restarted Time
	dropped   uint64           // messages, as counted by brokers that are gone
	retained  map[string][]int // topic -> numbers of the messages of which one must be retained; 0: none
	lastOfAll *simMessage      // newest on the topic that all publishers retain on
}

func newSim(t *testing.T, seed int64, open func(t *testing.T, window int) simBackend) *sim {
	rnd := rand.New(rand.NewSource(seed))
	often := func(of, n int) bool { return rnd.Intn(n) < of }
	s := &sim{rnd: rnd, retained: map[string][]int{},
		crashes: often(2, 3), faults: often(1, 3), small: often(1, 5), shared: often(1, 2), wills: often(1, 2), ends: often(1, 2), spliced: often(1, 2)}
	o := DefaultOptions()
	o.MaxLoopLag = 0 // time here goes in leaps
	o.WideFanout = 2 + rnd.Intn(4)
	o.Session.MaxInflight = uint16(1 + rnd.Intn(20))
	o.Session.QueueWindow = 1 + rnd.Intn(8)
	o.Session.ReceiveMaximum = simOpen
	if often(1, 2) {
		o.MaxOutboundBytes = 100
	}
	if often(1, 4) {
		o.Session.QueueWindowBytes = 1 + rnd.Intn(40)
	}
	if s.small {
		o.Session.MaxQueuedMessages, o.MaxGroupMessages = rnd.Intn(6), 1+rnd.Intn(6)
	}
	s.opts = o
	s.store = &simStore{simBackend: open(t, int(o.Session.MaxInflight)*rnd.Intn(2))}
	t.Cleanup(func() { s.store.close() })
	s.start(t, 1_700_000_000_000)
	for i := range s.clients {
		s.clients[i] = &simClient{s: s, bit: 1 << i, name: fmt.Sprint("c", i), v: []codec.Version{codec.V311, codec.V5}[i%2],
			recv: uint16(1 + rnd.Intn(10)), endsAt: session.Never, members: map[string]bool{}}
	}
	for _, c := range s.clients {
		c.newSession(false)
	}
	return s
}

// start starts a process on the store.
func (s *sim) start(t testing.TB, now Time) {
	s.rig = newRigWithStore(t, 1+s.rnd.Intn(3), s.store, func(o *Options) { *o = s.opts })
	s.Now = now
	for _, l := range s.Loops {
		if s.spliced {
			l.spliceBytes = 1
		}
	}
	if err := s.b.Restore(now); err != nil {
		t.Fatal(err)
	}
}

func (s *sim) step() {
	c := s.clients[s.rnd.Intn(len(s.clients))]
	switch n := s.rnd.Intn(1000); {
	case n < 200:
		s.turnOne()
	case n < 310:
		s.store.commit(1 + s.rnd.Intn(5))
	case n < 340:
		s.store.answer(s.rnd, s.faults && s.rnd.Intn(3) == 0)
	case n < 360:
		s.pass(Time(s.rnd.Intn(2000)))
	case n < 368:
		if s.crashes {
			s.crash()
		}
	case n < 380:
		s.store.refuse = s.faults && !s.store.refuse && s.rnd.Intn(3) == 0
	case c.w == nil:
		c.dial(c.anyHello())
	case !c.up:
		if c.read() == 0 && c.w != nil && s.rnd.Intn(20) == 0 {
			c.cut()
		}
	case n < 395:
		c.cut()
	case n < 405:
		c.dial(c.anyHello()) // while it is connected
	case n < 410:
		c.disconnect()
	case n < 420:
		c.w.Full = !c.w.Full
		if !c.w.Full {
			c.w.Stuck = 0
		}
	case n < 460:
		c.subscribe(s.anyFilter())
	case n < 475:
		c.unsubscribe(s.anyFilter())
	case n < 650:
		c.publish()
	case n < 750:
		c.flushLate()
	default:
		c.read()
	}
	for _, l := range s.Loops {
		if l.joined != 0 || l.unacked.conn != nil {
			s.t.Fatalf("loop %d: joined %d, unacked %v after what it did", l.index, l.joined, l.unacked)
		}
	}
}

func (s *sim) trace(format string, args ...any) {
	if *simTrace {
		fmt.Printf(format+"\n", args...)
	}
}

func (s *sim) anyFilter() string {
	if s.shared && s.rnd.Intn(2) == 0 {
		return groupFilter(simGroupTopics[s.rnd.Intn(len(simGroupTopics))])
	}
	return simTopics[s.rnd.Intn(len(simTopics))]
}

// turnOne lets one loop turn, and perhaps hear that connections are closed that it closed.
func (s *sim) turnOne() {
	i := s.rnd.Intn(len(s.Loops))
	s.Woken[i] = false
	s.Loops[i].Turn(s.Now)
	if s.rnd.Intn(4) == 0 {
		s.reap()
	}
}

// reap tells the broker of connections that it closed.
func (s *sim) reap() {
	left := s.links[:0]
	for _, w := range s.links {
		if w.Closed {
			w.loop.Closed(w.conn, nil, s.Now)
		} else {
			left = append(left, w)
		}
	}
	s.links = left
}

// pass lets time pass; not every loop takes note at once.
func (s *sim) pass(d Time) {
	s.Now += d
	for _, l := range s.Loops {
		if s.rnd.Intn(3) > 0 {
			l.Tick(s.Now)
		}
	}
}

// crash loses the process and what its store had not committed, or shuts it down in order.
func (s *sim) crash() {
	if s.rnd.Intn(6) == 0 {
		for _, l := range s.Loops {
			l.Shutdown(s.Now)
		}
		s.Settle()
		s.store.commit(1 << 20)
	}
	for _, c := range s.clients {
		if s.rnd.Intn(2) == 0 {
			c.read() // the last that it hears from this process
		}
		c.lost(s.Now)
	}
	s.links = nil
	s.countDropped()
	s.store = s.store.restart(s.rnd)
	s.start(s.t, s.Now+Time(s.rnd.Intn(3)*s.rnd.Intn(3000)))
	s.restarts++
	s.restarted = s.Now
	s.afterCrash()
}

// countDropped takes over what the broker counts as dropped.
func (s *sim) countDropped() {
	for _, l := range s.Loops {
		d := &l.stats.drops
		s.dropped += d[session.DropQueueFull] + d[session.DropGroupFull]
		if d[session.DropLost] > 0 {
			s.t.Errorf("%d messages were lost in the store", d[session.DropLost])
		}
	}
}

// finish lets everybody come back and everything arrive.
func (s *sim) finish() {
	s.store.refuse = false
	quiet := 0
	for round := 0; quiet < 30; round++ { // a will may be due seconds later
		if round == 3000 {
			s.t.Fatal("it never gets quiet")
		}
		busy := false
		for _, c := range s.clients {
			if c.w == nil {
				c.dial(simHello{clean: c.cleaning, expiry: session.Never})
				busy = true
			}
			c.w.Full, c.w.Stuck = false, 0
			c.flushLate()
		}
		s.Now += tickMillis
		for _, l := range s.Loops {
			l.Tick(s.Now)
			l.Turn(s.Now)
		}
		s.Settle()
		s.reap()
		s.store.commit(1 << 20)
		for s.store.answer(s.rnd, false) {
			busy = true
		}
		s.Settle()
		for _, c := range s.clients {
			busy = c.read() > 0 || busy
			busy = busy || c.w == nil || !c.up || len(c.late) > 0 || len(c.w.In) > 0
		}
		quiet++
		if busy {
			quiet = 0
		}
	}
	s.countDropped()
}

package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// runEntry is a scenario of gannet bench run.
type runEntry struct {
	name, about string
	sizes       sizes
	connectRate float64 // of its own; 0: none
	dialing     bool    // all clients connect at the same time
	phased      bool    // it says by itself how long it lasts
	run         func(ctx context.Context, r *runner) error
}

// The numbers of the Open MQTT Benchmark Suite: QoS 1, 16 bytes, Keep Alive of 300
// seconds, a message a second from each publisher unless a name says otherwise.
const (
	openKeepAlive = 300
	openPayload   = 16
)

// runCatalog returns the scenarios in the order of the list.
func runCatalog() []runEntry {
	open := func(publishers, subscribers int, rate float64) sizes {
		return sizes{publishers: publishers, subscribers: subscribers, payload: openPayload, qos: 1, window: defaultWindowOpen, rate: rate}
	}
	closed := func(publishers, subscribers, qos, window int) sizes {
		return sizes{publishers: publishers, subscribers: subscribers, payload: 64, qos: qos, window: window}
	}
	few := func(connections int) sizes { return sizes{connections: connections} }
	return []runEntry{
		{name: "conn-tcp-basic", about: "10,000 clients connect, 100 a second, and stay", sizes: few(10_000), connectRate: 100, run: runOpenConnections},
		{name: "conn-tcp-enterprise", about: "1,000,000 clients connect, 5,000 a second, and stay", sizes: few(1_000_000), connectRate: 5000, run: runOpenConnections},
		{name: "fanout-basic", about: "1 publisher, 1 message/s, 1,000 subscribers", sizes: open(1, 1000, 1), run: fleetOf(fanOutFleet)},
		{name: "fanout-enterprise", about: "5 publishers, 250 messages/s, 1,000 subscribers to all 5 topics", sizes: open(5, 1000, 250), run: fleetOf(fanOutFleet)},
		{name: "p2p-basic", about: "1,000 publishers, 1,000 messages/s, 1,000 subscribers, a topic for each pair", sizes: open(1000, 1000, 1000), run: fleetOf(pairsFleet)},
		{name: "p2p-enterprise", about: "50,000 publishers, 50,000 messages/s, 50,000 subscribers, a topic for each pair", sizes: open(50_000, 50_000, 50_000), run: fleetOf(pairsFleet)},
		{name: "sharedsub-basic", about: "1,000 publishers, 1,000 messages/s, a shared subscription of 5", sizes: open(1000, 5, 1000), run: fleetOf(sharedFleet)},
		{name: "sharedsub-enterprise", about: "50,000 publishers, 50,000 messages/s, a shared subscription of 500", sizes: open(50_000, 500, 50_000), run: fleetOf(sharedFleet)},

		{name: "p2p", about: "50 pairs, QoS 1, 20 in flight for each, as fast as it goes", sizes: closed(50, 50, 1, 20), run: fleetOf(pairsFleet)},
		{name: "fanout", about: "1 publisher, 100 subscribers, QoS 0, 128 under way, as fast as it goes", sizes: closed(1, 100, 0, 128), run: fleetOf(fanOutFleet)},
		{name: "fanin", about: "100 publishers, 1 subscriber, QoS 1, 20 in flight for each, as fast as it goes", sizes: closed(100, 1, 1, 20), run: fleetOf(fanOutFleet)},
		{name: "sharedsub", about: "20 publishers, a shared subscription of 4, QoS 1, 20 in flight for each", sizes: closed(20, 4, 1, 20), run: fleetOf(sharedFleet)},
		{name: "wildcards", about: "100 subscribers with 100 filters with two wildcards each, one message after the other for one of them, QoS 1", sizes: closed(100, 100, 1, 20), run: fleetOf(wildcardFleet)},
		{name: "deep", about: "50 pairs, topics of 30 levels, 27 of them wildcards in the filter, QoS 1", sizes: closed(50, 50, 1, 20), run: fleetOf(deepFleet)},
		{name: "big", about: "10 pairs, payloads of 256 KiB, QoS 1, 2 in flight for each",
			sizes: sizes{publishers: 10, subscribers: 10, payload: 256 << 10, qos: 1, window: 2}, run: fleetOf(pairsFleet)},
		{name: "slow", about: "10 publishers, 1 KiB, QoS 0, 500 messages/s, 50 subscribers that read and 10 that read 20 KiB/s of 500: latency of the former",
			sizes: sizes{publishers: 10, subscribers: 50, payload: 1 << 10, window: defaultWindowOpen, rate: 500}, run: fleetOf(slowFleet)},
		{name: "mixed", about: "10,000 clients: 100 that publish 1,000 messages/s together, 10 that take them, the others idle with a subscription and a Keep Alive of 60 s",
			sizes: sizes{connections: 10_000, publishers: 100, subscribers: 10, payload: 128, qos: 1, window: defaultWindowOpen, rate: 1000}, run: fleetOf(mixedFleet)},

		{name: "ramp", about: "clients connect and subscribe to a topic each, up to 10,000 in 5 steps: memory for each", sizes: few(10_000), run: runRamp},
		{name: "storm", about: "5,000 clients connect at the same time", sizes: few(5000), dialing: true, run: runStorm},
		{name: "reconnect", about: "5,000 clients come back after a restart of the broker: time until all are", sizes: few(5000), run: func(ctx context.Context, r *runner) error {
			return runReconnect(ctx, r, r.o.sizes.connections)
		}},
		{name: "churn", about: "50 clients at a time: connect, subscribe, publish, receive, leave", sizes: few(churnPlaces), run: func(ctx context.Context, r *runner) error {
			return runChurn(ctx, r, r.o.sizes.connections)
		}},
		{name: "retained", about: "100,000 retained messages, one to a topic, are written, and replayed to 10 subscribers to all",
			sizes: sizes{messages: 100_000, subscribers: 10, payload: 64}, run: func(ctx context.Context, r *runner) error {
				return runRetained(ctx, r, r.o.sizes.messages, r.o.sizes.subscribers, r.o.sizes.payload)
			}},
		{name: "durable", about: "50 publishers to the queues of 10 absent Sessions, 9,000 messages, 256 B, QoS 1, then all is drained",
			// No broker's queue is by default too short for 900 messages.
			sizes: sizes{publishers: 50, subscribers: 10, messages: 9000, payload: 256}, run: func(ctx context.Context, r *runner) error {
				s := &r.o.sizes
				return runDurable(ctx, r, s.messages, durableSpec{publishers: s.publishers, sessions: s.subscribers, window: fedWindow, payload: s.payload})
			}},
	}
}

func writeScenarios(w io.Writer) {
	for _, e := range runCatalog() {
		fmt.Fprintf(w, "%-21s %s\n", e.name, e.about)
	}
}

func findScenario(name string) (runEntry, error) {
	var names []string
	for _, e := range runCatalog() {
		if e.name == name {
			return e, nil
		}
		names = append(names, e.name)
	}
	return runEntry{}, fmt.Errorf("there is no scenario %q: write one of %s, or a .yaml file", name, strings.Join(names, ", "))
}

// fleetOf returns a scenario that is a fleet of certain sizes.
func fleetOf(make func(s *sizes) []groupSpec) func(ctx context.Context, r *runner) error {
	return func(ctx context.Context, r *runner) error {
		groups := make(&r.o.sizes)
		for i := range groups {
			if strings.HasSuffix(r.o.scenario.name, "-basic") || strings.HasSuffix(r.o.scenario.name, "-enterprise") {
				groups[i].keepAlive = openKeepAlive
			}
		}
		spec := &fleetSpec{groups: groups, phases: r.o.phases()}
		if err := r.fit(spec); err != nil {
			return err
		}
		if err := spec.validate(); err != nil {
			return misused(err)
		}
		return runFleet(ctx, r, spec)
	}
}

// phases are those of a scenario without phases of its own.
func (o *runOptions) phases() (phases []phaseSpec) {
	if o.warm > 0 {
		phases = append(phases, phaseSpec{name: "warm", length: o.warm, factor: 1, unheard: true})
	}
	return append(phases, phaseSpec{name: "load", length: o.length, factor: 1})
}

// publishing returns what one of s.publishers publishes to a topic.
func (s *sizes) publishing(topic string) *publishSpec {
	return &publishSpec{
		topic: topic, qos: codec.QoS(s.qos), size: s.payload, window: s.window,
		rate:     s.rate / float64(max(1, s.publishers)),
		arrivals: spacing(slices.Index(spacingNames[:], s.arrivals)),
	}
}

func (s *sizes) listeners(name string, filters ...string) groupSpec {
	return groupSpec{name: name, count: s.subscribers, subscribe: filters, qos: codec.QoS(s.qos)}
}

func (s *sizes) talkers(topic string) groupSpec {
	return groupSpec{name: "pub", count: s.publishers, publish: s.publishing(topic)}
}

func pairsFleet(s *sizes) []groupSpec {
	return []groupSpec{s.listeners("sub", "{prefix}/{n}"), s.talkers("{prefix}/{n}")}
}

// oneTopicFleet is one publisher, heard without a wildcard.
func oneTopicFleet(s *sizes) []groupSpec {
	return []groupSpec{s.listeners("sub", "{prefix}/0"), s.talkers("{prefix}/{n}")}
}

func fanOutFleet(s *sizes) []groupSpec {
	return []groupSpec{s.listeners("sub", "{prefix}/+"), s.talkers("{prefix}/{n}")}
}

func sharedFleet(s *sizes) []groupSpec {
	return []groupSpec{s.listeners("sub", "$share/bench/{prefix}/+"), s.talkers("{prefix}/{n}")}
}

// wildcardFilters is how many filters each subscriber of a wide set has.
const wildcardFilters = 100

func wildcardFleet(s *sizes) []groupSpec {
	sub := s.listeners("sub", "{prefix}/{n}/{k}/+/#")
	sub.filters = wildcardFilters
	return []groupSpec{sub, s.talkers(fmt.Sprintf("{prefix}/{n%%%d}/{n%%%d}/x/y", s.subscribers, wildcardFilters))}
}

func deepFleet(s *sizes) []groupSpec {
	const wild = 27
	return []groupSpec{
		s.listeners("sub", "{prefix}/{n}"+strings.Repeat("/+", wild)+"/end"),
		s.talkers("{prefix}/{n}" + strings.Repeat("/level", wild) + "/end"),
	}
}

func slowFleet(s *sizes) []groupSpec {
	slow := s.listeners("slow", "{prefix}/+")
	slow.count, slow.readRate = max(1, s.subscribers/5), 20<<10
	return []groupSpec{s.listeners("fast", "{prefix}/+"), slow, s.talkers("{prefix}/{n}")}
}

func mixedFleet(s *sizes) []groupSpec {
	idle := groupSpec{name: "idle", count: max(1, s.connections-s.publishers-s.subscribers), subscribe: []string{"{prefix}/command/{n}"}, keepAlive: 60}
	return []groupSpec{idle, s.listeners("backend", "$share/backend/{prefix}/telemetry/+"), s.talkers("{prefix}/telemetry/{n}")}
}

func runOpenConnections(ctx context.Context, r *runner) error {
	n, err := r.fitConnections(r.o.sizes.connections)
	if err != nil {
		return err
	}
	return runCrowd(ctx, r, &crowd{keepAlive: openKeepAlive}, []int{n}, r.o.length)
}

func runStorm(ctx context.Context, r *runner) error {
	n, err := r.fitConnections(r.o.sizes.connections)
	if err != nil {
		return err
	}
	return runCrowd(ctx, r, &crowd{root: r.o.prefix}, []int{n}, min(time.Second, r.o.length))
}

// rampSteps and rampSettle are those of the scenario ramp.
const (
	rampSteps  = 5
	rampSettle = 4 * time.Second
)

func runRamp(ctx context.Context, r *runner) error {
	n, err := r.fitConnections(r.o.sizes.connections)
	if err != nil {
		return err
	}
	var steps []int
	for i := 1; i <= rampSteps; i++ {
		if step := n * i / rampSteps; step > 0 && !slices.Contains(steps, step) {
			steps = append(steps, step)
		}
	}
	return runCrowd(ctx, r, &crowd{root: r.o.prefix}, steps, min(rampSettle, r.o.length))
}

// spareDescriptors are for what is no connection, on both sides: brokers keep some back.
const spareDescriptors = 1000

// room returns how many connections this process may have, and the broker if its limit
// can be read.
func (r *runner) room() int {
	room := descriptorLimit()
	if r.target.pid != 0 {
		if n := processDescriptors(r.target.pid); n > 0 {
			room = min(room, n)
		}
	}
	return max(1, room-spareDescriptors)
}

// fitConnections makes fewer of the connections of a scenario where the machine does not
// allow as many, and says so.
func (r *runner) fitConnections(n int) (int, error) {
	room := r.room()
	if n <= room {
		return n, nil
	}
	if r.o.whole || r.o.resized() {
		return 0, misused(fmt.Errorf("connections: %d, and the limit of open files of this process or the broker allows %d", n, room))
	}
	r.result.note("%d connections instead of %d: the limit of open files of this process or the broker allows no more.", room, n)
	return room, nil
}

// resized says whether somebody has said how many clients there are to be.
func (o *runOptions) resized() bool {
	s, usual := &o.sizes, &o.scenario.sizes
	return s.connections != usual.connections || s.publishers != usual.publishers || s.subscribers != usual.subscribers
}

// fit makes the groups of a fleet smaller in proportion where the machine does not allow
// as many connections, and says so. The rate of all together stays.
func (r *runner) fit(spec *fleetSpec) error {
	room, all := r.room(), spec.clients()
	if all <= room {
		return nil
	}
	if r.o.whole || r.o.resized() {
		return misused(fmt.Errorf("%d clients, and the limit of open files of this process or the broker allows %d", all, room))
	}
	share := float64(room) / float64(all)
	if share*float64(len(spec.groups)) < 0.001 {
		return errors.New("groups: the limit of open files allows too few connections")
	}
	for i := range spec.groups {
		g := &spec.groups[i]
		was := g.count
		g.count = max(1, int(float64(was)*share))
		if g.publish != nil {
			g.publish.rate *= float64(was) / float64(g.count)
		}
		r.result.note("group %s: %d clients instead of %d, with the same rate together: the limit of open files of this process or the broker allows no more.", g.name, g.count, was)
	}
	return nil
}

package bench

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"
)

// Scenarios of gannet bench run that gannet bench compare has, too: the standard ones of
// the field, and what a broker meets besides messages as fast as they go. A run of one is
// a gannet bench run against the fresh broker, of which a few figures are taken.

// comparedRun is such a scenario.
type comparedRun struct {
	scenario    string
	unit        string
	phases      []string // whose figures are added up
	about       string   // if it is not as the scenario's own
	connectRate float64  // the same
}

func comparedRuns() []comparedRun {
	load, connect := []string{"load"}, []string{"connect"}
	return []comparedRun{
		{scenario: "conn-tcp-basic", unit: unitConnection, phases: connect, connectRate: 1000,
			about: "10,000 clients connect, 1,000 a second by the clock, which is ten times the rate of the Open MQTT Benchmark Suite, and stay"},
		{scenario: "fanout-basic", unit: unitMessage, phases: load},
		{scenario: "fanout-enterprise", unit: unitMessage, phases: load},
		{scenario: "p2p-basic", unit: unitMessage, phases: load},
		{scenario: "sharedsub-basic", unit: unitMessage, phases: load},
		{scenario: "wildcards", unit: unitMessage, phases: load},
		{scenario: "deep", unit: unitMessage, phases: load},
		{scenario: "big", unit: unitMessage, phases: load},
		{scenario: "slow", unit: unitMessage, phases: load},
		{scenario: "mixed", unit: unitMessage, phases: load},
		{scenario: "storm", unit: unitConnection, phases: connect},
		{scenario: "reconnect", unit: unitConnection, phases: []string{"back"}},
		{scenario: "retained", unit: unitMessage, phases: []string{"write", "replay"}},
		{scenario: "durable", unit: unitMessage, phases: []string{"queue", "drain"}},
	}
}

// runPatience is the patience of gannet bench run, which is longer than that of gannet
// bench load: more is kept here that a broker may have to write down.
const runPatience = 10 * time.Second

// entry returns the scenario as the catalog of gannet bench compare has it.
func (c comparedRun) entry() entry {
	e, err := findScenario(c.scenario)
	if err != nil {
		panic(err) // the two lists are of one program
	}
	e.connectRate = cmp.Or(c.connectRate, e.connectRate)
	about := cmp.Or(c.about, e.about)
	if e.sizes.rate > 0 {
		about += ", by the clock"
	}
	return entry{c.scenario, about, c.unit, func(ctx context.Context, t target, b budget) (outcome, error) {
		return c.measure(ctx, t, e, b)
	}}
}

// measure is one run.
func (c comparedRun) measure(ctx context.Context, t target, e runEntry, b budget) (o outcome, err error) {
	how := access{prefix: "bench-", rate: e.connectRate}
	if e.dialing {
		how.dialing = e.sizes.connections
	}
	if how.sources, err = sourceAddresses("", t.addr.Addr()); err != nil {
		return o, err
	}
	t.how = &how
	r := newRunner(&runOptions{
		scenario: e, sizes: e.sizes, target: t, url: "mqtt://" + t.addr.String(), prefix: "bench", seed: 1,
		warm: b.warm, length: b.length, patience: runPatience, restartLimit: setupLimit, whole: true,
	}, io.Discard)
	if err := e.run(ctx, r); err != nil {
		return o, err
	}
	return r.outcome(c.phases)
}

// outcome adds up the figures of some phases. If they are those in which clients
// connect, first of all, memory is what each has added when all is over.
func (r *runner) outcome(names []string) (o outcome, err error) {
	var seconds, busy, worked, broker, loader float64
	phases := r.result.Phases
	for i := range phases {
		p := &phases[i]
		if !slices.Contains(names, p.Name) {
			continue
		}
		units := float64(p.Done + p.Sent)
		o.total, worked, seconds = o.total+p.Done, worked+units, seconds+p.Seconds
		busy, loader = busy+p.Loader.Use*p.Seconds, loader+p.Loader.CPU*units
		if p.Broker != nil {
			broker += p.Broker.CPU * units
		}
		if len(p.Latency) > 0 {
			o.p99 = time.Duration(p.Latency[0].P99 * float64(time.Microsecond))
		}
	}
	if o.total == 0 {
		return o, fmt.Errorf("nothing was done: %s", r.result.troubles())
	}
	o.rate, o.loaderUse = float64(o.total)/seconds, busy/seconds
	o.serverCPU, o.loaderCPU = broker/worked, loader/worked
	first, last := phases[0].Broker, phases[len(phases)-1].Broker
	if names[0] == phases[0].Name && phases[0].Unit == unitConnection && first != nil && last != nil {
		o.rss = float64(last.RSS-first.RSS+first.Grown) / float64(o.total)
	}
	o.faults = r.faults
	return o, nil
}

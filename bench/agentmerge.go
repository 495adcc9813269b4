package bench

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// What several agents found out becomes one result. Counts and the buckets of
// distributions are added, so that the sum is what one process would have counted;
// quantiles are taken of the sum, never of quantiles.

// reportOf packs a result for the coordinator. x is not to be used any more.
func reportOf(x *runResult, late time.Duration) *resultReport {
	x.Seconds = nil
	return &resultReport{Result: x, Late: late}
}

// distributionsMax bounds the distributions of all phases together: 140 MB.
const distributionsMax = 4096

// mergeResults adds the results of agents to x, which describes the run. A name stands
// for an agent in notes.
func mergeResults(x *runResult, names []string, reports []*resultReport) error {
	sums, distributions := [][]*histogram{}, 0
	for i, report := range reports {
		if report == nil {
			continue
		}
		part := report.Result
		if x.PID == 0 {
			x.PID = part.PID
		}
		for kind, n := range part.Faults {
			x.Faults[kind] += n
		}
		for k := range part.Phases {
			if k == len(x.Phases) {
				x.Phases = append(x.Phases, phaseResult{Name: part.Phases[k].Name, Unit: part.Phases[k].Unit, Latency: []latencyResult{}})
				sums = append(sums, nil)
			}
			if !sameWork(&x.Phases[k], &part.Phases[k]) {
				return fmt.Errorf("agent %s: phase %d is %q, and another agent's is %q", names[i], k, part.Phases[k].Name, x.Phases[k].Name)
			}
			x.Phases[k].join(&part.Phases[k])
			var err error
			had := len(sums[k])
			if sums[k], err = x.Phases[k].joinLatency(sums[k], &part.Phases[k]); err != nil {
				return fmt.Errorf("agent %s: result: phase %d: %w", names[i], k, err)
			}
			if distributions += len(sums[k]) - had; distributions > distributionsMax {
				return fmt.Errorf("agent %s: result: more than %d distributions", names[i], distributionsMax)
			}
		}
	}
	for k := range x.Phases {
		p := &x.Phases[k]
		if p.Seconds > 0 {
			p.Rate = float64(p.Done) / p.Seconds
			p.Loader.Use /= p.Seconds
		}
		if units := float64(p.Done + p.Sent); units > 0 {
			p.Loader.CPU /= units
			if b := p.Broker; b != nil {
				p.Broker = b.times(1 / units)
			}
		}
		for i, h := range sums[k] {
			p.Latency[i] = latencyOf(p.Latency[i].Of, p.Latency[i].Group, h)
		}
	}
	x.mergeNotes(names, reports)
	return nil
}

// sameWork says whether two phases are parts of one. Names may have numbers of
// clients in them, which are different.
func sameWork(a, b *phaseResult) bool { return a.Unit == b.Unit }

// join adds another part to p. What is an average for each unit is a sum for the time
// being, and the shares of a processor are in seconds of it.
func (p *phaseResult) join(q *phaseResult) {
	units := float64(q.Done + q.Sent)
	p.Seconds = max(p.Seconds, q.Seconds)
	p.Done += q.Done
	p.Sent += q.Sent
	p.Offered += q.Offered
	p.Behind = max(p.Behind, q.Behind)
	p.Loader.CPU += q.Loader.CPU * units
	p.Loader.Use += q.Loader.Use * q.Seconds
	if p.Broker == nil && q.Broker != nil { // one agent alone looks at it
		p.Broker = q.Broker.times(units)
	}
}

// joinLatency adds the distributions of another part, which may be damaged, to sums, which
// are as p.Latency, and returns them.
func (p *phaseResult) joinLatency(sums []*histogram, q *phaseResult) ([]*histogram, error) {
	for i := range q.Latency {
		l := &q.Latency[i]
		h, err := histogramOf(l.Buckets)
		if err != nil {
			return sums, err
		}
		at := slices.IndexFunc(p.Latency, func(known latencyResult) bool { return known.Of == l.Of && known.Group == l.Group })
		if at < 0 {
			if at = len(p.Latency); at == groupsMax {
				return sums, fmt.Errorf("more than %d distributions", groupsMax)
			}
			p.Latency = append(p.Latency, latencyResult{Of: l.Of, Group: l.Group})
			sums = append(sums, &histogram{})
		}
		if err := sums[at].merge(&h); err != nil {
			return sums, err
		}
	}
	return sums, nil
}

// mergeNotes takes over a note that all agents have as it is, and others with the name
// of their agent.
func (x *runResult) mergeNotes(names []string, reports []*resultReport) {
	count := map[string]int{}
	parts := 0
	for _, report := range reports {
		if report != nil {
			parts++
			for _, note := range slices.Compact(slices.Sorted(slices.Values(report.Result.Notes))) {
				count[note]++
			}
		}
	}
	for i, report := range reports {
		if report == nil {
			continue
		}
		x.note("agent %s: %s", names[i], report.Result.Machine)
		for _, note := range report.Result.Notes {
			switch {
			case count[note] < parts:
				x.note("agent %s: %s", names[i], note)
			case !slices.Contains(x.Notes, note):
				x.Notes = append(x.Notes, note)
			}
		}
	}
}

// series puts the seconds of several agents together. A second of a stage is there when
// every agent has told of it or is through with the stage.
type series struct {
	stages map[int]*stageSeries // that are not over for all agents
	agents int
}

// stageSeries is one stage.
type stageSeries struct {
	unit    string
	waiting [][]secondReport // by agent: what the others have not come to yet
	last    []second         // by agent: what it told of last
	over    []bool           // by agent
}

const (
	// waitingMax bounds the seconds by which an agent may be ahead of another.
	waitingMax = 120
	// openStages bounds the stages that some agents have begun and others not ended.
	openStages = 64
)

func newSeries(agents int) *series { return &series{stages: map[int]*stageSeries{}, agents: agents} }

func (s *series) stage(n int) (*stageSeries, error) {
	x := s.stages[n]
	if x == nil {
		if len(s.stages) == openStages {
			return nil, fmt.Errorf("it is %d stages ahead of another agent", openStages)
		}
		x = &stageSeries{waiting: make([][]secondReport, s.agents), last: make([]second, s.agents), over: make([]bool, s.agents)}
		s.stages[n] = x
	}
	return x, nil
}

// add takes what an agent tells of a second. It is an error if the agent is far ahead.
func (s *series) add(agent int, report *secondReport) error {
	x, err := s.stage(report.Stage)
	if err != nil {
		return err
	}
	if len(x.waiting[agent]) == waitingMax {
		return fmt.Errorf("it is %d seconds ahead of another agent", waitingMax)
	}
	if _, err := histogramOf(report.Latency); err != nil {
		return err
	}
	x.unit = report.Unit
	x.waiting[agent] = append(x.waiting[agent], *report)
	return nil
}

// end notes that an agent is through with a stage.
func (s *series) end(agent, stage int) error {
	x, err := s.stage(stage)
	if err == nil {
		x.over[agent] = true
	}
	return err
}

// leave notes that an agent tells of no second any more.
func (s *series) leave(agent int) {
	for _, x := range s.stages {
		x.over[agent] = true
	}
}

// take calls yield with every second that is complete, oldest first, and forgets it.
func (s *series) take(yield func(unit string, x *second)) {
	for _, n := range slices.Sorted(maps.Keys(s.stages)) {
		x := s.stages[n]
		for x.complete() {
			merged := x.next()
			yield(x.unit, &merged)
		}
		if !slices.Contains(x.over, false) {
			delete(s.stages, n)
		}
	}
}

// complete says whether there is a second of one agent at least, and of every agent that
// is not through.
func (x *stageSeries) complete() bool {
	some := false
	for i := range x.waiting {
		if len(x.waiting[i]) > 0 {
			some = true
		} else if !x.over[i] {
			return false
		}
	}
	return some
}

// next takes a second that is complete.
func (x *stageSeries) next() (sum second) {
	var all histogram
	for i := range x.waiting {
		if len(x.waiting[i]) == 0 { // through: what it had done by then stays done
			sum.Done += x.last[i].Done
			sum.Faults += x.last[i].Faults
			continue
		}
		report := &x.waiting[i][0]
		h, _ := histogramOf(report.Latency) // add has seen it
		_ = all.merge(&h)                   // what agents make up is not worth the end of a run
		s := report.Second
		x.last[i] = s
		x.waiting[i] = x.waiting[i][1:]
		if sum.Phase == "" {
			sum.Phase = s.Phase
		}
		sum.At = max(sum.At, s.At)
		sum.Done += s.Done
		sum.Faults += s.Faults
		sum.Rate += s.Rate
		sum.Sent += s.Sent
		sum.BrokerUse += s.BrokerUse // of one agent alone
		sum.BrokerRSS += s.BrokerRSS
	}
	sum.P50, sum.P90, sum.P99 = micros(all.quantile(0.5)), micros(all.quantile(0.9)), micros(all.quantile(0.99))
	sum.P999, sum.Max = micros(all.quantile(0.999)), micros(all.quantile(1))
	return sum
}

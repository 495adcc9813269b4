package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// suite runs scenarios against brokers, round after round.
type suite struct {
	entries []entry
	brokers []recipe
	goOn    bool // a broker that does not start is a failed run, and not the end
	rounds  int
	budget  budget
	log     io.Writer // progress, a line for every run
}

// row is a scenario with the outcomes of all its runs.
type row struct {
	entry   entry
	columns []column // as suite.brokers
}

// column is what one broker did in one scenario.
type column struct {
	outcomes []outcome
	failed   []error // runs without an outcome
	faults   faults  // of all runs
	lacking  string  // why the broker was not asked to do this; empty: it was
}

// errStart marks the error of a broker that did not start: the next try would end the
// same way.
var errStart = errors.New("start broker")

// run measures everything. In every round the brokers take turns within a scenario,
// and the one that goes first changes, so that whatever else the machine does falls
// on all of them alike. A run that fails is kept in its column; only a broker that
// does not start, unless the suite goes on, and the end of ctx are errors.
func (s *suite) run(ctx context.Context) ([]row, error) {
	rows := make([]row, len(s.entries))
	for i, e := range s.entries {
		rows[i] = row{e, make([]column, len(s.brokers))}
	}
	for round := range s.rounds {
		for i, e := range s.entries {
			for k := range s.brokers {
				b := (k + round) % len(s.brokers)
				if reason := s.brokers[b].lacking(e.name); reason != "" {
					rows[i].columns[b].lacking = reason
					continue
				}
				started := time.Now()
				o, err := s.one(ctx, e, s.brokers[b])
				if cause := context.Cause(ctx); cause != nil {
					return rows, cause
				}
				if errors.Is(err, errStart) && !s.goOn {
					return rows, err
				}
				rows[i].columns[b].note(o, err)
				s.progress(round, e, s.brokers[b], o, err, time.Since(started))
			}
		}
	}
	return rows, nil
}

// one measures one run, against a fresh broker unless one runs already.
func (s *suite) one(ctx context.Context, e entry, r recipe) (o outcome, err error) {
	if r.running != nil {
		return e.run(ctx, *r.running, s.budget)
	}
	p, err := startProcess(ctx, r)
	if err != nil {
		return o, fmt.Errorf("%w: %w", errStart, err)
	}
	defer func() {
		if stop := p.stop(); err == nil {
			err = stop
		}
	}()
	t := p.target
	t.restart = func() error { return p.restart(r) }
	if o, err = e.run(ctx, t, s.budget); err != nil {
		if gone := p.gone(); gone != nil {
			err = fmt.Errorf("%w; %w", err, gone)
		}
	}
	return o, err
}

func (c *column) note(o outcome, err error) {
	c.faults.add(o.faults)
	if err != nil {
		c.failed = append(c.failed, err)
		return
	}
	c.outcomes = append(c.outcomes, o)
}

// ok says whether every run ended and did to every message what it should.
func (c *column) ok() bool { return len(c.failed) == 0 && !c.faults.any() }

func (s *suite) progress(round int, e entry, r recipe, o outcome, err error, took time.Duration) {
	fmt.Fprintf(s.log, "round %d/%d  %-15s %-10s ", round+1, s.rounds, e.name, r.name)
	if err != nil {
		fmt.Fprintf(s.log, "failed: %s\n", oneLine(err))
		return
	}
	if o.rate == 0 && o.rss != 0 {
		fmt.Fprintf(s.log, "%10.0f bytes for each %s  [%.1f s]\n", o.rss, e.unit, took.Seconds())
		return
	}
	fmt.Fprintf(s.log, "%10.0f /s  broker %7.3f µs  loader %6.3f µs (%3.0f %% busy)  p99 %8.0f µs  faults: %v  [%.1f s]\n",
		o.rate, o.serverCPU, o.loaderCPU, 100*o.loaderUse, float64(o.p99.Nanoseconds())/1e3, o.faults, took.Seconds())
}

// median returns the middle one of what pick takes from the outcomes, the mean of
// the middle two if their number is even, and 0 if there are none.
func (c *column) median(pick func(outcome) float64) float64 {
	if len(c.outcomes) == 0 {
		return 0
	}
	values := make([]float64, len(c.outcomes))
	for i, o := range c.outcomes {
		values[i] = pick(o)
	}
	slices.Sort(values)
	half := len(values) / 2
	if len(values)%2 == 1 {
		return values[half]
	}
	return (values[half-1] + values[half]) / 2
}

package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// runBroker is gannet bench run: one scenario against a broker that runs already. What
// it found out is printed and written down, also when it was interrupted or something went
// wrong.
func runBroker(ctx context.Context, o *runOptions, stdout, stderr io.Writer) error {
	if o.list {
		writeScenarios(stdout)
		return nil
	}
	files, err := o.files()
	if err != nil {
		return misused(err)
	}
	defer files.close()
	if len(o.agents) > 0 {
		return runTogether(ctx, o, files, stdout, stderr)
	}
	r := newRunner(o, stderr)
	defer r.close()
	err = o.scenario.run(ctx, r)
	r.line.end()
	switch {
	case errors.Is(err, errInterrupted):
		err = nil
	case errors.As(err, new(*usageError)): // nothing was begun
		return err
	}
	return files.conclude(r.result, err, stdout)
}

// errInterrupted ends a scenario whose user has seen enough.
var errInterrupted = errors.New("interrupted")

// runner carries out the stages of a scenario, one after the other, and keeps their
// results. Used by one goroutine.
type runner struct {
	o      *runOptions
	target target
	result *runResult
	line   *liveLine
	faults faults          // of all stages that are over
	calls  *syscallCounter // of target.pid; nil: there is none yet, or none is asked for

	part    *part // of an agent; nil: it is alone
	stages  int   // begun so far
	drifted bool  // agents are not at the same point in time any more
}

func newRunner(o *runOptions, log io.Writer) *runner {
	return &runner{o: o, target: o.target, result: newResult(o), line: newLiveLine(log)}
}

// stage is a part of a run, and how to count what happens in it.
type stage struct {
	name    string
	unit    string
	phase   phase
	unheard bool // nothing of it is reported

	done    func() uint64    // units so far
	sent    func() uint64    // messages so far; nil: none are
	faults  func() faults    // so far; nil: there are none
	offered func() float64   // messages a second that are due by the clock; nil: there is no clock
	sweep   func(second int) // is called every second; may be nil
	latency []latencySource
}

// latencySource is a histogram that a stage empties every second.
type latencySource struct {
	of    string // what was measured
	group string
	h     *histogram
}

// stageRun is a stage while it lasts.
type stageRun struct {
	*stage
	r            *runner
	l            *loop
	begun        time.Duration
	next         time.Duration // when the next second is over
	seconds      int
	number       int         // of the stage
	totals       []histogram // as latency
	atLook, sent uint64      // at the last look
	looked       time.Duration
	cpu          time.Duration
	recent       histogram // of all sources, since the last look
}

// do carries out s, shows how it goes and keeps the result, with what there is of it
// when it ends with an error. The end of ctx is errInterrupted.
func (r *runner) do(ctx context.Context, l *loop, s *stage) error {
	t := stageRun{stage: s, r: r, l: l, totals: make([]histogram, len(s.latency))}
	before, err := r.read(l)
	if err != nil {
		return err
	}
	done, sent := s.done(), s.count(s.sent)
	t.begun, t.looked, t.next = l.now, l.now, l.now+time.Second
	t.number = r.stages
	r.stages++
	t.atLook, t.sent, t.cpu = done, sent, before.broker.cpu
	pace := s.phase.pace
	s.phase.pace = func() time.Duration {
		wait := turnLimit
		if pace != nil {
			wait = min(wait, pace())
		}
		t.look()
		return min(wait, t.next-l.now)
	}
	failed := s.phase.run(ctx, l)
	s.phase.pace = pace
	t.look() // of the last second, which was over with the stage
	if failed != nil && context.Cause(ctx) != nil {
		failed = errInterrupted
		r.result.Interrupted = true
	}
	t.take()
	if r.drifted = r.drifted || s.phase.done != nil; r.part != nil {
		r.part.post(&message{Type: "end", End: &ending{Stage: t.number}})
	}
	after, err := r.read(l)
	if failed == nil || errors.Is(failed, errInterrupted) {
		failed = cmp.Or(err, failed)
	} // otherwise the process, too, is not there for the reason that failed has
	if !s.unheard {
		p := phaseResult{Name: s.name, Unit: s.unit, Latency: []latencyResult{}, Sent: s.count(s.sent) - sent, Done: s.done() - done}
		p.costs(before, after, p.Done+p.Sent)
		if s.offered != nil {
			p.Offered = s.offered()
		}
		for i, source := range s.latency {
			p.addLatency(source, &t.totals[i])
		}
		r.result.Phases = append(r.result.Phases, p)
	}
	if failed != nil && !errors.Is(failed, errInterrupted) {
		return fmt.Errorf("%s: after %d %ss: %w", s.name, s.done()-done, s.unit, failed)
	}
	return failed
}

func (s *stage) count(of func() uint64) uint64 {
	if of == nil {
		return 0
	}
	return of()
}

// runReading is a reading with what is known about the broker's process.
type runReading struct {
	at     time.Duration
	loader time.Duration
	broker spending
	known  bool

	names []string // of calls; nil: they are not counted
	calls []uint64
}

// read reads the clocks, also where what is known about the broker cannot be read.
func (r *runner) read(l *loop) (x runReading, err error) {
	if r.target.pid != 0 {
		if x.broker, err = processSpending(r.target.pid); err != nil {
			err = fmt.Errorf("the broker's process %d: %w", r.target.pid, err)
		} else if err = r.readSyscalls(&x); err == nil {
			x.known = true
		}
	}
	x.loader, x.at = ownCPU(), l.clock()
	return x, err
}

// readSyscalls fills in the system calls of the broker, if they are asked for. They are
// counted from the first reading on, which is before there is any load.
func (r *runner) readSyscalls(x *runReading) (err error) {
	if !r.o.syscalls {
		return nil
	}
	if r.calls == nil {
		if r.calls, err = countSyscalls(r.target.pid); err != nil {
			return err
		}
	}
	x.names = r.calls.names
	x.calls, err = r.calls.read()
	return err
}

// close gives back what the kernel counts with.
func (r *runner) close() { r.calls.close() }

// take empties the histograms of the scenario into those of the stage.
func (t *stageRun) take() {
	t.recent.reset()
	for i, source := range t.latency {
		t.recent.add(source.h)
		t.totals[i].take(source.h)
	}
}

// look tells of the last second when it is over.
func (t *stageRun) look() {
	if t.l.now < t.next {
		return
	}
	if t.next += time.Second; t.next <= t.l.now { // the machine was elsewhere
		t.next = t.l.now + time.Second
	}
	t.take()
	took := (t.l.now - t.looked).Seconds()
	x := second{
		Phase: t.name, At: t.l.now.Seconds(),
		Done: t.done(), Rate: float64(t.done()-t.atLook) / took,
		Sent: float64(t.count(t.sentSoFar())-t.sent) / took,
		P50:  micros(t.recent.quantile(0.5)), P90: micros(t.recent.quantile(0.9)), P99: micros(t.recent.quantile(0.99)),
		P999: micros(t.recent.quantile(0.999)), Max: micros(t.recent.quantile(1)),
	}
	if t.stage.faults != nil {
		x.Faults = t.stage.faults().total()
	}
	if t.r.target.pid != 0 {
		if u, err := processSpending(t.r.target.pid); err == nil { // otherwise the end of the stage says so
			x.BrokerUse, x.BrokerRSS = (u.cpu-t.cpu).Seconds()/took, u.rss
			t.cpu = u.cpu
		}
	}
	t.atLook, t.sent, t.looked = t.done(), t.count(t.sentSoFar()), t.l.now
	if t.sweep != nil {
		t.sweep(t.seconds)
	}
	t.seconds++
	if p := t.r.part; p != nil {
		p.tell(t.number, t.unit, &x, &t.recent)
	} else if len(t.r.result.Seconds) < secondsMax {
		t.r.result.Seconds = append(t.r.result.Seconds, x)
	}
	t.r.line.show(t.unit, &x)
}

func (t *stageRun) sentSoFar() func() uint64 { return t.stage.sent }

// secondsMax bounds what is kept of a run: a day and a night, and some more.
const secondsMax = 100_000

package bench

import (
	"context"
	"errors"
	"time"
)

// part is the link between a runner and the session of an agent. The runner goes as the
// others do; the session has goroutines for input and output, and never makes the loop
// wait for them.
type part struct {
	ctx   context.Context // of the session
	post  func(*message)  // does not block
	start chan starting   // answers to meet, of which there is at most one
	base  time.Time       // of the clock that the coordinator knows
	late  time.Duration   // how late a stage started at most
}

func (p *part) clock() time.Duration { return time.Since(p.base) }

// meet waits until the other agents of the run are as far as this one, and for the instant
// at which all go on. Without other agents, and where stages by the clock have kept them
// together, it returns at once. count is summed up over all agents; the result is the
// sum, and valid only if there was a reason to wait. pace and ping, which may be nil, do
// for the clients what the stages around do.
func (r *runner) meet(ctx context.Context, l *loop, count int, pace func() time.Duration, ping func(second int)) (int, error) {
	p := r.part
	if p == nil || !r.drifted || p.ctx.Err() != nil {
		return count, nil
	}
	r.drifted = false
	p.post(&message{Type: "meet", Meet: &meeting{Stage: r.stages, Count: count}})
	var s starting
	told, second := false, 0
	begun := l.clock()
	wait := phase{
		limit: runMax, stall: runMax + time.Minute, progress: func() uint64 { return 0 },
		done: func() bool { return told && p.clock() >= s.At },
		pace: func() time.Duration {
			wait := turnLimit
			if pace != nil {
				wait = min(wait, pace())
			}
			if !told {
				select {
				case s = <-p.start:
					told = true
				default:
				}
			}
			if told {
				wait = max(0, min(wait, s.At-p.clock()))
			}
			if now := int((l.now - begun) / time.Second); now > second {
				if second = now; ping != nil {
					ping(second)
				}
			}
			return wait
		},
	}
	if err := wait.run(ctx, l); err != nil {
		if context.Cause(ctx) != nil || p.ctx.Err() != nil {
			r.result.Interrupted = true
			return count, errInterrupted
		}
		return count, errors.Join(errors.New("wait for the other agents"), err)
	}
	p.late = max(p.late, p.clock()-s.At)
	return s.Total, nil
}

// tell reports a second.
func (p *part) tell(stage int, unit string, x *second, latency *histogram) {
	p.post(&message{Type: "second", Second: &secondReport{Stage: stage, Unit: unit, Second: *x, Latency: latency.counts()}})
}

package bench

import (
	"context"
	"fmt"
	"io"
	"time"
)

// idle is gannet bench idle: for every broker, the slope of its resident memory
// between few and many connections. What a broker needs without any is in neither.
func idle(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	if err := describe(ctx, o, stdout); err != nil {
		return err
	}
	few, many := o.steps[0], o.steps[1]
	fmt.Fprintf(stdout, "Idle connections with one subscription each; resident memory %v after the last of them.\n\n", o.settle)
	fmt.Fprintf(stdout, "| broker | RSS MiB at 0 | at %d | at %d | bytes for each further connection |\n", few, many)
	fmt.Fprintln(stdout, "| --- | ---: | ---: | ---: | ---: |")
	for _, r := range o.brokers {
		sizes, err := idleOne(ctx, o, r, stderr)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		slope := float64(sizes[2]-sizes[1]) / float64(many-few)
		fmt.Fprintf(stdout, "| %s | %.1f | %.1f | %.1f | %.0f |\n", r.name, mebi(sizes[0]), mebi(sizes[1]), mebi(sizes[2]), slope)
	}
	return nil
}

func mebi(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// idleOne measures one broker and returns its resident memory without connections
// and after each step.
func idleOne(ctx context.Context, o *options, r recipe, log io.Writer) (sizes []int64, err error) {
	t := r.running
	if t == nil {
		p, err := startProcess(ctx, r)
		if err != nil {
			return nil, err
		}
		defer func() {
			if stop := p.stop(); err == nil {
				err = stop
			}
		}()
		t = &p.target
	}
	c := climb{steps: append([]int{0}, o.steps...), settle: o.settle, patience: patience}
	c.tell = func(n int, size int64) {
		fmt.Fprintf(log, "%s: %d connections, %.1f MiB\n", r.name, n, mebi(size))
	}
	return c.run(ctx, *t)
}

// climb opens connections up to each of steps in turn.
type climb struct {
	steps    []int
	settle   time.Duration // of silence after each step
	patience time.Duration
	tell     func(n int, size int64) // is told of each step; may be nil
}

// run returns the resident memory of the broker after each step.
func (s climb) run(ctx context.Context, t target) (sizes []int64, err error) {
	a := &arrivals{}
	l, err := newLoop(t, a)
	if err != nil {
		return nil, err
	}
	defer l.close()
	for _, n := range s.steps {
		if err := a.grow(ctx, l, n, s.patience); err != nil {
			return nil, err
		}
		if err := stay(ctx, l, s.settle); err != nil {
			return nil, err
		}
		size, err := t.rss()
		if err != nil {
			return nil, err
		}
		if s.tell != nil {
			s.tell(n, size)
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// measureIdle takes the slope of the broker's resident memory between few and many
// silent connections. Nothing else is measured.
func measureIdle(ctx context.Context, t target, few, many int, settle time.Duration, b budget) (o outcome, err error) {
	c := climb{steps: []int{few, many}, settle: settle, patience: b.patience}
	sizes, err := c.run(ctx, t)
	if err != nil {
		return o, err
	}
	o.rss = float64(sizes[1]-sizes[0]) / float64(many-few)
	o.total = uint64(many)
	return o, nil
}

// stay keeps the connections of l open for a time, and notices if one does not stay
// so.
func stay(ctx context.Context, l *loop, d time.Duration) error {
	silence := phase{limit: d, stall: d + time.Second, progress: func() uint64 { return 0 }}
	return silence.run(ctx, l)
}

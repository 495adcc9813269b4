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
	t := o.running
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
	a := &arrivals{}
	l, err := newLoop(t.addr, a)
	if err != nil {
		return nil, err
	}
	defer l.close()

	for _, n := range append([]int{0}, o.steps...) {
		if err := a.grow(ctx, l, n, patience); err != nil {
			return nil, err
		}
		if err := stay(ctx, l, o.settle); err != nil {
			return nil, err
		}
		size, err := t.rss()
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(log, "%s: %d connections, %.1f MiB\n", r.name, n, mebi(size))
		sizes = append(sizes, size)
	}
	return sizes, nil
}

// stay keeps the connections of l open for a time, and notices if one does not stay
// so.
func stay(ctx context.Context, l *loop, d time.Duration) error {
	silence := phase{limit: d, stall: d + time.Second, progress: func() uint64 { return 0 }}
	return silence.run(ctx, l)
}

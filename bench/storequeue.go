package bench

import (
	"context"
	"fmt"
	"time"
)

const (
	storePayload    = 100
	storePublishers = 10
	storeWindow     = 100
)

// storeQueue fills the queue of one absent Session with n messages and drains it.
func storeQueue(ctx context.Context, s *storeRun) error {
	const id, topic = "parked", "bench/queue"
	if err := s.start(ctx); err != nil {
		return err
	}
	one := func(int) (string, string) { return id, topic }
	if _, err := park(ctx, s.process.target, 1, one, s.patience, nil); err != nil {
		return s.explain(err)
	}
	before, _, err := s.memory(ctx, "before")
	if err != nil {
		return err
	}
	if err := s.watchPeak(); err != nil {
		return err
	}
	spec := feedSpec{
		publishers: storePublishers, window: storeWindow, payload: storePayload, total: uint64(s.n),
		topic: func(dst []byte, _ int, _ uint64) []byte { return append(dst, topic...) },
	}
	if err := s.fill(ctx, spec); err != nil {
		return s.explain(err)
	}
	most, err := s.peak("while it was filled")
	if err != nil {
		return err
	}
	filled, _, err := s.memory(ctx, "with the queue filled")
	if err != nil {
		return err
	}
	s.figure("growth", "%.1f MiB at the peak, %.1f MiB at rest", mebi(most-before), mebi(filled-before))
	s.figure("on disk", "%.1f MiB", mebi(sizeOf(s.process.dir)))

	if err := s.watchPeak(); err != nil {
		return err
	}
	x := newCollection(1, storePublishers, uint64(s.n))
	if err := s.collect(ctx, x, &client{id: id, durable: true}); err != nil {
		return s.explain(err)
	}
	if most, err = s.peak("while it was drained"); err != nil {
		return err
	}
	s.figure("growth while it was drained", "%.1f MiB", mebi(most-before))
	if _, _, err := s.memory(ctx, "after"); err != nil {
		return err
	}
	return x.verdict()
}

// collect has one client take everything, and prints how that went.
func (s *storeRun) collect(ctx context.Context, x *collection, c *client) error {
	l, err := newLoop(s.process.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	from, err := s.process.read(l)
	if err != nil {
		return err
	}
	if err := x.collect(ctx, l, []*client{c}, s.patience); err != nil {
		return err
	}
	to, err := s.process.read(l)
	if err != nil {
		return err
	}
	if err := x.linger(ctx, l, lingering); err != nil {
		return err
	}
	x.close()
	var o outcome
	o.cost(from, to, x.received, x.received)
	took := x.last - from.at
	s.figure("received and acknowledged", "%d of %d, %.0f /s, CPU %s µs each, in %.2f s; faults: %s", x.received, x.expected,
		float64(x.received)/max(took, time.Nanosecond).Seconds(), number(o.serverCPU), took.Seconds(), x.faults)
	return nil
}

// verdict is an error if anything was lost, doubled or strange.
func (x *collection) verdict() error {
	switch {
	case x.absent > 0:
		return errGone
	case x.faults.any():
		return fmt.Errorf("there were faults: %s", x.faults)
	}
	return nil
}

package bench

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"runtime"
	"strconv"
	"time"
)

// bystanders are the pair of clients that go on talking while others are served.
func bystanders() []groupSpec {
	return pairsFleet(&sizes{publishers: 1, subscribers: 1, payload: payloadSize, window: defaultWindowOpen, rate: 500, arrivals: "uniform"})
}

// storeRetained fills the retained store with n messages, restarts the broker, and
// has one subscriber to "#" take them all while two other clients talk.
func storeRetained(ctx context.Context, s *storeRun) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	empty, _, err := s.memory(ctx, "empty")
	if err != nil {
		return err
	}
	spec := feedSpec{
		publishers: storePublishers, window: storeWindow, payload: storePayload, total: uint64(s.n), retain: true,
		topic: retainedTopic,
	}
	if err := s.fill(ctx, spec); err != nil {
		return s.explain(err)
	}
	began, err := s.restart()
	if err != nil {
		return err
	}
	if _, err := s.answered(ctx, "anybody", false); err != nil {
		return s.explain(err)
	}
	s.figure("exec to the first CONNACK", "%.3f s", time.Since(began).Seconds())
	if used, err := processCPU(s.process.pid); err == nil {
		s.figure("processor time until then", "%.2f s", used.Seconds())
	}
	if _, err := s.peak("since exec"); err != nil {
		return err
	}
	loaded, _, err := s.memory(ctx, "after the restart")
	if err != nil {
		return err
	}
	s.figure("growth", "%.1f MiB, %.0f B for each message", mebi(loaded-empty), float64(loaded-empty)/float64(s.n))

	pair, err := s.meet(ctx)
	if err != nil {
		return s.explain(err)
	}
	defer pair.end()
	if err := s.replay(ctx, pair, loaded); err != nil {
		return s.explain(err)
	}
	return pair.verdict()
}

func retainedTopic(dst []byte, publisher int, seq uint64) []byte {
	dst = append(dst, "bench/retained/"...)
	dst = strconv.AppendInt(dst, int64(publisher), 10)
	dst = append(dst, '/')
	return strconv.AppendUint(dst, seq, 10)
}

// replay measures the bystanders alone, and then beside the replay.
func (s *storeRun) replay(ctx context.Context, pair *conversation, loaded int64) error {
	before, err := pair.listen(func() error { return s.rest(ctx) })
	if err != nil {
		return err
	}
	s.latency("bystanders alone", before)
	if err := s.watchPeak(); err != nil {
		return err
	}
	x := newCollection(1, storePublishers, uint64(s.n))
	x.unordered = true
	var topic []byte
	x.belongs = func(_ int, retain bool, got []byte, publisher int, seq uint64) bool {
		topic = retainedTopic(topic[:0], publisher, seq)
		return retain && bytes.Equal(got, topic)
	}
	during, err := pair.listen(func() error {
		return s.collect(ctx, x, &client{id: "everything", filter: "#", qos: 1})
	})
	if err != nil {
		return err
	}
	s.latency("bystanders during the replay", during)
	most, err := s.peak("during the replay")
	if err != nil {
		return err
	}
	s.figure("growth during the replay", "%.1f MiB", mebi(most-loaded))
	return x.verdict()
}

func (s *storeRun) latency(who string, h histogram) {
	s.figure(who, "%d messages, QoS 0, p50 %.0f µs, p99 %.0f µs, longest %.0f µs", h.total(),
		micros(h.quantile(0.5)), micros(h.quantile(0.99)), micros(h.quantile(1)))
}

// conversation is a fleet by the clock on a thread of its own, so that what its
// messages wait for is the broker, and the machine, and not another load's books.
type conversation struct {
	fleet    *fleet
	patience time.Duration
	asks     chan chan histogram
	quit     chan struct{}
	joined   chan struct{}
	err      error // after joined
}

// meet starts the bystanders. end must be called.
func (s *storeRun) meet(ctx context.Context) (*conversation, error) {
	x, l, err := assemble(ctx, s.process.target, bystanders(), "bystanders", s.patience)
	if err != nil {
		return nil, fmt.Errorf("bystanders: %w", err)
	}
	c := &conversation{
		fleet: x, patience: s.patience,
		asks: make(chan chan histogram), quit: make(chan struct{}), joined: make(chan struct{}),
	}
	go c.run(ctx, l)
	return c, nil
}

// run talks until it is told to stop.
func (c *conversation) run(ctx context.Context, l *loop) {
	defer close(c.joined)
	defer l.close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	over := false
	c.fleet.start(1, math.MaxInt64)
	talk := phase{
		limit: storeLimit, stall: c.patience, progress: c.fleet.progress, pace: c.fleet.pace,
		done: func() bool {
			select {
			case answer := <-c.asks:
				answer <- c.fleet.take()
			case <-c.quit:
				over = true
			default:
			}
			return over
		},
	}
	if c.err = talk.run(ctx, l); c.err == nil {
		c.err = c.fleet.finish(ctx, c.patience)
	}
}

// take returns the latencies since the last take.
func (c *conversation) take() (h histogram, err error) {
	answer := make(chan histogram)
	select {
	case c.asks <- answer:
		return <-answer, nil
	case <-c.joined:
		return h, fmt.Errorf("bystanders: %w", c.err)
	}
}

// listen returns the latencies while f runs.
func (c *conversation) listen(f func() error) (h histogram, err error) {
	if _, err := c.take(); err != nil {
		return h, err
	}
	if err := f(); err != nil {
		return h, err
	}
	return c.take()
}

// end stops the bystanders. It may be called again.
func (c *conversation) end() {
	select {
	case <-c.quit:
	default:
		close(c.quit)
	}
	<-c.joined
}

// verdict ends the bystanders and is an error if they missed anything.
func (c *conversation) verdict() error {
	c.end()
	if c.err != nil {
		return fmt.Errorf("bystanders: %w", c.err)
	}
	if c.fleet.faults.any() {
		return fmt.Errorf("bystanders: %s", c.fleet.faults)
	}
	return nil
}

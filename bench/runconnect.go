package bench

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// crowd is the scenario in which clients connect, subscribe to a topic each if they have
// one, and stay. When they are put out, they may come back.
type crowd struct {
	loop      *loop
	root      string // of the topics; empty: they do not subscribe
	keepAlive uint16
	returning bool // who is put out connects again

	wanted, present int
	lostCount       int
	returned        int // who got in again
	firstLost       time.Duration
	away            []*client // wait for their next try
	retried         time.Duration
	latency         histogram // from connecting to CONNACK, or SUBACK
}

// retryEvery is how long a client that could not connect waits before it tries again.
const retryEvery = 20 * time.Millisecond

// grow adds clients up to n.
func (x *crowd) grow(l *loop, n int) {
	x.loop = l
	for ; x.wanted < n; x.wanted++ {
		c := &client{id: fmt.Sprintf("idle-%d", x.wanted), index: x.wanted, keepAlive: x.keepAlive}
		if x.root != "" {
			c.filter = fmt.Sprintf("%s/idle/%d", x.root, x.wanted)
		}
		l.open(c)
	}
}

func (x *crowd) ready(c *client) error {
	x.present++
	if x.returning {
		x.returned++
	}
	x.latency.record(x.loop.now - c.began)
	return nil
}

func (x *crowd) packet(_ *client, f codec.Frame) error {
	if f.Type == codec.TypePingresp {
		return nil
	}
	return fmt.Errorf("unexpected %s", f.Type)
}

func (x *crowd) fill(*client)        {}
func (x *crowd) ended(*client) error { return nil }

func (x *crowd) lost(c *client, err error) error {
	if !x.returning {
		return c.failure(err)
	}
	if c.state == stateReady {
		if x.lostCount == 0 {
			x.firstLost = x.loop.now
		}
		x.present--
		x.lostCount++
	}
	x.away = append(x.away, c)
	return nil
}

// pace has those who are away try again now and then.
func (x *crowd) pace() time.Duration {
	if len(x.away) == 0 {
		return turnLimit
	}
	if now := x.loop.clock(); now-x.retried < retryEvery {
		return x.retried + retryEvery - now
	}
	x.retried = x.loop.now
	for _, c := range x.away {
		x.loop.reopen(c)
	}
	x.away = x.away[:0]
	return retryEvery
}

func (x *crowd) ping(second int) {
	for i, c := range x.loop.clients {
		if half := int(c.keepAlive) / 2; c.keepAlive > 0 && c.state == stateReady && (second+i)%max(1, half) == 0 {
			c.out = codec.AppendPingreq(c.out)
			x.loop.touch(c)
		}
	}
}

// leave has all clients go.
func (x *crowd) leave(r *runner, l *loop) {
	x.returning = false
	for _, c := range l.clients {
		if c.state == stateReady && c.fd >= 0 {
			c.leave(l)
		}
	}
	gone := func() bool {
		for _, c := range l.clients {
			if c.state == stateLeaving && c.fd >= 0 {
				return false
			}
		}
		return true
	}
	left := phase{limit: r.o.patience, stall: r.o.patience, done: gone, progress: func() uint64 { return uint64(l.now) }}
	_ = left.run(context.Background(), l) // a broker that does not close is none of the load's concern
}

// arrive returns the stage in which the clients up to n connect.
func (x *crowd) arrive(r *runner, name string, n int) *stage {
	return &stage{
		name: name, unit: unitConnection,
		phase: phase{
			limit: r.connectLimit(n), stall: r.o.patience,
			done:     func() bool { return x.present == n },
			progress: func() uint64 { return uint64(x.present) }, pace: x.pace,
		},
		done: func() uint64 { return uint64(x.present) }, sweep: x.ping,
		latency: []latencySource{{of: "connect to ready", h: &x.latency}},
	}
}

// stay returns the stage in which nothing happens.
func (x *crowd) stay(name string, d time.Duration) *stage {
	return &stage{
		name: name, unit: unitConnection,
		phase: phase{limit: d, stall: d + time.Minute, progress: func() uint64 { return 0 }, pace: x.pace},
		done:  func() uint64 { return 0 }, sweep: x.ping,
	}
}

// runCrowd connects clients up to each of steps, and stays for a time after each. The
// memory of a step is that after its silence.
func runCrowd(ctx context.Context, r *runner, x *crowd, steps []int, settle time.Duration) error {
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	x.loop = l
	had := 0
	for _, n := range steps {
		r.drifted = true // they are together, but the sum is needed
		all, err := r.meet(ctx, l, n, x.pace, x.ping)
		if err != nil {
			return err
		}
		rss := r.rss()
		x.grow(l, n)
		name := "connect"
		if len(steps) > 1 {
			name = fmt.Sprintf("to %d", all)
		}
		if err := r.do(ctx, l, x.arrive(r, name, n)); err != nil {
			return err
		}
		if _, err := r.meet(ctx, l, x.present, x.pace, x.ping); err != nil {
			return err
		}
		if err := r.do(ctx, l, x.stay(fmt.Sprintf("%d idle", all), settle)); err != nil {
			return err
		}
		if rss > 0 {
			r.result.note("from %d to %d connections: %s.", had, all, growth(r.rss()-rss, all-had))
		}
		had = all
	}
	x.leave(r, l)
	return nil
}

// growth says what n connections have added to the memory of the broker.
func growth(bytes int64, n int) string {
	if bytes < 0 {
		return fmt.Sprintf("the broker gave %.1f MiB of memory back meanwhile, so that one must have just started to say what a connection takes", mebi(-bytes))
	}
	return fmt.Sprintf("%.0f bytes of the broker's memory for each", float64(bytes)/float64(n))
}

// rss returns the resident memory of the broker, 0 if it is not known.
func (r *runner) rss() int64 {
	n, err := r.target.rss()
	if err != nil {
		return 0
	}
	return n
}

// runReconnect connects clients, waits until a restart of the broker puts them out, and
// measures how long it takes until all are back.
func runReconnect(ctx context.Context, r *runner, n int) (err error) {
	x := &crowd{root: r.o.prefix}
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	if _, err := r.meet(ctx, l, 0, nil, nil); err != nil {
		return err
	}
	x.grow(l, n)
	if err := r.do(ctx, l, x.arrive(r, "connect", n)); err != nil {
		return err
	}
	x.returning = true
	if _, err := r.meet(ctx, l, x.present, x.pace, x.ping); err != nil {
		return err
	}
	r.target.pid = 0 // it will be another process
	restarted, err := r.restart()
	if err != nil {
		return err
	}
	defer func() {
		if failed := <-restarted; failed != nil {
			err = errors.Join(err, fmt.Errorf("restart: %w", failed))
		}
	}()
	wait := &stage{
		name: "wait for the restart", unit: unitConnection,
		phase: phase{
			limit: r.o.restartLimit, stall: r.o.restartLimit + time.Minute, done: func() bool { return x.lostCount > 0 },
			progress: func() uint64 { return 0 }, pace: x.pace,
		},
		done: func() uint64 { return 0 },
	}
	if err := r.do(ctx, l, wait); err != nil {
		return err
	}
	x.latency.reset()
	back := x.arrive(r, "back", n)
	x.returned = 0
	// Some may not have noticed yet that they are to be put out. All have when as many
	// were lost as there are.
	back.phase.limit = r.o.restartLimit
	back.phase.stall = r.o.restartLimit
	back.done = func() uint64 { return uint64(x.returned) }
	back.phase.progress = func() uint64 { return uint64(x.returned + x.lostCount) }
	back.phase.done = func() bool { return x.present == n && x.lostCount >= n }
	if err := r.do(ctx, l, back); err != nil {
		return err
	}
	r.result.note("from the first connection lost to the last one back: %.3f s.", (l.now - x.firstLost).Seconds())
	x.leave(r, l)
	return nil
}

// restart begins the restart of the broker, or asks for one. The channel has the end of
// it, once.
func (r *runner) restart() (<-chan error, error) {
	ended := make(chan error, 1)
	if r.part != nil { // the coordinator does it, when one of all asks for it
		if r.o.share.part == 0 {
			r.part.post(&message{Type: messageRestart})
		}
		ended <- nil
		return ended, nil
	}
	if again := r.target.restart; again != nil {
		go func() { ended <- again() }()
		return ended, nil
	}
	if r.o.restart == "" {
		r.line.say("Restart the broker now.")
		ended <- nil
		return ended, nil
	}
	cmd := exec.Command("/bin/sh", "-c", r.o.restart)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("restart: %w", err)
	}
	go func() { ended <- cmd.Wait() }()
	return ended, nil
}

// runChurn has clients come and go.
func runChurn(ctx context.Context, r *runner, places int) error {
	x := newChurn(places)
	x.root = r.o.prefix
	l, err := newLoop(r.target, x)
	if err != nil {
		return err
	}
	defer l.close()
	defer func() { r.book(x.faults) }()
	if _, err := r.meet(ctx, l, 0, nil, nil); err != nil {
		return err
	}
	x.open(l)
	s := &stage{
		name: "warm", unit: unitCycle, unheard: true,
		phase:   phase{limit: r.o.warm, stall: r.o.patience, progress: func() uint64 { return x.cycles }},
		done:    func() uint64 { return x.cycles },
		faults:  func() faults { return x.faults },
		latency: []latencySource{{of: "whole cycle", h: &x.latency}},
	}
	if err = r.do(ctx, l, s); err == nil {
		s.name, s.unheard, s.phase.limit = "churn", false, r.o.length
		err = r.do(ctx, l, s)
	}
	if err != nil && !errors.Is(err, errInterrupted) {
		return err
	}
	x.closing = true
	drain := phase{limit: setupLimit, stall: r.o.patience, done: func() bool { return x.present == 0 }, progress: s.phase.progress}
	if failed := drain.run(context.Background(), l); failed != nil {
		return fmt.Errorf("%d clients do not get through their cycle: %w", x.present, failed)
	}
	return err
}

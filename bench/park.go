package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// parkPlaces is how many clients of a parking are on their way at the same time.
const parkPlaces = 256

// parking is the scenario in which clients make durable Sessions with a subscription
// each and leave: CONNECT and SUBSCRIBE in one write, DISCONNECT after SUBACK, and
// the next client once the broker has closed.
type parking struct {
	loop   *loop
	total  int
	next   int // who comes next
	parked int
	name   func(i int) (id, filter string)
}

// park makes n Sessions, which must not exist, and returns how long that took.
// progress is told every second; it may be nil.
func park(ctx context.Context, t target, n int, name func(i int) (id, filter string), patience time.Duration, progress func(parked int)) (time.Duration, error) {
	x := &parking{total: n, name: name}
	l, err := newLoop(t, x)
	if err != nil {
		return 0, err
	}
	defer l.close()
	x.loop = l
	for range min(n, parkPlaces) {
		c := &client{qos: codec.QoS1, durable: true}
		x.take(c)
		l.open(c)
	}
	told, started := l.clock(), l.clock()
	p := phase{
		limit: storeLimit, stall: patience,
		done: func() bool {
			if progress != nil && l.now-told >= time.Second {
				told = l.now
				progress(x.parked)
			}
			return x.parked == n
		},
		progress: func() uint64 { return uint64(x.parked) },
	}
	if err := p.run(ctx, l); err != nil {
		return 0, fmt.Errorf("%d of %d sessions made: %w", x.parked, n, err)
	}
	return l.clock() - started, nil
}

// take makes c the next client.
func (x *parking) take(c *client) {
	c.index = x.next
	c.id, c.filter = x.name(x.next)
	x.next++
}

func (x *parking) ready(c *client) error {
	if c.present {
		return errors.New("the broker has a session that was never made")
	}
	c.leave(x.loop)
	return nil
}

func (x *parking) packet(_ *client, f codec.Frame) error { return fmt.Errorf("unexpected %s", f.Type) }
func (x *parking) fill(*client)                          {}

func (x *parking) ended(c *client) error {
	x.parked++
	if x.next < x.total {
		x.take(c)
		x.loop.reopen(c)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// arrivals are clients that come by the clock: each connects, subscribes to the topic
// PREFIX/idle/N with QoS 0, and stays until all are there.
type arrivals struct {
	address string
	pid     int // of the broker; 0: unknown
	prefix  string
	clients int
	rate    float64
}

// run has the clients come. They leave when it returns.
func (a *arrivals) run(ctx context.Context) (*result, error) {
	now := clock{time.Now()}
	connections := make([]*connection, a.clients)
	failures := make([]error, a.clients)
	took := make([]time.Duration, a.clients)
	from, err := read(now, a.pid)
	if err != nil {
		return nil, err
	}
	r := &result{}
	var coming sync.WaitGroup
	start := now.now()
	for k := 0; k < a.clients && ctx.Err() == nil; k++ {
		due := start + dueAfter(k, a.rate)
		now.sleepUntil(due)
		r.Sent++
		coming.Go(func() {
			connections[k], failures[k] = a.come(now, k)
			took[k] = now.now() - due
		})
	}
	coming.Wait()
	defer leaveAll(connections)
	to, err := read(now, a.pid)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for k, err := range failures {
		if err != nil {
			return nil, fmt.Errorf("%d of %d: %w", k, a.clients, err)
		}
		r.Received++
	}
	r.SentInTime, r.DoneInTime = r.Sent, r.Received
	r.costs(from, to, r.Received)
	r.Latency = spreadOf(took)
	return r, nil
}

func (a *arrivals) come(now clock, k int) (*connection, error) {
	c, err := connect(now, a.address, fmt.Sprintf("%s-idle-%d", a.prefix, k), role{})
	if err != nil {
		return nil, err
	}
	return c, c.subscribe(fmt.Sprintf("%s/idle/%d", a.prefix, k), 0)
}

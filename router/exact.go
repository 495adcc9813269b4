package router

import (
	"sync"
	"sync/atomic"
)

// epochStripes is how many epochs an exact shard has. Subscribing one filter
// makes cached answers stale for 1/epochStripes of the shard's topics only,
// though the shard has one lock.
const epochStripes = 64

// exactShard indexes the filters without a wildcard whose hash falls to it.
type exactShard[S comparable] struct {
	mu      sync.RWMutex
	filters table[string, entry[S]]
	counts  counts

	// population is the number of filters, so that a match passes an empty
	// shard without its lock. It is raised before the epoch is, see Cache.
	population atomic.Int64
	epochs     [epochStripes]atomic.Uint64
}

// epoch returns the epoch that covers the topic with this hash. The low bits of
// the hash have chosen the shard.
func (x *exactShard[S]) epoch(hash uint64) *atomic.Uint64 {
	return &x.epochs[hash>>32%epochStripes]
}

func (x *exactShard[S]) subscribe(hash uint64, group, filter string, s S, o Options) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.filters.m[filter]
	after := before
	c := after.subscribe(group, filter, s, o)
	if after != before {
		x.filters.put(filter, after)
	}
	x.counts.subscribed(group, c)
	x.publish(hash, c)
	return c.existed
}

func (x *exactShard[S]) unsubscribe(hash uint64, group, filter string, s S) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before := x.filters.m[filter]
	after := before
	c := after.unsubscribe(group, s)
	switch {
	case after == before:
	case after.empty():
		x.filters.remove(filter)
	default:
		x.filters.put(filter, after)
	}
	x.counts.unsubscribed(group, c)
	x.publish(hash, c)
	return c.existed
}

// publish lets readers that hold no lock know of a change, under the lock.
func (x *exactShard[S]) publish(hash uint64, c change) {
	if !c.visible {
		return
	}
	x.population.Store(int64(len(x.filters.m)))
	x.epoch(hash).Add(1)
}

func (x *exactShard[S]) match(topic []byte, m *Matches[S]) {
	if x.population.Load() == 0 {
		return
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	if e, ok := x.filters.m[string(topic)]; ok {
		e.appendTo(m)
	}
}

func (x *exactShard[S]) group(name, filter string) *Group[S] {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := x.filters.m[filter]
	return e.group(name)
}

func (x *exactShard[S]) addTo(s *Stats) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.counts.addTo(s)
	s.ExactFilters += len(x.filters.m)
}

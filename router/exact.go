package router

import (
	"sync"
	"sync/atomic"

	"github.com/gannetmq/gannet/router/lookup"
)

// epochStripes is how many epochs an exact shard has. Subscribing one filter
// makes cached answers stale for 1/epochStripes of the shard's topics only,
// though the shard has one lock.
const epochStripes = 64

// exactShard indexes the filters without a wildcard whose hash falls to it. A filter
// is in one of two tables: in singles with its only ordinary subscription, by far the
// most frequent case, or in crowds.
type exactShard[S comparable] struct {
	mu      sync.RWMutex
	singles lookup.Table[filterSingle[S]]
	crowds  lookup.Table[filterCrowd[S]]
	counts  counts

	// population is the number of filters, so that a match passes an empty
	// shard without its lock. It is raised before the epoch is, see Cache.
	population atomic.Int64
	epochs     [epochStripes]atomic.Uint64
}

type filterSingle[S comparable] struct {
	filter string
	single single[S]
}

type filterCrowd[S comparable] struct {
	filter string
	crowd  *crowd[S]
}

// epoch returns the epoch that covers the topic with this hash. The low bits of
// the hash have chosen the shard.
func (x *exactShard[S]) epoch(hash uint64) *atomic.Uint64 {
	return &x.epochs[hash>>32%epochStripes]
}

func (x *exactShard[S]) subscribe(hash uint64, group, filter string, s S, o Options) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, at := x.find(hash, filter)
	after := before
	c := after.subscribe(group, filter, s, o)
	x.replace(hash, filter, at, before, after)
	x.counts.subscribed(group, c)
	x.publish(hash, c)
	return c.existed
}

func (x *exactShard[S]) unsubscribe(hash uint64, group, filter string, s S) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	before, at := x.find(hash, filter)
	after := before
	c := after.unsubscribe(group, s)
	x.replace(hash, filter, at, before, after)
	x.counts.unsubscribed(group, c)
	x.publish(hash, c)
	return c.existed
}

// find returns the entry of a filter, empty if there is none, and its place in the
// table that it is in.
func (x *exactShard[S]) find(hash uint64, filter string) (e entry[S], at int) {
	for i := x.singles.First(hash); i >= 0; i = x.singles.Next(i) {
		if f := x.singles.At(i); f.filter == filter {
			return entry[S]{single: f.single}, i
		}
	}
	for i := x.crowds.First(hash); i >= 0; i = x.crowds.Next(i) {
		if f := x.crowds.At(i); f.filter == filter {
			return entry[S]{crowd: f.crowd}, i
		}
	}
	return entry[S]{}, -1
}

// replace puts the entry of a filter in the table where it belongs now. before and at
// are what find returned.
func (x *exactShard[S]) replace(hash uint64, filter string, at int, before, after entry[S]) {
	if after == before {
		return
	}
	if before.single.present() && after.single.present() {
		x.singles.At(at).single = after.single
		return
	}
	switch { // a crowd that stays one is the same, so it changes its table here
	case before.crowd != nil:
		x.crowds.Remove(at)
	case !before.empty():
		x.singles.Remove(at)
	}
	switch {
	case after.crowd != nil:
		x.crowds.Insert(hash, filterCrowd[S]{filter, after.crowd})
	case !after.empty():
		x.singles.Insert(hash, filterSingle[S]{filter, after.single})
	}
}

func (x *exactShard[S]) len() int { return x.singles.Len() + x.crowds.Len() }

// publish lets readers that hold no lock know of a change, under the lock.
func (x *exactShard[S]) publish(hash uint64, c change) {
	if !c.visible {
		return
	}
	x.population.Store(int64(x.len()))
	x.epoch(hash).Add(1)
}

func (x *exactShard[S]) match(hash uint64, topic []byte, m *Matches[S]) {
	if x.population.Load() == 0 {
		return
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i := x.singles.First(hash); i >= 0; i = x.singles.Next(i) {
		if f := x.singles.At(i); f.filter == string(topic) {
			e := entry[S]{single: f.single}
			e.appendTo(m)
			return
		}
	}
	for i := x.crowds.First(hash); i >= 0; i = x.crowds.Next(i) {
		if f := x.crowds.At(i); f.filter == string(topic) {
			e := entry[S]{crowd: f.crowd}
			e.appendTo(m)
			return
		}
	}
}

func (x *exactShard[S]) group(hash uint64, name, filter string) *Group[S] {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e, _ := x.find(hash, filter)
	return e.group(name)
}

func (x *exactShard[S]) addTo(s *Stats) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.counts.addTo(s)
	s.ExactFilters += x.len()
}

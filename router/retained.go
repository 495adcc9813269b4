package router

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// DefaultRetainedShards is how many locks a Retained spreads its topics over.
const DefaultRetainedShards = 32

// Retained maps each Topic Name to one value, its retained message
// [MQTT-3.3.1-5], and finds the values whose topic matches a filter, see Cursor.
// Safe for concurrent use.
//
// Topics are spread over shards by their hash and ordered bytewise within one.
// A filter with a wildcard therefore visits every shard, and seeks in each only
// to the topics that can match.
type Retained[V any] struct {
	seed   maphash.Seed
	mask   uint64
	shards []retainedShard[V]
	count  atomic.Int64
}

type retainedShard[V any] struct {
	mu   sync.RWMutex
	tree btree[V]
}

// NewRetained returns an empty index with this many shards, rounded up to a
// power of two; 0 means DefaultRetainedShards.
func NewRetained[V any](shards int) *Retained[V] {
	n := powerOfTwo(orDefault(shards, DefaultRetainedShards))
	return &Retained[V]{
		seed:   maphash.MakeSeed(),
		mask:   uint64(n - 1),
		shards: make([]retainedShard[V], n),
	}
}

// Set stores v for topic, a valid Topic Name, and returns what was there. The
// string topic is kept if the topic is new.
func (r *Retained[V]) Set(topic string, v V) (old V, existed bool) {
	shard := &r.shards[maphash.String(r.seed, topic)&r.mask]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	old, existed = shard.tree.set(topic, v)
	if !existed {
		r.count.Add(1)
	}
	return old, existed
}

// Get returns the value of topic.
func (r *Retained[V]) Get(topic []byte) (v V, ok bool) {
	shard := r.shardOf(topic)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	if p := shard.tree.get(topic); p != nil {
		return *p, true
	}
	return v, false
}

// Delete removes the value of topic and returns it.
func (r *Retained[V]) Delete(topic []byte) (old V, existed bool) {
	shard := r.shardOf(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return r.remove(shard, topic)
}

// DeleteIf removes the value of topic if there is one and condition says so, and
// reports whether it did. No change of the topic comes between the two:
// condition is called under a lock, must be quick and must not use r.
func (r *Retained[V]) DeleteIf(topic []byte, condition func(V) bool) bool {
	shard := r.shardOf(topic)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	p := shard.tree.get(topic)
	if p == nil || !condition(*p) {
		return false
	}
	_, existed := r.remove(shard, topic)
	return existed
}

// Len returns the number of topics.
func (r *Retained[V]) Len() int { return int(r.count.Load()) }

func (r *Retained[V]) remove(shard *retainedShard[V], topic []byte) (old V, existed bool) {
	old, existed = shard.tree.remove(topic)
	if existed {
		r.count.Add(-1)
	}
	return old, existed
}

func (r *Retained[V]) shardOf(topic []byte) *retainedShard[V] {
	return &r.shards[maphash.Bytes(r.seed, topic)&r.mask]
}

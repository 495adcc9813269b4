package router

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"strings"
)

// How subscriptions are spread.
//
// A filter without a wildcard can only match the topic that equals it, so it
// goes to a hash index, in the shard that its hash names. Filters with a
// wildcard go to trees, and the literal levels at their front say which one:
//
//	a/b/+/c   a/b/#   two literal levels:  the shard of hash("a/b")
//	a/+/c     a/#     one literal level:   the shard of hash("a")
//	+/b       #       none:                the front shard
//
// A topic can therefore be matched from one exact shard and at most three tree
// shards, and most of those are empty and passed without a lock. A topic that
// begins with '$' never visits the front shard, which is the whole rule of
// [MQTT-4.7.2-1]: all filters that begin with a wildcard are there, and no other.
//
// A tree alone would be simpler, but costs four times the memory for what most
// subscriptions of a large Server are: one filter, unique to one Client.

// Default bounds of a Router.
const (
	DefaultMaxLevels = 128
	DefaultMaxLength = 65535 // the longest string MQTT can carry [MQTT-4.7.3-3]
	DefaultShards    = 64
)

// Errors of Subscribe.
var (
	ErrTooManyLevels = errors.New("topic filter: too many levels")
	ErrTooLong       = errors.New("topic filter: too long")
)

// Config bounds a Router. The zero value means the defaults.
type Config struct {
	MaxLevels int // levels of a filter or topic, default DefaultMaxLevels
	MaxLength int // bytes of a filter or topic, default DefaultMaxLength
	Shards    int // of the exact index and of the trees each; rounded up to a power of two, default DefaultShards
}

// Router is an index of subscriptions by Topic Filter. S names a subscriber and
// is best a pointer. Safe for concurrent use; Match takes read locks only, one
// at a time. Once Subscribe or Unsubscribe has returned, every later Match in
// any goroutine sees it.
type Router[S comparable] struct {
	maxLevels, maxLength int

	seed  maphash.Seed
	mask  uint64
	exact []exactShard[S]
	trees []treeShard[S]
	front treeShard[S] // filters that begin with a wildcard
}

// New returns an empty Router.
func New[S comparable](cfg Config) *Router[S] {
	shards := powerOfTwo(orDefault(cfg.Shards, DefaultShards))
	return &Router[S]{
		maxLevels: orDefault(cfg.MaxLevels, DefaultMaxLevels),
		maxLength: orDefault(cfg.MaxLength, DefaultMaxLength),
		seed:      maphash.MakeSeed(),
		mask:      uint64(shards - 1),
		exact:     make([]exactShard[S], shards),
		trees:     make([]treeShard[S], shards),
	}
}

// Reserve makes room for so many different filters without a wildcard in a Router that is still empty, so that its tables need
// not grow step by step. Not safe for concurrent use.
func (r *Router[S]) Reserve(filters int) {
	for i := range r.exact {
		r.exact[i].singles.Reserve(filters / len(r.exact))
	}
}

// Subscribe adds the subscription of s to filter, or replaces its options if
// there is one [MQTT-3.8.4-3]. group is the share name of a shared subscription
// and "" for an ordinary one; the two and any other group are independent.
// filter is a valid Topic Filter without the "$share/name/" part.
//
// The router keeps the strings group and filter as they are, without a copy, so
// neither should be a part of a much larger one. A filter beyond the configured
// bounds is refused with ErrTooLong or ErrTooManyLevels and changes nothing.
func (r *Router[S]) Subscribe(group, filter string, s S, o Options) (existed bool, err error) {
	switch {
	case len(filter) > r.maxLength:
		return false, ErrTooLong
	case strings.Count(filter, "/") >= r.maxLevels:
		return false, ErrTooManyLevels
	case hasWildcard(filter):
		return r.treeOf(filter).subscribe(group, filter, s, o), nil
	}
	shard, hash := r.exactOf(filter)
	return shard.subscribe(hash, group, filter, s, o), nil
}

// Unsubscribe removes the subscription of s to exactly this group and filter
// [MQTT-3.10.4-1]. Nothing of it stays behind in the index.
func (r *Router[S]) Unsubscribe(group, filter string, s S) (existed bool) {
	if hasWildcard(filter) {
		return r.treeOf(filter).unsubscribe(group, filter, s)
	}
	shard, hash := r.exactOf(filter)
	return shard.unsubscribe(hash, group, filter, s)
}

// Group returns the shared subscription of this share name and filter, nil if it
// has no member.
func (r *Router[S]) Group(group, filter string) *Group[S] {
	if hasWildcard(filter) {
		return r.treeOf(filter).group(group, filter)
	}
	shard, hash := r.exactOf(filter)
	return shard.group(hash, group, filter)
}

// Matches is the answer of a match, owned and reused by the caller. The order of
// its elements means nothing.
type Matches[S comparable] struct {
	Subs   []Match[S]  // ordinary subscriptions
	Groups []*Group[S] // shared subscriptions, each once

	// Overlapping tells that more than one filter contributed to Subs, so the
	// same subscriber may be in it several times.
	Overlapping bool
}

// Reset empties m and keeps its memory. References that were in it stay there,
// out of sight, until they are overwritten; Clear drops them.
func (m *Matches[S]) Reset() {
	m.Subs, m.Groups, m.Overlapping = m.Subs[:0], m.Groups[:0], false
}

// Clear empties m, keeps its memory and holds no subscriber or group alive.
func (m *Matches[S]) Clear() {
	clear(m.Subs[:cap(m.Subs)])
	clear(m.Groups[:cap(m.Groups)])
	m.Reset()
}

// Match resets m and fills it with everything subscribed to topic, a valid Topic
// Name which is only read during the call. A topic beyond the configured bounds
// matches nothing. It allocates only to grow m.
func (r *Router[S]) Match(topic []byte, m *Matches[S]) {
	m.Reset()
	r.match(topic, r.route(topic, r.hash(topic)), m)
}

func (r *Router[S]) hash(topic []byte) uint64 { return maphash.Bytes(r.seed, topic) }

// route is where the matches of one topic are.
type route[S comparable] struct {
	hash  uint64 // of the whole topic
	exact *exactShard[S]
	trees [3]*treeShard[S] // each at most once; nil: no such shard
}

func (r *Router[S]) route(topic []byte, hash uint64) route[S] {
	to := route[S]{hash: hash, exact: &r.exact[hash&r.mask]}
	first := levelEnd(topic, 0)
	to.trees[0] = &r.trees[r.hash(topic[:first])&r.mask]
	if first < len(topic) {
		second := levelEnd(topic, first+1)
		tree := &r.trees[r.hash(topic[:second])&r.mask]
		if tree != to.trees[0] {
			to.trees[1] = tree
		}
	}
	if len(topic) == 0 || topic[0] != '$' { // [MQTT-4.7.2-1]
		to.trees[2] = &r.front
	}
	return to
}

// match adds what lies on the route of topic, one shard's lock after the other.
func (r *Router[S]) match(topic []byte, to route[S], m *Matches[S]) {
	if len(topic) > r.maxLength || Levels(topic) > r.maxLevels {
		return
	}
	to.exact.match(to.hash, topic, m)
	for _, tree := range to.trees {
		if tree != nil {
			tree.match(topic, m)
		}
	}
}

func (r *Router[S]) exactOf(filter string) (shard *exactShard[S], hash uint64) {
	hash = maphash.String(r.seed, filter)
	return &r.exact[hash&r.mask], hash
}

// treeOf returns the shard that a filter with a wildcard belongs to.
func (r *Router[S]) treeOf(filter string) *treeShard[S] {
	first := levelEnd(filter, 0)
	if isWildcard(filter[:first]) {
		return &r.front
	}
	prefix := filter[:first]
	if first < len(filter) {
		second := levelEnd(filter, first+1)
		if !isWildcard(filter[first+1 : second]) {
			prefix = filter[:second]
		}
	}
	return &r.trees[maphash.String(r.seed, prefix)&r.mask]
}

func orDefault(n, preset int) int {
	if n <= 0 {
		return preset
	}
	return n
}

// powerOfTwo rounds n >= 1 up.
func powerOfTwo(n int) int { return 1 << bits.Len(uint(n-1)) }

package router

import (
	"bytes"
	"sync/atomic"
)

// Why a cached answer is never wrongly fresh.
//
// Every part of the index that can contribute to a topic has an epoch, a number
// that only grows. A writer changes its shard under the lock, then raises the
// epoch, then releases the lock and returns. A slot remembers the epochs of its
// topic's parts as they were BEFORE it was filled, and counts only while all of
// them are still the same. So if a change came
//
//   - before its epoch was read: then it happened under a lock that the fill
//     takes afterwards, and is in the slot. A shard that was passed for being
//     empty is no exception, since its population is raised before the epoch.
//   - after its epoch was read: then the epoch differs from the remembered one
//     at the next look, whether or not the fill saw the change. The slot may be
//     dropped for nothing; it is never kept wrongly.
//
// A Subscribe that has returned has raised its epoch, so every later Match sees
// it. No writer knows of any cache.
//
// The member lists of groups are not in the slots: a slot holds the *Group, and
// a group's pointer changes only when its last member left, which is an epoch.

// Bounds of a Cache.
const (
	DefaultCacheEntries = 8192

	// cachedTopicMax bounds the bytes of a remembered topic, cachedWidthMax the
	// matches of one answer: wide answers gain little, copying dominates them.
	// cachedMatchesMax bounds the matches of all answers together.
	cachedTopicMax   = 256
	cachedWidthMax   = 1024
	cachedMatchesMax = 64 * 1024

	// passersPerEntry is how many topics a full cache can recognise as seen
	// before, for each one it has room for.
	passersPerEntry = 4
)

// Cache answers matches of recent topics from memory, without a lock and without
// an allocation. Owned by one event loop, not safe for concurrent use; the
// Router behind it may change meanwhile, and a change is seen at the next Match.
//
// It is bounded: at most the given number of topics of at most 256 bytes, 64 Ki
// matches all together, 1024 for one topic; what is beyond goes to the Router
// each time. When room is needed, answers that were not used for a while are
// forgotten. A full cache takes a new topic in only when it is asked for a second
// time, so that a stream of ever new topics neither drives out those that come
// again nor costs more than asking the Router.
//
// A stale answer keeps its subscribers reachable for the garbage collector until
// its slot is used again; the bounds, and one answer that was too wide to keep,
// are all it can hold on to.
type Cache[S comparable] struct {
	router  *Router[S]
	entries int
	index   map[uint64]uint32 // hash of the topic to its place in slots
	slots   []cacheSlot[S]    // at most entries of them
	hand    int               // the slot to be looked at next when room is needed
	kept    int               // sum of the weights of all slots
	passers []uint16          // marks of topics that were not taken in
	bypass  Matches[S]        // the answer being made, and the one not kept
	stats   CacheStats
}

// CacheStats counts the answers of a Cache since it was made.
type CacheStats struct {
	Hits     uint64 // from memory
	Misses   uint64 // from the Router, then kept
	Bypassed uint64 // from the Router, not kept: beyond a bound, or a passer
}

type cacheSlot[S comparable] struct {
	hash    uint64
	stamps  [4]stamp // none in an empty slot, which is never fresh
	topic   []byte   // our copy
	matches Matches[S]
	used    bool // since the hand passed
}

// stamp is an epoch and what it was; one without an epoch, other than the first,
// is always fresh.
type stamp struct {
	epoch *atomic.Uint64
	seen  uint64
}

// NewCache returns an empty Cache for this many topics; 0 means
// DefaultCacheEntries. Memory is taken as topics come.
func (r *Router[S]) NewCache(entries int) *Cache[S] {
	entries = orDefault(entries, DefaultCacheEntries)
	return &Cache[S]{router: r, entries: entries, index: make(map[uint64]uint32)}
}

// Match returns everything subscribed to topic, just as Router.Match does. The
// answer is valid until the next call and must not be modified.
func (c *Cache[S]) Match(topic []byte) *Matches[S] {
	hash := c.router.hash(topic)
	place, known := c.index[hash]
	if known {
		slot := &c.slots[place]
		if slot.fresh() && bytes.Equal(slot.topic, topic) {
			slot.used = true
			c.stats.Hits++
			return &slot.matches
		}
	}
	to := c.router.route(topic, hash)
	stamps := stampsOf(to) // before the match: see the top of this file
	answer := &c.bypass
	answer.Reset()
	c.router.match(topic, to, answer)
	width := len(answer.Subs) + len(answer.Groups)
	if len(topic) > cachedTopicMax || width > cachedWidthMax || !known && !c.admit(hash, width) {
		c.stats.Bypassed++
		return answer
	}
	c.stats.Misses++
	if !known {
		place = c.vacate()
	}
	return c.keep(place, topic, hash, stamps, answer)
}

// Stats returns the counters.
func (c *Cache[S]) Stats() CacheStats { return c.stats }

// admit reports whether a topic may have a slot: every topic while no other has
// to make room for it, and later those that passed before.
func (c *Cache[S]) admit(hash uint64, width int) bool {
	if len(c.slots) < c.entries && c.kept+width <= cachedMatchesMax {
		return true
	}
	if c.passers == nil {
		c.passers = make([]uint16, powerOfTwo(c.entries*passersPerEntry))
	}
	passer, mark := &c.passers[hash&uint64(len(c.passers)-1)], uint16(hash>>48)
	seen := *passer == mark
	*passer = mark
	return seen
}

// vacate returns the place of a slot that is free to be overwritten: a new one as
// long as the bound allows, else one that is stale or was not used since the hand
// passed it. That ends, as the hand takes the mark off whom it spares.
func (c *Cache[S]) vacate() uint32 {
	if len(c.slots) < c.entries {
		c.slots = append(c.slots, cacheSlot[S]{})
		return uint32(len(c.slots) - 1)
	}
	for {
		place := c.advance()
		slot := &c.slots[place]
		if !slot.used || !slot.fresh() {
			c.unlink(place)
			return place
		}
		slot.used = false
	}
}

// keep stores a copy of answer at place and makes other slots forget theirs until
// the matches kept are within the bound.
func (c *Cache[S]) keep(place uint32, topic []byte, hash uint64, stamps [4]stamp, answer *Matches[S]) *Matches[S] {
	slot := &c.slots[place]
	c.kept -= weight(&slot.matches)
	slot.store(answer)
	c.kept += weight(&slot.matches)
	slot.hash, slot.stamps, slot.topic, slot.used = hash, stamps, append(slot.topic[:0], topic...), false
	c.index[hash] = place
	for c.kept > cachedMatchesMax {
		if other := c.advance(); other != place {
			c.forget(other)
		}
	}
	return &slot.matches
}

// forget empties a slot and leaves it to the hand.
func (c *Cache[S]) forget(place uint32) {
	c.unlink(place)
	slot := &c.slots[place]
	c.kept -= weight(&slot.matches)
	*slot = cacheSlot[S]{topic: slot.topic}
}

// unlink makes sure that no topic leads to a slot.
func (c *Cache[S]) unlink(place uint32) {
	if hash := c.slots[place].hash; c.index[hash] == place {
		delete(c.index, hash)
	}
}

func (c *Cache[S]) advance() (place uint32) {
	place = uint32(c.hand)
	c.hand = (c.hand + 1) % len(c.slots)
	return place
}

// store copies an answer into the slot, into its present memory where that fits
// without wasting more than half of it.
func (s *cacheSlot[S]) store(answer *Matches[S]) {
	s.matches.Subs = replace(s.matches.Subs, answer.Subs)
	s.matches.Groups = replace(s.matches.Groups, answer.Groups)
	s.matches.Overlapping = answer.Overlapping
}

func replace[E any](old, with []E) []E {
	if len(with) > cap(old) || cap(old) > 2*len(with) {
		if len(with) == 0 {
			return nil
		}
		return append(make([]E, 0, len(with)), with...)
	}
	old = append(old[:0], with...)
	clear(old[len(old):cap(old)]) // hold no one who is not in the answer
	return old
}

// weight is what an answer counts against the bounds: the room it takes.
func weight[S comparable](m *Matches[S]) int { return cap(m.Subs) + cap(m.Groups) }

func stampsOf[S comparable](to route[S]) (stamps [4]stamp) {
	stamps[0].epoch = to.exact.epoch(to.hash)
	for i, tree := range to.trees {
		if tree != nil {
			stamps[i+1].epoch = &tree.epoch
		}
	}
	for i := range stamps {
		if stamps[i].epoch != nil {
			stamps[i].seen = stamps[i].epoch.Load()
		}
	}
	return stamps
}

func (s *cacheSlot[S]) fresh() bool {
	if s.stamps[0].epoch == nil {
		return false
	}
	for i := range s.stamps {
		if at := &s.stamps[i]; at.epoch != nil && at.epoch.Load() != at.seen {
			return false
		}
	}
	return true
}

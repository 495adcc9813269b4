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
)

// cacheWays is how many slots a topic may be in.
const cacheWays = 2

// Cache answers matches of recent topics from memory, without a lock and without
// an allocation. Owned by one event loop, not safe for concurrent use; the
// Router behind it may change meanwhile, and a change is seen at the next Match.
//
// It is bounded: at most the given number of topics of at most 256 bytes, 64 Ki
// matches all together, 1024 for one topic; what is beyond goes to the Router
// each time. When room is needed, older answers are forgotten. A stale answer
// keeps its subscribers reachable for the garbage collector until its slot is
// used again; the bounds, and one answer that was too wide to keep, are all it
// can hold on to.
type Cache[S comparable] struct {
	router *Router[S]
	sets   []cacheSet[S] // a power of two
	kept   int           // sum of the weights of all slots
	hand   int           // the set to be emptied next when kept is too high
	bypass Matches[S]    // the answer being made, and the one not kept
	stats  CacheStats
}

// CacheStats counts the answers of a Cache since it was made.
type CacheStats struct {
	Hits     uint64 // from memory
	Misses   uint64 // from the Router, then kept
	Bypassed uint64 // from the Router, too wide or too long to be kept
}

type cacheSet[S comparable] struct {
	slots [cacheWays]cacheSlot[S]
	old   uint8 // the slot not used last
}

type cacheSlot[S comparable] struct {
	hash    uint64
	stamps  [4]stamp // stamps[0].epoch == nil: the slot is empty
	topic   []byte   // our copy
	matches Matches[S]
}

// stamp is an epoch and what it was; one without an epoch is always fresh.
type stamp struct {
	epoch *atomic.Uint64
	seen  uint64
}

// NewCache returns an empty Cache for about the given number of topics; 0 means
// DefaultCacheEntries.
func (r *Router[S]) NewCache(entries int) *Cache[S] {
	sets := powerOfTwo((orDefault(entries, DefaultCacheEntries) + cacheWays - 1) / cacheWays)
	return &Cache[S]{router: r, sets: make([]cacheSet[S], sets)}
}

// Match returns everything subscribed to topic, just as Router.Match does. The
// answer is valid until the next call and must not be modified.
func (c *Cache[S]) Match(topic []byte) *Matches[S] {
	if len(topic) > cachedTopicMax {
		c.stats.Bypassed++
		c.router.Match(topic, &c.bypass)
		return &c.bypass
	}
	hash := c.router.hash(topic)
	set := c.setOf(hash)
	for i := range set.slots {
		slot := &set.slots[i]
		if slot.hash == hash && bytes.Equal(slot.topic, topic) && slot.fresh() {
			set.old = uint8(cacheWays - 1 - i)
			c.stats.Hits++
			return &slot.matches
		}
	}
	return c.fill(set, topic, c.router.route(topic, hash))
}

// Stats returns the counters.
func (c *Cache[S]) Stats() CacheStats { return c.stats }

// fill asks the router and keeps the answer if it is within the bounds.
func (c *Cache[S]) fill(set *cacheSet[S], topic []byte, to route[S]) *Matches[S] {
	stamps := stampsOf(to) // before the match: see the top of this file
	answer := &c.bypass
	answer.Reset()
	c.router.match(topic, to, answer)
	if len(answer.Subs)+len(answer.Groups) > cachedWidthMax {
		c.stats.Bypassed++
		return answer
	}
	c.stats.Misses++
	slot := set.victim(to.hash)
	c.kept -= weight(&slot.matches)
	slot.keep(answer)
	c.kept += weight(&slot.matches)
	slot.hash, slot.stamps, slot.topic = to.hash, stamps, append(slot.topic[:0], topic...)
	c.trim(slot)
	return &slot.matches
}

// trim forgets other answers until the matches kept are within the bound.
func (c *Cache[S]) trim(spare *cacheSlot[S]) {
	for c.kept > cachedMatchesMax {
		set := &c.sets[c.hand]
		c.hand = (c.hand + 1) % len(c.sets)
		for i := range set.slots {
			if slot := &set.slots[i]; slot != spare {
				c.kept -= weight(&slot.matches)
				*slot = cacheSlot[S]{topic: slot.topic}
			}
		}
	}
}

// setOf uses other bits of the hash than the shards do.
func (c *Cache[S]) setOf(hash uint64) *cacheSet[S] {
	return &c.sets[hash>>24&uint64(len(c.sets)-1)]
}

// victim returns the slot that a topic with this hash shall overwrite: its own
// stale one, else an empty or stale one, else the one not used last.
func (s *cacheSet[S]) victim(hash uint64) *cacheSlot[S] {
	chosen := int(s.old)
	for i := range s.slots {
		if !s.slots[i].fresh() {
			chosen = i
		}
	}
	for i := range s.slots {
		if s.slots[i].hash == hash {
			chosen = i
		}
	}
	s.old = uint8(cacheWays - 1 - chosen)
	return &s.slots[chosen]
}

// keep copies an answer into the slot, into its present memory where that fits
// without wasting more than half of it.
func (s *cacheSlot[S]) keep(answer *Matches[S]) {
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

package work

import (
	"sync"
	"time"
)

// CacheEntriesDefault is how many entries a Cache holds when it is not told.
const CacheEntriesDefault = 10_000

// Key is what an entry of a Cache is found by: the digest of everything that the entry depends on. Whoever makes it from a secret that
// can be guessed uses an HMAC with a key that never leaves the process.
type Key [32]byte

// Cache remembers values until their time is over, a bounded number of them. Safe for concurrent use.
type Cache[V any] struct {
	entriesMax int

	mu      sync.Mutex
	entries map[Key]entry[V]
}

type entry[V any] struct {
	value V
	until time.Time
}

// sample is how many entries are looked at to find one that can go.
const sample = 8

// NewCache makes a Cache of at most entriesMax entries; 0 = CacheEntriesDefault, negative = none.
func NewCache[V any](entriesMax int) *Cache[V] {
	if entriesMax == 0 {
		entriesMax = CacheEntriesDefault
	}
	return &Cache[V]{entriesMax: entriesMax, entries: make(map[Key]entry[V])}
}

// Get returns the value of k, if there is one whose time is not over.
func (c *Cache[V]) Get(k Key, now time.Time) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[k]
	if !ok {
		return value, false
	}
	if !e.until.After(now) {
		delete(c.entries, k)
		return value, false
	}
	return e.value, true
}

// Put remembers a value until a point in time. In a full cache it takes the place of one whose time is over, or else of that which has
// the least time left, among a few that are looked at.
func (c *Cache[V]) Put(k Key, v V, until, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entriesMax < 0 || !until.After(now) {
		return
	}
	if _, known := c.entries[k]; !known && len(c.entries) >= c.entriesMax {
		c.evict()
	}
	c.entries[k] = entry[V]{v, until}
}

func (c *Cache[V]) evict() {
	var victim Key
	var soonest time.Time
	looked := 0
	for k, e := range c.entries { // in no order
		if looked == 0 || e.until.Before(soonest) {
			victim, soonest = k, e.until
		}
		if looked++; looked == sample {
			break
		}
	}
	delete(c.entries, victim)
}

// Len returns the number of entries, those included whose time is over and that nobody has asked for since.
func (c *Cache[V]) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.entries)
}

// Clear forgets everything.
func (c *Cache[V]) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.entries)
}

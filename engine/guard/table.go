package guard

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/gannetmq/gannet/engine/session"
)

// Time is in milliseconds since the Unix epoch; see session.Time.
type Time = session.Time

// record is what is remembered of one address, login or client identifier. An empty one is a stranger's.
type record struct {
	key    uint64  // 0: the place is free
	full   int64   // microseconds since the epoch: when the bucket is full again
	until  Time    // banned before
	at     Time    // when score and bans were right
	score  float32 // failed logins, or takeovers; decays
	bans   float32 // how many there were; decays
	pardon uint32  // seconds since the epoch: when this login last lowered the count of its address
}

const (
	ways   = 8   // records to a set
	stripe = 256 // locks to a table
)

// table is a set-associative table of records. Safe for concurrent use: a record is used between lock and unlock of its set only.
type table struct {
	sets  []set
	locks [stripe]struct {
		sync.Mutex
		_ [56]byte // a cache line each
	}
	bucket                bucket  // of which record.full tells
	limit                 float64 // of record.score, where something happens
	halfLife, banHalfLife Time

	evicted, crowded atomic.Uint64
}

type set [ways]record

// newTable makes a table for at least size records.
func newTable(size int, b bucket, limit int, halfLife, banHalfLife Time) *table {
	n := 1
	for n*ways < size {
		n *= 2
	}
	return &table{sets: make([]set, n), bucket: b, limit: float64(max(limit, 1)), halfLife: halfLife, banHalfLife: banHalfLife}
}

func (t *table) lock(key uint64) (*set, *sync.Mutex) {
	i := key & uint64(len(t.sets)-1)
	mu := &t.locks[i%stripe].Mutex
	mu.Lock()
	return &t.sets[i], mu
}

// find returns the record of key, nil if there is none.
func (s *set) find(key uint64) *record {
	for i := range s {
		if s[i].key == key {
			return &s[i]
		}
	}
	return nil
}

// get is find for who is to be remembered from now on: a stranger gets the place of whoever is worth least. nil: all are banned.
func (t *table) get(s *set, key uint64, now Time) *record {
	if r := s.find(key); r != nil {
		return r
	}
	var least *record
	worth := math.Inf(1)
	for i := range s {
		r := &s[i]
		if r.key == 0 {
			least = r
			break
		}
		if w := t.worth(r, now); w < worth {
			least, worth = r, w
		}
	}
	switch {
	case least == nil:
		t.crowded.Add(1)
		return nil
	case least.key != 0 && worth > 0:
		t.evicted.Add(1)
	}
	*least = record{key: key, at: now}
	return least
}

// worth is what would be forgotten with r, as a part of what is allowed: infinite for a ban, 0 if r is as good as a stranger. So
// whoever has used up his bucket is not forgotten for many who have failed once.
func (t *table) worth(r *record, now Time) float64 {
	if r.until > now {
		return math.Inf(1)
	}
	w := 0.0
	if r.score > 0 || r.bans > 0 {
		w = decayed(r.score, now-r.at, t.halfLife)/t.limit + decayed(r.bans, now-r.at, t.banHalfLife)
	}
	if empty := r.full - int64(now)*1000; empty > 0 {
		w += float64(empty) / float64(t.bucket.window)
	}
	if w < forgotten {
		return 0
	}
	return w
}

// forgotten is what has decayed to nothing.
const forgotten = 1e-4

// decay brings the counts of r up to date.
func (t *table) decay(r *record, now Time) {
	if r.score > 0 || r.bans > 0 {
		r.score = float32(decayed(r.score, now-r.at, t.halfLife))
		r.bans = float32(decayed(r.bans, now-r.at, t.banHalfLife))
	}
	r.at = now
}

func decayed(x float32, passed, halfLife Time) float64 {
	if passed <= 0 || x == 0 {
		return float64(x)
	}
	return float64(x) * math.Exp2(-float64(passed)/float64(halfLife))
}

// bucket is a token bucket: tokens come one each interval, and burst of them are kept.
type bucket struct{ interval, window int64 } // microseconds; the window is burst intervals

func newBucket(perSecond float64, burst int) bucket {
	interval := int64(1e6 / perSecond)
	return bucket{interval, interval * int64(burst)}
}

// take takes a token from the bucket of r; false if there is none.
func (b *bucket) take(r *record, now Time) bool {
	us := int64(now) * 1000
	full := max(r.full, us) + b.interval
	if full-us > b.window {
		return false
	}
	r.full = full
	return true
}

package router

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

func TestCacheAnswersFromMemoryUntilAChange(t *testing.T) {
	changes := []struct {
		name   string
		change func(r *Router[int])
		fresh  bool
	}{
		{"nothing", func(r *Router[int]) {}, true},
		{"exact", func(r *Router[int]) { r.Subscribe("", "a/b/c", 9, Options{}) }, false},
		{"two literals", func(r *Router[int]) { r.Subscribe("", "a/b/+", 9, Options{}) }, false},
		{"one literal", func(r *Router[int]) { r.Subscribe("", "a/#", 9, Options{}) }, false},
		{"front", func(r *Router[int]) { r.Subscribe("", "#", 9, Options{}) }, false},
		{"gone", func(r *Router[int]) { r.Unsubscribe("", "a/b/+", 1) }, false},
		{"options", func(r *Router[int]) { r.Subscribe("", "a/b/+", 1, Options{QoS: 1}) }, false},
		{"same options", func(r *Router[int]) { r.Subscribe("", "a/b/+", 1, Options{}) }, true},
		{"new group", func(r *Router[int]) { r.Subscribe("h", "a/b/+", 1, Options{}) }, false},
		{"new member", func(r *Router[int]) { r.Subscribe("g", "a/b/+", 9, Options{}) }, true},
		{"dead group", func(r *Router[int]) { r.Unsubscribe("g", "a/b/+", 1) }, false},
		{"absent", func(r *Router[int]) { r.Unsubscribe("", "a/b/+", 9) }, true},
	}
	for _, test := range changes {
		t.Run(test.name, func(t *testing.T) {
			r := New[int](Config{})
			mustSubscribe(t, r, "", "a/b/+", 1, Options{})
			mustSubscribe(t, r, "g", "a/b/+", 1, Options{})
			c := r.NewCache(0)
			topic := []byte("a/b/c")
			c.Match(topic)
			before := c.Stats()
			test.change(r)
			got := describe(c.Match(topic))
			var m Matches[int]
			r.Match(topic, &m)
			if want := describe(&m); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
			if fresh := c.Stats().Hits == before.Hits+1; fresh != test.fresh {
				t.Errorf("answered from memory: %v, want %v", fresh, test.fresh)
			}
		})
	}
}

func TestCacheRemembersThatNothingMatches(t *testing.T) {
	r := New[int](Config{})
	c := r.NewCache(0)
	for range 3 {
		if m := c.Match([]byte("a")); len(m.Subs) != 0 {
			t.Fatalf("%v", m.Subs)
		}
	}
	if got := c.Stats(); got != (CacheStats{Hits: 2, Misses: 1}) {
		t.Errorf("%+v", got)
	}
	// The first subscriber of an empty shard is not overlooked.
	mustSubscribe(t, r, "", "a", 1, Options{})
	if m := c.Match([]byte("a")); len(m.Subs) != 1 {
		t.Errorf("%v", m.Subs)
	}
}

func TestCacheHitDoesNotAllocate(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "", "a/b", 1, Options{})
	mustSubscribe(t, r, "g", "a/+", 1, Options{})
	c := r.NewCache(0)
	topic := []byte("a/b")
	c.Match(topic)
	if allocs := testing.AllocsPerRun(100, func() { c.Match(topic) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestCacheKeepsItsOwnCopyOfTheTopic(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "", "a", 1, Options{})
	c := r.NewCache(0)
	topic := []byte("a")
	c.Match(topic)
	topic[0] = 'b'
	if m := c.Match(topic); len(m.Subs) != 0 {
		t.Error("the answer of a is given for b")
	}
	if m := c.Match([]byte("a")); len(m.Subs) != 1 || c.Stats().Hits != 1 {
		t.Errorf("%v, %+v", m.Subs, c.Stats())
	}
}

func TestTopicsOfTheSameHashAreToldApart(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "", "a", 1, Options{})
	c := r.NewCache(0)
	c.Match([]byte("b"))
	// As if a and b had one hash.
	hash := r.hash([]byte("a"))
	delete(c.index, c.slots[0].hash)
	c.slots[0].hash, c.index[hash] = hash, 0
	if m := c.Match([]byte("a")); len(m.Subs) != 1 {
		t.Error("the answer of b is given for a")
	}
	c.check(t)
}

func TestCacheDoesNotKeepWideAnswersAndLongTopics(t *testing.T) {
	r := New[int](Config{})
	for s := range cachedWidthMax + 1 {
		mustSubscribe(t, r, "", "wide", s, Options{})
	}
	mustSubscribe(t, r, "", "long/+", 1, Options{})
	c := r.NewCache(0)
	longest := "long/" + strings.Repeat("x", cachedTopicMax-5)
	for range 2 {
		if m := c.Match([]byte("wide")); len(m.Subs) != cachedWidthMax+1 {
			t.Errorf("wide: %d matches", len(m.Subs))
		}
		if m := c.Match([]byte(longest + "x")); len(m.Subs) != 1 {
			t.Errorf("long: %d matches", len(m.Subs))
		}
	}
	if got := c.Stats(); got != (CacheStats{Bypassed: 4}) || c.kept != 0 {
		t.Errorf("%+v, kept %d", got, c.kept)
	}
	// A narrow answer behind a wide one is kept.
	r.Unsubscribe("", "wide", 0)
	for range 2 {
		c.Match([]byte("wide"))
		c.Match([]byte(longest))
	}
	if got := c.Stats(); got != (CacheStats{Hits: 2, Misses: 2, Bypassed: 4}) {
		t.Errorf("%+v", got)
	}
}

func TestCacheStaysWithinItsBounds(t *testing.T) {
	r := New[int](Config{})
	const width = 700
	for s := range width {
		mustSubscribe(t, r, "", "w/+", s, Options{})
	}
	c := r.NewCache(512)
	for i := range 1000 { // each twice, as once would not be kept
		if m := c.Match(fmt.Appendf(nil, "w/%d", i/2)); len(m.Subs) != width {
			t.Fatalf("topic %d: %d matches", i, len(m.Subs))
		}
		c.check(t)
	}
	c.Match([]byte("narrow"))
	before := c.Stats().Hits
	if c.Match([]byte("narrow")); c.Stats().Hits != before+1 {
		t.Error("a narrow answer is not kept beside")
	}
	if c.kept < cachedMatchesMax/2 {
		t.Errorf("only %d of %d matches are kept", c.kept, cachedMatchesMax)
	}
}

func TestFullCacheIsRightAndKeepsWhatComesAgain(t *testing.T) {
	r := New[int](Config{})
	const topics = 40
	for s := range topics {
		mustSubscribe(t, r, "", fmt.Sprint("t/", s), s, Options{})
	}
	c := r.NewCache(16)
	ask := func(s int) {
		t.Helper()
		if m := c.Match(fmt.Appendf(nil, "t/%d", s)); len(m.Subs) != 1 || m.Subs[0].Subscriber != s {
			t.Fatalf("t/%d: %v", s, m.Subs)
		}
		c.check(t)
	}
	rng := rand.New(rand.NewSource(1))
	for range 3000 {
		ask(rng.Intn(topics))
	}
	for range 100 { // two topics that come again settle in
		ask(0)
		ask(1)
	}
	hits := c.Stats().Hits
	for i := range 1000 { // and stay while others come by
		ask(i % 2)
		ask(2 + rng.Intn(topics-2))
	}
	if got := c.Stats().Hits - hits; got < 1000 {
		t.Errorf("%d hits of at least 1000", got)
	}
}

func TestFullCacheTakesATopicInTheSecondTime(t *testing.T) {
	r := New[int](Config{})
	c := r.NewCache(4)
	for i := range 100 {
		c.Match(fmt.Appendf(nil, "once/%d", i))
	}
	if got := c.Stats(); got.Misses < 4 || got.Misses > 6 {
		t.Errorf("of 100 topics asked for once %d were taken in", got.Misses)
	}
	before := c.Stats()
	for range 3 {
		c.Match([]byte("again"))
	}
	if got := c.Stats(); got.Hits != before.Hits+1 || got.Misses != before.Misses+1 {
		t.Errorf("before %+v, after %+v", before, got)
	}
}

func TestCacheHoldsNobodyBehindAShorterAnswer(t *testing.T) {
	r := New[*int](Config{})
	subs := make([]*int, 4)
	for i := range subs {
		subs[i] = new(int)
		mustSubscribe(t, r, "", "a", subs[i], Options{})
	}
	c := r.NewCache(1)
	c.Match([]byte("a"))
	r.Unsubscribe("", "a", subs[3])
	m := c.Match([]byte("a"))
	for _, s := range m.Subs[:cap(m.Subs)] {
		if s.Subscriber == subs[3] {
			t.Error("the slot still refers to who is gone")
		}
	}
}

// check fails the test when the books do not balance.
func (c *Cache[S]) check(t testing.TB) {
	t.Helper()
	kept := 0
	for i := range c.slots {
		slot := &c.slots[i]
		kept += weight(&slot.matches)
		if place, ok := c.index[slot.hash]; slot.stamps[0].epoch != nil && (!ok || int(place) != i) {
			t.Fatalf("slot %d of %q is found at %d, %v", i, slot.topic, place, ok)
		}
	}
	if kept != c.kept || kept > cachedMatchesMax {
		t.Fatalf("kept %d, counted %d, bound %d", kept, c.kept, cachedMatchesMax)
	}
	if len(c.slots) > c.entries || len(c.index) > len(c.slots) {
		t.Fatalf("%d slots and %d topics, bound %d", len(c.slots), len(c.index), c.entries)
	}
}

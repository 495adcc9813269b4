package router

import (
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func mustSubscribe[S comparable](t testing.TB, r *Router[S], group, filter string, s S, o Options) (existed bool) {
	t.Helper()
	existed, err := r.Subscribe(group, filter, s, o)
	if err != nil {
		t.Fatalf("subscribe %q: %v", filter, err)
	}
	return existed
}

// subscribers returns who gets a message for topic, sorted.
func subscribers(r *Router[int], topic string) []int {
	var m Matches[int]
	r.Match([]byte(topic), &m)
	var who []int
	for _, s := range m.Subs {
		who = append(who, s.Subscriber)
	}
	slices.Sort(who)
	return who
}

func TestSubscribeAgainReplacesOptions(t *testing.T) {
	for _, filter := range []string{"a/b", "a/+", "a/#", "#"} {
		r := New[int](Config{})
		first := Options{QoS: 1, Identifier: 7}
		second := Options{QoS: 2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2, Identifier: 268435455}
		if mustSubscribe(t, r, "", filter, 1, first) {
			t.Errorf("%s: the first subscription existed", filter)
		}
		if !mustSubscribe(t, r, "", filter, 1, second) {
			t.Errorf("%s: the second subscription replaced nothing", filter)
		}
		var m Matches[int]
		r.Match([]byte("a/b"), &m)
		if len(m.Subs) != 1 || m.Subs[0] != (Match[int]{1, second}) {
			t.Errorf("%s: got %v", filter, m.Subs)
		}
		r.check(t)
	}
}

func TestOptionsSurviveEveryFormOfAnEntry(t *testing.T) {
	r := New[int](Config{})
	want := map[int]Options{}
	for s := range 3 * wideList {
		o := Options{QoS: byte(s % 3), NoLocal: s&1 != 0, RetainAsPublished: s&2 != 0, RetainHandling: byte(s % 3), Identifier: uint32(s)}
		mustSubscribe(t, r, "", "a", s, o)
		want[s] = o
		verifyOptions(t, r, want)
	}
	for s := range 3 * wideList {
		r.Unsubscribe("", "a", s)
		delete(want, s)
		verifyOptions(t, r, want)
	}
}

func verifyOptions(t *testing.T, r *Router[int], want map[int]Options) {
	t.Helper()
	r.check(t)
	var m Matches[int]
	r.Match([]byte("a"), &m)
	if len(m.Subs) != len(want) {
		t.Fatalf("%d matches, want %d", len(m.Subs), len(want))
	}
	for _, s := range m.Subs {
		if want[s.Subscriber] != s.Options {
			t.Fatalf("subscriber %d: %v, want %v", s.Subscriber, s.Options, want[s.Subscriber])
		}
	}
}

func TestMatchFindsFiltersOfEveryShard(t *testing.T) {
	r := New[int](Config{})
	for s, filter := range []string{"a/b/c", "a/b/+", "a/b/#", "a/+/c", "a/#", "+/b/c", "#", "a/b", "b/#", "$a/#"} {
		mustSubscribe(t, r, "", filter, s, Options{})
	}
	tests := map[string][]int{
		"a/b/c":  {0, 1, 2, 3, 4, 5, 6},
		"a/b":    {2, 4, 6, 7},
		"a":      {4, 6},
		"b/x":    {6, 8},
		"$a/b/c": {9},
		"$b":     nil,
		"/":      {6},
	}
	for topic, want := range tests {
		if got := subscribers(r, topic); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", topic, got, want)
		}
	}
}

func TestMatchOfCollidingShardsFindsEachFilterOnce(t *testing.T) {
	r := New[int](Config{Shards: 1})
	for s, filter := range []string{"a/b/+", "a/+/c", "a/#", "a/b/#"} {
		mustSubscribe(t, r, "", filter, s, Options{})
	}
	if got := subscribers(r, "a/b/c"); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("got %v", got)
	}
}

func TestOverlappingSaysThatSeveralFiltersContribute(t *testing.T) {
	r := New[int](Config{})
	mustSubscribe(t, r, "", "a/b", 1, Options{})
	mustSubscribe(t, r, "", "a/b", 2, Options{})
	mustSubscribe(t, r, "g", "a/#", 1, Options{})
	var m Matches[int]
	if r.Match([]byte("a/b"), &m); m.Overlapping {
		t.Error("one filter and a group overlap")
	}
	mustSubscribe(t, r, "", "a/+", 1, Options{})
	if r.Match([]byte("a/b"), &m); !m.Overlapping || len(m.Subs) != 3 {
		t.Errorf("two filters: overlapping %v, %v", m.Overlapping, m.Subs)
	}
	if r.Match([]byte("x"), &m); m.Overlapping || len(m.Subs)+len(m.Groups) != 0 {
		t.Errorf("not reset: %+v", m)
	}
}

func TestUnsubscribeTakesOnlyTheNamedSubscription(t *testing.T) {
	r := New[int](Config{})
	for _, filter := range []string{"a/b", "a/+"} {
		mustSubscribe(t, r, "", filter, 1, Options{})
		mustSubscribe(t, r, "g", filter, 1, Options{})
		for _, absent := range []modelKey{{"", filter, 2}, {"g", filter, 2}, {"h", filter, 1}, {"", "a/+/c", 1}, {"", "a", 1}, {"", "a/#", 1}, {"", "+", 1}} {
			if r.Unsubscribe(absent.group, absent.filter, absent.subscriber) {
				t.Errorf("%v existed", absent)
			}
		}
		r.check(t)
		if !r.Unsubscribe("", filter, 1) || r.Unsubscribe("", filter, 1) {
			t.Errorf("%s: the ordinary subscription does not go once", filter)
		}
		if r.Group("g", filter) == nil {
			t.Errorf("%s: the group went too", filter)
		}
		if !r.Unsubscribe("g", filter, 1) || r.Group("g", filter) != nil {
			t.Errorf("%s: the group does not go", filter)
		}
		r.check(t)
	}
	if got := r.Stats(); got != (Stats{}) {
		t.Errorf("left behind: %+v", got)
	}
}

func TestUnsubscribeLeavesNothingInTheIndex(t *testing.T) {
	r := New[int](Config{Shards: 4})
	rng := rand.New(rand.NewSource(1))
	var keys []modelKey
	for i := range 2000 {
		filter := fmt.Sprintf("l%d/%d/x", rng.Intn(40), i)
		switch i % 4 {
		case 1:
			filter = fmt.Sprintf("l%d/+/%d/#", rng.Intn(3), i)
		case 2:
			filter = fmt.Sprintf("+/%d/+", i)
		case 3:
			filter = fmt.Sprintf("l/%d/+/b/c/d", i)
		}
		keys = append(keys, modelKey{[]string{"", "g"}[i%2], filter, i})
	}
	for _, k := range keys {
		mustSubscribe(t, r, k.group, k.filter, k.subscriber, Options{})
	}
	r.check(t)
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, k := range keys {
		if !r.Unsubscribe(k.group, k.filter, k.subscriber) {
			t.Fatalf("%v is missing", k)
		}
	}
	r.check(t)
	if got := r.Stats(); got != (Stats{}) {
		t.Errorf("left behind: %+v", got)
	}
	for i := range r.trees {
		if !r.trees[i].root.empty() {
			t.Errorf("tree %d is not empty", i)
		}
	}
	if !r.front.root.empty() {
		t.Error("the front tree is not empty")
	}
	for i := range r.exact {
		if x := &r.exact[i]; !reflect.ValueOf(&x.singles).Elem().IsZero() || !reflect.ValueOf(&x.crowds).Elem().IsZero() {
			t.Errorf("exact shard %d keeps its tables", i)
		}
	}
}

func TestSubscribeRefusesFiltersBeyondTheBounds(t *testing.T) {
	r := New[int](Config{MaxLevels: 3, MaxLength: 10})
	tests := []struct {
		filter string
		want   error
	}{
		{"a/b/c", nil},
		{"a/+/#", nil},
		{"0123456789", nil},
		{"a/b/c/d", ErrTooManyLevels},
		{"a/b/c/#", ErrTooManyLevels},
		{"///", ErrTooManyLevels},
		{"01234567890", ErrTooLong},
		{"0123456/8/#", ErrTooLong},
	}
	for _, test := range tests {
		if _, err := r.Subscribe("", test.filter, 1, Options{}); !errors.Is(err, test.want) {
			t.Errorf("%q: %v, want %v", test.filter, err, test.want)
		}
	}
	if got := r.Stats().Subscriptions; got != 3 {
		t.Errorf("%d subscriptions", got)
	}
}

func TestTopicBeyondTheBoundsMatchesNothing(t *testing.T) {
	r := New[int](Config{MaxLevels: 3, MaxLength: 10})
	mustSubscribe(t, r, "", "#", 1, Options{})
	mustSubscribe(t, r, "", "a/#", 2, Options{})
	c := r.NewCache(0)
	for topic, want := range map[string]int{"a/b/c": 2, "a/b/c/d": 0, "a/89012345": 2, "a/890123456": 0} {
		if got := len(subscribers(r, topic)); got != want {
			t.Errorf("%q: %d matches, want %d", topic, got, want)
		}
		if got := len(c.Match([]byte(topic)).Subs); got != want {
			t.Errorf("%q: %d cached matches, want %d", topic, got, want)
		}
	}
}

func TestDeepestFilterIsMatched(t *testing.T) {
	r := New[int](Config{})
	deep := strings.Repeat("a/", DefaultMaxLevels-1)
	mustSubscribe(t, r, "", deep+"+", 1, Options{})
	mustSubscribe(t, r, "", strings.Repeat("+/", DefaultMaxLevels-1)+"a", 2, Options{})
	if got := subscribers(r, deep+"a"); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("got %v", got)
	}
}

func TestManySubscribersOfOneFilter(t *testing.T) {
	const n = 50000
	for _, filter := range []string{"all", "all/#"} {
		r := New[int](Config{})
		for s := range n {
			mustSubscribe(t, r, "", filter, s, Options{})
		}
		r.check(t)
		if got := len(subscribers(r, "all")); got != n {
			t.Fatalf("%d matches", got)
		}
		for s := range n {
			if s%1000 != 3 && !r.Unsubscribe("", filter, s) {
				t.Fatalf("subscriber %d is missing", s)
			}
		}
		r.check(t)
		if got := len(subscribers(r, "all")); got != n/1000 {
			t.Fatalf("%d matches are left", got)
		}
	}
}

func TestLongFilterIsNotKeptByAShortLevel(t *testing.T) {
	r := New[int](Config{})
	long := "a/b/+/" + strings.Repeat("x", 1000)
	mustSubscribe(t, r, "", long, 1, Options{})
	if kept := r.treeOf(long).root.literals.sorted[0].level; unsafe.StringData(kept) == unsafe.StringData(long) {
		t.Error("the node of the first level shares the memory of the filter")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	r := New[int](Config{})
	for s, filter := range []string{"site/one/a level of more than thirty-two bytes", "site/one/+", "site/+/#", "#", "+/one/#"} {
		mustSubscribe(t, r, "", filter, s, Options{})
		mustSubscribe(t, r, "g", filter, s, Options{})
	}
	for i := range 40 { // a wide node beside
		mustSubscribe(t, r, "", fmt.Sprintf("site/%d a level of more than thirty-two bytes/+/x", i), i, Options{})
	}
	topic := []byte("site/one/a level of more than thirty-two bytes")
	var m Matches[int]
	r.Match(topic, &m)
	if len(m.Subs) != 5 || len(m.Groups) != 5 {
		t.Fatalf("%d, %d matches", len(m.Subs), len(m.Groups))
	}
	if allocs := testing.AllocsPerRun(100, func() { r.Match(topic, &m) }); allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestClearHoldsNoSubscriber(t *testing.T) {
	r := New[*int](Config{})
	s := new(int)
	mustSubscribe(t, r, "", "a", s, Options{})
	mustSubscribe(t, r, "g", "a", s, Options{})
	var m Matches[*int]
	r.Match([]byte("a"), &m)
	m.Clear()
	if len(m.Subs)+len(m.Groups) != 0 || m.Subs[:1][0].Subscriber != nil || m.Groups[:1][0] != nil {
		t.Errorf("%+v", m)
	}
}

// TestRandomSubscriptions plays a long sequence against the model, with names
// from so few that everything meets everything.
func TestRandomSubscriptions(t *testing.T) {
	for seed := range int64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			g := &gamble{rng: rand.New(rand.NewSource(seed))}
			r := New[int](Config{Shards: 1 << (seed * 2)})
			want := model{}
			c := r.NewCache(64)
			var m Matches[int]
			for i := range 6000 {
				group, filter, s := g.group(), g.filter(), g.rng.Intn(8)
				// Phases of growth and of decline.
				if g.rng.Intn(100) < 30+40*(i/1500%2) {
					if got := r.Unsubscribe(group, filter, s); got != want.unsubscribe(group, filter, s) {
						t.Fatalf("step %d: unsubscribe %q %q %d: existed %v", i, group, filter, s, got)
					}
				} else {
					o := Options{QoS: byte(g.rng.Intn(3)), Identifier: uint32(g.rng.Intn(3))}
					if got := mustSubscribe(t, r, group, filter, s, o); got != want.subscribe(group, filter, s, o) {
						t.Fatalf("step %d: subscribe %q %q %d: existed %v", i, group, filter, s, got)
					}
				}
				if i%10 > 0 {
					continue
				}
				topic := g.topic()
				expected := want.match(topic)
				r.Match([]byte(topic), &m)
				if got := describe(&m); !slices.Equal(got, expected) {
					t.Fatalf("step %d: match %q:\n got %v\nwant %v", i, topic, got, expected)
				}
				if got := describe(c.Match([]byte(topic))); !slices.Equal(got, expected) {
					t.Fatalf("step %d: cached match %q:\n got %v\nwant %v", i, topic, got, expected)
				}
				if i%1000 == 0 {
					r.check(t)
				}
			}
			verifyStats(t, r, want)
		})
	}
}

func verifyStats(t *testing.T, r *Router[int], want model) {
	t.Helper()
	r.check(t)
	got, expected := r.Stats(), want.stats()
	// Two prefixes that meet in one shard share nodes there.
	if got.Nodes > expected.Nodes {
		t.Errorf("%d nodes, want at most %d", got.Nodes, expected.Nodes)
	}
	got.Nodes = expected.Nodes
	if got != expected {
		t.Errorf("stats %+v, want %+v", got, expected)
	}
}

// gamble draws names.
type gamble struct{ rng *rand.Rand }

func (g *gamble) pick(names ...string) string { return names[g.rng.Intn(len(names))] }

func (g *gamble) group() string { return g.pick("", "", "g", "h") }

func (g *gamble) topic() string {
	levels := []string{g.pick("a", "b", "", "$s", "c")}
	for g.rng.Intn(10) < 7 && len(levels) < 5 {
		levels = append(levels, g.pick("a", "b", "", "c"))
	}
	if len(levels) == 1 && levels[0] == "" {
		return "a"
	}
	return strings.Join(levels, "/")
}

func (g *gamble) filter() string {
	levels := strings.Split(g.topic(), "/")
	for i := range levels {
		switch g.rng.Intn(6) {
		case 0, 1:
			levels[i] = "+"
		case 2:
			levels[i] = "#"
			return strings.Join(levels[:i+1], "/")
		}
	}
	return strings.Join(levels, "/")
}

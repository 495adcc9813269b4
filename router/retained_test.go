package router

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"
)

// walk collects what a cursor visits, max at a time.
func walk(t testing.TB, r *Retained[int], c Cursor, max int) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for calls := 0; ; calls++ {
		visited := 0
		more := r.Next(&c, max, func(topic string, v int) bool {
			if _, again := seen[topic]; again {
				t.Fatalf("%q is visited again", topic)
			}
			seen[topic] = v
			visited++
			return true
		})
		if visited > max {
			t.Fatalf("%d visits, at most %d were wanted", visited, max)
		}
		if !more {
			return seen
		}
		if calls > 100*(r.Len()+len(r.shards)) {
			t.Fatal("the walk does not end")
		}
	}
}

func TestRetainedKeepsOneValuePerTopic(t *testing.T) {
	r := NewRetained[int](0)
	if _, existed := r.Set("a", 1); existed {
		t.Error("a existed")
	}
	if old, existed := r.Set("a", 2); !existed || old != 1 {
		t.Errorf("replaced %d, %v", old, existed)
	}
	if v, ok := r.Get([]byte("a")); !ok || v != 2 || r.Len() != 1 {
		t.Errorf("got %d, %v of %d", v, ok, r.Len())
	}
	if _, ok := r.Get([]byte("b")); ok {
		t.Error("b exists")
	}
	if old, existed := r.Delete([]byte("a")); !existed || old != 2 || r.Len() != 0 {
		t.Errorf("deleted %d, %v, left %d", old, existed, r.Len())
	}
	if _, existed := r.Delete([]byte("a")); existed {
		t.Error("a was deleted twice")
	}
}

func TestDeleteIfAsksForTheValueOfNow(t *testing.T) {
	r := NewRetained[int](0)
	r.Set("a", 1)
	if r.DeleteIf([]byte("a"), func(v int) bool { return v != 1 }) || r.Len() != 1 {
		t.Error("deleted against the condition")
	}
	if !r.DeleteIf([]byte("a"), func(v int) bool { return v == 1 }) || r.Len() != 0 {
		t.Error("not deleted")
	}
	if r.DeleteIf([]byte("a"), func(int) bool { t.Error("asked for an absent topic"); return true }) {
		t.Error("deleted what is not there")
	}
}

func TestCursorVisitsWhatMatches(t *testing.T) {
	r := NewRetained[int](4)
	topics := []string{"a", "a/b", "a/b/c", "a-b", "a.", "a/", "/", "//", "/a", "$SYS/a", "$", "b/b", "b", "é/ü", "a0", "\x01"}
	for i, topic := range topics {
		r.Set(topic, i)
	}
	for _, filter := range []string{"#", "+", "+/+", "a/#", "a/+", "+/b", "+/b/#", "/#", "/+", "$SYS/#", "a/b", "absent", "$", "a/+/c", "+/+/#", "é/+"} {
		want := map[string]int{}
		for i, topic := range topics {
			if naiveMatch(filter, topic) {
				want[topic] = i
			}
		}
		for max := range 4 {
			if got := walk(t, r, NewCursor(filter), max+1); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s, %d at a time: got %v, want %v", filter, max+1, got, want)
			}
		}
	}
	if got := walk(t, r, NewCursorAll(), 3); len(got) != len(topics) {
		t.Errorf("all: got %d of %d", len(got), len(topics))
	}
}

func TestRefusedVisitIsSeenAgain(t *testing.T) {
	for _, filter := range []string{"t/+", "t/5"} {
		r := NewRetained[int](4)
		for i := range 100 {
			r.Set(fmt.Sprint("t/", i), i)
		}
		c := NewCursor(filter)
		seen, refused := map[string]int{}, ""
		rng := rand.New(rand.NewSource(1))
		for r.Next(&c, 10, func(topic string, v int) bool {
			if refused != "" && topic != refused {
				t.Fatalf("%s after %s was refused", topic, refused)
			}
			if rng.Intn(3) == 0 {
				refused = topic
				return false
			}
			refused = ""
			seen[topic]++
			return true
		}) {
		}
		if refused != "" {
			t.Errorf("the walk ended with %s refused", refused)
		}
		want := 100
		if filter == "t/5" {
			want = 1
		}
		if len(seen) != want {
			t.Errorf("%s: %d topics", filter, len(seen))
		}
		for topic, n := range seen {
			if n != 1 {
				t.Errorf("%s was consumed %d times", topic, n)
			}
		}
	}
}

func TestVisitMayChangeTheIndex(t *testing.T) {
	r := NewRetained[int](2)
	for i := range 200 {
		r.Set(fmt.Sprint("t/", i), i)
	}
	c := NewCursor("t/+")
	visits := 0
	for r.Next(&c, 50, func(topic string, v int) bool {
		visits++
		r.Set(topic+"/below", v)
		r.Delete([]byte(topic))
		return true
	}) {
	}
	if visits != 200 || r.Len() != 200 {
		t.Errorf("%d visits, %d topics left", visits, r.Len())
	}
	verifyTrees(t, r)
}

func TestNextLooksAtABoundedNumberOfTopics(t *testing.T) {
	// Nothing matches and no skip is possible over more than one topic.
	r := NewRetained[int](1)
	const topics = 5000
	for i := range topics {
		r.Set(fmt.Sprintf("%d/a", i), i)
	}
	c := NewCursor("+/b")
	calls := 1
	for ; r.Next(&c, 10, func(string, int) bool { t.Error("a visit"); return true }); calls++ {
	}
	if least := topics / (10 * examinedPerVisit); calls < least {
		t.Errorf("%d calls, want %d or more", calls, least)
	}
}

func TestCursorSkipsWhatCannotMatch(t *testing.T) {
	r := NewRetained[int](1)
	for i := range 100 {
		for j := range 100 {
			r.Set(fmt.Sprintf("site/%02d/device/%02d", i, j), 0)
		}
		r.Set(fmt.Sprintf("site/%02d/zone", i), 0)
	}
	c := NewCursor("site/+/zone")
	visits, calls := 0, 1
	for ; r.Next(&c, 100, func(string, int) bool { visits++; return true }); calls++ {
	}
	// Each zone costs a look at one device: 200 looks, not ten thousand.
	if visits != 100 || calls > 2 {
		t.Errorf("%d visits in %d calls", visits, calls)
	}
}

func TestNextDoesNotAllocate(t *testing.T) {
	r := NewRetained[int](0)
	for i := range 1000 {
		r.Set(fmt.Sprint("a/", i), i)
	}
	start := NewCursor("a/#")
	visit := func(string, int) bool { return true }
	allocs := testing.AllocsPerRun(10, func() {
		c := start
		for r.Next(&c, 64, visit) {
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
	topic := []byte("a/500 and more than thirty-two bytes")
	if allocs := testing.AllocsPerRun(10, func() { r.Get(topic) }); allocs != 0 {
		t.Errorf("Get: %v allocations", allocs)
	}
}

func TestRandomRetained(t *testing.T) {
	for seed := range int64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rng := rand.New(rand.NewSource(seed))
			r := NewRetained[int](1 << (2 * seed))
			want := map[string]int{}
			for i := range 30000 {
				topic := fmt.Sprintf("%d/%d/%d", rng.Intn(9), rng.Intn(20), rng.Intn(20))
				if rng.Intn(100) < 30+40*(i/10000%2) {
					old, existed := r.Delete([]byte(topic))
					if before, ok := want[topic]; ok != existed || before != old {
						t.Fatalf("step %d: deleted %d, %v", i, old, existed)
					}
					delete(want, topic)
				} else {
					old, existed := r.Set(topic, i)
					if before, ok := want[topic]; ok != existed || before != old {
						t.Fatalf("step %d: replaced %d, %v", i, old, existed)
					}
					want[topic] = i
				}
				if i%5000 == 4999 {
					verifyRetained(t, r, want, "#", "+/3/+", "4/#", "+/+/1", "5/6/7")
				}
			}
			for topic := range want {
				r.Delete([]byte(topic))
			}
			verifyRetained(t, r, nil, "#")
		})
	}
}

func verifyRetained(t testing.TB, r *Retained[int], want map[string]int, filters ...string) {
	t.Helper()
	verifyTrees(t, r)
	if r.Len() != len(want) {
		t.Fatalf("%d topics, want %d", r.Len(), len(want))
	}
	for topic, v := range want {
		if got, ok := r.Get([]byte(topic)); !ok || got != v {
			t.Fatalf("%q: got %d, %v", topic, got, ok)
		}
	}
	for _, filter := range filters {
		matching := map[string]int{}
		for topic, v := range want {
			if naiveMatch(filter, topic) {
				matching[topic] = v
			}
		}
		if got := walk(t, r, NewCursor(filter), 50); fmt.Sprint(got) != fmt.Sprint(matching) {
			t.Fatalf("%s: got %v, want %v", filter, got, matching)
		}
	}
}

// verifyTrees fails the test when a tree is out of shape.
func verifyTrees[V any](t testing.TB, r *Retained[V]) {
	t.Helper()
	total := 0
	for i := range r.shards {
		var topics []string
		if root := r.shards[i].tree.root; root != nil {
			topics, _ = root.check(t, true)
		}
		if !slices.IsSortedFunc(topics, strings.Compare) {
			t.Fatalf("shard %d is out of order", i)
		}
		total += len(topics)
	}
	if total != r.Len() {
		t.Fatalf("the trees hold %d topics, Len is %d", total, r.Len())
	}
}

func (n *btreeNode[V]) check(t testing.TB, root bool) (topics []string, height int) {
	t.Helper()
	if len(n.items) > btreeMax || len(n.items) < btreeMin && !root || len(n.items) == 0 {
		t.Fatalf("b-tree: a node of %d items", len(n.items))
	}
	if n.children == nil {
		for _, item := range n.items {
			topics = append(topics, item.topic)
		}
		return topics, 1
	}
	if len(n.children) != len(n.items)+1 {
		t.Fatalf("b-tree: %d items, %d children", len(n.items), len(n.children))
	}
	for i, child := range n.children {
		below, h := child.check(t, false)
		if i > 0 && h != height {
			t.Fatal("b-tree: leaves at different heights")
		}
		height = h
		topics = append(topics, below...)
		if i < len(n.items) {
			topics = append(topics, n.items[i].topic)
		}
	}
	return topics, height + 1
}

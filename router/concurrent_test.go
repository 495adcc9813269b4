package router

import (
	"fmt"
	"math/rand"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// question asks another goroutine, which has a warm cache of its own, whether a
// subscriber is matched by a topic.
type question struct {
	topic, filter string
	subscriber    int
	answer        chan bool
}

// TestReturnedSubscribeIsSeenEverywhere lets writers change subscriptions of
// their own subscribers, and after every change ask the router, their own cache
// and the cache of another goroutine. At the end everyone agrees with the model.
func TestReturnedSubscribeIsSeenEverywhere(t *testing.T) {
	const writers, steps = 4, 2000
	topics := []string{"a/b", "a/c", "a", "b/c/a", "a/b/c", "b"}
	filters := []string{"a/b", "a/+", "a/#", "+/c/#", "#", "b/c/+", "+", "a/b/+", "b", "a"}

	r := New[int](Config{Shards: 4})
	questions := make(chan question)
	var answering sync.WaitGroup
	for range 2 {
		answering.Go(func() {
			c := r.NewCache(16)
			for q := range questions {
				q.answer <- isIn(c.Match([]byte(q.topic)), q.subscriber)
				for _, topic := range topics {
					c.Match([]byte(topic)) // warm
				}
				c.check(t)
			}
		})
	}

	held := make([]model, writers)
	var writing sync.WaitGroup
	for w := range writers {
		held[w] = model{}
		writing.Go(func() {
			rng := rand.New(rand.NewSource(int64(w)))
			c := r.NewCache(16)
			answer := make(chan bool)
			var m Matches[int]
			for range steps {
				filter, s := filters[rng.Intn(len(filters))], w*1000+rng.Intn(3)
				group := []string{"", "", "g"}[rng.Intn(3)]
				if rng.Intn(2) == 0 {
					o := Options{QoS: byte(rng.Intn(3))}
					existed, err := r.Subscribe(group, filter, s, o)
					if err != nil || existed != held[w].subscribe(group, filter, s, o) {
						t.Errorf("subscribe %q: existed %v, %v", filter, existed, err)
					}
				} else if existed := r.Unsubscribe(group, filter, s); existed != held[w].unsubscribe(group, filter, s) {
					t.Errorf("unsubscribe %q: existed %v", filter, existed)
				}
				topic := topics[rng.Intn(len(topics))]
				want := held[w].reaches(topic, s)
				r.Match([]byte(topic), &m)
				if isIn(&m, s) != want {
					t.Errorf("router: %q to %d is not %v", topic, s, want)
				}
				if isIn(c.Match([]byte(topic)), s) != want {
					t.Errorf("own cache: %q to %d is not %v", topic, s, want)
				}
				questions <- question{topic, filter, s, answer}
				if <-answer != want {
					t.Errorf("other cache: %q to %d is not %v", topic, s, want)
				}
			}
		})
	}
	writing.Wait()
	close(questions)
	answering.Wait()

	all := model{}
	for _, part := range held {
		for k, o := range part {
			all[k] = o
		}
	}
	c := r.NewCache(16)
	var m Matches[int]
	for _, topic := range topics {
		r.Match([]byte(topic), &m)
		want := all.match(topic)
		if got := describe(&m); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", topic, got, want)
		}
		if got := describe(c.Match([]byte(topic))); !slices.Equal(got, want) {
			t.Errorf("%s from the cache:\n got %v\nwant %v", topic, got, want)
		}
	}
	r.check(t)
}

func (m model) reaches(topic string, s int) bool {
	for k := range m {
		if k.subscriber == s && naiveMatch(k.filter, topic) {
			return true
		}
	}
	return false
}

func isIn(m *Matches[int], s int) bool {
	for _, sub := range m.Subs {
		if sub.Subscriber == s {
			return true
		}
	}
	for _, g := range m.Groups {
		for _, member := range g.Members(nil) {
			if member.Subscriber == s {
				return true
			}
		}
	}
	return false
}

// TestCacheIsNeverWronglyFresh makes changes in pairs: the first lets the cache
// fill a slot, the second falls into the middle of it, sooner or later.
func TestCacheIsNeverWronglyFresh(t *testing.T) {
	r := New[int](Config{})
	topic := []byte("a/b")
	mustSubscribe(t, r, "", "a/+", 1, Options{})
	var published, rounds atomic.Uint32
	var stop atomic.Bool
	var reading sync.WaitGroup
	reading.Go(func() {
		c := r.NewCache(0)
		for !stop.Load() {
			least := published.Load()
			if got := c.Match(topic).Subs[0].Options.Identifier; got < least {
				t.Errorf("got %d after %d was subscribed", got, least)
				stop.Store(true)
			}
			rounds.Add(1)
		}
	})
	rng := rand.New(rand.NewSource(1))
	change := uint32(0)
	for range 6000 {
		for range 2 {
			change++
			mustSubscribe(t, r, "", "a/+", 1, Options{Identifier: change})
			for pause := rng.Intn(300); pause > 0; pause-- {
				published.Load() // as good as anything to pass a nanosecond
			}
		}
		published.Store(change)
		for seen := rounds.Load(); rounds.Load()-seen < 2 && !stop.Load(); {
			runtime.Gosched()
		}
	}
	stop.Store(true)
	reading.Wait()
}

// TestRetainedCursorAmongWriters walks while other topics come and go. Those
// that stay must be visited once each.
func TestRetainedCursorAmongWriters(t *testing.T) {
	r := NewRetained[int](4)
	const staying = 300
	for i := range staying {
		r.Set(fmt.Sprintf("s/%d/x", i), i)
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for w := range 2 {
		writing.Go(func() {
			rng := rand.New(rand.NewSource(int64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				topic := fmt.Sprintf("s/%d/%d/y", rng.Intn(staying), rng.Intn(3))
				if rng.Intn(2) == 0 {
					r.Set(topic, -1)
				} else {
					r.Delete([]byte(topic))
				}
			}
		})
	}
	for range 20 {
		seen := map[string]int{}
		c := NewCursor("s/+/#")
		for r.Next(&c, 7, func(topic string, v int) bool {
			seen[topic]++
			return true
		}) {
		}
		for i := range staying {
			if topic := fmt.Sprintf("s/%d/x", i); seen[topic] != 1 {
				t.Errorf("%s was visited %d times", topic, seen[topic])
			}
		}
		for topic, n := range seen {
			if n > 1 {
				t.Errorf("%s was visited %d times", topic, n)
			}
		}
	}
	close(stop)
	writing.Wait()
	verifyTrees(t, r)
}

package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/gannetmq/gannet/router"
)

// subscriber stands for a Session in the router, which knows it by its address only.
type subscriber struct{ _ int32 }

// scaleRouter fills the subscription index alone, and matches topics against it.
func scaleRouter(ctx context.Context, s *scaleRun) error {
	r := router.New[*subscriber](router.Config{})
	clients := make([]subscriber, max(s.exact, s.wildcards))
	fill := func(kind string, n int, filter func(dst []byte, i int) []byte) error {
		before, began := liveHeap(), time.Now()
		var text []byte
		for i := range n {
			text = filter(text[:0], i)
			if _, err := r.Subscribe("", string(text), &clients[i], router.Options{QoS: 1}); err != nil {
				return err
			}
			if i%4096 == 0 && context.Cause(ctx) != nil {
				return context.Cause(ctx)
			}
		}
		s.each(fmt.Sprintf("%s filter of %d, its text included", kind, n), n, began, before)
		return nil
	}
	if err := fill("exact", s.exact, appendCommand); err != nil {
		return err
	}
	if err := fill("wildcard", s.wildcards, appendWild); err != nil {
		return err
	}
	both := min(s.exact, s.wildcards)
	for _, m := range []struct {
		what       string
		topic      func(dst []byte, i int) []byte
		from, upTo int
		want       int
	}{
		{"nothing", func(dst []byte, i int) []byte { return fmt.Appendf(dst, "nobody/%08d/at/home", i) }, 0, both, 0},
		{"one exact filter", appendCommand, both, s.exact, 1},
		{"one exact and one wildcard filter", appendCommand, 0, both, 2},
	} {
		if m.from == m.upTo { // as many wildcards as exact filters, or more
			continue
		}
		if err := s.matches(ctx, r, m.what, m.topic, m.from, m.upTo, m.want); err != nil {
			return err
		}
	}
	runtime.KeepAlive(clients)
	return nil
}

// appendWild appends a filter with a wildcard that matches the topic of appendCommand for the same number: of three kinds in turn.
func appendWild(dst []byte, i int) []byte {
	switch i % 3 {
	case 0:
		return fmt.Appendf(dst, "devices/%08d/+", i)
	case 1:
		return fmt.Appendf(dst, "devices/%08d/#", i)
	}
	return fmt.Appendf(dst, "+/%08d/cmd", i)
}

// matchTopics is how many topics are matched, drawn from all over, so that few of them are in the processor's caches.
const matchTopics = 200_000

// matches matches topics of numbers between from and upTo, each of which has want subscriptions.
func (s *scaleRun) matches(ctx context.Context, r *router.Router[*subscriber], what string, topic func([]byte, int) []byte, from, upTo, want int) error {
	chance := rand.New(rand.NewPCG(1, 2))
	var text []byte // of all topics, one after the other
	ends := make([]int, 0, matchTopics)
	for range matchTopics {
		text = topic(text, from+chance.IntN(upTo-from))
		ends = append(ends, len(text))
	}
	var m router.Matches[*subscriber]
	all := func(each func()) error {
		at := 0
		for _, end := range ends {
			r.Match(text[at:end], &m)
			each()
			if at = end; len(m.Subs) != want {
				return fmt.Errorf("%d matches instead of %d", len(m.Subs), want)
			}
		}
		return context.Cause(ctx)
	}
	began := time.Now()
	if err := all(func() {}); err != nil {
		return err
	}
	s.note("match of "+what+": mean", float64(time.Since(began).Nanoseconds())/matchTopics, "ns")
	var h histogram
	last := time.Now()
	err := all(func() {
		now := time.Now()
		h.record(now.Sub(last))
		last = now
	})
	s.note("match of "+what+": p99, the clock included", float64(h.quantile(0.99).Nanoseconds()), "ns")
	return err
}

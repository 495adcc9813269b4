package router

import (
	"fmt"
	"runtime"
	"testing"
)

type client struct{ id int }

// population subscribes what a large Server may hold: one filter of its own for
// each of n devices, and a filter with a wildcard for every tenth.
func population(b *testing.B, n int) *Router[*client] {
	b.Helper()
	r := New[*client](Config{})
	for i := range n {
		c := &client{i}
		mustSubscribe(b, r, "", fmt.Sprintf("devices/%07d/commands", i), c, Options{QoS: 1})
		if i%10 != 0 {
			continue
		}
		switch filter := fmt.Sprintf("devices/%07d/", i); i / 10 % 3 {
		case 0:
			mustSubscribe(b, r, "", filter+"+", c, Options{})
		case 1:
			mustSubscribe(b, r, "", filter+"#", c, Options{})
		case 2:
			mustSubscribe(b, r, "", fmt.Sprintf("+/%07d/state", i), c, Options{})
		}
	}
	return r
}

func topicsOf(n, step int) [][]byte {
	var topics [][]byte
	for i := range n {
		topics = append(topics, fmt.Appendf(nil, "devices/%07d/commands", i*step))
	}
	return topics
}

// BenchmarkMatch looks topics up among 1M exact and 100k wildcard filters.
func BenchmarkMatch(b *testing.B) {
	const subscriptions = 1_000_000
	r := population(b, subscriptions)
	for _, spread := range []struct {
		name   string
		topics [][]byte
	}{
		{"topics=64", topicsOf(64, 15001)},
		{"topics=4096", topicsOf(4096, 243)},
		{"topics=100000", topicsOf(100_000, 9)},
	} {
		topics := spread.topics
		b.Run("router/"+spread.name, func(b *testing.B) {
			b.ReportAllocs()
			var m Matches[*client]
			found := 0
			for i := 0; b.Loop(); i++ {
				r.Match(topics[i%len(topics)], &m)
				found += len(m.Subs)
			}
			if found == 0 {
				b.Fatal("nothing matched")
			}
		})
		b.Run("cache/"+spread.name, func(b *testing.B) {
			b.ReportAllocs()
			c := r.NewCache(0)
			for _, topic := range topics {
				c.Match(topic)
			}
			found := 0
			for i := 0; b.Loop(); i++ {
				found += len(c.Match(topics[i%len(topics)]).Subs)
			}
			if found == 0 {
				b.Fatal("nothing matched")
			}
			s := c.Stats()
			b.ReportMetric(float64(s.Hits)/float64(s.Hits+s.Misses+s.Bypassed), "hits/op")
		})
	}
	b.Run("router/parallel", func(b *testing.B) {
		b.ReportAllocs()
		topics := topicsOf(4096, 243)
		b.RunParallel(func(pb *testing.PB) {
			var m Matches[*client]
			for i := 0; pb.Next(); i++ {
				r.Match(topics[i%len(topics)], &m)
			}
		})
	})
}

// BenchmarkFanOut matches one topic with many subscribers.
func BenchmarkFanOut(b *testing.B) {
	for _, width := range []int{100, 10_000} {
		b.Run(fmt.Sprint("subscribers=", width), func(b *testing.B) {
			b.ReportAllocs()
			r := New[*client](Config{})
			for i := range width {
				mustSubscribe(b, r, "", "news", &client{i}, Options{})
			}
			topic := []byte("news")
			var m Matches[*client]
			for b.Loop() {
				r.Match(topic, &m)
			}
		})
	}
}

// BenchmarkSubscribe makes 100k subscriptions of one kind and takes them back.
func BenchmarkSubscribe(b *testing.B) {
	const n = 100_000
	kinds := []struct {
		name   string
		filter func(i int) string
	}{
		{"exact", func(i int) string { return fmt.Sprintf("devices/%07d/commands", i) }},
		{"wildcard", func(i int) string { return fmt.Sprintf("devices/%07d/+", i) }},
		{"front", func(i int) string { return fmt.Sprintf("+/%07d/state", i) }},
		{"same filter", func(int) string { return "all/#" }},
	}
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			filters, clients := make([]string, n), make([]client, n)
			for i := range filters {
				filters[i] = kind.filter(i)
			}
			r := New[*client](Config{})
			for b.Loop() {
				for i := range filters {
					mustSubscribe(b, r, "", filters[i], &clients[i], Options{})
				}
				for i := range filters {
					r.Unsubscribe("", filters[i], &clients[i])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/pair")
		})
	}
}

// BenchmarkMemory measures what the index costs per filter, the strings of the
// filters and the subscribers not counted.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	kinds := []struct {
		name, format string
	}{
		{"exact", "devices/%07d/commands"},
		{"wildcard", "devices/%07d/+"},
		{"hash", "devices/%07d/#"},
	}
	for _, kind := range kinds {
		b.Run(kind.name, func(b *testing.B) {
			filters, clients := make([]string, n), make([]client, n)
			for i := range filters {
				filters[i] = fmt.Sprintf(kind.format, i)
			}
			for b.Loop() {
				before := heapBytes()
				r := New[*client](Config{})
				for i := range filters {
					mustSubscribe(b, r, "", filters[i], &clients[i], Options{})
				}
				b.ReportMetric(float64(heapBytes()-before)/n, "B/filter")
				runtime.KeepAlive(r)
			}
		})
	}
}

func heapBytes() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func BenchmarkRetained(b *testing.B) {
	const n = 1_000_000
	topics := make([]string, n)
	for i := range topics {
		topics[i] = fmt.Sprintf("site/%03d/device/%06d/%s", i%500, i/4, []string{"state", "temp", "battery", "version"}[i%4])
	}
	before := heapBytes()
	r := NewRetained[*client](0)
	value := new(client)
	for _, topic := range topics {
		r.Set(topic, value)
	}
	memory := float64(heapBytes()-before) / n
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			r.Set(topics[i*7919%n], value)
		}
		b.ReportMetric(memory, "B/topic")
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		topic := []byte(topics[n/2])
		for b.Loop() {
			if _, ok := r.Get(topic); !ok {
				b.Fatal("missing")
			}
		}
	})
	for _, filter := range []string{"site/007/#", "site/007/device/000503/+", "site/007/device/+/temp", "site/+/device/000503/+"} {
		b.Run("cursor/"+filter, func(b *testing.B) {
			b.ReportAllocs()
			visits := 0
			visit := func(string, *client) bool { visits++; return true }
			for b.Loop() {
				c := NewCursor(filter)
				for r.Next(&c, 1000, visit) {
				}
			}
			b.ReportMetric(float64(visits)/float64(b.N), "visits/op")
		})
	}
}

package bench

import (
	"runtime"
	runtimemetrics "runtime/metrics"
	"time"
)

// pauses is what the runtime says of the garbage collector: how often it ran, and how long it stopped the program.
type pauses struct {
	cycles uint64
	counts []uint64
	edges  []float64 // seconds; counts[i] is between edges[i] and edges[i+1]
}

func readPauses() pauses {
	s := []runtimemetrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/sched/pauses/total/gc:seconds"}}
	runtimemetrics.Read(s)
	h := s[1].Value.Float64Histogram()
	return pauses{s[0].Value.Uint64(), append([]uint64(nil), h.Counts...), h.Buckets}
}

// since returns what came after earlier.
func (p pauses) since(earlier pauses) pauses {
	d := pauses{p.cycles - earlier.cycles, make([]uint64, len(p.counts)), p.edges}
	for i := range p.counts {
		d.counts[i] = p.counts[i] - earlier.counts[i]
	}
	return d
}

// count returns how many pauses there were: there are two or three in a cycle.
func (p pauses) count() (n uint64) {
	for _, c := range p.counts {
		n += c
	}
	return n
}

// quantile returns a time that at least the share q (0 to 1) of the pauses do not exceed, the upper edge of a bucket.
func (p pauses) quantile(q float64) time.Duration {
	total, seen := p.count(), uint64(0)
	if total == 0 {
		return 0
	}
	rank := max(1, uint64(q*float64(total)+0.9999999))
	for i, c := range p.counts {
		if seen += c; seen >= rank {
			edge := p.edges[i+1]
			if edge > longest/1e9 { // the last bucket has no end
				edge = p.edges[i]
			}
			return time.Duration(edge * float64(time.Second))
		}
	}
	panic("bench: fewer pauses than counted")
}

// collecting has the collector run again and again until stop is called, which returns the mean length of a cycle.
func collecting() (stop func() (cycle time.Duration)) {
	quit, done := make(chan struct{}), make(chan time.Duration)
	go func() {
		began, n := time.Now(), 0
		for {
			runtime.GC()
			n++
			select {
			case <-quit:
				done <- time.Since(began) / time.Duration(n)
				return
			default:
			}
		}
	}()
	return func() time.Duration { close(quit); return <-done }
}

// liveHeap collects twice, so that what finalizers kept is gone, too, and returns what is left, in bytes.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

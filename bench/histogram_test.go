package bench

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramBucketsCoverEveryValueOnce(t *testing.T) {
	if got := bucketOf(longest); got != bucketCount-1 {
		t.Fatalf("bucket of the longest duration: %d, want the last, %d", got, bucketCount-1)
	}
	low := time.Duration(0)
	for i := range bucketCount {
		high := upperEdge(i)
		if bucketOf(low) != i || bucketOf(high) != i {
			t.Fatalf("bucket %d holds %d to %d, but they map to %d and %d", i, low, high, bucketOf(low), bucketOf(high))
		}
		if width := high - low + 1; width > 1 && width > low/64 {
			t.Fatalf("bucket %d is %d wide at %d", i, width, low)
		}
		low = high + 1
	}
	if low != longest+1 {
		t.Fatalf("buckets end at %d", low)
	}
}

func TestHistogramQuantileIsNeverBelowTheTruthAndCloseToIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64() * 300_000)
		h.record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		rank := max(1, int(q*float64(len(all))+0.9999999))
		truth, got := all[rank-1], h.quantile(q)
		if got < truth || float64(got) > float64(truth)*(1+1.0/64) {
			t.Errorf("quantile %v: %v, truth %v", q, got, truth)
		}
	}
}

func TestHistogramBounds(t *testing.T) {
	var h histogram
	if h.quantile(0.99) != 0 {
		t.Error("an empty histogram has a quantile")
	}
	h.record(-time.Second)
	if got := h.quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
	h.record(24 * time.Hour)
	if got := h.quantile(1); got != longest {
		t.Errorf("a day counts as %v", got)
	}
	h.reset()
	if h.total != 0 || h.quantile(1) != 0 {
		t.Error("reset left something behind")
	}
}

func BenchmarkHistogramRecord(b *testing.B) {
	var h histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.record(time.Duration(i&0xffff) * 17)
	}
}

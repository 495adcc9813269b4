package bench

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestHistogramBucketsAreNarrowAndCoverEverything(t *testing.T) {
	low := time.Duration(0)
	for low <= longest {
		var h histogram
		h.record(low)
		high := h.quantile(1)
		if width := high - low + 1; high < low || width > 1 && width > low/128 {
			t.Fatalf("the bucket of %d ends at %d", low, high)
		}
		h.record(high)
		if pairs := h.counts(); len(pairs) != 1 || pairs[0] != [2]uint64{uint64(high), 2} {
			t.Fatalf("%d and %d are counted as %v", low, high, pairs)
		}
		low = high + 1
	}
	if low != longest+1 {
		t.Errorf("the last bucket ends at %d", low-1)
	}
}

func TestHistogramQuantileIsNeverBelowTheTruthAndCloseToIt(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 7, 10, 19, 999, 20_000} {
		var h histogram
		var all []time.Duration
		for range n {
			d := time.Duration(random.ExpFloat64() * 300_000)
			h.record(d)
			all = append(all, d)
		}
		slices.Sort(all)
		for _, q := range []float64{0, 0.01, 0.5, 0.61, 0.9, 0.99, 0.999, 1} {
			rank := max(1, int(q*float64(n)+0.9999999))
			truth, got := all[rank-1], h.quantile(q)
			if got < truth || float64(got) > float64(truth)*(1+1.0/128) {
				t.Errorf("quantile %v of %d: %v, truth %v", q, n, got, truth)
			}
		}
	}
}

func TestHistogramBounds(t *testing.T) {
	var h histogram
	if h.quantile(0.99) != 0 || h.total() != 0 || h.counts() != nil {
		t.Error("an empty histogram has something")
	}
	h.reset()
	h.record(-time.Second)
	if got := h.quantile(1); got != 0 {
		t.Errorf("a negative duration counts as %v", got)
	}
	h.record(24 * time.Hour)
	if got := h.quantile(1); got != longest {
		t.Errorf("a day counts as %v", got)
	}
	h.reset()
	if h.total() != 0 || h.quantile(1) != 0 || h.counts() != nil {
		t.Error("reset left something behind")
	}
}

func TestHistogramsOfThreeRecordersMergeToThatOfOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var one, merged, taken histogram
	var three [3]histogram
	for i := range 30_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Duration(1)<<random.IntN(40)))
		one.record(d)
		three[i%3].record(d)
	}
	for i := range three {
		text, err := json.Marshal(three[i].counts())
		if err != nil {
			t.Fatal(err)
		}
		var pairs [][2]uint64
		if err := json.Unmarshal(text, &pairs); err != nil {
			t.Fatal(err)
		}
		arrived, err := histogramOf(pairs)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(arrived.counts(), three[i].counts()) {
			t.Errorf("recorder %d: what was read is not what was written", i)
		}
		if err := merged.merge(&arrived); err != nil {
			t.Fatal(err)
		}
		if taken.take(&three[i]); three[i].total() != 0 {
			t.Errorf("recorder %d: something is left", i)
		}
	}
	for _, sum := range []*histogram{&merged, &taken} {
		if sum.total() != one.total() || !reflect.DeepEqual(sum.counts(), one.counts()) {
			t.Error("merged, they are not the histogram of one recorder")
		}
	}
}

func TestHistogramOfRefusesDamage(t *testing.T) {
	for name, pairs := range map[string][][2]uint64{
		"twice":                 {{7, 1}, {7, 1}},
		"falling":               {{7, 1}, {6, 1}},
		"an empty bucket":       {{7, 0}},
		"not an edge":           {{256, 1}},
		"far beyond":            {{longest + 1, 1}},
		"a negative edge":       {{1 << 63, 1}},
		"a negative count":      {{7, 1 << 63}},
		"more than a run has":   {{7, recordedMax + 1}},
		"that, but of two":      {{7, recordedMax}, {8, 1}},
		"an overflow of counts": {{7, 1<<64 - 1}, {8, 2}},
	} {
		if h, err := histogramOf(pairs); err == nil || h.total() != 0 {
			t.Errorf("%s: error %v, %d counted", name, err, h.total())
		}
	}
	full, err := histogramOf([][2]uint64{{0, 1}, {257, 1}, {longest, recordedMax - 2}})
	if err != nil || full.total() != recordedMax || full.quantile(1) != longest {
		t.Fatalf("whole: %v, %d counted, %v at most", err, full.total(), full.quantile(1))
	}
	var h histogram
	h.record(1)
	if err := h.merge(&full); err == nil || h.total() != 1 {
		t.Errorf("merged with what is full: error %v, %d counted", err, h.total())
	}
}

func FuzzHistogramOf(f *testing.F) {
	f.Add([]byte(`[[12,1],[12351,8]]`))
	f.Add([]byte(`[[1099511627775,1125899906842624]]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var pairs [][2]uint64
		if json.Unmarshal(text, &pairs) != nil {
			return
		}
		h, err := histogramOf(pairs)
		if err != nil {
			return
		}
		total := uint64(0)
		for _, pair := range pairs {
			total += pair[1]
		}
		if total != h.total() {
			t.Fatalf("%d in the buckets, %d in all", total, h.total())
		}
		if again := h.counts(); len(pairs) > 0 && !reflect.DeepEqual(again, pairs) {
			t.Fatalf("%v became %v", pairs, again)
		}
		last := time.Duration(0)
		for _, q := range []float64{0, 0.5, 0.999, 1} {
			if got := h.quantile(q); got < last {
				t.Fatalf("quantile %v is %v, below %v", q, got, last)
			} else {
				last = got
			}
		}
		if n := len(pairs); n > 0 && uint64(last) != pairs[n-1][0] {
			t.Fatalf("%v at most, and it was %d", last, pairs[n-1][0])
		}
	})
}

func BenchmarkHistogramRecord(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var durations [4096]time.Duration
	for i := range durations {
		durations[i] = time.Duration(random.ExpFloat64() * 300_000)
	}
	var h histogram
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		h.record(durations[i%len(durations)])
	}
}

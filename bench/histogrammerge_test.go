package bench

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestHistogramsOfThreeRecordersMergeToThatOfOne(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var one, merged histogram
	var three [3]histogram
	for i := range 30_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		one.record(d)
		three[i%3].record(d)
	}
	for i := range three {
		var arrived histogram
		if err := arrived.parse(three[i].appendTo(nil)); err != nil {
			t.Fatal(err)
		}
		if arrived != three[i] {
			t.Errorf("recorder %d: what was read is not what was written", i)
		}
		merged.merge(&arrived)
	}
	if merged != one {
		t.Error("merged, they are not the histogram of one recorder")
	}
}

func TestHistogramParseRefusesDamage(t *testing.T) {
	var h, empty histogram
	h.record(0)
	h.record(time.Second)
	h.record(longest)
	whole := h.appendTo(nil)
	damaged := map[string][]byte{
		"nothing":          {},
		"other layout":     append([]byte{1}, whole[1:]...),
		"a bucket more":    append(append([]byte{}, whole...), 0, 1),
		"far beyond":       append(append([]byte{}, whole[:2]...), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1),
		"an empty bucket":  append(append([]byte{}, whole[:2]...), 3, 0),
		"half of a pair":   whole[:3],
		"half of a number": append(append([]byte{}, whole[:2]...), 0x80),
	}
	for name, b := range damaged {
		h.record(1)
		if err := h.parse(b); err == nil || h != empty {
			t.Errorf("%s: error %v, %d counted", name, err, h.total)
		}
	}
	if err := h.parse(whole); err != nil || h.total != 3 {
		t.Errorf("whole: %v, %d counted", err, h.total)
	}
}

func FuzzHistogramParse(f *testing.F) {
	var h histogram
	h.record(12345)
	f.Add(h.appendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h, again histogram
		if h.parse(b) != nil {
			return
		}
		total := uint64(0)
		for _, n := range &h.buckets {
			total += n
		}
		if total != h.total {
			t.Fatalf("%d in the buckets, %d in all", total, h.total)
		}
		if err := again.parse(h.appendTo(nil)); err != nil || again != h {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

package bench

import (
	"math/bits"
	"time"
)

// histogram counts durations in buckets that get wider with the durations, so that
// each is at most 1/64 as wide as the values in it: below 128 ns a bucket for every
// nanosecond, then 64 buckets for every doubling. Its size is fixed, and so is the
// price of record, a few nanoseconds. Not safe for concurrent use; the zero value
// is empty.
type histogram struct {
	total   uint64
	buckets [bucketCount]uint64
}

const (
	subBits     = 6
	longestBits = 40 // 2^40 ns: 18 minutes
	longest     = 1<<longestBits - 1
	bucketCount = (longestBits-subBits-1)<<subBits + 2<<subBits
)

// record counts d. Less than nothing counts as nothing, more than 18 minutes as 18
// minutes.
func (h *histogram) record(d time.Duration) {
	h.buckets[bucketOf(d)]++
	h.total++
}

// quantile returns a duration that at least the share q (0 to 1) of those recorded
// do not exceed: the upper edge of a bucket, so that it never flatters. It is 0 when
// nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(1, uint64(q*float64(h.total)+0.9999999))
	seen := uint64(0)
	for i, n := range &h.buckets {
		if seen += n; seen >= rank {
			return upperEdge(i)
		}
	}
	return longest
}

// reset forgets everything.
func (h *histogram) reset() { *h = histogram{} }

// take adds to h what from has recorded, and resets from.
func (h *histogram) take(from *histogram) {
	if from.total == 0 {
		return
	}
	h.merge(from)
	from.reset()
}

// counts returns the upper edge of every bucket that is not empty, in nanoseconds, and
// how many durations it has: all there is to know, so that histograms of several runs
// can be added up.
func (h *histogram) counts() (pairs [][2]uint64) {
	for i, n := range &h.buckets {
		if n > 0 {
			pairs = append(pairs, [2]uint64{uint64(upperEdge(i)), n})
		}
	}
	return pairs
}

// bucketOf maps a value of k bits to its highest 7 bits, offset by 64 for each of
// the k-7 bits that were cut off. Small values are their own bucket.
func bucketOf(d time.Duration) int {
	v := uint64(min(max(d, 0), longest))
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift<<subBits + int(v>>shift)
}

// upperEdge is the largest value of bucket i.
func upperEdge(i int) time.Duration {
	if i < 2<<subBits {
		return time.Duration(i)
	}
	shift := i>>subBits - 1
	top := uint64(i - shift<<subBits)
	return time.Duration((top+1)<<shift - 1)
}

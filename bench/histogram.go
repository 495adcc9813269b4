package bench

import (
	"errors"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// histogram counts durations in an HdrHistogram: up to 255 ns each nanosecond by itself,
// and beyond that in buckets of at most 1/128 of the durations in them. All have the same
// buckets, so that those of several recorders, in one process or many, add up to what one
// recorder of everything would have. The zero value is empty and has no buckets yet, of
// which 34 KiB are made for the first duration. A copy shares them. Not safe for
// concurrent use.
type histogram struct{ hdr *hdrhistogram.Histogram }

const (
	longest = 1<<40 - 1 // ns: 18 minutes
	// figures are those of a decimal number that are kept. Three would be 248 KiB for
	// each group of a fleet, and take the loader twice as long for each message.
	figures = 2
	// recordedMax bounds what one histogram counts: more, and a float64, with which the
	// library computes quantiles, would not tell one from the next.
	recordedMax = 1 << 50
)

// buckets returns those of h, and makes them if there are none yet.
func (h *histogram) buckets() *hdrhistogram.Histogram {
	if h.hdr == nil {
		h.hdr = hdrhistogram.New(1, longest, figures)
	}
	return h.hdr
}

// record counts d. Less than nothing counts as nothing, more than 18 minutes as 18
// minutes.
func (h *histogram) record(d time.Duration) {
	_ = h.buckets().RecordValue(int64(min(max(d, 0), longest))) // in range it has no error
}

// total returns how many durations were recorded.
func (h *histogram) total() uint64 {
	if h.hdr == nil {
		return 0
	}
	return uint64(h.hdr.TotalCount())
}

// quantile returns a duration that at least the share q (0 to 1) of those recorded
// do not exceed: the upper edge of a bucket, so that it never flatters. It is 0 when
// nothing was recorded.
func (h *histogram) quantile(q float64) time.Duration {
	n := float64(h.total())
	if n == 0 {
		return 0
	}
	// The library rounds to the nearest rank. Of a whole one it finds that one.
	rank := max(1, math.Floor(q*n+0.9999999))
	return time.Duration(h.hdr.ValueAtPercentile(100 * rank / n))
}

// reset forgets everything.
func (h *histogram) reset() {
	if h.total() > 0 {
		h.hdr.Reset()
	}
}

// take adds to h what from has recorded, and resets from.
func (h *histogram) take(from *histogram) {
	h.add(from)
	from.reset()
}

// add is merge of what was recorded in this process: a run is over long before that is too
// much.
func (h *histogram) add(other *histogram) {
	if err := h.merge(other); err != nil {
		panic(err)
	}
}

var errRecorded = errors.New("histogram: it counts more than a run can have")

// merge adds everything that other has recorded. It is an error, and h as before, if that
// is more than recordedMax, which no recorder comes to.
func (h *histogram) merge(other *histogram) error {
	switch n := other.total(); {
	case n == 0:
		return nil
	case n > recordedMax-h.total():
		return errRecorded
	}
	h.buckets().Merge(other.hdr) // drops nothing, for the buckets are the same
	return nil
}

// counts returns the upper edge of every bucket that is not empty, in nanoseconds, rising,
// and how many durations it has: all there is to know. See histogramOf.
func (h *histogram) counts() (pairs [][2]uint64) {
	if h.total() == 0 {
		return nil
	}
	for _, bar := range h.hdr.Distribution() {
		if bar.Count > 0 {
			pairs = append(pairs, [2]uint64{uint64(bar.To), uint64(bar.Count)})
		}
	}
	return pairs
}

var errBuckets = errors.New("histogram: its buckets are not those of this program, or damaged")

// histogramOf is the inverse of counts. It does not trust pairs, which another machine
// may have sent: what counts never returns is an error.
func histogramOf(pairs [][2]uint64) (histogram, error) {
	var h histogram
	next := uint64(0)
	for _, pair := range pairs {
		edge, n := pair[0], pair[1]
		if edge < next || edge > longest || n == 0 {
			return histogram{}, errBuckets
		}
		if n > recordedMax-h.total() {
			return histogram{}, errRecorded
		}
		if edge < longest && h.buckets().ValuesAreEquivalent(int64(edge), int64(edge)+1) {
			return histogram{}, errBuckets // in the middle of a bucket
		}
		_ = h.buckets().RecordValues(int64(edge), int64(n)) // in range it has no error
		next = edge + 1
	}
	return h, nil
}

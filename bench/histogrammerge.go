package bench

import (
	"encoding/binary"
	"errors"
	"math"
)

// Histograms of several recorders, in one process or many, become one without losing anything: all have the same
// buckets, so that their sum is what one recorder of everything would have.

// merge adds everything that other has recorded.
func (h *histogram) merge(other *histogram) {
	for i, n := range &other.buckets {
		h.buckets[i] += n
	}
	h.total += other.total
}

// appendTo appends h in a form that parse reads: the number of buckets, which names the layout, and then for each that
// is not empty how many empty ones are before it and what it counts, all as varints.
func (h *histogram) appendTo(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, bucketCount)
	empty := uint64(0)
	for _, n := range &h.buckets {
		if n == 0 {
			empty++
			continue
		}
		dst = binary.AppendUvarint(dst, empty)
		dst = binary.AppendUvarint(dst, n)
		empty = 0
	}
	return dst
}

var errHistogram = errors.New("histogram: not one of this program's, or damaged")

// parse replaces what h has by what appendTo wrote; b is whole. After an error h is empty.
func (h *histogram) parse(b []byte) error {
	h.reset()
	layout, n := binary.Uvarint(b)
	if n <= 0 || layout != bucketCount {
		return errHistogram
	}
	at := uint64(0)
	for b = b[n:]; len(b) > 0; at++ {
		empty, n := binary.Uvarint(b)
		count, m := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || m <= 0 || empty >= bucketCount-at || count == 0 || count > math.MaxUint64-h.total {
			h.reset()
			return errHistogram
		}
		at += empty
		h.buckets[at] = count
		h.total += count
		b = b[n+m:]
	}
	return nil
}

package router

// table is a map that gives memory back. A Go map never shrinks: a burst of a
// million subscriptions that is gone again would be paid for until the process
// ends. A table is rebuilt once three quarters of what it held are gone, which
// costs a constant per removal. The zero value is empty and ready. Reading m
// directly is allowed and wanted, since only m[string(bytes)] looks a string up
// without allocating it.
type table[K comparable, V any] struct {
	m    map[K]V
	peak int // most entries since m was made
}

// tableShrinkMin is the peak below which a table is not worth rebuilding.
const tableShrinkMin = 64

func (t *table[K, V]) put(k K, v V) {
	if t.m == nil {
		t.m = make(map[K]V)
	}
	t.m[k] = v
	t.peak = max(t.peak, len(t.m))
}

func (t *table[K, V]) remove(k K) {
	delete(t.m, k)
	switch n := len(t.m); {
	case n == 0:
		*t = table[K, V]{}
	case t.peak >= tableShrinkMin && n*4 <= t.peak:
		smaller := make(map[K]V, n)
		for k, v := range t.m {
			smaller[k] = v
		}
		t.m, t.peak = smaller, n
	}
}

// swapRemove takes element i out of s by moving the last one into its place.
// Order is not kept; memory is given back when little of it is used.
func swapRemove[E any](s []E, i int) []E {
	last := len(s) - 1
	s[i] = s[last]
	clear(s[last:])
	s = s[:last]
	if cap(s) > 32 && len(s)*4 <= cap(s) {
		return append(make([]E, 0, len(s)*2), s...)
	}
	return s
}

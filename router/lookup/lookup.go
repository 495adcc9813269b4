// Package lookup is a hash table for those of whom there are millions. It is always
// nearly full, and it holds no keys: the value knows its own.
//
// A Go map has room for twice what is in it after it has grown, and a slot for a key
// beside the value even where the value is a pointer to something with its name
// inside. For a session in a registry that is 50 bytes, here it is 16.
//
//	hash  ──►  marks:  0   0   17  21  22  0   58  …    uint32 each, 0 = free
//	          values:  –   –   a   b   c   –   d   …
//
// A mark is 32 bits of the hash. It says where the search for the value begins, its
// home, as the same fraction of the table as it is of 2³²; so homes are in the order of
// marks, and the marks are kept in that order, too. A search goes right from the home
// until it meets its mark or passes where that would be; a value that comes in has
// those to its right, up to the next free place, move on by one; one that leaves has
// them move back. The table grows by a quarter, in one pass from left to right that
// looks at nothing but the marks: no key is hashed again, nor even read.
//
// Callers compare keys, which spares a function value in every search:
//
//	for i := t.First(hash); i >= 0; i = t.Next(i) {
//		if t.At(i).name == name {
//
// It imports nothing.
package lookup

// Table holds values by the hashes of their keys. The zero value is empty and ready.
// Not safe for concurrent use, but searches are among themselves.
type Table[V any] struct {
	marks  []uint32
	values []V // as long as marks
	n      int
}

const (
	minSlots = 8
	// A table is shrunk, if it is larger than shrinkSlots, when three quarters of it are free.
	shrinkSlots = 64
)

// Len returns how many values there are.
func (t *Table[V]) Len() int { return t.n }

// mark returns the part of a hash that is kept. Its low half is for the caller to
// choose among tables.
func mark(hash uint64) uint32 { return max(uint32(hash>>32), 1) }

// home is where the search for a mark begins. The last sixteenth of the places is
// nobody's home: marks only go right, and need somewhere to go.
func (t *Table[V]) home(mark uint32) int {
	homes := len(t.marks) - len(t.marks)/16
	return int(uint64(mark) * uint64(homes) >> 32)
}

// First returns the place of the first value that may have this hash, -1 if there is
// none. Other values may be there, too, by chance.
func (t *Table[V]) First(hash uint64) int {
	if t.n == 0 {
		return -1
	}
	m := mark(hash)
	for i := t.home(m); i < len(t.marks); i++ {
		switch at := t.marks[i]; {
		case at == m:
			return i
		case at == 0 || at > m:
			return -1
		}
	}
	return -1
}

// Next returns the place of the next value with the same mark as that at i, -1 if there
// is none.
func (t *Table[V]) Next(i int) int {
	if i+1 < len(t.marks) && t.marks[i+1] == t.marks[i] {
		return i + 1
	}
	return -1
}

// At returns the value at a place. Places and pointers are good until the next Insert,
// Remove or Reserve.
func (t *Table[V]) At(i int) *V { return &t.values[i] }

// Insert adds a value. The caller has seen that its key is not there yet.
func (t *Table[V]) Insert(hash uint64, v V) {
	if t.n >= len(t.marks)-len(t.marks)/8 {
		t.grow()
	}
	m := mark(hash)
	for !t.insert(m, v) { // no place to the right, by bad luck
		t.grow()
	}
}

func (t *Table[V]) grow() { t.resize(len(t.marks) + len(t.marks)/4) }

func (t *Table[V]) insert(m uint32, v V) (ok bool) {
	i := t.home(m)
	for i < len(t.marks) && t.marks[i] != 0 && t.marks[i] <= m {
		i++
	}
	free := i
	for free < len(t.marks) && t.marks[free] != 0 {
		free++
	}
	if free == len(t.marks) {
		return false
	}
	copy(t.marks[i+1:free+1], t.marks[i:free])
	copy(t.values[i+1:free+1], t.values[i:free])
	t.marks[i], t.values[i] = m, v
	t.n++
	return true
}

// Remove takes out the value at a place.
func (t *Table[V]) Remove(i int) {
	end := i + 1 // of those that are right of their homes only because somebody else was there
	for end < len(t.marks) && t.marks[end] != 0 && t.home(t.marks[end]) < end {
		end++
	}
	copy(t.marks[i:], t.marks[i+1:end])
	copy(t.values[i:], t.values[i+1:end])
	t.marks[end-1] = 0
	clear(t.values[end-1 : end])
	t.n--
	switch {
	case t.n == 0:
		*t = Table[V]{}
	case len(t.marks) > shrinkSlots && t.n <= len(t.marks)/4:
		t.resize(t.n + t.n/4)
	}
}

// Reserve makes room for n values in a table that is empty, so that it need not grow
// step by step.
func (t *Table[V]) Reserve(n int) {
	if n > 0 && t.n == 0 {
		t.resize(n + n/6)
	}
}

// Each calls f with every value until it returns false. f must not change the table.
func (t *Table[V]) Each(f func(*V) bool) {
	for i, m := range t.marks {
		if m != 0 && !f(&t.values[i]) {
			return
		}
	}
}

// resize moves everything into a table of about so many places, and at least minSlots.
func (t *Table[V]) resize(places int) {
	for places = max(places, minSlots); !t.moveTo(places); {
		places += places/8 + 1
	}
}

func (t *Table[V]) moveTo(places int) (ok bool) {
	// The allocator rounds up, and what it gives is used.
	values := append([]V(nil), make([]V, places)...)
	values = values[:cap(values)]
	to := Table[V]{marks: make([]uint32, len(values)), values: values, n: t.n}
	next := 0
	for i, m := range t.marks {
		if m == 0 {
			continue
		}
		next = max(next, to.home(m))
		if next == len(to.marks) {
			return false
		}
		to.marks[next], to.values[next] = m, t.values[i]
		next++
	}
	*t = to
	return true
}

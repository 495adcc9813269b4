package lookup

import (
	"fmt"
	"hash/maphash"
	"math/rand"
	"runtime"
	"testing"
)

type thing struct{ name string }

// model is a Table beside the map that it has to agree with.
type model struct {
	t     testing.TB
	hash  func(string) uint64
	table Table[*thing]
	want  map[string]*thing
}

func (m *model) find(name string) int {
	for i := m.table.First(m.hash(name)); i >= 0; i = m.table.Next(i) {
		if (*m.table.At(i)).name == name {
			return i
		}
	}
	return -1
}

func (m *model) flip(name string) {
	m.t.Helper()
	i := m.find(name)
	if (i >= 0) != (m.want[name] != nil) {
		m.t.Fatalf("%s: found at %d, want %v", name, i, m.want[name])
	}
	if i >= 0 {
		m.table.Remove(i)
		delete(m.want, name)
		return
	}
	x := &thing{name}
	m.table.Insert(m.hash(name), x)
	m.want[name] = x
}

// check holds the whole table against the map, and against its own order.
func (m *model) check() {
	m.t.Helper()
	n := 0
	m.table.Each(func(x **thing) bool {
		if n++; m.want[(*x).name] != *x {
			m.t.Fatalf("%s should not be there", (*x).name)
		}
		return true
	})
	if n != len(m.want) || m.table.Len() != n {
		m.t.Fatalf("%d values, Len is %d, want %d", n, m.table.Len(), len(m.want))
	}
	for name := range m.want {
		if m.find(name) < 0 {
			m.t.Fatalf("%s is not found", name)
		}
	}
	last, free := uint32(0), true
	for i, x := range m.table.marks {
		if x == 0 {
			if m.table.values[i] != nil {
				m.t.Fatalf("the free place %d holds on to %v", i, m.table.values[i])
			}
			free = true
			continue
		}
		if home := m.table.home(x); x < last || home > i || free && home != i {
			m.t.Fatalf("mark %d at %d after %d, its home is %d", x, i, last, home)
		}
		last, free = x, false
	}
}

// TestTableAgreesWithMap adds and removes at random, with good hashes and with such as put everybody in the same few places.
func TestTableAgreesWithMap(t *testing.T) {
	seed := maphash.MakeSeed()
	good := func(s string) uint64 { return maphash.String(seed, s) }
	for _, x := range []struct {
		name string
		hash func(string) uint64
	}{
		{"good", good},
		{"few", func(s string) uint64 { return good(s) % 5 << 62 }},
		{"zero", func(string) uint64 { return 0 }},
		{"last", func(string) uint64 { return 1<<64 - 1 }},
	} {
		t.Run(x.name, func(t *testing.T) {
			m := &model{t: t, hash: x.hash, want: map[string]*thing{}}
			rnd := rand.New(rand.NewSource(1))
			for _, names := range []int{3, 100, 700, 40, 1} { // it grows, and shrinks again
				for range 6 * names {
					m.flip(fmt.Sprint(rnd.Intn(names)))
				}
				m.check()
				for i := names / 2; i < 700; i++ {
					if name := fmt.Sprint(i); m.want[name] != nil {
						m.flip(name)
					}
				}
				m.check()
			}
			for name := range m.want {
				m.flip(name)
			}
			if m.check(); m.table.marks != nil {
				t.Error("an empty table keeps its memory")
			}
		})
	}
}

// TestTableOutgrowsWhatWasReserved: what a store estimates may be wrong, and is little for each of many tables.
func TestTableOutgrowsWhatWasReserved(t *testing.T) {
	for reserved := range 20 {
		for range 50 {
			seed := maphash.MakeSeed()
			m := &model{t: t, hash: func(s string) uint64 { return maphash.String(seed, s) }, want: map[string]*thing{}}
			m.table.Reserve(reserved)
			for i := range 30 {
				m.flip(fmt.Sprint(i))
			}
			m.check()
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add([]byte("abcabc"))
	f.Add([]byte{0, 255, 1, 254, 0, 255, 7, 7, 9})
	f.Fuzz(func(t *testing.T, ops []byte) {
		m := &model{t: t, want: map[string]*thing{}, hash: func(s string) uint64 { return uint64(s[0]) << 56 }}
		for _, x := range ops {
			m.flip(string([]byte{x & 0xfd, x}))
		}
		m.check()
	})
}

// TestTableIsNearlyFull: at whatever size, and so after Reserve.
func TestTableIsNearlyFull(t *testing.T) {
	seed := maphash.MakeSeed()
	m := &model{t: t, hash: func(s string) uint64 { return maphash.String(seed, s) }, want: map[string]*thing{}}
	for i := range 20_000 {
		m.flip(fmt.Sprint(i))
		if places := len(m.table.marks); i > 200 && places > 2*i {
			t.Fatalf("%d places for %d values", places, i)
		}
	}
	var reserved Table[*thing]
	reserved.Reserve(20_000)
	places := len(reserved.marks)
	m.table.Each(func(x **thing) bool {
		reserved.Insert(m.hash((*x).name), *x)
		return true
	})
	if reserved.Len() != 20_000 || len(reserved.marks) != places && len(reserved.marks) > places+places/3 {
		t.Errorf("room for %d values: %d places, then %d", reserved.Len(), places, len(reserved.marks))
	}
	for i := 100; i < 20_000; i++ {
		m.flip(fmt.Sprint(i))
	}
	if places := len(m.table.marks); places > 400 {
		t.Errorf("%d places for 100 values", places)
	}
	m.check()
}

// BenchmarkTable beside a map, with n values: what one costs, and how long it takes to find one, not to find one, and to put one in.
func BenchmarkTable(b *testing.B) {
	seed := maphash.MakeSeed()
	for _, n := range []int{100, 4000, 100_000} {
		things, missing := make([]thing, n), make([]string, n)
		for i := range things {
			things[i].name, missing[i] = fmt.Sprintf("device-%08d", i), fmt.Sprintf("nobody-%08d", i)
		}
		fill := func(t *Table[*thing]) {
			for i := range things {
				t.Insert(maphash.String(seed, things[i].name), &things[i])
			}
		}
		var t Table[*thing]
		used := grown(func() { fill(&t) })
		find := func(name string) *thing {
			for i := t.First(maphash.String(seed, name)); i >= 0; i = t.Next(i) {
				if x := *t.At(i); x.name == name {
					return x
				}
			}
			return nil
		}
		named := map[string]*thing{}
		usedMap := grown(func() {
			for i := range things {
				named[things[i].name] = &things[i]
			}
		})
		run := func(name string, f func(i int)) {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				i := 0
				for b.Loop() {
					f(i)
					if i++; i == n {
						i = 0
					}
				}
			})
		}
		run("find", func(i int) { sink = find(things[i].name) })
		run("find-map", func(i int) { sink = named[things[i].name] })
		run("miss", func(i int) { sink = find(missing[i]) })
		run("miss-map", func(i int) { sink = named[missing[i]] })
		b.Run(fmt.Sprintf("%d/insert", n), func(b *testing.B) {
			for b.Loop() {
				var t Table[*thing]
				fill(&t)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
			b.ReportMetric(used/float64(n), "B/value")
		})
		b.Run(fmt.Sprintf("%d/insert-map", n), func(b *testing.B) {
			for b.Loop() {
				m := map[string]*thing{}
				for i := range things {
					m[things[i].name] = &things[i]
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/value")
			b.ReportMetric(usedMap/float64(n), "B/value")
		})
	}
}

var sink *thing

// grown returns how many bytes are alive after f that were not before.
func grown(f func()) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}

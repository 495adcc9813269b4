package router

import (
	"reflect"
	"testing"
)

func TestTableGivesMemoryBack(t *testing.T) {
	var m table[int, int]
	const n = 10000
	for i := range n {
		m.put(i, i)
	}
	large := reflect.ValueOf(m.m).Pointer()
	for i := 100; i < n; i++ {
		m.remove(i)
	}
	if reflect.ValueOf(m.m).Pointer() == large || m.peak > 4*100 {
		t.Errorf("100 entries are in a map made for %d", m.peak)
	}
	for i := range 100 {
		if m.m[i] != i {
			t.Errorf("entry %d is %d", i, m.m[i])
		}
		m.remove(i)
	}
	if m.m != nil {
		t.Error("an empty table keeps its map")
	}
}

func TestSwapRemoveGivesMemoryBackAndForgets(t *testing.T) {
	s := make([]*int, 1000)
	for i := range s {
		s[i] = new(int)
	}
	all, last := s, s[999]
	if s = swapRemove(s, 0); len(s) != 999 || s[0] != last || all[999] != nil {
		t.Error("the last element did not move to the place of the first")
	}
	for len(s) > 10 {
		s = swapRemove(s, len(s)/2)
	}
	if cap(s) > 40 {
		t.Errorf("room for %d holds %d", cap(s), len(s))
	}
}

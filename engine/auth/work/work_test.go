package work

import (
	"slices"
	"sync"
	"testing"
	"time"
)

// gate is a pool of one worker that stands still until it is opened.
type gate struct {
	*Pool
	open    chan struct{}
	mu      sync.Mutex
	ran     []string
	dropped []string
}

func newGate(t *testing.T, waiting int) *gate {
	g := &gate{Pool: NewPool(1, waiting), open: make(chan struct{})}
	running := make(chan struct{})
	if !g.Try(Task{Run: func() { close(running); <-g.open }}) {
		t.Fatal("an idle pool takes nothing")
	}
	<-running
	return g
}

func (g *gate) try(key, name string) bool {
	return g.Try(Task{
		Key:  key,
		Run:  func() { g.mu.Lock(); g.ran = append(g.ran, name); g.mu.Unlock() },
		Drop: func() { g.dropped = append(g.dropped, name) },
	})
}

func TestPoolRunsWhatWaitsInOrder(t *testing.T) {
	g := newGate(t, 8)
	var want []string
	for _, name := range []string{"a", "b", "c"} {
		if !g.try(name, name) {
			t.Fatalf("%s has no place", name)
		}
		want = append(want, name)
	}
	last := make(chan struct{})
	g.Try(Task{Key: "last", Run: func() { close(last) }})
	close(g.open)
	<-last
	g.Close()
	if !slices.Equal(g.ran, want) || g.dropped != nil {
		t.Errorf("ran %v, dropped %v", g.ran, g.dropped)
	}
}

func TestPoolLineIsBoundedAndShared(t *testing.T) {
	g := newGate(t, 4)
	for _, step := range []struct {
		key  string
		took bool
	}{{"one", true}, {"one", true}, {"one", false}, {"two", true}, {"three", true}, {"four", false}} {
		if g.try(step.key, step.key) != step.took {
			t.Errorf("%s, with %d in line: taken is %v", step.key, g.Waiting(), !step.took)
		}
	}
	g.dropAll(t, "one", "one", "two", "three")
}

// dropAll closes the pool while its worker is busy.
func (g *gate) dropAll(t *testing.T, names ...string) {
	t.Helper()
	closed := make(chan struct{})
	dropped := make(chan struct{})
	n := len(names)
	for e := g.line.Front(); e != nil; e = e.Next() {
		task := e.Value.(Task)
		drop := task.Drop
		task.Drop = func() {
			if drop(); len(g.dropped) == n {
				close(dropped)
			}
		}
		e.Value = task
	}
	go func() { g.Close(); close(closed) }()
	<-dropped
	select {
	case <-closed:
		t.Error("closed while a task runs")
	default:
	}
	close(g.open)
	<-closed
	if !slices.Equal(g.dropped, names) || g.ran != nil {
		t.Errorf("dropped %v, ran %v", g.dropped, g.ran)
	}
	if g.try("late", "late") || !g.Closed() {
		t.Error("a closed pool takes a task")
	}
	g.Close() // again
}

func TestPoolRunsNoMoreThanItsWorkers(t *testing.T) {
	p := NewPool(3, 100)
	started, open := make(chan struct{}, 5), make(chan struct{})
	for range 5 {
		if !p.Try(Task{Run: func() { started <- struct{}{}; <-open }}) {
			t.Fatal("no place")
		}
	}
	for range 3 {
		<-started
	}
	if n := p.Waiting(); n != 2 {
		t.Errorf("%d in line behind 3 workers, want 2", n)
	}
	close(open)
	for range 2 {
		<-started
	}
	p.Close()
}

func TestAddressHasNoPort(t *testing.T) {
	for addr, want := range map[string]string{"192.0.2.1:1883": "192.0.2.1", "[2001:db8::1]:4": "2001:db8::1", "/run/x.sock": "/run/x.sock", "": ""} {
		if got := Address(addr); got != want {
			t.Errorf("%q: %q, want %q", addr, got, want)
		}
	}
}

func TestCacheForgetsInTime(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := NewCache[string](0)
	c.Put(Key{1}, "one", now.Add(time.Second), now)
	c.Put(Key{2}, "over", now, now)
	if v, ok := c.Get(Key{1}, now); !ok || v != "one" {
		t.Errorf("%q %v", v, ok)
	}
	if _, ok := c.Get(Key{2}, now); ok || c.Len() != 1 {
		t.Error("something is kept whose time is over")
	}
	if _, ok := c.Get(Key{1}, now.Add(time.Second)); ok || c.Len() != 0 {
		t.Error("found after its time")
	}
	c.Put(Key{1}, "one", now.Add(time.Second), now)
	c.Clear()
	if c.Len() != 0 {
		t.Error("not cleared")
	}
}

func TestCacheIsBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	c := NewCache[int](sample)
	for i := range 100 {
		c.Put(Key{byte(i)}, i, now.Add(time.Duration(1+i)*time.Second), now)
	}
	if c.Len() != sample {
		t.Errorf("%d entries", c.Len())
	}
	for i := 100 - sample; i < 100; i++ { // it looks at all of them, so that those with the least time left have gone
		if v, ok := c.Get(Key{byte(i)}, now); !ok || v != i {
			t.Errorf("%d: %d %v", i, v, ok)
		}
	}
	c.Put(Key{99}, -99, now.Add(time.Hour), now)
	if v, _ := c.Get(Key{99}, now); v != -99 || c.Len() != sample {
		t.Error("put again is put beside")
	}
	none := NewCache[int](-1)
	none.Put(Key{}, 1, now.Add(time.Hour), now)
	if none.Len() != 0 {
		t.Error("a cache of nothing holds something")
	}
}

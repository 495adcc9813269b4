package engine

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The garbage collector of a broker has two lives. Under traffic it should run rarely: almost nothing of a message is garbage, and
// a generous target keeps it away from the loops. But a target relative to the live heap is a promise to hold several times as
// much memory as is needed, and after a wave of connections that is what the process would go on holding, though nobody
// allocates any more and so nothing ever triggers the next collection. KeepMemory resolves both: the room for garbage
// is relative up to a bound, and when the process falls quiet it collects once and gives back what is free.

const (
	memoryInterval = 2 * time.Second
	// gcRoomBytes is how much garbage a heap may hold before it is collected, unless that is less than the live heap itself.
	gcRoomBytes = 256 << 20
	// quietBytes is how much may be allocated in one interval by a process that counts as quiet.
	quietBytes = 1 << 20
	// tidyBytes is how much must be gained before a quiet process is tidied.
	tidyBytes = 4 << 20
)

// KeepMemory governs the collector of this process until the returned function is called, which also ends its goroutine. gcPercent
// is the target while the heap is small, as of GOGC. It is for a program that is the broker and little else.
func KeepMemory(gcPercent int) (stop func()) {
	k := &memoryKeeper{gcPercent: gcPercent, quit: make(chan struct{}), joined: make(chan struct{})}
	old := debug.SetGCPercent(gcPercent)
	k.set = gcPercent
	go k.run()
	return func() {
		close(k.quit)
		<-k.joined
		debug.SetGCPercent(old)
	}
}

type memoryKeeper struct {
	gcPercent    int
	set          int // what the collector was told last
	allocated    uint64
	tidied       bool // in this quiet time
	quit, joined chan struct{}
}

func (k *memoryKeeper) run() {
	defer close(k.joined)
	t := time.NewTicker(memoryInterval)
	defer t.Stop()
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	for {
		select {
		case <-k.quit:
			return
		case <-t.C:
		}
		metrics.Read(s)
		percent, tidy := k.decide(s[0].Value.Uint64(), s[1].Value.Uint64(), s[2].Value.Uint64(), s[3].Value.Uint64())
		if percent != k.set {
			k.set = percent
			debug.SetGCPercent(percent)
		}
		if tidy {
			debug.FreeOSMemory()
		}
	}
}

// decide judges one interval: allocated in all so far, live at the last collection, objects dead or alive now, and free but not given
// back, all in bytes.
func (k *memoryKeeper) decide(allocated, live, objects, free uint64) (percent int, tidy bool) {
	percent = k.gcPercent
	if percent > 100 && live > 0 {
		percent = max(100, min(percent, int(gcRoomBytes*100/live)))
	}
	quiet := allocated-k.allocated < quietBytes
	k.allocated = allocated
	if !quiet {
		k.tidied = false
		return percent, false
	}
	gain := free
	if objects > live {
		gain += objects - live
	}
	tidy = !k.tidied && gain > tidyBytes
	k.tidied = k.tidied || tidy
	return percent, tidy
}

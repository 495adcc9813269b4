package engine

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// The garbage collector of a broker has two lives. Under traffic it should run rarely: almost nothing of a message is garbage, and
// a generous target keeps it away from the loops. But a target relative to the live heap is a promise to hold several times as
// much memory as is needed, and after a wave of connections that is what the process would go on holding, though nobody
// allocates any more and so nothing ever triggers the next collection. KeepMemory resolves both: the room for garbage
// is relative up to a bound, and when the process falls quiet it collects once and gives back what is free.
//
// While a store is loaded there is a third rule: what comes back stays, so to collect meanwhile would free next to nothing, and cost a
// third of a start with a million sessions.

const (
	memoryInterval = 2 * time.Second
	// gcRoomBytes is how much garbage a heap may hold before it is collected, unless what is scanned of it is more.
	gcRoomBytes = 64 << 20
	// minRoomBytes is how much it may hold in any case.
	minRoomBytes = 8 << 20
	// loadRoomBytes is the same while the store is loaded, unless a quarter of the machine's memory is less.
	loadRoomBytes = 1 << 30
	// minHeapBytes is what the collector takes a smaller heap for.
	minHeapBytes = 4 << 20
	// quietBytes is how much may be allocated in one interval by a process that counts as quiet.
	quietBytes = 1 << 20
	// tidyBytes is how much must be gained before a quiet process is tidied.
	tidyBytes = 4 << 20
)

// MemoryKeeper governs the collector of this process.
type MemoryKeeper struct {
	gcPercent    int
	set          int           // what the collector was told last
	loadRoom     uint64        // bytes
	loading      chan struct{} // closed by Loaded
	allocated    uint64
	tidied       bool          // in this quiet time
	short        bool          // the limit was reported
	collected    chan struct{} // has a value after a collection
	limit        atomic.Pointer[memoryLimit]
	quit, joined chan struct{}
}

// memoryLimit is whom to tell that little memory is left.
type memoryLimit struct {
	bytes  uint64
	report func(short bool)
}

// Limit has report called, on the keeper's goroutine, when more than nine tenths of bytes are live after a collection, and again when it is
// less than eight tenths. It is not called twice with the same answer, nor before the first collection that follows.
func (k *MemoryKeeper) Limit(bytes uint64, report func(short bool)) {
	k.limit.Store(&memoryLimit{bytes, report})
}

// judgeLimit says what the reporter has to hear, if anything, with so many bytes live.
func (k *MemoryKeeper) judgeLimit(live uint64) {
	l := k.limit.Load()
	if l == nil {
		return
	}
	switch {
	case !k.short && live > l.bytes/10*9:
		k.short = true
		l.report(true)
	case k.short && live < l.bytes/10*8:
		k.short = false
		l.report(false)
	}
}

// KeepMemory governs the collector until Stop is called, which also ends its goroutine. gcPercent is the target while the heap is small,
// as of GOGC. It is for a program that is the broker and little else. Until Loaded is called the process is taken to be loading what it
// will keep.
func KeepMemory(gcPercent int) *MemoryKeeper {
	k := &MemoryKeeper{gcPercent: gcPercent, loadRoom: min(loadRoomBytes, memoryTotal()/4),
		loading: make(chan struct{}), collected: make(chan struct{}, 1), quit: make(chan struct{}), joined: make(chan struct{})}
	k.set = k.whileLoading(0)
	old := debug.SetGCPercent(k.set)
	go func() {
		defer close(k.joined)
		k.run()
		debug.SetGCPercent(old)
	}()
	return k
}

// Loaded ends the time of loading. Called once.
func (k *MemoryKeeper) Loaded() { close(k.loading) }

// Stop gives the collector back as it was. Called once.
func (k *MemoryKeeper) Stop() {
	close(k.quit)
	<-k.joined
}

func (k *MemoryKeeper) run() {
	t := time.NewTicker(memoryInterval)
	defer t.Stop()
	s := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}
	k.watch()
	loading := k.loading
	for {
		tick := false
		select {
		case <-k.quit:
			return
		case <-loading:
			loading = nil
		case <-k.collected:
		case <-t.C:
			tick = true
		}
		metrics.Read(s)
		live := s[1].Value.Uint64()
		k.judgeLimit(live)
		switch {
		case loading != nil:
			k.tell(k.whileLoading(live))
		case !tick:
			k.tell(k.percent(live, s[2].Value.Uint64()))
		case k.quiet(s[0].Value.Uint64(), live, s[3].Value.Uint64(), s[4].Value.Uint64()):
			debug.FreeOSMemory()
		}
	}
}

// watch has run woken after each collection, until Stop: what was live in it says when the next is due, and while the heap grows fast
// several come in one interval.
func (k *MemoryKeeper) watch() {
	type sentinel struct{ *MemoryKeeper }
	var again func(s *sentinel)
	again = func(s *sentinel) {
		select {
		case <-s.quit:
			return
		case s.collected <- struct{}{}:
		default:
		}
		runtime.SetFinalizer(s, again)
	}
	runtime.SetFinalizer(&sentinel{k}, again)
}

// tell sets the target of the collector.
func (k *MemoryKeeper) tell(percent int) {
	if percent != k.set {
		k.set = percent
		debug.SetGCPercent(percent)
	}
}

// whileLoading is the target while so many bytes were live at the last collection.
func (k *MemoryKeeper) whileLoading(live uint64) int {
	if k.gcPercent <= 100 {
		return k.gcPercent // somebody is short of memory
	}
	return max(k.gcPercent, int(k.loadRoom*100/max(live, minHeapBytes)))
}

// percent is the target after a collection that found so many bytes alive, and had to scan so many of them. Only these are dear: the
// caches and tables of the store, tens of megabytes without a pointer, are passed over, and give no claim to garbage either.
func (k *MemoryKeeper) percent(live, scanned uint64) int {
	if k.gcPercent <= 100 {
		return k.gcPercent
	}
	room := min(scanned*uint64(k.gcPercent)/100, max(gcRoomBytes, scanned))
	room = max(room, minRoomBytes, live/8)
	return min(k.gcPercent, int(room*100/max(live, minHeapBytes)))
}

// quiet judges one interval, and tells whether it is worth while to tidy: allocated in all so far, live at the last collection, objects
// dead or alive now, and free but not given back, all in bytes.
func (k *MemoryKeeper) quiet(allocated, live, objects, free uint64) (tidy bool) {
	quiet := allocated-k.allocated < quietBytes
	k.allocated = allocated
	if !quiet {
		k.tidied = false
		return false
	}
	gain := free
	if objects > live {
		gain += objects - live
	}
	tidy = !k.tidied && gain > tidyBytes
	k.tidied = k.tidied || tidy
	return tidy
}

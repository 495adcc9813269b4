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
// is relative up to a bound, and a process that is quiet collects, and gives back what is free, as soon as that is worth it.
//
// What it is worth is measured against the heap, and what it costs against the time. A sixteenth of what is alive is gained at
// least, so that four thousand connections on a small broker do not keep their garbage, a kilobyte each, because it is less than some
// round number. And tidying takes the two hundredth part of the time at most: six milliseconds for a heap of 25 MB come every two
// seconds if need be, a quarter of a second for one of a gigabyte once a minute. That bound is all that a trickle of traffic needs.
// Messages leave next to no garbage, and clients that come and go one by one leave little: who serves either counts as quiet for
// ever, and is tidied each time enough has come together.
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
	// A quiet process is tidied when that gains a tidyPart of what is live, but not for less than minTidyBytes, and for maxTidyBytes
	// in any case.
	tidyPart     = 16
	minTidyBytes = 256 << 10
	maxTidyBytes = 4 << 20
	// tidyShare is how many times as long as it took to tidy the process is left alone afterwards.
	tidyShare = 200
)

// MemoryKeeper governs the collector of this process.
type MemoryKeeper struct {
	gcPercent    int
	set          int           // what the collector was told last
	loadRoom     uint64        // bytes
	loading      chan struct{} // closed by Loaded
	allocated    uint64
	left         uint64        // what could not be gained when the process was tidied last
	rest         time.Time     // until then it is not tidied again
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
	h := newHeapFigures()
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
		h.read()
		k.judgeLimit(h.live)
		switch {
		case loading != nil:
			k.tell(k.whileLoading(h.live))
		case !tick:
			k.tell(k.percent(h.live, h.scanned))
		case k.quiet(h.heap, time.Now()):
			start := time.Now()
			debug.FreeOSMemory()
			h.read()
			k.tidied(h.heap, start, time.Now())
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

// heap is what the runtime says of it, all in bytes.
type heap struct {
	allocated uint64 // since the start
	live      uint64 // at the last collection
	scanned   uint64 // of that
	objects   uint64 // dead or alive now
	free      uint64 // but not given back
}

// gain is what tidying would bring, at most: what came after the last collection may be alive.
func (h *heap) gain() uint64 {
	if h.objects > h.live {
		return h.free + h.objects - h.live
	}
	return h.free
}

// heapFigures is a heap and where it is read from.
type heapFigures struct {
	heap
	samples []metrics.Sample
}

func newHeapFigures() *heapFigures {
	return &heapFigures{samples: []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/free:bytes"},
	}}
}

func (h *heapFigures) read() {
	metrics.Read(h.samples)
	for i, to := range []*uint64{&h.allocated, &h.live, &h.scanned, &h.objects, &h.free} {
		*to = h.samples[i].Value.Uint64()
	}
}

// quiet judges the interval that ends now, and tells whether it is worth while to tidy.
func (k *MemoryKeeper) quiet(h heap, now time.Time) (tidy bool) {
	quiet := h.allocated-k.allocated < quietBytes
	k.allocated = h.allocated
	enough := max(minTidyBytes, min(h.live/tidyPart, maxTidyBytes))
	return quiet && h.gain() >= k.left+enough && !now.Before(k.rest)
}

// tidied notes what is left after that was done.
func (k *MemoryKeeper) tidied(h heap, start, end time.Time) {
	k.left, k.rest = h.gain(), end.Add(tidyShare*end.Sub(start))
}

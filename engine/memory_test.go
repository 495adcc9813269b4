package engine

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestMemoryIsGivenBackWhenQuiet(t *testing.T) {
	const kb, mb = 1 << 10, 1 << 20
	k := &MemoryKeeper{gcPercent: 400}
	start := time.Now()
	steps := []struct {
		second    time.Duration
		allocated uint64
		heap      heap // without allocated
		tidy      bool
	}{
		{2, 100 * mb, heap{live: 20 * mb, objects: 60 * mb}, false},                       // a wave of connections
		{4, 100*mb + 1*kb, heap{live: 20 * mb, objects: 60 * mb}, true},                   // over: 40 MB of garbage
		{6, 100*mb + 2*kb, heap{live: 30 * mb, objects: 30 * mb}, false},                  // nothing more to gain
		{8, 200 * mb, heap{live: 128 * mb, objects: 130 * mb, free: 10 * mb}, false},      // busy
		{10, 200*mb + 1*kb, heap{live: 128 * mb, objects: 130 * mb, free: 1 * mb}, false}, // 3 MB of 128 are not much
		{12, 200*mb + 2*kb, heap{live: 128 * mb, objects: 130 * mb, free: 9 * mb}, true},  // free, but still held
		{14, 203 * mb, heap{live: 10 * mb, objects: 11 * mb}, false},
		{16, 203*mb + 1*kb, heap{live: 10 * mb, objects: 11 * mb}, true},                    // as much as that is enough in a small heap
		{18, 203*mb + 2*kb, heap{live: 1 * mb, objects: 1*mb + 200*kb, free: 1}, false},     // but not any trifle
		{20, 203*mb + 900*kb, heap{live: 10 * mb, objects: 10 * mb, free: 600 * kb}, false}, // a trickle of clients,
		{22, 204 * mb, heap{live: 10 * mb, objects: 10*mb + 100*kb, free: 600 * kb}, true},  // which add up
	}
	for _, s := range steps {
		now := start.Add(s.second * time.Second)
		s.heap.allocated = s.allocated
		tidy := k.quiet(s.heap, now)
		if tidy != s.tidy {
			t.Errorf("at %d s: tidy %v, want %v", s.second, tidy, s.tidy)
		}
		if tidy {
			k.tidied(heap{}, now, now.Add(time.Millisecond))
		}
	}
}

// TestTidyingIsBoundedByTime: a collection of a large heap takes long, and must not come for every bit of garbage.
func TestTidyingIsBoundedByTime(t *testing.T) {
	const mb = 1 << 20
	k := &MemoryKeeper{gcPercent: 400}
	start := time.Now()
	full := heap{live: 1000 * mb, objects: 1010 * mb}
	if !k.quiet(full, start) {
		t.Fatal("10 MB are not worth it")
	}
	k.tidied(heap{free: 2 * mb}, start, start.Add(time.Second))
	for _, s := range []struct {
		after time.Duration // seconds
		more  uint64
		tidy  bool
	}{{100, 9 * mb, false}, {200, 9 * mb, false}, {201, 5 * mb, false}, {202, 6 * mb, true}} {
		h := heap{live: 1000 * mb, objects: 1000*mb + s.more}
		if tidy := k.quiet(h, start.Add(s.after*time.Second)); tidy != s.tidy {
			t.Errorf("after %d s with %d MB to gain, of which 2 stayed the last time: %v", s.after, s.more/mb, tidy)
		}
	}
}

func TestRoomForGarbage(t *testing.T) {
	const mb = 1 << 20
	for _, s := range []struct {
		live, scanned uint64
		percent       int
	}{
		{0, 0, 200},
		{4 * mb, 4 * mb, 400},
		{10 * mb, 10 * mb, 400},
		{32 * mb, 32 * mb, 200},     // a larger heap has less room in proportion
		{100 * mb, 4 * mb, 16},      // a store's caches give no claim
		{2000 * mb, 4 * mb, 12},     // but to look at them costs something too
		{2000 * mb, 2000 * mb, 100}, // never less than what is scanned
		{4000 * mb, 2000 * mb, 50},  //
		{400 << 30, 400 << 30, 100},
	} {
		if percent := (&MemoryKeeper{gcPercent: 400}).percent(s.live, s.scanned); percent != s.percent {
			t.Errorf("%d MB live, %d scanned: %d%%, want %d%%", s.live/mb, s.scanned/mb, percent, s.percent)
		}
	}
	if percent := (&MemoryKeeper{gcPercent: 50}).percent(1000*mb, 1000*mb); percent != 50 {
		t.Errorf("a strict target became %d%%", percent)
	}
}

// TestTargetFollowsEachCollection: not only each interval, in which a heap may grow by gigabytes.
func TestTargetFollowsEachCollection(t *testing.T) {
	k := KeepMemory(400)
	k.Loaded()
	defer k.Stop()
	target := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	held := make([][]byte, 0, 64)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if len(held) < cap(held) {
			held = append(held, make([]byte, 4<<20))
		}
		runtime.GC()
		metrics.Read(target)
		if target[0].Value.Uint64() < 100 {
			break // 16 MB to 200 and more
		}
		if time.Now().After(deadline) {
			t.Fatalf("the target is %d%% with %d MB that nobody scans", target[0].Value.Uint64(), len(held)*4)
		}
	}
	runtime.KeepAlive(held)
}

func TestLimitOfMemoryIsReportedOnceEachWay(t *testing.T) {
	k := &MemoryKeeper{}
	k.judgeLimit(1 << 40) // nobody asked
	var said []bool
	k.Limit(1000, func(short bool) { said = append(said, short) })
	for _, live := range []uint64{900, 901, 950, 850, 800, 799, 100, 899} {
		k.judgeLimit(live)
	}
	if len(said) != 2 || !said[0] || said[1] {
		t.Errorf("reported %v, want true at 901 and false at 799", said)
	}
}

func TestMemoryKeeperStops(t *testing.T) {
	k := KeepMemory(400)
	k.Loaded()
	k.Stop()
	KeepMemory(400).Stop() // what never was loaded
}

func TestMemoryHasRoomWhileLoading(t *testing.T) {
	const mb = 1 << 20
	k := &MemoryKeeper{gcPercent: 400, loadRoom: 1024 * mb}
	for _, s := range []struct {
		live    uint64
		percent int
	}{{0, 25600}, {64 * mb, 1600}, {4096 * mb, 400}} {
		if percent := k.whileLoading(s.live); percent != s.percent {
			t.Errorf("%d MB live: %d%%, want %d%%", s.live/mb, percent, s.percent)
		}
	}
	if percent := (&MemoryKeeper{gcPercent: 50, loadRoom: 1024 * mb}).whileLoading(0); percent != 50 {
		t.Errorf("a strict target became %d%%", percent)
	}
}

package engine

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

func TestMemoryIsGivenBackOncePerQuietTime(t *testing.T) {
	k := &MemoryKeeper{gcPercent: 400}
	const mb = 1 << 20
	steps := []struct {
		allocated, live, objects, free uint64
		tidy                           bool
	}{
		{100 * mb, 20 * mb, 60 * mb, 0, false},             // a wave of connections
		{100*mb + 1000, 20 * mb, 60 * mb, 0, true},         // over: 40 MB of garbage
		{100*mb + 2000, 30 * mb, 30 * mb, 10 * mb, false},  // once is enough
		{200 * mb, 128 * mb, 130 * mb, 10 * mb, false},     // busy
		{200*mb + 1000, 128 * mb, 130 * mb, 1 * mb, false}, // nothing to gain
		{200*mb + 2000, 128 * mb, 130 * mb, 9 * mb, true},  // free, but still held
	}
	for i, s := range steps {
		if tidy := k.quiet(s.allocated, s.live, s.objects, s.free); tidy != s.tidy {
			t.Errorf("step %d: tidy %v, want %v", i, tidy, s.tidy)
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

package engine

import "testing"

func TestMemoryIsGivenBackOncePerQuietTime(t *testing.T) {
	k := &MemoryKeeper{gcPercent: 400}
	const mb = 1 << 20
	steps := []struct {
		allocated, live, objects, free uint64
		percent                        int
		tidy                           bool
	}{
		{100 * mb, 10 * mb, 50 * mb, 0, 400, false},            // a wave of connections
		{100*mb + 1000, 10 * mb, 50 * mb, 0, 400, true},        // over: 40 MB of garbage
		{100*mb + 2000, 15 * mb, 15 * mb, 10 * mb, 400, false}, // once is enough
		{200 * mb, 32 * mb, 34 * mb, 10 * mb, 200, false},      // a larger heap has less room in proportion
		{200*mb + 1000, 32 * mb, 34 * mb, 1 * mb, 200, false},  // nothing to gain
		{200*mb + 2000, 32 * mb, 34 * mb, 9 * mb, 200, true},   // free, but still held
		{900 * mb, 2000 * mb, 2100 * mb, 0, 100, false},        // never less than the live heap
	}
	for i, s := range steps {
		percent, tidy := k.decide(s.allocated, s.live, s.objects, s.free)
		if percent != s.percent || tidy != s.tidy {
			t.Errorf("step %d: %d%% tidy %v, want %d%% %v", i, percent, tidy, s.percent, s.tidy)
		}
	}
	if percent, _ := (&MemoryKeeper{gcPercent: 50}).decide(0, 1000*mb, 0, 0); percent != 50 {
		t.Errorf("a strict target became %d%%", percent)
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

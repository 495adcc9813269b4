package crash

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestMain refuses to run without a broker.
func TestMain(m *testing.M) {
	if os.Getenv("INTEROP_BIN") == "" {
		fmt.Fprintln(os.Stderr, "INTEROP_BIN is not set: start the suite with run.sh crash")
		os.Exit(2)
	}
	os.Exit(m.Run())
}

// fromEnviron reads a number; absent is the number given.
func fromEnviron(t *testing.T, name string, absent int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return absent
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// rounds of one kind, added up in the log.
func rounds(t *testing.T, count int, o settings) {
	var total verdict
	first := fromEnviron(t, "SEED", 1)
	for i := range count {
		seed := first + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			o := o
			o.seed = uint64(seed)
			v := play(t, o)
			t.Logf("seed=%d %v", seed, v)
			total.add(v)
			v.report(t)
		})
	}
	t.Logf("total: rounds=%d %v", count, total)
}

// report fails the test for each promise that was broken.
func (v verdict) report(t *testing.T) {
	t.Helper()
	const most = 20
	for i, f := range v.faults {
		if i == most {
			t.Errorf("and %d more", len(v.faults)-most)
			return
		}
		t.Error(f)
	}
}

// TestAcknowledgedSurvivesSIGKILL ends the broker with SIGKILL at random moments: nothing
// that it acknowledged is lost, QoS 2 comes once, each topic in its order, and what is
// retained is the last. ROUNDS= sets how many rounds, SEED= where the seeds begin.
func TestAcknowledgedSurvivesSIGKILL(t *testing.T) {
	rounds(t, fromEnviron(t, "ROUNDS", 20), settings{
		program: gannet("--durability", "sync"), signal: syscall.SIGKILL,
		kills: 5, messages: 400, quiet: patience,
	})
}

// TestAcknowledgedSurvivesSIGTERM ends it in an orderly way under load; its exit status
// is 0.
func TestAcknowledgedSurvivesSIGTERM(t *testing.T) {
	rounds(t, 2, settings{
		program: gannet("--durability", "sync"), signal: syscall.SIGTERM,
		kills: 4, messages: 400, quiet: patience,
	})
}

// TestDurability tells the modes apart as far as the end of a process can: sync and os
// keep what they acknowledged, off keeps nothing and starts empty. That sync reaches the
// disk before it acknowledges is shown by TestAcknowledgedAfterSync.
func TestDurability(t *testing.T) {
	o := settings{signal: syscall.SIGKILL, seed: uint64(fromEnviron(t, "SEED", 1)), kills: 3, messages: 200, quiet: patience}
	for _, mode := range []string{"sync", "os"} {
		t.Run(mode, func(t *testing.T) {
			o := o
			o.program = gannet("--durability", mode)
			v := play(t, o)
			t.Logf("%s: %v", mode, v)
			v.report(t)
		})
	}
	t.Run("off", func(t *testing.T) {
		o := o
		o.program, o.quiet = gannet("--durability", "off"), 2*time.Second
		v := play(t, o)
		t.Logf("off: %v", v)
		if v.lost == 0 || v.sessionsLost == 0 {
			t.Error("nothing was lost that was in memory only")
		}
	})
}

// TestLossIsSeen lets mosquitto, which writes to disk long after it has acknowledged,
// go through the same. A test that finds nothing wrong there would find nothing wrong
// anywhere.
func TestLossIsSeen(t *testing.T) {
	v := play(t, settings{
		program: mosquitto(), seed: 1, signal: syscall.SIGKILL,
		kills: 2, messages: 100, quiet: 2 * time.Second,
	})
	t.Logf("mosquitto: %v", v)
	if v.lost == 0 || v.sessionsLost == 0 || v.retainedWrong == 0 {
		t.Error("no loss was seen")
	}
}

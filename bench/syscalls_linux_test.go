package bench

import (
	"errors"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// counting counts the system calls of this process, or skips the test where that cannot be
// had.
func counting(t *testing.T) *syscallCounter {
	t.Helper()
	c, err := countSyscalls(os.Getpid())
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		t.Skipf("the kernel does not let this user count: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func TestSyscallsOfOldAndNewThreadsAreCountedByName(t *testing.T) {
	zero, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer zero.Close()
	const threads, each = 8, 500
	c := counting(t)
	before, err := c.read()
	if err != nil {
		t.Fatal(err)
	}
	var all, held sync.WaitGroup
	held.Add(threads)
	for range threads {
		all.Go(func() {
			runtime.LockOSThread() // and all at the same time: some of these threads are new
			defer runtime.UnlockOSThread()
			held.Done()
			held.Wait()
			var b [1]byte
			for range each {
				if _, err := syscall.Read(int(zero.Fd()), b[:]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	after, err := c.read()
	if err != nil {
		t.Fatal(err)
	}
	x := syscallsBetween(c.names, before, after, func(n float64) float64 { return n / (threads * each) })
	if len(x.ByName) == 0 || x.ByName[0].Name != "read" || x.ByName[0].Each < 1 || x.All < x.ByName[0].Each {
		t.Errorf("%d reads a thread by %d threads are %+v", each, threads, x)
	}
}

func TestRunCountsTheSystemCallsOfTheBroker(t *testing.T) {
	counting(t).close()
	running := startEngine(t)
	args := []string{"p2p", "--publishers", "2", "--subscribers", "2", "--seconds", "0.05", "--warm", "0", "--syscalls", running.addr.String()}
	for name, more := range map[string][]string{"alone": nil, "with agents": {"--agents", addresses(startAgents(t, 2, nil))}} {
		t.Run(name, func(t *testing.T) {
			status, x, stdout, stderr := runMain(t, append(args, more...)...)
			if status != statusOK || len(x.Phases) == 0 {
				t.Fatalf("status %d\n%s%s", status, stdout, stderr)
			}
			load := x.Phases[len(x.Phases)-1]
			if load.Broker == nil || load.Broker.Syscalls == nil || load.Broker.Syscalls.All == 0 || len(load.Broker.Syscalls.ByName) == 0 {
				t.Fatalf("%+v", load.Broker)
			}
			if !strings.Contains(stdout, "System calls of the broker in phase load") || !strings.Contains(stdout, " "+load.Broker.Syscalls.ByName[0].Name) {
				t.Errorf("not in the report:\n%s", stdout)
			}
		})
	}
}

func TestSyscallsOfNobodyAreAnError(t *testing.T) {
	const nobody = 1 << 30 // above what the kernel gives
	if c, err := countSyscalls(nobody); err == nil || c != nil {
		t.Errorf("counting those of process %d: %v", nobody, err)
	}
	status, _, _, stderr := runMain(t, "p2p", "--syscalls", "--pid", "-1")
	if status == statusOK || !strings.Contains(stderr, "write --pid PID") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

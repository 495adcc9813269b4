package bench

import (
	"syscall"
	"testing"
	"time"
)

func TestPhaseWaitsWithoutSlack(t *testing.T) {
	l := pacedLoop(t, 1, 1)
	slack, looks := uintptr(0), 0
	p := phase{
		limit: time.Minute, stall: time.Minute, progress: func() uint64 { return 0 },
		done: func() bool { return looks == 2 },
		pace: func() time.Duration {
			looks++
			slack, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_GET_TIMERSLACK, 0, 0)
			return time.Microsecond
		},
	}
	if err := p.run(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if slack != 1 {
		t.Errorf("the kernel may be %d ns late, want 1", slack)
	}
}

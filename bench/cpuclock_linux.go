package bench

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU returns the user and system time that process pid has used, all its
// threads together, the ended ones included. The kernel has a clock for it, which counts
// nanoseconds; /proc/PID/stat counts hundredths of a second.
func processCPU(pid int) (time.Duration, error) {
	// As clock_getcpuclockid(3) makes it: the complement of the process above three
	// bits that say which of its clocks, 2 for that of the scheduler.
	const scheduler = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

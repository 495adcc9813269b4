package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// tracing is where the kernel tells the numbers of its tracepoints.
const tracing = "/sys/kernel/tracing/events/"

const (
	// threadsMax bounds the threads of a broker whose system calls are counted: each takes
	// a descriptor for every name.
	threadsMax = 256
	// threadsTries is how often threads may come or go while counting begins.
	threadsTries = 10
)

// syscallCounter counts the system calls of one process in the kernel, with perf_event_open(2)
// on the tracepoints of their entry: strace would make every call many times as long, and the
// broker another one. Threads that begin later, and child processes, count as well. Used by
// one goroutine; close gives the descriptors back.
type syscallCounter struct {
	pid   int
	names []string // the first is that of all calls together
	files [][]int  // descriptors by name, one for each thread
}

// countSyscalls begins to count. Errors say how to get what is missing.
func countSyscalls(pid int) (*syscallCounter, error) {
	all, err := tracepoint("raw_syscalls/sys_enter")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("syscalls: %w: this kernel has no tracefs there: mount -t tracefs none /sys/kernel/tracing", err)
	case err != nil:
		return nil, fmt.Errorf("syscalls: %w: it takes root to count them", err)
	}
	names, points := []string{"all"}, []uint64{all}
	for _, name := range syscallNames {
		if id, err := tracepoint("syscalls/sys_enter_" + name); err == nil { // otherwise this architecture has no such call
			names, points = append(names, name), append(points, id)
		}
	}
	for range threadsTries {
		threads, err := threadsOf(pid)
		if err != nil {
			return nil, err
		}
		c := &syscallCounter{pid: pid, names: names}
		if err := c.attach(threads, points); err != nil {
			c.close()
			return nil, err
		}
		// A thread that an unwatched one has begun meanwhile is not watched.
		if now, err := threadsOf(pid); err == nil && slices.Equal(now, threads) {
			return c, nil
		}
		c.close()
	}
	return nil, fmt.Errorf("syscalls: threads of process %d come and go all the time", pid)
}

// tracepoint reads the number of one.
func tracepoint(name string) (uint64, error) {
	text, err := os.ReadFile(tracing + name + "/id")
	if err != nil {
		return 0, err
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// threadsOf returns the threads of a process, rising.
func threadsOf(pid int) (threads []int, err error) {
	folders, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	if err != nil || len(folders) == 0 {
		return nil, fmt.Errorf("syscalls: there is no process %d", pid)
	}
	if len(folders) > threadsMax {
		return nil, fmt.Errorf("syscalls: process %d has %d threads, more than the %d that can be counted", pid, len(folders), threadsMax)
	}
	for _, folder := range folders {
		id, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return nil, fmt.Errorf("syscalls: thread: %w", err)
		}
		threads = append(threads, id)
	}
	slices.Sort(threads)
	return threads, nil
}

// attach opens a counter for each tracepoint and thread.
func (c *syscallCounter) attach(threads []int, points []uint64) error {
	for _, point := range points {
		attr := unix.PerfEventAttr{
			Type: unix.PERF_TYPE_TRACEPOINT, Config: point, Bits: unix.PerfBitInherit,
			Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})),
		}
		var files []int
		for _, thread := range threads {
			fd, err := unix.PerfEventOpen(&attr, thread, -1, -1, unix.PERF_FLAG_FD_CLOEXEC)
			switch {
			case err == unix.ESRCH: // it has ended
				continue
			case err == unix.EACCES || err == unix.EPERM:
				err = fmt.Errorf("%w: it takes root, or CAP_PERFMON, to count them", err)
			}
			if err != nil {
				c.files = append(c.files, files)
				return fmt.Errorf("syscalls: of process %d: %w", c.pid, err)
			}
			files = append(files, fd)
		}
		c.files = append(c.files, files)
	}
	return nil
}

// read returns how many calls of each name there were since counting began.
func (c *syscallCounter) read() ([]uint64, error) {
	counts := make([]uint64, len(c.files))
	var value [8]byte
	for i, files := range c.files {
		for _, fd := range files {
			if n, err := unix.Read(fd, value[:]); err != nil || n != len(value) {
				return nil, fmt.Errorf("syscalls: read a counter: %d bytes, %w", n, err)
			}
			counts[i] += binary.NativeEndian.Uint64(value[:])
		}
	}
	return counts, nil
}

// close ends counting. c may be nil.
func (c *syscallCounter) close() {
	if c == nil {
		return
	}
	for _, files := range c.files {
		for _, fd := range files {
			_ = unix.Close(fd) // there is nothing to lose
		}
	}
	c.files = nil
}

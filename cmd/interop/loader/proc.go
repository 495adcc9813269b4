package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// processTime returns the processor time of a process, user and system, of all threads
// that it has or had; 0 for process 0. The kernel tells it in hundredths of a second.
func processTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name, in parentheses, may have spaces. Behind it utime and stime are the 12th
	// and 13th field.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return time.Duration(user+system) * (time.Second / 100), nil
}

// ownTime returns the processor time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reading is what two processes had used at a time.
type reading struct {
	at             time.Duration
	broker, loader time.Duration
}

func read(now clock, pid int) (r reading, err error) {
	if r.broker, err = processTime(pid); err != nil {
		return r, err
	}
	r.at, r.loader = now.now(), ownTime()
	return r, nil
}

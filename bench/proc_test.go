package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestProcessorTimeIsThatOfTheProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processor time of other processes is read on Linux only")
	}
	before := ownCPU()
	got, err := processCPU(os.Getpid())
	if after := ownCPU(); err != nil || got < before-time.Millisecond || got > after+time.Millisecond {
		t.Errorf("%v, %v; this process has used between %v and %v", got, err, before, after)
	}
	if got, err := processCPU(os.Getppid()); err != nil || got <= 0 {
		t.Errorf("of the parent: %v, %v", got, err)
	}
	const beyond = 1 << 22 // the kernel's bound on process identifiers
	if got, err := processCPU(beyond); err == nil {
		t.Errorf("of a process that is not there: %v", got)
	}
}

func TestParseStatus(t *testing.T) {
	tests := []struct {
		text string
		want int64
		ok   bool
	}{
		{"Name:\tgannet\nVmHWM:\t   9000 kB\nVmRSS:\t    5120 kB\nThreads:\t7\n", 5120 << 10, true},
		{"Name:\tkthreadd\nThreads:\t1\n", 0, false},
		{"VmRSS:\t5 MB\n", 0, false},
		{"VmRSS:\tmany kB\n", 0, false},
	}
	for _, tt := range tests {
		got, err := parseStatus([]byte(tt.text), "VmRSS")
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %d, %v", tt.text, got, err)
		}
	}
}

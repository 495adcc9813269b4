package bench

import (
	"bytes"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what figures have to be read with.
type machine struct {
	Date       time.Time `json:"date"`
	System     string    `json:"system"`    // of the Go toolchain, such as linux/amd64
	Kernel     string    `json:"kernel"`    // empty: unknown
	Processor  string    `json:"processor"` // its model; empty: unknown
	Processors int       `json:"processors"`
	Memory     int64     `json:"memory_bytes"` // 0: unknown
	Go         string    `json:"go"`
}

func thisMachine() machine {
	m := machine{
		Date: time.Now().UTC().Truncate(time.Second), System: runtime.GOOS + "/" + runtime.GOARCH,
		Processors: runtime.NumCPU(), Memory: meminfo("MemTotal"), Go: runtime.Version(),
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.Processor = firstModel(text)
	}
	return m
}

// firstModel takes the first model name out of the text of /proc/cpuinfo.
func firstModel(text []byte) string {
	for line := range bytes.Lines(text) {
		if key, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(key)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// availableMemory is what the system can give without taking it from others, in bytes; 0: unknown.
func availableMemory() int64 { return meminfo("MemAvailable") }

// meminfo returns a value of /proc/meminfo in bytes, 0 if it is not to be had.
func meminfo(key string) int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	n, err := parseStatus(text, key)
	if err != nil {
		return 0
	}
	return n
}

package bench

import "os"

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

package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of processor time in /proc: 1/100 s to user space on every
// architecture that Go supports.
const clockTick = 10 * time.Millisecond

// processCPU returns the user and system time that process pid has used, all its
// threads together, the ended ones included.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time: %w", err)
	}
	return parseStat(text)
}

// processRSS returns the resident memory of process pid in bytes.
func processRSS(pid int) (int64, error) { return processMemory(pid, "VmRSS") }

// processPeak returns the most resident memory that process pid had, in bytes, since
// it began or since the last resetPeak.
func processPeak(pid int) (int64, error) { return processMemory(pid, "VmHWM") }

func processMemory(pid int, key string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("resident memory: %w", err)
	}
	return parseStatus(text, key)
}

// resetPeak has processPeak begin anew.
func resetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("peak of resident memory: %w", err)
	}
	return nil
}

// parseStat takes utime and stime, fields 14 and 15, out of a stat line. Field 2 is
// the program's name in parentheses and may itself hold spaces and parentheses.
func parseStat(line []byte) (time.Duration, error) {
	const state, utime, stime = 3, 14, 15
	end := bytes.LastIndexByte(line, ')')
	fields := bytes.Fields(line[end+1:])
	if end < 0 || len(fields) <= stime-state {
		return 0, fmt.Errorf("processor time: stat line %q", line)
	}
	ticks := uint64(0)
	for _, field := range []int{utime, stime} {
		n, err := strconv.ParseUint(string(fields[field-state]), 10, 63)
		if err != nil {
			return 0, fmt.Errorf("processor time: field %d: %w", field, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// parseStatus takes the size of a key such as VmRSS, which is in KiB, out of a
// status file.
func parseStatus(text []byte, key string) (int64, error) {
	for line := range bytes.Lines(text) {
		value, ok := bytes.CutPrefix(line, []byte(key+":"))
		if !ok {
			continue
		}
		fields := bytes.Fields(value)
		if len(fields) != 2 || string(fields[1]) != "kB" {
			return 0, fmt.Errorf("resident memory: status line %q", line)
		}
		n, err := strconv.ParseInt(string(fields[0]), 10, 53)
		if err != nil {
			return 0, fmt.Errorf("resident memory: %w", err)
		}
		return n << 10, nil
	}
	return 0, fmt.Errorf("resident memory: no %s line", key)
}

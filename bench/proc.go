package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

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

// spending is what a broker's process has used since it began.
type spending struct {
	cpu      time.Duration
	rss      int64  // bytes, now
	switches uint64 // of threads, asked for or not; those of ended threads are missing
	calls    uint64 // read and write system calls, as the kernel counts them for input and output; 0 where it does not tell
}

// processSpending reads the spending of process pid.
func processSpending(pid int) (u spending, err error) {
	if u.cpu, err = processCPU(pid); err != nil {
		return u, err
	}
	if u.rss, err = processRSS(pid); err != nil {
		return u, err
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return u, fmt.Errorf("context switches: %w", err)
	}
	for _, file := range threads {
		if text, err := os.ReadFile(file); err == nil { // otherwise the thread has ended
			u.switches += statusNumber(text, "voluntary_ctxt_switches") + statusNumber(text, "nonvoluntary_ctxt_switches")
		}
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid)); err == nil { // otherwise it is somebody else's
		u.calls = statusNumber(text, "syscr") + statusNumber(text, "syscw")
	}
	return u, nil
}

// readable says whether what process pid costs can be read.
func readable(pid int) error {
	if _, err := processSpending(pid); err != nil {
		return fmt.Errorf("pid: there is no process %d here whose processor time and memory can be read", pid)
	}
	return nil
}

// statusNumber takes the number of a key out of a file of lines "key: number", 0 if it
// is not there.
func statusNumber(text []byte, key string) uint64 {
	for line := range bytes.Lines(text) {
		value, ok := bytes.CutPrefix(line, []byte(key+":"))
		if !ok {
			continue
		}
		if n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64); err == nil {
			return n
		}
	}
	return 0
}

// processDescriptors returns how many descriptors process pid may have, 0 if that is not
// known.
func processDescriptors(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte("Max open files"))
		if fields := bytes.Fields(rest); ok && len(fields) > 0 {
			n, _ := strconv.Atoi(string(fields[0])) // "unlimited" is not known
			return n
		}
	}
	return 0
}

// listenerOf returns the process that listens on an address of this machine, 0 if none
// is found or it is somebody else's. Of several, which have one socket, it is the likely
// one if that is among them.
func listenerOf(addr netip.AddrPort, likely int) int {
	sockets := map[string]bool{}
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if text, err := os.ReadFile(file); err == nil {
			for _, inode := range listeners(text, addr.Port()) {
				sockets["socket:["+inode+"]"] = true
			}
		}
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil || len(sockets) == 0 {
		return 0
	}
	found := 0
	for _, link := range links {
		if name, err := os.Readlink(link); err == nil && sockets[name] {
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2]) // the pattern has digits there
			if pid == likely {
				return pid
			}
			found = cmp.Or(found, pid)
		}
	}
	return found
}

// listeners takes the inodes of the sockets that listen on a port out of /proc/net/tcp
// or tcp6: of the fields, the second is ADDRESS:PORT, the fourth is 0A for listening,
// and the tenth is the inode.
func listeners(text []byte, port uint16) (inodes []string) {
	suffix := fmt.Sprintf(":%04X", port)
	for line := range bytes.Lines(text) {
		f := strings.Fields(string(line))
		if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], suffix) {
			inodes = append(inodes, f[9])
		}
	}
	return inodes
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

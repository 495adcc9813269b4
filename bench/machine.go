package bench

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what is needed to judge figures later: when, on what and beside what other
// load they were taken. What cannot be found out is empty.
type machine struct {
	Date   string `json:"date"`
	System string `json:"system"`
	Kernel string `json:"kernel"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Go     string `json:"go"`          // that this program is built with
	Load   string `json:"load_before"` // runnable processes, the average of a minute
}

func thisMachine() machine {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Arch: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Go: runtime.Version(),
		System: strings.Trim(field("/etc/os-release", "PRETTY_NAME="), `"`),
		CPU:    cmp.Or(strings.TrimLeft(field("/proc/cpuinfo", "model name"), "\t :"), strings.TrimLeft(field("/proc/cpuinfo", "Model"), "\t :")),
	}
	m.Load, _, _ = strings.Cut(content("/proc/loadavg"), " ")
	m.Kernel = content("/proc/sys/kernel/osrelease")
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		m.Memory, _ = parseStatus(text, "MemTotal") // 0: not known
	}
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %s, %d processors, load average before the start: %s.", m.Date, m.Arch, m.Cores, cmp.Or(m.Load, "unknown"))
}

// content returns what is in a short file, empty if it is not there.
func content(file string) string {
	text, _ := os.ReadFile(file) // an error means that it is not known
	return string(bytes.TrimSpace(text))
}

// field returns what follows key at the beginning of a line of file.
func field(file, key string) string {
	for line := range strings.Lines(content(file)) {
		if value, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

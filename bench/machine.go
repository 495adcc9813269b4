package bench

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// machine is what figures have to be read with. What cannot be found out is empty.
type machine struct {
	Date   string `json:"date"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes"`
	Go     string `json:"go"`          // that this program is built with
	Load   string `json:"load_before"` // runnable processes, the average of a minute
}

func thisMachine() machine {
	m := machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04 UTC"), Arch: runtime.GOOS + "/" + runtime.GOARCH,
		Cores: runtime.NumCPU(), Memory: meminfo("MemTotal"), Go: runtime.Version(),
	}
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.Load, _, _ = strings.Cut(string(text), " ")
	}
	if text, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(text))
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		m.CPU = firstModel(string(text))
	}
	return m
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %s, %d processors, load average before the start: %s.", m.Date, m.Arch, m.Cores, cmp.Or(m.Load, "unknown"))
}

// firstModel takes the first model name out of the text of /proc/cpuinfo.
func firstModel(text string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

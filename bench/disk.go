package bench

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// diskOf names the file system that a folder is on, such as "ext4 on /dev/vda".
func diskOf(dir string) string {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown"
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	return parseMounts(text, dir)
}

// parseMounts takes the line of /proc/self/mounts that dir, absolute, is below. The
// longest mount point counts, and of equal ones the last, which hides the others.
func parseMounts(text []byte, dir string) string {
	found, length := "unknown", 0
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 3 {
			continue
		}
		point := strings.TrimSuffix(fields[1], "/") + "/"
		if strings.HasPrefix(dir+"/", point) && len(point) >= length {
			found, length = fields[2]+" on "+fields[0], len(point)
		}
	}
	return found
}

// sizeOf adds up the files below dir. Files that vanish meanwhile count as nothing.
func sizeOf(dir string) (total int64) {
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() {
			total += info.Size()
		}
		return nil
	})
	return total
}

// describeDisk is the line of a report about where the brokers keep their data.
func describeDisk(parent string) string {
	if parent == "" {
		parent = os.TempDir()
	}
	disk := diskOf(parent)
	text := fmt.Sprintf("Data is kept on %s.", disk)
	if strings.HasPrefix(disk, "tmpfs") || strings.HasPrefix(disk, "ramfs") {
		text += " That is memory: syncing costs nothing there, and the figures say little."
	}
	return text
}

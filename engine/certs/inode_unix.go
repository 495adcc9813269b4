//go:build unix

package certs

import (
	"fmt"
	"io/fs"
	"syscall"
)

// fileIdentity tells a file from the one that takes its place, even if that is as large and as old.
func fileIdentity(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprint(stat.Dev, "/", stat.Ino)
}

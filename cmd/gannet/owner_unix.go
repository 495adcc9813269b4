//go:build unix

package main

import (
	"fmt"
	"os"
	"syscall"
)

// keepOwner gives f the owner and the group of before.
func keepOwner(f *os.File, before os.FileInfo) error {
	was, ok := before.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if is, ok := info.Sys().(*syscall.Stat_t); ok && is.Uid == was.Uid && is.Gid == was.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return fmt.Errorf("keep owner %d and group %d: run this as that user, or as root: %w", was.Uid, was.Gid, err)
	}
	return nil
}

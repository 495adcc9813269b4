package main

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"
)

// How a process that was started as root becomes another user, while the store must be that user's and ports below 1024 need root.
//
//  1. lower: all threads work as the user, and root stays in reserve (the saved user ID). Files that are made belong to the user.
//  2. raised: one thread is root for the time of one function: it binds the ports. User IDs belong to threads on Linux, and the runtime
//     makes no thread from one that is locked.
//  3. drop: root is given up for good, in all threads.
//
// Certificates, keys, passwords and the log are read and opened before, as root.

// lower makes all threads the user's, and keeps root in reserve. a may be nil, as for all of its methods.
func (a *account) lower() error {
	if a == nil {
		return nil
	}
	if err := syscall.Setgroups(a.groups); err != nil {
		return fmt.Errorf("user %s: groups: %w", a.name, err)
	}
	if err := syscall.Setresgid(a.gid, a.gid, a.gid); err != nil {
		return fmt.Errorf("user %s: group %d: %w", a.name, a.gid, err)
	}
	if err := syscall.Setresuid(a.uid, a.uid, 0); err != nil {
		return fmt.Errorf("user %s: %w", a.name, err)
	}
	return nil
}

// raised calls f as root, in this thread only.
func (a *account) raised(f func() error) (err error) {
	if a == nil {
		return f()
	}
	runtime.LockOSThread()
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, 0, same); errno != 0 {
		runtime.UnlockOSThread()
		return fmt.Errorf("root for a moment: %w", errno)
	}
	defer func() {
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(a.uid), same); errno != 0 {
			panic("account: a thread stays root: " + errno.Error())
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// drop gives root up for good.
func (a *account) drop() error {
	if a == nil {
		return nil
	}
	if err := syscall.Setresuid(a.uid, a.uid, a.uid); err != nil {
		return fmt.Errorf("user %s: %w", a.name, err)
	}
	if syscall.Setuid(0) == nil {
		return errors.New("user " + a.name + ": root is not given up: this system lets the process take it back")
	}
	return nil
}

// owner is whose a file is; -1: nobody knows.
func owner(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
)

// account is a user that the process becomes.
type account struct {
	name     string
	uid, gid int
	groups   []int // gid among them
}

// findAccount returns the first of the users with commas between that exists; nil if this process stays who it is: it is not root's,
// nobody is named, or root is.
func findAccount(names string, euid int, lookup func(name string) (*user.User, error)) (*account, error) {
	if names == "" || euid != 0 {
		return nil, nil
	}
	var u *user.User
	var err error
	for name := range strings.SplitSeq(names, ",") {
		if u, err = lookup(strings.TrimSpace(name)); err == nil {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("user: %w: make that user, or name another with --user", err)
	}
	a := &account{name: u.Username}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return nil, fmt.Errorf("user: %s has no number: %w", u.Username, err)
	}
	if a.gid, err = strconv.Atoi(u.Gid); err != nil {
		return nil, fmt.Errorf("user: group of %s has no number: %w", u.Username, err)
	}
	if a.uid == 0 {
		return nil, nil
	}
	a.groups = []int{a.gid}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("user: groups of %s: %w", u.Username, err)
	}
	for _, g := range groups {
		if n, err := strconv.Atoi(g); err == nil && n != a.gid {
			a.groups = append(a.groups, n)
		}
	}
	return a, nil
}

// makeFolder makes the folder of the store for a, who may not be able to make it himself. One that is there stays as it is. Called as root.
func (a *account) makeFolder(dir string) error {
	if a == nil {
		return nil
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // persist says what is wrong with it
	}
	if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	return os.Chown(dir, a.uid, a.gid)
}

// takeFiles gives a what root made in dir, while both worked there. Called as root.
func (a *account) takeFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the store has removed it meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || owner(info) != 0 {
			return nil // likewise, or it is somebody's already
		}
		if err := os.Lchown(path, a.uid, a.gid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// explainDenied adds to err, met when files are read again, why they could be read at the start.
func (a *account) explainDenied(err error) error {
	if a == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return fmt.Errorf("%w: it was read as root at the start, and this process is user %s now: let that user read it, or start again", err, a.name)
}

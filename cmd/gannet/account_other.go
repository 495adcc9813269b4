//go:build !linux

package main

import (
	"errors"
	"io/fs"
)

// lower says that only Linux lets a process become another user in the way that Gannet does.
func (a *account) lower() error {
	if a == nil {
		return nil
	}
	return errors.New("user: changed on Linux only: start gannet as that user, and remove the setting")
}

func (a *account) raised(f func() error) error { return f() }

func (a *account) drop() error { return nil }

func owner(fs.FileInfo) int { return -1 }

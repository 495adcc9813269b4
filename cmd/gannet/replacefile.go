package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile makes text the content of the file at path in one step: whoever opens it finds the old content or the new one, and so does whoever starts
// after a power failure. An existing file keeps its mode and owner, a new one is for its owner only. A symbolic link stays, and what it
// leads to is replaced.
func replaceFile(path string, text []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	before, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		before = nil
	case err != nil:
		return err
	case !before.Mode().IsRegular():
		return fmt.Errorf("%s: not a regular file", path)
	}
	folder := filepath.Dir(path)
	next, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
			_ = next.Close()
			_ = os.Remove(next.Name())
		}
	}()
	if before != nil {
		if err := keepOwner(next, before); err != nil {
			return err
		}
		if err := next.Chmod(before.Mode().Perm()); err != nil {
			return err
		}
	}
	if _, err := next.Write(text); err != nil {
		return err
	}
	if err := next.Sync(); err != nil {
		return err
	}
	if err := next.Close(); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// syncFolder makes a rename in it durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}

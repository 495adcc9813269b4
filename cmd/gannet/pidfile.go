package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
)

// writePIDFile writes the number of this process to path and returns what removes the file again. A link is not followed: it could
// lead anywhere.
func writePIDFile(path string) (remove func() error, err error) {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("pid-file: %s is there and not a file: remove it, or name another", path)
	}
	text := strconv.Itoa(os.Getpid()) + "\n"
	if err := replaceWith(path, text); err != nil {
		return nil, fmt.Errorf("pid-file: %w", err)
	}
	return func() error {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || (err == nil && string(content) != text) {
			return nil // somebody else's by now
		}
		return os.Remove(path)
	}, nil
}

// replaceWith makes path a new file that has text in it, whatever was there before.
func replaceWith(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestPIDFileIsWrittenAndRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	write(t, path, "1\n") // of a process that was killed
	remove, err := writePIDFile(path)
	if err != nil || read(t, path) != strconv.Itoa(os.Getpid())+"\n" {
		t.Fatalf("%v: %q", err, read(t, path))
	}
	if err := remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
	if err := remove(); err != nil {
		t.Errorf("gone already: %v", err)
	}
	if remove, err = writePIDFile(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "1\n") // of the next one
	if err := remove(); err != nil || read(t, path) != "1\n" {
		t.Errorf("%v: the file of somebody else is gone", err)
	}
}

func TestPIDFileFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	target, path := filepath.Join(dir, "target"), filepath.Join(dir, "pid")
	write(t, target, "precious")
	link(t, target, path)
	if _, err := writePIDFile(path); err == nil || !strings.HasPrefix(err.Error(), "pid-file: "+path) || read(t, target) != "precious" {
		t.Errorf("%v: %q", err, read(t, target))
	}
	if _, err := writePIDFile(filepath.Join(dir, "none", "pid")); err == nil || !strings.HasPrefix(err.Error(), "pid-file: open ") {
		t.Errorf("no folder: %v", err)
	}
}

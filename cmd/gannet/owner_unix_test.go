//go:build unix

package main

import (
	"os"
	"syscall"
	"testing"
)

func TestPasswdKeepsTheOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file to somebody else")
	}
	path := newPath(t)
	write(t, path, "")
	if err := os.Chown(path, 1234, 5678); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "", "passwd", "-b", path, "u", "pw"); got.status != 0 {
		t.Fatalf("%+v", got)
	}
	after, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if is := after.Sys().(*syscall.Stat_t); is.Uid != 1234 || is.Gid != 5678 || after.Size() == 0 {
		t.Errorf("owner %d, group %d, %d bytes", is.Uid, is.Gid, after.Size())
	}
}

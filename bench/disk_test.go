package bench

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMountsTheLongestAndLastCounts(t *testing.T) {
	const mounts = "proc /proc proc rw 0 0\n/dev/a / ext4 rw 0 0\n/dev/b /srv xfs rw 0 0\ntmpfs /srv/fast tmpfs rw 0 0\n/dev/c /srv/fast btrfs rw 0 0\nshort\n"
	for dir, want := range map[string]string{
		"/tmp": "ext4 on /dev/a", "/srv": "xfs on /dev/b", "/srvx": "ext4 on /dev/a", "/srv/fast/x": "btrfs on /dev/c", "/": "ext4 on /dev/a",
	} {
		if got := parseMounts([]byte(mounts), dir); got != want {
			t.Errorf("%s: %s, want %s", dir, got, want)
		}
	}
}

func TestSizeOfAddsUpFiles(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"a": 10, "below/b": 32} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, make([]byte, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if n := sizeOf(dir); n != 42 {
		t.Errorf("%d bytes", n)
	}
}

package persist

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestDamagedBlockIsToldBeforePebbleSearchesIt: every read of a sound table is let through, and that of a damaged block is an error at once.
func TestDamagedBlockIsToldBeforePebbleSearchesIt(t *testing.T) {
	fs := populate(t, vfs.NewCrashableMem(), 50)
	name := liveTables(t, fs)[0]
	path := "dir/store/" + name
	reads := recordReads(t, fs, path)
	if len(reads) < 3 {
		t.Fatalf("%d reads", len(reads))
	}
	blocks := 0
	for _, r := range reads {
		p := make([]byte, r.size)
		f := openChecked(t, fs, path)
		if n, err := f.ReadAt(p, r.at); err != nil || n != r.size {
			t.Fatalf("sound: %d bytes at %d: %d, %v", r.size, r.at, n, err)
		}
		if r.at+int64(r.size) >= f.size {
			continue // the footer
		}
		blocks++
		spoiled := copyOf(t, fs)
		flip(t, spoiled, name, int(r.at)+r.size/2)
		f = openChecked(t, spoiled, path)
		if _, err := f.ReadAt(p, r.at); !errors.Is(err, pebble.ErrCorruption) {
			t.Errorf("%d bytes at %d, one of them another: %v", r.size, r.at, err)
		}
		f.skip = func() bool { return true }
		if _, err := f.ReadAt(p, r.at); err != nil {
			t.Errorf("left to Pebble: %v", err)
		}
	}
	if blocks == 0 {
		t.Error("no block was read")
	}
}

func openChecked(t *testing.T, fs vfs.FS, path string) *checkedTable {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkTable(f, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// read is one ReadAt.
type read struct {
	at   int64
	size int
}

// recordReads reads a whole table as the tools do, and returns what was read of the file.
func recordReads(t *testing.T, fs vfs.FS, path string) (reads []read) {
	t.Helper()
	spy := &spyFS{FS: fs, note: func(r read) { reads = append(reads, r) }}
	table, err := openTable(spy, path, func(what string, _, _ []byte) { t.Errorf("damaged: %s", what) })
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, ok := table.next(); !ok {
			break
		}
	}
	if err := table.r.Close(); err != nil {
		t.Fatal(err)
	}
	return reads
}

type spyFS struct {
	vfs.FS
	note func(read)
}

func (s *spyFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := s.FS.Open(name, opts...)
	return &spyFile{f, s.note}, err
}

type spyFile struct {
	vfs.File
	note func(read)
}

func (f *spyFile) ReadAt(p []byte, at int64) (int, error) {
	f.note(read{at, len(p)})
	return f.File.ReadAt(p, at)
}

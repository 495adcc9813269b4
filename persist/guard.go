package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// guard stands between Pebble and the file system, because Pebble cannot live with a write error: a failed write to
// its log or manifest ends in Fatalf, or in a panic that no recover sees, since a deferred unlock turns it into a
// runtime throw. A broker that dies because its disk is full drops every connection and all QoS 0 traffic with it.
// So a write that fails does not return. What happens instead depends on the file and the error:
//
//	log, manifest, directory   no space: the write waits and is tried again, for the rest of its bytes, until there
//	                           is room. Pebble stands still and so do acknowledgements; nothing is lost and nothing
//	                           has to be reopened.
//	log, manifest, directory   anything else, and any failed sync (the kernel may have dropped the pages, so a second
//	                           sync proves nothing): the store fails for good. The goroutine stays in the call for
//	                           the rest of the process, and so does each that writes after it: the disk is left as
//	                           a crash at that moment would leave it, and the next Open recovers from it.
//	table                      the error is passed on after a pause. Pebble drops the unfinished table, which frees
//	                           its space, reports a background error and tries again; the log still has the records.
//	                           Once the store closes, it fails instead.
//	table that is read         a compaction would panic: the store fails. Everybody else gets the error.
//
// While the store opens, every failure is final, and the caller of Open is told: a Pebble that gave up opening would take away what its
// own goroutines use. Only what is wrong with the contents of files it may see for itself.
//
// A file of another directory is of a backup, whose errors are passed on; once the store closes or has failed, they come at once.
//
// The guard also is what durability OS means: syncs of log files are left out, all but the one before a log is
// closed. A sync commit of Pebble then waits for write(2) and not for the disk, which is what a killed process
// leaves behind (Pebble's own NoSync keeps records in a buffer of the process). Safe for concurrent use.
type guard struct {
	vfs.FS
	dir     string // of the store
	lazyLog bool
	pause   time.Duration   // before a write is tried again
	failed  func(err error) // the store has to fail for good
	full    func(err error) // nil: there is space again

	quit chan struct{} // closed: no more waiting for space

	outside    atomic.Int64 // bytes that a backup has brought to another directory
	outsideOff atomic.Bool  // it has to end

	mu    sync.Mutex
	state guardState
	stuck int // writes that wait for space
}

type guardState uint8

const (
	guardOpening guardState = iota // the store fails with the first error
	guardArmed                     // or goes on, see above
	guardBroken                    // nothing reaches the disk any more
)

var errGaveUp = errors.New("closed while waiting for disk space")

func (g *guard) setState(s guardState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
}

// admit stops the goroutine for good if the store has failed. It tells whether it may go on in spite of an error.
func (g *guard) admit() (armed bool) {
	g.mu.Lock()
	s := g.state
	g.mu.Unlock()
	if s == guardBroken {
		select {}
	}
	return s == guardArmed
}

func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

func isTable(name string) bool {
	return path.Ext(name) == ".sst" || path.Ext(name) == ".blob"
}

// try does op until it succeeds, see guard. It returns an error only for a table, and for a file that is not there.
func (g *guard) try(what, name string, op func() error) error {
	if dir := g.FS.PathDir(name); dir != g.dir && name != g.dir {
		return g.tryOutside(op)
	}
	armed := g.admit()
	err := op()
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return err
	}
	err = fmt.Errorf("%s %s: %w", what, path.Base(name), err)
	if armed && isTable(name) && g.wait() {
		return err
	}
	if armed && noSpace(err) && what != "sync" {
		err = g.untilSpace(err, op)
	}
	if err != nil {
		g.fail(err)
	}
	return nil
}

// fail ends the store, and the goroutine.
func (g *guard) fail(err error) {
	g.setState(guardBroken)
	g.failed(err)
	select {}
}

// tryOutside does op for a backup.
func (g *guard) tryOutside(op func() error) error {
	g.mu.Lock()
	broken := g.state == guardBroken || g.outsideOff.Load()
	g.mu.Unlock()
	select {
	case <-g.quit:
		broken = true
	default:
	}
	if broken {
		return errClosing
	}
	return op()
}

var errClosing = errors.New("the store closes or has failed")

// untilSpace repeats op until its error is not that the disk is full.
func (g *guard) untilSpace(err error, op func() error) error {
	g.mu.Lock()
	if g.stuck++; g.stuck == 1 {
		g.full(err)
	}
	g.mu.Unlock()
	for noSpace(err) {
		quit := !g.wait()
		if err = op(); quit && noSpace(err) {
			return fmt.Errorf("%w: %w", errGaveUp, err)
		}
	}
	g.mu.Lock()
	if g.stuck--; g.stuck == 0 && err == nil {
		g.full(nil)
	}
	g.mu.Unlock()
	return err
}

// wait lets a moment pass. False: the store closes.
func (g *guard) wait() bool {
	t := time.NewTimer(g.pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-g.quit:
		return false
	}
}

func (g *guard) file(name string, open func() (vfs.File, error)) (f vfs.File, err error) {
	err = g.try("open", name, func() (err error) {
		f, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	inside := g.FS.PathDir(name) == g.dir
	return &guardedFile{File: f, g: g, name: name, outside: !inside, lazy: inside && g.lazyLog && path.Ext(name) == ".log"}, nil
}

// List tells what is in a directory. Pebble also asks for it late while it opens.
func (g *guard) List(dir string) (names []string, err error) {
	if names, err = g.FS.List(dir); err != nil && g.opening() {
		g.fail(err)
	}
	return names, err
}

func (g *guard) opening() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state == guardOpening
}

// Open opens a file to be read.
func (g *guard) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := g.FS.Open(name, opts...)
	if err != nil || !isTable(name) {
		return f, err
	}
	checked, err := checkTable(f, name, compacting) // of a compaction's error more is made than of damage
	if err != nil {
		return nil, err
	}
	return &readTable{File: checked, g: g, name: name}, nil
}

// readTable is a table that is read: the store fails with a compaction that cannot.
type readTable struct {
	vfs.File
	g    *guard
	name string
}

func (f *readTable) ReadAt(p []byte, at int64) (n int, err error) {
	n, err = f.File.ReadAt(p, at)
	if err != nil && err != io.EOF && compacting() {
		f.g.fail(fmt.Errorf("read %s: %w", path.Base(f.name), err))
	}
	return n, err
}

func (g *guard) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.Create(name, c) })
}

func (g *guard) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.OpenReadWrite(name, c, opts...) })
}

func (g *guard) ReuseForWrite(old, name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.ReuseForWrite(old, name, c) })
}

func (g *guard) OpenDir(name string) (vfs.File, error) {
	return g.file(name, func() (vfs.File, error) { return g.FS.OpenDir(name) })
}

func (g *guard) Link(old, name string) error {
	err := g.try("link", name, func() error { return g.FS.Link(old, name) })
	if err == nil && g.FS.PathDir(name) != g.dir {
		if info, err := g.FS.Stat(name); err == nil {
			g.outside.Add(info.Size())
		}
	}
	return err
}

func (g *guard) Rename(old, name string) error {
	return g.try("rename", name, func() error { return g.FS.Rename(old, name) })
}

func (g *guard) Remove(name string) error {
	g.admit()
	return g.FS.Remove(name)
}

func (g *guard) RemoveAll(name string) error {
	g.admit()
	return g.FS.RemoveAll(name)
}

// Unwrap lets Pebble find the file system below.
func (g *guard) Unwrap() vfs.FS { return g.FS }

// guardedFile is a file that is written. Like any vfs.File that Pebble writes, it is used by one goroutine at a time.
type guardedFile struct {
	vfs.File
	g       *guard
	name    string
	outside bool
	lazy    bool // syncs are left to Close
	skipped bool
}

func (f *guardedFile) Write(p []byte) (n int, err error) {
	err = f.g.try("write", f.name, func() error {
		m, err := f.File.Write(p[n:])
		n += m
		return err
	})
	if f.outside {
		f.g.outside.Add(int64(n))
	}
	return n, err
}

func (f *guardedFile) WriteAt(p []byte, at int64) (n int, err error) {
	err = f.g.try("write", f.name, func() error {
		m, err := f.File.WriteAt(p[n:], at+int64(n))
		n += m
		return err
	})
	return n, err
}

// Preallocate is a hint: the write that follows tells whether there is space.
func (f *guardedFile) Preallocate(offset, length int64) error {
	_ = f.File.Preallocate(offset, length)
	return nil
}

func (f *guardedFile) Sync() error {
	if f.lazy {
		f.skipped = true
		return nil
	}
	return f.g.try("sync", f.name, f.File.Sync)
}

func (f *guardedFile) SyncData() error {
	if f.lazy {
		f.skipped = true
		return nil
	}
	return f.g.try("sync", f.name, f.File.SyncData)
}

func (f *guardedFile) SyncTo(length int64) (full bool, err error) {
	if f.lazy {
		return false, nil
	}
	err = f.g.try("sync", f.name, func() (err error) {
		full, err = f.File.SyncTo(length)
		return err
	})
	return full, err
}

func (f *guardedFile) Close() error {
	if f.skipped {
		if err := f.g.try("sync", f.name, f.File.SyncData); err != nil {
			return err
		}
	}
	return f.g.try("close", f.name, f.File.Close)
}

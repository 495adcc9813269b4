package persist

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup copies a store that no process has open to a directory that must not exist. Of a store that a broker runs on,
// the method of Pebble with this name makes one.
func Backup(dir, to string, p Progress) error {
	dir, to = filepath.Clean(dir), filepath.Clean(to)
	return classify(dir, backup(vfs.Default, dir, to, p))
}

// partSuffix is of a backup that is not complete yet.
const partSuffix = ".part"

func backup(fsys vfs.FS, dir, to string, progress Progress) (err error) {
	l, c, err := lockExisting(fsys, dir)
	if err != nil {
		return err
	}
	defer closeInto(&err, l)
	if exists, err := c.check(); err != nil || !exists {
		return err
	}
	if err := prepareBackup(fsys, dir, to); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = fsys.RemoveAll(to + partSuffix)
		}
	}()
	if err := makeDir(fsys, to+partSuffix); err != nil {
		return err
	}
	var done int64
	for _, names := range [][]string{c.tables, c.logs, c.others} {
		for _, name := range names {
			progress.tell("copying (bytes)", done, c.bytes)
			target := fsys.PathJoin(to+partSuffix, name)
			n, err := copyFile(fsys, fsys.PathJoin(dir, name), target, math.MaxInt64, func(n int64) { progress.tell("copying (bytes)", done+n, c.bytes) })
			if err != nil {
				return fmt.Errorf("backup %s: %w", to, err)
			}
			done += n
		}
	}
	if err := finishBackup(fsys, to); err != nil {
		return fmt.Errorf("backup %s: %w", to, err)
	}
	return nil
}

func prepareBackup(fsys vfs.FS, dir, to string) error {
	if _, err := fsys.Stat(to); err == nil {
		return fmt.Errorf("backup %s: %w", to, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.HasPrefix(to, dir+"/") {
		return fmt.Errorf("backup %s: is inside the store", to)
	}
	return fsys.RemoveAll(to + partSuffix)
}

// finishBackup gives a backup its name.
func finishBackup(fsys vfs.FS, to string) error {
	if err := syncDir(fsys, to+partSuffix); err != nil {
		return err
	}
	if err := renameDir(fsys, to+partSuffix, to); err != nil {
		return errors.Join(err, fsys.RemoveAll(to))
	}
	return nil
}

// copyFile copies up to size bytes of a file and makes them durable. It says now and then how far it is.
func copyFile(fsys vfs.FS, from, to string, size int64, tell func(int64)) (n int64, err error) {
	src, err := fsys.Open(from)
	if err != nil {
		return 0, err
	}
	defer closeInto(&err, src)
	dst, err := fsys.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	defer closeInto(&err, dst)
	buf := make([]byte, 1<<20)
	for {
		m, err := src.Read(buf[:min(int64(len(buf)), size-n)])
		if n+int64(m) == size {
			err = io.EOF
		}
		if m > 0 {
			if _, err := dst.Write(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
			tell(n)
		}
		if err == io.EOF {
			return n, dst.Sync()
		} else if err != nil {
			return n, err
		}
	}
}

// Backup copies the store while it runs to a directory that must not exist. Everything that was durable before the
// call is in the copy, and it is consistent: a prefix of what was appended. Tables are not copied but linked if the directory is on
// the same file system. An error leaves the store as it is; a full disk is one, and Close ends a backup with one. There is one backup at
// a time. Safe for concurrent use.
func (p *Pebble) Backup(to string, progress Progress) error {
	return classify(p.dir, p.backup(to, progress))
}

// progressPause is how often a backup tells how far it is.
const progressPause = 250 * time.Millisecond

func (p *Pebble) backup(to string, progress Progress) error {
	fsys := p.opts.FS
	if err := prepareBackup(fsys, p.dir, to); err != nil {
		return err
	}
	if err := makeDir(fsys, fsys.PathDir(to)); err != nil {
		return err
	}
	done, err := p.startCheckpoint(to + partSuffix)
	if err != nil {
		return fmt.Errorf("backup %s: %w", to, err)
	}
	total := int64(p.db.Metrics().DiskSpaceUsage())
	tick := time.NewTicker(progressPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			progress.tell("copying (bytes)", p.guard.outside.Load(), total)
			if err := p.trouble(); err != nil { // for which the checkpoint would wait
				p.guard.outsideOff.Store(true)
				return err
			}
		case <-p.failed:
			return p.Err()
		case err := <-done:
			if err == nil {
				err = trimLog(fsys, to+partSuffix)
			}
			if err == nil {
				err = finishBackup(fsys, to)
			}
			if err != nil {
				return fmt.Errorf("backup %s: %w", to, errors.Join(err, fsys.RemoveAll(to+partSuffix)))
			}
			return nil
		}
	}
}

// trouble is what keeps a backup from coming to an end.
func (p *Pebble) trouble() error {
	if f := p.tableFault.Load(); f != nil {
		return f.err
	}
	return p.Err()
}

// trimLog cuts off what was being written to the newest log while it was copied.
func trimLog(fsys vfs.FS, dir string) error {
	c, err := survey(fsys, dir)
	if err != nil || len(c.logs) == 0 {
		return err
	}
	newest := slices.MaxFunc(c.logs, func(a, b string) int {
		_, m, _ := fileKind(a)
		_, n, _ := fileKind(b)
		return cmp.Compare(m, n)
	})
	_, number, _ := fileKind(newest)
	name := fsys.PathJoin(dir, newest)
	l, err := readLog(fsys, name, number)
	if err != nil || l.end != logTorn {
		return err
	}
	whole := fsys.PathJoin(dir, "torn")
	if err := fsys.Rename(name, whole); err != nil {
		return err
	}
	if _, err := copyFile(fsys, whole, name, l.endAt, func(int64) {}); err != nil {
		return err
	}
	return fsys.Remove(whole)
}

// startCheckpoint lets Pebble copy itself. Close waits for the end of that.
func (p *Pebble) startCheckpoint(to string) (done chan error, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.Err() != nil:
		return nil, p.Err()
	case p.stopped:
		return nil, errClosed
	case p.backingUp:
		return nil, errors.New("there is one under way")
	}
	p.backingUp = true
	p.guard.outside.Store(0)
	p.guard.outsideOff.Store(false)
	done = make(chan error, 1)
	p.backups.Go(func() {
		done <- p.checkpoint(to)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.backingUp = false
	})
	return done, nil
}

func (p *Pebble) checkpoint(to string) (err error) {
	defer recoverFatal(&err)
	return p.db.Checkpoint(to, pebble.WithFlushedWAL())
}

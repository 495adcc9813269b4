package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Backup copies a store that no process has open to a directory that must not exist. Of a store that a broker runs on,
// the method of Pebble with this name makes one.
func Backup(dir, to string, p Progress) error {
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
			n, err := copyFile(fsys, fsys.PathJoin(dir, name), target, func(n int64) { progress.tell("copying (bytes)", done+n, c.bytes) })
			if err != nil {
				return fmt.Errorf("backup %s: %w", to, err)
			}
			done += n
		}
	}
	return finishBackup(fsys, to)
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

func finishBackup(fsys vfs.FS, to string) error {
	if err := syncDir(fsys, to+partSuffix); err != nil {
		return err
	}
	return renameDir(fsys, to+partSuffix, to)
}

// copyFile copies a file and makes it durable. It says now and then how far it is.
func copyFile(fsys vfs.FS, from, to string, tell func(int64)) (n int64, err error) {
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
		m, err := src.Read(buf)
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
// the same file system. An error leaves the store as it is; Close ends a backup with an error. Safe for concurrent use.
func (p *Pebble) Backup(to string, progress Progress) error {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return classify(p.dir, errors.Join(errors.New("backup: the store is closed"), p.Err()))
	}
	p.backups.Add(1)
	p.mu.Unlock()
	defer p.backups.Done()
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
	copied := p.guard.outside.Load()
	total := int64(p.db.Metrics().DiskSpaceUsage())
	done := make(chan error, 1)
	go func() { done <- p.checkpoint(to + partSuffix) }()
	tick := time.NewTicker(progressPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			progress.tell("copying (bytes)", p.guard.outside.Load()-copied, total)
			continue
		case <-p.failed: // the checkpoint may wait for ever
			return p.Err()
		case err := <-done:
			if err != nil {
				return fmt.Errorf("backup %s: %w", to, errors.Join(err, fsys.RemoveAll(to+partSuffix)))
			}
		}
		return renameDir(fsys, to+partSuffix, to)
	}
}

func (p *Pebble) checkpoint(to string) (err error) {
	defer recoverFatal(&err)
	return p.db.Checkpoint(to, pebble.WithFlushedWAL())
}

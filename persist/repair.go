package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Repair makes a store that can be opened of all that can be read of a damaged one, which no process may have open. The original
// is left beside it as DIR.damaged-<unix time>, untouched. A store that is all right is not changed, so that Repair can be
// repeated; also after it was interrupted. What is lost is in the Report, as Verify would have told. It takes as much space again
// as the store.
func Repair(dir string, p Progress) (Report, error) {
	there, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		there, err = dir, nil // perhaps a repair was interrupted
	}
	if err == nil {
		there, err = filepath.Abs(there)
	}
	if err != nil {
		return Report{}, classify(dir, err)
	}
	report, err := repair(vfs.Default, there, p, time.Now())
	return report, classify(dir, err)
}

// repairBatchBytes is how much is written at a time.
const repairBatchBytes = 1 << 20

// repairedSuffix is of the directory that a repair fills. It takes the place of the original when it is whole.
const repairedSuffix = ".repaired"

// repairingSuffix is of the same directory before it is whole.
const repairingSuffix = ".repairing"

func repair(fsys vfs.FS, dir string, progress Progress, now time.Time) (report Report, err error) {
	if err := finishRepair(fsys, dir); err != nil {
		return report, err
	}
	s, err := openScan(fsys, dir, progress)
	if err != nil {
		return report, err
	}
	defer closeInto(&err, s)
	first := newAudit(s)
	if report, err = first.run(nil); err != nil || len(report.Problems) == 0 {
		report.Kept = report.Checked
		return report, err
	}
	if err := s.rewind(); err != nil {
		return report, err
	}
	if report.Kept, err = first.rewrite(fsys, dir+repairingSuffix); err != nil {
		return report, errors.Join(err, fsys.RemoveAll(dir+repairingSuffix))
	}
	progress.tell("putting the repaired store in place", 0, 0)
	if err := renameDir(fsys, dir+repairingSuffix, dir+repairedSuffix); err != nil {
		return report, err
	}
	report.Original = fmt.Sprintf("%s.damaged-%d", dir, now.Unix())
	if err := renameDir(fsys, dir, report.Original); err != nil {
		err = fmt.Errorf("cannot be put aside, perhaps it is a mount point: repair a copy of it: %w", err)
		return report, errors.Join(err, fsys.RemoveAll(dir+repairedSuffix))
	}
	return report, renameDir(fsys, dir+repairedSuffix, dir)
}

// rewrite fills dir with what can be kept, and returns the number of keys.
func (a *audit) rewrite(fsys vfs.FS, dir string) (kept int64, err error) {
	if err := fsys.RemoveAll(dir); err != nil {
		return 0, err
	}
	w, err := newRepaired(fsys, dir)
	if err != nil {
		return 0, err
	}
	again := newAudit(a.scan)
	again.orphans = a.orphans
	if !a.format {
		if err := w.put(formatKey, binary.AppendUvarint(nil, formatVersion)); err != nil {
			return 0, errors.Join(err, w.close())
		}
	}
	report, err := again.run(w.put)
	if err == nil {
		err = w.flush()
	}
	if !a.format {
		report.Kept++
	}
	return report.Kept, errors.Join(err, w.close())
}

// finishRepair does the last step of a repair that was interrupted.
func finishRepair(fsys vfs.FS, dir string) error {
	if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := fsys.Stat(dir + repairedSuffix); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return renameDir(fsys, dir+repairedSuffix, dir)
}

// checkRepaired returns ErrDamaged if finishRepair has something to do.
func checkRepaired(fsys vfs.FS, dir string) error {
	_, err := fsys.Stat(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := fsys.Stat(dir + repairedSuffix); err == nil {
		return fmt.Errorf("%w: a repair was interrupted", ErrDamaged)
	}
	return nil
}

// renameDir renames a directory for good.
func renameDir(fsys vfs.FS, from, to string) error {
	if err := fsys.Rename(from, to); err != nil {
		return err
	}
	return syncDir(fsys, fsys.PathDir(to))
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// repaired is the store that a repair fills, in the order of keys. If the disk fails, the goroutines of its Pebble stay in the
// guard: they would try for ever, or panic.
type repaired struct {
	db     *pebble.DB
	b      *pebble.Batch
	guard  *guard
	failed chan error
	dead   bool
}

func newRepaired(fsys vfs.FS, dir string) (w *repaired, err error) {
	w = &repaired{guard: &guard{FS: fsys, dir: dir, quit: make(chan struct{})}, failed: make(chan error, 1)}
	w.guard.failed = w.fail
	err = w.do(func() (err error) {
		w.db, err = openPebble(dir, &pebble.Options{FS: w.guard, Logger: w, FormatMajorVersion: formatMajorVersion, DisableWAL: true,
			MemTableSize: 16 << 20, EventListener: &pebble.EventListener{BackgroundError: w.fail}})
		return err
	})
	if err == nil {
		w.b = w.db.NewBatch()
	}
	return w, err
}

func (w *repaired) Infof(string, ...any)  {}
func (w *repaired) Errorf(string, ...any) {}

// Fatalf is for Pebble.
func (w *repaired) Fatalf(format string, args ...any) {
	w.fail(fmt.Errorf("pebble: "+format, args...))
	select {}
}

func (w *repaired) fail(err error) {
	w.guard.setState(guardBroken)
	select {
	case w.failed <- err:
	default:
	}
}

// do returns the error of f, or of what Pebble could not do meanwhile.
func (w *repaired) do(f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() { done <- err }()
		defer recoverAll(&err)
		err = f()
	}()
	select {
	case err := <-done:
		return err
	case err := <-w.failed:
		w.dead = true
		return err
	}
}

func (w *repaired) put(key, value []byte) error {
	if err := w.b.Set(key, value, nil); err != nil {
		return err
	}
	if w.b.Len() < repairBatchBytes {
		return nil
	}
	return w.flush()
}

func (w *repaired) flush() error {
	err := w.do(func() error { return w.b.Commit(pebble.NoSync) })
	if err == nil {
		w.b = w.db.NewBatch()
	}
	return err
}

// close makes durable what was put.
func (w *repaired) close() error {
	if w.dead {
		return nil
	}
	if err := w.do(w.db.Flush); err != nil {
		return err
	}
	return w.do(w.db.Close)
}

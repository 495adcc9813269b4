package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Repair makes a store that can be opened of all that can be read of a damaged one, which no process may have open. The original
// is left beside it as DIR.damaged-<unix time>, untouched. A store that is all right is not changed, so that Repair can be
// repeated; also after it was interrupted. What is lost is in the Report, as Verify would have told.
func Repair(dir string, p Progress) (Report, error) {
	report, err := repair(vfs.Default, dir, p, time.Now())
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
	if err := renameDir(fsys, dir, fmt.Sprintf("%s.damaged-%d", dir, now.Unix())); err != nil {
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

// repaired is the store that a repair fills, in the order of keys.
type repaired struct {
	db *pebble.DB
	b  *pebble.Batch
}

func newRepaired(fsys vfs.FS, dir string) (w *repaired, err error) {
	w = &repaired{}
	w.db, err = openPebble(dir, &pebble.Options{FS: fsys, Logger: strictLogger{}, FormatMajorVersion: formatMajorVersion, DisableWAL: true,
		MemTableSize: 16 << 20})
	if err == nil {
		w.b = w.db.NewBatch()
	}
	return w, err
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

func (w *repaired) flush() (err error) {
	defer recoverFatal(&err)
	if err := w.b.Commit(pebble.NoSync); err != nil {
		return err
	}
	w.b = w.db.NewBatch()
	return nil
}

// close makes durable what was put.
func (w *repaired) close() (err error) {
	defer recoverFatal(&err)
	return errors.Join(w.db.Flush(), w.b.Close(), w.db.Close())
}

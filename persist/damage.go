package persist

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// What can be wrong with a store, for errors.Is. Every error of this package about a directory names it.
var (
	// ErrInUse: another process has the store open.
	ErrInUse = errors.New("in use by another gannet")
	// ErrDamaged: files are missing, or not what was written. Verify tells what, and Repair makes do with the rest.
	ErrDamaged = errors.New("damaged")
	// ErrNewer: a newer version of this program wrote the store.
	ErrNewer = errors.New("of a newer gannet")
	// ErrNoStore: there is no store, or something else is in its place.
	ErrNoStore = errors.New("no store of gannet")
)

// What can be wrong with keys and values, beside errTruncated.
var (
	errUnknownKey = errors.New("unknown")
	errNotThere   = errors.New("not in the store")
)

var errDiskFull = errors.New("disk full")

// classify makes of an error about the store in dir one line that says what it means and what can be done. nil, and what it has made
// already, come back as they are.
func classify(dir string, err error) error {
	var known *storeError
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &storeError{dir, kindOf(err), err}
}

// explain is classify for what may also be somebody else's error: that comes back as it is.
func explain(dir string, err error) error {
	if err == nil || kindOf(err) == nil {
		return err
	}
	return classify(dir, err)
}

// kindOf returns the exported error, or errDiskFull, that err amounts to, nil if none.
func kindOf(err error) error {
	for _, kind := range [...]error{ErrInUse, ErrNoStore, ErrNewer} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	switch {
	case isNewer(err):
		return ErrNewer
	case pebble.IsCorruptionError(err):
		return ErrDamaged
	case noSpace(err):
		return errDiskFull
	}
	for _, damage := range [...]error{ErrDamaged, pebble.ErrDBNotPristine, errTruncated, errUnknownKey, errNotThere} {
		if errors.Is(err, damage) {
			return ErrDamaged
		}
	}
	return nil
}

// storeError is an error about a store.
type storeError struct {
	dir   string
	kind  error // what it means, or nil
	cause error
}

func (e *storeError) Error() string {
	what := oneLine(e.cause.Error())
	if e.kind == nil {
		return fmt.Sprintf("store %s: %s", e.dir, what)
	}
	what = strings.ReplaceAll(what, ErrDamaged.Error()+": ", "")
	if info := pebble.ExtractDataCorruptionInfo(e.cause); info != nil && !strings.Contains(what, path.Base(info.Path)) {
		what = path.Base(info.Path) + ": " + what
	}
	switch {
	case e.kind == ErrDamaged:
		return fmt.Sprintf("store %s: damaged: %s (gannet store verify %s tells what is lost, gannet store repair %s mends it)", e.dir, what, e.dir, e.dir)
	case strings.Contains(what, e.kind.Error()):
		return fmt.Sprintf("store %s: %s", e.dir, what)
	}
	return fmt.Sprintf("store %s: %v: %s", e.dir, e.kind, what)
}

func (e *storeError) Unwrap() []error {
	if e.kind == nil {
		return []error{e.cause}
	}
	return []error{e.kind, e.cause}
}

// isNewer tells the errors of Pebble about files that a newer Pebble wrote.
func isNewer(err error) bool {
	return errors.Is(err, ErrNewer) || strings.Contains(err.Error(), "unknown format major version")
}

// cause is the text of an error without that something is damaged.
func cause(err error) string {
	return strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": ")
}

// oneLine makes one line of what Pebble says in several.
func oneLine(s string) string {
	var all []string
	for l := range strings.SplitSeq(s, "\n") {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "<") {
			all = append(all, l)
		}
	}
	return strings.Join(all, "; ")
}

// dirLock is a lock against other processes. Pebble counts its users, but one that has failed does not give back its share.
type dirLock struct {
	*pebble.Lock
	file io.Closer
	once sync.Once
}

// Close gives the lock back, the first time.
func (l *dirLock) Close() (err error) {
	l.once.Do(func() { err = l.file.Close() })
	return err
}

// lockFS keeps the lock that it hands out.
type lockFS struct {
	vfs.FS
	file io.Closer
}

func (f *lockFS) Lock(name string) (io.Closer, error) {
	var err error
	f.file, err = f.FS.Lock(name)
	return f.file, err
}

// lock locks a store.
func lock(fsys vfs.FS, dir string) (*dirLock, error) {
	catch := &lockFS{FS: fsys}
	l, err := pebble.LockDirectory(dir, catch)
	var pathErr *fs.PathError
	var errno syscall.Errno
	switch {
	case err == nil:
		return &dirLock{Lock: l, file: catch.file}, nil
	case errors.As(err, &pathErr):
		return nil, err
	case errors.As(err, &errno) && errno != syscall.EAGAIN && errno != syscall.EACCES:
		return nil, fmt.Errorf("lock: %w", err)
	}
	return nil, ErrInUse
}

// contents is what a directory holds, by kinds of files.
type contents struct {
	tables, logs, others []string
	manifest             string // the current one by its marker; "" if there is no marker
	missing              bool   // there is a marker, but no such manifest
	records              bool   // a log is not empty
	foreign              []string
	bytes                int64
}

// survey sorts the files of a directory.
func survey(fsys vfs.FS, dir string) (c contents, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		return c, err
	}
	slices.Sort(names)
	for _, name := range names {
		kind, _, ok := fileKind(name)
		if !ok {
			if !ownFile(name) {
				c.foreign = append(c.foreign, name)
			}
			continue
		}
		info, err := fsys.Stat(fsys.PathJoin(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return c, err
		}
		c.bytes += info.Size()
		switch kind {
		case ".sst":
			c.tables = append(c.tables, name)
		case ".log":
			c.logs = append(c.logs, name)
			c.records = c.records || info.Size() > 0
		default:
			c.others = append(c.others, name)
		}
	}
	if c.manifest, err = atomicfs.ReadMarker(fsys, dir, "manifest"); err != nil {
		if errno := syscall.Errno(0); !errors.As(err, &errno) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		return c, err
	}
	c.missing = c.manifest != "" && !slices.Contains(c.others, c.manifest)
	return c, nil
}

// check tells whether there is a store at all, none yet, or the rest of one: Pebble would begin anew where it
// finds no manifest, and delete what it does not know.
func (c *contents) check() (exists bool, err error) {
	switch {
	case c.missing:
		return true, fmt.Errorf("%w: %s is missing, which lists the %d tables", ErrDamaged, c.manifest, len(c.tables))
	case c.manifest != "":
		return true, nil
	case len(c.tables) > 0 || c.records:
		return true, fmt.Errorf("%w: the marker of the manifest is missing, but %d tables and %d logs are there", ErrDamaged, len(c.tables), len(c.logs))
	case len(c.foreign) > 0:
		return false, fmt.Errorf("%w, but not empty either (%s): a store needs a directory of its own", ErrNoStore, c.foreign[0])
	}
	return false, nil
}

// ownFile tells what may lie in the directory of a store without being part of it.
func ownFile(name string) bool {
	return name == "LOCK" || name == "lost+found" || strings.HasSuffix(name, ".sock")
}

// fileKind takes apart the name of a file of Pebble.
func fileKind(name string) (kind string, number uint64, ok bool) {
	for _, kind := range [...]string{".sst", ".log", ".blob", ".dbtmp"} {
		if rest, found := strings.CutSuffix(name, kind); found {
			n, err := strconv.ParseUint(strings.TrimPrefix(rest, "temporary."), 10, 64)
			return kind, n, err == nil
		}
	}
	for _, kind := range [...]string{"MANIFEST-", "OPTIONS-"} {
		if rest, found := strings.CutPrefix(name, kind); found {
			n, err := strconv.ParseUint(rest, 10, 64)
			return kind, n, err == nil
		}
	}
	return "marker.", 0, strings.HasPrefix(name, "marker.")
}

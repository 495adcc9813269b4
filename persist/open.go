package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// Durability is what has happened to a record when its ticket is durable.
type Durability uint8

const (
	// Sync means fsync: the record survives power failure.
	Sync Durability = iota
	// OS means write(2): the record survives the end of the process, also by SIGKILL, but not power failure.
	OS
)

// Options of a store. The zero value has the defaults.
type Options struct {
	Durability Durability

	// MemTableBytes is how much Pebble collects before it writes a table. What is deleted in that time never gets into
	// one, so this is the lever on write amplification. 0 = 16 MiB; up to four are in memory when the disk is slow.
	MemTableBytes int
	// CacheBytes is for blocks of tables. 0 = 32 MiB.
	CacheBytes int64
	// MaxOpenFiles bounds the descriptors for tables. 0 = 500.
	MaxOpenFiles int
	// MaxPendingBytes bounds the records that wait for the committer, with their messages. 0 = 256 MiB. Append may not block,
	// and a record of a session cannot be refused once the session has acted on it; so beyond the bound Unavailable
	// is true, and the caller has to refuse what would make new records. Records in spite of that are taken.
	MaxPendingBytes int64

	// MaxStoreBytes bounds what the store occupies on disk, with its log: beyond it Unavailable is true, until it occupies 5 % less. It
	// is looked at once a second, and what is appended in spite of it is taken; so it needs some distance to what
	// the disk has. Memtables are made smaller for it if need be. 0 = no bound.
	MaxStoreBytes int64

	// Window is how many deliveries of a session that was connected come with their Message from Load: as many as can be in
	// flight. Of a session that was parked those come with it that were sent, of a group's queue all. 0 = all of every session.
	Window int

	// OnError is told once of each fault of the disk, see Err. It must not block and not call Close.
	OnError func(error)
	// Log gets an operator's lines. nil = none.
	Log *slog.Logger
	// FS is where the store lives. nil = the disk.
	FS vfs.FS
}

func (o *Options) setDefaults() {
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 16 << 20
	}
	if o.MaxStoreBytes > 0 { // the logs of several memtables are kept, empty ones too
		o.MemTableBytes = min(o.MemTableBytes, int(o.MaxStoreBytes/16))
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 32 << 20
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = 500
	}
	if o.MaxPendingBytes == 0 {
		o.MaxPendingBytes = 256 << 20
	}
	if o.OnError == nil {
		o.OnError = func(error) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
}

// Pebble is the store on disk. Safe for concurrent use, but for OnDurable and Load, which come before the first Append, and Close,
// which comes after the last.
type Pebble struct {
	dir   string
	opts  Options
	db    *pebble.DB
	lock  *dirLock
	guard *guard

	mu      sync.Mutex
	grown   sync.Cond // there is enough pending to be parted
	work    sync.Cond // records wait, or closing
	pending taken
	parted  []taken             // batches that the committer has not come to
	tell    func(ticket uint64) // of OnDurable; nil = nobody
	spare   []session.Record    // the slice of a batch that is done
	last    *session.Message    // of the newest record: several in a row share a message, which counts once
	idle    bool                // the committer waits on work
	stopped bool                // no more records are taken

	groups   groups
	readers  readers
	messages messageCache
	w        writer
	inflight chan inflight
	done     chan struct{} // committer and syncer have ended
	helpers  sync.WaitGroup
	failed   chan struct{} // closed when the store has failed for good
	opening  atomic.Bool   // there is somebody who can be told of an error
	waiting  atomic.Int64  // bytes that wait for the committer
	tooLarge atomic.Bool   // see watchSpace
	fault    atomic.Pointer[fault]
	failOnce sync.Once
	stats    counters

	loadedMu sync.Mutex
	loaded   Loaded

	backups   sync.WaitGroup
	backingUp bool     // under mu
	damaged   sync.Map // paths of tables that were told to be

	tableFault atomic.Pointer[fault] // why tables cannot be written, nil if they can
}

// fault is what is wrong with the disk now.
type fault struct {
	err   error
	final bool
}

// formatMajorVersion is of Pebble's own files. It is pinned: a newer Pebble must not make a store unreadable to the program that
// wrote it without our format version.
const formatMajorVersion = pebble.FormatTableFormatV6

// retryPause is how long a write waits before it is tried again on a full disk.
const retryPause = 250 * time.Millisecond

// Open opens the store in dir, which is made if it is not there. Close it. The error is one line that names dir: ErrInUse if
// another process has it, ErrNewer if a newer version of this program wrote it, ErrDamaged if it is not as it was left, ErrNoStore if
// something else is in dir. What was being written when a process ended is cut off, with a line in the log.
func Open(dir string, o Options) (*Pebble, error) {
	return open(dir, o, retryPause)
}

func open(dir string, o Options, pause time.Duration) (p *Pebble, err error) {
	o.setDefaults()
	dir = o.FS.PathDir(o.FS.PathJoin(dir, "x")) // as Pebble spells it
	p = &Pebble{dir: dir, opts: o, inflight: make(chan inflight, pipelineDepth), done: make(chan struct{}), failed: make(chan struct{})}
	p.work.L, p.grown.L, p.readers.work.L = &p.mu, &p.mu, &p.readers.mu
	p.pending.ticket = 1
	p.opening.Store(true)
	p.guard = &guard{FS: o.FS, dir: dir, lazyLog: o.Durability == OS, pause: pause, quit: make(chan struct{}),
		failed: p.fail, full: p.diskFull}
	if err := p.orFailed(p.openPebble); err != nil {
		if p.lock != nil {
			_ = p.lock.Close()
		}
		return nil, classify(dir, err)
	}
	p.opening.Store(false)
	p.guard.setState(guardArmed)
	go p.syncer()
	go p.committer()
	p.helpers.Go(p.parter)
	for range readerCount {
		p.helpers.Go(p.reader)
	}
	if o.MaxStoreBytes > 0 {
		p.helpers.Go(func() { p.watchSpace(spaceLooks * pause) })
	}
	return p, nil
}

// orFailed does f on a goroutine of its own, and returns Err if the store fails meanwhile: Pebble may then wait for ever.
func (p *Pebble) orFailed(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-p.failed:
		return p.Err()
	}
}

func (p *Pebble) openPebble() (err error) {
	defer recoverAll(&err)
	if err := checkRepaired(p.opts.FS, p.dir); err != nil {
		return err
	}
	if err := makeDir(p.opts.FS, p.dir); err != nil {
		return err
	}
	if p.lock, err = lock(p.opts.FS, p.dir); err != nil {
		return err
	}
	c, err := survey(p.opts.FS, p.dir)
	if err != nil {
		return err
	}
	exists, err := c.check()
	if err == nil && exists {
		err = checkManifest(p.opts.FS, p.dir, &c)
	}
	if err != nil {
		return err
	}
	cache := pebble.NewCache(p.opts.CacheBytes)
	defer cache.Unref()
	po := &pebble.Options{
		FS: p.guard, Lock: p.lock.Lock, Cache: cache, Logger: &quietLogger{p: p, logs: c.logs},
		FormatMajorVersion:          formatMajorVersion,
		MemTableSize:                uint64(p.opts.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       12,
		L0StopWritesThreshold:       60,
		MaxOpenFiles:                p.opts.MaxOpenFiles,
		WALBytesPerSync:             512 << 10,
		EventListener:               p.events(),
	}
	// What is stored is written once, read once and deleted: packing it would cost more than it saves.
	po.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionNone })
	if p.db, err = openPebble(p.dir, po); err != nil {
		return err
	}
	if !exists {
		p.opts.Log.Info("a new store was made", "store", p.dir)
	}
	if err = p.checkFormat(); err == nil {
		err = p.w.init(p.db, &p.stats)
	}
	if err != nil {
		_ = p.db.Close()
	}
	return err
}

// makeDir makes the directory and those above it, and their names durable.
func makeDir(fsys vfs.FS, dir string) error {
	parent := fsys.PathDir(dir)
	if _, err := fsys.Stat(dir); err == nil {
		return nil
	} else if parent == dir {
		return err
	}
	if err := makeDir(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(fsys, parent)
}

// checkFormat reads the format version, or writes it in a new store.
func (p *Pebble) checkFormat() error {
	value, closer, err := p.db.Get(formatKey)
	switch {
	case err == nil:
		v, err := checkVersion(value, formatVersion)
		if err = errors.Join(err, closer.Close()); err != nil || v == formatVersion {
			return err
		}
		p.opts.Log.Info("the store is upgraded: older programs cannot read it any more", "store", p.dir, "from", v, "to", formatVersion)
		if err := upgrade1(p.db); err != nil {
			return fmt.Errorf("upgrade from format %d: %w", v, err)
		}
		return p.writeFormat()
	case !errors.Is(err, pebble.ErrNotFound):
		return fmt.Errorf("format version: %w", err)
	}
	it, err := p.db.NewIter(nil)
	if err != nil {
		return fmt.Errorf("format version: %w", err)
	}
	used := it.First()
	if err := it.Close(); err != nil {
		return fmt.Errorf("format version: %w", err)
	}
	if used {
		return fmt.Errorf("no format version: %w", ErrNoStore)
	}
	return p.writeFormat()
}

// writeFormat makes it durable that nothing older than this program may read the store, before something new is written.
func (p *Pebble) writeFormat() error {
	return p.db.Set(formatKey, binary.AppendUvarint(nil, formatVersion), pebble.Sync)
}

// checkVersion returns the format version of a store if a program of format newest can read it.
func checkVersion(value []byte, newest uint64) (v uint64, err error) {
	v, n := binary.Uvarint(value)
	switch {
	case n <= 0 || v == 0:
		return 0, fmt.Errorf("%w: format version: unreadable: %x", ErrDamaged, value)
	case v > newest:
		return 0, fmt.Errorf("format %d is %w: this one reads up to %d", v, ErrNewer, newest)
	}
	return v, nil
}

// Close makes durable what was appended and ends the store. After a failure, or when the disk is full and stays so, it returns
// Err at once: what was not reported durable may be lost, and goroutines that wait inside Pebble stay until the process ends.
func (p *Pebble) Close() error {
	p.mu.Lock()
	p.stopped = true
	p.work.Signal()
	p.grown.Signal()
	p.mu.Unlock()
	close(p.guard.quit)
	closed := make(chan error, 1)
	go func() {
		<-p.done
		p.readers.stop(errClosed)
		p.helpers.Wait()
		p.backups.Wait()
		closed <- p.db.Close()
	}()
	var err error
	select {
	case err = <-closed:
	case <-p.failed:
		err = p.Err()
	}
	_ = p.lock.Close()
	if err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// Err is what is wrong with the disk, nil if nothing is. A full disk passes: commits wait for space and go on by themselves. Any
// other failed write, and any failed sync, is final: nothing is taken or reported durable any more, until the process
// opens the store anew.
func (p *Pebble) Err() error {
	if f := p.fault.Load(); f != nil {
		return f.err
	}
	return nil
}

// Unavailable tells that what would make new records must be refused: more than MaxPendingBytes wait for the disk, or it is full or
// has failed, or the store is beyond MaxStoreBytes.
func (p *Pebble) Unavailable() bool {
	return p.fault.Load() != nil || p.waiting.Load() > p.opts.MaxPendingBytes || p.tooLarge.Load()
}

// fail ends the store: no ticket becomes durable from now on.
func (p *Pebble) fail(err error) {
	p.failOnce.Do(func() {
		err = classify(p.dir, err)
		p.fault.Store(&fault{err, true})
		p.guard.setState(guardBroken)
		p.mu.Lock()
		p.stopped = true
		p.pending.records, p.parted = nil, nil
		p.work.Signal()
		p.grown.Signal()
		p.mu.Unlock()
		if !p.opening.Load() {
			p.opts.Log.Error("the store has failed: nothing is acknowledged that would have to be stored, until a restart", "error", err)
			p.opts.OnError(err)
		}
		p.readers.stop(err)
		close(p.failed)
	})
}

// diskFull takes note that writes wait for space, and with nil that they go on.
func (p *Pebble) diskFull(err error) {
	old := p.fault.Load()
	if old != nil && old.final {
		return
	}
	if err == nil {
		p.fault.CompareAndSwap(old, nil)
		p.opts.Log.Info("the store has disk space again", "store", p.dir)
		return
	}
	err = fmt.Errorf("store %s: disk full: %w", p.dir, err)
	if p.fault.CompareAndSwap(old, &fault{err, false}) {
		p.opts.Log.Error("the disk is full: acknowledgements wait until there is space", "error", err)
		p.opts.OnError(err)
	}
}

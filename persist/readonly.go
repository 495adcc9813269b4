package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// readOnly is a store that is read and not changed, and locked meanwhile. Owned by one goroutine. Close it.
type readOnly struct {
	db     *pebble.DB
	lock   *dirLock
	format uint64
	tables int
	bytes  int64
}

// lockExisting locks a store that is there, and sorts its files.
func lockExisting(fsys vfs.FS, dir string) (l *dirLock, c contents, err error) {
	if c, err = survey(fsys, dir); errors.Is(err, fs.ErrNotExist) {
		return nil, c, ErrNoStore
	} else if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, c, err
	}
	if len(c.tables)+len(c.logs)+len(c.others) == 0 { // a lock would leave a file
		return nil, c, ErrNoStore
	}
	if l, err = lock(fsys, dir); err != nil {
		return nil, c, err
	}
	if c, err = survey(fsys, dir); err != nil { // a broker may have ended in between
		return nil, c, errors.Join(err, l.Close())
	}
	return l, c, nil
}

func openReadOnly(fsys vfs.FS, dir string) (r *readOnly, err error) {
	l, c, err := lockExisting(fsys, dir)
	if err != nil {
		return nil, err
	}
	r = &readOnly{lock: l, bytes: c.bytes}
	if exists, err := c.check(); err != nil || !exists {
		return nil, errors.Join(err, l.Close())
	}
	if r.db, err = openPebble(dir, readOnlyOptions(fsys, l)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if err = r.look(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// readOnlyOptions are for a Pebble that writes nothing.
func readOnlyOptions(fsys vfs.FS, l *dirLock) *pebble.Options {
	listener := &pebble.EventListener{DataCorruption: func(pebble.DataCorruptionInfo) {}} // else it is fatal
	return &pebble.Options{FS: fsys, Lock: l.Lock, ReadOnly: true, Logger: strictLogger{}, FormatMajorVersion: formatMajorVersion, EventListener: listener}
}

// openPebble is pebble.Open, whose panics are errors, and which tells if a table is missing.
func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer recoverAll(&err)
	if db, err = pebble.Open(dir, o); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, missing{err})
	}
	return db, err
}

// missing is the error of Pebble about a table that is not there.
type missing struct{ error }

func (m missing) Error() string {
	if name, ok := missingTable(m.error); ok {
		return name + " is missing"
	}
	return m.error.Error()
}

func (m missing) Unwrap() error { return m.error }

// missingTable is the name of the first table that err says is not there. Pebble tells the number.
func missingTable(err error) (name string, ok bool) {
	_, rest, ok := strings.Cut(err.Error(), "file ")
	var number uint64
	if _, err := fmt.Sscanf(rest, "%d (type sstable) unknown", &number); !ok || err != nil {
		return "", false
	}
	return fmt.Sprintf("%06d.sst", number), true
}

// look reads what is not in a key of its own.
func (r *readOnly) look() (err error) {
	defer recoverFatal(&err)
	value, closer, err := r.db.Get(formatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return fmt.Errorf("no format version: %w", ErrNoStore)
	} else if err != nil {
		return err
	}
	r.format, err = checkVersion(value, formatVersion)
	err = errors.Join(err, closer.Close())
	levels, e := r.db.SSTables()
	for _, level := range levels {
		r.tables += len(level)
	}
	return errors.Join(err, e)
}

// visit visits the keys in bounds in order, with their values. Both are good until visit returns.
func (r *readOnly) visit(bounds *pebble.IterOptions, visit func(key, value []byte) error) (err error) {
	defer recoverFatal(&err)
	it, err := r.db.NewIter(bounds)
	if err != nil {
		return err
	}
	defer closeInto(&err, it)
	for it.First(); it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := visit(it.Key(), value); err != nil {
			return err
		}
	}
	return it.Error()
}

func (r *readOnly) Close() (err error) {
	defer recoverFatal(&err)
	defer closeInto(&err, r.lock)
	return r.db.Close()
}

// parseKey fills the fields of a record that stand in its key. The kind of the format version and of a message with
// a key of its own is 0; the number of the latter is in Seq.
func parseKey(key []byte) (r session.Record, err error) {
	if len(key) == 0 {
		return r, badKey(key)
	}
	rest := key[1:]
	switch key[0] {
	case prefixFormat:
		if len(rest) == 0 {
			return r, nil
		}
		return r, badKey(key)
	case prefixRetained:
		r.Kind, r.Filter = session.RetainedPut, string(rest)
		return r, nil
	}
	n, ok := keyNumber(key)
	if !ok {
		return r, badKey(key)
	}
	rest = key[numberKeySize:]
	switch r.Session = n; {
	case key[0] == prefixMessage && len(rest) == 0:
		return session.Record{Seq: n}, nil
	case key[0] == prefixSession && len(rest) == 0:
		r.Kind = session.SessionPut
	case key[0] == prefixSession && rest[0] == coldSubscription:
		r.Kind, r.Filter = session.SubscriptionPut, string(rest[1:])
	case key[0] == prefixSession && rest[0] == coldWill && len(rest) == 1:
		r.Kind = session.WillPut
	case key[0] == prefixHot && isChunkKey(key):
		r.Kind, r.Seq = session.QueuePut, parseChunkKey(key)
	case key[0] == prefixHot && isMarksKey(key):
		r.Kind, r.Seq = session.QueueDelete, parseChunkKey(key)
	case key[0] == prefixHot && len(key) == receivedKeySize && rest[0] == hotReceived:
		r.Kind, r.ID = session.ReceivedPut, binary.BigEndian.Uint16(rest[1:])
	default:
		return r, badKey(key)
	}
	return r, nil
}

package persist

import (
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// Progress is told now and then how far something has come: what is being done, and how much of it in which unit. total 0
// means unknown. It is called on the goroutine of whoever asked for the work. A nil Progress is told nothing.
type Progress func(what string, done, total int64)

// tell is told every so many keys or blocks.
const tellEvery = 4096

func (p Progress) tell(what string, done, total int64) {
	if p != nil {
		p(what, done, total)
	}
}

// Info is what a store holds.
type Info struct {
	Format    uint64 // version of keys and values
	Dir       string
	DiskBytes int64 // of all its files
	Tables    int   // files that are sorted by key; what is newest stands in logs

	Sessions, Subscriptions, Queued, Received, Wills, Retained int

	Groups        int   // queues of shared subscriptions; not among the Sessions
	QueuedBytes   int64 // of what is owed; a message that several sessions are owed counts once
	RetainedBytes int64
}

// ReadInfo counts what is in a store that no process has open. It changes nothing.
func ReadInfo(dir string, p Progress) (Info, error) {
	dir = filepath.Clean(dir)
	info, err := readInfo(vfs.Default, dir, p)
	return info, classify(dir, err)
}

func readInfo(fsys vfs.FS, dir string, progress Progress) (info Info, err error) {
	progress.tell("opening", 0, 0)
	r, err := openReadOnly(fsys, dir)
	if err != nil {
		return info, err
	}
	defer closeInto(&err, r)
	info = Info{Format: r.format, Dir: dir, DiskBytes: r.bytes, Tables: r.tables}
	var done int64
	err = r.visit(nil, func(key, value []byte) error {
		if done++; done%tellEvery == 0 {
			progress.tell("keys", done, 0)
		}
		return info.count(key, value)
	})
	return info, err
}

func (info *Info) count(key, value []byte) error {
	r, err := parseKey(key)
	if err != nil {
		return err
	}
	switch r.Kind {
	case session.SessionPut:
		st, err := parseState(value)
		if err != nil {
			return fmt.Errorf("session %d: %w", r.Session, err)
		}
		if st.Group != "" {
			info.Groups++
		} else {
			info.Sessions++
		}
	case session.SubscriptionPut:
		info.Subscriptions++
	case session.QueuePut:
		info.QueuedBytes += int64(len(value))
		c := storedChunk{sid: r.Session, first: r.Seq, value: value}
		for range c.deliveries(&err) {
			info.Queued++
		}
		return sessionError(r.Session, err)
	case session.QueueDelete:
		m, err := parseMarks(value)
		if err != nil {
			return sessionError(r.Session, err)
		}
		info.Queued -= m.settled.count()
	case session.ReceivedPut:
		info.Received++
	case session.WillPut:
		info.Wills++
	case session.RetainedPut:
		info.RetainedBytes += int64(len(value))
		info.Retained++
	default:
		if key[0] == prefixMessage {
			info.QueuedBytes += int64(len(value))
		}
	}
	return nil
}

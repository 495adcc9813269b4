package persist

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// Report is what Verify and Repair found.
type Report struct {
	Problems []Problem // the first 10 000
	Checked  int64     // keys that could be read
	Kept     int64     // keys in the store after Repair
	Original string    // where Repair has left the damaged store; "" if it did not have to change anything
}

// Verify reads a store that no process has open, all of it: the checksum of every block, every record of the logs, every
// key and value, and whether they fit together. It changes nothing. An error says that it could not look, not that
// something is wrong.
func Verify(dir string, p Progress) (Report, error) {
	dir = filepath.Clean(dir)
	report, err := verify(vfs.Default, dir, p)
	return report, classify(dir, err)
}

func verify(fsys vfs.FS, dir string, progress Progress) (report Report, err error) {
	s, err := openScan(fsys, dir, progress)
	if err != nil {
		return report, err
	}
	defer closeInto(&err, s)
	return newAudit(s).run(nil)
}

// audit judges the keys of a store one by one.
type audit struct {
	scan     *scan
	messages numberSet // that have a key
	sessions numberSet
	owners   numberSet // sessions that something is owed to
	orphans  numberSet // sessions that are not there but have other keys
	known    numberSet // the same, of the run before
	format   bool      // there is a format version

	chunk               *storedChunk // the last one, whose marks may follow
	missing, missingFor numberSet    // messages, and sessions that are owed these
	lost                int64        // deliveries of missing messages
}

func newAudit(s *scan) *audit {
	return &audit{scan: s, messages: numberSet{}, sessions: numberSet{}, owners: numberSet{}, orphans: numberSet{}, missing: numberSet{},
		missingFor: numberSet{}}
}

// run reads everything. keep, which may be nil, is told of each key that is right, but for those of the sessions that an
// earlier run did not find.
func (a *audit) run(keep func(key, value []byte) error) (report Report, err error) {
	a.known, a.orphans = a.orphans, numberSet{}
	tell := keep
	keep = func(key, value []byte) error {
		if tell == nil {
			return nil
		}
		report.Kept++
		return tell(key, value)
	}
	err = a.scan.each(func(key, value []byte) error {
		report.Checked++
		if !isMarksKey(key) {
			if err := a.endChunk(keep); err != nil {
				return err
			}
		}
		r, err := a.judge(key, value)
		switch {
		case errors.Is(err, ErrNewer):
			return err
		case errors.Is(err, errUnfit) || a.known.has(r.Session):
			return nil
		case err != nil:
			a.scan.problem("", err.Error(), describe(key, append(key[:len(key):len(key)], 0)))
			return nil
		}
		return keep(key, value)
	})
	if err == nil {
		err = a.endChunk(keep)
	}
	a.sum(report.Checked)
	report.Problems = a.scan.problems
	return report, err
}

// errUnfit is of a key that is right but does not fit the others, which sum tells.
var errUnfit = errors.New("does not fit")

func (a *audit) judge(key, value []byte) (r session.Record, err error) {
	if r, err = parseKey(key); err != nil {
		return r, err
	}
	switch r.Kind {
	case session.SessionPut:
		a.sessions.add(r.Session)
		if _, err = parseState(value); err != nil {
			return r, fmt.Errorf("session %d: %w", r.Session, err)
		}
	case session.SubscriptionPut:
		if _, err = parseOptions(value); err != nil {
			return r, fmt.Errorf("session %d: filter %q: %w", r.Session, r.Filter, err)
		}
		a.under(r.Session)
	case session.WillPut:
		if _, err = parseWill(value); err != nil {
			return r, fmt.Errorf("session %d: %w", r.Session, err)
		}
		a.under(r.Session)
	case session.QueuePut:
		a.owners.add(r.Session)
		c := &storedChunk{sid: r.Session, first: r.Seq, value: bytes.Clone(value)}
		for range c.deliveries(&err) {
		}
		if err != nil {
			return r, sessionError(r.Session, err)
		}
		a.chunk = c
		return r, errUnfit // until it is known what of it is owed
	case session.QueueDelete:
		m, err := parseMarks(value)
		if err != nil {
			return r, sessionError(r.Session, err)
		}
		if c := a.chunk; c != nil && c.sid == r.Session && c.first == r.Seq {
			c.marks = m
		}
		return r, errUnfit
	case session.ReceivedPut:
		a.owners.add(r.Session)
	case session.RetainedPut:
		if _, err = parseMessage(value); err != nil {
			return r, fmt.Errorf("retained %q: %w", r.Filter, err)
		}
	default:
		if key[0] == prefixFormat {
			a.format = true
			_, err := checkVersion(value, formatVersion)
			return r, err
		}
		if _, err = parseMessage(value); err != nil {
			return r, fmt.Errorf("message %d: %w", r.Seq, err)
		}
		a.messages.add(r.Seq)
	}
	return r, nil
}

// under notes a key whose session came just before, if it is there.
func (a *audit) under(sid uint64) {
	if !a.sessions.has(sid) {
		a.orphans.add(sid)
	}
}

// endChunk judges the chunk that came last. What it is owed of messages that are gone is marked as settled.
func (a *audit) endChunk(keep func(key, value []byte) error) error {
	c := a.chunk
	if c == nil {
		return nil
	}
	a.chunk = nil
	left := 0
	var gone []uint64
	var err error
	for r, o := range c.deliveries(&err) {
		switch {
		case r.Kind == session.QueueRelease:
		case o.id != 0 && !a.messages.has(o.id): // messages come before
			a.missing.add(o.id)
			a.missingFor.add(c.sid)
			a.lost++
			gone = append(gone, r.Seq)
			continue
		case o.id == 0:
			if _, err := parseMessage(o.inline); err != nil {
				a.scan.problem("", fmt.Sprintf("session %d: delivery %d: %v", c.sid, r.Seq, err), "this delivery")
				gone = append(gone, r.Seq)
				continue
			}
		}
		left++
	}
	if err != nil || left == 0 || a.known.has(c.sid) {
		return nil // told already, or nothing is left
	}
	if len(gone) > 0 && c.marks == nil {
		c.marks = &marks{}
	}
	for _, seq := range gone {
		c.marks.settled.set(seq - c.first)
	}
	if err := keep(appendChunkKey(nil, c.sid, c.first), c.value); err != nil || c.marks == nil {
		return err
	}
	return keep(appendMarksKey(nil, c.sid, c.first), c.marks.append(nil))
}

// sum tells what only shows when all is read.
func (a *audit) sum(checked int64) {
	for sid := range a.owners {
		if !a.sessions.has(sid) {
			a.orphans.add(sid)
		}
	}
	if len(a.missing) > 0 {
		a.scan.problem("", fmt.Sprintf("messages %v are missing, which %d deliveries refer to", a.missing, a.lost),
			fmt.Sprintf("these deliveries, of sessions %v", a.missingFor))
	}
	if len(a.orphans) > 0 {
		a.scan.problem("", fmt.Sprintf("sessions %v are not there, but keys of them are", a.orphans), "what is left of these sessions")
	}
	if !a.format && (checked > 0 || len(a.scan.problems) > 0) {
		a.scan.problem("", "the format version is missing", "nothing")
	}
}

package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The manifest is a row of edits to the list of tables. Pebble takes whatever it cannot read for its end. After a
// crash in the middle of an edit that is right: the edit had not happened, and the log that it was about is still there. If
// an edit was damaged that had happened, the log is gone, and Pebble would delete the tables that the edit
// added, since it does not know them. So the manifest is read before Pebble does.

// checkManifest returns ErrDamaged if an edit is lost that had happened.
func checkManifest(fsys vfs.FS, dir string, c *contents) (err error) {
	f, err := fsys.Open(fsys.PathJoin(dir, c.manifest))
	if err != nil {
		return err
	}
	defer closeInto(&err, f)
	var firstLog uint64
	r := record.NewReader(f, logNumber(record.NewReader, 0))
	for {
		at := r.Offset()
		rec, err := r.Next()
		if err == io.EOF {
			return nil
		}
		var edit []byte
		if err == nil {
			edit, err = io.ReadAll(rec)
		}
		if err == nil {
			firstLog = max(firstLog, editLog(edit))
			continue
		}
		if !record.IsInvalidRecord(err) && !errors.Is(err, record.ErrInvalidChunk) {
			return err
		}
		return checkCut(f, at, firstLog, c)
	}
}

// checkCut decides about a manifest that cannot be read from at on.
func checkCut(f io.ReaderAt, at int64, firstLog uint64, c *contents) error {
	rest, err := io.ReadAll(io.NewSectionReader(f, at, 1<<40))
	if err != nil {
		return err
	}
	if len(bytes.Trim(rest, "\x00")) == 0 {
		return nil
	}
	for i := range rest[1:] {
		if isEdit(rest[1+i:]) {
			return fmt.Errorf("%w: %s: unreadable at byte %d, and more follows", ErrDamaged, c.manifest, at)
		}
	}
	for _, table := range c.tables {
		_, number, _ := fileKind(table)
		if number <= firstLog {
			continue
		}
		if !hasLogBetween(c.logs, firstLog, number) {
			return fmt.Errorf("%w: %s: unreadable from byte %d on, where %s was added", ErrDamaged, c.manifest, at, table)
		}
	}
	return nil
}

func hasLogBetween(logs []string, from, to uint64) bool {
	for _, name := range logs {
		if _, n, _ := fileKind(name); from <= n && n < to {
			return true
		}
	}
	return false
}

// isEdit tells whether b begins with a whole chunk of a manifest, which has no log number.
func isEdit(b []byte) bool {
	const headerSize, lastChunk = 7, 4
	if len(b) < headerSize || b[6] == 0 || b[6] > lastChunk {
		return false
	}
	size := headerSize + int(binary.LittleEndian.Uint16(b[4:]))
	return size <= len(b) && logChecksum(b[6:size]) == binary.LittleEndian.Uint32(b)
}

// editLog is the number of the first log that counts after an edit; 0 if the edit does not say. That and a few other
// numbers stand before anything else.
func editLog(edit []byte) uint64 {
	const comparer, log, nextFile, lastSequence, previousLog = 1, 2, 3, 4, 9
	r := reader{b: edit}
	for len(r.b) > 0 {
		switch r.number() {
		case comparer:
			r.string()
		case log:
			return r.number()
		case nextFile, lastSequence, previousLog:
			r.number()
		default:
			return 0
		}
	}
	return 0
}

package persist

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A log is a row of blocks, in them chunks, one or more to a record, which is a batch. A chunk begins
//
//	checksum:4 length:2 encoding:1 log:4 [synced:8]
//
// and none crosses a block. What follows the last record is the end of the file, zeros that were allocated ahead, an end
// mark with the number of the next log, or what is left of an older log whose file is used again. What else is there
// was to be a record: one that was being written when the process ended, or one that was damaged.
const (
	logBlockSize  = 32 << 10
	logHeaderSize = 11

	logSyncedHeaderSize = logHeaderSize + 8

	logFullChunk       = 5 // encodings
	logMiddleChunk     = 7
	logLastChunk       = 8
	logLastSyncedChunk = 12
)

// logReader reads a log, also behind damage. Pebble's own reader ends there.
type logReader struct {
	number uint64

	entries []entry
	spans   []span
	batches int64
	first   uint64 // sequence number of the first entry
	next    uint64 // and the one after the last; 0 if there are none
	lost    int64  // bytes between good records that cannot be read
	end     logEnd
	endAt   int64 // where it is
	cut     int64 // bytes of a torn end
}

// readLog reads the log of a number. An error means that it cannot be read at all.
func readLog(fsys vfs.FS, path string, number uint64) (l *logReader, err error) {
	defer recoverAll(&err)
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, f)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	l = &logReader{number: number}
	damagedAt := int64(-1)
	for from, size := int64(0), info.Size(); from < size; {
		n, at, readErr := l.readFrom(f, from, size)
		if n > 0 && damagedAt >= 0 {
			l.lost += from - damagedAt
			damagedAt = -1
		}
		if damagedAt < 0 {
			damagedAt = at
			l.endAt = at
			if l.end, l.cut, err = inspectEnd(f, at, number); err != nil {
				return nil, err
			}
		}
		if readErr == nil && l.end != logTorn {
			break
		}
		if from, err = l.resume(f, at, size); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// resume returns where the next chunk of this log begins after at, and size if there is none.
func (l *logReader) resume(f io.ReaderAt, at, size int64) (int64, error) {
	buf := make([]byte, logBlockSize)
	for from := at + 1; from < size; {
		n, err := f.ReadAt(buf[:logBlockSize-from%logBlockSize], from)
		if err != nil && err != io.EOF {
			return 0, err
		}
		for i := range n {
			if isChunk(buf[i:n], uint32(l.number)) {
				return from + int64(i), nil
			}
		}
		from += int64(n)
	}
	return size, nil
}

// readFrom reads records from where a chunk begins. It returns how many, and where the first stands that cannot be
// read, with why.
func (l *logReader) readFrom(f io.ReaderAt, from, size int64) (n int, at int64, err error) {
	block := from - from%logBlockSize
	r := record.NewReader(io.MultiReader(bytes.NewReader(l.filler(int(from-block))), io.NewSectionReader(f, from, size-from)),
		logNumber(record.NewReader, l.number))
	for {
		at = max(from, block+r.Offset())
		rec, err := r.Next()
		if err == io.EOF {
			return n, at, nil
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(rec)
		}
		if err == nil {
			err = l.batch(data)
		}
		if err != nil {
			return n, at, err
		}
		n++
	}
}

// filler is a chunk of n bytes that a reader passes over, since it is the middle of a record without a beginning. A reader starts
// at the beginning of a block, so this takes the place of what is damaged there.
func (l *logReader) filler(n int) []byte {
	if n == 0 {
		return nil
	}
	b := make([]byte, n)
	binary.LittleEndian.PutUint16(b[4:], uint16(n-logHeaderSize))
	b[6] = logMiddleChunk
	binary.LittleEndian.PutUint32(b[7:], uint32(l.number))
	binary.LittleEndian.PutUint32(b, logChecksum(b[6:]))
	return b
}

// logNumber makes an argument for a function of Pebble whose type has no name outside.
func logNumber[T ~uint64](_ func(io.Reader, T) *record.Reader, n uint64) T { return T(n) }

var errBatch = errors.New("batch: unreadable")

func (l *logReader) batch(data []byte) error {
	h, ok := batchrepr.ReadHeader(data)
	if !ok {
		return errBatch
	}
	seq := uint64(h.SeqNum)
	for r := batchrepr.Read(data); len(r) > 0; {
		kind, key, value, ok, err := r.Next()
		if err != nil || !ok {
			return errBatch
		}
		switch kind {
		case pebble.InternalKeyKindLogData:
			continue
		case pebble.InternalKeyKindRangeDelete:
			l.spans = append(l.spans, span{key, value, seq})
		default:
			l.entries = append(l.entries, entry{key, seq, kind, plainValue(value)})
		}
		seq++
	}
	l.batches++
	if l.next == 0 {
		l.first = uint64(h.SeqNum)
	}
	l.next = max(l.next, seq)
	return nil
}

type plainValue []byte

func (v plainValue) Value([]byte) ([]byte, bool, error) { return v, true, nil }

// logEnd is what follows the last record of a log.
type logEnd uint8

const (
	logOpen   logEnd = iota // nothing, or what does not matter
	logClosed               // its mark
	logTorn                 // what was meant to be a record
)

// inspectEnd tells what stands where a log cannot be read on, and of a torn end about how many bytes it has. It is torn only
// if that is sure: after a kill, what is left of an older log is nothing to talk about.
func inspectEnd(f io.ReaderAt, at int64, number uint64) (end logEnd, n int64, err error) {
	buf := make([]byte, 2*logBlockSize)
	m, err := f.ReadAt(buf, at)
	if err != nil && err != io.EOF {
		return logOpen, 0, err
	}
	rest, pad := buf[:m], logBlockSize-int(at%logBlockSize)
	if pad < logSyncedHeaderSize && pad <= m && len(bytes.Trim(rest[:pad], "\x00")) == 0 {
		rest, pad = rest[pad:], logBlockSize
	}
	mark := [logHeaderSize]byte{6: logFullChunk}
	binary.LittleEndian.PutUint32(mark[7:], uint32(number+1))
	switch {
	case bytes.HasPrefix(rest, mark[:]):
		return logClosed, 0, nil
	case !wasOurs(rest, uint32(number)) && !goesOn(rest, pad, uint32(number)):
		return logOpen, 0, nil
	}
	size, err := lastByte(f)
	return logTorn, max(size-at, 0), err
}

// wasOurs tells whether b begins with a chunk of a log, or a part of one, though it is damaged.
func wasOurs(b []byte, number uint32) bool {
	if len(b) < logHeaderSize {
		return len(bytes.Trim(b, "\x00")) > 0
	}
	if binary.LittleEndian.Uint32(b[7:]) == number {
		return true
	}
	repaired := bytes.Clone(b) // perhaps the number is what is damaged
	binary.LittleEndian.PutUint32(repaired[7:], number)
	return isChunk(repaired, number)
}

// goesOn tells whether a later chunk of a log is in b, which goes on for inBlock bytes to the end of a block.
func goesOn(b []byte, inBlock int, number uint32) bool {
	for i := range b[:min(len(b), inBlock+1)] { // of the next block, the first
		if isChunk(b[i:], number) {
			return true
		}
	}
	return false
}

// isChunk tells whether b begins with a whole chunk of a log.
func isChunk(b []byte, number uint32) bool {
	if len(b) < logHeaderSize || binary.LittleEndian.Uint32(b[7:]) != number || b[6] < logFullChunk || b[6] > logLastSyncedChunk {
		return false
	}
	size := logHeaderSize + int(binary.LittleEndian.Uint16(b[4:]))
	if b[6] > logLastChunk {
		size += logSyncedHeaderSize - logHeaderSize
	}
	return size <= len(b) && logChecksum(b[6:size]) == binary.LittleEndian.Uint32(b)
}

// lastByte is behind the last byte of a file that is not zero.
func lastByte(f io.ReaderAt) (size int64, err error) {
	buf := make([]byte, logBlockSize)
	for at := int64(0); ; {
		n, err := f.ReadAt(buf, at)
		if used := bytes.TrimRight(buf[:n], "\x00"); len(used) > 0 {
			size = at + int64(len(used))
		}
		if err == io.EOF {
			return size, nil
		} else if err != nil {
			return size, err
		}
		at += int64(n)
	}
}

// logChecksum is how Pebble keeps a checksum.
func logChecksum(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}

// memory is entries as a source.
type memory []entry

func newMemory(entries []entry) *memory {
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(b.seq, a.seq))
	})
	return (*memory)(&entries)
}

func (m *memory) next() (e entry, ok bool) {
	if len(*m) == 0 {
		return e, false
	}
	e = (*m)[0]
	*m = (*m)[1:]
	return e, true
}

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
// mark with the number of the next log, or what is left of an older log whose file is used again. Anything else
// once was a record: one that was being written when the process ended, or one that was damaged.
const (
	logBlockSize  = 32 << 10
	logHeaderSize = 11

	logSyncedHeaderSize = logHeaderSize + 8

	logFullChunk       = 5 // encodings
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
		if from > 0 && !l.begins(f, from) {
			from += logBlockSize
			continue
		}
		n, at, readErr := l.readFrom(f, from, size)
		if n > 0 && damagedAt >= 0 {
			l.lost += from - damagedAt
			damagedAt = -1
		}
		if damagedAt < 0 {
			damagedAt = at
			if l.end, l.cut, err = inspectEnd(f, at, number); err != nil {
				return nil, err
			}
		}
		if readErr == nil && l.end != logTorn {
			break
		}
		from = (at/logBlockSize + 1) * logBlockSize
	}
	return l, nil
}

// begins tells whether a block begins with a chunk of this log.
func (l *logReader) begins(f io.ReaderAt, at int64) bool {
	var h [logHeaderSize]byte
	_, err := f.ReadAt(h[:], at)
	return err == nil && binary.LittleEndian.Uint32(h[7:]) == uint32(l.number)
}

// readFrom reads records from the beginning of a block. It returns how many, and where the first stands that cannot be
// read, with why.
func (l *logReader) readFrom(f io.ReaderAt, from, size int64) (n int, at int64, err error) {
	r := record.NewReader(io.NewSectionReader(f, from, size-from), logNumber(record.NewReader, l.number))
	for {
		at = from + r.Offset()
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

// inspectEnd tells what stands where a log cannot be read on, and of a torn end about how many bytes it has.
func inspectEnd(f io.ReaderAt, at int64, number uint64) (end logEnd, n int64, err error) {
	buf := make([]byte, 2*logBlockSize)
	m, err := f.ReadAt(buf, at)
	if err != nil && err != io.EOF {
		return logOpen, 0, err
	}
	rest := buf[:m]
	if pad := logBlockSize - int(at%logBlockSize); pad < logSyncedHeaderSize && pad <= m && len(bytes.Trim(rest[:pad], "\x00")) == 0 {
		rest, at = rest[pad:], at+int64(pad)
	}
	mark := [logHeaderSize]byte{6: logFullChunk}
	binary.LittleEndian.PutUint32(mark[7:], uint32(number+1))
	if bytes.HasPrefix(rest, mark[:]) {
		return logClosed, 0, nil
	}
	ours := len(rest) >= logHeaderSize && binary.LittleEndian.Uint32(rest[7:]) == uint32(number)
	if !ours && reused(rest, int(logBlockSize-at%logBlockSize), number) {
		return logOpen, 0, nil
	}
	for from := at; ; {
		if last := bytes.TrimRight(rest, "\x00"); len(last) > 0 {
			n = from - at + int64(len(last))
		}
		if from += int64(len(rest)); err != nil {
			break
		}
		m, err = f.ReadAt(buf, from)
		if rest = buf[:m]; err != nil && err != io.EOF {
			return logOpen, 0, err
		}
	}
	if n == 0 {
		return logOpen, 0, nil
	}
	return logTorn, n, nil
}

// reused tells whether b, up to the end of a block and beyond, is of an older log: whether there is a chunk of one.
func reused(b []byte, inBlock int, number uint64) bool {
	for i := range b {
		h := b[i:]
		if len(h) < logHeaderSize {
			return false
		}
		if i > inBlock { // only the first chunk of the next block
			return false
		}
		log, length := binary.LittleEndian.Uint32(h[7:]), int(binary.LittleEndian.Uint16(h[4:]))
		if log == 0 || log >= uint32(number) || h[6] < logFullChunk || h[6] > logLastSyncedChunk {
			continue
		}
		size := logHeaderSize + length
		if h[6] > logLastChunk {
			size = logSyncedHeaderSize + length
		}
		if size <= len(h) && logChecksum(h[6:size]) == binary.LittleEndian.Uint32(h) {
			return true
		}
	}
	return false
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

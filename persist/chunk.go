package persist

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Chunks: what a session is owed, many deliveries to a key.
//
// Most of what a message costs in an LSM is its key: a place has to be found for it in the memtable, among all the
// others, and again for its deletion. So the deliveries that one batch has for one session become one value, its chunk, under the
// sequence number of the first. It is written once and never again. What of it is settled one by one is noted beside it, in marks: a bit
// for each sequence number, under a key that is overwritten once in a batch at most. When the last delivery is settled both go.
//
// A value of marks is two sets of bits, each as its length and its bytes: settled, and released, which is settled but for the PUBCOMP.

// maxChunkSpan is up to how many sequence numbers a chunk reaches over.
const maxChunkSpan = 1024

// maxChunkBytes is where a chunk ends, so that reading one delivery does not read much more.
const maxChunkBytes = 32 << 10

// Flags of a delivery in a chunk.
const (
	owedIDs      = 0x08
	owedInline   = 0x10 // the message is here, else under a key of its own
	owedReleased = 0x20 // QoS 2, PUBREL is owed, the message is not
)

// chunkWriter encodes deliveries one after the other.
type chunkWriter struct {
	buf     []byte
	first   uint64
	last    uint64 // newest sequence number
	message uint64 // newest id
	n       int
}

// fits tells whether the delivery seq may go into the same chunk.
func (c *chunkWriter) fits(seq uint64) bool {
	return seq > c.last && seq-c.first < maxChunkSpan && len(c.buf) < maxChunkBytes
}

func (c *chunkWriter) begin(seq uint64) {
	*c = chunkWriter{buf: c.buf[:0], first: seq, last: seq}
}

// add appends a QueuePut, whose message has the key id or is put inside if that is 0, or a QueueRelease.
func (c *chunkWriter) add(r *session.Record, id uint64) {
	b := binary.AppendUvarint(c.buf, r.Seq-c.last)
	c.last = r.Seq
	c.n++
	if r.Kind == session.QueueRelease {
		c.buf = append(b, byte(codec.QoS2)|owedReleased)
		return
	}
	flags := byte(r.QoS) & flagQoS
	if r.Retain {
		flags |= flagRetain
	}
	if len(r.IDs) > 0 {
		flags |= owedIDs
	}
	if id == 0 {
		flags |= owedInline
	}
	b = append(b, flags)
	if len(r.IDs) > 0 {
		b = binary.AppendUvarint(b, uint64(len(r.IDs)))
		for _, x := range r.IDs {
			b = binary.AppendUvarint(b, uint64(x))
		}
	}
	b = binary.AppendUvarint(b, uint64(r.Message.Size()))
	if id == 0 {
		b = binary.AppendUvarint(b, uint64(messageLength(r.Message)))
		c.buf = appendMessage(b, r.Message)
		return
	}
	c.buf = binary.AppendVarint(b, int64(id-c.message))
	c.message = id
}

// storedChunk is a chunk as it stands in the store.
type storedChunk struct {
	sid, first uint64
	value      []byte
	marks      *marks // nil: nothing is settled alone
	last       uint64 // sequence number of the newest delivery that deliveries came by, owed or not
}

// deliveries yields what is owed, in order: a QueueRelease, or a QueuePut with the Bytes of its message and where that is. The record is
// good until the next one. What is unreadable ends it, and is in err.
func (c *storedChunk) deliveries(err *error) iter.Seq2[*session.Record, owed] {
	return func(yield func(*session.Record, owed) bool) {
		r := session.Record{Session: c.sid}
		for d := readChunk(c.first, c.value); ; {
			o, ok, e := d.next(&r)
			if !ok {
				*err = e
				return
			}
			c.last = r.Seq
			if c.marks.apply(c.first, &r, &o) && !yield(&r, o) {
				return
			}
		}
	}
}

// nextChunk returns the chunk at which it stands, with its marks, and moves on.
func nextChunk(it *pebble.Iterator) (c storedChunk, err error) {
	c.sid, _ = keyNumber(it.Key())
	c.first = parseChunkKey(it.Key())
	value, err := it.ValueAndErr()
	if err != nil {
		return c, err
	}
	c.value = bytes.Clone(value) // moving on invalidates it
	marksKey := appendMarksKey(nil, c.sid, c.first)
	if !it.Next() || !bytes.Equal(it.Key(), marksKey) {
		return c, it.Error()
	}
	if value, err = it.ValueAndErr(); err == nil {
		c.marks, err = parseMarks(value)
	}
	it.Next()
	return c, err
}

// owed is a delivery as it stands in a chunk.
type owed struct {
	id     uint64 // of the message's own key; 0: it is inline
	inline []byte // encoded
}

// chunkReader takes a chunk apart.
type chunkReader struct {
	r       reader
	seq     uint64
	message uint64
}

func readChunk(first uint64, value []byte) chunkReader {
	return chunkReader{r: reader{b: value}, seq: first}
}

// next fills r, but for the message, of which it has the Bytes. false: there is no more, or what follows is unreadable.
func (c *chunkReader) next(r *session.Record) (o owed, ok bool, err error) {
	d := &c.r
	if len(d.b) == 0 {
		return o, false, nil
	}
	c.seq += d.number()
	flags := d.byte()
	*r = session.Record{Kind: session.QueuePut, Session: r.Session, Seq: c.seq, QoS: codec.QoS(flags & flagQoS), Retain: flags&flagRetain != 0}
	if flags&owedReleased != 0 {
		r.Kind = session.QueueRelease
		return o, d.err == nil, c.failed(d.err)
	}
	if flags&owedIDs != 0 {
		n := d.number()
		if n > uint64(len(d.b)) {
			return o, false, c.failed(errTruncated)
		}
		r.IDs = make([]uint32, n)
		for i := range r.IDs {
			r.IDs[i] = uint32(d.number())
		}
	}
	r.Bytes = int(min(d.number(), math.MaxInt32))
	if flags&owedInline != 0 {
		o.inline = d.string()
	} else {
		c.message += uint64(d.signed())
		o.id = c.message
	}
	return o, d.err == nil, c.failed(d.err)
}

func (c *chunkReader) failed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("delivery %d: %w", c.seq, err)
}

// marks are what of a chunk is settled or released, by distance from its first sequence number.
type marks struct {
	settled, released bitmap
	stored            bool // there is a key
	dirty             bool // it has to be written
}

type bitmap [maxChunkSpan / 64]uint64

func (b *bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b *bitmap) set(i uint64)      { b[i/64] |= 1 << (i % 64) }

func (b *bitmap) count() (n int) {
	for _, x := range b {
		n += bits.OnesCount64(x)
	}
	return n
}

// append encodes b without its empty end.
func (b *bitmap) append(dst []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	if n == 0 {
		return append(dst, 0)
	}
	size := (n-1)*8 + (bits.Len64(b[n-1])+7)/8
	dst = binary.AppendUvarint(dst, uint64(size))
	for i := range size {
		dst = append(dst, byte(b[i/8]>>(i%8*8)))
	}
	return dst
}

func (b *bitmap) parse(d *reader) {
	for i, x := range d.string() {
		if i >= maxChunkSpan/8 {
			d.fail()
			return
		}
		b[i/8] |= uint64(x) << (i % 8 * 8)
	}
}

func (m *marks) append(dst []byte) []byte {
	return m.released.append(m.settled.append(dst))
}

func parseMarks(b []byte) (*marks, error) {
	m := &marks{stored: true}
	d := reader{b: b}
	m.settled.parse(&d)
	m.released.parse(&d)
	if d.err == nil && len(d.b) > 0 {
		d.fail()
	}
	if d.err != nil {
		return nil, fmt.Errorf("marks: %w", d.err)
	}
	return m, nil
}

// apply tells what is owed of a delivery now: r as it is, r as a QueueRelease, or nothing. m may be nil.
func (m *marks) apply(first uint64, r *session.Record, o *owed) (stillOwed bool) {
	if m == nil {
		return true
	}
	i := r.Seq - first
	if i >= maxChunkSpan || m.settled.has(i) {
		return false
	}
	if m.released.has(i) && r.Kind == session.QueuePut {
		*r = session.Record{Kind: session.QueueRelease, Session: r.Session, Seq: r.Seq, QoS: r.QoS}
		*o = owed{}
	}
	return true
}

package persist

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// Messages that several sessions are owed.
//
// The payload of a message is written once, under a key of its own, when a batch has it for two sessions or more, or when it
// is large; otherwise it stands inside the one queue entry, which saves a key. The decision is made when a message is
// first seen and is kept in Message.StoreID: every queue entry of one message is of one kind. Small messages whose
// recipients fall into two batches, with a single one in the first, are therefore written once for each.
//
// How many entries refer to a message is counted in memory only. Load counts again, and removes messages that nobody
// is owed: a crash between counts costs nothing.

// storedInline as a Message.StoreID says that the message stands inside its queue entries.
const storedInline = math.MaxUint64

// maxInlineBytes is the size from which a message gets its own key though only one session is owed it so far.
const maxInlineBytes = 1 << 10

// writer turns records into operations on keys. Owned by the committer; Load fills it before the first record.
type writer struct {
	db    *pebble.DB
	stats *counters

	refs        refCounts
	queues      map[uint64]*queue // session -> what it is owed
	nextMessage uint64            // StoreID of the next message

	// of the batch
	fate     []fate
	ended    map[uint64]int // session -> its last SessionDelete
	table    deliveryTable
	firstNew uint64   // first StoreID given in this batch
	owed     []uint32 // sessions that are owed the message firstNew+i; 0 once it is written
	it       *pebble.Iterator
	open     []*queue // with a chunk that is being written
	marked   []markedChunk
	spare    []*chunkWriter

	key, end, value []byte // scratch
}

// markedChunk is a chunk with marks that have to be written.
type markedChunk struct {
	q     *queue
	first uint64
}

func (w *writer) init(db *pebble.DB, stats *counters) error {
	w.db, w.stats = db, stats
	w.queues = make(map[uint64]*queue)
	w.ended = make(map[uint64]int)
	w.nextMessage = 1
	it, err := db.NewIter(prefixBounds(prefixMessage))
	if err != nil {
		return err
	}
	if it.Last() {
		if id, ok := keyNumber(it.Key()); ok {
			w.nextMessage = id + 1
		}
	}
	return it.Close()
}

// write adds what r means to b.
func (w *writer) write(b *pebble.Batch, r *session.Record, f fate) error {
	w.key = w.key[:0]
	switch r.Kind {
	case session.SessionPut:
		w.key = appendNumberKey(w.key, prefixSession, r.Session)
		w.value = appendState(w.value[:0], r.State)
		return b.Set(w.key, w.value, nil)
	case session.SessionDelete:
		return w.endSession(b, r.Session)
	case session.SubscriptionPut:
		w.key = appendSubscriptionKey(w.key, r.Session, r.Filter)
		w.value = appendOptions(w.value[:0], r.Options)
		return b.Set(w.key, w.value, nil)
	case session.SubscriptionDelete:
		w.key = appendSubscriptionKey(w.key, r.Session, r.Filter)
		return b.Delete(w.key, nil)
	case session.QueuePut:
		if f == writtenReleased {
			return w.chunk(b, &session.Record{Kind: session.QueueRelease, Session: r.Session, Seq: r.Seq}, 0)
		}
		return w.put(b, r)
	case session.QueueRelease:
		return w.release(b, r)
	case session.QueueDelete:
		return w.remove(b, r)
	case session.ReceivedPut:
		w.key = appendReceivedKey(w.key, r.Session, r.ID)
		return b.Set(w.key, nil, nil)
	case session.ReceivedDelete:
		w.key = appendReceivedKey(w.key, r.Session, r.ID)
		return b.Delete(w.key, nil)
	case session.RetainedPut:
		w.key = appendRetainedKey(w.key, r.Message.Topic)
		w.value = appendMessage(w.value[:0], r.Message)
		return b.Set(w.key, w.value, nil)
	case session.RetainedDelete:
		w.key = appendRetainedKey(w.key, r.Filter)
		return b.Delete(w.key, nil)
	case session.WillPut:
		w.key = appendWillKey(w.key, r.Session)
		w.value = appendWill(w.value[:0], r.Will)
		return b.Set(w.key, w.value, nil)
	case session.WillDelete:
		w.key = appendWillKey(w.key, r.Session)
		return b.Delete(w.key, nil)
	}
	panic(fmt.Sprintf("persist: record of kind %d", r.Kind))
}

// put writes a delivery, and its message unless that is written.
func (w *writer) put(b *pebble.Batch, r *session.Record) error {
	id, err := w.share(b, r.Message)
	if err != nil {
		return err
	}
	return w.chunk(b, r, id)
}

// chunk adds a delivery to the chunk of its session. Sequence numbers of one session ascend.
func (w *writer) chunk(b *pebble.Batch, r *session.Record, id uint64) error {
	q := w.queues[r.Session]
	if q == nil {
		q = &queue{sid: r.Session}
		w.queues[r.Session] = q
	}
	if q.next == nil {
		q.next = w.newChunk(r.Seq)
		w.open = append(w.open, q)
	} else if !q.next.fits(r.Seq) {
		if err := w.endChunk(b, q); err != nil {
			return err
		}
		q.next = w.newChunk(r.Seq)
	}
	q.next.add(r, id)
	return nil
}

func (w *writer) newChunk(seq uint64) (c *chunkWriter) {
	if n := len(w.spare); n > 0 {
		c, w.spare = w.spare[n-1], w.spare[:n-1]
	} else {
		c = &chunkWriter{}
	}
	c.begin(seq)
	return c
}

// endChunk writes the chunk of q that is under way.
func (w *writer) endChunk(b *pebble.Batch, q *queue) error {
	c := q.next
	q.next = nil
	q.chunks = append(q.chunks, chunk{first: c.first, owed: uint16(c.n), span: uint16(c.last - c.first)})
	w.key = appendChunkKey(w.key[:0], q.sid, c.first)
	err := b.Set(w.key, c.buf, nil)
	if cap(c.buf) <= 2*maxChunkBytes && len(w.spare) < maxSpareChunks {
		w.spare = append(w.spare, c)
	}
	return err
}

// maxSpareChunks is how many buffers of chunks are kept for the next batch.
const maxSpareChunks = 64

// finish writes what concerns several records of a batch.
func (w *writer) finish(b *pebble.Batch) error {
	for _, q := range w.open {
		if q.next != nil {
			if err := w.endChunk(b, q); err != nil {
				return err
			}
		}
	}
	for _, x := range w.marked {
		c := x.q.find(x.first)
		if c == nil {
			continue // settled whole, meanwhile
		}
		m := x.q.of(c)
		w.key = appendMarksKey(w.key[:0], x.q.sid, x.first)
		w.value = m.append(w.value[:0])
		if err := b.Set(w.key, w.value, nil); err != nil {
			return err
		}
		m.dirty, m.stored = false, true
	}
	return nil
}

// share returns the key under which m is or now will be stored, 0 if it goes inside the entry.
func (w *writer) share(b *pebble.Batch, m *session.Message) (id uint64, err error) {
	id = m.StoreID
	if id == storedInline {
		return 0, nil
	}
	if id < w.firstNew || w.owed[id-w.firstNew] == 0 {
		return id, nil
	}
	n := w.owed[id-w.firstNew]
	if n == 1 && m.Size() <= maxInlineBytes {
		m.StoreID = storedInline
		return 0, nil
	}
	w.owed[id-w.firstNew] = 0
	w.refs.add(id, n)
	w.stats.shared.Add(1)
	w.key = appendNumberKey(w.key[:0], prefixMessage, id)
	w.value = appendMessage(w.value[:0], m)
	return id, b.Set(w.key, w.value, nil)
}

// release notes that of a delivery only PUBREL is owed.
func (w *writer) release(b *pebble.Batch, r *session.Record) error {
	q, c := w.find(r)
	if c == nil {
		return nil
	}
	m, i := q.of(c), r.Seq-c.first
	if m.settled.has(i) || m.released.has(i) {
		return nil
	}
	if err := w.unrefDelivery(b, r, c.first); err != nil {
		return err
	}
	m.released.set(i)
	w.mark(q, c, m)
	return nil
}

// remove settles a delivery, and with the last one of a chunk deletes that. SingleDelete will do for the chunk, and goes away together with
// what it deletes at the first flush or compaction: a key is set once until it is deleted. After a crash a session may
// use a sequence number again that it had used and settled, which makes a sequence of one Set and one SingleDelete, and another of each.
func (w *writer) remove(b *pebble.Batch, r *session.Record) error {
	q, c := w.find(r)
	if c == nil {
		return nil
	}
	i := r.Seq - c.first
	var m *marks
	if c.marks > 0 {
		m = q.of(c)
		if m.settled.has(i) {
			return nil
		}
	}
	if m == nil || !m.released.has(i) {
		if err := w.unrefDelivery(b, r, c.first); err != nil {
			return err
		}
	}
	if c.owed--; c.owed > 0 {
		m = q.of(c)
		m.settled.set(i)
		w.mark(q, c, m)
		return nil
	}
	w.key = appendChunkKey(w.key[:0], q.sid, c.first)
	if err := b.SingleDelete(w.key, nil); err != nil {
		return err
	}
	if m != nil && m.stored {
		w.key = appendMarksKey(w.key[:0], q.sid, c.first)
		if err := b.Delete(w.key, nil); err != nil {
			return err
		}
	}
	if q.drop(c); len(q.chunks) == 0 && q.next == nil {
		delete(w.queues, q.sid)
	}
	return nil
}

// find returns the chunk of a delivery that is stored.
func (w *writer) find(r *session.Record) (*queue, *chunk) {
	q := w.queues[r.Session]
	if q == nil {
		return nil, nil
	}
	return q, q.find(r.Seq)
}

func (w *writer) mark(q *queue, c *chunk, m *marks) {
	if !m.dirty {
		m.dirty = true
		w.marked = append(w.marked, markedChunk{q, c.first})
	}
}

// unrefDelivery takes away the reference of a stored delivery to its message.
func (w *writer) unrefDelivery(b *pebble.Batch, r *session.Record, first uint64) error {
	if w.refs.n == 0 {
		return nil
	}
	if r.Message != nil { // then there is no need to look
		return w.unref(b, r.Message.StoreID)
	}
	w.key = appendChunkKey(w.key[:0], r.Session, first)
	value, closer, err := w.db.Get(w.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	id := uint64(0)
	c := storedChunk{sid: r.Session, first: first, value: value}
	for x, o := range c.deliveries(&err) { // of what is unreadable nothing is to be known
		if x.Seq == r.Seq {
			id = o.id
			break
		}
	}
	if err := closer.Close(); err != nil {
		return err
	}
	return w.unref(b, id)
}

// unref takes one reference from a message. Numbers that are not counted are of messages inside their entries.
func (w *writer) unref(b *pebble.Batch, id uint64) error {
	if !w.refs.drop(id) {
		return nil
	}
	w.key = appendNumberKey(w.key[:0], prefixMessage, id)
	return b.SingleDelete(w.key, nil)
}

// endSession deletes all keys of a session as two ranges. Only if there are shared messages at all, it looks which of them
// the session was owed: what is stored is what it sees, since plan has left out all that this batch has of the session.
func (w *writer) endSession(b *pebble.Batch, sid uint64) error {
	if q := w.queues[sid]; q != nil {
		if w.refs.n > 0 {
			if err := w.unrefSession(b, q); err != nil {
				return err
			}
		}
		delete(w.queues, sid)
	}
	for _, prefix := range [...]byte{prefixHot, prefixSession} {
		w.key = appendNumberKey(w.key[:0], prefix, sid)
		w.end = appendNumberKey(w.end[:0], prefix, sid+1)
		if err := b.DeleteRange(w.key, w.end, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) unrefSession(b *pebble.Batch, q *queue) error {
	bounds := chunkBounds(q.sid)
	if w.it == nil {
		it, err := w.db.NewIter(bounds)
		if err != nil {
			return err
		}
		w.it = it
	} else {
		w.it.SetBounds(bounds.LowerBound, bounds.UpperBound)
	}
	for w.it.First(); w.it.Valid(); {
		c, err := nextChunk(w.it)
		if err != nil {
			return err
		}
		var unreadable error // then there is nothing to be known of it
		for r, o := range c.deliveries(&unreadable) {
			if r.Kind != session.QueuePut {
				continue
			}
			if err := w.unref(b, o.id); err != nil {
				return err
			}
		}
	}
	return w.it.Error()
}

// endBatch drops what belongs to one batch.
func (w *writer) endBatch() {
	w.firstNew, w.owed = w.nextMessage, w.owed[:0]
	clear(w.open)
	clear(w.marked)
	w.open, w.marked = w.open[:0], w.marked[:0]
	if w.it != nil {
		_ = w.it.Close() // its errors were seen
		w.it = nil
	}
	if cap(w.value) > 1<<20 {
		w.value = nil
	}
}

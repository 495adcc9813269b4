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

	refs        map[uint64]uint32        // message -> queue entries that refer to it
	releasing   map[deliveryKey]struct{} // deliveries whose PUBREL is owed: they have the other kind of key
	nextMessage uint64                   // StoreID of the next message

	// of the batch
	fate     []fate
	ended    map[uint64]int // session -> its last SessionDelete
	table    deliveryTable
	firstNew uint64   // first StoreID given in this batch
	owed     []uint32 // sessions that are owed the message firstNew+i; 0 once it is written
	it       *pebble.Iterator

	key, end, value []byte // scratch
}

type deliveryKey struct{ session, seq uint64 }

func (w *writer) init(db *pebble.DB, stats *counters) error {
	w.db, w.stats = db, stats
	w.refs = make(map[uint64]uint32)
	w.releasing = make(map[deliveryKey]struct{})
	w.ended = make(map[uint64]int)
	w.nextMessage = 1
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefixMessage}, UpperBound: []byte{prefixMessage + 1}})
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
		return w.put(b, r)
	case session.QueueRelease:
		return w.release(b, r, f)
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

// put writes a queue entry, and its message unless that is written.
func (w *writer) put(b *pebble.Batch, r *session.Record) error {
	id, err := w.share(b, r.Message)
	if err != nil {
		return err
	}
	w.key = appendQueueKey(w.key[:0], r.Session, r.Seq)
	w.value = appendOwed(w.value[:0], r, id)
	return b.Set(w.key, w.value, nil)
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
	w.refs[id] = n
	w.stats.shared.Add(1)
	w.key = appendNumberKey(w.key[:0], prefixMessage, id)
	w.value = appendMessage(w.value[:0], m)
	return id, b.Set(w.key, w.value, nil)
}

// release replaces a queue entry by the note that PUBREL is owed.
func (w *writer) release(b *pebble.Batch, r *session.Record, f fate) error {
	k := deliveryKey{r.Session, r.Seq}
	if _, ok := w.releasing[k]; ok {
		return nil
	}
	if f != unstored {
		if err := w.removeEntry(b, r); err != nil {
			return err
		}
	}
	w.releasing[k] = struct{}{}
	w.key = appendReleasedKey(w.key[:0], r.Session, r.Seq)
	return b.Set(w.key, nil, nil)
}

// remove deletes what is stored of a delivery: its queue entry, or the note about PUBREL.
func (w *writer) remove(b *pebble.Batch, r *session.Record) error {
	k := deliveryKey{r.Session, r.Seq}
	if _, ok := w.releasing[k]; !ok {
		return w.removeEntry(b, r)
	}
	delete(w.releasing, k)
	w.key = appendReleasedKey(w.key[:0], r.Session, r.Seq)
	return b.SingleDelete(w.key, nil)
}

// removeEntry deletes a queue entry, and its message with the last one. SingleDelete will do, and goes away together with what
// it deletes at the first flush or compaction: a key is set once, since a session does not use a sequence number twice.
func (w *writer) removeEntry(b *pebble.Batch, r *session.Record) error {
	w.key = appendQueueKey(w.key[:0], r.Session, r.Seq)
	if err := b.SingleDelete(w.key, nil); err != nil || len(w.refs) == 0 {
		return err
	}
	if r.Message != nil { // then there is no need to look
		return w.unref(b, r.Message.StoreID)
	}
	value, closer, err := w.db.Get(w.key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	} else if err != nil {
		return err
	}
	id := owedID(value)
	if err := closer.Close(); err != nil {
		return err
	}
	return w.unref(b, id)
}

// unref takes one reference from a message. Numbers that are not counted are of messages inside their entries.
func (w *writer) unref(b *pebble.Batch, id uint64) error {
	n, ok := w.refs[id]
	if !ok {
		return nil
	}
	if n > 1 {
		w.refs[id] = n - 1
		return nil
	}
	delete(w.refs, id)
	w.key = appendNumberKey(w.key[:0], prefixMessage, id)
	return b.SingleDelete(w.key, nil)
}

// endSession deletes all keys of a session as two ranges. Only if there are shared messages at all, it looks which of them
// the session was owed: what is stored is what it sees, since plan has left out all that this batch has of the session.
func (w *writer) endSession(b *pebble.Batch, sid uint64) error {
	if len(w.refs) > 0 || len(w.releasing) > 0 {
		if err := w.unrefSession(b, sid); err != nil {
			return err
		}
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

func (w *writer) unrefSession(b *pebble.Batch, sid uint64) error {
	from := appendQueueKey(nil, sid, 0)
	to := appendQueueKey(nil, sid, math.MaxUint64)
	to = append(to, released+1)
	if w.it == nil {
		it, err := w.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
		if err != nil {
			return err
		}
		w.it = it
	} else {
		w.it.SetBounds(from, to)
	}
	for w.it.First(); w.it.Valid(); w.it.Next() {
		k := parseQueueKey(w.it.Key())
		if len(w.it.Key()) == releasedKeySize {
			delete(w.releasing, deliveryKey{sid, k})
			continue
		}
		value, err := w.it.ValueAndErr()
		if err != nil {
			return err
		}
		if err := w.unref(b, owedID(value)); err != nil {
			return err
		}
	}
	return w.it.Error()
}

// endBatch drops what belongs to one batch.
func (w *writer) endBatch() {
	w.firstNew, w.owed = w.nextMessage, w.owed[:0]
	if w.it != nil {
		_ = w.it.Close() // its errors were seen
		w.it = nil
	}
	if cap(w.value) > 1<<20 {
		w.value = nil
	}
}

package persist

import "github.com/gannetmq/gannet/engine/session"

// What a batch need not write.
//
// A fast subscriber acknowledges a message before its batch is taken: then neither the message nor its deletion
// has to be written, and the cheapest durable message is the one that was owed for a millisecond. A session that ends
// takes everything with it that the same batch has of it. plan finds both before the first byte is encoded, and counts
// how many sessions are owed the same message, which decides whether it gets a key of its own.

// fate is what plan decided about a record.
type fate uint8

const (
	written         fate = iota
	writtenReleased      // a QueuePut of which only PUBREL is owed already
	undone               // not written
)

// plan fills w.fate for records.
func (w *writer) plan(records []session.Record, kinds kindSet) {
	w.fate = resize(w.fate, len(records))
	if kinds.has(session.SessionDelete) {
		w.planEnded(records)
	}
	if kinds.has(session.QueueDelete, session.QueueRelease) {
		w.planQueues(records)
	}
	if kinds.has(session.QueuePut) {
		w.planShares(records)
	}
}

func resize(f []fate, n int) []fate {
	if cap(f) < n {
		return make([]fate, n)
	}
	f = f[:n]
	clear(f)
	return f
}

// planEnded leaves out what comes before the end of its session.
func (w *writer) planEnded(records []session.Record) {
	clear(w.ended)
	for i := range records {
		if records[i].Kind == session.SessionDelete {
			w.ended[records[i].Session] = i
		}
	}
	for i := range records {
		switch records[i].Kind {
		case session.RetainedPut, session.RetainedDelete:
		default:
			if end, ok := w.ended[records[i].Session]; ok && i < end {
				w.undo(i)
			}
		}
	}
}

func (w *writer) undo(i int) {
	w.fate[i] = undone
	w.stats.cancelled.Add(1)
}

// planQueues leaves out deliveries that are over before they are stored.
func (w *writer) planQueues(records []session.Record) {
	w.table.reset(len(records))
	for i := range records {
		r := &records[i]
		if w.fate[i] == undone {
			continue
		}
		switch r.Kind {
		case session.QueuePut:
			*w.table.slot(r.Session, r.Seq) = delivery{at: int32(i), state: deliveryNew}
		case session.QueueRelease:
			d := w.table.slot(r.Session, r.Seq)
			switch d.state {
			case deliveryUnknown:
				*d = delivery{at: int32(i), state: deliveryReleased}
			case deliveryNew:
				w.fate[d.at] = writtenReleased // in its place, so that sequence numbers ascend
				w.undo(i)
				d.state = deliveryNewReleased
			default: // repeated, or over
				w.undo(i)
			}
		case session.QueueDelete:
			d := w.table.slot(r.Session, r.Seq)
			switch d.state {
			case deliveryUnknown:
			case deliveryReleased:
				r.Message = records[d.at].Message
				w.undo(int(d.at))
			case deliveryNew, deliveryNewReleased:
				w.undo(int(d.at))
				w.undo(i)
			case deliveryOver:
				w.undo(i)
			}
			d.state = deliveryOver
		}
	}
}

// planShares gives a number to each message of the batch that has none, and counts who is owed it.
func (w *writer) planShares(records []session.Record) {
	w.firstNew = w.nextMessage
	w.owed = w.owed[:0]
	for i := range records {
		r := &records[i]
		if r.Kind != session.QueuePut || w.fate[i] != written || r.Message.StoreID == storedInline {
			continue
		}
		switch id := r.Message.StoreID; {
		case id >= w.firstNew:
			w.owed[id-w.firstNew]++
		case id != 0 && w.refs.get(id) > 0:
			// Counted now and not when it is written: a deletion of this batch must not take the last reference before.
			w.refs.add(id, 1)
		default:
			r.Message.StoreID = w.nextMessage
			w.nextMessage++
			w.owed = append(w.owed, 1)
		}
	}
}

// delivery is what a batch has about one sequence number of one session.
type delivery struct {
	at    int32 // the record that stands for it
	state deliveryState
}

type deliveryState uint8

const (
	deliveryUnknown     deliveryState = iota // nothing yet: perhaps it is stored
	deliveryNew                              // QueuePut
	deliveryNewReleased                      // QueuePut, QueueRelease
	deliveryReleased                         // QueueRelease of what is stored
	deliveryOver                             // QueueDelete
)

// deliveryTable finds a delivery by session and sequence number: open addressing, emptied by a new epoch.
type deliveryTable struct {
	slots []deliverySlot
	epoch uint32
	mask  uint64
}

type deliverySlot struct {
	session, seq uint64
	epoch        uint32
	delivery
}

// reset empties the table and makes it large enough for n.
func (t *deliveryTable) reset(n int) {
	size := 64
	for size < 2*n {
		size *= 2
	}
	if len(t.slots) < size || len(t.slots) > 64*size || t.epoch == 1<<32-1 {
		t.slots, t.epoch = make([]deliverySlot, size), 0
	}
	t.mask = uint64(len(t.slots) - 1)
	t.epoch++
}

// slot returns the delivery, made if there was none. It is good until the next call.
func (t *deliveryTable) slot(sid, seq uint64) *delivery {
	h := (sid*0x9E3779B97F4A7C15 ^ seq) * 0xD6E8FEB86659FD93
	for i := h >> 32; ; i++ {
		s := &t.slots[i&t.mask]
		if s.epoch != t.epoch {
			*s = deliverySlot{session: sid, seq: seq, epoch: t.epoch}
			return &s.delivery
		}
		if s.session == sid && s.seq == seq {
			return &s.delivery
		}
	}
}

package session

import "github.com/gannetmq/gannet/codec"

// entryState is where a delivery stands.
type entryState uint8

const (
	awaitsAck     entryState = iota // PUBLISH sent; PUBACK or PUBREC is next
	awaitsPubcomp                   // PUBREL sent
	awaitsResend                    // as awaitsAck, but not yet sent on this connection
	settledEntry                    // done; leaves when it reaches the front
)

// entry is one message owed to the session, queued or in flight.
type entry struct {
	seq    uint64
	msg    *Message // nil where a resend is never needed
	group  GroupRef
	idList *[]uint32
	id0    uint32
	qos    codec.QoS
	retain bool
	state  entryState
}

// setIDs remembers Subscription Identifiers: one in place, several in a copy.
func (e *entry) setIDs(ids []uint32) {
	switch len(ids) {
	case 0:
	case 1:
		e.id0 = ids[0]
	default:
		l := append([]uint32(nil), ids...)
		e.idList = &l
	}
}

func (e *entry) ids() []uint32 {
	switch {
	case e.idList != nil:
		return *e.idList
	case e.id0 != 0:
		return []uint32{e.id0}
	}
	return nil
}

// size is what the entry counts against the bound on queued bytes.
func (e *entry) size() int {
	ids := 0
	if e.idList != nil {
		ids = len(*e.idList)
	}
	return deliverySize(e.msg.Size(), ids)
}

// deliverySize is what a delivery counts against the bound on queued bytes. A single Subscription Identifier is free.
func deliverySize(message, ids int) int {
	if ids > 1 {
		message += 4 * ids
	}
	return message
}

// fifo is a growing ring buffer of entries in the order of their sequence numbers.
type fifo struct {
	buf  []entry // length is zero or a power of two
	head int
	n    int
}

func (f *fifo) at(i int) *entry { return &f.buf[(f.head+i)&(len(f.buf)-1)] }

func (f *fifo) push(e entry) {
	f.grow(1)
	f.n++
	*f.at(f.n - 1) = e
}

// grow makes room for n more.
func (f *fifo) grow(n int) {
	size := max(4, len(f.buf))
	for size < f.n+n {
		size *= 2
	}
	if size == len(f.buf) {
		return
	}
	grown := make([]entry, size)
	for i := range f.n {
		grown[i] = *f.at(i)
	}
	f.buf, f.head = grown, 0
}

func (f *fifo) pop() entry {
	p := f.at(0)
	e := *p
	*p = entry{}
	f.head = (f.head + 1) & (len(f.buf) - 1)
	f.n--
	return e
}

// trim gives an empty buffer back, and a nearly empty large one for a smaller.
func (f *fifo) trim() {
	if f.n == 0 {
		*f = fifo{}
	} else if len(f.buf) > 64 && f.n < len(f.buf)/8 {
		small := fifo{}
		for i := range f.n {
			small.push(*f.at(i))
		}
		*f = small
	}
}

// queue holds what is not sent yet, with its size in bytes.
type queue struct {
	fifo
	bytes int
	qos0  int // how many have QoS 0
}

func (q *queue) len() int { return q.n }

func (q *queue) front() *entry { return q.at(0) }

func (q *queue) push(e entry) {
	q.bytes += e.size()
	if e.qos == codec.QoS0 {
		q.qos0++
	}
	q.fifo.push(e)
}

func (q *queue) pop() entry {
	e := q.fifo.pop()
	q.bytes -= e.size()
	if e.qos == codec.QoS0 {
		q.qos0--
	}
	if q.n == 0 && len(q.buf) > 64 {
		q.buf, q.head = nil, 0
	}
	return e
}

// filter keeps the entries that keep says so of.
func (q *queue) filter(keep func(*entry) bool) {
	for range q.n {
		e := q.pop()
		if keep(&e) {
			q.push(e)
		}
	}
}

// ring holds what is in flight. Settled entries in the middle stay until the front reaches them, so that a
// Packet Identifier finds its entry by arithmetic in the usual case and by binary search after gaps.
type ring struct {
	fifo
	live int // entries that are not settled
}

func (r *ring) push(e entry) {
	if r.n == len(r.buf) && r.live < r.n/2 {
		r.compact()
	}
	r.live++
	r.fifo.push(e)
	// In order already, but when the window was larger before a restart and its end was released before its middle was loaded.
	for i := r.n - 1; i > 0 && r.at(i-1).seq > e.seq; i-- {
		*r.at(i), *r.at(i - 1) = *r.at(i - 1), e
	}
}

// compact lets settled entries go that an older one holds up.
func (r *ring) compact() {
	all := *r
	*r = ring{}
	for all.n > 0 {
		if e := all.pop(); e.state != settledEntry {
			r.push(e)
		}
	}
}

// free tells whether the Packet Identifier of seq is not in use. Only after maxSpan deliveries past one that the client never
// acknowledged does this take a search.
func (r *ring) free(seq uint64) bool {
	return r.n == 0 || seq-r.at(0).seq < maxSpan || r.find(PacketID(seq)) == nil
}

// find returns the live entry with this Packet Identifier, or nil.
func (r *ring) find(id uint16) *entry {
	if r.n == 0 || id == 0 {
		return nil
	}
	first, last := r.at(0).seq, r.at(r.n-1).seq
	offset := (uint64(id-1) + maxSpan - first%maxSpan) % maxSpan
	if offset < uint64(r.n) {
		if e := r.at(int(offset)); e.seq == first+offset && e.state != settledEntry {
			return e
		}
	}
	for seq := first + offset; seq <= last; seq += maxSpan {
		if e := r.search(seq); e != nil && e.state != settledEntry {
			return e
		}
	}
	return nil
}

// search finds an entry by its sequence number.
func (r *ring) search(seq uint64) *entry {
	lo, hi := 0, r.n
	for lo < hi {
		mid := (lo + hi) / 2
		if r.at(mid).seq < seq {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < r.n && r.at(lo).seq == seq {
		return r.at(lo)
	}
	return nil
}

// settle marks e done and lets settled entries at the front go.
func (r *ring) settle(e *entry) {
	*e = entry{seq: e.seq, state: settledEntry}
	r.live--
	for r.n > 0 && r.at(0).state == settledEntry {
		r.pop()
	}
}

// each visits live entries in order. The visitor may settle the entry it is given, but no other.
func (r *ring) each(f func(*entry)) {
	if r.live == 0 {
		return
	}
	first := r.at(0).seq
	last := r.at(r.n - 1).seq
	for i := 0; i < r.n; {
		e := r.at(i)
		seq := e.seq
		if e.state != settledEntry {
			f(e)
		}
		if r.n == 0 || seq == last {
			return
		}
		// Settling may have popped the front: step by sequence number, not by index.
		if now := r.at(0).seq; now != first {
			first = now
			for i = 0; i < r.n && r.at(i).seq <= seq; i++ {
			}
			continue
		}
		i++
	}
}

// unsettledPublishes counts deliveries the client has not received for certain.
func (r *ring) unsettledPublishes() int {
	n := 0
	r.each(func(e *entry) {
		if e.state != awaitsPubcomp {
			n++
		}
	})
	return n
}

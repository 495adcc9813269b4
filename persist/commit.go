package persist

import (
	"fmt"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// The way of a record to the disk.
//
//	loops ──Append──▶ pending ──take──▶ committer ──apply──▶ inflight ──▶ syncer ──tell──▶ loops
//	                     └────▶ parted ────┘
//
// Append is called on event loops under a client's lock. All it does is to copy the record, pointers and all, to the
// end of the pending batch: what is behind the pointers does not change any more, so encoding can be left to the one
// committer. It takes the whole pending batch whenever it is free. There is no timer: while one batch is encoded and
// applied the next one grows, so that batches are as small as the disk is fast and as large as the load demands.
//
// Order. Records of one session are appended under its lock, so they are in order; the batches are applied in order,
// and Pebble replays them in order. After a crash the store holds a prefix of what was appended, of which all
// that was reported durable is part. Within a batch the committer is free to leave out what a later record of the same
// batch undoes: see plan.go.
//
// The committer does not wait for the disk: it applies with ApplyNoSyncWait and hands the batch to the syncer, up to
// pipelineDepth ahead. Pebble makes one fsync for all batches that wait. One fsync takes long enough for the next
// batches to be prepared, and a batch of a few records costs a fraction of what it would with an fsync of its own.
//
// Groups. A loop that holds its lock of Together may append several times, for several sessions, and all of that is one fact: a
// QoS 2 identifier that was received and the deliveries of its message must not be parted by a crash. So whoever parts what is
// pending from what comes next locks them all before. Each loop has a lock of its own, on its own cache line, which costs it next
// to nothing until then. What was parted is one Pebble batch, one record in the log, however large. It is not large as a rule: if
// the committer does not come, because Pebble or the disk is slow, the parter does as soon as there is enough for a batch, and leaves
// it to the committer in parted. Beyond half a memtable, which takes a group of that size, Pebble makes a table of a batch at
// once. That is slower, but not wrong.
//
// The road not taken: encoding in Append, into a batch that the loops share. It makes the lock last longer, and the
// message that is acknowledged before the batch is taken would have to be cut out of bytes again.

// pipelineDepth is how many batches are applied and wait for their fsync.
const pipelineDepth = 8

// partBytes is how much may be pending until it becomes a batch without the committer.
const partBytes = 2 << 20

// maxSpareRecords is how many records a slice may hold to be used again.
const maxSpareRecords = 64 << 10

const recordSize = int64(unsafe.Sizeof(session.Record{}))

// taken is a batch: what was appended since the one before.
type taken struct {
	ticket  uint64
	records []session.Record
	bytes   int64
	kinds   kindSet
}

// kindSet has a bit for each session.RecordKind.
type kindSet uint32

func (k kindSet) has(kinds ...session.RecordKind) bool {
	for _, x := range kinds {
		if k&(1<<x) != 0 {
			return true
		}
	}
	return false
}

// inflight is an applied batch.
type inflight struct {
	b      *pebble.Batch // nil: nothing had to be written
	ticket uint64
}

// counters are Stats as they are kept.
type counters struct {
	records, cancelled, batches, bytes, shared, durable atomic.Uint64
}

// Stats counts since Open.
type Stats struct {
	Records      uint64 // taken by the committer
	Cancelled    uint64 // of these, not written because a later one undid them in time
	Batches      uint64 // written
	Bytes        uint64 // in these
	Shared       uint64 // messages written once for several sessions
	Durable      uint64 // newest durable ticket
	PendingBytes int64  // wait for the committer
}

// Stats returns the counters.
func (p *Pebble) Stats() Stats {
	c := &p.stats
	return Stats{c.records.Load(), c.cancelled.Load(), c.batches.Load(), c.bytes.Load(), c.shared.Load(), c.durable.Load(), p.waiting.Load()}
}

// Append takes records in the order that must be kept, see broker.Store. It does not block on the disk. The ticket is of
// the batch they join, from 1 ascending; 0 for no records. What is appended after a failure or Close is
// dropped, and its ticket never becomes durable.
func (p *Pebble) Append(records []session.Record) (ticket uint64) {
	if len(records) == 0 {
		return 0
	}
	p.mu.Lock()
	t := &p.pending
	ticket = t.ticket
	if p.stopped {
		p.mu.Unlock()
		return ticket
	}
	bytes := int64(len(records)) * recordSize
	for i := range records {
		r := &records[i]
		t.kinds |= 1 << r.Kind
		if r.Message != nil && r.Message != p.last {
			p.last = r.Message
			bytes += int64(r.Message.Size())
		}
	}
	t.records = append(t.records, records...)
	t.bytes += bytes
	p.waiting.Add(bytes)
	wake, part := p.idle, t.bytes >= partBytes && t.bytes-bytes < partBytes
	p.idle = false
	p.mu.Unlock()
	if wake {
		p.work.Signal()
	} else if part {
		p.grown.Signal()
	}
	return ticket
}

// Together returns a lock for one loop, see broker.Store. Lock it before any other lock that a loop may want while it
// holds its own: the committer holds them all when it takes a batch.
func (p *Pebble) Together() sync.Locker {
	p.groups.mu.Lock()
	defer p.groups.mu.Unlock()
	g := &group{}
	p.groups.all = append(p.groups.all, g)
	return g
}

// group is the lock of one loop, alone on its cache lines.
type group struct {
	sync.Mutex
	_ [128 - unsafe.Sizeof(sync.Mutex{})]byte
}

// groups are all of them.
type groups struct {
	mu  sync.Mutex
	all []*group
}

// lock waits until no group is open, and lets none begin.
func (g *groups) lock() {
	g.mu.Lock()
	for _, x := range g.all {
		x.Lock()
	}
}

func (g *groups) unlock() {
	for _, x := range g.all {
		x.Unlock()
	}
	g.mu.Unlock()
}

// OnDurable says who is told of a ticket when it and all before it are durable, on a goroutine of the store, tickets ascending. tell
// must not block. Only before the first Append.
func (p *Pebble) OnDurable(tell func(ticket uint64)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tell = tell
}

// take waits for records and returns a batch of them; false when the store has stopped and there are none.
func (p *Pebble) take() (taken, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.parted) == 0 {
		switch {
		case len(p.pending.records) > 0:
			p.part()
		case p.stopped:
			return taken{}, false
		default:
			p.idle = true
			p.work.Wait()
		}
	}
	t := p.parted[0]
	p.parted[0] = taken{}
	p.parted = p.parted[1:]
	return t, true
}

// part makes a batch of what is pending once no group is open. The caller holds p.mu, which is released meanwhile.
func (p *Pebble) part() {
	p.mu.Unlock()
	p.groups.lock()
	defer p.groups.unlock()
	p.mu.Lock()
	if len(p.pending.records) == 0 {
		return // somebody was faster, or the store has failed
	}
	p.parted = append(p.parted, p.pending)
	p.pending = taken{ticket: p.pending.ticket + 1, records: p.spare}
	p.spare, p.last, p.idle = nil, nil, false
}

// parter makes batches when the committer leaves too much pending, until the store stops.
func (p *Pebble) parter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.stopped {
		if p.pending.bytes >= partBytes {
			p.part()
		} else {
			p.grown.Wait()
		}
	}
}

// giveBack lets the slice of a batch be used again.
func (p *Pebble) giveBack(t taken) {
	p.waiting.Add(-t.bytes)
	if cap(t.records) > maxSpareRecords {
		return
	}
	clear(t.records)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare = t.records[:0]
}

// committer writes batches until the store stops. It is one goroutine, and owns p.w.
func (p *Pebble) committer() {
	defer close(p.inflight)
	for {
		t, ok := p.take()
		if !ok {
			return
		}
		if err := p.commit(t); err != nil {
			p.fail(fmt.Errorf("commit: %w", err))
			return
		}
		p.giveBack(t)
	}
}

func (p *Pebble) commit(t taken) error {
	w := &p.w
	w.plan(t.records, t.kinds)
	defer w.endBatch()
	b := p.db.NewBatch()
	for i := range t.records {
		if w.fate[i] == undone {
			continue
		}
		if err := w.write(b, &t.records[i], w.fate[i]); err != nil {
			return err
		}
	}
	if err := w.finish(b); err != nil {
		return err
	}
	p.stats.records.Add(uint64(len(t.records)))
	return p.apply(b, t.ticket)
}

// apply makes b visible and hands it to the syncer.
func (p *Pebble) apply(b *pebble.Batch, ticket uint64) error {
	if b.Empty() {
		p.inflight <- inflight{nil, ticket}
		return b.Close()
	}
	p.stats.batches.Add(1)
	p.stats.bytes.Add(uint64(b.Len()))
	if err := p.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		return err
	}
	p.inflight <- inflight{b, ticket}
	return nil
}

// syncer waits for the disk and tells who waits for it.
func (p *Pebble) syncer() {
	defer close(p.done)
	for f := range p.inflight {
		if f.b != nil {
			err := f.b.SyncWait()
			if err == nil {
				err = f.b.Close()
			}
			if err != nil {
				p.fail(fmt.Errorf("sync: %w", err))
			}
		}
		if p.hasFailed() {
			continue
		}
		p.stats.durable.Store(f.ticket)
		p.readers.reached(f.ticket)
		if p.tell != nil {
			p.tell(f.ticket)
		}
	}
}

func (p *Pebble) hasFailed() bool {
	f := p.fault.Load()
	return f != nil && f.final
}

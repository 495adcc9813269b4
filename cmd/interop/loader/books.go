package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A payload begins with a stamp, in big-endian numbers, and is filled up with zeros.
//
//	0           4                 8                16
//	┌───────────┬─────────────────┬────────────────┬─────────┐
//	│ publisher │ sequence number │ due, ns of the │ filler… │
//	│           │                 │ clock          │         │
//	└───────────┴─────────────────┴────────────────┴─────────┘
const stampSize = 16

func stamp(size, publisher, seq int, due time.Duration) []byte {
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, uint32(publisher))
	binary.BigEndian.PutUint32(b[4:], uint32(seq))
	binary.BigEndian.PutUint64(b[8:], uint64(due))
	return b
}

func readStamp(b []byte) (publisher, seq int, due time.Duration) {
	return int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:])), time.Duration(binary.BigEndian.Uint64(b[8:]))
}

// writings are when the messages of one publisher were written, by sequence number; 0:
// not yet. Safe for concurrent use.
type writings []atomic.Int64

// book is what one receiver has got of its publisher. Safe for concurrent use: a message
// that comes too late meets the reckoning.
type book struct {
	clock     clock
	publisher int
	size      int // of a payload
	written   writings
	whole     chan struct{} // closed when everything is there

	mu            sync.Mutex
	seen          []bool // by sequence number
	highest       int
	faults        faults
	latency, wire []time.Duration // from due to the application, and from the write to the read
}

// faults are what a broker must not do to messages.
type faults struct {
	Lost, Duplicate, Reordered, Stray, Unacknowledged uint64
}

func (f *faults) add(g faults) {
	f.Lost += g.Lost
	f.Duplicate += g.Duplicate
	f.Reordered += g.Reordered
	f.Stray += g.Stray
	f.Unacknowledged += g.Unacknowledged
}

func (f faults) String() string {
	return fmt.Sprintf("%d lost, %d duplicate, %d reordered, %d stray, %d unacknowledged",
		f.Lost, f.Duplicate, f.Reordered, f.Stray, f.Unacknowledged)
}

func newBook(now clock, publisher, size, messages int, written writings) *book {
	return &book{
		clock: now, publisher: publisher, size: size, written: written, highest: -1,
		seen: make([]bool, messages), whole: make(chan struct{}),
		latency: make([]time.Duration, 0, messages), wire: make([]time.Duration, 0, messages),
	}
}

// take enters a message that the socket had at a time.
func (b *book) take(payload []byte, read time.Duration) {
	now := b.clock.now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(payload) != b.size {
		b.faults.Stray++
		return
	}
	publisher, seq, due := readStamp(payload)
	switch {
	case publisher != b.publisher || seq >= len(b.seen):
		b.faults.Stray++
		return
	case b.seen[seq]:
		b.faults.Duplicate++
		return
	case seq < b.highest:
		b.faults.Reordered++
	}
	b.seen[seq], b.highest = true, max(b.highest, seq)
	b.latency = append(b.latency, now-due)
	b.wire = append(b.wire, read-time.Duration(b.written[seq].Load()))
	if len(b.latency) == len(b.seen) {
		close(b.whole)
	}
}

// received returns how many different messages there are.
func (b *book) received() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return uint64(len(b.latency))
}

// close adds the book to a result, with what is missing as lost, and returns how long
// messages took.
func (b *book) close(r *result) (latency, wire []time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults.Lost = uint64(len(b.seen) - len(b.latency))
	r.Received += uint64(len(b.latency))
	r.Faults.add(b.faults)
	return slices.Clone(b.latency), slices.Clone(b.wire)
}

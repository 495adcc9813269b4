package session

import (
	"sync/atomic"

	"github.com/gannetmq/gannet/codec"
)

// A large payload is dear to copy: of a quarter of a megabyte, each copy takes as long as everything else that is done for a
// message. So the memory in which a packet was put together becomes that of the message, and the message is written to its
// subscribers from there. Who needs the memory no longer says so, and the last one gives it back:
//
//	the publisher's loop    NewBody ─── Publish ─ route ────────────── Release
//	subscriber 1                                  Deliver: Retain ─ written: Release
//	subscriber 2                                  Deliver: Retain ──────── written: Release ─> done
//	a queue, the retained   Keep: the memory is theirs and the collector's, and done is never called
//
// So memory that only passes through is used again and again, and stays where the processor has it at hand; memory that is kept
// costs a new piece for the next packet, where it cost a copy before.

// Body is the memory of one large packet. Safe for concurrent use by those who are counted as its users.
type Body struct {
	users atomic.Int32
	kept  atomic.Bool
	size  int // bytes of memory, which the packet need not fill
	done  func()
}

// NewBody returns the Body of a packet in size bytes of memory, with the caller as its only user. done, which takes the memory back,
// is called by the last user that releases it, on whatever goroutine, and not at all if a message in it was kept.
func NewBody(size int, done func()) *Body {
	b := &Body{size: size, done: done}
	b.users.Store(1)
	return b
}

// Retain adds a user. Called by one.
func (b *Body) Retain() { b.users.Add(1) }

// Release ends one use.
func (b *Body) Release() {
	switch n := b.users.Add(-1); {
	case n < 0:
		panic("session: a body was released more often than retained")
	case n == 0 && !b.kept.Load():
		b.done()
	}
}

// keptWaste is how much of a Body, a part of it, may be more than the payload for which it is kept: what is kept is counted by its size.
const keptWaste = 8

// keep tells whether a payload of so many bytes may stay in b for good, after which b is nobody's. Called by a user.
func (b *Body) keep(payload int) bool {
	if b == nil || b.size-payload > b.size/keptWaste {
		return false
	}
	b.kept.Store(true)
	return true
}

// Piece is a payload that belongs between two bytes of Output.Frames.
type Piece struct {
	At      int // how many bytes of Frames, without the pieces, come before
	Payload []byte
	Body    *Body // to be released when the payload was written or given up; nil: there is nothing to release
}

// splices tells whether the payload of m is to become a Piece: it lasts, and copying it would be dearer. What may have to be held is
// never cut into pieces.
func (out *Output) splices(m *Message) bool {
	return out.SpliceBytes > 0 && len(m.Payload) >= out.SpliceBytes && m.Lasts() && !out.Await
}

// spliceDelivery appends d, a delivery of m, with its payload as a Piece.
func (out *Output) spliceDelivery(d *codec.Delivery, v codec.Version, m *Message) {
	start := len(out.Frames)
	out.Frames = codec.AppendDeliveryHead(out.Frames, v, d)
	if len(out.Frames) == start {
		return // it has no encoding
	}
	if m.Body != nil {
		m.Body.Retain()
	}
	out.Pieces = append(out.Pieces, Piece{At: len(out.Frames), Payload: m.Payload, Body: m.Body})
	out.Room -= len(m.Payload)
}

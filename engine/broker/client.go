package broker

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// client is a session with what the broker adds: its lock, its outbound buffer and its owner loop. Fields without
// another note are guarded by mu.
type client struct {
	mu    sync.Mutex
	s     session.Session
	conn  *Conn                      // nil while parked
	out   *bytebufferpool.ByteBuffer // bytes for the owner loop to write; nil while there are none
	extra *clientExtra               // what few clients need

	parked *parkedTimer // of the owner, while parked and with a deadline

	owner     atomic.Int32 // index of the loop that owns conn, or that parked it; does not change while parked is set
	buffered  atomic.Int32 // bytes inside the transport when the owner last looked
	resumable atomic.Bool  // the session outlives this connection
	dirty     bool         // in a dirty list or on its way into one
	starved   bool         // something waits only for room in the connection: Drain after the next write
	vectors   bool         // the transport of conn is a VectorWriter
}

// clientExtra is the rarely used part of a client.
type clientExtra struct {
	groups    []*router.Group[*client] // shared groups it is a member of
	replays   []replay                 // retained messages still to be sent
	holding   bool                     // in its loop's list of those who wait for the store
	replaying bool                     // replays move without being asked
	gate      uint64                   // nothing is written before this ticket is durable

	pieces     []session.Piece // payloads that belong into client.out, see pieces.go
	pieceBytes int             // of them together
}

// setBuffered notes what cn holds, unless the session has gone to another connection.
func (c *client) setBuffered(cn *Conn, n int) {
	c.mu.Lock()
	if c.conn == cn {
		c.buffered.Store(int32(n))
	}
	c.mu.Unlock()
}

// takeOut takes the outbound buffer of a connection that ends, nil if nothing in it may be written: before the store has
// the session, the client must not hear of it. Caller holds c.mu.
func (c *client) takeOut(durableUpTo uint64) *bytebufferpool.ByteBuffer {
	if x := c.extra; c.out != nil && x != nil && x.gate > durableUpTo {
		releasePieces(c.takePieces())
		bytebufferpool.Put(c.out)
		c.out = nil
	}
	c.flatten()
	buf := c.out
	c.out = nil
	return buf
}

func (c *client) more() *clientExtra {
	if c.extra == nil {
		c.extra = &clientExtra{}
	}
	return c.extra
}

// less lets go of what c no longer needs, a tenth of what a parked session costs. Caller holds c.mu.
func (c *client) less(durableUpTo uint64) {
	if x := c.extra; x != nil && len(x.groups) == 0 && len(x.replays) == 0 && !x.holding && !x.replaying && x.gate <= durableUpTo && len(x.pieces) == 0 {
		c.extra = nil
	}
}

// Transport is one network connection as the broker sees it. All calls come from the owner loop.
type Transport interface {
	// Write takes all of b before it returns, copying what the socket does not take. It may close the connection and
	// call Loop.Closed before it returns.
	Write(b []byte) error
	// Buffered is how many bytes Write took that the socket has not.
	Buffered() int
	// Close closes once what is buffered had its chance. Loop.Closed follows later, not before Close returns.
	Close()
	// RemoteAddr is the peer, for logs.
	RemoteAddr() string
	// UserName is whom the connection has proved to be its client, by a certificate; empty if nobody.
	UserName() string
}

// DirectWriter is a Transport that can also be written to from another loop.
type DirectWriter interface {
	// WriteDirect hands b to the socket, without copying and without waiting, and returns how much it took; 0 on any
	// error, which the owner will meet too. Called on any goroutine, but only while the connection is that of a client whose
	// lock is held, while Buffered is 0 and the owner is not in Write: no other bytes of the client are written then, and
	// Closed, which comes before the socket is closed, waits for the lock. The next Write begins with what was not taken.
	WriteDirect(b []byte) int
}

// directWrites is up to how many clients of a resting loop are written to by the loop that has something for them. Waking the
// owner for one small write costs as much again as the write; for several, it does them while this loop goes on.
const directWrites = 2

// writeDirect writes what c has from this loop, which is not its owner. False: the owner must do it, or the rest of it.
func (l *Loop) writeDirect(c *client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil || c.out == nil || c.conn.writing.Load() || c.buffered.Load() > 0 || c.starved || c.extra != nil && c.extra.gate > 0 {
		return false
	}
	t, ok := c.conn.t.(DirectWriter)
	if !ok {
		return false
	}
	size, n := c.outSize(), 0
	if size == len(c.out.B) {
		n = t.WriteDirect(c.out.B)
	} else {
		n = l.writePiecesDirect(c)
	}
	l.stats.bytesOut += uint64(n)
	l.stats.writes++
	if n < size {
		c.dropWritten(n)
		return false
	}
	releasePieces(c.takePieces())
	bytebufferpool.Put(c.out)
	c.out, c.dirty = nil, false
	return true
}

// Conn is one network connection inside the broker. Owned by one loop.
type Conn struct {
	t       Transport
	client  *client   // once CONNECT is accepted
	hello   *greeting // until then
	partial *bytebufferpool.ByteBuffer
	slot    timer[Conn]
	largest uint32 // packet from the client, in bytes
	owner   int16  // index of the loop
	version codec.Version
	closing bool        // Close was called, or the transport is gone; input is ignored
	gone    bool        // Closed came
	blocked bool        // in Loop.blocked
	writing atomic.Bool // the owner is in Transport.Write with bytes of client; set under its lock, and read there by other loops
}

// greeting is the part of a connection that ends with its CONNACK. Its loop uses it again then: as garbage it would lie between
// what stays of its connection, and the holes it leaves would cost as much as it did.
type greeting struct {
	handshake session.Handshake
	listener  *Listener
	opened    Time
}

// maxGreetings is how many of them a loop keeps for those who come next.
const maxGreetings = 64

func (l *Loop) newGreeting(lst *Listener, now Time) (g *greeting) {
	if n := len(l.greetings); n > 0 {
		g, l.greetings = l.greetings[n-1], l.greetings[:n-1]
	} else {
		g = &greeting{}
	}
	g.listener, g.opened = lst, now
	return g
}

func (l *Loop) greeted(cn *Conn) {
	if *cn.hello = (greeting{}); len(l.greetings) < maxGreetings {
		l.greetings = append(l.greetings, cn.hello)
	}
	cn.hello = nil
}

//lint:ignore U1000 the wheel calls it through its type parameter
func (c *Conn) timerNode() *timer[Conn] { return &c.slot }

// begin lends the client's outbound buffer to out. Caller holds c.mu.
func (l *Loop) begin(c *client, out *session.Output) { l.beginSized(c, out, 0) }

// beginSized is begin for a call that may append a packet of about size bytes.
func (l *Loop) beginSized(c *client, out *session.Output, size int) {
	l.countQueue(c, -1)
	out.Room = l.room(c)
	out.SpliceBytes = 0
	if c.vectors {
		out.SpliceBytes = l.spliceBytes
	}
	if l.b.store != nil {
		out.DurableUpTo = l.b.durableUpTo.Load()
	}
	if c.out == nil && l.spare.n.Load() > 0 && (size > maxScratch || c.s.Waiting()) {
		c.out = l.spare.take(size)
	}
	if c.out != nil {
		out.Frames = c.out.B
	} else {
		out.Frames = l.scratch[:0]
	}
}

// room is how many bytes may wait in c.out. Caller holds c.mu.
func (l *Loop) room(c *client) int {
	n := l.b.options().MaxOutboundBytes - int(c.buffered.Load())
	if c.extra != nil {
		n -= c.extra.pieceBytes
	}
	return n
}

// countQueue adds what waits in the queue of c to the total, or takes it off.
func (l *Loop) countQueue(c *client, sign int64) {
	if n, bytes := c.s.Queued(); n > 0 {
		l.stats.queued += sign * int64(n)
		l.stats.queuedBytes += sign * int64(bytes)
	}
}

// end takes the buffer back, sees that what was appended will be written, and appends records to the store
// in the order of the lock. It returns the ticket to wait for, 0 for none.
func (l *Loop) end(c *client, out *session.Output) (ticket uint64) {
	l.countQueue(c, 1)
	ticket = l.record(c, out)
	if out.Paced > 0 { // by a client of this loop: only its own packets are answered
		l.stats.delayedAcks += uint64(out.Paced)
		out.Paced = 0
		l.setTimer(c.conn, c.s.Deadline())
	}
	if out.HasRead {
		out.HasRead = false
		l.read(c, out.Read)
	}
	if len(out.Pieces) > 0 {
		c.keepPieces(out)
	}
	if c.out != nil {
		if c.out.B = out.Frames; len(out.Frames) == 0 {
			l.spare.giveBack(c.out)
			c.out = nil
		}
	} else if len(out.Frames) > 0 {
		if cap(l.scratch) < cap(out.Frames) && cap(out.Frames) <= maxScratch {
			l.scratch = out.Frames[:0]
		}
		if c.conn != nil {
			if cap(out.Frames) > maxScratch {
				c.out = &bytebufferpool.ByteBuffer{B: out.Frames} // grown for this one: no second copy
			} else {
				c.out = bytebufferpool.Get()
				c.out.B = append(c.out.B[:0], out.Frames...)
			}
		}
	}
	out.Frames = nil
	if c.out != nil && len(c.out.B) > 0 && !c.dirty {
		l.markDirty(c)
	}
	if out.Full {
		c.starved = true
	}
	return ticket
}

// markDirty puts c on the list of its owner. Caller holds c.mu.
func (l *Loop) markDirty(c *client) {
	c.dirty = true
	if o := c.owner.Load(); int(o) == l.index {
		l.dirty = append(l.dirty, c)
	} else {
		l.remote[o] = append(l.remote[o], c)
		l.remotes++
	}
}

func routerOptions(o session.SubscriptionOptions) router.Options {
	return router.Options{
		QoS: byte(o.QoS), NoLocal: o.NoLocal, RetainAsPublished: o.RetainAsPublished,
		RetainHandling: o.RetainHandling, Identifier: o.Identifier,
	}
}

func bytesAsString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

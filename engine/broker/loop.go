package broker

import (
	"sync"
	"time"

	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// Loop is one event loop's part of the broker. Every method runs on the owner goroutine, one at a time, except
// where it says otherwise.
type Loop struct {
	b     *Broker
	index int
	box   mailbox
	cache *router.Cache[*client]

	timers    wheel[Conn, *Conn] // of all open connections
	parked    parking
	greetings []*greeting // to be used again

	dirty   []*client   // own clients with bytes to write
	remote  [][]*client // the same for other loops, posted at the end of the turn
	remotes int         // how many in remote
	blocked []*Conn     // sockets that did not take everything
	replays []*client   // retained messages to send, a slice each turn
	holding []*client   // acknowledgements that wait for the store
	reached bool        // some of them no longer do
	fanout  [][]router.Match[*client]

	out, dout, lost session.Output // of a packet, of a delivery, of a connection that ends
	og              session.Outgoing
	lastTick        Time
	near            Time // up to then a connection may have a deadline that is to be kept promptly
	lagging         bool // the last tick came late,
	overloaded      bool // and the one before it, too: who wants to connect had better go elsewhere
	scratch         []byte
	spliceBytes     int // the constant, but in tests
	spare           spares
	vectors         [][]byte // scratch for what is written in pieces
	memberOf        []*router.Group[*client]
	seed            uint64
	started         bool
	handed          bool // something was handed over to another loop
	awake           bool // between Begin and Rest
	ids             []uint32
	merge           merger
	refused         []int32
	refusedGroups   []*router.Group[*client]
	hungry          []*router.Group[*client]
	sweep           router.Cursor // of loop 0, over all retained messages
	sweeping        bool
	unacked         unacked
	ticket          uint64      // the newest ticket of the message being routed
	together        sync.Locker // of the store, held while joined > 0
	joined          int
	failedReads     []*client // to be tried again at the next tick
	oneRecord       [1]session.Record
	review          review
	stats           stats
}

// parking is the wheel of parked clients that have a deadline. Its lock is a leaf: any loop may take a client out.
type parking struct {
	mu   sync.Mutex
	w    wheel[parkedTimer, *parkedTimer]
	near Time // see Loop.near
}

// parkedTimer is the deadline of a parked client. Most clients are connected, and their connection has one of its own.
type parkedTimer struct {
	client *client
	slot   timer[parkedTimer] // guarded by the lock of the wheel
}

//lint:ignore U1000 the wheel calls it through its type parameter
func (p *parkedTimer) timerNode() *timer[parkedTimer] { return &p.slot }

// NewLoop adds a loop. wake may be called from any goroutine and makes the owner call Turn soon; it is called once until
// Turn has run. All loops are made before the first one is used.
func (b *Broker) NewLoop(wake func()) *Loop {
	l := &Loop{b: b, index: len(b.loops), cache: b.router.NewCache(0), spliceBytes: spliceBytes}
	l.box.wake = wake
	l.seed = uint64(l.index)*0x9E3779B97F4A7C15 + 88172645463325252
	l.scratch = make([]byte, 0, 4096)
	l.out.Tally, l.dout.Tally, l.lost.Tally = &l.stats.sent, &l.stats.sent, &l.stats.sent
	if b.store != nil {
		l.together = b.store.Together()
	}
	b.loops = append(b.loops, l)
	for _, x := range b.loops {
		x.remote = make([][]*client, len(b.loops))
		x.fanout = make([][]router.Match[*client], len(b.loops))
	}
	return l
}

// Open takes a new network connection in. Its client has Options.ConnectTimeout to be accepted.
func (l *Loop) Open(t Transport, lst *Listener, now Time) *Conn {
	l.startTimers(now)
	cn := &Conn{t: t, owner: int16(l.index), hello: l.newGreeting(lst, now)}
	l.b.connections.Add(1)
	l.stats.opened++
	l.setTimer(cn, l.connDeadline(cn, now))
	return cn
}

// Data takes what the connection received. b is borrowed until return and consumed whole: a packet that is not complete
// yet is copied to the connection's own buffer.
func (l *Loop) Data(cn *Conn, b []byte, now Time) {
	l.stats.bytesIn += uint64(len(b))
	l.take(cn, b, now)
}

func (l *Loop) take(cn *Conn, b []byte, now Time) {
	if cn.judging() {
		l.keepForLater(cn, b)
		return
	}
	if cn.partial != nil && !cn.closing {
		b = l.completePartial(cn, b, now)
	}
	for len(b) > 0 && !cn.closing {
		if cn.client != nil {
			b = l.packets(cn, b, nil, now)
			continue
		}
		f, need, err := codec.Next(b, uint32(l.b.options().MaxConnectBytes))
		if err == nil && f.Size == 0 {
			l.keepPartial(cn, b, need)
			break
		}
		l.handshake(cn, f, err, now)
		if b = b[f.Size:]; cn.judging() {
			l.keepForLater(cn, b)
			return
		}
	}
	if l.unacked.conn != nil {
		l.acknowledge(now)
	}
}

// judging tells that nothing is read before the verdict on the client.
func (cn *Conn) judging() bool { return cn.hello != nil && cn.hello.handshake.Judging() }

// keepForLater keeps what a client sends before it has its CONNACK, as it may [MQTT-3.1.4-6]: no more than is taken for a CONNECT.
func (l *Loop) keepForLater(cn *Conn, b []byte) {
	if len(b) == 0 || cn.closing {
		return
	}
	if cn.partial == nil {
		cn.partial = bytebufferpool.Get()
		cn.partial.B = cn.partial.B[:0]
	}
	if len(cn.partial.B)+len(b) > l.b.options().MaxConnectBytes {
		l.refuseConn(cn, codec.QuotaExceeded, "sent too much before it was accepted")
		return
	}
	cn.partial.B = append(cn.partial.B, b...)
}

func (l *Loop) keepPartial(cn *Conn, b []byte, need int) {
	if need > maxScratch {
		cn.partial = l.spare.take(need)
	}
	if cn.partial == nil {
		cn.partial = bytebufferpool.Get()
	}
	cn.partial.B = appendBounded(cn.partial.B[:0], b, need)
}

// completePartial moves bytes from b into the partial packet until it is whole, handles it, and returns the rest of b.
func (l *Loop) completePartial(cn *Conn, b []byte, now Time) []byte {
	p := cn.partial
	for {
		f, need, err := codec.Next(p.B, l.maxPacket(cn))
		if f.Size > 0 || err != nil {
			cn.partial = nil
			var body *session.Body
			if cn.client != nil {
				if f.Size >= l.spliceBytes && f.Type == codec.TypePublish {
					body = l.newBody(p)
				}
				l.packets(cn, p.B, body, now)
			} else {
				l.handshake(cn, f, err, now)
				if cn.judging() {
					l.keepForLater(cn, b)
					b = nil
				}
			}
			if l.unacked.conn != nil {
				l.acknowledge(now)
			}
			if body != nil {
				body.Release()
			} else {
				l.spare.giveBack(p)
			}
			return b
		}
		if len(b) == 0 {
			return nil
		}
		take := 1 // the length is not known yet
		if need > len(p.B) {
			take = min(need-len(p.B), len(b))
		}
		p.B = appendBounded(p.B, b[:take], need)
		b = b[take:]
	}
}

// appendBounded appends b to dst, which will grow to need bytes: memory is taken ahead of the bytes by no more than what
// has come already, so that an announced length alone reserves nothing.
func appendBounded(dst, b []byte, need int) []byte {
	if want := len(dst) + len(b); cap(dst) < want {
		grown := make([]byte, len(dst), max(want, min(need, 2*want)))
		copy(grown, dst)
		dst = grown
	}
	return append(dst, b...)
}

// growBounded gives dst as much more memory as it fills, but not more than need bytes together.
func growBounded(dst []byte, need int) []byte {
	grown := make([]byte, len(dst), min(need, 2*len(dst)))
	copy(grown, dst)
	return grown
}

// Room returns memory for what cn receives next, if that belongs to a large packet of which a good part is missing: whoever can read
// it from the network to there calls Received then, and spares a copy. nil: it goes to Data. The memory is the loop's, to be filled before any
// other call.
func (l *Loop) Room(cn *Conn) []byte {
	p := cn.partial
	if p == nil || cn.client == nil || cn.closing {
		return nil
	}
	_, need, err := codec.Next(p.B, cn.largest)
	missing := need - len(p.B)
	if err != nil || missing < roomBytesMin {
		return nil
	}
	if cap(p.B)-len(p.B) < roomBytesMin {
		p.B = growBounded(p.B, need)
	}
	room := p.B[len(p.B):min(cap(p.B), need)]
	if len(room) < roomBytesMin {
		return nil
	}
	return room
}

// Received takes the first n bytes of what Room returned last for cn.
func (l *Loop) Received(cn *Conn, n int, now Time) {
	l.stats.bytesIn += uint64(n)
	p := cn.partial
	p.B = p.B[:len(p.B)+n]
	l.completePartial(cn, nil, now)
}

// roomBytesMin is how much is worth a call of the system of its own.
const roomBytesMin = 16 << 10

func (l *Loop) dropPartial(cn *Conn) {
	if cn.partial != nil {
		l.spare.giveBack(cn.partial)
		cn.partial = nil
	}
}

// maxPacket is small until the client is accepted.
func (l *Loop) maxPacket(cn *Conn) uint32 {
	if cn.client == nil {
		return uint32(l.b.options().MaxConnectBytes)
	}
	return cn.largest
}

// withClient runs f on the session of cn under its lock and acts on what it decided.
func (l *Loop) withClient(cn *Conn, now Time, f func(*session.Session, *session.Output)) {
	c, out := cn.client, &l.out
	out.Reset()
	c.mu.Lock()
	if c.conn != cn {
		c.mu.Unlock()
		return
	}
	l.begin(c, out)
	f(&c.s, out)
	l.end(c, out)
	c.mu.Unlock()
	l.act(cn, c, out, now)
}

// packets handles packets from b under one lock, up to the first that has consequences for others or to the end of b, and
// returns the rest. It begins with the acknowledgement of the PUBLISH that the last call ended with. body, if not nil, is what b lies in.
func (l *Loop) packets(cn *Conn, b []byte, body *session.Body, now Time) (rest []byte) {
	c, out := cn.client, &l.out
	out.Reset()
	c.mu.Lock()
	if c.conn != cn { // displaced; its last bytes are on their way
		c.mu.Unlock()
		return nil
	}
	l.begin(c, out)
	if l.unacked.conn != nil {
		l.acknowledgeLocked(c, out)
	}
	for len(b) > 0 && !out.Close {
		f, need, err := codec.Next(b, cn.largest)
		if err != nil {
			c.s.Malformed(err, out)
			break
		}
		if f.Size == 0 {
			l.keepPartial(cn, b, need)
			b = nil
			break
		}
		b = b[f.Size:]
		l.stats.packetsIn[f.Type&15]++
		if f.Type == codec.TypeSubscribe {
			out.Unavailable = l.b.unavailable()
		}
		c.s.Packet(f, now, out)
		if len(out.Records) > 0 {
			l.record(c, out)
		}
		if out.HasPublish || len(out.Changes) > 0 || out.Why != "" {
			if body != nil && out.HasPublish {
				out.Publish.Body = body
			}
			break
		}
	}
	l.end(c, out)
	out.Acked = out.Acked && c.extra != nil
	full := c.outSize() > maxTurnBytes
	c.mu.Unlock()
	if full {
		l.flush(c, now)
	}
	if out.HasPublish || len(out.Changes) > 0 || out.Close || out.Acked || out.Drops.Any || out.Why != "" || out.Denied != nil {
		l.act(cn, c, out, now)
	}
	return b
}

// maxTurnBytes is how much a client that asks much may be answered in one turn before its answers are written ahead of time: what it
// does not read then counts against its bound at once.
const maxTurnBytes = 256 << 10

// act carries out what a session decided, without its lock. cn is nil for a session without a connection.
func (l *Loop) act(cn *Conn, c *client, out *session.Output, now Time) {
	if out.Drops.Any {
		l.countDrops(&out.Drops, &c.s)
	}
	if len(out.Changes) > 0 {
		l.stats.revoked += uint64(out.Revoked)
		l.applyChanges(cn, c, out.Changes, now)
	}
	if out.Why != "" && !out.Close {
		l.stats.refusedPublish++
	}
	if out.Denied != nil {
		l.stats.denials.add("not authorized", "client", c.s.ClientID(), "topic", string(out.Denied))
	}
	if out.HasPublish {
		l.stats.publishBytesIn += uint64(len(out.Publish.Payload))
		id, qos := out.AckID, out.AckQoS
		if qos > 0 && l.b.unavailable() && l.wouldRecord(c, &out.Publish) {
			l.refusePublish(cn, c, id, qos, now)
			return
		}
		if qos == codec.QoS2 {
			l.join() // until it is acknowledged
		}
		code, ticket := l.route(&out.Publish, cn != nil && cn.version == codec.V5 && qos > 0, now)
		if l.handed {
			l.helpOthers(now)
		}
		if qos > 0 {
			l.unacked = unacked{cn, c, id, qos, code, ticket, qos == codec.QoS2}
		}
	}
	for _, r := range out.Redispatch {
		l.redispatch(r, now)
	}
	if out.Acked {
		l.slotFree(c, now)
	}
	if out.Ended {
		l.forget(c)
	}
	if out.Close && cn != nil {
		l.closeClient(cn, c, out, now)
	}
}

// unacked is a QoS 1/2 PUBLISH that was routed and is still to be answered: with the next packet of its connection under the
// same lock, or at the end of what came with it.
type unacked struct {
	conn   *Conn
	client *client
	id     uint16
	qos    codec.QoS
	code   codec.ReasonCode
	ticket uint64 // of the store, 0 = none to wait for
	joined bool   // to part when its own records have joined
}

// acknowledgeLocked answers the PUBLISH in l.unacked. Caller holds c.mu, and the connection is still c's.
func (l *Loop) acknowledgeLocked(c *client, out *session.Output) {
	u := l.unacked
	l.unacked = unacked{}
	start := len(out.Frames)
	c.s.Acknowledge(u.id, u.qos, u.code, out)
	ticket := max(u.ticket, l.record(c, out))
	if u.joined {
		l.part()
	}
	c.s.Answer(ticket, start, out)
	l.holdFor(c, out)
}

// acknowledge answers the PUBLISH in l.unacked when no further packet does.
func (l *Loop) acknowledge(now Time) {
	cn, c, out := l.unacked.conn, l.unacked.client, &l.dout
	out.Reset()
	c.mu.Lock()
	if c.conn != cn {
		// Its connection is gone: the client will repeat the message, and is to be told what became of it.
		u := l.unacked
		l.unacked = unacked{}
		c.s.AcknowledgeLate(u.id, u.qos, u.code, out)
		l.record(c, out)
		if u.joined {
			l.part()
		}
		c.mu.Unlock()
		return
	}
	l.begin(c, out)
	l.acknowledgeLocked(c, out)
	l.end(c, out)
	closes := out.Close
	c.mu.Unlock()
	if closes {
		l.closeClient(cn, c, out, now)
	}
}

// hold remembers that c waits for the store to reach ticket. Caller holds c.mu.
func (l *Loop) hold(c *client, ticket uint64) {
	x, owner := c.more(), int(c.owner.Load())
	if !x.holding {
		x.holding = true
		if owner != l.index {
			l.b.loops[owner].box.post(item{kind: itemHold, client: c})
			return
		}
		l.holding = append(l.holding, c)
		l.box.waiting.Store(true)
	}
	if owner == l.index && l.b.durableUpTo.Load() >= ticket {
		l.reached = true // before waiting was set, perhaps: then nobody wakes this loop
	}
}

// holdFor is hold for what out says was held.
func (l *Loop) holdFor(c *client, out *session.Output) {
	if out.Held > 0 {
		l.hold(c, out.Held)
		out.Held = 0
	}
}

// NeedsTurn tells whether Turn has something to do: the reactor sees that it runs at the end of this iteration.
func (l *Loop) NeedsTurn() bool {
	return len(l.dirty) > 0 || l.remotes > 0 || len(l.replays) > 0 || l.reached || l.review.active
}

// Begin says that the owner is awake and will not wait before Rest. A reactor that never calls it is woken for every post.
func (l *Loop) Begin() {
	if !l.awake {
		l.awake = true
		l.box.busy.Store(true)
	}
}

// Rest says that the owner is about to wait for events: from now on posts wake it. False: something was posted before that
// could be known, and Turn must run again.
func (l *Loop) Rest() bool {
	if !l.awake {
		return true
	}
	l.box.busy.Store(false)
	if !l.box.empty() {
		l.box.busy.Store(true)
		return false
	}
	l.awake = false
	return true
}

// Blocked tells whether some connection waits for its socket: Turn should run again within a few milliseconds.
func (l *Loop) Blocked() bool { return len(l.blocked) > 0 }

// Turn ends one turn of the loop: it takes what others posted, hands them what this loop has for them, and writes
// each dirty connection once.
func (l *Loop) Turn(now Time) {
	l.drainMailbox(now)
	l.reached = false
	if len(l.holding) > 0 {
		l.releaseDurable(now)
	}
	if len(l.blocked) > 0 {
		l.checkBlocked(now)
	}
	if len(l.replays) > 0 {
		l.continueReplays(now)
	}
	if l.review.active {
		l.continueReview(now)
	}
	if l.remotes > 0 {
		l.postRemote()
	}
	// Flushing may close connections, whose wills make others dirty: those join this pass.
	for i := 0; i < len(l.dirty); i++ {
		l.flush(l.dirty[i], now)
	}
	clear(l.dirty)
	if l.dirty = l.dirty[:0]; cap(l.dirty) > 1<<16 {
		l.dirty = nil
	}
}

// postRemote brings clients of other loops that this turn made dirty to their owners.
func (l *Loop) postRemote() {
	for i, cs := range l.remote {
		if len(cs) == 0 {
			continue
		}
		box := &l.b.loops[i].box
		if len(cs) <= directWrites && !box.busy.Load() {
			left := cs[:0]
			for _, c := range cs {
				if !l.writeDirect(c) {
					left = append(left, c)
				}
			}
			clear(cs[len(left):])
			cs = left
		}
		if len(cs) > 0 {
			box.postDirty(cs)
			clear(cs)
		}
		l.remote[i] = cs[:0]
	}
	l.remotes = 0
}

func (l *Loop) drainMailbox(now Time) {
	if n := l.box.fanouts.Load(); n > 0 {
		l.deliverFanouts(&l.box, n, 0, now)
	}
	items := l.box.take()
	for i := range items {
		it := &items[i]
		switch it.kind {
		case itemDirty:
			l.dirty = append(l.dirty, it.client)
		case itemClose:
			l.closeDisplaced(it.conn, it.last)
		case itemPublish:
			l.route(it.msg, false, now)
		case itemHold:
			l.holding = append(l.holding, it.client)
			l.box.waiting.Store(true)
		case itemReplay:
			l.replays = append(l.replays, it.client)
		case itemLoaded:
			l.loaded(it.client, it.loaded, now)
		case itemVerdict:
			l.verdict(it.conn, *it.verdict, now)
		case itemCall:
			it.call()
		}
	}
	if len(items) > 0 {
		l.box.done(items)
	}
}

// flush writes what c has, in one call of the transport.
func (l *Loop) flush(c *client, now Time) {
	c.mu.Lock()
	if o := c.owner.Load(); int(o) != l.index {
		// It moved to another loop since; the buffer goes with it.
		c.dirty = false
		if c.out != nil {
			l.b.loops[o].box.postDirty([]*client{c})
			c.dirty = true
		}
		c.mu.Unlock()
		return
	}
	c.dirty = false
	if x := c.extra; x != nil && x.gate > l.b.durableUpTo.Load() {
		c.mu.Unlock() // releaseDurable comes back to it
		return
	}
	buf, cn := c.out, c.conn
	if buf != nil && cn != nil && cn.blocked && c.outSize() < smallWrite {
		c.mu.Unlock() // a full transport keeps every write by itself; checkBlocked comes back to it
		return
	}
	c.out = nil
	pieces := c.takePieces()
	if cn != nil {
		cn.writing.Store(buf != nil)
	}
	starved := c.starved
	c.starved = false
	c.mu.Unlock()
	if buf == nil {
		return
	}
	left := 0
	open := cn != nil && !cn.closing
	if open {
		if len(pieces) > 0 {
			l.writePieces(cn, buf.B, pieces)
		} else {
			l.write(cn, buf.B)
		}
		if open = !cn.closing; open {
			if left = cn.t.Buffered(); left > 0 || c.buffered.Load() > 0 {
				c.setBuffered(cn, left)
			}
		}
	}
	releasePieces(pieces)
	l.spare.giveBack(buf)
	if cn != nil {
		cn.writing.Store(false)
	}
	if !open {
		return
	}
	if left > 0 {
		if limit := l.b.options().MaxOutboundBytes + int(cn.largest); left > limit {
			l.disconnect(cn, codec.QuotaExceeded, "client does not read what it asks for", now)
			return
		}
		l.block(cn)
	}
	if starved {
		if left == 0 {
			l.roomAgain(c, now)
		} else {
			c.mu.Lock()
			c.starved = true
			c.mu.Unlock()
		}
	}
}

// smallWrite is what waits for company while the socket is full.
const smallWrite = 4 << 10

func (l *Loop) write(cn *Conn, b []byte) {
	l.stats.bytesOut += uint64(len(b))
	l.stats.writes++
	// An error closes the transport, and Closed comes on its own.
	_ = cn.t.Write(b)
}

func (l *Loop) block(cn *Conn) {
	if !cn.blocked {
		cn.blocked = true
		l.blocked = append(l.blocked, cn)
	}
}

// checkBlocked looks at the connections whose sockets were full.
func (l *Loop) checkBlocked(now Time) {
	list := l.blocked
	l.blocked = l.blocked[len(l.blocked):]
	keep := list[:0]
	for _, cn := range list {
		c := cn.client
		if cn.closing || c == nil {
			cn.blocked = false
			continue
		}
		left := cn.t.Buffered()
		c.setBuffered(cn, left)
		if left > 0 {
			keep = append(keep, cn)
		} else {
			cn.blocked = false
			c.mu.Lock()
			if c.conn == cn && c.out != nil && !c.dirty {
				l.markDirty(c)
			}
			c.mu.Unlock()
		}
		if left <= l.b.options().MaxOutboundBytes/2 {
			c.mu.Lock()
			starved := c.starved
			c.starved = false
			c.mu.Unlock()
			if starved {
				l.roomAgain(c, now)
			}
		}
	}
	l.blocked = append(keep, l.blocked...)
}

// roomAgain lets what waited for room in the connection go on.
func (l *Loop) roomAgain(c *client, now Time) {
	out := &l.dout
	out.Reset()
	c.mu.Lock()
	if c.conn == nil || int(c.conn.owner) != l.index {
		c.mu.Unlock()
		return
	}
	l.begin(c, out)
	c.s.Drain(now, out)
	l.end(c, out)
	c.mu.Unlock()
	if out.Drops.Any {
		l.countDrops(&out.Drops, &c.s)
	}
	l.slotFree(c, now)
}

// releaseDurable lets acknowledgements go whose records are on disk.
func (l *Loop) releaseDurable(now Time) {
	upTo := l.b.durableUpTo.Load()
	keep := l.holding[:0]
	for _, c := range l.holding {
		out := &l.dout
		out.Reset()
		c.mu.Lock()
		if c.conn == nil || int(c.conn.owner) != l.index {
			if c.extra.holding = c.conn != nil; c.extra.holding {
				l.b.loops[c.conn.owner].box.post(item{kind: itemHold, client: c}) // it moved
			}
			c.less(upTo)
			c.mu.Unlock()
			continue
		}
		l.begin(c, out)
		gated := c.extra.gate > upTo
		if c.s.Durable(upTo, out) || gated {
			keep = append(keep, c)
		} else {
			c.extra.holding = false
			c.less(upTo)
		}
		l.end(c, out)
		if !gated && c.out != nil && !c.dirty {
			l.markDirty(c)
		}
		c.mu.Unlock()
	}
	clear(l.holding[len(keep):])
	l.holding = keep
	if len(keep) == 0 {
		l.box.waiting.Store(false)
	}
	// A ticket that became durable between the load and the store of waiting must not be missed.
	if l.b.durableUpTo.Load() != upTo && len(l.holding) > 0 {
		l.releaseDurable(now)
	}
}

// Tick fires the timers. It tells whether the next is wanted in a quarter second, and not only in one.
func (l *Loop) Tick(now Time) (soon bool) {
	l.startTimers(now)
	l.noteLag(now)
	l.timers.advance(now, func(cn *Conn) { l.connTimer(cn, now) })
	var due []*client
	l.parked.mu.Lock()
	l.parked.w.advance(now, func(p *parkedTimer) { due = append(due, p.client) })
	l.parked.mu.Unlock()
	for _, c := range due {
		l.parkTimer(c, now)
	}
	if len(l.hungry) > 0 {
		l.feedHungry(now)
	}
	if len(l.holding) > 0 && l.b.store.Err() != nil {
		l.refuseHeld(now)
	}
	if len(l.failedReads) > 0 {
		l.readAgain(now)
	}
	if l.index == 0 && l.b.retained.expiring.Load() > 0 {
		l.sweepRetained(now)
	}
	l.logDrops(now)
	l.spare.drop()
	return l.expectant(now)
}

// expectant tells whether the loop waits for something that wants a tick soon.
func (l *Loop) expectant(now Time) bool {
	l.parked.mu.Lock()
	near := max(l.near, l.parked.near)
	l.parked.mu.Unlock()
	lag := l.b.options().MaxLoopLag
	prompt := lag > 0 && lag < 2*time.Second // what is late is judged by the time between two ticks
	return prompt || near >= now || len(l.hungry)+len(l.holding)+len(l.failedReads) > 0 || l.index == 0 && l.b.retained.expiring.Load() > 0
}

// noteLag looks how late the tick comes. One late tick is no sign of load: a machine that was suspended, a virtual one that was moved or
// a process that was stopped has one when it goes on, and then all its clients come back at once, who are to be let in. A loop
// that cannot keep up has one after the other. The first that is on time ends it.
func (l *Loop) noteLag(now Time) {
	limit := Time(l.b.options().MaxLoopLag.Milliseconds())
	late := limit > 0 && l.lastTick > 0 && now-l.lastTick > limit
	l.overloaded, l.lagging, l.lastTick = late && l.lagging, late, now
	if late {
		l.stats.lateTicks++
	}
}

// startTimers sets the wheels to the first instant that the loop hears of.
func (l *Loop) startTimers(now Time) {
	if l.started {
		return
	}
	l.started = true
	l.timers.init(now)
	l.parked.mu.Lock()
	l.parked.w.init(now)
	l.parked.mu.Unlock()
}

func (l *Loop) setTimer(cn *Conn, due Time) {
	if due == session.Never {
		l.timers.keep(cn)
		return
	}
	l.near = later(l.near, due, l.lastTick)
	l.timers.put(cn, due, session.Never)
}

func (l *Loop) connDeadline(cn *Conn, now Time) Time {
	if cn.client == nil {
		return cn.hello.opened + Time(l.b.options().ConnectTimeout.Milliseconds())
	}
	c := cn.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != cn {
		return session.Never
	}
	c.s.Trim(now)
	return c.s.Deadline()
}

func (l *Loop) connTimer(cn *Conn, now Time) {
	if cn.closing {
		return
	}
	if due := l.connDeadline(cn, now); due > now {
		l.setTimer(cn, due)
		return
	}
	if cn.client == nil {
		l.stats.connectTimeouts++
		l.closeConn(cn)
		return
	}
	l.withClient(cn, now, func(s *session.Session, out *session.Output) { s.Tick(now, out) })
	if !cn.closing {
		l.setTimer(cn, l.connDeadline(cn, now))
	}
}

// parkTimer lets time pass for a session without a connection: will delay, session expiry.
func (l *Loop) parkTimer(c *client, now Time) {
	l.join() // a will goes out, and is forgotten, at once
	defer l.part()
	out := &l.lost
	out.Reset()
	c.mu.Lock()
	if c.conn != nil || c.s.Ended() || c.owner.Load() != int32(l.index) {
		c.mu.Unlock()
		return
	}
	l.begin(c, out)
	c.s.Tick(now, out)
	if out.Ended {
		l.stats.expired++
	} else {
		l.park(c)
	}
	l.end(c, out)
	c.mu.Unlock()
	l.act(nil, c, out, now)
}

// park puts c, which has no connection and belongs to this loop, on the parking wheel, if there is anything to wait for. Caller
// holds c.mu.
func (l *Loop) park(c *client) {
	c.less(l.b.durableUpTo.Load())
	due := c.s.Deadline()
	if due == session.Never {
		l.b.unpark(c)
		return
	}
	if c.parked == nil {
		c.parked = &parkedTimer{client: c}
	}
	l.parked.mu.Lock()
	l.parked.near = later(l.parked.near, due, l.lastTick)
	l.parked.w.put(c.parked, due, session.Never)
	l.parked.mu.Unlock()
}

// unpark takes c off the parking wheel of its loop. Caller holds c.mu.
func (b *Broker) unpark(c *client) {
	if c.parked == nil {
		return
	}
	p := &b.loops[c.owner.Load()].parked
	p.mu.Lock()
	p.w.remove(c.parked)
	p.mu.Unlock()
	c.parked = nil
}

// Shutdown says goodbye to every connection of this loop: DISCONNECT 0x8B to 5.0 clients, and closes. Sessions are
// parked or end as with any lost connection.
func (l *Loop) Shutdown(now Time) {
	l.Turn(now)
	for _, cn := range l.timers.appendAll(nil) {
		if cn.closing {
			continue
		}
		if cn.client == nil {
			l.closeConn(cn)
			continue
		}
		l.disconnect(cn, codec.ServerShuttingDown, "server shutting down", now)
	}
	l.Turn(now)
}

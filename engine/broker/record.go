package broker

import (
	"slices"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// What the loops have to do with the store.
//
// Records go to the store under the lock of the client they are of, so that of one session they are in order. What must
// survive together is appended while the loop is joined: a QoS 2 PUBLISH with all whom it is owed, since after half of it the
// publisher would send it again to those who have it; a will and that it was published; a message of a shared
// subscription that one member gives up and another one gets.

// join begins a group of records that become durable all at once or not at all; part ends it. They nest. Not under a client's lock:
// the store may be taking what there is, which waits for every loop to part.
func (l *Loop) join() {
	if l.together == nil {
		return
	}
	if l.joined == 0 {
		l.together.Lock()
	}
	l.joined++
}

func (l *Loop) part() {
	if l.together == nil {
		return
	}
	if l.joined--; l.joined == 0 {
		l.together.Unlock()
	}
}

// record hands the records of out to the store, and sees that what was held is released one day. Caller holds the lock of the client
// they are of. It returns the ticket to wait for, 0 for none.
func (l *Loop) record(c *client, out *session.Output) (ticket uint64) {
	if len(out.Records) > 0 {
		ticket = l.b.store.Append(out.Records)
		clear(out.Records)
		out.Records = out.Records[:0]
		if out.Ended {
			atomicMax(&l.b.ended, ticket)
		}
		c.s.Recorded(ticket, out)
	}
	l.holdFor(c, out)
	return ticket
}

// endsUntil is the ticket that a session waits for which has no records: with it those are gone for good that have ended, and none
// of them can come back under the same Client Identifier after a crash [MQTT-3.1.2-4]. 0: none.
func (b *Broker) endsUntil() uint64 {
	if t := b.ended.Load(); t > b.durableUpTo.Load() && b.store.Err() == nil {
		return t
	}
	return 0
}

// loaded is what the store has read for a session.
type loaded struct {
	query   session.QueueRead
	records []session.Record
	err     error
}

// read asks the store for the next messages of a queue. The answer comes through the mailbox.
func (l *Loop) read(c *client, q session.QueueRead) {
	b := l.b
	b.store.Read(q, func(records []session.Record, err error) {
		b.loops[c.owner.Load()].box.post(item{kind: itemLoaded, client: c, loaded: &loaded{q, records, err}})
	})
}

func (l *Loop) loaded(c *client, r *loaded, now Time) {
	out := &l.dout
	out.Reset()
	c.mu.Lock()
	if o := c.owner.Load(); int(o) != l.index {
		l.b.loops[o].box.post(item{kind: itemLoaded, client: c, loaded: r})
		c.mu.Unlock()
		return
	}
	if c.s.Ended() { // while its queue was read: whatever became of that
		c.mu.Unlock()
		return
	}
	l.begin(c, out)
	c.s.Loaded(r.query, r.records, r.err != nil, now, out)
	l.end(c, out)
	c.mu.Unlock()
	if out.Drops.Any {
		l.countDrops(&out.Drops, &c.s)
	}
	if r.err != nil {
		l.failedReads = append(l.failedReads, c)
	}
	if r.err != nil && l.b.store.Err() == nil { // else the store has said so
		l.b.log.Warn("a queue could not be read", "client", c.s.ClientID(), "error", r.err)
	}
	l.slotFree(c, now) // what was read may have been given up
}

// readAgain asks once more for what could not be read.
func (l *Loop) readAgain(now Time) {
	list := l.failedReads
	l.failedReads = nil
	for _, c := range list {
		l.roomAgain(c, now)
	}
}

func (b *Broker) unavailable() bool {
	return b.short.Load() || b.store != nil && b.store.Unavailable()
}

// wouldRecord tells whether m, at QoS 1 or 2 from c, could be acknowledged only once something is recorded.
func (l *Loop) wouldRecord(c *client, m *session.Message) bool {
	if m.Retain || m.QoS == codec.QoS2 && c.resumable.Load() {
		return true
	}
	mt := l.cache.Match(m.Topic)
	for i := range mt.Subs {
		if s := &mt.Subs[i]; s.Options.QoS > 0 && s.Subscriber.resumable.Load() {
			return true
		}
	}
	for _, g := range mt.Groups {
		if queueOf(g).durable.Load() {
			return true
		}
	}
	return false
}

// refusePublish turns a message away that the store could not take. Nobody has got it.
func (l *Loop) refusePublish(cn *Conn, c *client, id uint16, qos codec.QoS, now Time) {
	l.stats.refusedPublish++
	if cn.version == codec.V5 {
		l.unacked = unacked{conn: cn, client: c, id: id, qos: qos, code: codec.QuotaExceeded}
		return
	}
	l.withClient(cn, now, func(s *session.Session, out *session.Output) {
		s.Retract(id, qos)
		s.Disconnect(codec.QuotaExceeded, "the store takes nothing new", out)
	})
}

// refuseHeld closes the connections that wait for an answer which a full or broken disk holds up: the client is to know, and may ask
// again. What it sent is in the hands of the store and may be kept yet.
func (l *Loop) refuseHeld(now Time) {
	for _, c := range slices.Clone(l.holding) {
		c.mu.Lock()
		cn := c.conn
		waits := cn != nil && int(cn.owner) == l.index && (c.extra.gate > l.b.durableUpTo.Load() || c.s.HoldsAnswer())
		c.mu.Unlock()
		if waits {
			l.disconnect(cn, codec.QuotaExceeded, "the store cannot keep what it was given", now)
		}
	}
}

// appendOne hands one record to the store that is not of a client.
func (l *Loop) appendOne(r session.Record) (ticket uint64) {
	l.oneRecord[0] = r
	ticket = l.b.store.Append(l.oneRecord[:])
	l.oneRecord[0] = session.Record{}
	return ticket
}

package broker

import (
	"context"
	"log/slog"

	"github.com/gannetmq/gannet/engine/session"
)

// Counters are totals since the start. Names follow the fields.
type Counters struct {
	BytesIn, BytesOut           uint64
	PacketsIn, PacketsOut       [16]uint64 // by codec.PacketType
	Writes                      uint64     // calls of Transport.Write: at most one per connection and turn, besides goodbyes
	PublishBytesIn              uint64     // payloads of PUBLISH that were routed
	PublishBytesOut             uint64     // payloads of PUBLISH
	Queued, QueuedBytes         int64      // messages that wait in the queues of sessions, now
	Opened, Accepted, ClosedAll uint64     // network connections; accepted = with a session
	Connected                   int64      // network connections with a session, now
	Expired                     uint64     // sessions that ended because their client did not come back in time
	RefusedConnects             uint64
	ConnectTimeouts             uint64
	RefusedPublish              uint64                      // refused by authorisation, bounds or a full queue
	Revoked                     uint64                      // subscriptions removed because the rules changed, or the client
	DelayedAcks                 uint64                      // PUBACK and PUBREC that waited because their client publishes faster than it may
	Drops                       [session.DropReasons]uint64 // messages, by reason
	Closed                      [256]uint64                 // connections that the server closed, by reason code
	Refused                     [256]uint64                 // connections among RefusedConnects, by reason code
	LateTicks                   uint64                      // of a loop that was Options.MaxLoopLag late or more
}

// stats are one loop's counters. Plain fields, since only the loop touches them.
type stats struct {
	bytesIn, bytesOut, writes, publishBytesIn                       uint64
	packetsIn                                                       [16]uint64
	sent                                                            session.Tally
	queued, queuedBytes                                             int64 // what this loop has added to queues, less what it took
	connected                                                       int64
	expired                                                         uint64
	opened, accepted, closedConns, refusedConnects, connectTimeouts uint64
	refusedPublish, revoked, delayedAcks, lateTicks                 uint64
	drops                                                           [session.DropReasons]uint64
	closed, refused                                                 [256]uint64

	refusals, denials rare

	dropClient [session.DropReasons]string // a client of the latest drop
	logged     [session.DropReasons]uint64 // drops that the log has told of
	logAt      Time
}

func (s *stats) snapshot() *Counters {
	return &Counters{
		BytesIn: s.bytesIn, BytesOut: s.bytesOut, PacketsIn: s.packetsIn, PacketsOut: s.sent.Packets, Writes: s.writes,
		PublishBytesIn: s.publishBytesIn, PublishBytesOut: s.sent.PublishBytes, Queued: s.queued, QueuedBytes: s.queuedBytes, Opened: s.opened, Accepted: s.accepted, ClosedAll: s.closedConns, Connected: s.connected, Expired: s.expired,
		RefusedConnects: s.refusedConnects, ConnectTimeouts: s.connectTimeouts, RefusedPublish: s.refusedPublish, Revoked: s.revoked,
		Drops: s.drops, Closed: s.closed, Refused: s.refused, DelayedAcks: s.delayedAcks, LateTicks: s.lateTicks,
	}
}

// Counters returns this loop's totals. On the owner only; Broker.Counters asks every loop.
func (l *Loop) Counters() *Counters { return l.stats.snapshot() }

// Counters adds up the totals of all loops, each of which is asked and answers in its next turn. It waits for them, so it must not be
// called on a loop. ok is false when ctx ended first: loops that have ended do not answer.
func (b *Broker) Counters(ctx context.Context) (sum *Counters, ok bool) {
	answers := make(chan *Counters, len(b.loops))
	for _, l := range b.loops {
		l.box.post(item{kind: itemCall, call: func() { answers <- l.stats.snapshot() }})
	}
	sum = &Counters{}
	for range b.loops {
		select {
		case c := <-answers:
			sum.add(c)
		case <-ctx.Done():
			return nil, false
		}
	}
	return sum, true
}

// Dropped returns how many messages were given up, whatever the reason.
func (c *Counters) Dropped() (n uint64) {
	for _, d := range c.Drops {
		n += d
	}
	return n
}

// Packets returns how many packets of all types were received and sent.
func (c *Counters) Packets() (in, out uint64) {
	for i := range c.PacketsIn {
		in += c.PacketsIn[i]
		out += c.PacketsOut[i]
	}
	return in, out
}

func (c *Counters) add(x *Counters) {
	c.BytesIn += x.BytesIn
	c.BytesOut += x.BytesOut
	c.Writes += x.Writes
	c.PublishBytesIn += x.PublishBytesIn
	c.PublishBytesOut += x.PublishBytesOut
	c.Queued += x.Queued
	c.QueuedBytes += x.QueuedBytes
	for i := range c.PacketsIn {
		c.PacketsIn[i] += x.PacketsIn[i]
		c.PacketsOut[i] += x.PacketsOut[i]
	}
	c.Connected += x.Connected
	c.Expired += x.Expired
	c.Opened += x.Opened
	c.Accepted += x.Accepted
	c.ClosedAll += x.ClosedAll
	c.RefusedConnects += x.RefusedConnects
	c.ConnectTimeouts += x.ConnectTimeouts
	c.RefusedPublish += x.RefusedPublish
	c.Revoked += x.Revoked
	for i := range c.Drops {
		c.Drops[i] += x.Drops[i]
	}
	for i := range c.Closed {
		c.Closed[i] += x.Closed[i]
		c.Refused[i] += x.Refused[i]
	}
	c.DelayedAcks += x.DelayedAcks
	c.LateTicks += x.LateTicks
}

// dropLogInterval is how often the log tells of drops with the same reason, at most, per loop.
const dropLogInterval Time = 10_000

func (l *Loop) countDrops(d *session.Drops, s *session.Session) {
	for r, n := range d.N {
		if n > 0 {
			l.stats.drops[r] += uint64(n)
			l.stats.dropClient[r] = s.ClientID()
		}
	}
}

func (l *Loop) countGroupDrop(r session.DropReason) { l.stats.drops[r]++ }

// logDrops writes one line per reason whose counter moved, and one per kind of rare event, rate-limited.
func (l *Loop) logDrops(now Time) {
	s := &l.stats
	if s.drops == s.logged && s.refusals.n+s.denials.n == 0 || now < s.logAt {
		return
	}
	s.logAt = now + dropLogInterval
	s.refusals.log(l.b.log)
	s.denials.log(l.b.log)
	for r := range s.drops {
		if n := s.drops[r] - s.logged[r]; n > 0 {
			l.b.log.Warn("messages dropped", slog.String("reason", session.DropReason(r).String()),
				slog.Uint64("count", n), slog.String("client", s.dropClient[r]))
		}
	}
	s.logged = s.drops
}

// rare gathers events of one kind that the log tells of now and then: how many there were, and what the latest was about. An attacker
// can cause many, so nothing is formatted before it is logged.
type rare struct {
	n    uint64
	what string
	args [8]any
	used int
}

func (r *rare) add(what string, args ...any) {
	r.n++
	r.what, r.used = what, copy(r.args[:], args)
}

func (r *rare) log(log *slog.Logger) {
	if r.n > 0 {
		log.Warn(r.what, append(r.args[:r.used:r.used], "count", r.n)...)
		*r = rare{}
	}
}

package broker

import (
	"log/slog"

	"github.com/gannetmq/gannet/engine/session"
)

// Counters are totals since the start. Names follow the fields.
type Counters struct {
	BytesIn, BytesOut           uint64
	PacketsIn                   uint64
	Writes                      uint64 // calls of Transport.Write: at most one per connection and turn, besides goodbyes
	PublishIn, PublishOut       uint64
	Opened, Accepted, ClosedAll uint64 // network connections; accepted = with a session
	RefusedConnects             uint64
	ConnectTimeouts             uint64
	RefusedPublish              uint64                      // refused by authorisation, bounds or a full queue
	Revoked                     uint64                      // subscriptions removed because the rules changed, or the client
	Drops                       [session.DropReasons]uint64 // messages, by reason
	Closed                      [256]uint64                 // connections that the server closed, by reason code
}

// stats are one loop's counters. Plain fields, since only the loop touches them.
type stats struct {
	bytesIn, bytesOut, packetsIn, writes, publishIn, publishOut     uint64
	opened, accepted, closedConns, refusedConnects, connectTimeouts uint64
	refusedPublish, revoked                                         uint64
	drops                                                           [session.DropReasons]uint64
	closed                                                          [256]uint64

	dropClient [session.DropReasons]string // a client of the latest drop
	logged     [session.DropReasons]uint64 // drops that the log has told of
	logAt      Time
}

func (s *stats) snapshot() *Counters {
	return &Counters{
		BytesIn: s.bytesIn, BytesOut: s.bytesOut, PacketsIn: s.packetsIn, Writes: s.writes, PublishIn: s.publishIn,
		PublishOut: s.publishOut, Opened: s.opened, Accepted: s.accepted, ClosedAll: s.closedConns,
		RefusedConnects: s.refusedConnects, ConnectTimeouts: s.connectTimeouts, RefusedPublish: s.refusedPublish, Revoked: s.revoked,
		Drops: s.drops, Closed: s.closed,
	}
}

// Counters returns this loop's totals. On the owner only; Broker.Counters asks every loop.
func (l *Loop) Counters() *Counters { return l.stats.snapshot() }

// Counters adds up the totals of all loops. It asks each loop and waits for the answer, so it must not be called on a loop.
func (b *Broker) Counters() *Counters {
	answers := make(chan *Counters, len(b.loops))
	for _, l := range b.loops {
		l.box.post(item{kind: itemCall, call: func() { answers <- l.stats.snapshot() }})
	}
	sum := &Counters{}
	for range b.loops {
		sum.add(<-answers)
	}
	return sum
}

func (c *Counters) add(x *Counters) {
	c.BytesIn += x.BytesIn
	c.BytesOut += x.BytesOut
	c.PacketsIn += x.PacketsIn
	c.Writes += x.Writes
	c.PublishIn += x.PublishIn
	c.PublishOut += x.PublishOut
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
	}
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

// logDrops writes one line per reason whose counter moved, rate-limited.
func (l *Loop) logDrops(now Time) {
	s := &l.stats
	if s.drops == s.logged || now < s.logAt {
		return
	}
	s.logAt = now + dropLogInterval
	for r := range s.drops {
		if n := s.drops[r] - s.logged[r]; n > 0 {
			l.b.log.Warn("messages dropped", slog.String("reason", session.DropReason(r).String()),
				slog.Uint64("count", n), slog.String("client", s.dropClient[r]))
		}
	}
	s.logged = s.drops
}

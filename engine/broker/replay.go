package broker

import (
	"strings"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// replayBatch is how many retained messages one client gets in one turn before others have theirs.
const replayBatch = 128

// replay is retained messages on their way to one new subscription: a cursor, not a list. It moves as the connection and the
// window have room, never through the queue that may drop, and it survives a lost connection with its session.
type replay struct {
	cursor  router.Cursor
	filter  string
	options session.SubscriptionOptions
}

// startReplay begins to send what is retained for a subscription [MQTT-3.3.1-9, -10].
func (l *Loop) startReplay(c *client, ch *session.Change, now Time) {
	l.dropReplay(c, ch.Filter) // a subscription made again replays from the beginning
	if l.nothingRetained(ch.Filter) {
		return
	}
	c.mu.Lock()
	x := c.more()
	x.replays = append(x.replays, replay{cursor: router.NewCursor(ch.Filter), filter: ch.Filter, options: ch.Options})
	start := !x.replaying && c.conn != nil
	if start {
		x.replaying = true
	}
	c.mu.Unlock()
	if start && !l.replayTo(c, now) {
		l.replays = append(l.replays, c)
	}
}

// nothingRetained tells what is known at once: most filters have no wildcard, and their topic has no retained message. One that is set
// after this look is set by a publisher that finds the subscription.
func (l *Loop) nothingRetained(filter string) bool {
	if l.b.retained.index.Len() == 0 {
		return true
	}
	if strings.ContainsAny(filter, "+#") {
		return false
	}
	_, found := l.b.retained.index.Get([]byte(filter))
	return !found
}

func (l *Loop) dropReplay(c *client, filter string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.extra == nil {
		return
	}
	for i := range c.extra.replays {
		if c.extra.replays[i].filter == filter {
			c.extra.replays = append(c.extra.replays[:i], c.extra.replays[i+1:]...)
			return
		}
	}
}

// continueReplays gives each replaying client one batch.
func (l *Loop) continueReplays(now Time) {
	list := l.replays
	l.replays = l.replays[len(l.replays):]
	keep := list[:0]
	for _, c := range list {
		if !l.replayTo(c, now) {
			keep = append(keep, c)
		}
	}
	clear(list[len(keep):])
	l.replays = append(keep, l.replays...)
}

// replayTo sends one batch. True: finished, or waiting for room, after which slotFree begins again.
//
// A retained message is read and delivered under the client's lock. A publisher sets it before it delivers to
// subscribers, so that a client never sees an old retained message after a newer live one.
func (l *Loop) replayTo(c *client, now Time) bool {
	c.mu.Lock()
	x := c.extra
	if c.conn == nil || len(x.replays) == 0 {
		x.replaying = false
		c.less(l.b.durableUpTo.Load())
		c.mu.Unlock()
		return true
	}
	if o := c.conn.owner; int(o) != l.index {
		l.b.loops[o].box.post(item{kind: itemReplay, client: c}) // it moved, and its replays with it
		c.mu.Unlock()
		return true
	}
	rp := &x.replays[0]
	route := session.Route{QoS: rp.options.QoS, Retained: true, Overflow: session.NoQueue}
	var one [1]uint32
	if one[0] = rp.options.Identifier; one[0] != 0 {
		route.IDs = one[:]
	}
	out := &l.dout
	out.Reset()
	l.begin(c, out)
	var expired []*session.Message
	blocked := false
	more := l.b.retained.index.Next(&rp.cursor, replayBatch, func(_ string, m *session.Message) bool {
		if m.Expired(now) {
			expired = append(expired, m)
			return true
		}
		if rp.options.NoLocal && m.From == c.s.ID {
			return true
		}
		l.og.Reset(m, now, false)
		switch c.s.Deliver(&l.og, &route, out) {
		case session.Refused, session.Gone:
			blocked = true
			return false
		}
		return true
	})
	finished := false
	if !more && !blocked {
		x.replays[0] = replay{}
		if x.replays = x.replays[1:]; len(x.replays) == 0 {
			x.replays, finished = nil, true
		}
	}
	if blocked && !out.Full && min(route.QoS, codec.QoS2) == codec.QoS0 {
		out.Full = true
	}
	l.end(c, out)
	if finished || blocked {
		x.replaying = false
		c.less(l.b.durableUpTo.Load())
	}
	c.mu.Unlock()
	for _, m := range expired {
		l.expireRetained(m)
	}
	if out.Drops.Any {
		l.countDrops(&out.Drops, &c.s)
	}
	return finished || blocked
}

// sweepBatch is how many retained messages one tick looks at for expiry.
const sweepBatch = 512

// sweepRetained removes expired retained messages that nobody asks for, a few each tick: they would count against the bounds.
func (l *Loop) sweepRetained(now Time) {
	if !l.sweeping {
		l.sweep, l.sweeping = router.NewCursorAll(), true
	}
	var expired []*session.Message
	l.sweeping = l.b.retained.index.Next(&l.sweep, sweepBatch, func(_ string, m *session.Message) bool {
		if m.Expired(now) {
			expired = append(expired, m)
		}
		return true
	})
	for _, m := range expired {
		l.expireRetained(m)
	}
}

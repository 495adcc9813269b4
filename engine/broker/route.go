package broker

import (
	"slices"

	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// route brings one message to everyone who subscribed, and sets the retained message. m may borrow from a read buffer. It
// returns the code for PUBACK or PUBREC and the ticket they wait for (0: none).
//
// With refusable set, a message that no subscriber had room for is refused as a whole with 0x97: nobody got it, and the
// publisher knows before the acknowledgement. In every other case a full queue drops its oldest message.
func (l *Loop) route(m *session.Message, refusable bool, now Time) (codec.ReasonCode, uint64) {
	l.ticket = 0
	if m.Retain {
		// Before matching: whoever subscribes meanwhile sees it either live or retained.
		l.retain(m)
		refusable = false // who subscribes from now on has it
	}
	mt := l.cache.Match(m.Topic)
	subs, ids := mt.Subs, [][]uint32(nil)
	if mt.Overlapping {
		l.merge.join(mt.Subs, m.From)
		subs, ids = l.merge.subs, l.merge.ids
	}
	if len(subs)+len(mt.Groups) == 0 {
		return codec.NoMatchingSubscribers, l.ticket
	}
	if len(subs) >= l.b.options().WideFanout && len(l.b.loops) > 1 && ids == nil {
		l.handOver(m, subs, now)
		for _, g := range mt.Groups {
			l.dispatch(g, m, false, now)
		}
		return codec.Success, l.ticket
	}
	return l.deliverAll(m, subs, ids, mt.Groups, refusable, now), l.ticket
}

// deliverAll visits the subscribers one by one. ids, when not nil, holds the Subscription Identifiers for each of subs.
func (l *Loop) deliverAll(m *session.Message, subs []router.Match[*client], ids [][]uint32, groups []*router.Group[*client], refusable bool, now Time) codec.ReasonCode {
	overflow := session.DropOldest
	if refusable {
		overflow = session.Refuse
	}
	taken := false
	l.refused, l.refusedGroups = l.refused[:0], l.refusedGroups[:0]
	l.og.Reset(m, now, len(subs) > 1)
	for i := range subs {
		s := &subs[i]
		if s.Options.NoLocal && m.From == s.Subscriber.s.ID { // [MQTT-3.8.3-3]
			continue
		}
		if l.mustQueueBehindFanout(s.Subscriber) {
			l.handOverOne(m, s, idsAt(ids, i))
			taken = true
			continue
		}
		switch l.deliver(s, idsAt(ids, i), overflow, nil) {
		case session.Refused:
			l.refused = append(l.refused, int32(i))
		case session.Gone:
		default:
			taken = true
		}
	}
	for _, g := range groups {
		if l.dispatch(g, m, refusable && !taken, now) {
			taken = true
		} else {
			l.refusedGroups = append(l.refusedGroups, g)
		}
	}
	if len(l.refused)+len(l.refusedGroups) == 0 {
		return codec.Success
	}
	if !taken {
		l.stats.refusedPublish++
		return codec.QuotaExceeded
	}
	// Somebody has it: refusing would make the publisher send it to them again.
	l.og.Reset(m, now, false)
	for _, i := range l.refused {
		l.deliver(&subs[i], idsAt(ids, int(i)), session.DropOldest, nil)
	}
	for _, g := range l.refusedGroups {
		l.dispatch(g, m, false, now)
	}
	return codec.Success
}

func idsAt(ids [][]uint32, i int) []uint32 {
	if ids == nil {
		return nil
	}
	return ids[i]
}

// deliver brings l.og to one subscriber: under its lock, bytes into its buffer or the message into its queue. ids replaces the
// identifier in the match where several subscriptions were joined.
func (l *Loop) deliver(s *router.Match[*client], ids []uint32, overflow session.Overflow, g *router.Group[*client]) session.Result {
	c, o := s.Subscriber, &s.Options
	if o.Identifier == 0 && len(ids) == 0 && g == nil && l.deliverPlain(c, o) {
		return session.Sent
	}
	r := session.Route{QoS: codec.QoS(o.QoS), RetainAsPublished: o.RetainAsPublished, Overflow: overflow, IDs: ids}
	if ids == nil && o.Identifier != 0 {
		l.ids = append(l.ids[:0], o.Identifier)
		r.IDs = l.ids
	}
	if g != nil {
		r.Group = g
	}
	out := &l.dout
	out.Reset()
	c.mu.Lock()
	size := len(l.og.M.Payload)
	if c.vectors && l.splices(l.og.M) {
		size = 0
	}
	l.beginSized(c, out, size)
	res := c.s.Deliver(&l.og, &r, out)
	if t := l.end(c, out); t > l.ticket {
		l.ticket = t
	}
	c.mu.Unlock()
	if out.Drops.Any {
		l.countDrops(&out.Drops, &c.s)
	}
	return res
}

// maxHeaderBytes bounds what an encoded plain PUBLISH is larger than its message: header, lengths, Packet Identifier.
const maxHeaderBytes = 16

// deliverPlain is the short way for what needs neither record nor judgement. False: the long way must judge.
func (l *Loop) deliverPlain(c *client, o *router.Options) bool {
	if size := l.og.M.Size(); size > cap(l.scratch)-maxHeaderBytes || size >= l.spliceBytes && l.splices(l.og.M) {
		return false
	}
	c.mu.Lock()
	var dst []byte
	if c.out != nil {
		dst = c.out.B
	} else {
		dst = l.scratch[:0]
	}
	dst, ok := c.s.AppendPlain(&l.og, codec.QoS(o.QoS), o.RetainAsPublished, dst, l.room(c))
	if !ok {
		c.mu.Unlock()
		return false
	}
	if c.out == nil {
		c.out = bytebufferpool.Get()
		c.out.B = append(c.out.B[:0], dst...)
	} else {
		c.out.B = dst
	}
	if !c.dirty {
		l.markDirty(c)
	}
	c.mu.Unlock()
	l.stats.sent.Publish(l.og.M.Payload)
	return true
}

// mustQueueBehindFanout tells whether a wide fan-out still waits at the loop of c, which a direct delivery would overtake.
func (l *Loop) mustQueueBehindFanout(c *client) bool {
	o := c.owner.Load()
	return int(o) != l.index && l.b.loops[o].box.fanouts.Load() > 0 && !c.resumable.Load()
}

func (l *Loop) handOverOne(m *session.Message, s *router.Match[*client], ids []uint32) {
	box := &l.b.loops[s.Subscriber.owner.Load()].box
	box.postFanout(fanout{m.Keep(), []router.Match[*client]{*s}, slices.Clone(ids)})
	l.handed = true
}

// handOver cuts a wide fan-out by owner loop: one item for each other loop, its own share at once. Sessions that outlive
// their connection are served here and now: they may move to another loop while an item waits, and the publisher's
// acknowledgement may have to wait for their records.
func (l *Loop) handOver(m *session.Message, subs []router.Match[*client], now Time) {
	k := m.Keep()
	l.og.Reset(k, now, true)
	for i := range subs {
		s := &subs[i]
		c := s.Subscriber
		if s.Options.NoLocal && m.From == c.s.ID {
			continue
		}
		o := int(c.owner.Load())
		if o == l.index || c.resumable.Load() {
			l.deliver(s, nil, session.DropOldest, nil)
			continue
		}
		l.fanout[o] = append(l.fanout[o], *s)
	}
	for o, share := range l.fanout {
		if len(share) == 0 {
			continue
		}
		box := &l.b.loops[o].box
		box.postFanout(fanout{msg: k, subs: append([]router.Match[*client](nil), share...)})
		l.handed = true
		clear(share)
		l.fanout[o] = share[:0]
	}
}

// deliverFanouts delivers up to n of the fan-outs in a mailbox, the oldest first, until they keep no more than this many bytes.
func (l *Loop) deliverFanouts(box *mailbox, n int32, bytes int64, now Time) {
	ticket := l.ticket
	for ; n > 0 && (bytes == 0 || box.wideBytes.Load() > bytes); n-- {
		box.serving.Lock()
		f, ok := box.takeFanout()
		if ok {
			l.og.Reset(f.msg, now, len(f.subs) > 1)
			for i := range f.subs {
				l.deliver(&f.subs[i], f.ids, session.DropOldest, nil)
			}
			box.fanouts.Add(-1)
		}
		box.serving.Unlock()
		if !ok {
			break
		}
	}
	l.ticket = ticket
}

// helpOthers does the work of loops that have too much of it waiting.
func (l *Loop) helpOthers(now Time) {
	l.handed = false
	for _, x := range l.b.loops {
		if x != l && x.box.wideBytes.Load() > maxFanoutBytes {
			l.deliverFanouts(&x.box, x.box.fanouts.Load(), maxFanoutBytes/2, now)
		}
	}
}

// merger joins the matches of one subscriber from several filters into one delivery.
type merger struct {
	at   map[*client]int
	subs []router.Match[*client]
	ids  [][]uint32
}

// join fills subs with one match per subscriber: the highest QoS [MQTT-3.3.4-2], all identifiers [MQTT-3.3.4-4].
func (g *merger) join(in []router.Match[*client], from uint64) {
	if g.at == nil {
		g.at = make(map[*client]int)
	}
	clear(g.at)
	clear(g.subs)
	g.subs = g.subs[:0]
	for i := range in {
		s := &in[i]
		if s.Options.NoLocal && from == s.Subscriber.s.ID {
			continue
		}
		k, seen := g.at[s.Subscriber]
		if !seen {
			k = len(g.subs)
			g.at[s.Subscriber] = k
			g.subs = append(g.subs, *s)
			if len(g.ids) <= k {
				g.ids = append(g.ids, nil)
			}
			g.ids[k] = g.ids[k][:0]
		} else {
			o := &g.subs[k].Options
			o.QoS = max(o.QoS, s.Options.QoS)
			o.RetainAsPublished = o.RetainAsPublished || s.Options.RetainAsPublished
		}
		if s.Options.Identifier != 0 {
			g.ids[k] = append(g.ids[k], s.Options.Identifier)
		}
		g.subs[k].Options.NoLocal, g.subs[k].Options.Identifier = false, 0
	}
}

// retain stores or clears the retained message of m's topic. What the server says of itself is not worth a disk.
func (l *Loop) retain(m *session.Message) {
	stored := l.b.store != nil && !session.IsSys(m.Topic)
	if stored {
		if m.QoS == codec.QoS0 && l.b.store.Unavailable() {
			l.stats.drops[session.DropUnstored]++
			l.stats.dropClient[session.DropUnstored] = ""
			return
		}
		defer l.b.retained.lock(m.Topic).Unlock()
	}
	if !l.b.retained.set(m) {
		l.stats.drops[session.DropRetainedFull]++
		l.stats.dropClient[session.DropRetainedFull] = ""
		return
	}
	if !stored {
		return
	}
	r := session.Record{Kind: session.RetainedPut, Message: m.Keep()}
	if len(m.Payload) == 0 {
		r = session.Record{Kind: session.RetainedDelete, Filter: string(m.Topic)}
	}
	l.ticket = max(l.ticket, l.appendOne(r))
}

// expireRetained removes a retained message whose time is over, unless another one took its place.
func (l *Loop) expireRetained(m *session.Message) {
	if l.b.store != nil {
		defer l.b.retained.lock(m.Topic).Unlock()
	}
	if l.b.retained.expire(m) && l.b.store != nil {
		l.appendOne(session.Record{Kind: session.RetainedDelete, Filter: string(m.Topic)})
	}
}

// applyChanges brings the router up to date with a session's subscriptions. cn is the connection that asked for them, nil for
// a session that ended.
//
// That happens without the session's lock, so that another loop may have taken the session over, ended it or changed the same
// subscriptions before the router hears of these. Whoever finds that the connection has lost its session therefore asks the
// session again after each change, until router and session agree; nobody else undoes what came too late.
func (l *Loop) applyChanges(cn *Conn, c *client, changes []session.Change, now Time) {
	for i := range changes {
		l.applyChange(c, &changes[i], now)
	}
	if cn == nil {
		return
	}
	c.mu.Lock()
	ours := c.conn == cn
	c.mu.Unlock()
	for i := 0; i < len(changes) && !ours; i++ {
		l.agree(c, &changes[i], now)
	}
}

// agree asks the session about a change that was carried out, until the router says the same.
func (l *Loop) agree(c *client, ch *session.Change, now Time) {
	for l.overtaken(c, ch) {
		l.applyChange(c, ch, now)
	}
}

func (l *Loop) overtaken(c *client, ch *session.Change) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.s.Refresh(ch)
}

func (l *Loop) applyChange(c *client, ch *session.Change, now Time) {
	if ch.Remove {
		g := l.b.groupOf(ch)
		l.b.router.Unsubscribe(ch.Group, ch.Filter, c)
		if ch.Group == "" {
			l.dropReplay(c, ch.Filter)
		}
		if g != nil {
			l.leaveGroup(c, g)
		}
		return
	}
	if _, err := l.b.router.Subscribe(ch.Group, ch.Filter, c, routerOptions(ch.Options)); err != nil {
		panic("broker: the session accepted a filter that the router refuses: " + err.Error())
	}
	if ch.Group != "" {
		l.joinGroup(c, l.b.groupOf(ch), now)
	}
	if ch.Replay {
		l.startReplay(c, ch, now)
	}
}

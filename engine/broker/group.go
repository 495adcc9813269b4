package broker

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// Strategy picks the member of a shared subscription group that gets a message. Whatever it picks, a member that is
// connected and has room goes before one that is not.
type Strategy uint8

const (
	RoundRobin Strategy = iota // each member in turn
	Random                     // any member
	Sticky                     // the same member as long as it takes messages
	HashClient                 // by publisher: one publisher's messages go to one member
	HashTopic                  // by topic: one topic's messages go to one member
)

var strategyNames = []string{"round-robin", "random", "sticky", "hash-client", "hash-topic"}

func (s Strategy) String() string { return strategyNames[s] }

// ParseStrategy reads a name as String writes it.
func ParseStrategy(name string) (Strategy, bool) {
	for i, n := range strategyNames {
		if n == name {
			return Strategy(i), true
		}
	}
	return 0, false
}

// groupTries bounds how many members are asked for one message before it waits in the group's queue.
const groupTries = 64

// groupQueue holds messages that no member could take at once: the group owns them, so that whichever member has room first
// gets the next one, and a member that dies takes nothing with it. Safe for concurrent use.
//
// In the store it is a session without a client. A message leaves it in the same group of records with which it becomes a
// member's; a member whose session does not outlive its connection has it in memory only, as with any other subscription.
type groupQueue struct {
	durable atomic.Bool // some member's session outlives its connection: what waits is recorded. Never false again

	mu     sync.Mutex
	id     uint64         // Session in records; 0 = it has none yet
	seq    uint64         // of the newest record
	items  []groupMessage // from head on
	head   int
	bytes  int
	pumped uint64 // how often someone asked for messages
	sticky uint32
	gone   bool   // the group has no members any more, and never will
	probe  uint32 // in a group larger than groupTries: how far from the preferred member to look
	hungry bool   // in some loop's list of groups to be tried again at the next tick
}

// groupMessage is a message in the queue of a group.
type groupMessage struct {
	*session.Message
	seq uint64 // of its record; 0 = it has none
}

func (q *groupQueue) len() int { return len(q.items) - q.head }

func (q *groupQueue) pop() groupMessage {
	m := q.items[q.head]
	q.items[q.head] = groupMessage{}
	q.head++
	q.bytes -= m.Size()
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 1024 {
			q.items = nil
		}
	} else if q.head > 1024 && q.head > len(q.items)/2 {
		q.items = slices.Delete(q.items, 0, q.head)
		q.head = 0
	}
	return m
}

func (q *groupQueue) push(m groupMessage) {
	q.items = append(q.items, m)
	q.bytes += m.Size()
}

func (q *groupQueue) pushFront(m groupMessage) {
	if q.head == 0 {
		q.items = append([]groupMessage{{}}, q.items...)
		q.head = 1
	}
	q.head--
	q.items[q.head] = m
	q.bytes += m.Size()
}

// recordWaiting records that m waits for a member. Caller holds q.mu.
func (l *Loop) recordWaiting(g *router.Group[*client], q *groupQueue, m *session.Message) (seq uint64) {
	if l.b.store == nil || !q.durable.Load() {
		return 0
	}
	if q.id == 0 {
		q.id = l.b.nextID.Add(1)
		l.appendOne(session.Record{Kind: session.SessionPut, Session: q.id, State: &session.State{Group: "$share/" + g.Name() + "/" + g.Filter()}})
	}
	q.seq++
	ticket := l.appendOne(session.Record{Kind: session.QueuePut, Session: q.id, Seq: q.seq, QoS: m.QoS, Message: m})
	l.ticket = max(l.ticket, ticket)
	return q.seq
}

// settleWaiting records that m waits no longer. Caller holds q.mu.
func (l *Loop) settleWaiting(q *groupQueue, m groupMessage) {
	if m.seq > 0 {
		l.appendOne(session.Record{Kind: session.QueueDelete, Session: q.id, Seq: m.seq, Message: m.Message})
	}
}

func queueOf(g *router.Group[*client]) *groupQueue {
	if a := g.Attachment(); a != nil {
		return a.(*groupQueue)
	}
	return g.AttachOnce(func() any { return &groupQueue{} }).(*groupQueue)
}

// dispatch gives m to one member of the group. False: nobody could take it, its queue is full, and refusable was set.
func (l *Loop) dispatch(g *router.Group[*client], m *session.Message, refusable bool, now Time) bool {
	q := queueOf(g)
	q.mu.Lock()
	waiting := q.len() > 0
	q.mu.Unlock()
	if !waiting || m.QoS == codec.QoS0 {
		if l.giveToMember(g, q, m, now) {
			return true
		}
		if m.QoS == codec.QoS0 {
			l.countGroupDrop(session.DropOutboundFull)
			return true
		}
	}
	opts := l.b.options()
	q.mu.Lock()
	full := q.len() >= opts.MaxGroupMessages || q.bytes+m.Size() > opts.MaxGroupBytes
	if q.gone || full && refusable {
		gone := q.gone
		q.mu.Unlock()
		if gone {
			l.countGroupDrop(session.DropGroupGone)
		}
		return gone
	}
	for q.len() > 0 && (q.len() >= opts.MaxGroupMessages || q.bytes+m.Size() > opts.MaxGroupBytes) {
		l.settleWaiting(q, q.pop())
		l.countGroupDrop(session.DropGroupFull)
	}
	k := m.Keep()
	q.push(groupMessage{k, l.recordWaiting(g, q, k)})
	q.mu.Unlock()
	l.pump(g, q, now)
	return true
}

// giveToMember asks members for room, beginning where the strategy says. A message that none of them may have is given up, or it would
// stand in the way of those that some may.
func (l *Loop) giveToMember(g *router.Group[*client], q *groupQueue, m *session.Message, now Time) bool {
	n := g.Len()
	if n == 0 {
		return false
	}
	var start uint32
	strategy := l.b.options().SharedStrategy
	switch strategy {
	case Random:
		start = l.random()
	case Sticky:
		q.mu.Lock()
		start = q.sticky
		q.mu.Unlock()
	case HashClient:
		start = uint32(m.From*0x9E3779B97F4A7C15>>33) % uint32(n)
	case HashTopic:
		start = hashBytes(m.Topic) % uint32(n)
	default:
		start = g.Next()
	}
	probe := uint32(0)
	if n > groupTries {
		q.mu.Lock()
		probe = q.probe
		q.mu.Unlock()
	}
	l.og.Reset(m, now, false)
	visits, busy := uint32(n), 0
	if probe > 0 {
		visits++ // the one before where the last search ended comes last
	}
	for i := uint32(0); i < visits && busy < groupTries; i++ {
		if i == 1 {
			start += probe // the preferred one first, then where the last search ended
		}
		s, ok := g.Member(start + i)
		if !ok {
			return false
		}
		switch l.deliver(&s, nil, session.NoQueue, g) {
		case session.Refused, session.Gone:
			busy++
			continue
		case session.Forbidden:
			continue
		}
		if strategy == Sticky && i > 0 {
			q.mu.Lock()
			q.sticky = start + i
			q.mu.Unlock()
		}
		return true
	}
	if busy == 0 {
		l.countGroupDrop(session.DropNotAuthorized)
		return true
	}
	if n > groupTries {
		q.mu.Lock()
		q.probe += groupTries - 2 // a round-robin start moves by one itself
		q.mu.Unlock()
	}
	return false
}

// pump moves the group's queue on until it is empty or no member has room.
func (l *Loop) pump(g *router.Group[*client], q *groupQueue, now Time) {
	if q.durable.Load() {
		l.join() // a message goes from the group's records to a member's
		defer l.part()
	}
	q.mu.Lock()
	q.pumped++
	for q.len() > 0 && !q.gone {
		m := q.pop()
		seen := q.pumped
		q.mu.Unlock()
		given := true
		if m.Expired(now) {
			l.countGroupDrop(session.DropExpired)
		} else {
			given = l.giveToMember(g, q, m.Message, now)
		}
		q.mu.Lock()
		if given {
			l.settleWaiting(q, m)
			continue
		}
		if q.gone { // its records are gone, too
			l.countGroupDrop(session.DropGroupGone)
			break
		}
		q.pushFront(m)
		if !q.hungry && g.Len() > groupTries {
			// Somebody beyond those that were asked may have room and never ask for himself.
			q.hungry = true
			l.hungry = append(l.hungry, g)
		}
		if q.pumped == seen {
			break
		}
		// Someone had room while m was in our hands and saw an empty queue: try again.
	}
	q.mu.Unlock()
}

// feedHungry tries again where not every member was asked.
func (l *Loop) feedHungry(now Time) {
	list := l.hungry
	l.hungry = nil
	for _, g := range list {
		q := queueOf(g)
		q.mu.Lock()
		q.hungry = false
		q.mu.Unlock()
		l.pump(g, q, now)
	}
}

// redispatch gives a message back to its group because its member will not finish it.
func (l *Loop) redispatch(r session.Redispatch, now Time) {
	g := r.Group.(*router.Group[*client])
	if g.Len() == 0 {
		l.countGroupDrop(session.DropGroupGone)
		return
	}
	l.dispatch(g, r.Message, false, now)
}

// slotFree lets what waits for c, beyond its own queue, go on: queues of its groups and retained replays.
func (l *Loop) slotFree(c *client, now Time) {
	c.mu.Lock()
	x := c.extra
	if x == nil {
		c.mu.Unlock()
		return
	}
	l.memberOf = append(l.memberOf[:0], x.groups...)
	if len(x.replays) > 0 && !x.replaying && c.conn != nil && int(c.conn.owner) == l.index {
		x.replaying = true
		l.replays = append(l.replays, c)
	}
	c.mu.Unlock()
	for i := 0; i < len(l.memberOf); i++ {
		if a := l.memberOf[i].Attachment(); a != nil {
			l.pump(l.memberOf[i], a.(*groupQueue), now)
		}
	}
	clear(l.memberOf)
}

func (b *Broker) groupOf(ch *session.Change) *router.Group[*client] {
	if ch.Group == "" {
		return nil
	}
	return b.router.Group(ch.Group, ch.Filter)
}

func (l *Loop) joinGroup(c *client, g *router.Group[*client], now Time) {
	if g == nil {
		return // left again already
	}
	c.mu.Lock()
	x := c.more()
	for _, have := range x.groups {
		if have == g {
			c.mu.Unlock()
			return
		}
	}
	x.groups = append(x.groups, g)
	c.mu.Unlock()
	q := queueOf(g)
	if c.resumable.Load() {
		q.durable.Store(true)
	}
	l.pump(g, q, now)
}

func (l *Loop) leaveGroup(c *client, g *router.Group[*client]) {
	c.mu.Lock()
	if x := c.extra; x != nil {
		for i, have := range x.groups {
			if have == g {
				x.groups = append(x.groups[:i], x.groups[i+1:]...)
				break
			}
		}
		c.less(l.b.durableUpTo.Load())
	}
	c.mu.Unlock()
	if g.Len() > 0 {
		return
	}
	q := queueOf(g)
	q.mu.Lock()
	n := q.len()
	q.items, q.head, q.bytes, q.gone = nil, 0, 0, true
	if q.id > 0 {
		l.appendOne(session.Record{Kind: session.SessionDelete, Session: q.id})
	}
	q.mu.Unlock()
	l.stats.drops[session.DropGroupGone] += uint64(n)
}

// random is a small generator for Strategy Random; seeded by the loop's index so that a simulation repeats.
func (l *Loop) random() uint32 {
	l.seed ^= l.seed << 13
	l.seed ^= l.seed >> 7
	l.seed ^= l.seed << 17
	return uint32(l.seed >> 32)
}

func hashBytes(b []byte) uint32 {
	h := uint32(2166136261)
	for _, x := range b {
		h = (h ^ uint32(x)) * 16777619
	}
	return h ^ h>>15
}

package broker

import (
	"errors"
	"fmt"
	"sync"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// Restore brings back what the store holds: parked sessions with their subscriptions, retained messages, queues of shared
// subscriptions. Called once, after the loops are made and before the first of them runs. What ran out while the
// broker was down ends at the first Tick.
func (b *Broker) Restore(now Time) error {
	if b.store == nil {
		return nil
	}
	for _, l := range b.loops {
		l.startTimers(now)
	}
	sessions, filters := b.store.Estimate()
	b.registry.reserve(sessions)
	b.router.Reserve(filters)
	var mu sync.Mutex
	var parts []*restorer
	err := b.store.Load(func() func(session.Record) error {
		r := &restorer{b: b, now: now}
		mu.Lock()
		parts = append(parts, r)
		mu.Unlock()
		return r.visit
	})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	for _, r := range parts {
		r.endSession()
	}
	for _, r := range parts {
		b.loops[0].stats.queued += int64(r.queued)
		b.loops[0].stats.queuedBytes += int64(r.queuedBytes)
		for _, q := range r.groups {
			b.restoreGroup(q)
		}
	}
	return nil
}

// restorer takes the records of one part of the store.
type restorer struct {
	b      *Broker
	now    Time
	client *client // whose records come now, or
	group  *restoredGroup
	state  *session.State
	groups []*restoredGroup

	queued, queuedBytes int
}

// restoredGroup is the queue of a shared subscription. Its members may come later.
type restoredGroup struct {
	name string
	id   uint64
	msgs []groupMessage
}

func (r *restorer) visit(rec session.Record) error {
	switch {
	case rec.Kind == session.SessionPut:
		r.endSession()
		r.beginSession(&rec)
		return nil
	case rec.Kind == session.RetainedPut:
		r.b.retained.set(rec.Message)
		return nil
	case r.group != nil && r.group.id == rec.Session && rec.Kind == session.QueuePut && rec.Message != nil:
		r.group.msgs = append(r.group.msgs, groupMessage{rec.Message, rec.Seq})
		return nil
	case r.client != nil && r.client.s.ID == rec.Session:
		return r.clientRecord(&rec)
	}
	return errors.New("record of a session that is not there")
}

func (r *restorer) beginSession(rec *session.Record) {
	b := r.b
	atomicMax(&b.nextID, rec.Session)
	r.state = rec.State
	if rec.State.Group != "" {
		r.group = &restoredGroup{name: rec.State.Group, id: rec.Session}
		r.groups = append(r.groups, r.group)
		return
	}
	c := &client{}
	session.Restore(&b.options().Session, &c.s, rec.Session, rec.State, r.now)
	c.resumable.Store(true)
	sh, hash := b.registry.shard(rec.State.ClientID)
	sh.mu.Lock()
	sh.put(hash, c)
	sh.mu.Unlock()
	b.sessions.Add(1)
	r.client = c
}

func (r *restorer) clientRecord(rec *session.Record) error {
	c := r.client
	ch, ok := c.s.RestoreRecord(rec, r.now)
	if !ok {
		return nil
	}
	if _, err := r.b.router.Subscribe(ch.Group, ch.Filter, c, routerOptions(ch.Options)); err != nil {
		return fmt.Errorf("subscription %q: %w", ch.Filter, err)
	}
	if g := r.b.groupOf(&ch); g != nil {
		c.more().groups = append(c.more().groups, g)
		queueOf(g).durable.Store(true)
	}
	return nil
}

func (r *restorer) endSession() {
	if c := r.client; c != nil {
		c.s.RestoreDone(r.state)
		messages, bytes := c.s.Queued()
		r.queued += messages
		r.queuedBytes += bytes
		l := r.b.loops[int(c.s.ID)%len(r.b.loops)]
		c.owner.Store(int32(l.index))
		l.park(c)
	}
	r.client, r.group = nil, nil
}

// restoreGroup gives a group back what waited for its members, or forgets it if there are none any more.
func (b *Broker) restoreGroup(r *restoredGroup) {
	name, filter, _, _ := codec.SplitShare([]byte(r.name))
	g := b.router.Group(string(name), string(filter))
	if g == nil {
		b.loops[0].appendOne(session.Record{Kind: session.SessionDelete, Session: r.id})
		return
	}
	q := queueOf(g)
	q.id = r.id
	for _, m := range r.msgs {
		q.seq = m.seq
		q.push(m)
	}
}

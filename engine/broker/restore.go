package broker

import (
	"errors"
	"fmt"

	"github.com/gannetmq/gannet/engine/session"
)

// Restore brings back what the store holds: parked sessions with their subscriptions and queues, and retained messages. Called once,
// after the loops are made and before the first of them runs. What ran out while the broker was down ends at the first Tick.
func (b *Broker) Restore(now Time) error {
	if b.store == nil {
		return nil
	}
	var c *client
	var state *session.State
	done := func() {
		if c == nil {
			return
		}
		c.s.RestoreDone(state)
		l := b.loops[int(c.s.ID)%len(b.loops)]
		c.owner.Store(int32(l.index))
		l.startTimers(now)
		l.park(c, now)
		c = nil
	}
	err := b.store.Load(func(r session.Record) error {
		switch {
		case r.Kind == session.SessionPut:
			done()
			c, state = &client{parkLoop: -1}, r.State
			session.Restore(&b.opts.Session, &c.s, r.Session, r.State, now)
			c.resumable.Store(true)
			b.registry.shard(r.State.ClientID).m[r.State.ClientID] = c
			b.sessions.Add(1)
			b.nextID.Store(max(b.nextID.Load(), r.Session))
		case r.Kind == session.RetainedPut:
			done()
			b.retained.set(r.Message)
		case c == nil || c.s.ID != r.Session:
			return errors.New("record of a session that is not there")
		default:
			ch, ok := c.s.RestoreRecord(&r, now)
			if !ok {
				break
			}
			if _, err := b.router.Subscribe(ch.Group, ch.Filter, c, routerOptions(ch.Options)); err != nil {
				return fmt.Errorf("subscription %q: %w", ch.Filter, err)
			}
			if g := b.groupOf(&ch); g != nil {
				c.more().groups = append(c.more().groups, g)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	done()
	return nil
}

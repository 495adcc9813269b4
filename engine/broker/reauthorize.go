package broker

import (
	"sync"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// The rules have changed: what clients may receive is judged at each delivery, but their subscriptions are there already. Each loop goes
// through the sessions it owns, connected and parked, a few each turn, and takes away what is not allowed any more. A session that
// changes its loop meanwhile is looked at when its new connection resumes it (session.Connect).

// reviewBatch bounds what a loop does of a review in one turn. A session counts one, eight of its subscriptions one more, and a shard
// of the registry as much as a session: about 200 us, measured with 100 000 sessions.
const reviewBatch = 64

// review is one loop's way through the registry. Owned by the loop, but for what reviews.mu guards.
type review struct {
	asked   bool      // guarded by reviews.mu: posted to the loop, which has not begun yet
	running bool      // guarded by reviews.mu
	active  bool      // what the owner knows of running
	shard   int       // of the registry, the next to be listed
	batch   []*client // of the last one, still to be visited
	stays   Stays
}

// Stays tells whether a connected client may stay: a code of 0x80 or above, which fits a DISCONNECT, has it disconnected. tag is that of the
// session.Access which it came by. It is called on event loops, several at a time, and must not block.
type Stays func(who *session.Credentials, tag any) codec.ReasonCode

// reviews is what the loops have done together. One line in the log tells of it when the last of them is done.
type reviews struct {
	mu       sync.Mutex
	loops    int // that are asked or running
	sessions int
	revoked  int
	removed  int   // clients that might not stay
	stays    Stays // nil: all do
}

// Reauthorize makes every session's subscriptions be judged anew by the Authorizer it has, which may answer otherwise than before. What
// is not allowed any more is removed, as by an UNSUBSCRIBE; connections stay. It returns at once, and the work goes on between that of
// clients. Called on any goroutine; a call while an earlier one is at work begins again.
func (b *Broker) Reauthorize() { b.Review(nil) }

// Review is Reauthorize, and asks about each connected client, too, whether it stays; nil: all do.
func (b *Broker) Review(stays Stays) {
	b.reviews.mu.Lock()
	defer b.reviews.mu.Unlock()
	if earlier := b.reviews.stays; b.reviews.loops > 0 && earlier != nil && stays != nil {
		latest := stays
		stays = func(who *session.Credentials, tag any) codec.ReasonCode {
			return max(earlier(who, tag), latest(who, tag))
		}
	} else if b.reviews.loops > 0 && stays == nil {
		stays = earlier
	}
	b.reviews.stays = stays
	for _, l := range b.loops {
		if l.review.asked {
			continue
		}
		l.review.asked = true
		if !l.review.running {
			b.reviews.loops++
		}
		l.box.post(item{kind: itemCall, call: l.beginReview})
	}
}

func (l *Loop) beginReview() {
	r := &l.review
	l.b.reviews.mu.Lock()
	r.asked, r.running, r.stays = false, true, l.b.reviews.stays
	l.b.reviews.mu.Unlock()
	clear(r.batch)
	r.active, r.shard, r.batch = true, 0, r.batch[:0]
}

// continueReview does the share of one turn.
func (l *Loop) continueReview(now Time) {
	r, sessions, revoked, removed := &l.review, 0, 0, 0
	for work := 0; work < reviewBatch; work++ {
		if len(r.batch) == 0 {
			if r.shard == len(l.b.registry.shards) {
				r.active, r.batch, r.stays = false, nil, nil
				break
			}
			r.batch = l.b.registry.appendOwned(r.batch, r.shard, int32(l.index))
			r.shard++
			continue
		}
		last := len(r.batch) - 1
		c := r.batch[last]
		r.batch[last], r.batch = nil, r.batch[:last]
		if r.stays != nil && !l.mayStay(c, now) {
			removed++
		}
		subscriptions, gone := l.reauthorize(c, now)
		work += subscriptions / 8
		sessions++
		revoked += gone
	}
	l.endReview(sessions, revoked, removed)
}

// mayStay asks about a client of this loop, and disconnects it if it may not.
func (l *Loop) mayStay(c *client, now Time) bool {
	c.mu.Lock()
	cn := c.conn
	if cn == nil || int(cn.owner) != l.index {
		c.mu.Unlock()
		return true
	}
	who, tag := c.s.Present()
	c.mu.Unlock()
	who.Addr = cn.t.RemoteAddr()
	code := l.review.stays(&who, tag)
	if code < codec.UnspecifiedError {
		return true
	}
	l.disconnect(cn, code, "not admitted any more", now)
	return false
}

// endReview adds up what a turn did, and ends the review if it was its last.
func (l *Loop) endReview(sessions, revoked, removed int) {
	all := &l.b.reviews
	all.mu.Lock()
	defer all.mu.Unlock()
	all.sessions += sessions
	all.revoked += revoked
	all.removed += removed
	if l.review.active {
		return
	}
	l.review.running = false
	if l.review.asked { // again, meanwhile
		return
	}
	if all.loops--; all.loops == 0 {
		l.b.log.Info("clients held against the rules in force", "sessions", all.sessions, "subscriptions-removed", all.revoked, "clients-disconnected", all.removed)
		all.sessions, all.revoked, all.removed, all.stays = 0, 0, 0, nil
	}
}

// reauthorize visits one session, if it is still this loop's. It tells how many subscriptions it had and how many were removed.
func (l *Loop) reauthorize(c *client, now Time) (subscriptions, revoked int) {
	out := &l.lost
	out.Reset()
	c.mu.Lock()
	if c.s.Ended() || c.owner.Load() != int32(l.index) {
		c.mu.Unlock()
		return 0, 0
	}
	cn := c.conn
	subscriptions = c.s.Subscriptions()
	l.begin(c, out)
	c.s.Reauthorize(out)
	l.end(c, out)
	c.mu.Unlock()
	if revoked = out.Revoked; revoked == 0 {
		return subscriptions, 0
	}
	l.act(cn, c, out, now)
	if cn == nil { // another loop may have taken it over since, as in applyChanges
		for i := range out.Changes {
			l.agree(c, &out.Changes[i], now)
		}
	}
	if l.b.tells() {
		l.b.tell("subscriptions not allowed any more", "client", c.s.ClientID(), "removed", revoked)
	}
	return subscriptions, revoked
}

package broker

import (
	"sync"
	"sync/atomic"

	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/router"
)

// itemKind says what an item asks of the loop it is posted to.
type itemKind uint8

const (
	itemDirty   itemKind = iota // write the outbound buffer of client
	itemClose                   // conn is displaced: write last and close it
	itemPublish                 // route msg
	itemHold                    // client waits for the store and belongs to this loop now
	itemReplay                  // client has retained messages to be sent and belongs to this loop now
	itemLoaded                  // the store has read for client, which belongs to this loop
	itemVerdict                 // the Authenticator has judged conn
	itemCall                    // call
)

type item struct {
	kind   itemKind
	client *client
	conn   *Conn
	last   *bytebufferpool.ByteBuffer // what conn is still to write; nil for nothing
	msg    *session.Message
	loaded *loaded
	call   func()
	// verdict is a pointer to keep the item small.
	verdict *session.Verdict
}

// fanout is one message for some subscribers of the loop in whose mailbox it is.
type fanout struct {
	msg  *session.Message
	subs []router.Match[*client]
	ids  []uint32 // Subscription Identifiers for the only one in subs, where several subscriptions were joined
}

// size is what a fan-out keeps alive, about.
func (f *fanout) size() int64 { return int64(128 + f.msg.Size() + 40*len(f.subs) + 4*len(f.ids)) }

// maxFanoutBytes bounds the fan-outs that wait in one mailbox. A loop that has handed over more delivers the oldest of them
// itself: who is faster than his neighbour does his neighbour's work.
const maxFanoutBytes = 4 << 20

// mailbox is how other loops and goroutines reach a loop. The owner takes everything at once. Its length is bounded by
// what posts: one dirty item per client, one close per connection, and maxFanoutBytes of fan-outs.
type mailbox struct {
	mu    sync.Mutex
	items []item
	spare []item
	armed bool        // wake was called and take has not run since
	busy  atomic.Bool // the owner is in a turn and will look here before it rests: no need to wake it
	wake  func()

	fanouts   atomic.Int32 // posted and not yet delivered
	wide      []fanout     // those not yet taken, under mu
	wideBytes atomic.Int64 // what they keep alive
	serving   sync.Mutex   // held while one is delivered, so that whoever delivers keeps their order; before a client's lock

	nudged  bool        // something to do that is no item: a ticket became durable
	waiting atomic.Bool // clients hold acknowledgements until the store is durable
}

func (m *mailbox) post(it item) {
	m.mu.Lock()
	m.items = append(m.items, it)
	m.wakeLocked()
}

func (m *mailbox) postFanout(f fanout) {
	m.fanouts.Add(1)
	m.wideBytes.Add(f.size())
	m.mu.Lock()
	m.wide = append(m.wide, f)
	m.wakeLocked()
}

// takeFanout takes the oldest fan-out. Caller holds serving until it is delivered.
func (m *mailbox) takeFanout() (f fanout, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if ok = len(m.wide) > 0; ok {
		f, m.wide[0] = m.wide[0], fanout{}
		if m.wide = m.wide[1:]; len(m.wide) == 0 {
			m.wide = nil
		}
		m.wideBytes.Add(-f.size())
	}
	return f, ok
}

// wakeLocked ends a post: it unlocks, and wakes the owner if it rests and nobody did so yet.
func (m *mailbox) wakeLocked() {
	first := !m.armed && !m.busy.Load()
	m.armed = m.armed || first
	m.mu.Unlock()
	if first {
		m.wake()
	}
}

// postDirty posts a batch of clients with one lock and one wake-up.
func (m *mailbox) postDirty(cs []*client) {
	m.mu.Lock()
	for _, c := range cs {
		m.items = append(m.items, item{kind: itemDirty, client: c})
	}
	m.wakeLocked()
}

// empty tells whether nothing waits.
func (m *mailbox) empty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items) == 0 && len(m.wide) == 0 && !m.nudged
}

// take returns what was posted; the caller hands the slice back with done.
func (m *mailbox) take() []item {
	m.mu.Lock()
	items := m.items
	m.items, m.spare = m.spare[:0], nil
	m.armed, m.nudged = false, false
	m.mu.Unlock()
	return items
}

func (m *mailbox) done(items []item) {
	clear(items)
	if cap(items) > 1<<16 {
		return
	}
	m.mu.Lock()
	if m.spare == nil {
		m.spare = items[:0]
	}
	m.mu.Unlock()
}

func (m *mailbox) wakeIfWaiting() {
	if !m.waiting.Load() {
		return
	}
	m.mu.Lock()
	m.nudged = true
	m.wakeLocked()
}

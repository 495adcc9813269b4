package persist

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// loader is one goroutine of Load.
type loader struct {
	p         *Pebble
	visit     func(session.Record) error
	cold, hot *pebble.Iterator
	messages  messageReader
	orphans   *pebble.Batch
	refs      refCounts         // what writer.refs gets
	queues    map[uint64]*queue // what writer.queues gets
	n         Loaded            // not yet counted
	key, end  []byte            // scratch
}

// run loads part after part.
func (l *loader) run(parts []part, next *atomic.Int64) (err error) {
	defer recoverFatal(&err)
	defer func() { l.p.count(l.n) }()
	l.orphans = l.p.db.NewBatch()
	defer closeInto(&err, l.orphans)
	if l.cold, err = l.p.db.NewIter(nil); err != nil {
		return err
	}
	defer closeInto(&err, l.cold)
	if l.hot, err = l.p.db.NewIter(nil); err != nil {
		return err
	}
	defer closeInto(&err, l.hot)
	l.messages.p = l.p
	defer closeInto(&err, &l.messages)
	for {
		i := next.Add(1) - 1
		if i >= int64(len(parts)) {
			return l.p.db.Apply(l.orphans, pebble.NoSync) // durable with the first thing that is
		}
		if parts[i].lower != nil {
			err = l.retained(parts[i].lower, parts[i].upper)
		} else {
			err = l.sessions(parts[i].first, parts[i].last)
		}
		if err != nil {
			return err
		}
	}
}

// visited counts, now and then for all to see.
func (l *loader) visited(c *int) {
	if *c++; *c%1024 == 0 {
		l.p.count(l.n)
		l.n = Loaded{}
	}
}

// seek puts it before all keys of the sessions from first to last.
func (l *loader) seek(it *pebble.Iterator, prefix byte, first, last uint64) {
	lower, upper := appendNumberKey(nil, prefix, first), []byte{prefix + 1}
	if first == 0 {
		lower = []byte{prefix}
	}
	if last != math.MaxUint64 {
		upper = appendNumberKey(nil, prefix, last+1)
	}
	it.SetBounds(lower, upper)
	it.First()
}

func (l *loader) sessions(first, last uint64) error {
	l.seek(l.cold, prefixSession, first, last)
	l.seek(l.hot, prefixHot, first, last)
	for l.cold.Valid() {
		sid, ok := keyNumber(l.cold.Key())
		if !ok {
			return badKey(l.cold.Key())
		}
		if len(l.cold.Key()) > numberKeySize {
			l.cold.Next() // of a session that is not there
			continue
		}
		if err := l.session(sid); err != nil {
			return err
		}
		l.visited(&l.n.Sessions)
	}
	if err := l.cold.Error(); err != nil {
		return err
	}
	return l.dropOrphans(last, true)
}

func (l *loader) session(sid uint64) error {
	value, err := l.cold.ValueAndErr()
	if err != nil {
		return err
	}
	st, err := parseState(value)
	if err != nil {
		return fmt.Errorf("session %d: %w", sid, err)
	}
	if err := l.visit(session.Record{Kind: session.SessionPut, Session: sid, State: st}); err != nil {
		return err
	}
	will, err := l.subscriptions(sid)
	if err != nil {
		return err
	}
	if err := l.dropOrphans(sid, false); err != nil {
		return err
	}
	if err := l.queue(sid, newWindow(l.p.opts.Window, st)); err != nil {
		return err
	}
	if will == nil {
		return nil
	}
	l.n.Wills++
	return l.visit(session.Record{Kind: session.WillPut, Session: sid, Will: will})
}

// subscriptions visits the rest of the cold half, but for the will, which comes last and is returned.
func (l *loader) subscriptions(sid uint64) (will *session.Will, err error) {
	for l.cold.Next() {
		key := l.cold.Key()
		if n, ok := keyNumber(key); !ok || n != sid {
			return will, nil
		}
		value, err := l.cold.ValueAndErr()
		if err != nil {
			return nil, err
		}
		switch rest := key[numberKeySize:]; {
		case rest[0] == coldSubscription:
			r := session.Record{Kind: session.SubscriptionPut, Session: sid, Filter: string(rest[1:])}
			if r.Options, err = parseOptions(value); err != nil {
				return nil, fmt.Errorf("session %d: filter %q: %w", sid, r.Filter, err)
			}
			if err := l.visit(r); err != nil {
				return nil, err
			}
			l.n.Subscriptions++
		case rest[0] == coldWill && len(rest) == 1:
			if will, err = parseWill(value); err != nil {
				return nil, fmt.Errorf("session %d: %w", sid, err)
			}
		default:
			return nil, badKey(key)
		}
	}
	return will, l.cold.Error()
}

// dropOrphans deletes what the hot half has before a session, or up to it with including: there is no session for it.
func (l *loader) dropOrphans(sid uint64, including bool) error {
	if !l.hot.Valid() {
		return l.hot.Error()
	}
	first, ok := keyNumber(l.hot.Key())
	if !ok {
		return badKey(l.hot.Key())
	}
	if first > sid || first == sid && !including {
		return nil
	}
	l.key = appendNumberKey(l.key[:0], prefixHot, first)
	switch {
	case !including:
		l.end = appendNumberKey(l.end[:0], prefixHot, sid)
	case sid == math.MaxUint64:
		l.end = append(l.end[:0], prefixHot+1)
	default:
		l.end = appendNumberKey(l.end[:0], prefixHot, sid+1)
	}
	l.n.Orphans++
	l.hot.SeekGE(l.end)
	return l.orphans.DeleteRange(l.key, l.end, nil)
}

// queue visits the hot half.
func (l *loader) queue(sid uint64, w window) error {
	for l.hot.Valid() {
		key := l.hot.Key()
		n, ok := keyNumber(key)
		if !ok || len(key) < receivedKeySize {
			return badKey(key)
		}
		if n != sid {
			return nil
		}
		switch {
		case isChunkKey(key):
			if err := l.chunk(sid, &w); err != nil {
				return sessionError(sid, err)
			}
			continue
		case key[numberKeySize] == hotReceived && len(key) == receivedKeySize:
			l.n.Received++
			if err := l.visit(session.Record{Kind: session.ReceivedPut, Session: sid, ID: binary.BigEndian.Uint16(key[numberKeySize+1:])}); err != nil {
				return err
			}
		default:
			return badKey(key)
		}
		l.hot.Next()
	}
	return l.hot.Error()
}

// chunk visits what is owed of the chunk at which the hot half stands, and moves on.
func (l *loader) chunk(sid uint64, w *window) error {
	c, err := nextChunk(l.hot)
	if err != nil {
		return err
	}
	x := chunk{first: c.first}
	for r, o := range c.deliveries(&err) {
		x.owed++
		if o.id != 0 {
			l.refs.add(o.id, 1)
		}
		if w.next(r.Seq) {
			if err := l.messages.fill(r, o); err != nil {
				return err
			}
		}
		l.visited(&l.n.Queued)
		if err := l.visit(*r); err != nil {
			return err
		}
	}
	if x.span = uint16(c.last - c.first); err == nil && x.owed > 0 {
		l.keep(sid, x, c.marks)
	}
	return err
}

// keep lets the committer know of a chunk.
func (l *loader) keep(sid uint64, c chunk, m *marks) {
	q := l.queues[sid]
	if q == nil {
		q = &queue{sid: sid}
		l.queues[sid] = q
	}
	if m != nil {
		q.marks = append(q.marks, m)
		c.marks = uint32(len(q.marks))
	}
	q.chunks = append(q.chunks, c)
}

func (l *loader) retained(lower, upper []byte) error {
	l.cold.SetBounds(lower, upper)
	for l.cold.First(); l.cold.Valid(); l.cold.Next() {
		value, err := l.cold.ValueAndErr()
		if err != nil {
			return err
		}
		m, err := parseMessage(value)
		if err != nil {
			return fmt.Errorf("retained %q: %w", l.cold.Key()[1:], err)
		}
		if err := l.visit(session.Record{Kind: session.RetainedPut, Message: m}); err != nil {
			return err
		}
		l.visited(&l.n.Retained)
	}
	return l.cold.Error()
}

// window tells which deliveries of a session come with their message.
type window struct {
	all  bool
	left int    // the next ones
	upTo uint64 // those with a sequence number up to it
}

// newWindow: what may have been sent has to be there when the client is back. If it was parked in good order, it is known how far
// that goes, else it is as much as there can be in flight.
func newWindow(size int, st *session.State) window {
	switch {
	case size <= 0 || st.Group != "":
		return window{all: true}
	case st.Connected:
		return window{left: size}
	}
	return window{upTo: st.SentUpTo}
}

// next tells of the next delivery of the session.
func (w *window) next(seq uint64) bool {
	w.left--
	return w.all || w.left >= 0 || seq <= w.upTo
}

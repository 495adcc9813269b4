package persist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
	"weak"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// Loaded counts what Load visited.
type Loaded struct {
	Sessions, Subscriptions, Queued, Received, Wills, Retained int

	Shared int // messages that several of the Queued have in common
	Swept  int // shared messages that nobody was owed any more
}

// Loaded returns what Load visited, so far or in all.
func (p *Pebble) Loaded() Loaded { return p.loaded }

// Load visits what is stored; see broker.Store. Only one session is held in memory at a time, with what visit keeps.
// An error of visit ends it and is returned as it is.
func (p *Pebble) Load(visit func(session.Record) error) (err error) {
	defer recoverFatal(&err)
	l := loader{p: p, visit: visit, messages: make(map[uint64]weak.Pointer[session.Message]), nextLine: time.Now().Add(time.Second)}
	if l.cold, err = l.iterate(prefixSession); err != nil {
		return err
	}
	defer closeInto(&err, l.cold)
	if l.hot, err = l.iterate(prefixHot); err != nil {
		return err
	}
	defer closeInto(&err, l.hot)
	if err := l.sessions(); err != nil {
		return err
	}
	if err := l.retained(); err != nil {
		return err
	}
	return l.sweep()
}

// loader walks the two halves of the sessions in step.
type loader struct {
	p         *Pebble
	visit     func(session.Record) error
	cold, hot *pebble.Iterator
	messages  map[uint64]weak.Pointer[session.Message] // shared ones, as long as visit keeps them
	nextLine  time.Time
}

// iterate returns an iterator at the first key with a prefix.
func (l *loader) iterate(prefix byte) (*pebble.Iterator, error) {
	it, err := l.p.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err == nil {
		it.First()
	}
	return it, err
}

func (l *loader) sessions() error {
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
		l.p.loaded.Sessions++
		l.progress()
	}
	return l.cold.Error()
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
	if err := l.queue(sid); err != nil {
		return err
	}
	if will == nil {
		return nil
	}
	l.p.loaded.Wills++
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
			l.p.loaded.Subscriptions++
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

// queue visits the hot half. Entries of sessions that are not there are passed over.
func (l *loader) queue(sid uint64) error {
	if l.hot.Valid() && bytes.Compare(l.hot.Key(), appendNumberKey(nil, prefixHot, sid)) < 0 {
		l.hot.SeekGE(appendNumberKey(nil, prefixHot, sid))
	}
	for ; l.hot.Valid(); l.hot.Next() {
		key := l.hot.Key()
		n, ok := keyNumber(key)
		if !ok || len(key) < receivedKeySize {
			return badKey(key)
		}
		if n != sid {
			return nil
		}
		r := session.Record{Session: sid}
		switch {
		case key[numberKeySize] == hotQueue && len(key) == queueKeySize:
			r.Kind, r.Seq = session.QueuePut, parseQueueKey(key)
			if err := l.owed(&r); err != nil {
				return fmt.Errorf("session %d: delivery %d: %w", sid, r.Seq, err)
			}
			l.p.loaded.Queued++
		case key[numberKeySize] == hotQueue && len(key) == releasedKeySize:
			r.Kind, r.Seq = session.QueueRelease, parseQueueKey(key)
			l.p.w.releasing[deliveryKey{sid, r.Seq}] = struct{}{}
			l.p.loaded.Queued++
		case key[numberKeySize] == hotReceived && len(key) == receivedKeySize:
			r.Kind, r.ID = session.ReceivedPut, binary.BigEndian.Uint16(key[numberKeySize+1:])
			l.p.loaded.Received++
		default:
			return badKey(key)
		}
		if err := l.visit(r); err != nil {
			return err
		}
	}
	return l.hot.Error()
}

// owed fills r from the value of a queue entry.
func (l *loader) owed(r *session.Record) error {
	value, err := l.hot.ValueAndErr()
	if err != nil {
		return err
	}
	id, inline, err := parseOwed(value, r)
	if err != nil {
		return err
	}
	if id == 0 {
		if r.Message, err = parseMessage(inline); err == nil {
			r.Message.StoreID = storedInline
		}
		return err
	}
	l.p.w.refs[id]++
	r.Message, err = l.message(id)
	return err
}

// message returns a shared message, the same one for all who are owed it if it is still in use.
func (l *loader) message(id uint64) (*session.Message, error) {
	if m := l.messages[id].Value(); m != nil {
		return m, nil
	}
	value, closer, err := l.p.db.Get(appendNumberKey(nil, prefixMessage, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("message %d is not in the store", id)
	} else if err != nil {
		return nil, err
	}
	m, err := parseMessage(value)
	if err = errors.Join(err, closer.Close()); err != nil {
		return nil, err
	}
	m.StoreID = id
	l.messages[id] = weak.Make(m)
	return m, nil
}

func (l *loader) retained() (err error) {
	it, err := l.iterate(prefixRetained)
	if err != nil {
		return err
	}
	defer closeInto(&err, it)
	for ; it.Valid(); it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		m, err := parseMessage(value)
		if err != nil {
			return fmt.Errorf("retained %q: %w", it.Key()[1:], err)
		}
		if err := l.visit(session.Record{Kind: session.RetainedPut, Message: m}); err != nil {
			return err
		}
		l.p.loaded.Retained++
		l.progress()
	}
	return nil
}

// sweep deletes shared messages that nobody is owed: what a session that ended was owed while its keys were dropped,
// if the process ended before it was counted.
func (l *loader) sweep() (err error) {
	l.p.loaded.Shared = len(l.p.w.refs)
	it, err := l.iterate(prefixMessage)
	if err != nil {
		return err
	}
	b := l.p.db.NewBatch()
	defer closeInto(&err, b)
	defer closeInto(&err, it)
	for ; it.Valid(); it.Next() {
		id, ok := keyNumber(it.Key())
		if !ok {
			return badKey(it.Key())
		}
		if l.p.w.refs[id] > 0 {
			continue
		}
		l.p.loaded.Swept++
		if err := b.SingleDelete(it.Key(), nil); err != nil {
			return err
		}
	}
	return l.p.db.Apply(b, pebble.NoSync)
}

// progress says every second how far it is.
func (l *loader) progress() {
	c := &l.p.loaded
	if (c.Sessions+c.Retained)%1024 != 0 {
		return
	}
	if now := time.Now(); now.After(l.nextLine) {
		l.nextLine = now.Add(time.Second)
		l.p.opts.Log.Info("loading the store", "store", l.p.dir, "sessions", c.Sessions, "queued", c.Queued, "retained", c.Retained)
	}
}

// closeInto closes an iterator, whose own error counts as well, or a batch.
func closeInto(err *error, c io.Closer) {
	if e := c.Close(); *err == nil {
		*err = e
	}
}

func badKey(key []byte) error { return fmt.Errorf("key %x: unknown", key) }

package persist

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/gannetmq/gannet/engine/session"
)

// Reading queues while the broker runs.
//
// A session keeps a window of what it is owed in memory, and the rest comes from here, when its socket can take more. Loops must
// not wait for a disk, so reading is the work of a few goroutines of the store. A Read may ask for what was appended a moment
// ago: it waits until that is durable, and the syncer, who knows, moves it from waiting to ready. There is no bound but
// that of the caller, who has one Read at a time for each session.
//
// Read starts at a sequence number and not at the first key of the session: what is before it was deleted, and thousands of
// deletions may still be there to walk over.

// readerCount is how many goroutines read. One that waits for a slow disk shall not stop the other.
const readerCount = 2

var errClosed = errors.New("the store is closed")

// readers are the goroutines that do Reads, and those that wait. Safe for concurrent use.
type readers struct {
	mu      sync.Mutex
	work    sync.Cond
	ready   []waitingRead
	waiting []waitingRead // for their ticket After
	durable uint64
	err     error // not nil: no more is read
}

// Read hands over part of a queue; see broker.Store. done must not block. After a failure or Close it gets an error.
func (p *Pebble) Read(q session.QueueRead, done func([]session.Record, error)) {
	p.readers.add(waitingRead{QueueRead: q, done: done})
}

func (r *readers) add(q waitingRead) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.err != nil: // the readers are gone
		go q.done(nil, r.err)
	case q.After > r.durable:
		r.waiting = append(r.waiting, q)
	default:
		r.ready = append(r.ready, q)
		r.work.Signal()
	}
}

// reached takes note that a ticket is durable.
func (r *readers) reached(ticket uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.durable = ticket
	kept := r.waiting[:0]
	for _, q := range r.waiting {
		if q.After > ticket {
			kept = append(kept, q)
			continue
		}
		r.ready = append(r.ready, q)
		r.work.Signal()
	}
	clear(r.waiting[len(kept):])
	r.waiting = kept
}

// stop lets all that waits, and what comes, end with err.
func (r *readers) stop(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
	r.ready = append(r.ready, r.waiting...)
	r.waiting = nil
	r.work.Broadcast()
}

// next waits for a Read that can be done, or has to fail with err. false: there will be none.
func (r *readers) next() (q waitingRead, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.ready) == 0 {
		if r.err != nil {
			return q, false
		}
		r.work.Wait()
	}
	q = r.ready[0]
	r.ready[0] = waitingRead{}
	r.ready = r.ready[1:]
	q.err = r.err
	return q, true
}

// reader does Reads until the store stops.
func (p *Pebble) reader() {
	var scratch []session.Record // a read does not know how many it will find
	for {
		q, ok := p.readers.next()
		if !ok {
			return
		}
		if q.err != nil {
			q.done(nil, q.err)
			continue
		}
		found, err := p.read(q.QueueRead, scratch[:0])
		if err != nil {
			q.done(nil, classify(p.dir, fmt.Errorf("read a queue: %w", err)))
			scratch = nil
			continue
		}
		q.done(slices.Clone(found), nil)
		clear(found)
		if scratch = found; cap(scratch) > maxScratchRecords {
			scratch = nil
		}
	}
}

// maxScratchRecords is how many deliveries a reader has room for between its reads.
const maxScratchRecords = 2048

// read appends deliveries in order, up to the bounds of q. The chunk that has the first one is the last that begins before or with it.
func (p *Pebble) read(q session.QueueRead, records []session.Record) (_ []session.Record, err error) {
	it, err := p.db.NewIter(chunkBounds(q.Session))
	if err != nil {
		return nil, err
	}
	defer closeInto(&err, it)
	messages := messageReader{p: p}
	defer closeInto(&err, &messages)
	if !it.SeekLT(appendMarksKey(nil, q.Session, q.From)) {
		it.First()
	} else if isMarksKey(it.Key()) {
		it.Prev()
	}
	bytes := 0
	for it.Valid() {
		records, err = messages.chunk(it, q, records, &bytes)
		if err != nil || enough(q, records, bytes) {
			return records, err
		}
	}
	return records, it.Error()
}

// chunk appends what is owed of the chunk at which it stands, and moves on.
func (m *messageReader) chunk(it *pebble.Iterator, q session.QueueRead, records []session.Record, bytes *int) ([]session.Record, error) {
	c, err := nextChunk(it)
	if err != nil {
		return nil, err
	}
	for r, o := range c.deliveries(&err) {
		if r.Seq < q.From {
			continue
		}
		*bytes += r.Bytes
		if err := m.fill(r, o); err != nil {
			return nil, sessionError(q.Session, err)
		}
		if records = append(records, *r); enough(q, records, *bytes) {
			break
		}
	}
	return records, sessionError(q.Session, err)
}

// enough tells whether q has what it asked for. One message is read in any case.
func enough(q session.QueueRead, records []session.Record, bytes int) bool {
	return len(records) >= q.Messages || bytes >= q.Bytes && len(records) > 0
}

func sessionError(sid uint64, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("session %d: %w", sid, err)
}

// messageReader finds the messages of deliveries. It is fast when their ids ascend, as they mostly do along a queue. Close it.
type messageReader struct {
	p   *Pebble
	it  *pebble.Iterator // over messages with a key of their own; nil until it is needed
	key []byte
}

func (m *messageReader) Close() error {
	if m.it == nil {
		return nil
	}
	return m.it.Close()
}

// fill gives a QueuePut its message.
func (m *messageReader) fill(r *session.Record, o owed) (err error) {
	switch {
	case r.Kind == session.QueueRelease:
	case o.id != 0:
		r.Message, err = m.shared(o.id)
	default:
		if r.Message, err = parseMessage(o.inline); err == nil {
			r.Message.StoreID = storedInline
		}
	}
	if r.Bytes = 0; err != nil {
		return fmt.Errorf("delivery %d: %w", r.Seq, err)
	}
	return nil
}

// messageCache has the messages with a key of their own that were read last, so that sessions which drain the same messages
// at the same time share them. Safe for concurrent use.
type messageCache struct {
	mu    sync.Mutex
	slots [cacheSlots]cachedMessage
}

type cachedMessage struct {
	id uint64
	m  *session.Message
}

const (
	cacheSlots     = 16384
	maxCachedBytes = 1 << 10 // of one message: the cache keeps no more than 16 MiB
)

// shared returns a message with a key of its own.
func (m *messageReader) shared(id uint64) (_ *session.Message, err error) {
	c := &m.p.messages
	if found := c.lookUp(id); found != nil {
		return found, nil
	}
	if m.it == nil {
		if m.it, err = m.p.db.NewIter(prefixBounds(prefixMessage)); err != nil {
			return nil, err
		}
	}
	if !m.find(id) {
		if err := m.it.Error(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("message %d is %w", id, errNotThere)
	}
	value, err := m.it.ValueAndErr()
	if err != nil {
		return nil, err
	}
	found, err := parseMessage(value)
	if err != nil {
		return nil, err
	}
	found.StoreID = id
	return c.add(id, found), nil
}

// maxSteps is how many messages it is cheaper to step over than to seek, which goes through all levels of the store.
const maxSteps = 8

// find puts the iterator on a message.
func (m *messageReader) find(id uint64) bool {
	m.key = appendNumberKey(m.key[:0], prefixMessage, id)
	for step := 0; m.it.Valid() && step < maxSteps; step++ {
		switch bytes.Compare(m.it.Key(), m.key) {
		case 0:
			return true
		case 1: // it is further back
			step = maxSteps
		default:
			m.it.Next()
		}
	}
	return m.it.SeekGE(m.key) && bytes.Equal(m.it.Key(), m.key)
}

// getMessage reads a message with a key of its own.
func getMessage(db pebble.Reader, id uint64) (*session.Message, error) {
	value, closer, err := db.Get(appendNumberKey(nil, prefixMessage, id))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, fmt.Errorf("message %d is %w", id, errNotThere)
	} else if err != nil {
		return nil, err
	}
	m, err := parseMessage(value)
	return m, errors.Join(err, closer.Close())
}

func (c *messageCache) lookUp(id uint64) *session.Message {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := &c.slots[id%cacheSlots]; s.id == id {
		return s.m
	}
	return nil
}

// add returns the message to use: m, unless somebody was faster.
func (c *messageCache) add(id uint64, m *session.Message) *session.Message {
	if m.Size() > maxCachedBytes {
		return m
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.slots[id%cacheSlots]
	if s.id == id {
		return s.m
	}
	*s = cachedMessage{id, m}
	return m
}

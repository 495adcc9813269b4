package persist

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gannetmq/gannet/engine/session"
)

// Memory is a store in memory. Safe for concurrent use; the zero value is ready and makes every record durable at
// once. With Manual set before the first Append, records wait for Commit, as they would wait for a disk, and Crash
// loses those that still wait.
type Memory struct {
	Manual bool
	Window int // as in Options

	mu       sync.Mutex
	sessions map[uint64]*stored
	retained map[string]*session.Message
	pending  [][]session.Record // not yet durable; pending[0] has ticket first
	first    uint64
	held     int  // locks of Together that are held
	open     bool // the last batch of pending began under one of them
	reads    []waitingRead

	durable func(ticket uint64)
	refuse  atomic.Bool
	fault   error
}

// waitingRead is a Read that nobody has done yet.
type waitingRead struct {
	session.QueueRead
	done func([]session.Record, error)
	err  error // why it cannot be done
}

// stored is one session as its records describe it.
type stored struct {
	state         *session.State
	subscriptions map[string]session.SubscriptionOptions
	queue         map[uint64]session.Record
	received      map[uint16]bool
	will          *session.Will
}

// Append takes records in order; see broker.Store.
func (m *Memory) Append(records []session.Record) (ticket uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.Manual {
		m.apply(records)
		return 0
	}
	if m.first == 0 {
		m.first = 1
	}
	if last := len(m.pending) - 1; m.open {
		m.pending[last] = append(m.pending[last], records...)
	} else {
		m.pending = append(m.pending, slices.Clone(records))
		m.open = m.held > 0
	}
	return m.first + uint64(len(m.pending)) - 1
}

// Together returns a lock for one loop; see broker.Store. With Manual, what is appended while any is held is one batch, which
// Commit leaves alone until all are released.
func (m *Memory) Together() sync.Locker { return (*memoryGroup)(m) }

type memoryGroup Memory

func (g *memoryGroup) Lock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held++
}

func (g *memoryGroup) Unlock() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held--; g.held == 0 {
		g.open = false
	}
}

// Commit makes up to n waiting batches durable, does the reads that waited for them, tells OnDurable, and returns
// the newest durable ticket, 0 if there was never one.
func (m *Memory) Commit(n int) (ticket uint64) {
	m.mu.Lock()
	closed := len(m.pending)
	if m.open {
		closed--
	}
	n = min(n, closed)
	for _, batch := range m.pending[:n] {
		m.apply(batch)
	}
	m.pending = slices.Delete(m.pending, 0, n)
	m.first += uint64(n)
	ticket = max(m.first, 1) - 1
	var ready []func()
	m.reads = slices.DeleteFunc(m.reads, func(q waitingRead) bool {
		if q.After > ticket {
			return false
		}
		records := m.read(q.QueueRead)
		ready = append(ready, func() { q.done(records, nil) })
		return true
	})
	tell := m.durable
	m.mu.Unlock()
	if tell != nil && n > 0 {
		tell(ticket)
	}
	for _, done := range ready {
		done()
	}
	return ticket
}

// Crash loses what is not durable, and who waited for it. The store goes on with the rest, as after a restart.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending, m.open, m.held, m.reads = nil, false, 0, nil
}

// OnDurable says whom Commit tells; see broker.Store. Who was told before is not any more.
func (m *Memory) OnDurable(tell func(ticket uint64)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.durable = tell
}

// Unavailable is what SetUnavailable said last.
func (m *Memory) Unavailable() bool { return m.refuse.Load() }

// SetUnavailable lets the store be as one with a full disk, which takes what is appended nevertheless.
func (m *Memory) SetUnavailable(yes bool) { m.refuse.Store(yes) }

// Read hands over part of a queue; see broker.Store. It calls done itself if After is durable, else Commit will.
func (m *Memory) Read(q session.QueueRead, done func([]session.Record, error)) {
	m.mu.Lock()
	if q.After >= max(m.first, 1) {
		m.reads = append(m.reads, waitingRead{QueueRead: q, done: done})
		m.mu.Unlock()
		return
	}
	records := m.read(q)
	m.mu.Unlock()
	done(records, nil)
}

// read returns deliveries in order, up to the bounds of q.
func (m *Memory) read(q session.QueueRead) (records []session.Record) {
	s := m.sessions[q.Session]
	if s == nil {
		return nil
	}
	bytes := 0
	for _, seq := range slices.Sorted(maps.Keys(s.queue)) {
		if seq < q.From {
			continue
		}
		r := s.queue[seq]
		records = append(records, r)
		if r.Message != nil {
			bytes += r.Message.Size()
		}
		if len(records) >= q.Messages || bytes >= q.Bytes {
			break
		}
	}
	return records
}

func (m *Memory) apply(records []session.Record) {
	if m.sessions == nil {
		m.sessions = make(map[uint64]*stored)
		m.retained = make(map[string]*session.Message)
	}
	for _, r := range records {
		m.applyOne(r)
	}
}

func (m *Memory) applyOne(r session.Record) {
	switch r.Kind {
	case session.RetainedPut:
		m.retained[string(r.Message.Topic)] = r.Message
		return
	case session.RetainedDelete:
		delete(m.retained, r.Filter)
		return
	case session.SessionDelete:
		delete(m.sessions, r.Session)
		return
	}
	s := m.sessions[r.Session]
	if s == nil {
		s = &stored{
			subscriptions: make(map[string]session.SubscriptionOptions), queue: make(map[uint64]session.Record),
			received: make(map[uint16]bool),
		}
		m.sessions[r.Session] = s
	}
	switch r.Kind {
	case session.SessionPut:
		s.state = r.State
	case session.SubscriptionPut:
		s.subscriptions[r.Filter] = r.Options
	case session.SubscriptionDelete:
		delete(s.subscriptions, r.Filter)
	case session.QueuePut:
		s.queue[r.Seq] = r
	case session.QueueRelease:
		r.Message = nil
		s.queue[r.Seq] = r
	case session.QueueDelete:
		delete(s.queue, r.Seq)
	case session.ReceivedPut:
		s.received[r.ID] = true
	case session.ReceivedDelete:
		delete(s.received, r.ID)
	case session.WillPut:
		s.will = r.Will
	case session.WillDelete:
		s.will = nil
	default:
		panic("persist: record of no known kind")
	}
}

// Estimate counts.
func (m *Memory) Estimate() (sessions, filters int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		filters += len(s.subscriptions)
	}
	return len(m.sessions), filters
}

// Load visits what is durable, as one part; see broker.Store. The order is the same for the same contents.
func (m *Memory) Load(visitor func() func(session.Record) error) error {
	visit := visitor()
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.sessions, func(_ uint64, s *stored) bool { return s.state == nil })
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		if err := m.sessions[id].load(id, m.Window, visit); err != nil {
			return err
		}
	}
	for _, topic := range slices.Sorted(maps.Keys(m.retained)) {
		if err := visit(session.Record{Kind: session.RetainedPut, Message: m.retained[topic]}); err != nil {
			return err
		}
	}
	return nil
}

func (s *stored) load(id uint64, size int, visit func(session.Record) error) error {
	w := newWindow(size, s.state)
	records := []session.Record{{Kind: session.SessionPut, Session: id, State: s.state}}
	for _, filter := range slices.Sorted(maps.Keys(s.subscriptions)) {
		records = append(records, session.Record{Kind: session.SubscriptionPut, Session: id, Filter: filter, Options: s.subscriptions[filter]})
	}
	for _, seq := range slices.Sorted(maps.Keys(s.queue)) {
		r := s.queue[seq]
		if !w.next(seq) && r.Message != nil {
			r.Message, r.Bytes = nil, r.Message.Size()
		}
		records = append(records, r)
	}
	for _, packetID := range slices.Sorted(maps.Keys(s.received)) {
		records = append(records, session.Record{Kind: session.ReceivedPut, Session: id, ID: packetID})
	}
	if s.will != nil {
		records = append(records, session.Record{Kind: session.WillPut, Session: id, Will: s.will})
	}
	for _, r := range records {
		if err := visit(r); err != nil {
			return err
		}
	}
	return nil
}

// Err is what SetErr said last.
func (m *Memory) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fault
}

// SetErr lets the store be as one whose disk is full or broken. Commit goes on to work.
func (m *Memory) SetErr(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = err
	m.refuse.Store(err != nil)
}

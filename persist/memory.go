package persist

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/gannetmq/gannet/engine/session"
)

// Memory is a store in memory. Safe for concurrent use; the zero value is ready and makes every record durable at
// once. With Manual set before the first Append, records wait for Commit, as they would wait for a disk, and Crash
// loses those that still wait.
type Memory struct {
	Manual bool

	mu       sync.Mutex
	sessions map[uint64]*stored
	retained map[string]*session.Message
	pending  [][]session.Record // not yet durable; pending[0] has ticket first
	first    uint64
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
	m.pending = append(m.pending, slices.Clone(records))
	return m.first + uint64(len(m.pending)) - 1
}

// Commit makes up to n waiting batches durable and returns the newest durable ticket, 0 if there was never one.
func (m *Memory) Commit(n int) (ticket uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n = min(n, len(m.pending))
	for _, batch := range m.pending[:n] {
		m.apply(batch)
	}
	m.pending = slices.Delete(m.pending, 0, n)
	m.first += uint64(n)
	return max(m.first, 1) - 1
}

// Crash loses what is not durable. The store goes on with the rest, as after a restart.
func (m *Memory) Crash() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = nil
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

// Load visits what is durable; see broker.Store. The order is the same for the same contents.
func (m *Memory) Load(visit func(session.Record) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		if err := m.sessions[id].load(id, visit); err != nil {
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

func (s *stored) load(id uint64, visit func(session.Record) error) error {
	if s.state == nil {
		return nil // records of a session that ended in a batch that was lost
	}
	records := []session.Record{{Kind: session.SessionPut, Session: id, State: s.state}}
	for _, filter := range slices.Sorted(maps.Keys(s.subscriptions)) {
		records = append(records, session.Record{Kind: session.SubscriptionPut, Session: id, Filter: filter, Options: s.subscriptions[filter]})
	}
	records = append(records, slices.SortedFunc(maps.Values(s.queue), func(a, b session.Record) int { return cmp.Compare(a.Seq, b.Seq) })...)
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

package session

import (
	"slices"
	"sort"
)

// store keeps the records of one client as a Store does: Put replaces, Delete removes. What came under a ticket is on the disk once that
// ticket is durable; a crash loses the rest.
type store struct {
	disk    facts
	pending []promised
	durable uint64
}

// promised is a record on its way to the disk.
type promised struct {
	ticket uint64
	Record
}

// facts are what a store holds of one session.
type facts struct {
	state    *Record
	subs     []Record
	queue    []Record // by sequence number
	received []Record
	will     *Record
}

// append takes records under a ticket; 0 = they are on the disk at once.
func (st *store) append(records []Record, ticket uint64) {
	if ticket == 0 && len(st.pending) > 0 {
		panic("records that are durable at once, after others that are not")
	}
	for _, r := range records {
		if ticket <= st.durable {
			st.disk.apply(r)
		} else {
			st.pending = append(st.pending, promised{ticket, r})
		}
	}
}

// sync makes everything up to ticket durable.
func (st *store) sync(ticket uint64) {
	st.durable = max(st.durable, ticket)
	n := 0
	for n < len(st.pending) && st.pending[n].ticket <= st.durable {
		st.disk.apply(st.pending[n].Record)
		n++
	}
	st.pending = st.pending[n:]
}

func (st *store) crash() { st.pending = nil }

// read answers q. A store may already show what is not yet durable: ahead.
func (st *store) read(q QueueRead, ahead bool) (found []Record) {
	f := facts{state: st.disk.state, queue: slices.Clone(st.disk.queue)}
	if ahead {
		for _, r := range st.pending {
			f.apply(r.Record)
		}
	}
	if f.state == nil || f.state.Session != q.Session {
		return nil
	}
	bytes := 0
	for _, r := range f.queue {
		if r.Seq < q.From || len(found) == q.Messages || bytes > 0 && bytes >= q.Bytes {
			continue
		}
		found = append(found, r)
		if r.Message != nil {
			bytes += r.Message.Size()
		}
	}
	return found
}

func (f *facts) apply(r Record) {
	switch r.Kind {
	case SessionPut:
		f.state = &r
	case SessionDelete:
		*f = facts{}
	case SubscriptionPut:
		f.subs = append(without(f.subs, func(x *Record) bool { return x.Filter == r.Filter }), r)
	case SubscriptionDelete:
		f.subs = without(f.subs, func(x *Record) bool { return x.Filter == r.Filter })
	case QueuePut, QueueRelease:
		if r.Kind == QueueRelease {
			r.Message, r.IDs = nil, nil
		}
		f.queue = append(without(f.queue, func(x *Record) bool { return x.Seq == r.Seq }), r)
		sort.Slice(f.queue, func(i, j int) bool { return f.queue[i].Seq < f.queue[j].Seq })
	case QueueDelete:
		f.queue = without(f.queue, func(x *Record) bool { return x.Seq == r.Seq })
	case ReceivedPut:
		f.received = append(without(f.received, func(x *Record) bool { return x.ID == r.ID }), r)
	case ReceivedDelete:
		f.received = without(f.received, func(x *Record) bool { return x.ID == r.ID })
	case WillPut:
		f.will = &r
	case WillDelete:
		f.will = nil
	default:
		panic("a session does not write records of this kind")
	}
}

func without(rs []Record, drop func(*Record) bool) []Record {
	kept := rs[:0]
	for i := range rs {
		if !drop(&rs[i]) {
			kept = append(kept, rs[i])
		}
	}
	return kept
}

// load restores the session, or returns nil if there is none. With a window >= 0 messages come as stubs where a Store may leave
// them out: beyond the window of a session that was connected, beyond what was sent to one that was not.
func (f *facts) load(cfg *Config, window int, now Time) *Session {
	if f.state == nil {
		return nil
	}
	s, st := &Session{}, f.state.State
	Restore(cfg, s, f.state.Session, st, now)
	all := append([]Record(nil), f.subs...)
	for i, r := range f.queue {
		if window >= 0 && r.Kind == QueuePut && (st.Connected && i >= window || !st.Connected && r.Seq > st.SentUpTo) {
			r.Bytes, r.Message = r.Message.Size(), nil
		}
		all = append(all, r)
	}
	all = append(all, f.received...)
	if f.will != nil {
		all = append(all, *f.will)
	}
	for i := range all {
		c, ok := s.RestoreRecord(&all[i], now)
		if ok != (all[i].Kind == SubscriptionPut) || ok && (c.Remove || c.Replay) {
			panic("a restored subscription is not what the router should know")
		}
	}
	s.RestoreDone(st)
	return s
}

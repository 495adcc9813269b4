package session

import "sort"

// store keeps the records of one session as a Store does: Put replaces, Delete removes.
type store struct {
	state    *Record
	subs     []Record
	queue    []Record
	received []Record
	will     *Record
}

func (st *store) apply(r Record) {
	switch r.Kind {
	case SessionPut:
		st.state = &r
	case SessionDelete:
		*st = store{}
	case SubscriptionPut:
		st.subs = append(without(st.subs, func(x *Record) bool { return x.Filter == r.Filter }), r)
	case SubscriptionDelete:
		st.subs = without(st.subs, func(x *Record) bool { return x.Filter == r.Filter })
	case QueuePut, QueueRelease:
		st.queue = append(without(st.queue, func(x *Record) bool { return x.Seq == r.Seq }), r)
	case QueueDelete:
		st.queue = without(st.queue, func(x *Record) bool { return x.Seq == r.Seq })
	case ReceivedPut:
		st.received = append(without(st.received, func(x *Record) bool { return x.ID == r.ID }), r)
	case ReceivedDelete:
		st.received = without(st.received, func(x *Record) bool { return x.ID == r.ID })
	case WillPut:
		st.will = &r
	case WillDelete:
		st.will = nil
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

// load restores the session, or returns nil if there is none.
func (st *store) load(cfg *Config, id uint64, now Time) *Session {
	if st.state == nil || st.state.Session != id {
		return nil
	}
	s := &Session{}
	Restore(cfg, s, id, st.state.State, now)
	all := append([]Record(nil), st.subs...)
	sort.Slice(st.queue, func(i, j int) bool { return st.queue[i].Seq < st.queue[j].Seq })
	all = append(append(all, st.queue...), st.received...)
	if st.will != nil {
		all = append(all, *st.will)
	}
	for i := range all {
		c, ok := s.RestoreRecord(&all[i], now)
		if ok != (all[i].Kind == SubscriptionPut) || ok && (c.Remove || c.Replay) {
			panic("a restored subscription is not what the router should know")
		}
	}
	s.RestoreDone(st.state.State)
	return s
}

package session

import "fmt"

// Restore makes a session from its SessionPut record. It is parked; a session that was connected when the process
// ended lost its connection at now. The other records of the session go to RestoreRecord, then RestoreDone.
func Restore(cfg *Config, s *Session, id uint64, st *State, now Time) {
	s.Init(cfg, id, st.ClientID)
	s.userName, s.version, s.expiry = st.UserName, st.Version, st.Expiry
	s.phase, s.mark, s.nextSeq, s.stored = parked, st.ExpiresAt, st.SentUpTo+1, true
	if st.Connected && s.expiry != NeverExpires {
		s.mark = now + Seconds(s.expiry)
	}
}

// RestoreRecord takes one record of the session's own, in the order of Store.Load. For a subscription it returns what the
// router has to know.
func (s *Session) RestoreRecord(r *Record, now Time) (Change, bool) {
	switch r.Kind {
	case SubscriptionPut:
		sub := s.addSubscription(r.Filter)
		sub.Options = r.Options
		return sub.change(false, false), true
	case QueuePut, QueueRelease:
		s.nextSeq = max(s.nextSeq, r.Seq+1)
		if r.Kind == QueuePut && r.Message == nil {
			s.extra().backlog.add(r.Seq, deliverySize(r.Bytes, len(r.IDs)))
			break
		}
		e := entry{seq: r.Seq, qos: r.QoS, retain: r.Retain, msg: r.Message, state: awaitsResend}
		e.setIDs(r.IDs)
		if r.Kind == QueueRelease {
			e.qos, e.state, e.msg = 2, awaitsPubcomp, nil
		}
		s.extra().inflight.push(e)
	case ReceivedPut:
		s.extra().received.add(r.ID)
	case WillPut:
		w := *r.Will
		if w.Due == 0 { // it was connected
			w.Due = min(now+Seconds(w.DelaySeconds), s.mark)
		}
		s.will = &w
	default:
		panic(fmt.Sprintf("session: record of kind %d does not belong to a session", r.Kind))
	}
	return Change{}, false
}

// RestoreDone sorts what is owed into what may have been sent, which is resent with DUP, and what waits in the queue, which stays in
// the store.
func (s *Session) RestoreDone(st *State) {
	m := s.more
	if m == nil || m.inflight.n == 0 {
		return
	}
	if st.Connected {
		// The window may have been further on: what the last acknowledgements deleted is back if they were not yet durable. DUP says
		// that something may have been sent, and to leave it out would be wrong [MQTT-3.3.1-1].
		m.sentBelow = s.nextSeq
	}
	// Up to where the client may have seen messages: known when it was parked, else as far as the window reached.
	sent := st.SentUpTo
	if st.Connected {
		sent = m.inflight.at(min(m.inflight.n, int(s.cfg.MaxInflight)) - 1).seq
	}
	m.inflight.each(func(e *entry) {
		if e.state == awaitsPubcomp {
			sent = max(sent, e.seq)
		}
	})
	all := m.inflight
	m.inflight = ring{}
	for all.n > 0 {
		e := all.pop()
		if e.seq <= sent {
			m.inflight.push(e)
		} else {
			m.backlog.add(e.seq, e.size())
		}
	}
}

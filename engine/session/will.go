package session

// Will is a Will Message with its delay [3.1.2.5, 3.1.3.2]. Immutable once made.
type Will struct {
	Message       *Message
	DelaySeconds  uint32 // Will Delay Interval
	HasExpiry     bool
	ExpirySeconds uint32 // Message Expiry Interval, counted from the publication of the will
	Due           Time   // while the session is parked: when the delay is over; 0 while connected
}

// publishWill hands the will to the caller as the application message it becomes, and forgets it [MQTT-3.1.2-10]. What its client may
// no longer publish was all right when it connected, and is given up now.
func (s *Session) publishWill(now Time, out *Output) {
	w := s.will
	s.dropWill(out)
	if !s.mayPublish(w.Message.Topic) {
		out.Drops.add(DropNotAuthorized, 1)
		return
	}
	m := *w.Message // shares the bytes, which are immutable
	m.From = s.ID
	if w.HasExpiry {
		m.Expires = now + Seconds(w.ExpirySeconds)
	}
	// out.Publish lives until Reset only. Who keeps the will gets m instead.
	out.Publish = m
	out.Publish.kept, out.Publish.copy = false, &m
	out.HasPublish = true
}

func (s *Session) dropWill(out *Output) {
	if s.will == nil {
		return
	}
	if s.durable() {
		out.record(Record{Kind: WillDelete, Session: s.ID})
	}
	s.will = nil
}

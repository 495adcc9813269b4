package session

// Will is a Will Message with its delay [3.1.2.5, 3.1.3.2]. Immutable once made.
type Will struct {
	Message       *Message
	DelaySeconds  uint32 // Will Delay Interval
	HasExpiry     bool
	ExpirySeconds uint32 // Message Expiry Interval, counted from the publication of the will
	Due           Time   // while the session is parked: when the delay is over; 0 while connected
}

// publish hands the will to the caller as the application message it becomes, and forgets it [MQTT-3.1.2-10].
func (s *Session) publishWill(now Time, out *Output) {
	w := s.will
	s.dropWill(out)
	out.Publish = *w.Message
	out.Publish.From = s.ID
	out.Publish.copy = nil
	if w.HasExpiry {
		out.Publish.kept = false // the kept copy has no expiry: it must be copied again if kept
		out.Publish.Expires = now + Seconds(w.ExpirySeconds)
	}
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

package client

import "sync"

// Session is what a client must remember between two connections of one MQTT
// Session so that no QoS 2 message reaches it twice: the messages whose PUBREL
// has not come. It does not keep messages the client itself sent; a Publish that
// the connection did not survive fails. The zero value is empty and usable. It
// is safe for concurrent use, but two live Clients must not share one.
type Session struct {
	mu       sync.Mutex
	unacked  map[uint16]Message // by Packet Identifier; bounded by the Receive Maximum of 65535
	lastSent uint16             // last Packet Identifier the client itself chose
}

// clear forgets everything: the server has no Session [MQTT-3.2.2-5].
func (s *Session) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.unacked)
}

// hold keeps m until its PUBREL. A second PUBLISH with the Packet Identifier is
// the same message again [MQTT-4.3.3-10].
func (s *Session) hold(m Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unacked == nil {
		s.unacked = make(map[uint16]Message)
	}
	if _, again := s.unacked[m.PacketID]; !again {
		s.unacked[m.PacketID] = m
	}
}

// release takes out the message of PUBREL id.
func (s *Session) release(id uint16) (Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.unacked[id]
	delete(s.unacked, id)
	return m, ok
}

// next returns a Packet Identifier for which taken is false; zero is never one
// [MQTT-2.2.1-3].
func (s *Session) next(taken func(uint16) bool) uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		s.lastSent++
		if s.lastSent != 0 && !taken(s.lastSent) {
			return s.lastSent
		}
	}
}

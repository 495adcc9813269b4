package engine

import (
	"slices"
	"sync/atomic"
)

// Stats counts what happened to connections before the broker saw them, and what ended
// them in the layers below it. All but Open only grow.
type Stats struct {
	Open           int    // connections that hold a place now
	Accepted       uint64 // connections taken from the kernel to be served
	RefusedFull    uint64 // of these, closed because a MaxConnections was reached
	RefusedStarved uint64 // closed unserved because no file descriptor was left
	AcceptErrors   uint64 // accepts that failed
	AdoptErrors    uint64 // accepted connections that no event loop could take

	RefusedAdmit   uint64 // closed because Options.Admit said so
	RefusedProxy   uint64 // peers that are no trusted proxy, and headers that are missing, malformed or say too little
	RefusedUpgrade uint64 // HTTP requests that did not become a WebSocket
	WrongTransport uint64 // TLS on a plain port, or plain MQTT on one for TLS

	Handshakes         uint64 // TLS handshakes completed
	HandshakesResumed  uint64 // of these, with a session ticket
	HandshakesFailed   uint64 // given up because of what the client sent, or that it went
	HandshakesTimedOut uint64 // PROXY headers or handshakes that took longer than HandshakeTimeout
	HandshakesEvicted  uint64 // closed to make room for others, see MaxHandshakes
	TransportErrors    uint64 // connections closed for what they sent as TLS records or WebSocket frames, or for answers to these that they do not read
}

// ListenerStats are the figures of one listener.
type ListenerStats struct {
	Name    string
	Address string // it listens on
	Stats
}

// event is something that is counted.
type event uint8

const (
	accepted event = iota
	refusedFull
	refusedStarved
	acceptError
	adoptError
	refusedAdmit
	refusedProxy
	refusedUpgrade
	wrongTransport
	handshakeDone
	handshakeResumed
	handshakeFailed
	handshakeTimedOut
	handshakeEvicted
	transportError
	events
)

// tally is the source of Stats, for a listener or for all of them. Safe for concurrent use.
type tally struct {
	open atomic.Int64 // of a listener only: the gate knows about all
	n    [events]atomic.Uint64
	all  *tally // of the server; nil in that one
}

// count adds one e.
func (t *tally) count(e event) { t.add(e, 1) }

func (t *tally) add(e event, n uint64) {
	t.n[e].Add(n)
	if t.all != nil {
		t.all.n[e].Add(n)
	}
}

// enter takes a place for one connection of a listener that has max, 0 for any number; false if all are taken.
func (t *tally) enter(max int) bool {
	if n := t.open.Add(1); max > 0 && n > int64(max) {
		t.open.Add(-1)
		return false
	}
	return true
}

// leave gives the place back.
func (t *tally) leave() { t.open.Add(-1) }

func (t *tally) stats() Stats {
	n := func(e event) uint64 { return t.n[e].Load() }
	return Stats{
		Open: int(t.open.Load()), Accepted: n(accepted), RefusedFull: n(refusedFull), RefusedStarved: n(refusedStarved),
		AcceptErrors: n(acceptError), AdoptErrors: n(adoptError), RefusedAdmit: n(refusedAdmit), RefusedProxy: n(refusedProxy),
		RefusedUpgrade: n(refusedUpgrade), WrongTransport: n(wrongTransport), Handshakes: n(handshakeDone),
		HandshakesResumed: n(handshakeResumed), HandshakesFailed: n(handshakeFailed), HandshakesTimedOut: n(handshakeTimedOut),
		HandshakesEvicted: n(handshakeEvicted), TransportErrors: n(transportError),
	}
}

// Stats returns the present figures of all listeners, also of those that are closed; each is exact, though not all of
// the same moment. Safe for concurrent use.
func (s *Server) Stats() Stats {
	total := s.tally.stats()
	total.Open = int(s.gate.open.Load())
	return total
}

// ListenerStats returns the present figures of each open listener, in the order of their options. Safe for concurrent use.
func (s *Server) ListenerStats() []ListenerStats {
	s.mu.Lock()
	listeners := slices.Clone(s.listeners)
	s.mu.Unlock()
	var all []ListenerStats
	for _, l := range listeners {
		all = append(all, ListenerStats{Name: l.name(), Address: l.Addr().String(), Stats: l.tally.stats()})
	}
	return all
}

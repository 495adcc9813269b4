package engine

import "sync/atomic"

// Stats counts what happened to connections before the broker saw them. All but
// Open only grow.
type Stats struct {
	Open           int    // connections that hold a place now
	Accepted       uint64 // connections taken from the kernel to be served
	RefusedFull    uint64 // of these, closed because MaxConnections was reached
	RefusedStarved uint64 // closed unserved because no file descriptor was left
	AcceptErrors   uint64 // accepts that failed
	AdoptErrors    uint64 // accepted connections that no event loop could take
}

// counters are the sources of Stats. Safe for concurrent use.
type counters struct {
	accepted, refusedFull, refusedStarved, acceptErrors, adoptErrors atomic.Uint64
}

// Stats returns the present figures; each is exact, though not all of the same
// moment. Safe for concurrent use.
func (s *Server) Stats() Stats {
	return Stats{
		Open:           int(s.gate.open.Load()),
		Accepted:       s.counters.accepted.Load(),
		RefusedFull:    s.counters.refusedFull.Load(),
		RefusedStarved: s.counters.refusedStarved.Load(),
		AcceptErrors:   s.counters.acceptErrors.Load(),
		AdoptErrors:    s.counters.adoptErrors.Load(),
	}
}

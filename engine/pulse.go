package engine

import (
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

// Alive reports whether every event loop has answered a tick within the last d; one comes each second, or more often. It is for watchdogs: a
// loop that answers late is busy, one that does not for many seconds is stuck. Before Run, and when it has ended, it is false.
func (s *Server) Alive(d time.Duration) bool {
	since := s.clock.now() - broker.Time(d.Milliseconds())
	for _, l := range s.loops {
		if broker.Time(l.ticked.Load()) < since {
			return false
		}
	}
	return true
}

package acl

import (
	"sync/atomic"

	"github.com/gannetmq/gannet/engine/session"
)

// Swapper is a session.Authorizer that asks the List in force. With none in force everything is allowed, as in a broker without access
// control. Safe for concurrent use.
type Swapper struct{ list atomic.Pointer[List] }

// NewSwapper puts l in force; nil: none.
func NewSwapper(l *List) *Swapper {
	s := new(Swapper)
	s.Swap(l)
	return s
}

// Swap puts l in force from the next check on. Subscriptions that clients have already are for the caller to look after
// (broker.Broker.Reauthorize).
func (s *Swapper) Swap(l *List) { s.list.Store(l) }

// MayPublish implements session.Authorizer.
func (s *Swapper) MayPublish(who session.Identity, topic []byte) bool {
	l := s.list.Load()
	return l == nil || l.MayPublish(who, topic)
}

// MaySubscribe implements session.Authorizer.
func (s *Swapper) MaySubscribe(who session.Identity, filter []byte) bool {
	l := s.list.Load()
	return l == nil || l.MaySubscribe(who, filter)
}

// MayReceive implements session.Authorizer.
func (s *Swapper) MayReceive(who session.Identity, topic []byte) bool {
	l := s.list.Load()
	return l == nil || l.MayReceive(who, topic)
}

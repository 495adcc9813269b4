package session

import "sync/atomic"

// Switch is an Authorizer whose judgement is that of another, which may be replaced while sessions ask. The zero value has none: everything
// is allowed, and costs no more than if nobody were asked. Safe for concurrent use. It must not be copied, nor hold another Switch.
//
// Deliveries follow a new Authorizer at once. Subscriptions are reviewed by broker.Reauthorize.
type Switch struct{ in atomic.Pointer[Authorizer] }

// Set puts a in force; nil: everything is allowed.
func (s *Switch) Set(a Authorizer) {
	if a == nil {
		s.in.Store(nil)
		return
	}
	s.in.Store(&a)
}

// inForce returns whom to ask, nil for nobody.
func inForce(a Authorizer) Authorizer {
	s, ok := a.(*Switch)
	if !ok {
		return a
	}
	if p := s.in.Load(); p != nil {
		return *p
	}
	return nil
}

// MayPublish implements Authorizer.
func (s *Switch) MayPublish(who Identity, topic []byte) bool {
	a := inForce(s)
	return a == nil || a.MayPublish(who, topic)
}

// MaySubscribe implements Authorizer.
func (s *Switch) MaySubscribe(who Identity, filter []byte) bool {
	a := inForce(s)
	return a == nil || a.MaySubscribe(who, filter)
}

// MayReceive implements Authorizer.
func (s *Switch) MayReceive(who Identity, topic []byte) bool {
	a := inForce(s)
	return a == nil || a.MayReceive(who, topic)
}

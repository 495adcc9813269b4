package session

import (
	"strings"

	"github.com/gannetmq/gannet/codec"
)

// SubscriptionOptions are the options of a subscription [3.8.3.1] and its identifier (0 = none).
type SubscriptionOptions struct {
	QoS               codec.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	Identifier        uint32
}

// Subscription is one entry of the session's subscriptions. Filter includes a $share/name/ prefix.
type Subscription struct {
	Filter  string
	Options SubscriptionOptions
}

// change is the router's side of this subscription.
func (sub *Subscription) change(remove, replay bool) Change {
	c := Change{Remove: remove, Filter: sub.Filter, Options: sub.Options, Replay: replay}
	if rest, ok := strings.CutPrefix(sub.Filter, "$share/"); ok {
		c.Group, c.Filter, _ = strings.Cut(rest, "/")
	}
	return c
}

// eachSubscription visits all subscriptions of the session.
func (s *Session) eachSubscription(f func(*Subscription)) {
	if s.sub0.Filter != "" {
		f(&s.sub0)
	}
	if s.more != nil {
		for i := range s.more.subs {
			f(&s.more.subs[i])
		}
	}
}

// Subscriptions returns how many there are.
func (s *Session) Subscriptions() (n int) {
	if s.sub0.Filter != "" {
		n = 1
	}
	if s.more != nil {
		n += len(s.more.subs)
	}
	return n
}

func (s *Session) findSubscription(filter []byte) *Subscription {
	if s.sub0.Filter == string(filter) && len(filter) > 0 {
		return &s.sub0
	}
	m := s.more
	if m == nil {
		return nil
	}
	if m.subAt != nil {
		if i, ok := m.subAt[string(filter)]; ok {
			return &m.subs[i]
		}
		return nil
	}
	for i := range m.subs {
		if m.subs[i].Filter == string(filter) {
			return &m.subs[i]
		}
	}
	return nil
}

// fewSubscriptions is how many are looked through one by one. One packet may name millions of filters, each of which has to be
// looked for.
const fewSubscriptions = 16

// manyFilters is how many filters of one packet are judged in any case; beyond it, no more than a session may have.
const manyFilters = 1 << 10

// Refresh holds a Change that has been carried out against the session as it is now. False: something else was decided
// meanwhile, and ch says now what the router has to hear.
func (s *Session) Refresh(ch *Change) (current bool) {
	filter := ch.Filter
	if ch.Group != "" {
		filter = "$share/" + ch.Group + "/" + ch.Filter
	}
	sub := s.findSubscription([]byte(filter))
	switch {
	case sub == nil && ch.Remove, sub != nil && !ch.Remove && sub.Options == ch.Options:
		return true
	case sub == nil:
		ch.Remove = true
	default:
		ch.Remove, ch.Replay, ch.Options = false, false, sub.Options
	}
	return false
}

// subscribe takes a SUBSCRIBE: one code per filter, in order [MQTT-3.8.4-5, -6, MQTT-3.9.3-1].
func (s *Session) subscribe(f codec.Frame, out *Output) {
	p := &out.parsed.subscribe
	if err := p.Parse(s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	var identifier uint32
	if ids := p.Properties.SubscriptionIdentifiers; p.Properties.Has(codec.PropSubscriptionIdentifier) && len(ids) > 0 {
		identifier = ids[0]
	}
	ack := &out.parsed.suback
	ack.PacketID, ack.Reasons = p.PacketID, reuse(ack.Reasons)
	for i := range p.Filters {
		code := codec.QuotaExceeded
		if i < max(s.cfg.MaxSubscriptions, manyFilters) {
			code = s.subscribeOne(&p.Filters[i], identifier, out)
		}
		ack.Reasons = append(ack.Reasons, code)
	}
	p.Filters = reuse(p.Filters)
	ack.Properties.Reset()
	if s.version == codec.V5 && !s.noProblemInfo {
		if why := firstRefusal(ack.Reasons); why != "" {
			ack.Properties.ReasonString = []byte(why)
			ack.Properties.Set(codec.PropReasonString)
		}
	}
	if s.version != codec.V5 {
		for i, c := range ack.Reasons {
			if c >= codec.UnspecifiedError {
				ack.Reasons[i] = codec.UnspecifiedError // the only failure that 3.1.1 knows [MQTT-3.9.3-2 of 3.1.1]
			}
		}
	}
	start := len(out.Frames)
	out.Frames = ack.Append(out.Frames, s.version)
	if s.tooLarge(len(out.Frames)-start) && !ack.Properties.Empty() { // [MQTT-3.9.2-1]
		ack.Properties.Reset()
		out.Frames = ack.Append(out.Frames[:start], s.version)
	}
	s.checkFits(start, codec.TypeSuback, out)
	s.promise(start, out)
}

// checkFits counts an answer, or closes when it cannot be given within the client's Maximum Packet Size [MQTT-3.1.2-24].
func (s *Session) checkFits(start int, t codec.PacketType, out *Output) {
	if s.tooLarge(len(out.Frames) - start) {
		out.Frames = out.Frames[:start]
		s.closeWith(codec.ImplementationSpecificError, "MQTT-3.1.2-24", t.String()+" is larger than the client's maximum packet size", out)
		return
	}
	out.sent(t)
}

func firstRefusal(reasons []codec.ReasonCode) string {
	for _, c := range reasons {
		switch c {
		case codec.TopicFilterInvalid:
			return "topic filter is not well-formed, too long or too deep"
		case codec.NotAuthorized:
			return "not authorized"
		case codec.QuotaExceeded:
			return "too many subscriptions"
		case codec.ImplementationSpecificError:
			return "the store takes nothing new"
		}
	}
	return ""
}

// subscribeOne judges one filter and makes or replaces the subscription [MQTT-3.8.4-3].
func (s *Session) subscribeOne(f *codec.Subscription, identifier uint32, out *Output) codec.ReasonCode {
	name, rest, shared, ok := codec.SplitShare(f.Filter)
	if !shared {
		rest = f.Filter
	}
	// [MQTT-4.7.1-1, -2, MQTT-4.7.3-1, MQTT-4.8.2-1, -2]
	if shared && (!ok || len(name) == 0) || !codec.ValidTopicFilter(rest) {
		return codec.TopicFilterInvalid
	}
	if s.mountPoint() != "" {
		f.Filter = s.access.mounted(nil, f.Filter)
		if rest = f.Filter; shared {
			_, rest, _, _ = codec.SplitShare(f.Filter)
		}
		if !codec.ValidTopicFilter(rest) { // the mount point does not end a level, and a wildcard follows
			return codec.TopicFilterInvalid
		}
	}
	if !s.cfg.topicFits(rest) {
		return codec.TopicFilterInvalid
	}
	if a := s.authorizer(); a != nil && !a.MaySubscribe(s.identity(), rest) {
		out.Denied = rest
		return codec.NotAuthorized
	}
	o := SubscriptionOptions{
		QoS: min(f.QoS, s.access.maxQoS(s.cfg)), NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
		RetainHandling: f.RetainHandling, Identifier: identifier,
	}
	if out.Unavailable && s.durable() {
		return codec.ImplementationSpecificError
	}
	sub := s.findSubscription(f.Filter)
	isNew := sub == nil
	if isNew {
		if s.Subscriptions() >= s.cfg.MaxSubscriptions {
			return codec.QuotaExceeded
		}
		sub = s.addSubscription(string(f.Filter))
	}
	sub.Options = o
	replay := !shared && (f.RetainHandling == 0 || f.RetainHandling == 1 && isNew)
	out.Changes = append(out.Changes, sub.change(false, replay))
	if s.durable() {
		out.record(Record{Kind: SubscriptionPut, Session: s.ID, Filter: sub.Filter, Options: o})
	}
	return codec.ReasonCode(o.QoS)
}

func (s *Session) addSubscription(filter string) *Subscription {
	if s.sub0.Filter == "" {
		s.sub0.Filter = filter
		return &s.sub0
	}
	m := s.extra()
	m.subs = append(m.subs, Subscription{Filter: filter})
	switch n := len(m.subs); {
	case m.subAt != nil:
		m.subAt[filter] = n - 1
	case n > fewSubscriptions:
		m.subAt = make(map[string]int, 2*n)
		for i := range m.subs {
			m.subAt[m.subs[i].Filter] = i
		}
	}
	return &m.subs[len(m.subs)-1]
}

// unsubscribe removes exact filters, one code each [MQTT-3.10.4-1, -5, -6].
func (s *Session) unsubscribe(f codec.Frame, out *Output) {
	p := &out.parsed.unsubscribe
	if err := p.Parse(s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	ack := &out.parsed.unsuback
	ack.PacketID, ack.Reasons = p.PacketID, reuse(ack.Reasons)
	ack.Properties.Reset()
	for _, filter := range p.Filters {
		filter = s.access.mounted(nil, filter)
		code := codec.NoSubscriptionExisted
		if sub := s.findSubscription(filter); sub != nil {
			code = codec.Success
			out.Changes = append(out.Changes, sub.change(true, false))
			if s.durable() {
				out.record(Record{Kind: SubscriptionDelete, Session: s.ID, Filter: sub.Filter})
			}
			s.removeSubscription(sub)
		}
		ack.Reasons = append(ack.Reasons, code)
	}
	p.Filters = reuse(p.Filters)
	start := len(out.Frames)
	out.Frames = ack.Append(out.Frames, s.version)
	s.checkFits(start, codec.TypeUnsuback, out)
	s.promise(start, out)
}

func (s *Session) removeSubscription(sub *Subscription) {
	if sub == &s.sub0 {
		s.sub0 = Subscription{}
		return
	}
	m := s.more
	last := len(m.subs) - 1
	if m.subAt != nil {
		m.subAt[m.subs[last].Filter] = m.subAt[sub.Filter]
		delete(m.subAt, sub.Filter)
	}
	*sub = m.subs[last]
	m.subs[last] = Subscription{}
	if m.subs = m.subs[:last]; last == 0 {
		m.subs, m.subAt = nil, nil
	}
}

package session

import "github.com/gannetmq/gannet/codec"

// heldFrame is a packet that leaves once the store says that ticket is durable.
type heldFrame struct {
	ticket uint64
	size   int
	frame  [8]byte
	long   []byte // instead of frame, when it does not fit
}

func newHeldFrame(ticket uint64, frame []byte) heldFrame {
	h := heldFrame{ticket: ticket, size: len(frame)}
	if len(frame) <= len(h.frame) {
		copy(h.frame[:], frame)
	} else {
		h.long = append([]byte(nil), frame...)
	}
	return h
}

// publish takes an application message from the client: named stages in a fixed order. What passes all of
// them is handed out for routing; the caller answers with Acknowledge.
func (s *Session) publish(f codec.Frame, now Time, out *Output) {
	p := &out.parsed.publish
	if err := p.Parse(s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	if p.Properties.Has(codec.PropSubscriptionIdentifier) {
		s.protocolError("MQTT-3.3.4-6", "Subscription Identifier in a client's PUBLISH", out)
		return
	}
	if !s.capable(p, out) || !s.withinReceiveMaximum(p, out) || !s.resolveAlias(p, out) {
		return
	}
	if p.QoS == codec.QoS2 && s.isRepeat(p, f.Size, now, out) {
		return // before it is judged again: what was accepted stays so until PUBREL
	}
	if !s.withinRate(p, f.Size, now, out) {
		return
	}
	if s.mountPoint() != "" {
		out.parsed.topic = s.access.mounted(out.parsed.topic[:0], p.Topic)
		p.Topic = out.parsed.topic
	}
	if !s.cfg.topicFits(p.Topic) {
		s.refusePublish(p, codec.TopicNameInvalid, "topic has too many levels or bytes", out)
		return
	}
	if n := s.cfg.MaxPayload; n > 0 && len(p.Payload) > n {
		s.refusePublish(p, codec.QuotaExceeded, "payload is larger than this server takes", out)
		return
	}
	if !s.mayPublish(p.Topic) {
		out.Denied = p.Topic
		s.refusePublish(p, codec.NotAuthorized, "not authorized", out)
		return
	}
	if p.QoS > codec.QoS0 {
		s.receiving++
		out.AckID, out.AckQoS = p.PacketID, p.QoS
		if p.QoS == codec.QoS2 {
			s.extra().received.add(p.PacketID) // before it is routed: a repeat on another connection is one
		}
	}
	m := &out.Publish
	m.Topic, m.Payload, m.Properties = p.Topic, p.Payload, p.Passthrough
	m.QoS, m.Retain, m.From, m.Expires = p.QoS, p.Retain, s.ID, 0
	m.kept, m.copy = false, nil
	if p.Properties.Has(codec.PropMessageExpiryInterval) {
		m.Expires = now + Seconds(p.Properties.MessageExpiryInterval)
	}
	out.HasPublish = true
}

// capable holds the packet against what CONNACK announced.
func (s *Session) capable(p *codec.Publish, out *Output) bool {
	switch {
	case p.QoS > s.access.maxQoS(s.cfg):
		s.closeWith(codec.QoSNotSupported, "MQTT-3.2.2-11", "QoS above the announced maximum", out)
	case p.Retain && s.cfg.RetainUnavailable:
		s.closeWith(codec.RetainNotSupported, "MQTT-3.2.2-14", "retain is not available", out)
	default:
		return true
	}
	return false
}

// withinReceiveMaximum counts unfinished QoS 1/2 PUBLISH of 5.0 clients [MQTT-3.3.4-7]. Each connection begins with the
// whole Receive Maximum [4.9]: what earlier ones left unfinished comes on top.
func (s *Session) withinReceiveMaximum(p *codec.Publish, out *Output) bool {
	if p.QoS == codec.QoS0 || s.version != codec.V5 || s.receiving < uint32(s.cfg.ReceiveMaximum) {
		return true
	}
	if m := s.more; m != nil {
		if s.receiving < uint32(s.cfg.ReceiveMaximum)+uint32(m.carried) {
			return true
		}
		if p.QoS == codec.QoS2 && m.received.has(p.PacketID) {
			return true // a repeat uses no further slot
		}
	}
	s.closeWith(codec.ReceiveMaximumExceeded, "MQTT-3.3.4-7", "more unacknowledged PUBLISH than the receive maximum", out)
	return false
}

// isRepeat answers a QoS 2 PUBLISH that came before: PUBREC again, not routed again [MQTT-4.3.3-10].
func (s *Session) isRepeat(p *codec.Publish, size int, now Time, out *Output) bool {
	if s.more == nil || !s.more.received.has(p.PacketID) {
		return false
	}
	if s.more.awaitsPace(p.PacketID) {
		return true // the first PUBREC is delayed
	}
	for i := range s.more.held {
		if h := &s.more.held[i]; h.isPubrec(p.PacketID) {
			return true // the first PUBREC still waits for the store
		}
	}
	out.sent(codec.TypePubrec)
	if s.cfg.hasRate() {
		s.more.meter.leak(s.cfg, now)
		s.more.meter.charge(s.cfg, size)
	}
	start := len(out.Frames)
	out.Frames = codec.AppendPubackShort(out.Frames, codec.TypePubrec, p.PacketID)
	s.Answer(0, start, out)
	return true
}

// isPubrec tells whether it is the PUBREC of id, with whatever code.
func (h *heldFrame) isPubrec(id uint16) bool {
	b := h.bytes()
	if b[0] != byte(codec.TypePubrec)<<4 {
		return false
	}
	n := headerSize(b)
	return b[n] == byte(id>>8) && b[n+1] == byte(id)
}

func (h *heldFrame) bytes() []byte {
	if h.long != nil {
		return h.long
	}
	return h.frame[:h.size]
}

// refusePublish turns one message down without closing, where the version can say so: 5.0 by PUBACK or
// PUBREC; 3.x is acknowledged as usual and the message goes nowhere [MQTT-3.3.5-2 of 3.1.1]. QoS 0 is dropped.
func (s *Session) refusePublish(p *codec.Publish, code codec.ReasonCode, why string, out *Output) {
	out.Reason, out.Why = code, why
	if p.QoS == codec.QoS0 {
		return
	}
	if s.version != codec.V5 {
		code = codec.Success
		if p.QoS == codec.QoS2 {
			s.extra().received.add(p.PacketID)
			s.receiving++
		}
	}
	start := len(out.Frames)
	s.appendAck(ackType(p.QoS), p.PacketID, code, why, out)
	s.Answer(0, start, out)
}

func ackType(q codec.QoS) codec.PacketType {
	if q == codec.QoS2 {
		return codec.TypePubrec
	}
	return codec.TypePuback
}

// Acknowledge answers the PUBLISH that was handed out for routing, with the code that routing gave. The caller passes what was appended on
// to Answer, with the ticket of the store that it has to wait for.
func (s *Session) Acknowledge(id uint16, qos codec.QoS, code codec.ReasonCode, out *Output) {
	if s.phase != connected {
		return
	}
	if s.version != codec.V5 {
		code = codec.Success
	}
	if qos == codec.QoS1 || code >= codec.UnspecifiedError {
		s.receiving-- // else QoS 2, which counts against Receive Maximum until PUBREL
	}
	s.received(id, qos, code, out)
	s.appendAck(ackType(qos), id, code, "", out)
}

// AcknowledgeLate is Acknowledge for a PUBLISH whose connection was lost or taken over while it was routed: nobody can be
// answered, but a repeat of a QoS 2 message must be known as one.
func (s *Session) AcknowledgeLate(id uint16, qos codec.QoS, code codec.ReasonCode, out *Output) {
	if s.phase == ended {
		return
	}
	if s.version != codec.V5 {
		code = codec.Success
	}
	s.received(id, qos, code, out)
}

// received settles what becomes of the identifier of a QoS 2 PUBLISH: kept until PUBREL, or free again [MQTT-4.3.3-9].
func (s *Session) received(id uint16, qos codec.QoS, code codec.ReasonCode, out *Output) {
	switch {
	case qos != codec.QoS2 || s.more == nil:
	case code >= codec.UnspecifiedError:
		s.more.received.remove(id)
	case s.durable():
		out.record(Record{Kind: ReceivedPut, Session: s.ID, ID: id})
	}
}

// Retract takes back the PUBLISH that was handed out for routing, as if it had never come: it was not routed. A 5.0 client
// can be told by Acknowledge; with any other the connection has to be closed.
func (s *Session) Retract(id uint16, qos codec.QoS) {
	s.receiving--
	if qos == codec.QoS2 {
		s.more.received.remove(id)
	}
}

// Recorded says that the records of out are on their way to the disk under ticket (0: they are there), and holds what must not be seen
// before. Called after each call that emitted records, before the next.
func (s *Session) Recorded(ticket uint64, out *Output) {
	if ticket > 0 && s.more != nil {
		s.more.ticket = ticket
	}
	if out.Await {
		out.Await = false
		if ticket > 0 {
			s.Hold(ticket, out.AwaitFrom, out)
		}
	}
}

// promise sees that what was appended from start on leaves after the records that back it: those of this call, or earlier ones, if
// the packet repeats what was said before.
func (s *Session) promise(start int, out *Output) {
	switch {
	case out.Close:
	case out.Await: // with the first of the call
	case len(out.Records) > 0:
		out.Await, out.AwaitFrom = true, start
	case s.mustHold(out):
		s.Hold(s.more.ticket, start, out)
	}
}

// mustHold tells whether records of earlier calls are under way, or something that must not be overtaken still waits for them.
func (s *Session) mustHold(out *Output) bool {
	m := s.more
	return m != nil && (m.ticket > out.DurableUpTo || len(m.held) > 0)
}

// Hold takes what a call appended to out.Frames from start on and keeps it until Durable names ticket: acknowledgements, and what must
// not be seen twice, which is PUBLISH of QoS 2 and PUBREL. It is one packet, but after several deliveries.
func (s *Session) Hold(ticket uint64, start int, out *Output) {
	frame := out.Frames[start:]
	if len(frame) == 0 {
		return
	}
	if n := len(out.Pieces); n > 0 && out.Pieces[n-1].At > start {
		panic("session: a packet to be held is not in one piece")
	}
	m := s.extra()
	if n := len(m.held); n > 0 {
		ticket = max(ticket, m.held[n-1].ticket)
	}
	if len(m.held) >= s.cfg.MaxHeldAcks {
		out.Frames = out.Frames[:start]
		s.closeWith(codec.QuotaExceeded, "", "too many acknowledgements wait for the store", out)
		return
	}
	if finishesPublish(frame) {
		s.receiving++ // until it is written
	}
	m.held = append(m.held, newHeldFrame(ticket, frame))
	m.heldSize += len(frame)
	out.Held = max(out.Held, ticket)
	out.Frames = out.Frames[:start]
}

// HoldsAnswer tells whether something is held that the client waits for, having asked for it.
func (s *Session) HoldsAnswer() bool {
	if s.more == nil {
		return false
	}
	for i := range s.more.held {
		switch codec.PacketType(s.more.held[i].bytes()[0] >> 4) {
		case codec.TypePublish, codec.TypePubrel:
		default:
			return true
		}
	}
	return false
}

// finishesPublish tells whether writing this packet gives a Receive Maximum slot back to the client.
func finishesPublish(b []byte) bool {
	return b[0] == byte(codec.TypePuback)<<4 || b[0] == byte(codec.TypePubrec)<<4 && len(b) > 4 && b[4] >= 0x80
}

// Durable releases what waited for ticket or an earlier one, and tells whether more still waits.
func (s *Session) Durable(ticket uint64, out *Output) (waiting bool) {
	m := s.more
	if m == nil || s.phase != connected {
		return false
	}
	n := 0
	for n < len(m.held) && m.held[n].ticket <= ticket {
		b := m.held[n].bytes()
		if finishesPublish(b) {
			s.receiving--
		}
		out.Frames = append(out.Frames, b...)
		m.heldSize -= len(b)
		n++
	}
	left := copy(m.held, m.held[n:])
	clear(m.held[left:])
	m.held = m.held[:left]
	if len(m.held) == 0 {
		m.held = nil
	}
	return len(m.held) > 0
}

// pubrel finishes an inbound QoS 2 message [MQTT-4.3.3-11].
func (s *Session) pubrel(f codec.Frame, out *Output) {
	a := &out.parsed.ack
	if err := a.Parse(codec.TypePubrel, s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	code, start := codec.Success, len(out.Frames)
	if s.more != nil && s.more.received.remove(a.PacketID) {
		s.receiving--
		if s.durable() {
			out.record(Record{Kind: ReceivedDelete, Session: s.ID, ID: a.PacketID})
		}
	} else if s.version == codec.V5 {
		code = codec.PacketIdentifierNotFound
	}
	s.appendAck(codec.TypePubcomp, a.PacketID, code, "", out)
	s.promise(start, out)
}

// appendAck writes one of the PUBACK family in its shortest form; a refusal says why when the client
// wants to know and can take it [MQTT-3.1.2-29, MQTT-3.4.2-2, MQTT-3.5.2-2].
func (s *Session) appendAck(t codec.PacketType, id uint16, code codec.ReasonCode, why string, out *Output) {
	out.sent(t)
	if code == codec.Success || s.version != codec.V5 {
		out.Frames = codec.AppendPubackShort(out.Frames, t, id)
		return
	}
	a := codec.Ack{PacketID: id, Reason: code}
	if why != "" && !s.noProblemInfo {
		a.Properties.ReasonString = []byte(why)
		a.Properties.Set(codec.PropReasonString)
	}
	start := len(out.Frames)
	out.Frames = a.Append(out.Frames, t, s.version)
	if s.tooLarge(len(out.Frames) - start) {
		a.Properties.Reset()
		out.Frames = a.Append(out.Frames[:start], t, s.version)
	}
}

// resolveAlias replaces a Topic Alias by its topic, or learns it [3.3.2.3.4]. False: the connection closes.
func (s *Session) resolveAlias(p *codec.Publish, out *Output) bool {
	if !p.Properties.Has(codec.PropTopicAlias) {
		return true
	}
	alias := p.Properties.TopicAlias
	if alias == 0 || alias > s.access.aliasLimit(s.cfg) {
		s.closeWith(codec.TopicAliasInvalid, "MQTT-3.3.2-9", "topic alias above the announced maximum", out)
		return false
	}
	m := s.extra()
	if len(p.Topic) > 0 {
		for len(m.aliasIn) < int(alias) {
			m.aliasIn = append(m.aliasIn, nil)
		}
		if bytesAsString(m.aliasIn[alias-1]) != bytesAsString(p.Topic) {
			// A new slice each time: the old one may be borrowed by a message under way.
			m.aliasIn[alias-1] = append([]byte(nil), p.Topic...)
		}
		return true
	}
	if len(m.aliasIn) < int(alias) || m.aliasIn[alias-1] == nil {
		s.protocolError("MQTT-3.3.2-7", "topic alias that was never set on this connection", out)
		return false
	}
	p.Topic = m.aliasIn[alias-1]
	return true
}

// reauthenticate runs an AUTH exchange on a live connection [4.12.1].
func (s *Session) reauthenticate(f codec.Frame, out *Output) {
	a := &out.parsed.auth
	if s.version != codec.V5 {
		s.protocolError("", "AUTH before MQTT 5.0", out)
		return
	}
	if err := a.Parse(s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	if s.more == nil || s.more.method == nil {
		s.protocolError("MQTT-4.12.0-7", "AUTH without an authentication method in CONNECT", out)
		return
	}
	m := s.more
	if string(a.Properties.AuthenticationMethod) != m.method.Name() {
		s.protocolError("MQTT-4.12.1-1", "authentication method changed", out)
		return
	}
	switch {
	case a.Reason == codec.ReAuthenticate && m.exchange == nil:
		m.exchange = m.method.Begin(s.clientID, s.userName)
	case a.Reason == codec.ContinueAuthentication && m.exchange != nil:
	default:
		s.protocolError("MQTT-3.15.2-1", "AUTH out of place", out)
		return
	}
	reply, done, code := m.exchange.Step(a.Properties.AuthenticationData)
	if code < codec.UnspecifiedError && done {
		if name := m.exchange.Identity(); name != "" && name != s.userName {
			code = codec.NotAuthorized // a connection keeps its user
		}
	}
	if code >= codec.UnspecifiedError { // [MQTT-4.12.1-2]
		if !code.AllowedIn(codec.TypeDisconnect) {
			code = codec.NotAuthorized
		}
		s.closeWith(code, "MQTT-4.12.1-2", "re-authentication failed", out)
		return
	}
	reason := codec.ContinueAuthentication
	if done {
		reason, m.exchange = codec.Success, nil
	}
	start := len(out.Frames)
	out.Frames = appendAuth(out.Frames, reason, m.method.Name(), reply)
	s.checkFits(start, codec.TypeAuth, out)
}

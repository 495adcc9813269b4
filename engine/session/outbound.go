package session

import (
	"unsafe"

	"github.com/gannetmq/gannet/codec"
)

// Route says how one message reaches one session.
type Route struct {
	QoS               codec.QoS // granted
	RetainAsPublished bool
	Retained          bool     // it comes from the retained store because of a new subscription
	IDs               []uint32 // Subscription Identifiers of all matching subscriptions; borrowed
	Group             GroupRef // shared subscription group, or nil
	Overflow          Overflow
}

// Overflow is what happens to a QoS 1/2 message that cannot be sent at once and for which the queue has no room,
// or that should not be queued at all.
type Overflow uint8

const (
	DropOldest Overflow = iota // make room by dropping the oldest queued messages
	Refuse                     // do not queue; Deliver returns Refused
	NoQueue                    // never queue; Deliver returns Refused when it cannot be sent now
)

// Result is what became of a delivery.
type Result uint8

const (
	Sent      Result = iota // its bytes are in out.Frames
	Queued                  // it waits in the session
	Dropped                 // given up; out.Drops says why
	Refused                 // not taken, as Route.Overflow asked
	Gone                    // the session is not connected and keeps nothing
	Forbidden               // of a shared subscription, whose other members may be allowed what this one is not
)

// minAliasTopic: an alias pays only for topics longer than the property that carries it.
const minAliasTopic = 8

// Deliver brings one message to the session: bytes into out.Frames where the window and the room allow,
// else into the queue. The message is copied (Keep) only when the session has to hold it.
func (s *Session) Deliver(o *Outgoing, r *Route, out *Output) Result {
	m := o.M
	qos := min(m.QoS, r.QoS) // [MQTT-3.8.4-8]
	if m.Expires != 0 && m.Expired(o.Now) {
		out.Drops.add(DropExpired, 1)
		return Dropped
	}
	if !s.mayReceive(m.Topic) {
		if r.Group != nil {
			return Forbidden
		}
		out.Drops.add(DropNotAuthorized, 1)
		return Dropped
	}
	retain := r.Retained || r.RetainAsPublished && m.Retain // [MQTT-3.3.1-12, -13]
	if qos == codec.QoS0 {
		return s.deliverQoS0(o, r, retain, out)
	}
	if s.phase == connected && s.canSend(out) && !s.Waiting() {
		if s.tooLargeFor(o, r.IDs, qos, out) {
			return Dropped
		}
		e := entry{seq: s.takeSeq(), qos: qos, retain: retain, group: r.Group}
		if s.mustRemember(r) {
			e.msg = m.Keep()
			e.setIDs(r.IDs)
		}
		if s.durable() {
			s.recordQueued(&e, out)
		}
		s.extra().inflight.push(e)
		s.open++
		start := len(out.Frames)
		s.appendPublish(o, r.IDs, PacketID(e.seq), qos, retain, false, out)
		if s.durable() && qos == codec.QoS2 {
			// A crash must not leave the client with an identifier that the session does not know of [MQTT-4.3.3-2].
			s.promise(start, out)
		}
		return Sent
	}
	if s.phase != connected && (s.phase != parked || !s.Resumable()) {
		return Gone
	}
	return s.enqueue(o, r, qos, retain, out)
}

func (s *Session) deliverQoS0(o *Outgoing, r *Route, retain bool, out *Output) Result {
	if s.phase != connected {
		if s.phase != parked {
			return Gone
		}
		if s.cfg.QueueQoS0 && s.Resumable() && r.Overflow != NoQueue {
			return s.enqueue(o, r, codec.QoS0, retain, out)
		}
		if r.Overflow == NoQueue {
			return Refused
		}
		out.Drops.add(DropOffline, 1)
		return Dropped
	}
	if s.more != nil && s.more.queue.qos0 > 0 && r.Overflow != NoQueue {
		return s.enqueue(o, r, codec.QoS0, retain, out) // behind those of its kind that wait since the session was parked [MQTT-4.6.0-5]
	}
	if len(out.Frames) >= out.Room {
		if r.Overflow == NoQueue {
			out.Full = true
			return Refused
		}
		out.Drops.add(DropOutboundFull, 1)
		return Dropped
	}
	if s.tooLargeFor(o, r.IDs, codec.QoS0, out) {
		return Dropped
	}
	s.appendPublish(o, r.IDs, 0, codec.QoS0, retain, false, out)
	return Sent
}

// mustRemember tells whether the message itself is needed after sending: for a resend on resume, or for another
// member of the group. Other sessions keep only the identifier.
func (s *Session) mustRemember(r *Route) bool { return s.expiry > 0 || s.stored || r.Group != nil }

// canSend tells whether a QoS 1/2 PUBLISH may be sent now [MQTT-4.9.0-2, MQTT-3.3.4-9].
func (s *Session) canSend(out *Output) bool {
	return s.open < s.sendMaximum && s.hasRoom(out) && (s.more == nil || s.more.resend == 0)
}

// hasRoom tells whether the connection has room for another message, beside what is written and what is held.
func (s *Session) hasRoom(out *Output) bool {
	if m := s.more; m != nil && len(m.held) > 0 {
		return len(out.Frames)+m.heldSize < out.Room && len(m.held) < s.cfg.MaxHeldAcks
	}
	return len(out.Frames) < out.Room
}

// CanTake tells whether a QoS 1/2 message would be sent at once, given room in the connection.
func (s *Session) CanTake(room int) bool {
	return s.phase == connected && room > 0 && s.open < s.sendMaximum && !s.Waiting()
}

// tooLargeFor drops what exceeds the client's Maximum Packet Size [MQTT-3.1.2-24, -25].
func (s *Session) tooLargeFor(o *Outgoing, ids []uint32, qos codec.QoS, out *Output) bool {
	if s.maxPacketSize == 0 {
		return false
	}
	d := &out.parsed.delivery
	s.fill(d, o, ids, 1, qos)
	if !s.tooLarge(d.Size(s.version)) {
		return false
	}
	out.Drops.add(DropTooLarge, 1)
	return true
}

func (s *Session) fill(d *codec.Delivery, o *Outgoing, ids []uint32, id uint16, qos codec.QoS) {
	m := o.M
	*d = codec.Delivery{Topic: s.unmounted(m.Topic), Payload: m.Payload, Passthrough: m.Properties, PacketID: id, QoS: qos, SubscriptionIDs: ids}
	d.Expiry, d.HasExpiry = m.remaining(o.Now)
}

// appendPublish encodes the message for this client. Encodings without anything of the client's own in them but the
// Packet Identifier are remembered in o and copied for the next one.
func (s *Session) appendPublish(o *Outgoing, ids []uint32, id uint16, qos codec.QoS, retain, dup bool, out *Output) {
	held := qos == codec.QoS2 && s.durable() // perhaps: then it must not be the one to define an alias
	aliased := !held && s.aliasMaximum > 0 && len(o.M.Topic) >= minAliasTopic
	splices := !held && out.splices(o.M)
	if splices || !o.wide || s.mountPoint() != "" || len(ids) > 0 && s.version == codec.V5 || aliased || dup {
		d := &out.parsed.delivery
		s.fill(d, o, ids, id, qos)
		d.Retain, d.Dup = retain, dup
		if aliased {
			s.alias(d)
		}
		if splices {
			out.spliceDelivery(d, s.version, o.M)
		} else {
			out.Frames = codec.AppendDelivery(out.Frames, s.version, d)
		}
	} else {
		out.Frames = o.appendForm(out.Frames, s.version, qos, id, retain)
	}
	if out.Tally != nil {
		out.Tally.Publish(o.M.Payload)
	}
}

func headerSize(b []byte) int {
	n := 2
	for b[n-1]&0x80 != 0 {
		n++
	}
	return n
}

// alias gives the topic an alias of this connection, first come first served [MQTT-3.1.2-26, MQTT-3.3.2-11].
func (s *Session) alias(d *codec.Delivery) {
	m := s.extra()
	if a, ok := m.aliasOut[bytesAsString(d.Topic)]; ok {
		d.TopicAlias, d.Topic = a, nil
		return
	}
	if len(m.aliasOut) >= int(s.aliasMaximum) {
		return
	}
	if m.aliasOut == nil {
		m.aliasOut = make(map[string]uint16)
	}
	a := uint16(len(m.aliasOut) + 1)
	d.TopicAlias = a
	if s.tooLarge(d.Size(s.version)) {
		d.TopicAlias = 0 // the first use carries both; too large for this client
		return
	}
	m.aliasOut[string(d.Topic)] = a
}

// enqueue makes the message wait [MQTT-4.5.0-1], within the bounds on count and bytes.
func (s *Session) enqueue(o *Outgoing, r *Route, qos codec.QoS, retain bool, out *Output) Result {
	if s.phase == connected && !s.hasRoom(out) {
		out.Full = true
	}
	if r.Overflow == NoQueue {
		return Refused
	}
	size := o.M.Size() + 4*len(r.IDs)
	if s.cfg.MaxQueuedMessages == 0 || size > s.cfg.MaxQueuedBytes { // no dropping would make room
		if r.Overflow == Refuse {
			return Refused
		}
		out.Drops.add(DropQueueFull, 1)
		return Dropped
	}
	m := s.extra()
	for s.overfull(1, size) {
		if r.Overflow == Refuse {
			return Refused
		}
		if m.queue.len() > 0 {
			s.drop(m.queue.pop(), DropQueueFull, out)
			continue
		}
		if n, _ := m.queued(); n >= s.cfg.MaxQueuedMessages+maxExcess {
			out.Drops.add(DropQueueFull, 1)
			return Dropped
		}
		s.readBacklog(out) // Loaded drops them
		break
	}
	e := entry{qos: qos, retain: retain, group: r.Group, msg: o.M.Keep()}
	e.setIDs(r.IDs)
	e.seq = s.takeSeq()
	if s.durable() && qos > 0 {
		s.recordQueued(&e, out)
		if s.toBacklog() {
			m.backlog.add(e.seq, e.size())
			return Queued
		}
	}
	m.queue.push(e)
	return Queued
}

func (s *Session) drop(e entry, why DropReason, out *Output) {
	out.Drops.add(why, 1)
	s.recordGone(&e, out)
}

// recordGone records that nothing is owed of e any more.
func (s *Session) recordGone(e *entry, out *Output) {
	if s.durable() && e.qos > 0 {
		out.record(Record{Kind: QueueDelete, Session: s.ID, Seq: e.seq, Message: e.msg})
	}
}

func (s *Session) recordQueued(e *entry, out *Output) {
	out.record(Record{Kind: QueuePut, Session: s.ID, Seq: e.seq, QoS: e.qos, Retain: e.retain, Message: e.msg, IDs: e.ids()})
}

// settle takes the client's PUBACK, PUBREC or PUBCOMP and lets the next messages go.
func (s *Session) settle(f codec.Frame, now Time, out *Output) {
	a := &out.parsed.ack
	if err := a.Parse(f.Type, s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	var e *entry
	if s.more != nil {
		e = s.more.inflight.find(a.PacketID)
	}
	refused := a.Reason >= codec.UnspecifiedError
	switch {
	case f.Type == codec.TypePubrec && e != nil && e.qos == codec.QoS2 && !refused:
		// PUBREL, also for a repeated PUBREC [MQTT-4.3.3-4]. The message is not needed any more [MQTT-4.3.3-6].
		if e.state != awaitsPubcomp {
			if e.state == awaitsResend {
				s.more.resend--
				s.open++ // whatever is not to be resent uses a slot
			}
			if s.durable() {
				out.record(Record{Kind: QueueRelease, Session: s.ID, Seq: e.seq, Message: e.msg})
			}
			e.state, e.msg = awaitsPubcomp, nil
		}
		// After a crash the session must not send PUBLISH again to a client that has seen PUBREL [MQTT-4.3.3-4].
		start := len(out.Frames)
		s.appendAck(codec.TypePubrel, a.PacketID, codec.Success, "", out)
		s.promise(start, out)
		return
	case f.Type == codec.TypePubrec && e == nil:
		if !refused {
			code := codec.Success
			if s.version == codec.V5 {
				code = codec.PacketIdentifierNotFound
			}
			s.appendAck(codec.TypePubrel, a.PacketID, code, "", out)
		}
		return
	case e == nil,
		f.Type == codec.TypePuback && e.qos != codec.QoS1,
		f.Type == codec.TypePubrec && e.qos != codec.QoS2,
		f.Type == codec.TypePubcomp && e.state != awaitsPubcomp:
		return // stray acknowledgement: nothing it could settle
	}
	if refused && f.Type != codec.TypePubcomp {
		out.Drops.add(DropRefused, 1) // settled all the same [MQTT-4.4.0-2, MQTT-4.8.2-6]
	}
	s.settled(e, out)
	s.Drain(now, out)
}

// settled frees the slot of e.
func (s *Session) settled(e *entry, out *Output) {
	if e.state == awaitsResend {
		s.more.resend--
	} else {
		s.open--
	}
	s.recordGone(e, out)
	s.more.inflight.settle(e)
	out.Acked = true
}

// resume puts everything in flight back on the wire: PUBREL at once, PUBLISH with DUP as the new window
// allows [MQTT-4.4.0-1], then what waited in the queue.
func (s *Session) resume(now Time, out *Output) {
	m := s.more
	if m == nil {
		return
	}
	m.resend = 0
	m.inflight.each(func(e *entry) {
		switch e.state {
		case awaitsPubcomp:
			// It uses a slot here too, so that its PUBCOMP frees no slot it does not have [MQTT-3.3.4-9].
			s.open++
			s.appendAck(codec.TypePubrel, PacketID(e.seq), codec.Success, "", out)
		case awaitsAck, awaitsResend:
			e.state = awaitsResend
			m.resend++
		}
	})
	s.Drain(now, out)
}

// Drain sends what the window and the room allow: resends first, then the queue. Call it when the room has grown.
func (s *Session) Drain(now Time, out *Output) {
	m := s.more
	if m == nil || s.phase != connected || out.Close {
		return
	}
	if m.resend > 0 {
		s.resendInflight(now, out)
	}
	s.drainQueue(now, out)
	if m.queue.len() <= s.cfg.QueueWindow/2 {
		s.readBacklog(out)
	}
}

func (s *Session) drainQueue(now Time, out *Output) {
	m := s.more
	var o Outgoing
	for m.resend == 0 && m.queue.len() > 0 {
		e := m.queue.front()
		if e.msg.Expired(now) {
			s.drop(m.queue.pop(), DropExpired, out)
			continue
		}
		if e.qos > 0 && (s.open >= s.sendMaximum || !m.inflight.free(e.seq)) {
			return
		}
		if !s.hasRoom(out) {
			out.Full = true
			return
		}
		o.Reset(e.msg, now, false)
		if s.tooLargeFor(&o, e.ids(), e.qos, out) {
			out.Drops.N[DropTooLarge]-- // drop counts it
			s.drop(m.queue.pop(), DropTooLarge, out)
			continue
		}
		if !s.mayReceive(e.msg.Topic) { // it was queued under other rules, or before a restart
			s.drop(m.queue.pop(), DropNotAuthorized, out)
			continue
		}
		x := m.queue.pop()
		start := len(out.Frames)
		dup := x.qos > 0 && x.seq < m.sentBelow
		s.appendPublish(&o, x.ids(), PacketID(x.seq), x.qos, x.retain, dup, out)
		if x.qos == 0 {
			continue
		}
		if x.qos == codec.QoS2 && s.durable() && s.mustHold(out) {
			s.Hold(m.ticket, start, out)
		}
		if s.expiry == 0 && !s.stored && x.group == nil {
			x.msg, x.idList = nil, nil
		}
		m.inflight.push(x)
		s.open++
	}
}

func (s *Session) resendInflight(now Time, out *Output) {
	m := s.more
	var o Outgoing
	m.inflight.each(func(e *entry) {
		if e.state != awaitsResend || s.open >= s.sendMaximum {
			return
		}
		if len(out.Frames) >= out.Room {
			out.Full = true
			return
		}
		o.Reset(e.msg, now, false)
		if s.tooLargeFor(&o, e.ids(), e.qos, out) {
			s.settled(e, out)
			return
		}
		if !s.mayReceive(e.msg.Topic) { // it was sent under other rules, and perhaps not received
			out.Drops.add(DropNotAuthorized, 1)
			s.settled(e, out)
			return
		}
		e.state = awaitsAck
		m.resend--
		s.open++
		s.appendPublish(&o, e.ids(), PacketID(e.seq), e.qos, e.retain, true, out)
	})
}

// Waiting tells whether Drain could still have something to send.
func (s *Session) Waiting() bool {
	m := s.more
	return m != nil && (m.queue.len() > 0 || m.backlog.n > 0 || m.resend > 0)
}

// releaseShared hands messages of shared groups over to other members when this one stops taking them: queued ones
// and unacknowledged QoS 1. QoS 2 already begun stays here [MQTT-4.8.2-4, -5].
func (s *Session) releaseShared(out *Output) {
	m := s.more
	if m == nil {
		return
	}
	m.inflight.each(func(e *entry) {
		if e.group == nil || e.qos != codec.QoS1 {
			return
		}
		out.Redispatch = append(out.Redispatch, Redispatch{e.group, e.msg})
		if e.state == awaitsResend {
			m.resend--
		}
		s.recordGone(e, out)
		m.inflight.settle(e)
	})
	m.queue.filter(func(e *entry) bool {
		if e.group == nil {
			return true
		}
		out.Redispatch = append(out.Redispatch, Redispatch{e.group, e.msg})
		s.recordGone(e, out)
		return false
	})
}

// entrySize is here to be seen: an entry in flight or queued costs this many bytes plus the message.
const entrySize = unsafe.Sizeof(entry{})

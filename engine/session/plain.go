package session

import "github.com/gannetmq/gannet/codec"

// AppendPlain is Deliver for the most frequent case: to a connected session that keeps nothing beyond its connection, with nothing
// of the client's own to say, no identifier, no group and no bound near. It appends the packet to dst. False: nothing was
// done, and Deliver must judge.
//
// It does what Deliver would do (TestPlainIsDeliver), at a fraction of the cost: most of a broker's time is spent here.
func (s *Session) AppendPlain(o *Outgoing, granted codec.QoS, retainAsPublished bool, dst []byte, room int) ([]byte, bool) {
	m := o.M
	if s.phase != connected || s.maxPacketSize != 0 || m.Expires != 0 || len(dst) >= room ||
		s.aliasMaximum > 0 && len(m.Topic) >= minAliasTopic || s.authorizer() != nil || s.mountPoint() != "" {
		return dst, false
	}
	qos, id := min(m.QoS, granted), uint16(0)
	if qos == codec.QoS0 {
		if s.more != nil && s.more.queue.qos0 > 0 {
			return dst, false
		}
	} else {
		if s.expiry > 0 || s.stored || s.open >= s.sendMaximum {
			return dst, false
		}
		x := s.extra()
		if x.queue.n > 0 || x.resend > 0 {
			return dst, false
		}
		seq := s.takeSeq()
		id = PacketID(seq)
		x.inflight.push(entry{seq: seq, qos: qos})
		s.open++
	}
	retain := retainAsPublished && m.Retain
	if !o.wide {
		o.delivery = codec.Delivery{Topic: m.Topic, Payload: m.Payload, Passthrough: m.Properties, PacketID: id, QoS: qos, Retain: retain}
		return codec.AppendDelivery(dst, s.version, &o.delivery), true
	}
	return o.appendForm(dst, s.version, qos, id, retain), true
}

// appendForm appends the remembered encoding with what differs between sessions filled in.
func (o *Outgoing) appendForm(dst []byte, v codec.Version, qos codec.QoS, id uint16, retain bool) []byte {
	f := o.form(v, qos)
	start := len(dst)
	dst = append(dst, o.buf[f.from:f.to]...)
	b := dst[start:]
	b[0] = byte(codec.TypePublish)<<4 | byte(qos)<<1
	if retain {
		b[0] |= 1
	}
	if qos > 0 {
		b[f.at], b[f.at+1] = byte(id>>8), byte(id)
	}
	return dst
}

// form returns the remembered encoding of the message for a version, with a Packet Identifier or without.
func (o *Outgoing) form(v codec.Version, qos codec.QoS) *form {
	v5, hasID := 0, 0
	if v == codec.V5 {
		v5 = 1
	}
	if qos > 0 {
		hasID = 1
	}
	f := &o.forms[v5][hasID]
	if f.to == 0 {
		m, d := o.M, &o.delivery
		*d = codec.Delivery{Topic: m.Topic, Payload: m.Payload, Passthrough: m.Properties, PacketID: 1, QoS: min(qos, codec.QoS1)}
		d.Expiry, d.HasExpiry = m.remaining(o.Now)
		f.from = len(o.buf)
		o.buf = codec.AppendDelivery(o.buf, v, d)
		f.to = len(o.buf)
		if hasID == 1 {
			f.at = headerSize(o.buf[f.from:]) + 2 + len(m.Topic)
		}
	}
	return f
}

package codec

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP: four packets of one layout.
type Ack struct {
	PacketID   uint16
	Reason     ReasonCode // 5.0 only
	Properties Properties // 5.0 only
}

// pubrelFlags are the fixed header flags of PUBREL, SUBSCRIBE and UNSUBSCRIBE
// [MQTT-3.6.1-1, MQTT-3.8.1-1, MQTT-3.10.1-1].
const pubrelFlags = 0x02

// ackFlags returns the fixed header flags of an acknowledgement.
func ackFlags(t PacketType) byte {
	if t == TypePubrel {
		return pubrelFlags
	}
	return 0
}

// Parse reads a packet of type t, which is one of the four. A 5.0 body of two
// bytes means Success, and one of three has no properties.
func (p *Ack) Parse(t PacketType, v Version, flags byte, body []byte) error {
	p.Reason = Success
	p.Properties.Reset()
	r := reader{rest: body, t: t, v: v}
	r.flags(flags, ackFlags(t))

	p.PacketID = r.packetID()
	if v == V5 && len(r.rest) > 0 {
		p.Reason = r.reason()
		if len(r.rest) > 0 {
			p.Properties.parse(&r, t, nil)
		}
	}
	return r.end()
}

// Append writes the packet as type t, in 5.0 as short as its content allows.
func (p *Ack) Append(dst []byte, t PacketType, v Version) []byte {
	if v != V5 || p.Reason == Success && p.Properties.Empty() {
		return AppendPubackShort(dst, t, p.PacketID)
	}
	dst, at := begin(dst, t, ackFlags(t))
	dst = append(appendUint16(dst, p.PacketID), byte(p.Reason))
	if !p.Properties.Empty() {
		dst = p.Properties.append(dst, t)
	}
	return seal(dst, at)
}

// AppendPubackShort writes the four bytes of a PUBACK, PUBREC, PUBREL or PUBCOMP
// that reports Success. They are the same in every version.
func AppendPubackShort(dst []byte, t PacketType, id uint16) []byte {
	return append(dst, byte(t)<<4|ackFlags(t), 2, byte(id>>8), byte(id))
}

package codec

// Unsuback is an UNSUBACK packet.
type Unsuback struct {
	PacketID   uint16
	Properties Properties // 5.0 only
	// Reasons has one code per Topic Filter, in their order [MQTT-3.11.3-1].
	// It is empty before 5.0. The slice is used again by the next Parse.
	Reasons []ReasonCode
}

// Parse reads an UNSUBACK.
func (p *Unsuback) Parse(v Version, flags byte, body []byte) error {
	p.Reasons = reuse(p.Reasons, scratchMax)
	p.Properties.Reset()
	r := reader{rest: body, t: TypeUnsuback, v: v}
	r.flags(flags, 0)

	p.PacketID = r.packetID()
	if v != V5 {
		return r.end()
	}
	p.Properties.parse(&r, TypeUnsuback, nil)
	for len(r.rest) > 0 {
		p.Reasons = append(p.Reasons, r.reason()) // [MQTT-3.11.3-2]
	}
	if len(p.Reasons) == 0 {
		r.fail(faultUnsubackEmpty.in(v)) // [MQTT-3.11.3-2]
	}
	return r.result()
}

// Append writes the packet, before 5.0 without Reasons.
func (p *Unsuback) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeUnsuback, 0)
	dst = appendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst, TypeUnsuback)
		for _, c := range p.Reasons {
			dst = append(dst, byte(c))
		}
	}
	return seal(dst, at)
}

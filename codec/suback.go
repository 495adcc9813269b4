package codec

// Suback is a SUBACK packet.
type Suback struct {
	PacketID   uint16
	Properties Properties // 5.0 only
	// Reasons has one code per Topic Filter, in their order [MQTT-3.9.3-1]:
	// the granted QoS or a failure, which before 5.0 is UnspecifiedError and
	// nothing else. The slice is used again by the next Parse.
	Reasons []ReasonCode
}

// Parse reads a SUBACK.
func (p *Suback) Parse(v Version, flags byte, body []byte) error {
	p.Reasons = reuse(p.Reasons, scratchMax)
	p.Properties.Reset()
	r := reader{rest: body, t: TypeSuback, v: v}
	r.flags(flags, 0)

	p.PacketID = r.packetID()
	if v == V5 {
		p.Properties.parse(&r, TypeSuback, nil)
	}
	for len(r.rest) > 0 {
		c := r.reason() // [MQTT-3.9.3-2]
		if v != V5 && c > GrantedQoS2 && c != UnspecifiedError {
			r.fail(reasonNotAllowed[TypeSuback].in(v)) // 3.1.1 [MQTT-3.9.3-2]
		}
		p.Reasons = append(p.Reasons, c)
	}
	if len(p.Reasons) == 0 {
		r.fail(faultSubackEmpty.in(v)) // 3.1.1 [MQTT-3.8.4-5], 5.0 [MQTT-3.8.4-6]
	}
	return r.result()
}

// Append writes the packet. Before 5.0 every failure is written as 0x80
// [MQTT-3.9.3-2].
func (p *Suback) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeSuback, 0)
	dst = appendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst, TypeSuback)
	}
	for _, c := range p.Reasons {
		if v != V5 && c > UnspecifiedError {
			c = UnspecifiedError
		}
		dst = append(dst, byte(c))
	}
	return seal(dst, at)
}

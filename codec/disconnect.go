package codec

// Disconnect is a DISCONNECT packet. Before 5.0 it has no content.
type Disconnect struct {
	Reason     ReasonCode
	Properties Properties
}

// Parse reads a DISCONNECT. An empty 5.0 body means Normal disconnection, and
// one of one byte has no properties.
func (p *Disconnect) Parse(v Version, flags byte, body []byte) error {
	p.Reason = NormalDisconnection
	p.Properties.Reset()
	r := reader{rest: body, t: TypeDisconnect, v: v}
	r.flags(flags, 0) // [MQTT-3.14.1-1]

	if v == V5 && len(r.rest) > 0 {
		p.Reason = r.reason() // [MQTT-3.14.2-1]
		if len(r.rest) > 0 {
			p.Properties.parse(&r, TypeDisconnect, nil)
		}
	}
	return r.end()
}

// Append writes the packet, in 5.0 as short as its content allows.
func (p *Disconnect) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeDisconnect, 0)
	switch {
	case v != V5 || p.Reason == NormalDisconnection && p.Properties.Empty():
		return dst
	case p.Properties.Empty():
		dst = append(dst, byte(p.Reason))
	default:
		dst = p.Properties.append(append(dst, byte(p.Reason)), TypeDisconnect)
	}
	return seal(dst, at)
}

package codec

// Unsubscribe is an UNSUBSCRIBE packet.
type Unsubscribe struct {
	PacketID   uint16
	Properties Properties // 5.0 only
	Filters    [][]byte   // at least one, valid strings; the slice is used again by the next Parse
}

// Parse reads an UNSUBSCRIBE. The syntax of a Topic Filter is not judged: one
// that is not valid matches no subscription.
func (p *Unsubscribe) Parse(v Version, flags byte, body []byte) error {
	p.Filters = reuse(p.Filters, filtersMax)
	p.Properties.Reset()
	r := reader{rest: body, t: TypeUnsubscribe, v: v}
	r.flags(flags, pubrelFlags)

	p.PacketID = r.packetID()
	if v == V5 {
		p.Properties.parse(&r, TypeUnsubscribe, nil)
	}
	for len(r.rest) > 0 {
		p.Filters = append(p.Filters, r.text(&textUnfilter)) // [MQTT-3.10.3-1]
	}
	if len(p.Filters) == 0 {
		r.fail(faultNoUnfilters.in(v)) // [MQTT-3.10.3-2]
	}
	return r.result()
}

// Append writes the packet.
func (p *Unsubscribe) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeUnsubscribe, pubrelFlags)
	dst = appendUint16(dst, p.PacketID)
	if v == V5 {
		dst = p.Properties.append(dst, TypeUnsubscribe)
	}
	for _, filter := range p.Filters {
		dst = appendBytes(dst, filter)
	}
	return seal(dst, at)
}

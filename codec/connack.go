package codec

// Connack is a CONNACK packet.
type Connack struct {
	SessionPresent bool              // always false in 3.1
	Reason         ReasonCode        // 5.0 only
	Return         ConnectReturnCode // 3.1 and 3.1.1 only
	Properties     Properties
}

const connackSessionPresent = 0x01

// Parse reads a CONNACK. The reserved byte of 3.1 is not looked at.
func (p *Connack) Parse(v Version, flags byte, body []byte) error {
	p.SessionPresent, p.Reason, p.Return = false, 0, 0
	p.Properties.Reset()
	r := reader{rest: body, t: TypeConnack, v: v}
	r.flags(flags, 0)

	acknowledge := r.byte()
	if v != V31 {
		if acknowledge&^connackSessionPresent != 0 {
			r.fail(faultConnackFlags.in(v)) // 5.0 [MQTT-3.2.2-1]
		}
		p.SessionPresent = acknowledge&connackSessionPresent != 0
	}
	if v == V5 {
		p.Reason = r.reason() // [MQTT-3.2.2-8]
		p.Properties.parse(&r, TypeConnack, nil)
	} else {
		p.Return = ConnectReturnCode(r.byte())
		if p.Return > RefusedNotAuthorized {
			r.fail(reasonNotAllowed[TypeConnack].in(v)) // 3.1.1 [MQTT-3.2.2-6]
		}
	}
	if p.SessionPresent && (p.Reason != Success || p.Return != Accepted) {
		r.fail(faultSessionOnRefusal.in(v)) // 3.1.1 [MQTT-3.2.2-4], 5.0 [MQTT-3.2.2-6]
	}
	return r.end()
}

// Append writes the packet: Reason and Properties for 5.0, Return otherwise.
func (p *Connack) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeConnack, 0)
	var acknowledge byte
	if p.SessionPresent && v != V31 {
		acknowledge = connackSessionPresent
	}
	if v == V5 {
		dst = append(dst, acknowledge, byte(p.Reason))
		dst = p.Properties.append(dst, TypeConnack)
	} else {
		dst = append(dst, acknowledge, byte(p.Return))
	}
	return seal(dst, at)
}

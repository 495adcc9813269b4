package codec

// Auth is an AUTH packet. It exists in 5.0 only.
type Auth struct {
	Reason     ReasonCode // Success, ContinueAuthentication or ReAuthenticate
	Properties Properties
}

// Parse reads an AUTH. The specification lets an empty body stand for Success
// without properties, and calls an AUTH without Authentication Method a protocol
// error; the empty body is let through here and anything longer must name a
// method.
func (p *Auth) Parse(v Version, flags byte, body []byte) error {
	p.Reason = Success
	p.Properties.Reset()
	if v != V5 {
		return errAuthVersion
	}
	r := reader{rest: body, t: TypeAuth, v: v}
	r.flags(flags, 0) // [MQTT-3.15.1-1]

	if len(r.rest) > 0 {
		p.Reason = r.reason() // [MQTT-3.15.2-1]
		p.Properties.parse(&r, TypeAuth, nil)
		if !p.Properties.Has(PropAuthenticationMethod) {
			r.fail(errAuthMethod)
		}
	}
	return r.end()
}

// Append writes the packet. v is V5; a caller with another version has no use
// for AUTH and gets dst back.
func (p *Auth) Append(dst []byte, v Version) []byte {
	if v != V5 {
		return dst
	}
	dst, at := begin(dst, TypeAuth, 0)
	if p.Reason != Success || !p.Properties.Empty() {
		dst = p.Properties.append(append(dst, byte(p.Reason)), TypeAuth)
	}
	return seal(dst, at)
}

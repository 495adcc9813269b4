package codec

// Connect is a CONNECT packet.
type Connect struct {
	Version    Version
	CleanStart bool   // Clean Session in 3.1 and 3.1.1
	KeepAlive  uint16 // seconds; 0 never times out
	ClientID   []byte // may be empty
	Properties Properties

	HasWill        bool
	WillQoS        QoS
	WillRetain     bool
	WillTopic      []byte
	WillPayload    []byte
	WillProperties Properties

	// WillPassthrough is to the Will what Publish.Passthrough is to a PUBLISH:
	// its encoded properties without Will Delay Interval and Message Expiry
	// Interval. Append ignores it.
	WillPassthrough []byte

	HasUserName, HasPassword bool
	UserName, Password       []byte

	// Bridge is the high bit of the level byte, by which a 3.1 or 3.1.1 client
	// says that it is a server. It is a widespread custom, not part of the
	// specification.
	Bridge bool

	pass gather // behind WillPassthrough
}

// The bits of the Connect Flags byte. Will QoS takes two of them.
const (
	connectReserved   = 0x01
	connectCleanStart = 0x02
	connectWill       = 0x04
	connectWillQoS    = 0x18
	connectWillRetain = 0x20
	connectPassword   = 0x40
	connectUserName   = 0x80

	connectWillQoSShift = 3
	bridgeBit           = 0x80
)

// Parse reads a CONNECT of any version and sets p.Version. An unknown Protocol
// Name [MQTT-3.1.2-1] or a version that this package does not know
// [MQTT-3.1.2-2] is an UnsupportedProtocolVersion error that leaves the raw level
// in p.Version; the statement tells the two apart.
//
// Slices of p point into body, or into scratch space of p.
func (p *Connect) Parse(flags byte, body []byte) error {
	p.reset()
	r := reader{rest: body, t: TypeConnect}
	name, level := r.binary(), r.byte()
	if r.err != nil {
		return r.err
	}
	p.Version = Version(level)
	switch string(name) {
	case "MQIsdp":
		r.v, p.Bridge = V31, level == byte(V31)|bridgeBit
	case "MQTT":
		r.v, p.Bridge = V311, level == byte(V311)|bridgeBit
		if p.Version == V5 {
			r.v = V5
		}
	default:
		return errProtocolName
	}
	if p.Version != r.v && !p.Bridge {
		return errProtocolVersion
	}
	p.Version = r.v
	r.flags(flags, 0)

	connectFlags := r.byte()
	p.parseFlags(&r, connectFlags)
	p.KeepAlive = r.uint16()
	if p.Version == V5 {
		p.Properties.parse(&r, TypeConnect, nil)
	}
	p.ClientID = r.text(&textClientID)
	if p.HasWill {
		p.parseWill(&r)
	}
	p.parseCredentials(&r)
	return r.end()
}

func (p *Connect) reset() {
	p.Properties.Reset()
	p.WillProperties.Reset()
	p.pass.reset()
	*p = Connect{Properties: p.Properties, WillProperties: p.WillProperties, pass: p.pass}
}

// parseFlags takes the Connect Flags apart and checks them against each other.
func (p *Connect) parseFlags(r *reader, flags byte) {
	p.CleanStart = flags&connectCleanStart != 0
	p.HasWill = flags&connectWill != 0
	p.HasUserName = flags&connectUserName != 0
	p.HasPassword = flags&connectPassword != 0
	willQoS, willRetain := QoS(flags&connectWillQoS>>connectWillQoSShift), flags&connectWillRetain != 0

	if flags&connectReserved != 0 {
		r.fail(faultConnectReserved.in(p.Version)) // [MQTT-3.1.2-3]
	}
	switch {
	case p.HasWill && willQoS > QoS2:
		r.fail(faultWillQoS.in(p.Version)) // 3.1.1 [MQTT-3.1.2-14], 5.0 [MQTT-3.1.2-12]
	case p.HasWill:
		p.WillQoS, p.WillRetain = willQoS, willRetain
	case p.Version == V31:
		// 3.1 disregards both bits without a Will.
	case willQoS != QoS0:
		r.fail(faultWillQoSWithoutWill.in(p.Version)) // 3.1.1 [MQTT-3.1.2-13], 5.0 [MQTT-3.1.2-11]
	case willRetain:
		r.fail(faultWillRetainNoWill.in(p.Version)) // 3.1.1 [MQTT-3.1.2-15], 5.0 [MQTT-3.1.2-13]
	}
	if p.HasPassword && !p.HasUserName && p.Version != V5 {
		r.fail(faultPasswordWithoutName.in(p.Version)) // 3.1.1 [MQTT-3.1.2-22]
	}
}

func (p *Connect) parseWill(r *reader) {
	if p.Version == V5 {
		p.WillPassthrough = p.WillProperties.parse(r, willProperties, &p.pass)
	}
	p.WillTopic = r.topicName(&textWillTopic, &faultWillTopicWildcard)
	if len(p.WillTopic) == 0 {
		r.fail(faultWillTopicEmpty.in(p.Version)) // [MQTT-4.7.3-1]
	}
	p.WillPayload = r.binary()
}

// parseCredentials reads what the flags announce. In 3.1 the Remaining Length
// overrules them: a body that ends here has no such field.
func (p *Connect) parseCredentials(r *reader) {
	if p.Version == V31 && len(r.rest) == 0 {
		p.HasUserName = false
	}
	if p.HasUserName {
		p.UserName = r.text(&textUserName)
	}
	if p.Version == V31 && len(r.rest) == 0 {
		p.HasPassword = false
	}
	if p.HasPassword {
		p.Password = r.binary()
	}
}

// Append writes the packet for version v; p.Version is not looked at.
func (p *Connect) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, TypeConnect, 0)
	level := byte(v)
	if p.Bridge && v != V5 {
		level |= bridgeBit
	}
	if v == V31 {
		dst = append(dst, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', level)
	} else {
		dst = append(dst, 0, 4, 'M', 'Q', 'T', 'T', level)
	}
	dst = appendUint16(append(dst, p.flags()), p.KeepAlive)
	if v == V5 {
		dst = p.Properties.append(dst, TypeConnect)
	}
	dst = appendBytes(dst, p.ClientID)
	if p.HasWill {
		if v == V5 {
			dst = p.WillProperties.append(dst, willProperties)
		}
		dst = appendBytes(appendBytes(dst, p.WillTopic), p.WillPayload)
	}
	if p.HasUserName {
		dst = appendBytes(dst, p.UserName)
	}
	if p.HasPassword {
		dst = appendBytes(dst, p.Password)
	}
	return seal(dst, at)
}

// flags builds the Connect Flags byte.
func (p *Connect) flags() byte {
	var flags byte
	if p.CleanStart {
		flags |= connectCleanStart
	}
	if p.HasWill {
		flags |= connectWill | byte(p.WillQoS)<<connectWillQoSShift
		if p.WillRetain {
			flags |= connectWillRetain
		}
	}
	if p.HasPassword {
		flags |= connectPassword
	}
	if p.HasUserName {
		flags |= connectUserName
	}
	return flags
}

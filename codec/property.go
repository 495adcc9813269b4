package codec

import (
	"iter"
	"math/bits"
)

// scratchMax is how many bytes of reused scratch space a packet keeps between
// two calls of Parse. A buffer that one odd packet made larger is let go.
const scratchMax = 64 << 10

// Properties holds the properties of any packet and of a Will. A field counts
// only if Has reports its property; the zero value holds none. Parse fills it;
// to build one by hand, assign fields and Set each.
//
// Slices of a parsed value are borrowed like those of its packet. Not safe for
// concurrent use.
type Properties struct {
	set uint64 // bit id is set when property id is present

	PayloadFormatIndicator  byte
	MessageExpiryInterval   uint32 // seconds
	ContentType             []byte
	ResponseTopic           []byte
	CorrelationData         []byte
	SubscriptionIdentifiers []uint32 // one in SUBSCRIBE, any number in PUBLISH; 1 to 268,435,455
	SessionExpiryInterval   uint32   // seconds; 0xFFFFFFFF never

	AssignedClientIdentifier   []byte
	ServerKeepAlive            uint16 // seconds
	AuthenticationMethod       []byte
	AuthenticationData         []byte
	RequestProblemInformation  byte
	WillDelayInterval          uint32 // seconds
	RequestResponseInformation byte
	ResponseInformation        []byte
	ServerReference            []byte
	ReasonString               []byte
	ReceiveMaximum             uint16 // packets
	TopicAliasMaximum          uint16
	TopicAlias                 uint16
	MaximumQoS                 byte
	RetainAvailable            byte
	User                       UserProperties
	MaximumPacketSize          uint32 // bytes of a whole packet

	WildcardSubscriptionAvailable   byte
	SubscriptionIdentifierAvailable byte
	SharedSubscriptionAvailable     byte

	users gather // behind User when the pairs do not touch on the wire
}

// Has reports whether the property is present.
func (p *Properties) Has(id PropertyID) bool { return p.set>>id&1 != 0 }

// Set marks the property as present, so that Append writes its field.
func (p *Properties) Set(id PropertyID) { p.set |= 1 << id }

// Empty reports whether no property is present.
func (p *Properties) Empty() bool { return p.set == 0 }

// Reset removes all properties and clears their fields, but keeps the capacity
// of slices up to a bound. It costs next to nothing when none is present.
func (p *Properties) Reset() {
	if p.set == 0 {
		return
	}
	p.users.reset()
	ids, users := reuse(p.SubscriptionIdentifiers, scratchMax/4), p.users
	*p = Properties{SubscriptionIdentifiers: ids, users: users}
}

// parse reads a Property Length and the properties after it, which belong to a
// packet of type t. With pass, which has been reset, it returns the encoded
// properties that a server forwards unchanged.
func (p *Properties) parse(r *reader, t PacketType, pass *gather) []byte {
	p.Reset()
	block := r.take(int(r.varint()))
	if len(block) == 0 {
		return nil
	}
	in := reader{rest: block, t: t, v: r.v}
	for len(in.rest) > 0 {
		start := len(block) - len(in.rest)
		id := p.parseOne(&in, t)
		if in.err != nil {
			r.fail(in.err)
			return nil
		}
		end := len(block) - len(in.rest)
		if id == PropUserProperty {
			p.users.add(block, start, end)
		}
		if pass != nil && notForwarded>>id&1 == 0 {
			pass.add(block, start, end)
		}
	}
	p.User = UserProperties(p.users.bytes(block))
	if p.Has(PropAuthenticationData) && !p.Has(PropAuthenticationMethod) {
		r.fail(errDataWithoutMethod)
	}
	if pass == nil {
		return nil
	}
	return pass.bytes(block)
}

// parseOne reads one identifier and its value.
func (p *Properties) parseOne(r *reader, t PacketType) PropertyID {
	// The identifier is a Variable Byte Integer. All defined ones take one byte,
	// and a longer one is unknown by its first byte.
	id := PropertyID(r.byte())
	switch {
	case !id.known():
		r.fail(errUnknownProperty)
	case allowed[t]>>id&1 == 0:
		r.fail(&misplaced[id])
	case p.Has(id) && !id.mayRepeat(t):
		r.fail(&duplicated[id])
	}
	if r.err != nil {
		return id
	}
	p.Set(id)
	switch kinds[id] {
	case kindByte:
		*p.byteField(id) = r.byte()
	case kindUint16:
		*p.uint16Field(id) = r.uint16()
	case kindUint32:
		*p.uint32Field(id) = r.uint32()
	case kindVarint:
		n := r.varint()
		if n == 0 {
			r.fail(errSubscriptionIDZero)
		}
		p.SubscriptionIdentifiers = append(p.SubscriptionIdentifiers, n)
	case kindString:
		*p.bytesField(id) = r.text(id.textFault())
	case kindBinary:
		*p.bytesField(id) = r.binary()
	case kindPair:
		r.text(&textUserProperty)
		r.text(&textUserProperty)
	}
	if r.err == nil {
		p.checkRange(r, id)
	}
	return id
}

// checkRange refuses values that no packet may carry.
func (p *Properties) checkRange(r *reader, id PropertyID) {
	switch id {
	case PropReceiveMaximum:
		if p.ReceiveMaximum == 0 {
			r.fail(errReceiveMaximumZero)
		}
	case PropMaximumPacketSize:
		if p.MaximumPacketSize == 0 {
			r.fail(errMaximumPacketSizeZero)
		}
	case PropTopicAlias:
		if p.TopicAlias == 0 {
			r.fail(errTopicAliasZero)
		}
	case PropResponseTopic:
		if len(p.ResponseTopic) == 0 {
			r.fail(errResponseTopicEmpty)
		} else if !ValidTopicName(p.ResponseTopic) {
			r.fail(errResponseTopicWildcard)
		}
	default:
		if kinds[id] == kindByte && *p.byteField(id) > 1 {
			r.fail(&notBoolean[id])
		}
	}
}

// append writes Property Length and properties in the order of their
// identifiers. User properties keep their order.
func (p *Properties) append(dst []byte, t PacketType) []byte {
	if p.set&^allowed[t] != 0 {
		panic("codec: property not allowed in " + t.String())
	}
	dst = append(dst, 0)
	at := len(dst) - 1
	for set := p.set; set != 0; set &= set - 1 {
		id := PropertyID(bits.TrailingZeros64(set))
		switch kinds[id] {
		case kindByte:
			dst = append(dst, byte(id), *p.byteField(id))
		case kindUint16:
			dst = appendUint16(append(dst, byte(id)), *p.uint16Field(id))
		case kindUint32:
			dst = appendUint32(append(dst, byte(id)), *p.uint32Field(id))
		case kindVarint:
			for _, n := range p.SubscriptionIdentifiers {
				dst = appendVarint(append(dst, byte(id)), n)
			}
		case kindString, kindBinary:
			dst = appendBytes(append(dst, byte(id)), *p.bytesField(id))
		case kindPair:
			dst = append(dst, p.User...)
		}
	}
	return seal(dst, at)
}

// UserProperties holds User Properties in their encoded form, each one the byte
// 0x26, the name and the value, in their order on the wire. In a parsed packet
// it is borrowed like every other slice.
type UserProperties []byte

// All yields name and value of each pair in order. The slices point into u. It
// stops at the first byte that does not begin a whole pair.
func (u UserProperties) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		r := reader{rest: u}
		for len(r.rest) > 0 && PropertyID(r.byte()) == PropUserProperty {
			name, value := r.binary(), r.binary()
			if r.err != nil || !yield(name, value) {
				return
			}
		}
	}
}

// AppendUserProperty adds a pair behind those in u, growing it as append does.
// Name and value are UTF-8 strings of at most 65,535 bytes each [MQTT-1.5.7-1].
func AppendUserProperty(u UserProperties, name, value []byte) UserProperties {
	u = append(u, byte(PropUserProperty))
	return appendBytes(appendBytes(u, name), value)
}

// gather joins ranges of one buffer in order. As long as they touch, the result
// is borrowed from the buffer; once they do not, it is copied into scratch space
// that is used again after reset.
type gather struct {
	start, end int
	apart      bool
	scratch    []byte
}

func (g *gather) reset() {
	*g = gather{scratch: reuse(g.scratch, scratchMax)}
}

func (g *gather) add(b []byte, start, end int) {
	switch {
	case g.apart:
		g.scratch = append(g.scratch, b[start:end]...)
	case g.start == g.end:
		g.start, g.end = start, end
	case g.end == start:
		g.end = end
	default:
		g.apart = true
		g.scratch = append(g.scratch[:0], b[g.start:g.end]...)
		g.scratch = append(g.scratch, b[start:end]...)
	}
}

// bytes returns what was joined, or nil. b is the buffer given to add.
func (g *gather) bytes(b []byte) []byte {
	switch {
	case g.apart:
		return g.scratch
	case g.start == g.end:
		return nil
	}
	return b[g.start:g.end:g.end]
}

// reuse empties s and keeps its memory unless there is more of it than limit
// elements.
func reuse[T any](s []T, limit int) []T {
	if cap(s) > limit {
		return nil
	}
	return s[:0]
}

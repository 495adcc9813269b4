package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gannetmq/gannet/codec"
)

// Encoding: plain byte slices, put together by tests, well-formed or not.

// cat joins its parts.
func cat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func u16(n int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }
func u32(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// str is a string or binary field: its length in two bytes, then its bytes.
func str(s string) []byte { return append(u16(len(s)), s...) }

// varint is a Variable Byte Integer in its shortest form.
func varint(n int) []byte {
	var b []byte
	for {
		d := byte(n & 0x7f)
		if n >>= 7; n == 0 {
			return append(b, d)
		}
		b = append(b, d|0x80)
	}
}

// block is a property length and the properties.
func block(props []byte) []byte { return append(varint(len(props)), props...) }

// framed puts a fixed header before the parts of a body.
func framed(first byte, parts ...[]byte) []byte {
	body := cat(parts...)
	return cat([]byte{first}, varint(len(body)), body)
}

// prop encodes one property from an int or a string, by the type that properties.tsv gives it.
func prop(id codec.PropertyID, value any) []byte {
	switch kind := theTables.properties[byte(id)].kind; kind {
	case "Byte":
		return []byte{byte(id), byte(value.(int))}
	case "Two Byte Integer":
		return append([]byte{byte(id)}, u16(value.(int))...)
	case "Four Byte Integer":
		return append([]byte{byte(id)}, u32(value.(int))...)
	case "Variable Byte Integer":
		return append([]byte{byte(id)}, varint(value.(int))...)
	case "UTF-8 Encoded String", "Binary Data":
		return append([]byte{byte(id)}, str(value.(string))...)
	default:
		panic(fmt.Sprintf("property 0x%02x has type %q", byte(id), kind))
	}
}

// pair encodes a User Property.
func pair(name, value string) []byte {
	return cat([]byte{byte(codec.PropUserProperty)}, str(name), str(value))
}

// hello is a CONNECT. The zero value has a Clean Start, no Keep Alive, and a Client Identifier that no other test uses.
type hello struct {
	id          string
	emptyID     bool
	resume      bool // Clean Start 0
	keepAlive   int
	props       []byte
	will        *will
	user, pass  string
	hasPassword bool // with pass "" too
}

type will struct {
	topic, payload string
	qos            codec.QoS
	retain         bool
	props          []byte
}

func (h *hello) encode(v codec.Version) []byte {
	var flags byte
	if !h.resume {
		flags |= 0x02
	}
	tail := str(h.id)
	if w := h.will; w != nil {
		flags |= 0x04 | byte(w.qos)<<3
		if w.retain {
			flags |= 0x20
		}
		if v == codec.V5 {
			tail = cat(tail, block(w.props))
		}
		tail = cat(tail, str(w.topic), str(w.payload))
	}
	if h.user != "" {
		flags |= 0x80
		tail = cat(tail, str(h.user))
	}
	if h.pass != "" || h.hasPassword {
		flags |= 0x40
		tail = cat(tail, str(h.pass))
	}
	return connectPacket(v, flags, h.keepAlive, h.props, tail)
}

// connectPacket is a CONNECT from its parts, which need not fit together.
func connectPacket(v codec.Version, flags byte, keepAlive int, props, payload []byte) []byte {
	name := "MQTT"
	if v == codec.V31 {
		name = "MQIsdp"
	}
	head := cat(str(name), []byte{byte(v), flags}, u16(keepAlive))
	if v == codec.V5 {
		head = cat(head, block(props))
	}
	return framed(0x10, head, payload)
}

// message is a PUBLISH.
type message struct {
	topic, payload string
	qos            codec.QoS
	retain, dup    bool
	id             uint16
	props          []byte
}

func (m *message) encode(v codec.Version) []byte {
	first := byte(0x30) | byte(m.qos)<<1
	if m.retain {
		first |= 0x01
	}
	if m.dup {
		first |= 0x08
	}
	head := str(m.topic)
	if m.qos > 0 {
		head = cat(head, u16(int(m.id)))
	}
	if v == codec.V5 {
		head = cat(head, block(m.props))
	}
	return framed(first, head, []byte(m.payload))
}

// filter is an entry of SUBSCRIBE: the options byte is the QoS in 3.x.
type filter struct {
	name    string
	options byte
}

// Bits of the options byte of 5.0, to be added to the QoS.
const (
	noLocal           = 0x04
	retainAsPublished = 0x08
	retainIfNew       = 0x10
	retainNever       = 0x20
)

func subscribePacket(v codec.Version, id int, props []byte, filters ...filter) []byte {
	body := u16(id)
	if v == codec.V5 {
		body = cat(body, block(props))
	}
	for _, f := range filters {
		body = cat(body, str(f.name), []byte{f.options})
	}
	return framed(0x82, body)
}

func unsubscribePacket(v codec.Version, id int, filters ...string) []byte {
	body := u16(id)
	if v == codec.V5 {
		body = cat(body, block(nil))
	}
	for _, f := range filters {
		body = cat(body, str(f))
	}
	return framed(0xa2, body)
}

// ackPacket is a packet of the PUBACK family in its short form, or with a code in 5.0.
func ackPacket(kind codec.PacketType, id uint16, code codec.ReasonCode) []byte {
	first := byte(kind) << 4
	if kind == codec.TypePubrel {
		first |= 0x02
	}
	if code == codec.Success {
		return framed(first, u16(int(id)))
	}
	return framed(first, u16(int(id)), []byte{byte(code)})
}

func disconnectPacket(code codec.ReasonCode, props ...[]byte) []byte {
	return framed(0xe0, []byte{byte(code)}, block(cat(props...)))
}

func authPacket(code codec.ReasonCode, props ...[]byte) []byte {
	return framed(0xf0, []byte{byte(code)}, block(cat(props...)))
}

var (
	pingreq       = []byte{0xc0, 0}
	disconnectNow = []byte{0xe0, 0}
)

// Decoding, strict: anything but the one right form is an error.

// packet is what the server sent.
type packet struct {
	kind    codec.PacketType
	flags   byte
	size    int // of the whole packet in bytes
	id      uint16
	present bool // Session Present
	code    codec.ReasonCode
	codes   []codec.ReasonCode // SUBACK, UNSUBACK
	topic   string
	alias   bool // the topic was given by alias alone
	payload string
	props   []property
}

type property struct {
	id          codec.PropertyID
	number      int
	name, value string
}

func (p *packet) qos() codec.QoS { return codec.QoS(p.flags >> 1 & 3) }
func (p *packet) dup() bool      { return p.flags&0x08 != 0 }
func (p *packet) retain() bool   { return p.flags&0x01 != 0 }

func (p *packet) all(id codec.PropertyID) (found []property) {
	for _, x := range p.props {
		if x.id == id {
			found = append(found, x)
		}
	}
	return found
}

func (p *packet) has(id codec.PropertyID) bool { return len(p.all(id)) > 0 }

// number is the value of an integer property, or fallback.
func (p *packet) number(id codec.PropertyID, fallback int) int {
	for _, x := range p.all(id) {
		return x.number
	}
	return fallback
}

// text is the value of a string or binary property, or "".
func (p *packet) text(id codec.PropertyID) string {
	for _, x := range p.all(id) {
		return x.value
	}
	return ""
}

func (p *packet) String() string {
	s := p.kind.String()
	switch p.kind {
	case codec.TypePublish:
		s += fmt.Sprintf(" %q %q qos=%d id=%d dup=%v retain=%v", short(p.topic), short(p.payload), p.qos(), p.id, p.dup(), p.retain())
	case codec.TypeSuback, codec.TypeUnsuback:
		s += fmt.Sprintf(" id=%d codes=%s", p.id, hex(p.codes))
	default:
		s += fmt.Sprintf(" id=%d code=0x%02x", p.id, byte(p.code))
	}
	if why := p.text(codec.PropReasonString); why != "" {
		s += fmt.Sprintf(" (%s)", why)
	}
	return s
}

func short(s string) string {
	if len(s) > 60 {
		return s[:60] + "..."
	}
	return s
}

// fields reads a body from its beginning. The first fault stays in err.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) fail(format string, args ...any) {
	if f.err == nil {
		f.err = fmt.Errorf(format, args...)
	}
	f.rest = nil
}

func (f *fields) bytes(n int) []byte {
	if len(f.rest) < n {
		f.fail("body ends %d bytes early", n-len(f.rest))
		return make([]byte, n)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) u8() byte       { return f.bytes(1)[0] }
func (f *fields) u16() int       { return int(binary.BigEndian.Uint16(f.bytes(2))) }
func (f *fields) u32() int       { return int(binary.BigEndian.Uint32(f.bytes(4))) }
func (f *fields) binary() string { return string(f.bytes(f.u16())) }

func (f *fields) text() string {
	s := f.binary()
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		f.fail("string %q is not well-formed", s)
	}
	return s
}

func (f *fields) varint() int {
	n := 0
	for i := range 4 {
		d := f.u8()
		n |= int(d&0x7f) << (7 * i)
		if d&0x80 == 0 {
			if d == 0 && i > 0 {
				f.fail("variable byte integer in %d bytes is not the shortest form", i+1)
			}
			return n
		}
	}
	f.fail("variable byte integer of more than 4 bytes")
	return 0
}

// properties reads a property block of a packet of that kind, by the rules of properties.tsv.
func (f *fields) properties(kind codec.PacketType) (props []property) {
	in := fields{rest: f.bytes(f.varint())}
	for len(in.rest) > 0 && in.err == nil {
		id := codec.PropertyID(in.u8())
		rule, known := theTables.properties[byte(id)]
		switch {
		case !known:
			in.fail("unknown property 0x%02x", byte(id))
			continue
		case !slices.Contains(rule.packets, kind.String()):
			in.fail("%s in %s", rule.name, kind)
		case rule.repeats != "yes" && !(rule.repeats == "PUBLISH-only" && kind == codec.TypePublish) &&
			slices.ContainsFunc(props, func(p property) bool { return p.id == id }):
			in.fail("%s twice", rule.name)
		}
		p := property{id: id}
		switch rule.kind {
		case "Byte":
			if p.number = int(in.u8()); p.number > 1 {
				in.fail("%s is %d", rule.name, p.number)
			}
		case "Two Byte Integer":
			p.number = in.u16()
		case "Four Byte Integer":
			p.number = in.u32()
		case "Variable Byte Integer":
			p.number = in.varint()
		case "UTF-8 Encoded String":
			p.value = in.text()
		case "Binary Data":
			p.value = in.binary()
		case "UTF-8 String Pair":
			p.name, p.value = in.text(), in.text()
		}
		props = append(props, p)
	}
	if in.err != nil {
		f.fail("%w", in.err)
	}
	return props
}

// decode reads one packet that a server of version v may send.
func decode(v codec.Version, first byte, body []byte) (*packet, error) {
	p := &packet{kind: codec.PacketType(first >> 4), flags: first & 0x0f}
	f := fields{rest: body}
	five := v == codec.V5
	wantFlags := byte(0)
	switch p.kind {
	case codec.TypeConnack:
		ack := f.u8()
		if ack > 1 {
			f.fail("acknowledge flags 0x%02x", ack)
		}
		p.present, p.code = ack == 1, codec.ReasonCode(f.u8())
		if five {
			p.props = f.properties(p.kind)
		} else if p.code > 5 {
			f.fail("return code %d", p.code)
		}
	case codec.TypePublish:
		wantFlags = p.flags
		p.topic = f.text()
		switch p.qos() {
		case 0:
			if p.dup() {
				f.fail("DUP with QoS 0")
			}
		case 1, 2:
			p.id = uint16(f.u16())
		default:
			f.fail("QoS 3")
		}
		if five {
			p.props = f.properties(p.kind)
		}
		p.payload, f.rest = string(f.rest), nil
	case codec.TypePubrel, codec.TypePuback, codec.TypePubrec, codec.TypePubcomp:
		if p.kind == codec.TypePubrel {
			wantFlags = 2
		}
		p.id = uint16(f.u16())
		if five && len(f.rest) > 0 {
			p.code = codec.ReasonCode(f.u8())
			if len(f.rest) > 0 {
				p.props = f.properties(p.kind)
			}
		}
	case codec.TypeSuback, codec.TypeUnsuback:
		p.id = uint16(f.u16())
		if five {
			p.props = f.properties(p.kind)
		}
		if five || p.kind == codec.TypeSuback {
			for _, c := range f.rest {
				p.codes = append(p.codes, codec.ReasonCode(c))
			}
			if f.rest = nil; len(p.codes) == 0 {
				f.fail("no codes")
			}
		}
	case codec.TypePingresp:
	case codec.TypeDisconnect, codec.TypeAuth:
		if !five {
			return nil, fmt.Errorf("%s to a client of version %s", p.kind, v)
		}
		if len(f.rest) > 0 {
			p.code = codec.ReasonCode(f.u8())
			if len(f.rest) > 0 {
				p.props = f.properties(p.kind)
			}
		}
	default:
		return nil, fmt.Errorf("%s from a server", p.kind)
	}
	if f.err == nil && len(f.rest) > 0 {
		f.fail("%d bytes left over", len(f.rest))
	}
	if f.err == nil && p.flags != wantFlags {
		f.fail("fixed header flags %04b", p.flags)
	}
	if f.err != nil {
		return nil, fmt.Errorf("%s: %w", p.kind, f.err)
	}
	return p, checkCodes(v, p)
}

// checkCodes holds reason codes against reason-codes.tsv.
func checkCodes(v codec.Version, p *packet) error {
	codes := p.codes
	switch p.kind {
	case codec.TypeConnack, codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp, codec.TypeDisconnect, codec.TypeAuth:
		codes = []codec.ReasonCode{p.code}
	}
	for _, c := range codes {
		switch {
		case v == codec.V5 && !theTables.codeAllowed(c, p.kind):
			return fmt.Errorf("%s with code 0x%02x", p.kind, byte(c))
		case v != codec.V5 && p.kind == codec.TypeSuback && c > 2 && c != 0x80:
			return fmt.Errorf("SUBACK with code 0x%02x to a client of version %s", byte(c), v)
		}
	}
	return nil
}

var errNotMinimal = errors.New("remaining length is not in its shortest form")

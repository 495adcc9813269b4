package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// formatVersion counts changes of keys or values that older programs cannot read. It is written when a store is made
// and checked when it is opened. Older stores are brought up to it then, see upgrade.go.
//
//	1  a key for each delivery
//	2  deliveries in chunks; State.Group
const formatVersion = 2

// Values. Numbers are varints, strings are their length and their bytes; what stands last has no length.
//
//	message   flags topic [properties] [expires] [from] payload      flags: QoS, retain, which of [] are there
//	chunk     (distance flags [ids] size (length message | id))...   flags: QoS, retain, ids there, message inside, released
//	state     version flags expiry expiresAt sentUpTo userName [group] clientID
//	options   flags identifier                                       flags: QoS, no local, as published, handling
//	will      flags delay [expiry] due message

var errTruncated = errors.New("value ends early")

const (
	flagQoS    = 0x03
	flagRetain = 0x04

	messageProperties = 0x08
	messageExpires    = 0x10
	messageFrom       = 0x20

	stateConnected = 0x01
	stateGroup     = 0x02

	optionNoLocal     = 0x04
	optionAsPublished = 0x08
	optionHandling    = 4 // shift

	willHasExpiry = 0x01
)

func appendMessage(dst []byte, m *session.Message) []byte {
	flags := byte(m.QoS) & flagQoS
	if m.Retain {
		flags |= flagRetain
	}
	if len(m.Properties) > 0 {
		flags |= messageProperties
	}
	if m.Expires != 0 {
		flags |= messageExpires
	}
	if m.From != 0 {
		flags |= messageFrom
	}
	dst = appendString(append(dst, flags), m.Topic)
	if len(m.Properties) > 0 {
		dst = appendString(dst, m.Properties)
	}
	if m.Expires != 0 {
		dst = binary.AppendVarint(dst, int64(m.Expires))
	}
	if m.From != 0 {
		dst = binary.AppendUvarint(dst, m.From)
	}
	return append(dst, m.Payload...)
}

// parseMessage returns a kept message: a copy of what is in b.
func parseMessage(b []byte) (*session.Message, error) {
	r := reader{b: b}
	flags := r.byte()
	m := session.Message{QoS: codec.QoS(flags & flagQoS), Retain: flags&flagRetain != 0, Topic: r.string()}
	if flags&messageProperties != 0 {
		m.Properties = r.string()
	}
	if flags&messageExpires != 0 {
		m.Expires = session.Time(r.signed())
	}
	if flags&messageFrom != 0 {
		m.From = r.number()
	}
	m.Payload = r.rest()
	if r.err != nil {
		return nil, fmt.Errorf("message: %w", r.err)
	}
	return m.Keep(), nil
}

// messageLength is how many bytes appendMessage appends.
func messageLength(m *session.Message) int {
	n := 1 + uvarintLength(uint64(len(m.Topic))) + m.Size()
	if len(m.Properties) > 0 {
		n += uvarintLength(uint64(len(m.Properties)))
	}
	if m.Expires != 0 {
		n += uvarintLength(uint64(m.Expires)<<1 ^ uint64(m.Expires>>63)) // as a signed one is written
	}
	if m.From != 0 {
		n += uvarintLength(m.From)
	}
	return n
}

func uvarintLength(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }

func appendState(dst []byte, st *session.State) []byte {
	var flags byte
	if st.Connected {
		flags |= stateConnected
	}
	if st.Group != "" {
		flags |= stateGroup
	}
	dst = append(dst, byte(st.Version), flags)
	dst = binary.AppendUvarint(dst, uint64(st.Expiry))
	dst = binary.AppendVarint(dst, int64(st.ExpiresAt))
	dst = binary.AppendUvarint(dst, st.SentUpTo)
	dst = appendString(dst, st.UserName)
	if st.Group != "" {
		dst = appendString(dst, st.Group)
	}
	return append(dst, st.ClientID...)
}

func parseState(b []byte) (*session.State, error) {
	r := reader{b: b}
	version, flags := r.byte(), r.byte()
	st := &session.State{Version: codec.Version(version), Connected: flags&stateConnected != 0}
	st.Expiry, st.ExpiresAt, st.SentUpTo = uint32(r.number()), session.Time(r.signed()), r.number()
	st.UserName = string(r.string())
	if flags&stateGroup != 0 {
		st.Group = string(r.string())
	}
	st.ClientID = string(r.rest())
	if r.err != nil {
		return nil, fmt.Errorf("session: %w", r.err)
	}
	return st, nil
}

func appendOptions(dst []byte, o session.SubscriptionOptions) []byte {
	flags := byte(o.QoS)&flagQoS | o.RetainHandling<<optionHandling
	if o.NoLocal {
		flags |= optionNoLocal
	}
	if o.RetainAsPublished {
		flags |= optionAsPublished
	}
	return binary.AppendUvarint(append(dst, flags), uint64(o.Identifier))
}

func parseOptions(b []byte) (session.SubscriptionOptions, error) {
	r := reader{b: b}
	flags := r.byte()
	o := session.SubscriptionOptions{QoS: codec.QoS(flags & flagQoS), NoLocal: flags&optionNoLocal != 0,
		RetainAsPublished: flags&optionAsPublished != 0, RetainHandling: flags >> optionHandling, Identifier: uint32(r.number())}
	if r.err != nil {
		return o, fmt.Errorf("subscription: %w", r.err)
	}
	return o, nil
}

func appendWill(dst []byte, w *session.Will) []byte {
	var flags byte
	if w.HasExpiry {
		flags |= willHasExpiry
	}
	dst = binary.AppendUvarint(append(dst, flags), uint64(w.DelaySeconds))
	if w.HasExpiry {
		dst = binary.AppendUvarint(dst, uint64(w.ExpirySeconds))
	}
	return appendMessage(binary.AppendVarint(dst, int64(w.Due)), w.Message)
}

func parseWill(b []byte) (*session.Will, error) {
	r := reader{b: b}
	w := &session.Will{HasExpiry: r.byte()&willHasExpiry != 0, DelaySeconds: uint32(r.number())}
	if w.HasExpiry {
		w.ExpirySeconds = uint32(r.number())
	}
	w.Due = session.Time(r.signed())
	if r.err != nil {
		return nil, fmt.Errorf("will: %w", r.err)
	}
	var err error
	if w.Message, err = parseMessage(r.rest()); err != nil {
		return nil, fmt.Errorf("will: %w", err)
	}
	return w, nil
}

func appendString[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// reader takes a value apart. After the first error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail() {
	r.b, r.err = nil, errTruncated
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) number() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) signed() int64 {
	x, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return x
}

func (r *reader) string() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) rest() []byte {
	s := r.b
	r.b = nil
	return s
}

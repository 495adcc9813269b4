package persist

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// formatVersion counts changes of keys or values that older programs cannot read. It is written when a store is made
// and checked when it is opened. This program reads all formats up to it and writes only this one:
//
//	1
//	2  State.Group; the size of a message beside the id of it
const formatVersion = 2

// Values. Numbers are varints, strings are their length and their bytes; what stands last has no length.
//
//	message   flags topic [properties] [expires] [from] payload      flags: QoS, retain, which of [] are there
//	owed      flags [ids] (message | [size] id:8)                    flags: QoS, retain, ids there, message inside, size there
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

	owedIDs    = 0x08
	owedInline = 0x10
	owedSized  = 0x20 // always there, but not in format 1

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

// appendOwed encodes a QueuePut. id is of the message's own key; 0 puts the message inside.
func appendOwed(dst []byte, r *session.Record, id uint64) []byte {
	flags := byte(r.QoS) & flagQoS
	if r.Retain {
		flags |= flagRetain
	}
	if len(r.IDs) > 0 {
		flags |= owedIDs
	}
	if id == 0 {
		flags |= owedInline
	} else {
		flags |= owedSized
	}
	dst = append(dst, flags)
	if len(r.IDs) > 0 {
		dst = binary.AppendUvarint(dst, uint64(len(r.IDs)))
		for _, x := range r.IDs {
			dst = binary.AppendUvarint(dst, uint64(x))
		}
	}
	if id == 0 {
		return appendMessage(dst, r.Message)
	}
	dst = binary.AppendUvarint(dst, uint64(r.Message.Size()))
	return binary.BigEndian.AppendUint64(dst, id)
}

// owed is the message of a queue entry.
type owed struct {
	id     uint64 // of the message's own key; 0: it is inline
	inline []byte // encoded
	size   int    // of the message; -1: unknown
}

// parseOwed fills r except for the message.
func parseOwed(b []byte, r *session.Record) (o owed, err error) {
	d := reader{b: b}
	flags := d.byte()
	r.QoS, r.Retain = codec.QoS(flags&flagQoS), flags&flagRetain != 0
	if flags&owedIDs != 0 {
		n := d.number()
		if n > uint64(len(d.b)) {
			return o, fmt.Errorf("owed: %w", errTruncated)
		}
		r.IDs = make([]uint32, n)
		for i := range r.IDs {
			r.IDs[i] = uint32(d.number())
		}
	}
	if flags&owedInline != 0 {
		o.inline = d.rest()
		o.size = messageSize(o.inline)
	} else {
		o.size = -1
		if flags&owedSized != 0 {
			o.size = int(min(d.number(), math.MaxInt32))
		}
		if b := d.rest(); len(b) == 8 {
			o.id = binary.BigEndian.Uint64(b)
		} else {
			d.err = errTruncated
		}
	}
	if d.err != nil {
		return o, fmt.Errorf("owed: %w", d.err)
	}
	return o, nil
}

// messageSize is the Size of the encoded message, -1 if it cannot be read.
func messageSize(b []byte) int {
	r := reader{b: b}
	flags := r.byte()
	size := len(r.string())
	if flags&messageProperties != 0 {
		size += len(r.string())
	}
	if flags&messageExpires != 0 {
		r.signed()
	}
	if flags&messageFrom != 0 {
		r.number()
	}
	if size += len(r.rest()); r.err != nil {
		return -1
	}
	return size
}

// owedID returns only the id of the message an owed value refers to, 0 if it is inside.
func owedID(b []byte) uint64 {
	if len(b) < 9 || b[0]&owedInline != 0 {
		return 0
	}
	return binary.BigEndian.Uint64(b[len(b)-8:])
}

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

package session

import "github.com/gannetmq/gannet/codec"

// Message is one application message.
//
// A Message made from a packet borrows its slices from the read buffer and lives as long as
// that packet is processed. Whoever keeps it calls Keep, which copies it once for all keepers, or
// takes the payload where it lies if that is in a Body. A kept Message is immutable and may be
// shared between goroutines.
type Message struct {
	Topic      []byte
	Payload    []byte
	Properties []byte // encoded properties that are forwarded unchanged, in order
	Expires    Time   // 0 = never
	From       uint64 // ID of the publishing session; 0 = none
	QoS        codec.QoS
	Retain     bool

	// StoreID is where a Store keeps a message that several sessions are owed. Only the Store reads and writes it, from one
	// goroutine, and only of kept messages that came in a QueuePut. A copy that Keep makes starts without.
	StoreID uint64

	// Body is the memory that Payload lies in, if more can be made of it than to read it now: nil for a read buffer and for a kept message.
	Body *Body

	kept bool
	copy *Message // what Keep made
}

// IsSys tells whether a Topic Name is one of those that only the server itself publishes to [4.7.2].
func IsSys(topic []byte) bool {
	const sys = "$SYS/"
	return len(topic) >= len(sys) && bytesAsString(topic[:len(sys)]) == sys
}

// Keep returns an immutable copy that outlives the read buffer. The first call copies; later calls, and
// calls on the copy, return the same Message. The payload of a large packet is not copied, but taken out of use with its Body.
func (m *Message) Keep() *Message {
	if m.kept {
		return m
	}
	if m.copy == nil {
		c := *m
		c.kept, c.StoreID, c.Body = true, 0, nil
		size := len(m.Topic) + len(m.Properties)
		if !m.Body.keep(len(m.Payload)) {
			size += len(m.Payload)
			c.Payload = nil
		}
		b := make([]byte, 0, size)
		b = append(b, m.Topic...)
		t := len(b)
		b = append(b, m.Properties...)
		p := len(b)
		c.Topic, c.Properties = b[:t:t], b[t:p:p]
		if c.Payload == nil {
			c.Payload = append(b, m.Payload...)[p:]
		}
		m.copy = &c
	}
	return m.copy
}

// Lasts tells whether the payload stays readable after the packet was processed, for who is a user of the Body, if there is one.
func (m *Message) Lasts() bool { return m.kept || m.Body != nil }

// Size is what the message counts against byte bounds.
func (m *Message) Size() int { return len(m.Topic) + len(m.Properties) + len(m.Payload) }

// Expired tells whether the Message Expiry Interval has run out [MQTT-3.3.2-5].
func (m *Message) Expired(now Time) bool { return m.Expires != 0 && now >= m.Expires }

// remaining is the interval to forward: what was received minus whole seconds waited [MQTT-3.3.2-6].
func (m *Message) remaining(now Time) (seconds uint32, has bool) {
	if m.Expires == 0 {
		return 0, false
	}
	left := m.Expires - now
	if left <= 0 {
		return 0, true
	}
	return uint32((left + 999) / 1000), true
}

// Outgoing is one message on its way to many sessions at one instant. It remembers the encoding that
// most of them share. Owned by one goroutine; Reset before each message.
type Outgoing struct {
	M   *Message
	Now Time

	forms [2][2]form // [5.0?][has packet id?]
	buf   []byte
	wide  bool

	delivery codec.Delivery // scratch
}

// form is an encoded PUBLISH inside buf; at is where its Packet Identifier stands, from its start.
type form struct{ from, to, at int }

// Reset starts a new message. wide says that several sessions will get it, so that encodings are worth remembering.
func (o *Outgoing) Reset(m *Message, now Time, wide bool) {
	o.M, o.Now, o.wide = m, now, wide
	if len(o.buf) > 0 {
		o.forms = [2][2]form{}
		o.buf = o.buf[:0]
		if cap(o.buf) > 256<<10 {
			o.buf = nil
		}
	}
}

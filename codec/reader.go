package codec

// reader walks over the body of a packet. Its first error sticks and every later
// read returns zero, so a Parse method is a straight line of fields that asks for
// the error once at its end.
type reader struct {
	rest []byte
	t    PacketType
	v    Version
	err  *Error
}

// fail records e unless an earlier error is on record.
func (r *reader) fail(e *Error) {
	if r.err == nil {
		r.err = e
	}
	r.rest = nil
}

func (r *reader) short() { r.fail(&truncated[r.t]) }

func (r *reader) byte() byte {
	if len(r.rest) < 1 {
		r.short()
		return 0
	}
	c := r.rest[0]
	r.rest = r.rest[1:]
	return c
}

func (r *reader) uint16() uint16 {
	if len(r.rest) < 2 {
		r.short()
		return 0
	}
	n := uint16(r.rest[0])<<8 | uint16(r.rest[1])
	r.rest = r.rest[2:]
	return n
}

func (r *reader) uint32() uint32 {
	if len(r.rest) < 4 {
		r.short()
		return 0
	}
	n := uint32(r.rest[0])<<24 | uint32(r.rest[1])<<16 | uint32(r.rest[2])<<8 | uint32(r.rest[3])
	r.rest = r.rest[4:]
	return n
}

func (r *reader) varint() uint32 {
	n, width := varint(r.rest)
	switch {
	case width == 0:
		r.short()
		return 0
	case width < 0:
		r.fail(errVarint)
		return 0
	}
	r.rest = r.rest[width:]
	return n
}

// take cuts off the next n bytes.
func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.short()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// binary reads Binary Data: two bytes of length, then the bytes.
func (r *reader) binary() []byte {
	return r.take(int(r.uint16()))
}

// text reads a UTF-8 Encoded String. 3.1 is lenient about UTF-8.
func (r *reader) text(f *textFault) []byte {
	b := r.binary()
	if v := judgeString(b, r.v == V31); v != sound {
		r.refuse(v, f)
	}
	return b
}

// topicName reads a UTF-8 Encoded String that must not contain wildcards.
func (r *reader) topicName(f *textFault, wildcard *fault) []byte {
	b := r.binary()
	if v := judgeTopicName(b, r.v == V31); v == hasWildcard {
		r.fail(wildcard.in(r.v))
	} else if v != sound {
		r.refuse(v, f)
	}
	return b
}

func (r *reader) refuse(v verdict, f *textFault) {
	if v == hasNUL {
		r.fail(f.nul.in(r.v))
		return
	}
	r.fail(f.illFormed.in(r.v))
}

// packetID reads a Packet Identifier, which is never 0.
func (r *reader) packetID() uint16 {
	id := r.uint16()
	if id == 0 {
		r.fail(packetIDZero[r.t].in(r.v))
	}
	return id
}

// reason reads a Reason Code that the packet may carry.
func (r *reader) reason() ReasonCode {
	c := ReasonCode(r.byte())
	if r.err == nil && !c.AllowedIn(r.t) {
		r.fail(reasonNotAllowed[r.t].in(r.v))
	}
	return c
}

// flags checks the reserved fixed header flags, which are zero in most packets.
// 3.1 clients may set DUP in several of them, and 3.1 has no rule against other
// bits either.
func (r *reader) flags(got, want byte) {
	if got != want && r.v != V31 {
		r.fail(reservedFlags[r.t].in(r.v))
	}
}

// end refuses what is left over and returns the packet's error.
func (r *reader) end() error {
	if len(r.rest) > 0 {
		r.fail(&trailing[r.t])
	}
	return r.result()
}

// result returns the error on record as an interface that is nil if there is none.
func (r *reader) result() error {
	if r.err != nil {
		return r.err
	}
	return nil
}

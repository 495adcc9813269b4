package codec

// maxVarint is the largest Variable Byte Integer: four bytes of seven bits.
const maxVarint = 1<<28 - 1

// Frame is one packet cut off a byte stream, its body not yet looked at.
type Frame struct {
	Type  PacketType
	Flags byte   // the low four bits of the first byte
	Body  []byte // Variable Header and Payload, borrowed from the input
	Size  int    // bytes of the whole packet: Fixed Header and Body
}

// Next cuts the first packet off b and reports how long it is:
//
//	+-----------+------------------------+---------- … -+
//	| type:4    | Remaining Length       | Body         |
//	| flags:4   | 1 to 4 bytes, 7 bits   |              |
//	|           | each, low ones first   |              |
//	+-----------+------------------------+---------- … -+
//
// A complete packet has f.Size > 0 and the caller goes on at b[f.Size:]. With
// f.Size == 0 and no error the packet is not all there; need is its whole size in
// bytes once the length has arrived, else 0. Type and Flags are set as soon as
// the first byte is there.
//
// limit bounds the size of the whole packet in bytes, 0 meaning MaxPacketSize. A
// larger packet is refused with PacketTooLarge [MQTT-3.2.2-15] on the strength of
// its header alone. Packet type 0, and a length of five bytes or with needless
// bytes [MQTT-1.5.5-1], are a MalformedPacket.
func Next(b []byte, limit uint32) (f Frame, need int, err error) {
	if len(b) == 0 {
		return Frame{}, 0, nil
	}
	f.Type, f.Flags = PacketType(b[0]>>4), b[0]&15
	if f.Type == 0 {
		return f, 0, errTypeZero
	}
	length, width := varint(b[1:])
	switch {
	case width == 0:
		return f, 0, nil
	case width < 0:
		return f, 0, errRemainingLength
	}
	size := 1 + width + int(length)
	if limit != 0 && uint64(size) > uint64(limit) {
		return f, 0, errPacketTooLarge
	}
	if size > len(b) {
		return f, size, nil
	}
	f.Body, f.Size = b[1+width:size:size], size
	return f, size, nil
}

// varint reads a Variable Byte Integer and reports how many bytes it takes: 0
// when b ends too early, -1 when it is longer than four bytes or than necessary
// [MQTT-1.5.5-1].
func varint(b []byte) (value uint32, width int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint32(b[0]), 1
	}
	return longVarint(b)
}

func longVarint(b []byte) (value uint32, width int) {
	for i, c := range b[:min(len(b), 4)] {
		value |= uint32(c&0x7f) << (7 * i)
		if c < 0x80 {
			if c == 0 && i > 0 {
				return 0, -1
			}
			return value, i + 1
		}
	}
	if len(b) >= 4 {
		return 0, -1
	}
	return 0, 0
}

// varintSize returns how many bytes appendVarint writes for n, which is at most
// maxVarint.
func varintSize(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	}
	return 4
}

// appendVarint writes n in its shortest form [MQTT-1.5.5-1].
func appendVarint(dst []byte, n uint32) []byte {
	if n > maxVarint {
		panic("codec: variable byte integer above 268435455")
	}
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendUint16(dst []byte, n uint16) []byte {
	return append(dst, byte(n>>8), byte(n))
}

func appendUint32(dst []byte, n uint32) []byte {
	return append(dst, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}

// appendBytes writes a UTF-8 Encoded String or Binary Data: two bytes of length,
// then b.
func appendBytes(dst, b []byte) []byte {
	if len(b) > 0xffff {
		panic("codec: string or binary data above 65535 bytes")
	}
	return append(appendUint16(dst, uint16(len(b))), b...)
}

// begin writes the first byte of a packet and leaves room for a Remaining Length
// of one byte. The body is appended next, then seal is called with the returned
// position.
func begin(dst []byte, t PacketType, flags byte) (opened []byte, at int) {
	dst = append(dst, byte(t)<<4|flags, 0)
	return dst, len(dst) - 1
}

// seal writes how many bytes follow dst[at] into that byte, and moves them up
// when their count takes more than the one byte left for it. It serves Remaining
// Length and Property Length alike.
func seal(dst []byte, at int) []byte {
	n := len(dst) - at - 1
	if n > maxVarint {
		panic("codec: packet above 268435455 bytes")
	}
	if n < 0x80 {
		dst[at] = byte(n)
		return dst
	}
	extra := varintSize(n) - 1
	dst = append(dst, 0, 0, 0)[:len(dst)+extra]
	copy(dst[at+1+extra:], dst[at+1:at+1+n])
	appendVarint(dst[:at], uint32(n))
	return dst
}

package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Frame header, RFC 6455 section 5.2. All numbers are in network byte order; the mask is there in frames from the Client
// only.
//
//	byte 0           byte 1             0, 2 or 8 bytes            0 or 4     n bytes
//	+-+-+-+-+-------+-+---------------+--------------------------+----------+---------…
//	|F|R|R|R|opcode |M| n, if n < 126 | n, if < 64 KiB or longer | mask     | payload
//	+-+-+-+-+-------+-+---------------+--------------------------+----------+---------…
//	                    126: 2 bytes follow, 127: 8 bytes follow
const (
	bitFin         = 0x80
	bitsReserved   = 0x70
	bitControl     = 0x08
	bitMask        = 0x80
	length16       = 126
	length64       = 127
	lengthSignBits = 1 << 63 // must be zero
)

// Opcode is what a frame is.
type Opcode uint8

// The opcodes. The others are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

func (o Opcode) control() bool { return o&bitControl != 0 }

// CloseCode says in a close frame why the connection ends.
type CloseCode uint16

// Those that a Server of MQTT has a use for [RFC 6455 section 7.4.1].
const (
	NormalClosure   CloseCode = 1000
	GoingAway       CloseCode = 1001 // the Server shuts down
	ProtocolError   CloseCode = 1002
	UnsupportedData CloseCode = 1003 // text
	InvalidPayload  CloseCode = 1007 // a reason that is not UTF-8
	PolicyViolation CloseCode = 1008
	MessageTooBig   CloseCode = 1009
	InternalError   CloseCode = 1011
	TryAgainLater   CloseCode = 1013
)

// mayTravel tells whether a peer may send the code: those defined for the wire, and those that libraries and
// applications choose.
func (c CloseCode) mayTravel() bool {
	return c >= 1000 && c <= 1003 || c >= 1007 && c <= 1014 || c >= 3000 && c <= 4999
}

// Bounds of a frame.
const (
	controlBytesMax = 125       // payload of a control frame [RFC 6455 section 5.5]
	frameBytesMax   = 512 << 20 // payload of any other frame from the Client

	// HeaderBytesMax is how much AppendHeader adds at most.
	HeaderBytesMax = 10
)

// AppendHeader adds the header of a whole, unmasked frame with n bytes of payload, which the caller appends.
func AppendHeader(dst []byte, o Opcode, n int) []byte {
	dst = append(dst, bitFin|byte(o))
	switch {
	case n < length16:
		return append(dst, byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, length16), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, length64), uint64(n))
	}
}

// AppendClose adds a close frame. The reason is for people; what does not fit is cut off. Code 0 makes a frame without
// payload, and without the reason.
func AppendClose(dst []byte, code CloseCode, reason string) []byte {
	if code == 0 {
		return AppendHeader(dst, Close, 0)
	}
	const reasonBytesMax = controlBytesMax - 2
	if len(reason) > reasonBytesMax {
		n := reasonBytesMax
		for n > 0 && !utf8.RuneStart(reason[n]) {
			n--
		}
		reason = reason[:n]
	}
	dst = AppendHeader(dst, Close, 2+len(reason))
	return append(binary.BigEndian.AppendUint16(dst, uint16(code)), reason...)
}

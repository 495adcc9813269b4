package websocket

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Error is a Client's mistake. The values are declared below and shared.
type Error struct {
	Code    CloseCode // what the Client is told
	Message string
}

func (e *Error) Error() string { return "websocket: " + e.Message }

// ErrClosed says that the Client has closed the WebSocket connection, which is no mistake.
var ErrClosed = errors.New("websocket: closed by the client")

var (
	errReserved     = &Error{ProtocolError, "frame: reserved bits set, but no extension was agreed on"}
	errOpcode       = &Error{ProtocolError, "frame: unknown opcode"}
	errText         = &Error{UnsupportedData, "frame: text, but MQTT is binary [MQTT-6.0.0-1]"}
	errContinuation = &Error{ProtocolError, "frame: continues a message that has not begun"}
	errInterrupted  = &Error{ProtocolError, "frame: begins a message before the last one has ended"}
	errNoMask       = &Error{ProtocolError, "frame: not masked"}
	errLength       = &Error{ProtocolError, "frame: length with needless bytes, or negative"}
	errTooBig       = &Error{MessageTooBig, "frame: too large"}
	errControl      = &Error{ProtocolError, "control frame: in parts, or longer than 125 bytes"}
	errCloseCode    = &Error{ProtocolError, "close frame: no such code"}
	errCloseReason  = &Error{InvalidPayload, "close frame: reason is not UTF-8"}
)

// Reader takes the frames of one Client apart, however they are cut into chunks. The zero value stands at the first
// frame. Owned by one event loop.
//
// There is one for each connection, so it is small: a header that arrives in pieces is consumed byte by byte and leaves
// nothing behind but what was learned from it. The payload of a control frame is the only thing that must be whole
// before it can be answered, and the only thing that is ever kept.
type Reader struct {
	control    *[controlBytesMax]byte // the beginning of a control frame's payload; nil unless some of it is missing
	left       uint64                 // payload of this frame that is still to come; in a length, its value so far
	mask       [4]byte                // turned, so that mask[0] belongs to the next byte
	at         place
	opcode     Opcode // of this frame
	got        uint8  // bytes that are there of the length, the mask, or of control
	fragmented bool   // a message has begun, and its last frame has not
}

// place is what the next byte belongs to. In this order: all of a header comes before inData.
type place uint8

const (
	atOpcode place = iota
	atLength
	inLength16
	inLength64
	inMask
	inData
	inControl
	nowhere // nothing is read any more
)

// Read consumes b, which holds the next bytes from the Client, and returns the application data in it: what the payloads
// of its frames are without their masks, in one piece, possibly empty. data lies in b, which is overwritten: payload is
// unmasked where it is, and moved together when there is more than one frame in b. Answers to pings and to a close frame
// are appended to out, in the order of the questions, and out is returned.
//
// An error ends the connection: the close frame for it is in out, and what came before it is in data. It is an *Error
// or ErrClosed, which every later call returns, without any effect. Read keeps neither slice. It allocates only when a
// control frame is cut in its middle.
func (r *Reader) Read(b, out []byte) (data, answers []byte, err error) {
	start, end := 0, 0 // of data
	for i := 0; i < len(b) && r.at != nowhere; {
		if r.at < inData {
			if err := r.header(b[i]); err != nil {
				r.end()
				return b[start:end:end], AppendClose(out, err.Code, err.Message), err
			}
			i++
		}
		if r.at < inData {
			continue
		}
		piece := b[i : i+int(min(r.left, uint64(len(b)-i)))]
		r.unmask(piece)
		i += len(piece)
		switch {
		case r.at == inControl:
			if payload, whole := r.gather(piece); whole {
				if out, err = r.answer(payload, out); err != nil {
					return b[start:end:end], out, err
				}
			}
		case start == end:
			start, end = i-len(piece), i
		default:
			end += copy(b[end:], piece)
		}
		if r.left == 0 {
			r.at = atOpcode
		}
	}
	if r.at == nowhere {
		return nil, out, ErrClosed
	}
	return b[start:end:end], out, nil
}

// header takes one byte of a header. Each rule is enforced as soon as the byte that breaks it is there.
func (r *Reader) header(c byte) *Error {
	switch r.at {
	case atOpcode:
		return r.first(c)
	case atLength:
		return r.second(c)
	case inLength16, inLength64:
		r.left = r.left<<8 | uint64(c)
		r.got++
		if size := 2 << (2 * (r.at - inLength16)); int(r.got) < size {
			return nil
		}
		return r.length()
	default:
		r.mask[r.got] = c
		if r.got++; r.got == 4 {
			r.got, r.at = 0, inData
			if r.opcode.control() {
				r.at = inControl
			}
		}
		return nil
	}
}

func (r *Reader) first(c byte) *Error {
	if c&bitsReserved != 0 {
		return errReserved
	}
	fin := c&bitFin != 0
	switch r.opcode = Opcode(c & 0x0F); r.opcode {
	case Binary:
		if r.fragmented {
			return errInterrupted
		}
		r.fragmented = !fin
	case Continuation:
		if !r.fragmented {
			return errContinuation
		}
		r.fragmented = !fin
	case Close, Ping, Pong: // may stand between the parts of a message
		if !fin {
			return errControl
		}
	case Text:
		return errText
	default:
		return errOpcode
	}
	r.at = atLength
	return nil
}

func (r *Reader) second(c byte) *Error {
	if c&bitMask == 0 {
		return errNoMask
	}
	r.left, r.got = uint64(c&^bitMask), 0
	switch {
	case r.left < length16:
		r.at = inMask
		return nil
	case r.opcode.control():
		return errControl
	case r.left == length16:
		r.left, r.at = 0, inLength16
	default:
		r.left, r.at = 0, inLength64
	}
	return nil
}

// length judges a length of several bytes when it is whole.
func (r *Reader) length() *Error {
	switch {
	case r.at == inLength16 && r.left < length16, r.at == inLength64 && r.left <= 0xFFFF, r.left&lengthSignBits != 0:
		return errLength
	case r.left > frameBytesMax:
		return errTooBig
	}
	r.got, r.at = 0, inMask
	return nil
}

// unmask takes the mask off the next piece of the payload.
func (r *Reader) unmask(piece []byte) {
	ws.Cipher(piece, r.mask, 0)
	if r.left -= uint64(len(piece)); r.left > 0 {
		binary.BigEndian.PutUint32(r.mask[:], turn(binary.BigEndian.Uint32(r.mask[:]), len(piece)))
	}
}

// turn moves the mask on by n bytes.
func turn(mask uint32, n int) uint32 {
	bits := n % 4 * 8
	return mask<<bits | mask>>(32-bits)
}

// gather collects the payload of a control frame. It is whole at once unless the chunk ended within it.
func (r *Reader) gather(piece []byte) (payload []byte, whole bool) {
	if r.control == nil {
		if r.left == 0 {
			return piece, true
		}
		r.control = new([controlBytesMax]byte)
	}
	r.got += uint8(copy(r.control[r.got:], piece))
	if r.left > 0 {
		return nil, false
	}
	payload, r.control = r.control[:r.got], nil
	return payload, true
}

// answer reacts to a whole control frame.
func (r *Reader) answer(payload, out []byte) ([]byte, error) {
	switch r.opcode {
	case Ping:
		return append(AppendHeader(out, Pong, len(payload)), payload...), nil
	case Pong: // nobody asked, which is allowed
		return out, nil
	}
	r.end()
	if len(payload) == 0 {
		return AppendClose(out, 0, ""), ErrClosed
	}
	err := errCloseCode
	if len(payload) >= 2 {
		code := CloseCode(binary.BigEndian.Uint16(payload))
		valid := code.mayTravel()
		if valid && utf8.Valid(payload[2:]) {
			return AppendClose(out, code, ""), ErrClosed
		}
		if valid {
			err = errCloseReason
		}
	}
	return AppendClose(out, err.Code, err.Message), err
}

func (r *Reader) end() { *r = Reader{at: nowhere} }

package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha1" // what RFC 6455 asks for; it protects nothing
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/textproto"
	"strings"
)

// webClients makes the WebSocket layers of the clients of one run. Not safe for
// concurrent use.
type webClients struct {
	// mask is one masking key, over and over. RFC 6455 wants a new one for each frame
	// for the sake of proxies that believe what strangers write; there is none here,
	// and a broker has the same work with any key.
	mask [1 << 10]byte
	host string // of the handshake; empty: localhost
	path string // of it; empty: /mqtt
}

func newWebClients() *webClients {
	k := &webClients{}
	rand.Read(k.mask[:4])
	for i := 4; i < len(k.mask); i *= 2 {
		copy(k.mask[i:], k.mask[:i])
	}
	return k
}

func (k *webClients) layer() layer { return &webLayer{clients: k} }

// webLayer is the client's end of one WebSocket.
type webLayer struct {
	clients  *webClients
	key      string // of the handshake
	upgraded bool
	within   bool   // a message has begun and not ended
	closing  bool   // the server has sent its last frame
	kept     []byte // the beginning of the answer, or of a frame
}

const (
	headMax  = 8 << 10 // bytes of the answer to the handshake
	frameMax = 2 << 20 // bytes of one frame's payload
)

// The opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

func (w *webLayer) begin(wire []byte) ([]byte, error) {
	var nonce [16]byte
	rand.Read(nonce[:])
	w.key = base64.StdEncoding.EncodeToString(nonce[:])
	return append(wire, "GET "+cmp.Or(w.clients.path, "/mqtt")+" HTTP/1.1\r\nHost: "+cmp.Or(w.clients.host, "localhost")+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Key: "+w.key+"\r\n\r\n"...), nil
}

func (w *webLayer) open() bool { return w.upgraded && !w.closing }

// send makes one frame of all packets.
func (w *webLayer) send(wire, packets []byte) ([]byte, error) {
	return w.clients.appendFrame(wire, opBinary, packets), nil
}

// appendFrame appends a masked frame.
//
//	 0                1                2 or 4 or 10
//	┌────────────────┬────────────────┬─────┬─────────────┐
//	│ final, opcode  │ masked, length │ key │ payload ^ key │
//	└────────────────┴────────────────┴─────┴─────────────┘
func (k *webClients) appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	dst = append(dst, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		dst = append(dst, 0x80|byte(n))
	case n <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, 0x80|126), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, 0x80|127), uint64(n))
	}
	dst = append(dst, k.mask[:4]...)
	at := len(dst)
	dst = append(dst, payload...)
	for rest := dst[at:]; len(rest) > 0; {
		rest = rest[subtle.XORBytes(rest, rest, k.mask[:]):]
	}
	return dst
}

func (w *webLayer) receive(in, wire, raw []byte) (packets, answer []byte, err error) {
	if w.closing {
		return in, wire, nil // the end of TCP follows
	}
	w.kept = append(w.kept, raw...)
	rest := w.kept
	if !w.upgraded {
		end := bytes.Index(rest, []byte("\r\n\r\n"))
		switch {
		case end < 0 && len(rest) > headMax:
			return in, wire, errors.New("WebSocket: the answer does not end")
		case end < 0:
			return in, wire, nil
		}
		if err := w.accepted(rest[:end+4]); err != nil {
			return in, wire, err
		}
		w.upgraded = true
		rest = rest[end+4:]
	}
	for !w.closing {
		f, size, err := nextFrame(rest)
		if err != nil {
			return in, wire, err
		}
		if size == 0 {
			break
		}
		if in, wire, err = w.frame(in, wire, f); err != nil {
			return in, wire, err
		}
		rest = rest[size:]
	}
	w.kept = append(w.kept[:0], rest...)
	return in, wire, nil
}

// accepted judges the answer to the handshake.
func (w *webLayer) accepted(head []byte) error {
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(head)))
	status, err := r.ReadLine()
	if err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	if !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		return fmt.Errorf("WebSocket: refused: %q", status)
	}
	fields, err := r.ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("WebSocket: %w", err)
	}
	sum := sha1.Sum([]byte(w.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if got := fields.Get("Sec-WebSocket-Accept"); got != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("WebSocket: Sec-WebSocket-Accept %q does not answer the key", got)
	}
	if got := fields.Get("Sec-WebSocket-Protocol"); got != "mqtt" {
		return fmt.Errorf("WebSocket: subprotocol %q instead of mqtt", got)
	}
	return nil
}

// frame is a whole frame from a server, the payload borrowed.
type frame struct {
	final   bool
	opcode  byte
	payload []byte
}

// nextFrame reads the frame at the beginning of b. size is 0 if it is not complete.
func nextFrame(b []byte) (f frame, size int, err error) {
	if len(b) < 2 {
		return f, 0, nil
	}
	if b[0]&0x70 != 0 || b[1]&0x80 != 0 {
		return f, 0, fmt.Errorf("WebSocket: frame begins with %#x %#x", b[0], b[1])
	}
	at, n := 2, uint64(b[1])
	switch n {
	case 126:
		at = 4
	case 127:
		at = 10
	}
	if len(b) < at {
		return f, 0, nil
	}
	switch n {
	case 126:
		n = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		n = binary.BigEndian.Uint64(b[2:])
	}
	if n > frameMax {
		return f, 0, fmt.Errorf("WebSocket: frame of %d bytes", n)
	}
	if size = at + int(n); len(b) < size {
		return f, 0, nil
	}
	return frame{b[0]&0x80 != 0, b[0] & 0x0F, b[at:size]}, size, nil
}

// frame appends the packets in f to in, or the answer to f to wire.
func (w *webLayer) frame(in, wire []byte, f frame) (packets, answer []byte, err error) {
	switch {
	case f.opcode == opBinary && !w.within, f.opcode == opContinuation && w.within:
		w.within = !f.final
		in = append(in, f.payload...)
	case f.opcode == opPing:
		wire = w.clients.appendFrame(wire, opPong, f.payload)
	case f.opcode == opPong:
	case f.opcode == opClose:
		w.closing = true
		wire = w.clients.appendFrame(wire, opClose, f.payload)
	default:
		err = fmt.Errorf("WebSocket: unexpected frame with opcode %#x", f.opcode)
	}
	return in, wire, err
}

func (w *webLayer) end() {}

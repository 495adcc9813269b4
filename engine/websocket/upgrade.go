package websocket

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DefaultHeaderBytesMax is the default of Options.HeaderBytesMax: room for the cookies of a browser.
const DefaultHeaderBytesMax = 8 << 10

// Options says which requests a listener upgrades. The zero value upgrades every one that asks for MQTT over WebSocket.
// Safe for concurrent use while nobody changes it.
type Options struct {
	// Path is the path that a request must have, such as "/mqtt", compared byte by byte; a query behind it is ignored.
	// Empty: any. Another path is answered with 404.
	Path string

	// Origins are the origins that a browser's page may come from, such as "https://example.org", compared without regard
	// to case and a slash at the end; "*" stands for all of them. Empty: any. Another origin is answered with 403. A request without an origin
	// is not from a page and is let through: the list protects browsers from pages, not the broker from programs.
	Origins []string

	// HeaderBytesMax bounds the request in bytes, from its first line to the empty one. A longer one is answered with 431.
	// Default: 8 KiB.
	HeaderBytesMax int

	// AddressHeader names the field in which a proxy says whom it speaks for, see Request.ClientAddr. Only this one is
	// looked at: a proxy hands on, as it came, any other that a client made up. "Forwarded" is read as RFC 7239 defines
	// it, every other as a list of addresses. Default: "X-Forwarded-For".
	AddressHeader string
}

// Validate returns an error that names the first field with an impossible value.
func (o *Options) Validate() error {
	if o.Path != "" && (o.Path[0] != '/' || strings.ContainsAny(o.Path, " ?#\r\n\t")) {
		return fmt.Errorf("websocket path %q: not of the form /path", o.Path)
	}
	for _, origin := range o.Origins {
		if origin == "" {
			return errors.New("websocket origin: empty")
		}
	}
	if o.HeaderBytesMax != 0 && o.HeaderBytesMax < 256 {
		return fmt.Errorf("websocket header bytes: %d is less than 256, which no browser keeps to", o.HeaderBytesMax)
	}
	if o.AddressHeader != "" && !isToken([]byte(o.AddressHeader)) {
		return fmt.Errorf("websocket address header %q: not the name of a header field", o.AddressHeader)
	}
	return nil
}

// Request is what became of the bytes given to Upgrade.
type Request struct {
	Status   int    // 0: more is needed; 101: upgraded; else refused with this HTTP status, and the connection ends
	Reason   string // why it was refused, for a log; nothing of it comes from the client
	Size     int    // bytes of the request, when it was upgraded: frames follow, perhaps already in the same chunk
	Protocol string // the subprotocol agreed on, "mqtt" or "mqttv3.1"

	header        []byte // the lines behind the first, borrowed
	addressHeader string
}

// Upgrade looks at everything that has arrived from a new connection, b, and appends to dst the answer, when there is
// one. While r.Status is 0 it wants to be called again with more behind the same bytes, which never happens once there are
// Options.HeaderBytesMax of them. Nothing behind the request is looked at. The Request borrows from b.
func (o *Options) Upgrade(dst, b []byte) (answer []byte, r Request) {
	h, no := o.cut(b)
	if h == nil && no == nil {
		return dst, r
	}
	if no == nil {
		no = o.judge(h)
	}
	if no != nil {
		return no.append(dst), Request{Status: no.status, Reason: no.reason}
	}
	r = Request{Status: 101, Size: h.size, Protocol: h.protocol.String(), header: h.lines, addressHeader: o.AddressHeader}
	return appendAccept(dst, h), r
}

// refusal is an answer that ends the connection. The values are declared below and shared.
type refusal struct {
	status int
	phrase string
	fields string // further lines of the answer
	reason string
}

func badRequest(reason string) *refusal { return &refusal{400, "Bad Request", "", reason} }

const upgradeFields = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

var (
	refuseTLS      = badRequest("a TLS handshake, but this port speaks plain HTTP and WebSocket")
	refuseMQTT     = badRequest("an MQTT packet, but this port speaks MQTT over WebSocket")
	refuseGarbage  = badRequest("not an HTTP request")
	refuseLine     = badRequest("request line: malformed")
	refuseVersion  = badRequest("request line: not HTTP/1.1")
	refuseField    = badRequest("header: malformed field")
	refuseRepeated = badRequest("header: a field that may be there once is repeated")
	refuseHost     = badRequest("header: no Host")
	refuseBody     = badRequest("request: with a body")
	refuseKey      = badRequest("Sec-WebSocket-Key: not 16 bytes in base64")
	refuseProtocol = badRequest("Sec-WebSocket-Protocol: mqtt is not offered")
	refuseMethod   = &refusal{405, "Method Not Allowed", "Allow: GET\r\n", "request line: method is not GET"}
	refusePath     = &refusal{404, "Not Found", "", "no MQTT at this path"}
	refuseOrigin   = &refusal{403, "Forbidden", "", "Origin: not allowed here"}
	refusePlain    = &refusal{426, "Upgrade Required", upgradeFields, "this port speaks MQTT over WebSocket"}
	refuseOld      = &refusal{426, "Upgrade Required", upgradeFields, "Sec-WebSocket-Version: not 13"}
	refuseLong     = &refusal{431, "Request Header Fields Too Large", "", "header: too large"}
)

func (no *refusal) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(no.status), 10)
	dst = append(append(dst, ' '), no.phrase...)
	dst = append(dst, "\r\nContent-Type: text/plain; charset=utf-8\r\n"...)
	dst = append(append(dst, no.fields...), "Connection: "...)
	if no.status == 426 {
		dst = append(dst, "Upgrade, "...)
	}
	dst = strconv.AppendInt(append(dst, "close\r\nContent-Length: "...), int64(len(no.reason)+1), 10)
	dst = append(append(dst, "\r\n\r\n"...), no.reason...)
	return append(dst, '\n')
}

// appendAccept answers 101, with the proof that the request was read by somebody who knows WebSocket [RFC 6455
// section 4.2.2].
func appendAccept(dst []byte, h *head) []byte {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	var text [keyBytes + len(guid)]byte
	copy(text[copy(text[:], h.key):], guid)
	sum := sha1.Sum(text[:])
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	dst = append(append(dst, "\r\nSec-WebSocket-Protocol: "...), h.protocol.String()...)
	return append(dst, "\r\n\r\n"...)
}

// cut finds the end of the request in b and reads it. It returns neither when more is needed.
func (o *Options) cut(b []byte) (*head, *refusal) {
	if len(b) == 0 {
		return nil, nil
	}
	switch first := b[0]; { // what is no HTTP at all need not run into a time-out
	case first == 0x16:
		return nil, refuseTLS
	case first == 0x10:
		return nil, refuseMQTT
	case first < 'A' || first > 'Z':
		return nil, refuseGarbage
	}
	limit := o.HeaderBytesMax
	if limit == 0 {
		limit = DefaultHeaderBytesMax
	}
	size := bytes.Index(b[:min(limit, len(b))], []byte("\r\n\r\n")) + 4
	switch {
	case size >= 4:
		return parseHead(b[:size])
	case len(b) >= limit:
		return nil, refuseLong
	}
	return nil, nil
}

// judge answers a request that is well-formed.
func (o *Options) judge(h *head) *refusal {
	switch {
	case o.Path != "" && string(h.path) != o.Path:
		return refusePath
	case !h.upgrade || !h.connection:
		return refusePlain
	case string(h.version) != "13":
		return refuseOld
	case !validKey(h.key):
		return refuseKey
	case !o.mayCome(h.origin):
		return refuseOrigin
	case h.protocol == noProtocol: // [MQTT-6.0.0-3]
		return refuseProtocol
	}
	return nil
}

func (o *Options) mayCome(origin []byte) bool {
	if len(o.Origins) == 0 || origin == nil {
		return true
	}
	for _, allowed := range o.Origins {
		if allowed == "*" || equalFold(origin, strings.TrimSuffix(allowed, "/")) {
			return true
		}
	}
	return false
}

const keyBytes = 24 // 16 bytes in base64

func validKey(key []byte) bool {
	var nonce [18]byte
	if len(key) != keyBytes {
		return false
	}
	n, err := base64.StdEncoding.Decode(nonce[:], key)
	return err == nil && n == 16
}

package websocket

import (
	"bytes"
	"strings"
)

// head is an HTTP request without a body. Its slices borrow from what it was parsed from.
type head struct {
	size       int
	path       []byte
	lines      []byte // the fields, each ended by CRLF
	host       []byte // nil: none, as with those below
	key        []byte
	version    []byte
	origin     []byte
	upgrade    bool // Upgrade names websocket
	connection bool // Connection names upgrade
	protocol   protocol
}

// protocol is a subprotocol, the better the larger.
type protocol uint8

const (
	noProtocol protocol = iota
	mqttV31             // "mqttv3.1": how clients of MQTT 3.1 called it
	mqtt
)

func (p protocol) String() string { return [...]string{"", "mqttv3.1", "mqtt"}[p] }

// parseHead reads b, which ends with an empty line and has no other. It is strict where a proxy before us could
// understand a lenient reading differently: no bare CR or LF, no folded lines, no blank before a colon, no body.
func parseHead(b []byte) (*head, *refusal) {
	h := &head{size: len(b)}
	first, lines, _ := bytes.Cut(b, []byte("\r\n"))
	if no := h.requestLine(first); no != nil {
		return nil, no
	}
	h.lines = lines[:len(lines)-2]
	for rest := h.lines; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := cutField(line)
		if !ok {
			return nil, refuseField
		}
		if no := h.field(name, value); no != nil {
			return nil, no
		}
	}
	if len(h.host) == 0 {
		return nil, refuseHost
	}
	return h, nil
}

// requestLine reads "GET /path?query HTTP/1.1". The target may be a whole URL [RFC 9112 section 3.2.2].
func (h *head) requestLine(line []byte) *refusal {
	method, rest, _ := bytes.Cut(line, []byte(" "))
	target, version, ok := bytes.Cut(rest, []byte(" "))
	if !ok || !isToken(method) || !isVisible(target) {
		return refuseLine
	}
	if len(version) != len("HTTP/1.1") || string(version[:7]) != "HTTP/1." || version[7] < '1' || version[7] > '9' {
		return refuseVersion
	}
	if string(method) != "GET" {
		return refuseMethod
	}
	if scheme, after, ok := bytes.Cut(target, []byte("://")); ok && (equalFold(scheme, "http") || equalFold(scheme, "https")) {
		target = []byte("/")
		if path := bytes.IndexAny(after, "/?"); path >= 0 && after[path] == '/' {
			target = after[path:]
		}
	}
	if len(target) == 0 || target[0] != '/' {
		return refuseLine
	}
	h.path, _, _ = bytes.Cut(target, []byte("?"))
	return nil
}

// field takes note of a field, if it matters here.
func (h *head) field(name, value []byte) *refusal {
	switch {
	case equalFold(name, "host"):
		return once(&h.host, value)
	case equalFold(name, "sec-websocket-key"):
		return once(&h.key, value)
	case equalFold(name, "sec-websocket-version"):
		return once(&h.version, value)
	case equalFold(name, "origin"):
		return once(&h.origin, value)
	case equalFold(name, "upgrade"):
		h.upgrade = h.upgrade || lists(value, "websocket")
	case equalFold(name, "connection"):
		h.connection = h.connection || lists(value, "upgrade")
	case equalFold(name, "sec-websocket-protocol"):
		for rest := value; rest != nil; {
			var item []byte
			item, rest = cutItem(rest)
			for p := mqttV31; p <= mqtt; p++ {
				if string(item) == p.String() {
					h.protocol = max(h.protocol, p)
				}
			}
		}
	case equalFold(name, "transfer-encoding"), equalFold(name, "content-length") && string(value) != "0":
		return refuseBody
	}
	return nil
}

// once sets a field that may not be repeated.
func once(field *[]byte, value []byte) *refusal {
	if *field != nil {
		return refuseRepeated
	}
	*field = value
	return nil
}

// cutField takes "name: value" apart. value is never nil.
func cutField(line []byte) (name, value []byte, ok bool) {
	name, value, ok = bytes.Cut(line, []byte(":"))
	if !ok || !isToken(name) {
		return nil, nil, false
	}
	for _, c := range value {
		if c < ' ' && c != '\t' || c == 0x7F {
			return nil, nil, false
		}
	}
	return name, trim(value), true
}

// cutItem takes the first item off a list with commas. rest is nil behind the last one.
func cutItem(list []byte) (item, rest []byte) {
	item, rest, more := bytes.Cut(list, []byte(","))
	if !more {
		rest = nil
	}
	return trim(item), rest
}

// lists tells whether a list with commas has an item, in lower case here.
func lists(list []byte, want string) bool {
	for list != nil {
		var item []byte
		if item, list = cutItem(list); equalFold(item, want) {
			return true
		}
	}
	return false
}

// trim takes blanks off both ends. Unlike bytes.Trim it makes no nil of what is empty.
func trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// equalFold compares ASCII without regard to case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i := range b {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// isToken: a name as HTTP defines it [RFC 9110 section 5.6.2].
func isToken(b []byte) bool {
	for _, c := range b {
		switch {
		case c >= '0' && c <= '9', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return len(b) > 0
}

// isVisible: ASCII that can be seen.
func isVisible(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c >= 0x7F {
			return false
		}
	}
	return true
}

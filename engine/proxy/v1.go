package proxy

import (
	"net/netip"
	"strconv"
	"strings"
)

const v1Prefix = "PROXY "

// line reads the words of a version 1 header. Once a word is not all there, or is wrong, all further ones are empty.
type line struct {
	rest  []byte
	short bool // more is needed
	err   error
}

// word returns the next word and consumes the byte that ends it. Only the bytes in allowed may be part of it, and no
// more than max of them.
func (l *line) word(allowed string, max int, end byte) string {
	if l.short || l.err != nil {
		return ""
	}
	for i, c := range l.rest {
		switch {
		case c == end && i > 0:
			w := string(l.rest[:i])
			l.rest = l.rest[i+1:]
			return w
		case i == max || strings.IndexByte(allowed, c) < 0:
			l.err = errLine
			return ""
		}
	}
	l.short = true
	return ""
}

const (
	ipv4Bytes = "0123456789."
	ipv6Bytes = "0123456789abcdefABCDEF:."
	decimals  = "0123456789"
)

func (l *line) address(v6 bool) (a netip.Addr) {
	allowed, longest := ipv4Bytes, len("255.255.255.255")
	if v6 {
		allowed, longest = ipv6Bytes, len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255")
	}
	w := l.word(allowed, longest, ' ')
	if l.short || l.err != nil {
		return a
	}
	a, err := netip.ParseAddr(w)
	if err != nil || a.Is4() == v6 {
		l.err = errAddress
	}
	return a
}

func (l *line) port(end byte) uint16 {
	w := l.word(decimals, len("65535"), end)
	if l.short || l.err != nil {
		return 0
	}
	port, err := strconv.ParseUint(w, 10, 16)
	if err != nil || len(w) > 1 && w[0] == '0' {
		l.err = errPort
	}
	return uint16(port)
}

// newline consumes the LF behind the CR.
func (l *line) newline() {
	switch {
	case l.short || l.err != nil:
	case len(l.rest) == 0:
		l.short = true
	case l.rest[0] != '\n':
		l.err = errLine
	default:
		l.rest = l.rest[1:]
	}
}

// parseV1 reads b, which begins with v1Prefix and has no more than V1BytesMax bytes.
func parseV1(b []byte) (h Header, n int, err error) {
	h.Version = 1
	l := line{rest: b[len(v1Prefix):]}
	family := family(l.rest)
	switch {
	case family == "":
		return h, 0, errProtocol
	case len(l.rest) <= len(family): // the byte behind it is missing as well
		return h, 0, nil
	}
	l.rest = l.rest[len(family):]
	if family == "UNKNOWN" {
		l.ignore()
	} else {
		if l.rest[0] != ' ' {
			return h, 0, errProtocol
		}
		l.rest = l.rest[1:]
		source, destination := l.address(family == "TCP6"), l.address(family == "TCP6")
		sourcePort, destinationPort := l.port(' '), l.port('\r')
		h.Kind, h.Source, h.Destination = TCP, addrPort(source, sourcePort), addrPort(destination, destinationPort)
	}
	l.newline()
	switch {
	case l.err != nil:
		return h, 0, l.err
	case l.short && len(b) == V1BytesMax:
		return h, 0, ErrTooLong
	case l.short:
		return h, 0, nil
	}
	return h, len(b) - len(l.rest), nil
}

// family is what b begins with, or may yet turn out to begin with; empty if there is no such family.
func family(b []byte) string {
	for _, f := range [...]string{"UNKNOWN", "TCP4", "TCP6"} {
		if begins(b, f) {
			return f
		}
	}
	return ""
}

// ignore consumes what stands behind UNKNOWN, up to the CR: nothing, or a blank and text.
func (l *line) ignore() {
	for i, c := range l.rest {
		switch {
		case c == '\r':
			l.rest = l.rest[i+1:]
			return
		case i == 0 && c != ' ', c < ' ', c >= 0x7F:
			l.err = errLine
			return
		}
	}
	l.short = true
}

// AppendV1 adds a header of version 1. It says UNKNOWN unless h.Kind is TCP: the version has no other words. Addresses of
// different families are both written as IPv6.
func AppendV1(dst []byte, h *Header) []byte {
	dst = append(dst, v1Prefix...)
	if h.Kind != TCP {
		return append(dst, "UNKNOWN\r\n"...)
	}
	source, destination := sameFamily(h)
	family := "TCP6 "
	if source.Is4() {
		family = "TCP4 "
	}
	dst = append(source.AppendTo(append(dst, family...)), ' ')
	dst = append(destination.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(h.Source.Port()), 10), ' ')
	return append(strconv.AppendUint(dst, uint64(h.Destination.Port()), 10), "\r\n"...)
}

// sameFamily returns the addresses in the form in which both fit. One that is not valid is the unspecified one.
func sameFamily(h *Header) (source, destination netip.Addr) {
	source, destination = specified(h.Source.Addr()), specified(h.Destination.Addr())
	if source.Is4() && destination.Is4() {
		return source, destination
	}
	return netip.AddrFrom16(source.As16()), netip.AddrFrom16(destination.As16())
}

func specified(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return netip.IPv4Unspecified()
	}
	return a.Unmap().WithZone("")
}

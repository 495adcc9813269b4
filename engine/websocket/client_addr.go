package websocket

import (
	"bytes"
	"net/netip"
	"strings"
)

// ClientAddr returns the address of the client on whose behalf the request came, as the proxies on the way tell it in
// the field named by Options.AddressHeader; the port is 0 if they do not tell it. It is invalid when nobody told
// anything: the peer is the client then. Valid as long as the bytes given to Upgrade are.
//
// Ask only when the peer itself is a proxy to be trusted. Each proxy adds, at the end, the address that it was asked
// from, and everything before that may have been made up. So the list is read from the end, for as long as trusted says
// that the address is that of a proxy which tells the truth about the one before. The result is the first address which
// is not, or the last one understood. nil trusts none: the last address of the list counts.
//
// Addresses of IPv4 written as IPv6 come out as IPv4.
func (r *Request) ClientAddr(trusted func(netip.Addr) bool) (client netip.AddrPort) {
	name := r.addressHeader
	if name == "" {
		name = "X-Forwarded-For"
	}
	forwarded := strings.EqualFold(name, "Forwarded")
	for lines := r.header; len(lines) > 0; {
		var line []byte
		lines, line = cutLast(lines[:len(lines)-2], "\r\n")
		field, list, _ := cutField(line)
		if !equalFold(field, name) {
			continue
		}
		for len(list) > 0 {
			var item []byte
			list, item = cutLast(list, ",")
			list = bytes.TrimSuffix(list, []byte(","))
			if item = trim(item); len(item) == 0 {
				continue
			}
			if forwarded {
				item = forParameter(item)
			}
			addr, ok := parseNode(string(item))
			if !ok {
				return client
			}
			if client = addr; trusted == nil || !trusted(addr.Addr()) {
				return client
			}
		}
	}
	return client
}

// cutLast cuts b behind the last separator.
func cutLast(b []byte, separator string) (before, last []byte) {
	at := bytes.LastIndex(b, []byte(separator))
	if at < 0 {
		return nil, b
	}
	at += len(separator)
	return b[:at], b[at:]
}

// forParameter is the value of for= in an element of Forwarded, empty if there is none.
func forParameter(element []byte) []byte {
	for len(element) > 0 {
		var pair []byte
		pair, element, _ = bytes.Cut(element, []byte(";"))
		if name, value, ok := bytes.Cut(trim(pair), []byte("=")); ok && equalFold(name, "for") {
			return bytes.Trim(value, `"`)
		}
	}
	return nil
}

// parseNode reads an address, with or without a port, the brackets of IPv6 being optional where there is no port. The
// names that proxies invent to hide an address are not understood.
func parseNode(text string) (netip.AddrPort, bool) {
	node, err := netip.ParseAddrPort(text)
	if err != nil {
		inner, bracketed := strings.CutPrefix(text, "[")
		if bracketed {
			var closed bool
			if inner, closed = strings.CutSuffix(inner, "]"); !closed {
				return node, false
			}
		}
		addr, err := netip.ParseAddr(inner)
		if err != nil || bracketed && addr.Is4() {
			return node, false
		}
		node = netip.AddrPortFrom(addr, 0)
	}
	if node.Addr().Zone() != "" {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(node.Addr().Unmap(), node.Port()), true
}

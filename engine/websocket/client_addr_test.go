package websocket

import (
	"net/netip"
	"testing"
)

func TestClientAddr(t *testing.T) {
	nets := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	trusted := func(a netip.Addr) bool {
		for _, n := range nets {
			if n.Contains(a) {
				return true
			}
		}
		return false
	}
	for _, c := range []struct {
		name, header, fields string
		want                 string // "" = invalid
	}{
		{"nobody told", "", "X-Other: 192.0.2.1", ""},
		{"one address", "", "X-Forwarded-For: 192.0.2.1", "192.0.2.1:0"},
		{"any case", "", "x-forwarded-for: 192.0.2.1", "192.0.2.1:0"},
		{"with a port", "", "X-Forwarded-For: 192.0.2.1:4711", "192.0.2.1:4711"},
		{"IPv6", "", "X-Forwarded-For: 2001:db8::1", "[2001:db8::1]:0"},
		{"IPv6 in brackets", "", "X-Forwarded-For: [2001:db8::1]", "[2001:db8::1]:0"},
		{"IPv6 with a port", "", "X-Forwarded-For: [2001:db8::1]:80", "[2001:db8::1]:80"},
		{"IPv4 as IPv6", "", "X-Forwarded-For: ::ffff:192.0.2.1", "192.0.2.1:0"},
		{"the client made up the first", "", "X-Forwarded-For: 10.1.1.1, 203.0.113.9, 192.0.2.1", "192.0.2.1:0"},
		{"through two proxies", "", "X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1:0"},
		{"through a proxy with IPv6", "", "X-Forwarded-For: 192.0.2.1, fd00::1", "192.0.2.1:0"},
		{"a client within", "", "X-Forwarded-For: 10.0.0.9, 10.0.0.2", "10.0.0.9:0"},
		{"a proxy that adds a line", "", "X-Forwarded-For: 203.0.113.9\r\nX-Other: x\r\nX-Forwarded-For: 192.0.2.1", "192.0.2.1:0"},
		{"lines are one list", "", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.2", "192.0.2.1:0"},
		{"empty items", "", "X-Forwarded-For: 192.0.2.1, , ", "192.0.2.1:0"},
		{"an empty list", "", "X-Forwarded-For: ,", ""},
		{"nothing understood", "", "X-Forwarded-For: unknown", ""},
		{"understood up to a point", "", "X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2", "10.0.0.2:0"},
		{"a zone", "", "X-Forwarded-For: fe80::1%eth0", ""},
		{"an unclosed bracket", "", "X-Forwarded-For: [2001:db8::1", ""},
		{"IPv4 in brackets", "", "X-Forwarded-For: [192.0.2.1]", ""},
		{"a large port", "", "X-Forwarded-For: 192.0.2.1:65536", ""},
		{"Forwarded is not looked at", "", "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=203.0.113.9", "192.0.2.1:0"},
		{"X-Forwarded-For is not looked at", "Forwarded", "Forwarded: for=192.0.2.1\r\nX-Forwarded-For: 203.0.113.9", "192.0.2.1:0"},
		{"Forwarded with more", "forwarded", "Forwarded: proto=https;For=192.0.2.1 ; by=10.0.0.1", "192.0.2.1:0"},
		{"Forwarded, quoted", "Forwarded", `Forwarded: for="[2001:db8::1]:4711"`, "[2001:db8::1]:4711"},
		{"Forwarded through two", "Forwarded", `Forwarded: for=192.0.2.1, for="10.0.0.2:80";proto=http`, "192.0.2.1:0"},
		{"Forwarded, hidden", "Forwarded", "Forwarded: for=_gazonk", ""},
		{"Forwarded, without for", "Forwarded", "Forwarded: for=192.0.2.1, proto=http", ""},
		{"Forwarded, an open quote before", "Forwarded", `Forwarded: for="203.0.113.9, for=192.0.2.1`, "192.0.2.1:0"},
		{"another field", "X-Real-IP", "X-Real-Ip: 192.0.2.1\r\nX-Forwarded-For: 203.0.113.9", "192.0.2.1:0"},
	} {
		o := Options{AddressHeader: c.header}
		_, r := o.Upgrade(nil, request(t, "Upgrade:", c.fields+"\r\nUpgrade:"))
		if r.Status != 101 {
			t.Fatalf("%s: %+v", c.name, r)
		}
		got := ""
		if addr := r.ClientAddr(trusted); addr.IsValid() {
			got = addr.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestClientAddrTrustsNobodyButThePeer(t *testing.T) {
	_, r := new(Options).Upgrade(nil, request(t, "Upgrade:", "X-Forwarded-For: 192.0.2.1, 10.0.0.2\r\nUpgrade:"))
	if got := r.ClientAddr(nil); got != netip.MustParseAddrPort("10.0.0.2:0") {
		t.Error(got)
	}
}

func TestClientAddrAtEitherEndOfTheHeader(t *testing.T) {
	for _, edits := range [][]string{
		{"Host:", "X-Forwarded-For: 192.0.2.1\r\nHost:"},
		{"Origin: https://example.org", "X-Forwarded-For: 192.0.2.1"},
	} {
		_, r := new(Options).Upgrade(nil, request(t, edits...))
		if got := r.ClientAddr(nil); got != netip.MustParseAddrPort("192.0.2.1:0") {
			t.Errorf("%q: %v", edits[1], got)
		}
	}
}

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const defaultPort = 1883

// Listener is one place where clients are accepted: a TCP address, or a Unix
// domain socket.
type Listener struct {
	Host   string // name or address without brackets; empty: every interface
	Port   uint16 // 0: the system picks a free port
	Socket string // path; not empty: a Unix domain socket, without host and port
}

// ParseListener reads a listener URL such as mqtt://127.0.0.1:1883,
// mqtt://[::1]:1883, mqtt://:1883 (every interface) or unix:///run/gannet.sock.
// tcp:// means the same as mqtt://. The port may be left out and is then 1883.
func ParseListener(text string) (Listener, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return Listener{}, fmt.Errorf("%q has no scheme: write mqtt://HOST:PORT", text)
	}
	switch scheme {
	case "mqtt", "tcp":
		return parseTCP(text)
	case "unix":
		if !strings.HasPrefix(rest, "/") || strings.ContainsAny(rest, "?#%") {
			return Listener{}, fmt.Errorf("%q has no plain absolute path: write unix:///run/gannet.sock", text)
		}
		return Listener{Socket: rest}, nil
	case "mqtts", "ssl", "tls", "ws", "wss":
		return Listener{}, fmt.Errorf("scheme not yet served: %s://: write mqtt://HOST:PORT", scheme)
	default:
		return Listener{}, fmt.Errorf("%q: unknown scheme: write mqtt://HOST:PORT", text)
	}
}

func parseTCP(text string) (Listener, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not a listener: %w: write mqtt://HOST:PORT", text, unwrapURL(err))
	}
	if u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" {
		return Listener{}, fmt.Errorf("%q has more than a host and a port: write mqtt://HOST:PORT", text)
	}
	l := Listener{Host: u.Hostname(), Port: defaultPort}
	if strings.Contains(l.Host, ":") && !strings.HasPrefix(u.Host, "[") {
		return Listener{}, fmt.Errorf("%q: an IPv6 address needs brackets: write mqtt://[::1]:1883", text)
	}
	if digits := u.Port(); digits != "" {
		port, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return Listener{}, fmt.Errorf("%q: port is not in 0 to 65535", text)
		}
		l.Port = uint16(port)
	}
	return l, nil
}

// unwrapURL drops the "parse URL:" that net/url puts before its reasons.
func unwrapURL(err error) error {
	var parse *url.Error
	if errors.As(err, &parse) {
		return parse.Err
	}
	return err
}

// Address is host:port of a TCP listener, as package net takes it.
func (l Listener) Address() string {
	return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
}

// String is the listener as a URL.
func (l Listener) String() string {
	if l.Socket != "" {
		return "unix://" + l.Socket
	}
	return "mqtt://" + l.Address()
}

// Loopback reports whether only this machine can reach the listener. It asks no
// name server: a name other than localhost counts as reachable from elsewhere.
func (l Listener) Loopback() bool {
	if l.Socket != "" || strings.EqualFold(l.Host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(l.Host)
	return err == nil && address.Unmap().IsLoopback()
}

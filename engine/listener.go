package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/gannetmq/gannet/engine/broker"
)

// TCP keep-alive finds out clients that vanished without a word and asked for no
// MQTT keep alive. It gives up after two minutes.
const (
	keepAliveIdleSeconds     = 60
	keepAliveIntervalSeconds = 15
	keepAliveProbes          = 4
)

// address is where a listener listens, in the terms of package net, and what is
// spoken there.
type address struct {
	network, addr string
	tls, ws       bool
	path          string // of ws; empty if the URL has none
}

// schemes are the transports by the scheme of their URL, with the default port.
func schemes(name string) (a address, port string, ok bool) {
	switch name {
	case "mqtt", "tcp":
		return address{network: "tcp"}, "1883", true
	case "mqtts", "ssl", "tls":
		return address{network: "tcp", tls: true}, "8883", true
	case "ws":
		return address{network: "tcp", ws: true}, "80", true
	case "wss":
		return address{network: "tcp", tls: true, ws: true}, "443", true
	case "unix":
		return address{network: "unix"}, "", true
	}
	return address{}, "", false
}

// parseAddress understands the URL of ListenerOptions.
func parseAddress(text string) (address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return address{}, fmt.Errorf("listener: %w", err)
	}
	a, port, ok := schemes(u.Scheme)
	switch {
	case !ok:
		return address{}, fmt.Errorf("listener %q: scheme is not mqtt, mqtts, ws, wss or unix", text)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return address{}, fmt.Errorf("listener %q: more than an address", text)
	case a.network == "unix":
		if u.Path == "" || u.Host != "" {
			return address{}, fmt.Errorf("listener %q: not of the form unix:///path", text)
		}
		a.addr = u.Path
		return a, nil
	case a.ws:
		a.path = u.Path
	case strings.Trim(u.Path, "/") != "":
		return address{}, fmt.Errorf("listener %q: more than a host and a port", text)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	a.addr = net.JoinHostPort(u.Hostname(), port)
	return a, nil
}

// listener is an open socket. It lives as long as its address is listened on; what
// is asked of those who connect may change meanwhile.
//
// The socket is package net's until the event loops accept on it (detach). From then
// on it is a bare descriptor, which loops use and somebody else closes: whoever uses
// it does so inside of control, and meets net.ErrClosed once it is closed, never a
// number that means another file by now.
type listener struct {
	net.Listener
	key   string // tells that a listener of other options has the same socket
	setup atomic.Pointer[setup]
	tally tally
	plain origin // of all its connections that have no layers

	mu       sync.RWMutex
	detached bool
	fd       int       // once detached; -1 when closed
	unlink   string    // the file of a Unix socket, once detached
	intakes  []*intake // of the loops that accept here
}

// setup is what a listener makes of new connections. Immutable.
type setup struct {
	broker  *broker.Listener
	options ListenerOptions // with defaults
	tls     *tls.Config     // that of options, prepared; nil: none
	ws      bool
}

// greets tells whether there is something to be read before an event loop takes over.
func (s *setup) greets() bool { return s.tls != nil || s.options.Proxy.Mode != ProxyOff }

// entry is what the event loop is told about a connection of l from peer that needs no greeting.
func (s *setup) entry(l *listener, peer netip.AddrPort) entry {
	e := entry{listener: s.broker, origin: &l.plain, peer: peer}
	if s.ws {
		e.origin = &newLayers(l, s, peer.Addr()).origin
	}
	return e
}

// listenAll opens all listeners or none. all counts what they count.
func listenAll(options []ListenerOptions, all *tally) (open []*listener, err error) {
	for _, o := range options {
		l, err := listen(o, all, false)
		if err != nil {
			closeAll(open)
			return nil, err
		}
		open = append(open, l)
	}
	return open, nil
}

func closeAll(listeners []*listener) {
	for _, l := range listeners {
		_ = l.Close()
	}
}

// listen opens the socket of valid options. With shared it may have its address together with another one.
func listen(o ListenerOptions, all *tally, shared bool) (*listener, error) {
	nl, err := openSocket(o, shared)
	if err != nil {
		return nil, fmt.Errorf("listen %s: %w", o.URL, plain(err))
	}
	l := &listener{Listener: nl, key: o.key()}
	l.tally.all = all
	l.plain.listener = l
	l.configure(o)
	return l, nil
}

// control calls f with the descriptor, which stays open meanwhile, and returns the error of either. f must not wait.
func (l *listener) control(f func(fd int) error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case l.detached && l.fd < 0:
		return net.ErrClosed
	case l.detached:
		return f(l.fd)
	}
	rc, err := l.Listener.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	return control(rc, f)
}

// closed tells whether Close was called for a socket that is detached.
func (l *listener) closed() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.detached && l.fd < 0
}

// accept takes a connection from the backlog. The error is a syscall.Errno, EAGAIN if there is none, or net.ErrClosed.
func (l *listener) accept() (fd int, peer netip.AddrPort, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.fd < 0 {
		return -1, peer, net.ErrClosed
	}
	return accept(l.fd)
}

// detach takes the socket out of the hands of package net, for those who watch it. Without that, every connection that
// arrives would wake a thread of the runtime, whose poller goes on watching. When it fails, nothing has changed.
func (l *listener) detach(by []*intake) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	rc, err := l.Listener.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	if err := control(rc, func(fd int) error { l.fd, err = duplicate(fd); return err }); err != nil {
		return err
	}
	if u, ok := l.Listener.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
		l.unlink = u.Addr().String()
	}
	_ = l.Listener.Close()
	l.detached, l.intakes = true, by
	return nil
}

// Close implements net.Listener. Once it has returned the address is free, and nobody is accepted any more. Closing
// again does nothing.
func (l *listener) Close() error {
	l.mu.Lock()
	fd, by := l.fd, l.intakes
	if l.detached {
		l.fd, l.intakes = -1, nil
	}
	detached := l.detached
	l.mu.Unlock()
	switch {
	case !detached:
		return l.Listener.Close()
	case fd < 0:
		return nil
	}
	for _, in := range by {
		in.loop.events.unlisten(fd)
	}
	if l.unlink != "" {
		_ = os.Remove(l.unlink)
	}
	err := syscall.Close(fd)
	for _, in := range by {
		in.look()
	}
	return err
}

// name is what the listener is called now.
func (l *listener) name() string { return l.setup.Load().options.Name }

// key is the same for options whose sockets are.
func (o *ListenerOptions) key() string {
	a, _ := parseAddress(o.URL)
	return strings.Join([]string{a.network, a.addr, string(o.Family), o.Interface}, " ")
}

// configure makes o, which is valid and for the socket of l, what new connections meet.
func (l *listener) configure(o ListenerOptions) {
	a, _ := parseAddress(o.URL)
	if o.Name == "" {
		o.Name = o.URL
	}
	if o.WebSocket.Path == "" {
		o.WebSocket.Path = a.path
	}
	if o.Identity != nil || o.Proxy.IdentityFromTLS {
		o.Policy.ProvenOnly = true
	}
	o.Policy.Share()
	s := &setup{broker: &broker.Listener{Name: o.Name, Policy: o.Policy}, options: o, ws: a.ws}
	if a.tls {
		if old := l.setup.Load(); old != nil && old.options.TLS == o.TLS {
			s.tls = old.tls // with the keys of the tickets that it has given out
		} else {
			s.tls = wholeRecords(o.TLS)
		}
	}
	l.setup.Store(s)
}

func openSocket(o ListenerOptions, shared bool) (net.Listener, error) {
	a, err := parseAddress(o.URL)
	if err != nil {
		return nil, err
	}
	switch o.Family {
	case IPv4:
		a.network += "4"
	case IPv6:
		a.network += "6"
	}
	config := net.ListenConfig{
		// The kernel hands the options of the listening socket on to those it
		// accepts, which saves five system calls for each of them.
		KeepAlive: -1,
		Control: func(network, _ string, rc syscall.RawConn) error {
			return control(rc, func(fd int) error {
				if shared {
					if err := shareAddress(fd, true); err != nil {
						return err
					}
				}
				return prepareSocket(fd, network, &o)
			})
		},
	}
	nl, err := config.Listen(context.Background(), a.network, a.addr)
	if a.network == "unix" && errors.Is(err, syscall.EADDRINUSE) && removeStale(a.addr) {
		nl, err = config.Listen(context.Background(), a.network, a.addr)
	}
	if err != nil {
		return nil, err
	}
	if err := setMode(&o, a); err != nil {
		return nil, errors.Join(err, nl.Close())
	}
	return nl, nil
}

// prepareSocket sets what must be set before bind.
func prepareSocket(fd int, network string, o *ListenerOptions) error {
	if network == "unix" {
		if o.SocketMode == 0 {
			return nil
		}
		// The file gets the socket's permissions less the umask, so that it is never open to more than it shall be.
		return os.NewSyscallError("fchmod", syscall.Fchmod(fd, uint32(o.SocketMode)))
	}
	if o.Interface != "" {
		if err := bindToInterface(fd, o.Interface); err != nil {
			return fmt.Errorf("interface %q: %v", o.Interface, err) // not wrapped: plain would take the name off
		}
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return setKeepAlive(fd)
}

// setMode gives the file of a Unix socket the permissions that the options name.
func setMode(o *ListenerOptions, a address) error {
	if a.network != "unix" || o.SocketMode == 0 {
		return nil
	}
	return os.Chmod(a.addr, o.SocketMode)
}

// removeStale removes the socket file of a server that has ended without doing so.
func removeStale(path string) bool {
	if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	nc, err := net.Dial("unix", path)
	if err == nil {
		_ = nc.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED) && os.Remove(path) == nil
}

// plain takes the wrapping that repeats the address off an error of package net.
func plain(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// control calls f with the descriptor of rc and returns the error of either.
func control(rc syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

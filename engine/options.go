package engine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"runtime"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/engine/websocket"
)

// Options configures a Server. The zero value of every field but Listeners means
// its default; DefaultOptions returns them written out.
type Options struct {
	// Broker configures what is not about sockets.
	Broker broker.Options

	// Store keeps sessions, queues and retained messages beyond this process; nil
	// keeps them in memory only.
	Store broker.Store

	// Listeners are the addresses to accept connections on; at least one.
	Listeners []ListenerOptions

	// Loops is the number of event loops, each of which is served by one goroutine
	// and owns its share of the connections. Default: one for each processor that
	// the process may use. More than 256 is an error.
	Loops int

	// MaxConnections bounds the connections of all listeners together. One more is
	// accepted and closed at once, and counted in Stats.RefusedFull. Default: what
	// the limit of open files allows, less a reserve for the store.
	MaxConnections int

	// MaxAcceptRate bounds how many connections are accepted in a second, after a
	// burst of as many. Further ones wait in the kernel's backlog; none is refused.
	// Default: 0, no bound.
	MaxAcceptRate int

	// MaxHandshakes bounds the connections that are between accept and event loop
	// because of TLS or the PROXY protocol. When there are as many, a further one
	// takes the place of the one that has waited longest for its client, if that is
	// a second or more, and waits in the kernel's backlog otherwise. Default: 1024.
	MaxHandshakes int

	// HandshakeTimeout bounds the time from accept to the end of the PROXY header and
	// of the TLS handshake. Default: 10 seconds.
	HandshakeTimeout time.Duration

	// Admit is asked for every connection before anything is read from it, and once
	// more when a proxy has told the client's real address; false closes it. A proxy
	// that is in ProxyOptions.Trusted is not asked about, only its clients are, nor is
	// anybody on a Unix socket. It is called on event loops, acceptors and handshakes
	// at the same time, and must not block. Default: nil, everybody is admitted.
	Admit func(addr netip.Addr, listener string) bool

	// ShutdownTimeout bounds the time from the end of Run's context until the last
	// client has taken what was sent to it. Connections that are left then are
	// closed, and what they had not taken is lost. Default: 5 seconds.
	ShutdownTimeout time.Duration
}

// ListenerOptions configures one listener.
type ListenerOptions struct {
	// URL names the transport and the address:
	//
	//	mqtt://host:port   tcp:// means the same; port 1883 if left out
	//	mqtts://host:port  ssl:// and tls:// mean the same; port 8883
	//	ws://host:port     port 80; a path is the same as WebSocket.Path
	//	wss://host:port    port 443; likewise
	//	unix:///path       of the socket
	//
	// An empty host means all addresses.
	URL string

	// Name is what logs, counters and session.Credentials call the listener.
	// Default: URL.
	Name string

	// Policy is what is asked of those who connect. With Identity, or with
	// Proxy.IdentityFromTLS, it is completed by ProvenOnly.
	Policy session.Policy

	// TLS is the configuration of mqtts and wss, and nil for the others. It must not
	// be changed any more; certificates follow time by GetConfigForClient or
	// GetCertificate. Dynamic record sizing is always off.
	TLS *tls.Config

	// Identity finds the user name in a client's verified certificate. Who presents
	// none, or one without such a name, is refused in CONNACK. Default: nil, the
	// certificate says nothing about the user.
	Identity Identity

	// Proxy is about proxies before the listener.
	Proxy ProxyOptions

	// WebSocket configures the upgrade of ws and wss.
	WebSocket websocket.Options

	// SocketMode are the permissions of a Unix socket. Default: 0, those that the
	// process's umask leaves.
	SocketMode fs.FileMode

	// MaxConnections bounds the connections of this listener. One more is accepted and
	// closed at once, and counted in Stats.RefusedFull. Default: 0, no bound but that
	// of the server.
	MaxConnections int

	// Interface confines a TCP listener to a network interface. Default: all. Linux only.
	Interface string

	// Family confines a TCP listener to IPv4 or IPv6. Default: AnyFamily.
	Family Family
}

// Identity finds a name in a certificate; empty: it has none. Called on any goroutine.
type Identity func(*x509.Certificate) string

// Family is a family of network addresses.
type Family string

const (
	AnyFamily Family = ""
	IPv4      Family = "ipv4"
	IPv6      Family = "ipv6"
)

// ProxyOptions says what a listener makes of proxies before it.
type ProxyOptions struct {
	// Mode is whether connections begin with a header of the PROXY protocol.
	Mode ProxyMode

	// Version is the only version of the header that is taken; 0 takes both.
	Version int

	// Trusted are the networks whose word is taken, for the PROXY protocol and for
	// X-Forwarded-For. Without any, everybody may send a PROXY header, as in mosquitto,
	// and nobody's X-Forwarded-For counts. A peer on a Unix socket is always trusted.
	Trusted []netip.Prefix

	// RequireTLS refuses clients who did not come to the proxy by TLS.
	RequireTLS bool

	// RequireCertificate refuses clients without a certificate that the proxy has verified.
	RequireCertificate bool

	// IdentityFromTLS makes the common name of the certificate that the proxy has
	// verified the user name. Who has none is refused in CONNACK.
	IdentityFromTLS bool
}

// ProxyMode is whether a listener speaks the PROXY protocol.
type ProxyMode uint8

const (
	ProxyOff      ProxyMode = iota
	ProxyOptional           // of who is trusted and begins with a header; others are clients themselves
	ProxyRequired           // who is not trusted, or sends no header, is refused
)

const (
	defaultShutdownTimeout  = 5 * time.Second
	defaultMaxHandshakes    = 1024
	defaultHandshakeTimeout = 10 * time.Second
	maxLoops                = 256
)

// DefaultOptions returns the options of a server for this machine only: one
// listener on the loopback address, open to anybody who can reach it.
func DefaultOptions() Options {
	return Options{
		Broker: broker.DefaultOptions(),
		Listeners: []ListenerOptions{{
			URL:    "mqtt://127.0.0.1:1883",
			Policy: session.Policy{AllowAnonymous: true, NewClientID: broker.NewClientID},
		}},
	}.withDefaults()
}

func (o Options) withDefaults() Options {
	if o.Loops == 0 {
		o.Loops = min(runtime.NumCPU(), maxLoops)
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = connectionsFor(DescriptorLimit())
	}
	if o.MaxHandshakes == 0 {
		o.MaxHandshakes = defaultMaxHandshakes
	}
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = defaultHandshakeTimeout
	}
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = defaultShutdownTimeout
	}
	return o
}

// Validate returns an error that names the first field with an impossible value.
// It does not look at Broker, which the broker itself checks.
func (o Options) Validate() error {
	if err := validateListeners(o.Listeners); err != nil {
		return err
	}
	if o.Loops < 0 || o.Loops > maxLoops {
		return fmt.Errorf("loops: %d is not between 1 and %d", o.Loops, maxLoops)
	}
	if o.MaxConnections < 0 {
		return fmt.Errorf("max connections: %d is negative", o.MaxConnections)
	}
	if o.MaxAcceptRate < 0 {
		return fmt.Errorf("max accept rate: %d is negative", o.MaxAcceptRate)
	}
	if o.MaxHandshakes < 0 {
		return fmt.Errorf("max handshakes: %d is negative", o.MaxHandshakes)
	}
	if o.HandshakeTimeout < 0 {
		return fmt.Errorf("handshake timeout: %v is negative", o.HandshakeTimeout)
	}
	if o.ShutdownTimeout < 0 {
		return fmt.Errorf("shutdown timeout: %v is negative", o.ShutdownTimeout)
	}
	return nil
}

func validateListeners(listeners []ListenerOptions) error {
	if len(listeners) == 0 {
		return errors.New("listeners: none configured")
	}
	for _, l := range listeners {
		if err := l.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Validate returns an error that names the listener and what in it cannot be.
func (o ListenerOptions) Validate() error {
	a, err := parseAddress(o.URL)
	if err != nil {
		return err
	}
	for _, rule := range []struct {
		broken bool
		why    string
	}{
		{a.tls && o.TLS == nil, "TLS without a configuration: it needs a certificate"},
		{!a.tls && o.TLS != nil, "a TLS configuration, but the scheme is not mqtts or wss"},
		{o.Identity != nil && !a.tls, "an identity from certificates, but no TLS"},
		{o.Proxy.Mode > ProxyRequired, "no such PROXY mode"},
		{o.Proxy.Version < 0 || o.Proxy.Version > 2, "the PROXY protocol has versions 1 and 2"},
		{o.Proxy.Mode != ProxyRequired && o.Proxy.needsFacts(), "TLS facts can be required of a proxy only if the PROXY protocol is"},
		{o.Proxy.Version == 1 && o.Proxy.needsFacts(), "version 1 of the PROXY protocol tells nothing about TLS"},
		{!a.ws && !reflect.DeepEqual(o.WebSocket, websocket.Options{}), "WebSocket options, but the scheme is not ws or wss"},
		{o.WebSocket.Path != "" && a.path != "" && a.path != o.WebSocket.Path, "a WebSocket path beside that of the URL"},
		{o.SocketMode != 0 && a.network != "unix", "a socket mode, but no Unix socket"},
		{o.SocketMode&^fs.ModePerm != 0, "a socket mode that is more than permissions"},
		{o.MaxConnections < 0, "a negative maximum of connections"},
		{a.network == "unix" && (o.Interface != "" || o.Family != AnyFamily), "an interface or address family, but a Unix socket"},
		{o.Family != AnyFamily && o.Family != IPv4 && o.Family != IPv6, "a family that is not ipv4 or ipv6"},
	} {
		if rule.broken {
			return fmt.Errorf("listener %q: %s", o.URL, rule.why)
		}
	}
	if err := o.WebSocket.Validate(); err != nil {
		return fmt.Errorf("listener %q: %w", o.URL, err)
	}
	return nil
}

// needsFacts tells whether a proxy must say how its client came by TLS.
func (p *ProxyOptions) needsFacts() bool {
	return p.RequireTLS || p.RequireCertificate || p.IdentityFromTLS
}

// trusts tells whether peer's X-Forwarded-For is believed, and whether Admit leaves it out.
func (p *ProxyOptions) trusts(peer netip.Addr) bool {
	for _, n := range p.Trusted {
		if n.Contains(peer) {
			return true
		}
	}
	return false
}

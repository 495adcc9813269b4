package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Scheme is how clients speak with a listener.
type Scheme byte

// MQTT over TCP, over TLS, in WebSocket, in WebSocket over TLS, over a Unix
// domain socket.
const (
	MQTT Scheme = iota
	MQTTS
	WS
	WSS
	Unix
)

func schemes() []string { return []string{"mqtt", "mqtts", "ws", "wss", "unix"} }

// String is the scheme as it is written in a URL.
func (s Scheme) String() string { return schemes()[s] }

// TLS reports whether the listener needs a certificate.
func (s Scheme) TLS() bool { return s == MQTTS || s == WSS }

// WebSocket reports whether MQTT travels in WebSocket frames.
func (s Scheme) WebSocket() bool { return s == WS || s == WSS }

func (s Scheme) port() uint16 { return [...]uint16{1883, 8883, 80, 443, 0}[s] }

// Listener is one place where clients are accepted: a TCP address, or a Unix
// domain socket. The zero value of every field but the address means its default.
type Listener struct {
	Scheme Scheme
	Host   string // name or address without brackets; empty: every interface
	Port   uint16 // 0: the system picks a free port
	Socket string // path; of Unix only, which has no host and port

	Name       string // what logs and counters call it; empty: the URL
	Interface  string // the only network interface; empty: all
	Family     Family
	SocketMode uint32 // permission bits of a Unix socket; 0: what the umask leaves

	MountPoint            string
	MaxConnections        int    // 0: bounded by that of the broker
	Versions              []byte // protocol versions served: 3, 4, 5; empty: all
	UseUsernameAsClientID bool
	MaxQoS                *byte   // nil: that of the broker, and so below
	TopicAliasMaximum     *uint16 //

	TLS       TLS
	Identity  Identity // of the client's certificate
	Proxy     Proxy
	WebSocket WebSocket

	Access *Access // nil: that of the broker

	overrides []override // what it says of access, until the broker's is known
}

// Family confines a listener to IPv4 or IPv6.
type Family string

// The families.
const (
	AnyFamily Family = ""
	IPv4      Family = "ipv4"
	IPv6      Family = "ipv6"
)

// TLS is about certificates: that of the server, and those of clients.
type TLS struct {
	CertFiles, KeyFiles []string // as many of one as of the other
	CAFile, CAPath      string
	CRLFiles            []string
	AllowExpiredCRL     bool
	ClientCert          ClientCert
	MinVersion          string // "tlsv1.2", "tlsv1.3"; empty: the least that is safe
	MaxVersion          string // likewise; empty: the newest
	Ciphers             string // for TLS 1.2, with colons between; empty: all that are safe
	NoTickets           bool
}

// ClientCert is whether clients show certificates.
type ClientCert byte

// They are not asked; who has one shows it; who has none is refused.
const (
	CertNone ClientCert = iota
	CertOptional
	CertRequired
)

func clientCerts() []string { return []string{"false", "optional", "true"} }

// Identity is which name in a client's certificate becomes its user name.
type Identity byte

// None, the Common Name, the whole subject, or the first alternative name of a
// kind.
const (
	IdentityNone Identity = iota
	IdentityCN
	IdentitySubject
	IdentityDNS
	IdentityEmail
	IdentityURI
)

func identities() []string {
	return []string{"none", "cn", "subject", "san-dns", "san-email", "san-uri"}
}

// Proxy is about proxies before the listener.
type Proxy struct {
	Mode        ProxyMode
	Version     int            // 1, 2; 0: both
	Trusted     []netip.Prefix // networks
	RequireTLS  bool           // clients must have come to the proxy by TLS
	RequireCert bool           // and have shown it a certificate
	Identity    bool           // whose Common Name becomes the user name
}

// ProxyMode is whether connections begin with a header of the PROXY protocol.
type ProxyMode byte

// They do not; those of trusted proxies may; all must.
const (
	ProxyOff ProxyMode = iota
	ProxyOptional
	ProxyRequired
)

func proxyModes() []string { return []string{"off", "optional", "required"} }

// WebSocket is about the HTTP request before the frames.
type WebSocket struct {
	Path        string   // empty: any
	Origins     []string // empty: any
	HeaderBytes int      // 0: the engine's default
}

// override is a setting of access that a listener mentions.
type override struct {
	setting     *setting[Access]
	text, where string
}

// ParseListener reads a listener URL such as mqtt://127.0.0.1:1883,
// mqtts://[::1]:8883?certfile=a.crt&keyfile=a.key, ws://:8080/mqtt (an empty host
// means every interface) or unix:///run/gannet.sock. tcp:// means the same as
// mqtt://, ssl:// and tls:// the same as mqtts://. The port may be left out. The
// query holds settings of the listener. What it says of access is not applied yet:
// only Load knows what it adds to.
func ParseListener(text string) (Listener, error) {
	address, query, _ := strings.Cut(text, "?")
	l, err := parseAddress(address)
	if err != nil {
		return Listener{}, err
	}
	for pair := range strings.SplitSeq(query, "&") {
		if pair == "" {
			continue
		}
		key, value, found := strings.Cut(pair, "=")
		if !found {
			value = "true"
		}
		value, err := url.QueryUnescape(value)
		if err != nil {
			return Listener{}, fmt.Errorf("%s: %q is not a query: %w", address, pair, unwrapURL(err))
		}
		if err := l.assign(key, value, "listener "+address+": "+key); err != nil {
			return Listener{}, fmt.Errorf("%s: %w", address, err)
		}
	}
	return l, nil
}

// parseAddress reads a URL without a query.
func parseAddress(text string) (Listener, error) {
	if strings.ContainsFunc(text, isControl) {
		return Listener{}, fmt.Errorf("%q has a control character in it: remove it", text)
	}
	word, rest, found := strings.Cut(text, "://")
	if !found {
		return Listener{}, fmt.Errorf("%q has no scheme: write mqtt://HOST:PORT", text)
	}
	var scheme Scheme
	switch word {
	case "tcp":
	case "ssl", "tls":
		scheme = MQTTS
	default:
		i := slices.Index(schemes(), word)
		if i < 0 {
			return Listener{}, fmt.Errorf("%q: unknown scheme: write mqtt://HOST:PORT, or mqtts, ws, wss or unix", text)
		}
		scheme = Scheme(i)
	}
	if scheme != Unix {
		return parseTCP(scheme, text)
	}
	if !strings.HasPrefix(rest, "/") || strings.ContainsAny(rest, "#%") {
		return Listener{}, fmt.Errorf("%q has no plain absolute path: write unix:///run/gannet.sock", text)
	}
	return Listener{Scheme: Unix, Socket: rest}, nil
}

func parseTCP(scheme Scheme, text string) (Listener, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Listener{}, fmt.Errorf("%q is not a listener: %w: write %s://HOST:PORT", text, unwrapURL(err), scheme)
	}
	path := u.Path
	if path == "/" {
		path = ""
	}
	if u.User != nil || (path != "" && !scheme.WebSocket()) || u.RawQuery != "" || u.Fragment != "" {
		return Listener{}, fmt.Errorf("%q has more than a host and a port: write %s://HOST:PORT", text, scheme)
	}
	l := Listener{Scheme: scheme, Host: u.Hostname(), Port: scheme.port(), WebSocket: WebSocket{Path: path}}
	if strings.Contains(l.Host, ":") && !strings.HasPrefix(u.Host, "[") {
		return Listener{}, fmt.Errorf("%q: an IPv6 address needs brackets: write %s://[::1]:%d", text, scheme, scheme.port())
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

// assign sets one of the listener's own settings.
func (l *Listener) assign(key, text, where string) error {
	if s := find(listenerSettings(), key); s != nil {
		if err := s.value.set(l, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		return nil
	}
	s := find(accessSettings(), key)
	switch {
	case s != nil:
		l.overrides = append(l.overrides, override{s, text, where})
		return nil
	case find(settings(), key) != nil:
		return fmt.Errorf("%s is a setting of the whole broker: it has its place before the listeners", key)
	default:
		return fmt.Errorf("unknown setting %q of a listener%s", key, didYouMean(key, ListenerNames()))
	}
}

// resolve makes the listener's access out of that of the broker and its own words.
func (l *Listener) resolve(common *Access) error {
	if len(l.overrides) == 0 {
		return nil
	}
	own := *common
	begun := make(map[string]bool)
	for _, o := range l.overrides {
		v := &o.setting.value
		if v.repeatable && !begun[o.setting.name] {
			v.reset(&own)
		}
		begun[o.setting.name] = true
		if err := v.set(&own, o.text); err != nil {
			return fmt.Errorf("%s: %w", o.where, err)
		}
	}
	l.overrides = nil
	l.setAccess(own, common)
	return nil
}

// setAccess gives the listener access of its own, if it is another than the broker's.
func (l *Listener) setAccess(own Access, common *Access) {
	l.Access = nil
	if !own.equal(common) {
		l.Access = &own
	}
}

// Address is host:port of a TCP listener, as package net takes it.
func (l Listener) Address() string {
	return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port)))
}

// String is the listener as a URL, without its settings.
func (l Listener) String() string {
	if l.Scheme == Unix {
		return "unix://" + l.Socket
	}
	return l.Scheme.String() + "://" + l.Address()
}

// DisplayName is what logs call the listener.
func (l Listener) DisplayName() string {
	if l.Name != "" {
		return l.Name
	}
	return l.String()
}

// Loopback reports whether only this machine can reach the listener. It asks no
// name server: a name other than localhost counts as reachable from elsewhere. So does
// what a proxy may pass on.
func (l Listener) Loopback() bool {
	if l.Proxy.Mode != ProxyOff {
		return false
	}
	if l.Scheme == Unix || strings.EqualFold(l.Host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(l.Host)
	return err == nil && address.Unmap().IsLoopback()
}

// Proves reports whether clients prove their user names before MQTT begins.
func (l Listener) Proves() bool {
	return (l.Scheme.TLS() && l.Identity != IdentityNone && l.TLS.ClientCert != CertNone) || l.Proxy.Identity
}

// samePlace reports whether two listeners cannot both be opened.
func (l Listener) samePlace(other Listener) bool {
	if l.Scheme == Unix || other.Scheme == Unix {
		return l.Socket == other.Socket
	}
	return l.Port != 0 && l.Port == other.Port && l.Host == other.Host && l.Interface == other.Interface && l.Family == other.Family
}

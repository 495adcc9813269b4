package config

import (
	"cmp"
	"fmt"
	"strconv"
)

// draft is a listener of mosquitto.conf whose lines are not all read yet.
type draft struct {
	Listener
	where   string            // of its listener line
	touched bool              // of the default listener: something was meant for it
	lines   map[string]string // option -> line

	access       Access // with per_listener_settings
	anonymous    Choice // listener_allow_anonymous
	autoIDPrefix string // listener_auto_id_prefix

	protocol                                    string
	requireCertificate, useIdentity, useSubject bool
	proxyTLS                                    bool
}

func newDraft(where string) draft {
	return draft{where: where, lines: make(map[string]string), access: mosquittoAccess(), protocol: "mqtt"}
}

// at is the line of an option of d.
func (d *draft) at(option string) string {
	if line := d.lines[option]; line != "" {
		return line + ": " + option
	}
	return d.where + ": listener"
}

// listener begins a draft: PORT, PORT HOST, or 0 PATH for a Unix socket.
func (m *mosquitto) listener(rest string) error {
	digits, rest := cutWord(rest)
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		return m.mistake(fmt.Sprintf("%q is not a port: write 1 to 65535, or 0 and the path of a Unix socket", shorten(digits)))
	}
	d := newDraft(m.where)
	d.Port = uint16(n)
	switch {
	case n == 0 && (rest == "" || rest[0] == '#'):
		return m.mistake("port 0 needs the path of a Unix socket: write listener 0 /run/mosquitto.sock")
	case n == 0:
		d.Scheme, d.Socket = Unix, rest
	case rest != "" && rest[0] != '#':
		d.Host = m.word(rest)
	}
	m.openedAt = cmp.Or(m.openedAt, m.where+": listener")
	m.drafts = append(m.drafts, &d)
	m.current = m.drafts[len(m.drafts)-1]
	if len(m.drafts) > maxListeners {
		return m.mistake(fmt.Sprintf("more than %d listeners", maxListeners))
	}
	return nil
}

// finish turns all that was read into settings.
func (m *mosquitto) finish(path string) error {
	m.settleLog()
	m.settleStore(path)
	if m.c.User = m.user; m.user == "" || m.user == "mosquitto" {
		m.c.User = "mosquitto,nobody"
	}
	drafts := m.drafts
	if m.general.touched || len(drafts) == 0 {
		if m.general.Port == 0 {
			m.general.Port = MQTT.port()
		}
		if m.openedAt == "" {
			m.general.Host = loopback(0).Host
		}
		drafts = append(drafts[:len(drafts):len(drafts)], &m.general)
	}
	if m.perListener {
		m.access = mosquittoAccess()
	}
	anonymous := choose(m.openedAt == "")
	if m.access.AllowAnonymous == Unset {
		m.access.AllowAnonymous = anonymous
	}
	m.c.Access = m.access
	m.c.Listen = nil
	for _, d := range drafts {
		if d.protocol == "http_api" {
			if d.Listener.Scheme == Unix || len(d.Listener.TLS.CertFiles) > 0 {
				return fmt.Errorf("%s http_api is served over plain TCP only: put a proxy before it", d.at("protocol"))
			}
			m.c.HTTPListen = append(m.c.HTTPListen, d.Listener.Address())
			continue
		}
		if err := m.settleListener(d, anonymous); err != nil {
			return err
		}
	}
	return nil
}

// settleListener turns d into a listener.
func (m *mosquitto) settleListener(d *draft, anonymous Choice) error {
	l := d.Listener
	if err := d.settleScheme(&l); err != nil {
		return err
	}
	if err := m.settleIdentity(d, &l); err != nil {
		return err
	}
	if l.Scheme.WebSocket() {
		l.WebSocket.HeaderBytes = m.headerBytes
	} else if len(l.WebSocket.Origins) > 0 {
		m.source.warn(d.at("websockets_origin") + ": ignored, because the listener's protocol is not websockets")
		l.WebSocket.Origins = nil
	}
	own := m.access
	if m.perListener {
		if own = d.access; own.AllowAnonymous == Unset {
			own.AllowAnonymous = anonymous
		}
	}
	if d.anonymous != Unset {
		own.AllowAnonymous = d.anonymous
	}
	own.AutoIDPrefix = cmp.Or(d.autoIDPrefix, own.AutoIDPrefix)
	l.setAccess(own, &m.c.Access)

	back, err := ParseListener(l.String())
	if err != nil || back.String() != l.String() {
		return fmt.Errorf("%s: listener: %q is neither a host nor an absolute path of a socket", d.where, shorten(l.Host+l.Socket))
	}
	if err := l.validate(); err != nil {
		return fmt.Errorf("%s: listener: %w", d.where, err)
	}
	if err := m.c.addListener(l); err != nil {
		return fmt.Errorf("%s: listener: %w", d.where, err)
	}
	return nil
}

// settleScheme finds out how clients speak with d.
func (d *draft) settleScheme(l *Listener) error {
	certificate, key := len(l.TLS.CertFiles) > 0, len(l.TLS.KeyFiles) > 0
	secure := certificate && key
	switch {
	case certificate != key && certificate:
		return fmt.Errorf("%s needs keyfile, too: without it the listener would be open", d.at("certfile"))
	case certificate != key:
		return fmt.Errorf("%s needs certfile, too: without it the listener would be open", d.at("keyfile"))
	case l.Scheme == Unix && (secure || d.protocol != "mqtt"):
		return fmt.Errorf("%s: a Unix socket serves plain MQTT only", d.at("listener"))
	case l.Scheme == Unix:
	case secure && d.protocol == "websockets":
		l.Scheme = WSS
	case secure:
		l.Scheme = MQTTS
	case d.protocol == "websockets":
		l.Scheme = WS
	}
	return nil
}

// settleIdentity finds out who shows certificates, to whom, and what for.
func (m *mosquitto) settleIdentity(d *draft, l *Listener) error {
	byProxy := !l.Scheme.TLS() && l.Proxy.Mode != ProxyOff && l.Proxy.Version == 2
	if l.Proxy.RequireTLS = d.proxyTLS; d.proxyTLS && (l.Proxy.Mode == ProxyOff || l.Proxy.Version != 2) {
		return fmt.Errorf("%s needs enable_proxy_protocol 2: without it the listener would be open", d.at("proxy_protocol_v2_require_tls"))
	}
	if !l.Scheme.TLS() {
		l.TLS = TLS{} // mosquitto looks at none of it without a certificate
	}
	switch {
	case !d.requireCertificate:
	case byProxy:
		l.Proxy.RequireCert = true
	case l.Scheme.TLS():
		l.TLS.ClientCert = CertRequired
	default:
		return fmt.Errorf("%s needs certfile and keyfile: without them the listener would be open", d.at("require_certificate"))
	}
	switch {
	case !d.useIdentity && !d.useSubject:
		return nil
	case byProxy && d.useIdentity:
		l.Proxy.Identity = true
		return nil
	case !l.Scheme.TLS():
		m.source.warn(d.at(d.identityOption()) + ": ignored, because clients of this listener show no certificates")
		return nil
	case !d.requireCertificate:
		return fmt.Errorf("%s needs require_certificate true: nobody could connect without", d.at(d.identityOption()))
	case d.useIdentity:
		l.Identity = IdentityCN
	default:
		l.Identity = IdentitySubject
	}
	return nil
}

func (d *draft) identityOption() string {
	if d.useIdentity {
		return "use_identity_as_username"
	}
	return "use_subject_as_username"
}

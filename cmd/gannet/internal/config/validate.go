package config

import (
	"errors"
	"fmt"
	"strings"
)

// Validate reports what no single setting can see: settings that contradict
// each other, or that would open the server to the network by accident. The
// error is one line that says how to mend it.
func (c *Config) Validate() error {
	if len(c.Listen) == 0 {
		return errors.New("listen: no listener: write --listen mqtt://127.0.0.1:1883")
	}
	var nobody error
	locked := 0
	for _, l := range c.Listen {
		if err := l.validate(); err != nil {
			return fmt.Errorf("listen: %s: %w", l, err)
		}
		if err := c.AccessOf(&l).validate(); err != nil {
			return err
		}
		if err := c.lockedOut(&l); err != nil {
			if c.AccessOf(&l).AllowAnonymous == Unset {
				return err
			}
			nobody = err
			locked++
		}
	}
	if locked == len(c.Listen) {
		return lockedOut{nobody}
	}
	return nil
}

// lockedOut is the error of a configuration that lets nobody in.
type lockedOut struct{ error }

// Warnings are what a sound configuration has that its owner may not have meant, a line each.
func (c *Config) Warnings() []string {
	var out []string
	for _, l := range c.Listen {
		if err := c.lockedOut(&l); err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// Anonymous reports whether listener l admits clients without authentication:
// what allow-anonymous says, and while that is unset only where nobody but this
// machine can connect and there is no way to authenticate.
func (c *Config) Anonymous(l Listener) bool {
	a := c.AccessOf(&l)
	switch a.AllowAnonymous {
	case Yes:
		return true
	case No:
		return false
	case Unset:
		return !a.Authenticates() && !l.Proves() && l.Loopback()
	default:
		panic(fmt.Sprintf("config: allow-anonymous has no state %d", a.AllowAnonymous))
	}
}

// lockedOut explains why listener l could admit nobody; nil if it could.
func (c *Config) lockedOut(l *Listener) error {
	a := c.AccessOf(l)
	if c.Anonymous(*l) || a.Authenticates() || l.Proves() {
		return nil
	}
	if a.AllowAnonymous == No {
		return fmt.Errorf("listen: %s could admit nobody: allow-anonymous is false and there are no users: "+
			"name them with --password-file FILE or --scram-users FILE", l)
	}
	return fmt.Errorf("listen: %s can be reached from other machines and nobody would have to authenticate: "+
		"name users with --password-file FILE or --scram-users FILE, or write --allow-anonymous to let everybody in", l)
}

func (a *Access) validate() error {
	switch {
	case a.JWT.Secret != "" && a.JWT.SecretFile != "":
		return errors.New("jwt-secret: jwt-secret-file is set, too: remove one")
	case a.HTTP.ACLURL != "" && a.HTTP.URL == "":
		return errors.New("http-acl-url: it needs http-url, too")
	case (a.HTTP.CertFile == "") != (a.HTTP.KeyFile == ""):
		return errors.New("http-certfile and http-keyfile: one needs the other")
	}
	return nil
}

// validate reports what cannot be in one listener.
func (l *Listener) validate() error {
	secure, ws, proxy := l.Scheme.TLS(), l.Scheme.WebSocket(), l.Proxy.Mode != ProxyOff
	hasCA := l.TLS.CAFile != "" || l.TLS.CAPath != ""
	hasTLS := len(l.TLS.CertFiles) > 0 || len(l.TLS.KeyFiles) > 0 || hasCA || len(l.TLS.CRLFiles) > 0 || l.TLS.ClientCert != CertNone ||
		l.TLS.MinVersion != "" || l.TLS.MaxVersion != "" || l.TLS.Ciphers != "" || l.TLS.NoTickets || l.TLS.AllowExpiredCRL
	facts := l.Proxy.RequireTLS || l.Proxy.RequireCert || l.Proxy.Identity
	for _, rule := range []struct {
		broken bool
		advice string
	}{
		{secure && len(l.TLS.CertFiles) == 0, "it needs a certificate: add certfile=FILE and keyfile=FILE"},
		{len(l.TLS.CertFiles) != len(l.TLS.KeyFiles), "certfile and keyfile: there must be as many of one as of the other"},
		{!secure && hasTLS, "settings of TLS, but its scheme is not mqtts or wss"},
		{l.TLS.ClientCert != CertNone && !hasCA, "require-certificate: nobody's certificate could be trusted: add cafile=FILE or capath=DIR"},
		{len(l.TLS.CRLFiles) > 0 && !hasCA, "crlfile: it needs the authority that signs it: add cafile=FILE or capath=DIR"},
		{l.Identity != IdentityNone && l.TLS.ClientCert == CertNone, "identity: clients show no certificate: add require-certificate=true"},
		{l.TLS.MaxVersion != "" && l.TLS.MaxVersion < l.TLS.MinVersion, "tls-version-max: it is older than tls-version"},
		{!ws && (l.WebSocket.Path != "" || len(l.WebSocket.Origins) > 0 || l.WebSocket.HeaderBytes != 0), "settings of WebSocket, but its scheme is not ws or wss"},
		{l.WebSocket.Path != "" && l.WebSocket.Path[0] != '/', "websockets-path: it begins with a slash"},
		{l.Scheme == Unix && (l.Interface != "" || l.Family != AnyFamily), "bind-interface and socket-domain: a Unix socket has neither"},
		{l.Scheme != Unix && l.SocketMode != 0, "socket-mode: it is not a Unix socket"},
		{!proxy && (l.Proxy.Version != 0 || facts), "settings of the PROXY protocol: add proxy-protocol=required"},
		{l.Proxy.Mode == ProxyOptional && len(l.Proxy.Trusted) == 0, "proxy-protocol=optional: everybody could choose his address: add proxy-trusted=NETWORK"},
		{facts && (l.Proxy.Mode != ProxyRequired || l.Proxy.Version == 1), "only version 2 of the PROXY protocol tells of TLS: add proxy-protocol=required&proxy-version=2"},
		{l.Proxy.Identity && l.Identity != IdentityNone, "proxy-identity and identity: remove one"},
		{strings.ContainsAny(l.MountPoint, "+#\x00"), "mount-point: it is put before topics and has no wildcards"},
	} {
		if rule.broken {
			return errors.New(rule.advice)
		}
	}
	return nil
}

package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/gannetmq/gannet/cmd/gannet/internal/client"
	"github.com/gannetmq/gannet/engine/certs"
)

// transportFlags say how bytes get to the server and back.
type transportFlags struct {
	unix   string // path of a socket; empty: TCP
	ws     bool
	wsPath string // empty: defaultWebSocketPath

	tls                    bool // the URL wants it
	noTLS                  bool
	caFile, caPath         string
	osCerts                bool
	certFile, keyFile      string
	keyForm                string
	insecure               bool
	tlsVersion, alpn, list string // list is that of --ciphers
}

const (
	plainPort            = "1883"
	tlsPort              = "8883"
	defaultWebSocketPath = "/mqtt"
)

// useTLS reports whether the connection is to be encrypted. As with mosquitto's
// clients, authorities to trust say so, and so does the port of MQTT over TLS.
func (f *clientFlags) useTLS() bool {
	t := &f.transport
	return !t.noTLS && (t.tls || t.caFile != "" || t.caPath != "" || t.osCerts || f.port == tlsPort)
}

// address is host and port of the server.
func (f *clientFlags) address() string {
	port := plainPort
	if f.useTLS() {
		port = tlsPort
	}
	return net.JoinHostPort(f.host, cmp.Or(f.port, port))
}

// checkTransport judges the flags of the transport together.
func (f *clientFlags) checkTransport() error {
	t := &f.transport
	switch {
	case (t.certFile == "") != (t.keyFile == ""):
		return usage("Both certfile and keyfile must be provided if one of them is set.")
	case t.keyForm != "" && t.keyFile == "":
		return usage("If keyform is set, keyfile must be also specified.")
	case t.keyForm == "engine":
		return usage("--keyform engine is not supported: use a key in a PEM file.")
	case t.keyForm != "" && t.keyForm != "pem":
		return usage("Problem setting key form, it must be 'pem'.")
	case t.wsPath != "" && !strings.HasPrefix(t.wsPath, "/"):
		return usage("--ws-path must begin with '/'.")
	}
	if t.tlsVersion != "" {
		if _, err := certs.ParseVersion(t.tlsVersion); err != nil {
			return usage("%v.", err)
		}
	}
	if _, _, err := certs.ParseCiphers(t.list); err != nil {
		return usage("%v.", err)
	}
	if f.useTLS() || t.noTLS {
		return nil
	}
	for _, flag := range []struct {
		name  string
		given bool
	}{
		{"--cert", t.certFile != ""}, {"--insecure", t.insecure}, {"--tls-version", t.tlsVersion != ""},
		{"--tls-alpn", t.alpn != ""}, {"--ciphers", t.list != ""},
	} {
		if flag.given {
			return usage("%s needs TLS: give --cafile, --capath or --tls-use-os-certs, or a URL of mqtts or wss.", flag.name)
		}
	}
	return nil
}

// setTransport makes o.Dialer what the flags say. It reads certificates; warnings
// go to w.
func (f *clientFlags) setTransport(o *client.Options, w io.Writer) error {
	t := &f.transport
	var config *tls.Config
	if f.useTLS() {
		var err error
		if config, err = t.config(f.host, w); err != nil {
			return err
		}
	}
	if config == nil && t.unix == "" && !t.ws {
		return nil // the client's own
	}
	o.Dialer = func(ctx context.Context, address string) (net.Conn, error) {
		network, target := "tcp", address
		if t.unix != "" {
			network, target = "unix", t.unix
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, target)
		if err != nil {
			return nil, err
		}
		if config != nil {
			secure := tls.Client(conn, config)
			if err := secure.HandshakeContext(ctx); err != nil {
				conn.Close()
				return nil, &tlsError{err}
			}
			conn = secure
		}
		if t.ws {
			return client.WebSocket(ctx, conn, address, cmp.Or(t.wsPath, defaultWebSocketPath), o.Version)
		}
		return conn, nil
	}
	return nil
}

// config is how TLS is spoken with host.
func (t *transportFlags) config(host string, w io.Writer) (*tls.Config, error) {
	roots, warnings, err := t.roots()
	if err != nil {
		return nil, err
	}
	suites, more, err := certs.ParseCiphers(t.list)
	if err != nil {
		return nil, err
	}
	for _, text := range append(warnings, more...) {
		fmt.Fprintf(w, "Warning: %s.\n", text)
	}
	v := verifier{roots, host, t.insecure}
	c := &tls.Config{
		ServerName:         host,
		MinVersion:         tls.VersionTLS12,
		CipherSuites:       suites,
		ClientSessionCache: tls.NewLRUClientSessionCache(1),
		InsecureSkipVerify: true, // the verifier does it all, with mosquitto's meaning of --insecure
		VerifyConnection:   v.verify,
	}
	if t.tlsVersion != "" {
		if c.MinVersion, err = certs.ParseVersion(t.tlsVersion); err != nil {
			return nil, err
		}
	}
	if t.alpn != "" {
		c.NextProtos = []string{t.alpn}
	}
	if t.certFile != "" {
		pair, err := certs.LoadPair(certs.Pair{CertFile: t.certFile, KeyFile: t.keyFile})
		if err != nil {
			return nil, err
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return c, nil
}

// roots are the authorities whose servers are trusted: those of the operating
// system if it was asked for or nothing else was named.
func (t *transportFlags) roots() (pool *x509.CertPool, warnings []string, err error) {
	pool = x509.NewCertPool()
	if t.osCerts || t.tls || (t.caFile == "" && t.caPath == "") {
		if pool, err = x509.SystemCertPool(); err != nil {
			return nil, nil, fmt.Errorf("certificates of the operating system: %w", err)
		}
	}
	warnings, err = certs.LoadAuthorities(pool, t.caFile, t.caPath)
	return pool, warnings, err
}

// verifier judges the server's certificate.
type verifier struct {
	roots    *x509.CertPool
	host     string
	insecure bool // any host will do; its authority must be trusted all the same
}

func (v verifier) verify(state tls.ConnectionState) error {
	cert := state.PeerCertificates[0]
	o := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := cert.Verify(o); err != nil {
		return err
	}
	if v.insecure || namedByCommonName(cert, v.host) {
		return nil
	}
	return cert.VerifyHostname(v.host)
}

// namedByCommonName reports whether a certificate without any alternative name
// has host for its Common Name. Go does not look there, mosquitto's clients do,
// and a certificate that somebody made for a first try has nothing else.
func namedByCommonName(cert *x509.Certificate, host string) bool {
	for _, e := range cert.Extensions {
		if e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 17}) {
			return false
		}
	}
	name := certs.NamesOf(cert).CommonName
	if wildcard, ok := strings.CutPrefix(name, "*."); ok && strings.Contains(wildcard, ".") && net.ParseIP(host) == nil {
		_, domain, _ := strings.Cut(host, ".")
		return strings.EqualFold(domain, wildcard)
	}
	return name != "" && strings.EqualFold(name, host)
}

// tlsError is a TLS handshake that failed.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *tlsError) Unwrap() error { return e.err }

// explainTLS words why TLS did not come about, if that is what err says.
func explainTLS(err error) (text string, ok bool) {
	if alert, found := errors.AsType[*net.OpError](err); found && alert.Op == "remote error" {
		text := strings.TrimPrefix(alert.Err.Error(), "tls: ")
		if text == "certificate required" || text == "bad certificate" {
			text += ": does it ask for a certificate that --cert and --key have to name?"
		}
		return "The server ended the TLS handshake: " + text, true
	}
	failure, ok := errors.AsType[*tlsError](err)
	if !ok {
		return "", false
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "The server's certificate (" + certs.NamesOf(e.Cert).Subject + ") is not signed by a trusted authority: name the one that signed it with --cafile", true
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("The server's certificate is for %s, not for %s: connect to a name in it, or give --insecure", hostsOf(e.Certificate), e.Host), true
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return fmt.Sprintf("The server's certificate is valid from %s to %s only", e.Cert.NotBefore.Format("2006-01-02 15:04"), e.Cert.NotAfter.Format("2006-01-02 15:04")), true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "The server does not speak TLS on this port", true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "The server ended the connection during the TLS handshake", true
	}
	return "TLS handshake: " + strings.TrimPrefix(failure.err.Error(), "tls: "), true
}

// hostsOf lists whom a server's certificate is for.
func hostsOf(cert *x509.Certificate) string {
	hosts := slices.Clone(cert.DNSNames)
	for _, ip := range cert.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	if len(hosts) == 0 {
		hosts = append(hosts, cmp.Or(certs.NamesOf(cert).CommonName, "nobody"))
	}
	return strings.Join(hosts, ", ")
}

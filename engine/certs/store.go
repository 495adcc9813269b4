package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Store is the certificates, authorities and revocation lists of one listener, or of several that have the same. Safe for concurrent use.
type Store struct {
	outer   *tls.Config // what ServerConfig returns; has the ticket keys
	current atomic.Pointer[snapshot]
	reload  sync.Mutex // one at a time
}

// snapshot is what the files said at one time. Immutable.
type snapshot struct {
	options  Options
	files    fingerprint
	pairs    []tls.Certificate
	cas      authorities
	crls     revocations
	config   *tls.Config
	plain    *tls.Config // likewise, without ALPN
	warnings []string
}

// Load reads and judges everything that o names. The error is one line that names the file and says how to mend it.
func Load(o Options) (*Store, error) {
	s := new(Store)
	if err := s.Apply(o); err != nil {
		return nil, err
	}
	s.outer = &tls.Config{
		MinVersion:                  tls.VersionTLS12, // the inner one decides
		DynamicRecordSizingDisabled: true,
		GetConfigForClient:          func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return s.current.Load().configFor(hello), nil },
	}
	return s, nil
}

// ServerConfig returns the configuration for all connections, the same pointer each time. It follows reloads by itself. It must not be changed, nor
// cloned: a clone would have ticket keys of its own.
func (s *Store) ServerConfig() *tls.Config { return s.outer }

// Reload reads all files again. It is all or nothing: after an error everything is as it was. Connections that are there stay.
func (s *Store) Reload() error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.load(s.current.Load().options)
}

// Apply replaces the Options, and reads the files that they name, all or nothing. ServerConfig stays the same, and so do the ticket keys.
func (s *Store) Apply(o Options) error {
	s.reload.Lock()
	defer s.reload.Unlock()
	return s.load(o)
}

// Take puts in force what another Store has read, with its Options. It cannot fail: whoever must replace much at once loads a Store first, and
// throws it away. ServerConfig stays the same, and so do the ticket keys.
func (s *Store) Take(from *Store) {
	s.reload.Lock()
	defer s.reload.Unlock()
	snap := *from.current.Load()
	s.install(&snap)
}

func (s *Store) load(o Options) error {
	snap, err := newSnapshot(o)
	if err != nil {
		return err
	}
	s.install(snap)
	return nil
}

// install puts snap in force.
func (s *Store) install(snap *snapshot) {
	snap.config = s.innerConfig(snap)
	snap.plain = snap.config.Clone()
	snap.plain.NextProtos = nil
	s.current.Store(snap)
}

// Warnings returns what is not as it should be with the files in use, one line each: a certificate that is expired or not valid yet, a key that
// strangers may read, an overdue list, an authority without a list. The caller must not change it.
func (s *Store) Warnings() []string { return s.current.Load().warnings }

// newSnapshot reads the files. They are looked at before they are read, so that a change in between is found by the next look.
func newSnapshot(o Options) (*snapshot, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	snap := &snapshot{options: o, files: lookAt(&o)}
	now := o.now()
	var err error
	if snap.cas, snap.warnings, err = loadAuthorities(o.CAFile, o.CAPath); err != nil {
		return nil, err
	}
	if snap.crls, err = loadCRLs(o.CRLFiles, &snap.cas, o.AllowExpiredCRL); err != nil {
		return nil, err
	}
	for _, p := range o.Pairs {
		pair, err := LoadPair(p)
		if err != nil {
			return nil, err
		}
		snap.pairs = append(snap.pairs, tls.Certificate{
			Certificate: snap.cas.complete(pair.Certificate), PrivateKey: pair.PrivateKey, Leaf: pair.Leaf,
		})
		snap.warn(dateWarning("certificate", p.CertFile, pair.Leaf, now))
		snap.warn(keyWarning(p.KeyFile))
	}
	snap.judgeAuthorities(now)
	return snap, nil
}

func (snap *snapshot) warn(text string) {
	if text != "" {
		snap.warnings = append(snap.warnings, text)
	}
}

// keyWarning says that others than owner and group may read a private key, or nothing.
func keyWarning(file string) string {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return ""
	}
	return fmt.Sprintf("key %s may be read by everybody on this machine: chmod 640 %s", file, file)
}

func (snap *snapshot) judgeAuthorities(now time.Time) {
	for _, ca := range snap.cas.list {
		snap.warn(dateWarning("CA", ca.file, ca.cert, now))
		if snap.options.Clients != ClientNone && len(snap.crls.list) > 0 && len(snap.crls.byIssuer[string(ca.cert.RawSubject)]) == 0 {
			snap.warn(fmt.Sprintf("CA %s (%s) has no revocation list: clients whose certificates it signed itself are refused", ca.file, nameOf(ca.cert)))
		}
	}
	for _, list := range snap.crls.list {
		if why := list.stale(now); why != "" && !snap.options.AllowExpiredCRL {
			snap.warn(fmt.Sprintf("the revocation list of %s %s: clients that it would judge are refused", nameOf(list.issuer), why))
		}
	}
}

// configFor chooses what a client's handshake gets. One that offers only protocols that are not known is served without any: crypto/tls would refuse
// it, but mosquitto does not, and there are such clients: browsers offer http/1.1 for a WebSocket, libraries made for other services their names.
func (snap *snapshot) configFor(hello *tls.ClientHelloInfo) *tls.Config {
	for _, offered := range hello.SupportedProtos {
		if slices.Contains(snap.config.NextProtos, offered) {
			return snap.config
		}
	}
	return snap.plain
}

// innerConfig is what a handshake with ALPN gets.
func (s *Store) innerConfig(snap *snapshot) *tls.Config {
	o := &snap.options
	c := &tls.Config{
		Certificates:                snap.pairs,
		MinVersion:                  o.minVersion(),
		MaxVersion:                  o.MaxVersion,
		CipherSuites:                o.CipherSuites,
		NextProtos:                  o.ALPN,
		SessionTicketsDisabled:      o.NoTickets,
		DynamicRecordSizingDisabled: true,
		Time:                        o.Now,
	}
	if o.ALPN == nil {
		c.NextProtos = []string{DefaultALPN}
	}
	switch o.Clients {
	case ClientNone:
		return c
	case ClientOptional:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case ClientRequired:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	c.ClientCAs = snap.cas.pool
	c.VerifyConnection = func(state tls.ConnectionState) error { return s.current.Load().judge(state) }
	return c
}

// judge says whether a client's certificate is good now, of which crypto/tls has verified the chains, now or when the session began that is
// being resumed. It runs on the goroutine of the handshake.
func (snap *snapshot) judge(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		if snap.options.Clients == ClientRequired {
			return errors.New("client brought no certificate")
		}
		return nil
	}
	now := snap.options.now()
	var first error
	for _, chain := range state.VerifiedChains {
		err := snap.judgeChain(chain, now)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = fmt.Errorf("certificate of %s was never verified", nameOf(state.PeerCertificates[0]))
	}
	return first
}

func (snap *snapshot) judgeChain(chain []*x509.Certificate, now time.Time) error {
	root := chain[len(chain)-1]
	if _, ok := snap.cas.trusted[sha256.Sum256(root.Raw)]; !ok {
		return fmt.Errorf("certificate of %s: its authority (%s) is not trusted any more", nameOf(chain[0]), nameOf(root))
	}
	for _, cert := range chain {
		if now.Before(cert.NotBefore) || now.After(cert.NotAfter) {
			return fmt.Errorf("certificate of %s: %s is valid from %s to %s only", nameOf(chain[0]), nameOf(cert), day(cert.NotBefore), day(cert.NotAfter))
		}
	}
	return snap.crls.judge(chain, now)
}

// sameFiles reports whether the files that the snapshot came from look as they did.
func (snap *snapshot) sameFiles(now fingerprint) bool { return bytes.Equal(snap.files, now) }

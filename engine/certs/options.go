package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The bounds of what is read. A file or folder beyond them is an error that says so.
const (
	MaxFileBytes   = 16 << 20  // of a certificate, key or CA file
	MaxCRLBytes    = 256 << 20 // of a revocation list: millions of entries
	MaxCAPathFiles = 10_000    // in a CA folder
)

// DefaultALPN is the protocol that the server chooses from those a client offers in ALPN.
const DefaultALPN = "mqtt"

// Pair is a certificate and its key, both PEM. The file of the certificate may hold the intermediate ones after it, the file of the key may be
// the same one.
type Pair struct{ CertFile, KeyFile string }

// ClientCertificates says whether clients are asked for certificates.
type ClientCertificates uint8

const (
	ClientNone     ClientCertificates = iota // not asked
	ClientOptional                           // asked; who brings one must bring a valid one
	ClientRequired                           // who brings none is refused
)

func (c ClientCertificates) String() string { return [...]string{"none", "optional", "required"}[c] }

// Options say what to load. Only Pairs are needed. They are kept by the Store and must not be changed afterwards.
type Options struct {
	// Pairs are offered by the name that the client asks for (SNI), wildcards included, and by the algorithms it knows. The first one is for
	// clients that ask for no name, or for none that is there.
	Pairs []Pair
	// CAFile and CAPath hold the authorities, PEM, whose client certificates are accepted. They also complete the chains of Pairs whose files
	// hold no intermediate certificates. In CAPath every file is looked at, whatever its name.
	CAFile, CAPath string
	// CRLFiles are revocation lists, DER or any number of PEM blocks in each. Their issuers must be among the authorities.
	CRLFiles []string
	// AllowExpiredCRL goes on using a list whose next update is overdue. False refuses whom it would have to judge.
	AllowExpiredCRL bool
	Clients         ClientCertificates

	// MinVersion and MaxVersion are tls.VersionTLS12 or tls.VersionTLS13; 0: TLS 1.2, and the newest. See ParseVersion.
	MinVersion, MaxVersion uint16
	// CipherSuites are those for TLS 1.2; nil: those that crypto/tls thinks well of. See ParseCiphers.
	CipherSuites []uint16
	// ALPN are the protocols known, most wanted first; nil: DefaultALPN. A client that offers none of them, or that does
	// not use ALPN, is served without a choice. Empty, not nil: ALPN is ignored.
	ALPN []string
	// NoTickets turns session tickets off: every handshake is a full one.
	NoTickets bool

	// Now is the time by which certificates and lists are judged; nil: time.Now.
	Now func() time.Time
}

// Validate judges the Options without reading a file.
func (o *Options) Validate() error {
	if len(o.Pairs) == 0 {
		return errors.New("no certificate: a TLS listener needs a certificate and its key")
	}
	for _, p := range o.Pairs {
		switch {
		case p.CertFile == "":
			return fmt.Errorf("key %s has no certificate: name the file of the certificate, too", p.KeyFile)
		case p.KeyFile == "":
			return fmt.Errorf("certificate %s has no key: name the file of its private key, too", p.CertFile)
		}
	}
	hasCA := o.CAFile != "" || o.CAPath != ""
	switch {
	case o.Clients > ClientRequired:
		panic("certs: ClientCertificates out of range")
	case o.Clients != ClientNone && !hasCA:
		return errors.New("client certificates without a CA: name the file or folder of the authorities that sign them")
	case len(o.CRLFiles) > 0 && !hasCA:
		return fmt.Errorf("revocation list %s without a CA: name the file or folder of the authority that signs it", o.CRLFiles[0])
	}
	for _, v := range []uint16{o.MinVersion, o.MaxVersion} {
		if v != 0 && v != tls.VersionTLS12 && v != tls.VersionTLS13 {
			return fmt.Errorf("TLS version %s is not offered: TLS 1.2 and 1.3 are", tls.VersionName(v))
		}
	}
	if o.MaxVersion != 0 && o.MaxVersion < o.minVersion() {
		return fmt.Errorf("newest TLS version %s is below the oldest, %s", tls.VersionName(o.MaxVersion), tls.VersionName(o.minVersion()))
	}
	return nil
}

func (o *Options) minVersion() uint16 {
	if o.MinVersion == 0 {
		return tls.VersionTLS12
	}
	return o.MinVersion
}

func (o *Options) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// ErrOldVersion is the error of ParseVersion for a version below TLS 1.2.
var ErrOldVersion = errors.New("TLS below 1.2 is broken and not offered: write tlsv1.2")

// ParseVersion reads a TLS version as mosquitto writes it: tlsv1.2 or tlsv1.3.
func ParseVersion(text string) (uint16, error) {
	switch strings.ToLower(text) {
	case "tlsv1.3":
		return tls.VersionTLS13, nil
	case "tlsv1.2":
		return tls.VersionTLS12, nil
	case "tlsv1.1", "tlsv1.0", "tlsv1", "sslv3":
		return 0, fmt.Errorf("TLS version %q: %w", text, ErrOldVersion)
	}
	return 0, fmt.Errorf("TLS version %q is unknown: write tlsv1.2 or tlsv1.3", text)
}

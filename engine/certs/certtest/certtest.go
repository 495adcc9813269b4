// Package certtest makes certificates for tests, on the fly and of ECDSA keys, which are quick to make. It is imported by tests only.
package certtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Certificate is one certificate with its key.
type Certificate struct {
	Cert   *x509.Certificate
	Key    *ecdsa.PrivateKey
	issuer *Certificate // nil: itself
}

// Option changes a certificate before it is signed.
type Option func(*x509.Certificate)

// Expired makes a certificate that ended an hour ago.
func Expired(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }

// NotYetValid makes a certificate that begins in an hour.
func NotYetValid(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }

// NoAlternativeNames leaves nothing but the Common Name, as certificates of long ago have it.
func NoAlternativeNames(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }

// Until sets the end of a certificate.
func Until(t time.Time) Option { return func(c *x509.Certificate) { c.NotAfter = t } }

// NewCA makes an authority that signed itself.
func NewCA(t testing.TB, name string, options ...Option) *Certificate {
	t.Helper()
	return issue(t, nil, authority(name), options)
}

// Intermediate makes an authority that ca has signed.
func (ca *Certificate) Intermediate(t testing.TB, name string, options ...Option) *Certificate {
	t.Helper()
	return issue(t, ca, authority(name), options)
}

// Server makes a certificate for hosts: names, wildcards and IP addresses.
func (ca *Certificate) Server(t testing.TB, hosts []string, options ...Option) *Certificate {
	t.Helper()
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: hosts[0]}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return issue(t, ca, c, options)
}

// Client makes a certificate for a client of that Common Name.
func (ca *Certificate) Client(t testing.TB, name string, options ...Option) *Certificate {
	t.Helper()
	return issue(t, ca, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, options)
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

func issue(t testing.TB, issuer *Certificate, template *x509.Certificate, options []Option) *Certificate {
	t.Helper()
	c := &Certificate{issuer: issuer}
	var err error
	if c.Key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		t.Fatal(err)
	}
	template.NotBefore, template.NotAfter = time.Now().Add(-24*time.Hour), time.Now().Add(365*24*time.Hour)
	for _, option := range options {
		option(template)
	}
	parent, key := template, c.Key
	if issuer != nil {
		parent, key = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, c.Key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c.Cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

// PEM is the certificate.
func (c *Certificate) PEM() []byte { return encode("CERTIFICATE", c.Cert.Raw) }

// ChainPEM is the certificate, followed by its issuers without the root.
func (c *Certificate) ChainPEM() (out []byte) {
	for ; c != nil && (c.issuer != nil || out == nil); c = c.issuer {
		out = append(out, c.PEM()...)
	}
	return out
}

// KeyPEM is the private key.
func (c *Certificate) KeyPEM() []byte {
	der, err := x509.MarshalPKCS8PrivateKey(c.Key)
	if err != nil {
		panic("certtest: " + err.Error())
	}
	return encode("PRIVATE KEY", der)
}

// TLS is the certificate with its chain and key, for a tls.Config.
func (c *Certificate) TLS() tls.Certificate {
	pair, err := tls.X509KeyPair(c.ChainPEM(), c.KeyPEM())
	if err != nil {
		panic("certtest: " + err.Error())
	}
	return pair
}

// Pool is a pool of just this certificate.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Cert)
	return pool
}

// CRL is a revocation list of ca, PEM, that names revoked and is valid until nextUpdate, from an hour before now or before that.
func (ca *Certificate) CRL(t testing.TB, nextUpdate time.Time, revoked ...*Certificate) []byte {
	t.Helper()
	begin := time.Now()
	if nextUpdate.Before(begin) {
		begin = nextUpdate
	}
	return ca.signCRL(t, &x509.RevocationList{ThisUpdate: begin.Add(-time.Hour), NextUpdate: nextUpdate}, revoked)
}

// DeltaCRL is a list of what changed since another one, which nobody can judge by alone.
func (ca *Certificate) DeltaCRL(t testing.TB) []byte {
	t.Helper()
	deltaIndicator := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{asn1.TagInteger, 1, 1}}
	return ca.signCRL(t, &x509.RevocationList{
		ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(time.Hour), ExtraExtensions: []pkix.Extension{deltaIndicator},
	}, nil)
}

func (ca *Certificate) signCRL(t testing.TB, list *x509.RevocationList, revoked []*Certificate) []byte {
	t.Helper()
	list.Number = big.NewInt(time.Now().UnixNano())
	for _, c := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: c.Cert.SerialNumber, RevocationTime: list.ThisUpdate})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.Cert, ca.Key)
	if err != nil {
		t.Fatal(err)
	}
	return encode("X509 CRL", der)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Write puts content into a file of that name in dir and returns its path. The file is replaced as a whole, by a new one.
func Write(t testing.TB, dir, name string, content ...[]byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	var all []byte
	for _, c := range content {
		all = append(all, c...)
	}
	if err := os.WriteFile(path+".new", all, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Files writes the certificate with its chain, and the key, as name.crt and name.key in dir.
func (c *Certificate) Files(t testing.TB, dir, name string) (certFile, keyFile string) {
	t.Helper()
	return Write(t, dir, name+".crt", c.ChainPEM()), Write(t, dir, name+".key", c.KeyPEM())
}

package secure

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// authority is a certification authority whose files lie in a folder. The tests that a
// user would type with openssl are in certificates_test.go; this is for all the others.
type authority struct {
	t    *testing.T
	dir  string
	name string
	key  crypto.Signer
	cert *x509.Certificate
	last int64 // serial number
}

// newAuthority makes one, with its certificate in dir/NAME.crt.
func newAuthority(t *testing.T, dir, name string) *authority {
	t.Helper()
	a := &authority{t: t, dir: dir, name: name, key: newKey(t), last: 1}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Gannet Test"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	writePEM(t, a.file(), "CERTIFICATE", der)
	return a
}

// file is the authority's certificate, for cafile.
func (a *authority) file() string { return filepath.Join(a.dir, a.name+".crt") }

// pair is a certificate and its key, on disk.
type pair struct {
	cert, key string // paths
	parsed    *x509.Certificate
}

// server issues a certificate for localhost and 127.0.0.1.
func (a *authority) server(name string) pair {
	return a.issue(name, newKey(a.t), &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// serverRSA is server with an RSA key, for suites that need one.
func (a *authority) serverRSA(name string) pair {
	a.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		a.t.Fatal(err)
	}
	return a.issue(name, key, &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// client issues a certificate to a subject.
func (a *authority) client(file string, subject pkix.Name) pair {
	return a.issue(file, newKey(a.t), &x509.Certificate{Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// expired issues a client certificate that was valid until a minute ago.
func (a *authority) expired(file string, subject pkix.Name) pair {
	return a.issue(file, newKey(a.t), &x509.Certificate{
		Subject: subject, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(-time.Minute),
	})
}

func (a *authority) issue(name string, key crypto.Signer, template *x509.Certificate) pair {
	a.t.Helper()
	a.last++
	template.SerialNumber = big.NewInt(a.last)
	template.NotBefore = time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(24 * time.Hour)
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	p := pair{cert: filepath.Join(a.dir, name+".crt"), key: filepath.Join(a.dir, name+".key")}
	if p.parsed, err = x509.ParseCertificate(der); err != nil {
		a.t.Fatal(err)
	}
	writePEM(a.t, p.cert, "CERTIFICATE", der)
	writePEM(a.t, p.key, "PRIVATE KEY", private)
	return p
}

// revoke writes a list of what the authority took back and returns its path.
func (a *authority) revoke(pairs ...pair) string {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(time.Now().UnixNano()), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, p := range pairs {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: p.parsed.SerialNumber, RevocationTime: time.Now().Add(-time.Minute)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	path := filepath.Join(a.dir, a.name+".crl")
	writePEM(a.t, path, "X509 CRL", der)
	return path
}

// fingerprint is the hash of the public key by which Chromium is told to trust it.
func (p pair) fingerprint() string {
	sum := sha256.Sum256(p.parsed.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func newKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}

// tlsListener is the block of a TLS listener of 127.0.0.1 in a mosquitto.conf; more are
// further lines of it.
func tlsListener(port string, a *authority, p pair, more string) string {
	return fmt.Sprintf("listener %s 127.0.0.1\ncafile %s\ncertfile %s\nkeyfile %s\n%s", port, a.file(), p.cert, p.key, more)
}

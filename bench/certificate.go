package bench

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// certificate is one certificate for every broker: ECDSA with P-256, for serverName,
// signed by itself, and trusted by the clients because they know it.
type certificate struct {
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
}

const serverName = "localhost"

// certificateLife is longer than any measurement.
const certificateLife = 30 * 24 * time.Hour

func newCertificate() (*certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate: key: %w", err)
	}
	now := time.Now()
	template := x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: serverName},
		DNSNames:     []string{serverName},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &certificate{leaf, key}, nil
}

// write puts the certificate and its key into server.crt and server.key of dir, for a
// broker to read.
func (c *certificate) write(dir string) error {
	key, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return fmt.Errorf("certificate: key: %w", err)
	}
	for _, f := range []struct {
		name  string
		block pem.Block
	}{
		{"server.crt", pem.Block{Type: "CERTIFICATE", Bytes: c.leaf.Raw}},
		{"server.key", pem.Block{Type: "PRIVATE KEY", Bytes: key}},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), pem.EncodeToMemory(&f.block), 0o600); err != nil {
			return fmt.Errorf("certificate: %w", err)
		}
	}
	return nil
}

// clients returns clients that speak one version of TLS and trust the certificate. All
// brokers get the same work: one key exchange and, with TLS 1.2, one cipher suite. Left
// alone, Gannet would do a post-quantum one and an older OpenSSL would not. The second
// curve is that of the certificate, which OpenSSL does not show to who lacks it.
func (c *certificate) clients(version uint16, resume bool) *tlsClients {
	known := x509.NewCertPool()
	known.AddCert(c.leaf)
	config := &tls.Config{
		RootCAs: known, ServerName: serverName,
		MinVersion: version, MaxVersion: version,
		CurvePreferences:            []tls.CurveID{tls.X25519, tls.CurveP256},
		CipherSuites:                []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		DynamicRecordSizingDisabled: true,
	}
	if resume {
		config.ClientSessionCache = tls.NewLRUClientSessionCache(1) // by server, and there is one
	}
	return &tlsClients{config: config}
}

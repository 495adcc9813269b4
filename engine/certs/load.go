package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LoadPair reads a certificate with what follows it in its file, and its key, and judges whether they belong together.
func LoadPair(p Pair) (tls.Certificate, error) {
	cert, err := readFile(p.CertFile, MaxFileBytes)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("certificate: %w", err)
	}
	key, err := readFile(p.KeyFile, MaxFileBytes)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("key: %w", err)
	}
	if block := firstBlock(cert, "CERTIFICATE"); block == nil {
		return tls.Certificate{}, fmt.Errorf("certificate %s: no PEM block \"CERTIFICATE\" in it", p.CertFile)
	}
	if encrypted(key) {
		return tls.Certificate{}, fmt.Errorf("key %s: it is encrypted, and nobody is there to ask for the pass phrase: decrypt it with openssl pkey -in %s -out FILE",
			p.KeyFile, p.KeyFile)
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return pair, nil
	case firstBlock(key, "PRIVATE KEY") == nil:
		return tls.Certificate{}, fmt.Errorf("key %s: no PEM block of a private key in it", p.KeyFile)
	case strings.Contains(err.Error(), "does not match"): // there is no type for it
		return tls.Certificate{}, fmt.Errorf("certificate %s and key %s do not belong together: name the key that the certificate was made for", p.CertFile, p.KeyFile)
	}
	return tls.Certificate{}, fmt.Errorf("certificate %s with key %s: %w", p.CertFile, p.KeyFile, err)
}

// encrypted reports whether a PEM key needs a pass phrase, in PKCS #8 or in the older form.
func encrypted(key []byte) bool {
	block := firstBlock(key, "PRIVATE KEY")
	return block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "")
}

// firstBlock returns the first PEM block whose type ends in what, nil if there is none.
func firstBlock(text []byte, what string) *pem.Block {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil
		}
		if strings.HasSuffix(block.Type, what) {
			return block
		}
	}
}

// readFile reads a regular file of at most max bytes. Its errors name the file.
func readFile(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("%w: let the user that the broker runs as read it", err)
		}
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > max {
		return nil, fmt.Errorf("%s: larger than %d MiB", path, max>>20)
	}
	return text, nil
}

// authority is one trusted certificate and where it came from.
type authority struct {
	cert *x509.Certificate
	file string
}

// authorities are the trusted certificates of one snapshot.
type authorities struct {
	list    []authority
	pool    *x509.CertPool         // nil: no CA was named
	trusted map[[32]byte]struct{}  // SHA-256 of each certificate
	bySubj  map[string][]authority // by encoded subject
}

// loadAuthorities reads a CA file and a CA folder; either may be empty.
func loadAuthorities(file, folder string) (a authorities, warnings []string, err error) {
	a = authorities{trusted: make(map[[32]byte]struct{}), bySubj: make(map[string][]authority)}
	if file == "" && folder == "" {
		return a, nil, nil
	}
	a.pool = x509.NewCertPool()
	if file != "" {
		text, err := readFile(file, MaxFileBytes)
		if err != nil {
			return a, nil, fmt.Errorf("CA: %w", err)
		}
		if err := a.addAll(file, text); err != nil {
			return a, nil, err
		}
		if len(a.list) == 0 {
			return a, nil, fmt.Errorf("CA %s: no PEM block \"CERTIFICATE\" in it", file)
		}
	}
	if folder != "" {
		if warnings, err = a.addFolder(folder); err != nil {
			return a, nil, err
		}
	}
	return a, warnings, nil
}

// addAll adds every certificate of a file.
func (a *authorities) addAll(file string, text []byte) error {
	for n := 1; ; {
		block, rest := pem.Decode(text)
		if block == nil {
			return nil
		}
		text = rest
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("CA %s: certificate %d: %w", file, n, err)
		}
		a.add(file, cert)
		n++
	}
}

func (a *authorities) add(file string, cert *x509.Certificate) {
	sum := sha256.Sum256(cert.Raw)
	if _, again := a.trusted[sum]; again {
		return // a folder has the hashed name beside the plain one
	}
	ca := authority{cert, file}
	a.trusted[sum] = struct{}{}
	a.list = append(a.list, ca)
	a.pool.AddCert(cert)
	a.bySubj[string(cert.RawSubject)] = append(a.bySubj[string(cert.RawSubject)], ca)
}

// addFolder adds the certificates of all files in a folder. One that holds none is passed over; one that is broken is a warning.
func (a *authorities) addFolder(folder string) (warnings []string, err error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("CA folder: %w", err)
	}
	if len(entries) > MaxCAPathFiles {
		return nil, fmt.Errorf("CA folder %s: more than %d files", folder, MaxCAPathFiles)
	}
	before := len(a.list)
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			continue // a folder, or a link to nothing
		}
		text, err := readFile(path, MaxFileBytes)
		if err == nil {
			err = a.addAll(path, text)
		}
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("CA folder: %v: passed over", err))
		}
	}
	if len(a.list) == before && before == 0 {
		return nil, fmt.Errorf("CA folder %s: no PEM certificate in any of its files", folder)
	}
	return warnings, nil
}

// LoadAuthorities reads the certificates of a CA file and a CA folder, either of which may be empty, into pool, as the Store does it. Warnings tell
// of files in the folder that were passed over.
func LoadAuthorities(pool *x509.CertPool, file, folder string) (warnings []string, err error) {
	a, warnings, err := loadAuthorities(file, folder)
	if err != nil {
		return nil, err
	}
	for _, ca := range a.list {
		pool.AddCert(ca.cert)
	}
	return warnings, nil
}

// maxCompletion bounds how many intermediate certificates complete adds to a chain.
const maxCompletion = 8

// complete appends to a chain the intermediate certificates that are among the authorities, which is what OpenSSL does for a server whose file
// holds nothing but its own certificate. The root at the end is left out: the client has it or does not trust it.
func (a *authorities) complete(chain [][]byte) [][]byte {
	last, err := x509.ParseCertificate(chain[len(chain)-1])
	for range maxCompletion {
		if err != nil || selfIssued(last) {
			return chain
		}
		issuer := a.issuerOf(last)
		if issuer == nil || selfIssued(issuer) {
			return chain
		}
		chain = append(chain, issuer.Raw)
		last = issuer
	}
	return chain
}

// issuerOf returns the authority that signed cert, nil if there is none.
func (a *authorities) issuerOf(cert *x509.Certificate) *x509.Certificate {
	for _, ca := range a.bySubj[string(cert.RawIssuer)] {
		if cert.CheckSignatureFrom(ca.cert) == nil {
			return ca.cert
		}
	}
	return nil
}

func selfIssued(cert *x509.Certificate) bool { return bytes.Equal(cert.RawSubject, cert.RawIssuer) }

// dateWarning says that a certificate is not valid now, or nothing.
func dateWarning(what, file string, cert *x509.Certificate, now time.Time) string {
	switch {
	case now.After(cert.NotAfter):
		return fmt.Sprintf("%s %s (%s) expired on %s: renew it", what, file, nameOf(cert), day(cert.NotAfter))
	case now.Before(cert.NotBefore):
		return fmt.Sprintf("%s %s (%s) is not valid before %s: is the clock right?", what, file, nameOf(cert), day(cert.NotBefore))
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrRevoked is wrapped by the error of a handshake with a certificate that is on a revocation list.
var ErrRevoked = errors.New("certificate is revoked")

// revocations are the revocation lists of one snapshot; immutable. The zero value judges nothing.
type revocations struct {
	byIssuer     map[string][]*crl // by encoded subject of the issuer
	list         []*crl
	allowExpired bool
}

// crl is the newest list that one key of one issuer has signed.
type crl struct {
	file                   string
	issuer                 *x509.Certificate
	thisUpdate, nextUpdate time.Time // nextUpdate is zero if the list does not say
	serials                map[string]struct{}
}

// loadCRLs reads the lists and checks that an authority signed each of them.
func loadCRLs(files []string, cas *authorities, allowExpired bool) (revocations, error) {
	r := revocations{byIssuer: make(map[string][]*crl), allowExpired: allowExpired}
	for _, file := range files {
		text, err := readFile(file, MaxCRLBytes)
		if err != nil {
			return r, fmt.Errorf("revocation list: %w", err)
		}
		blocks := crlBlocks(text)
		if len(blocks) == 0 {
			return r, fmt.Errorf("revocation list %s: neither DER nor a PEM block \"X509 CRL\" in it", file)
		}
		for i, der := range blocks {
			list, err := parseCRL(file, der, cas)
			if err != nil {
				return r, fmt.Errorf("revocation list %s: number %d in it: %w", file, i+1, err)
			}
			r.add(list)
		}
	}
	return r, nil
}

// crlBlocks returns the encoded lists of a file.
func crlBlocks(text []byte) (blocks [][]byte) {
	if len(text) > 0 && text[0] == 0x30 { // a SEQUENCE
		return [][]byte{text}
	}
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return blocks
		}
		if block.Type == "X509 CRL" {
			blocks = append(blocks, block.Bytes)
		}
		text = rest
	}
}

func parseCRL(file string, der []byte, cas *authorities) (*crl, error) {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, err
	}
	for _, extension := range list.Extensions {
		if extension.Critical {
			return nil, fmt.Errorf("it covers only a part of what its issuer signed (critical extension %s): give the complete list", extension.Id)
		}
	}
	candidates := cas.bySubj[string(list.RawIssuer)]
	if len(candidates) == 0 {
		return nil, fmt.Errorf("its issuer (%s) is none of the authorities: add the issuer's certificate to the CA file", subjectString(list.RawIssuer))
	}
	for _, ca := range candidates {
		if err = list.CheckSignatureFrom(ca.cert); err == nil {
			return newCRL(file, list, ca.cert), nil
		}
	}
	return nil, fmt.Errorf("it is not signed by %s, whose name it bears: %w", nameOf(candidates[0].cert), err)
}

func newCRL(file string, list *x509.RevocationList, issuer *x509.Certificate) *crl {
	c := &crl{file, issuer, list.ThisUpdate, list.NextUpdate, make(map[string]struct{}, len(list.RevokedCertificateEntries))}
	for _, entry := range list.RevokedCertificateEntries {
		c.serials[serialKey(entry.SerialNumber)] = struct{}{}
	}
	return c
}

func serialKey(n *big.Int) string { return string(n.Bytes()) }

// add keeps the newest list of each key.
func (r *revocations) add(list *crl) {
	name := string(list.issuer.RawSubject)
	for _, old := range r.byIssuer[name] {
		if !bytes.Equal(old.issuer.RawSubjectPublicKeyInfo, list.issuer.RawSubjectPublicKeyInfo) {
			continue
		}
		if list.thisUpdate.After(old.thisUpdate) {
			*old = *list
		}
		return
	}
	r.byIssuer[name] = append(r.byIssuer[name], list)
	r.list = append(r.list, list)
}

// judge returns why a verified chain, client first, must not be trusted, nil if it may be.
func (r *revocations) judge(chain []*x509.Certificate, now time.Time) error {
	if len(r.list) == 0 {
		return nil
	}
	for i, cert := range chain {
		if i > 0 && selfIssued(cert) {
			continue // a root is not revoked, it is taken out of the CA file
		}
		var issuer *x509.Certificate
		if i+1 < len(chain) {
			issuer = chain[i+1]
		}
		lists := r.of(cert, issuer)
		if i == 0 && len(lists) == 0 {
			return fmt.Errorf("certificate of %s: no revocation list of its issuer (%s)", nameOf(cert), subjectString(cert.RawIssuer))
		}
		for _, list := range lists {
			if err := list.judge(cert, now, r.allowExpired); err != nil {
				return err
			}
		}
	}
	return nil
}

// of returns the lists that may name cert. Its issuer is nil for the last of a chain, where the name has to do.
func (r *revocations) of(cert, issuer *x509.Certificate) (lists []*crl) {
	for _, list := range r.byIssuer[string(cert.RawIssuer)] {
		if issuer == nil || bytes.Equal(list.issuer.RawSubjectPublicKeyInfo, issuer.RawSubjectPublicKeyInfo) {
			lists = append(lists, list)
		}
	}
	return lists
}

func (c *crl) judge(cert *x509.Certificate, now time.Time, allowExpired bool) error {
	if _, revoked := c.serials[serialKey(cert.SerialNumber)]; revoked {
		return fmt.Errorf("%w: %s, serial number %x, in %s", ErrRevoked, nameOf(cert), cert.SerialNumber, c.file)
	}
	if why := c.stale(now); why != "" && !allowExpired {
		return fmt.Errorf("certificate of %s: the revocation list of its issuer %s", nameOf(cert), why)
	}
	return nil
}

// stale says why the list is not in force, or nothing.
func (c *crl) stale(now time.Time) string {
	switch {
	case now.Before(c.thisUpdate):
		return fmt.Sprintf("in %s is not valid before %s", c.file, day(c.thisUpdate))
	case !c.nextUpdate.IsZero() && now.After(c.nextUpdate):
		return fmt.Sprintf("in %s is out of date since %s", c.file, day(c.nextUpdate))
	}
	return ""
}

package certs

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// cipherSuite is a suite of TLS 1.2 under the name that OpenSSL gives it.
type cipherSuite struct {
	id   uint16
	name string
}

// secureSuites are the TLS 1.2 suites that crypto/tls thinks well of.
func secureSuites() []cipherSuite {
	return []cipherSuite{
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384"},
		{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA"},
		{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA"},
		{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA"},
		{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA"},
	}
}

// insecureNames are the suites that crypto/tls knows and advises against, as OpenSSL names them.
var insecureNames = []string{
	"RC4-SHA", "DES-CBC3-SHA", "AES128-SHA", "AES256-SHA", "AES128-SHA256", "AES256-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384",
	"ECDHE-ECDSA-RC4-SHA", "ECDHE-RSA-RC4-SHA", "ECDHE-RSA-DES-CBC3-SHA", "ECDHE-ECDSA-DES-CBC3-SHA",
	"ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256",
}

// matches reports whether a keyword of OpenSSL's cipher strings describes the suite, or is its name.
func (s cipherSuite) matches(keyword string) bool {
	parts := strings.Split(s.name, "-")
	authentication, cipher, mac := parts[1], parts[2], parts[len(parts)-1]
	aead := slices.Contains(parts, "GCM") || cipher == "CHACHA20"
	switch keyword {
	case s.name, tls.CipherSuiteName(s.id), "ALL", "HIGH", "DEFAULT", "ECDHE", "EECDH", "kECDHE", "kEECDH":
		return true
	case "ECDSA", "aECDSA":
		return authentication == "ECDSA"
	case "aRSA":
		return authentication == "RSA"
	case "AES":
		return cipher != "CHACHA20"
	case "AES128", "AES256", "CHACHA20":
		return cipher == keyword
	case "AESGCM":
		return aead && cipher != "CHACHA20"
	case "SHA", "SHA1":
		return mac == "SHA"
	case "TLSv1.2":
		return aead
	}
	return false
}

// openSSLWords are what keywords and suite names of OpenSSL are made of. What is made of them and matches nothing is something that crypto/tls has
// not; anything else is a slip of the pen.
var openSSLWords = strings.Fields(`ALL COMPLEMENTOFALL DEFAULT COMPLEMENTOFDEFAULT HIGH MEDIUM LOW EXP EXPORT EXPORT40 EXPORT56 NULL eNULL aNULL
	RSA kRSA aRSA DSS aDSS DH DHE EDH kDH kDHE kEDH kDHr kDHd aDH ADH ECDH ECDHE EECDH kECDH kECDHE kEECDH kECDHr kECDHe aECDH AECDH ECDSA aECDSA
	PSK kPSK kECDHEPSK kDHEPSK kRSAPSK aPSK SRP kSRP aSRP KRB5 GOST GOST94 GOST89MAC aGOST aGOST01 kGOST
	AES AES128 AES256 AESGCM AESCCM AESCCM8 GCM CCM CCM8 CBC CBC3 CHACHA20 POLY1305 CAMELLIA CAMELLIA128 CAMELLIA256 ARIA ARIA128 ARIA256
	ARIAGCM SEED IDEA 3DES DES DES56 RC2 RC4 MD5 SHA SHA1 SHA256 SHA384 STRENGTH SECLEVEL FIPS SUITEB128 SUITEB192 SUITEB128ONLY CBC TLSv1 TLSv1.0
	TLSv1.2 SSLv3 SSLv2`)

// known reports whether OpenSSL would understand a keyword or suite name.
func known(keyword string) bool {
	for word := range strings.FieldsFuncSeq(keyword, func(r rune) bool { return r == '-' || r == '+' }) {
		if !slices.Contains(openSSLWords, word) {
			return false
		}
	}
	return keyword != ""
}

// ParseCiphers reads a list of cipher suites for TLS 1.2, separated by colons, commas or spaces: names as Go has them, names as OpenSSL has them,
// and the keywords of OpenSSL (ECDHE+AESGCM:!SHA1) as far as they describe suites that crypto/tls has. It returns the identifiers, nil if there is
// nothing to choose, and what of the text has no effect. A name that is unknown or insecure is an error.
//
// crypto/tls does not let anybody choose among the suites of TLS 1.3, nor in which order the others are preferred.
func ParseCiphers(text string) (suites []uint16, warnings []string, err error) {
	list := cipherList{text: text}
	for token := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		if err := list.apply(token); err != nil {
			return nil, nil, err
		}
	}
	return list.result()
}

// cipherList is a list of suites while its text is read.
type cipherList struct {
	text     string
	chosen   []cipherSuite
	killed   []cipherSuite // by '!': they never come back
	named13  int           // suites of TLS 1.3 among the names
	listed   bool          // the text says which to use, not only which not
	warnings []string
}

// apply executes one element: a name or keyword to add, with '!' or '-' to remove; '+' reorders, and '@' sets something else.
func (l *cipherList) apply(token string) error {
	keyword := strings.TrimLeft(token, "!-+")
	if strings.HasPrefix(token, "@") && known(strings.TrimRight(token[1:], "=0123456789")) {
		l.warn("%s of the cipher list has no effect here", token)
		return nil
	}
	if isTLS13(keyword) {
		l.named13++
		return nil
	}
	if slices.Contains(insecureNames, keyword) || isInsecure(keyword) {
		if token != keyword {
			return nil // it was never there
		}
		return fmt.Errorf("cipher suite %s is insecure and not offered: leave it out", keyword)
	}
	var matching []cipherSuite
	for _, s := range secureSuites() {
		if !slices.ContainsFunc(strings.Split(keyword, "+"), func(k string) bool { return !s.matches(k) }) {
			matching = append(matching, s)
		}
	}
	if len(matching) == 0 && !known(keyword) {
		return fmt.Errorf("cipher suite %q is unknown: write names such as ECDHE-RSA-AES128-GCM-SHA256, or leave the list out", token)
	}
	switch {
	case strings.HasPrefix(token, "!"):
		l.removeFromStart(matching)
		l.killed = append(l.killed, matching...)
	case strings.HasPrefix(token, "-"):
		l.removeFromStart(matching)
	case strings.HasPrefix(token, "+"): // the order is not ours to choose
	default:
		l.add(keyword, matching)
	}
	return nil
}

func (l *cipherList) add(keyword string, suites []cipherSuite) {
	l.listed = true
	if len(suites) == 0 {
		l.warn("cipher suite %s does not exist here and is left out", keyword)
	}
	for _, s := range suites {
		if !slices.Contains(l.chosen, s) && !slices.Contains(l.killed, s) {
			l.chosen = append(l.chosen, s)
		}
	}
}

// removeFromStart takes suites out. A list that begins by removing removes from all.
func (l *cipherList) removeFromStart(suites []cipherSuite) {
	if !l.listed {
		l.chosen, l.listed = secureSuites(), true
	}
	l.chosen = slices.DeleteFunc(l.chosen, func(s cipherSuite) bool { return slices.Contains(suites, s) })
}

func (l *cipherList) result() ([]uint16, []string, error) {
	if l.named13 > 0 && l.named13 < len(suites13()) {
		l.warn("cipher suites of TLS 1.3 cannot be chosen: all of them stay on offer")
	}
	if !l.listed {
		return nil, l.warnings, nil
	}
	if len(l.chosen) == 0 {
		l.warn("cipher list %q leaves nothing that is offered here: the default suites are used", l.text)
		return nil, l.warnings, nil
	}
	var ids []uint16
	for _, s := range l.chosen {
		ids = append(ids, s.id)
	}
	return ids, l.warnings, nil
}

func (l *cipherList) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func suites13() (names []string) {
	for _, s := range tls.CipherSuites() {
		if slices.Contains(s.SupportedVersions, tls.VersionTLS13) {
			names = append(names, s.Name)
		}
	}
	return names
}

func isTLS13(name string) bool { return slices.Contains(suites13(), name) }

func isInsecure(name string) bool {
	return slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.Name == name })
}

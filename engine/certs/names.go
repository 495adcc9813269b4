package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Names are whom a certificate is for, as user names can be made of them.
type Names struct {
	CommonName string // the first CN; empty if there is none, or if it has a zero byte or is not UTF-8
	Subject    string // as RFC 2253 and OpenSSL write it, most specific part first: CN=rajan,O=x,C=DE
	DNS        []string
	Emails     []string
	URIs       []string
}

// NamesOf returns the names of cert.
func NamesOf(cert *x509.Certificate) Names {
	n := Names{
		CommonName: commonName(cert.RawSubject),
		Subject:    subjectString(cert.RawSubject),
		DNS:        slices.Clone(cert.DNSNames),
		Emails:     slices.Clone(cert.EmailAddresses),
	}
	for _, u := range cert.URIs {
		n.URIs = append(n.URIs, u.String())
	}
	return n
}

// nameOf is how messages call a certificate.
func nameOf(cert *x509.Certificate) string {
	if subject := subjectString(cert.RawSubject); subject != "" {
		return subject
	}
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[0]
	}
	return fmt.Sprintf("serial number %x", cert.SerialNumber)
}

// attribute is one part of a distinguished name.
type attribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

// attributeSET is the parts of a name that stand for one: a SET.
type attributeSET []attribute

// parseName takes a distinguished name apart. crypto/x509 has accepted it before, so that an error here means no name.
func parseName(raw []byte) (name []attributeSET) {
	if rest, err := asn1.Unmarshal(raw, &name); err != nil || len(rest) > 0 {
		return nil
	}
	return name
}

func commonName(raw []byte) string {
	for _, set := range parseName(raw) {
		for _, a := range set {
			if shortName(a.Type) != "CN" {
				continue
			}
			text, ok := a.text()
			if !ok || !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				return ""
			}
			return text
		}
	}
	return ""
}

// subjectString writes a distinguished name as OpenSSL does with -nameopt RFC2253, which is how mosquitto makes a user name of it.
func subjectString(raw []byte) string {
	var b strings.Builder
	for _, set := range slices.Backward(parseName(raw)) {
		for j, a := range slices.Backward(set) {
			switch {
			case j < len(set)-1:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			a.write(&b)
		}
	}
	return b.String()
}

func (a attribute) write(b *strings.Builder) {
	short := shortName(a.Type)
	text, ok := a.text()
	if short == "" || !ok {
		if short == "" {
			short = a.Type.String()
		}
		fmt.Fprintf(b, "%s=#%X", short, a.Value.FullBytes)
		return
	}
	b.WriteString(short)
	b.WriteByte('=')
	for i := range len(text) {
		writeEscaped(b, text[i], i == 0, i == len(text)-1)
	}
}

// writeEscaped writes one byte of a value, escaped where RFC 2253 or a terminal would take it for something else.
func writeEscaped(b *strings.Builder, c byte, first, last bool) {
	switch {
	case c < ' ' || c >= 0x7F:
		fmt.Fprintf(b, "\\%02X", c)
	case strings.IndexByte(`,+"\<>;`, c) >= 0, c == '#' && first, c == ' ' && (first || last):
		b.WriteByte('\\')
		b.WriteByte(c)
	default:
		b.WriteByte(c)
	}
}

// text returns the value as UTF-8; ok is false if it is no text.
func (a attribute) text() (text string, ok bool) {
	v := a.Value.Bytes
	if a.Value.Class != asn1.ClassUniversal {
		return "", false
	}
	switch a.Value.Tag {
	case asn1.TagUTF8String:
		return string(v), utf8.Valid(v)
	case asn1.TagPrintableString, asn1.TagIA5String, asn1.TagNumericString, asn1.TagT61String:
		return latin1(v), true
	case asn1.TagBMPString:
		return bmp(v)
	}
	return "", false
}

func latin1(v []byte) string {
	if bytes.IndexFunc(v, func(r rune) bool { return r >= utf8.RuneSelf }) < 0 {
		return string(v)
	}
	runes := make([]rune, len(v))
	for i, c := range v {
		runes[i] = rune(c)
	}
	return string(runes)
}

func bmp(v []byte) (string, bool) {
	if len(v)%2 != 0 {
		return "", false
	}
	units := make([]uint16, len(v)/2)
	for i := range units {
		units[i] = binary.BigEndian.Uint16(v[2*i:])
	}
	return string(utf16.Decode(units)), true
}

// x520Names are the attribute types of X.520, 2.5.4.n, as OpenSSL calls them.
var x520Names = map[int]string{
	3: "CN", 4: "SN", 5: "serialNumber", 6: "C", 7: "L", 8: "ST", 9: "street", 10: "O", 11: "OU", 12: "title", 13: "description",
	14: "searchGuide", 15: "businessCategory", 16: "postalAddress", 17: "postalCode", 18: "postOfficeBox", 19: "physicalDeliveryOfficeName",
	20: "telephoneNumber", 21: "telexNumber", 22: "teletexTerminalIdentifier", 23: "facsimileTelephoneNumber", 24: "x121Address",
	25: "internationaliSDNNumber", 26: "registeredAddress", 27: "destinationIndicator", 28: "preferredDeliveryMethod",
	29: "presentationAddress", 30: "supportedApplicationContext", 31: "member", 32: "owner", 33: "roleOccupant", 34: "seeAlso",
	41: "name", 42: "GN", 43: "initials", 44: "generationQualifier", 45: "x500UniqueIdentifier", 46: "dnQualifier",
	49: "distinguishedName", 50: "uniqueMember", 51: "houseIdentifier", 54: "dmdName", 65: "pseudonym", 72: "role", 97: "organizationIdentifier",
}

// shortName returns what OpenSSL calls an attribute type, empty if it has no name here.
func shortName(oid asn1.ObjectIdentifier) string {
	switch {
	case len(oid) == 4 && oid[0] == 2 && oid[1] == 5 && oid[2] == 4:
		return x520Names[oid[3]]
	case oid.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}):
		return "emailAddress"
	case oid.Equal(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}):
		return "DC"
	case oid.Equal(asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}):
		return "UID"
	}
	return ""
}

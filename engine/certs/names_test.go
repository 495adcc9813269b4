package certs_test

import (
	"crypto/x509"
	"encoding/asn1"
	"net/url"
	"reflect"
	"testing"

	"github.com/gannetmq/gannet/engine/certs"
	"github.com/gannetmq/gannet/engine/certs/certtest"
)

// part is one attribute of a distinguished name, encoded with a tag of choice.
type part struct {
	oid   asn1.ObjectIdentifier
	tag   int
	value string
}

func name(t *testing.T, sets ...[]part) []byte {
	t.Helper()
	type attribute struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type relativeSET []attribute
	var all []relativeSET
	for _, set := range sets {
		var out relativeSET
		for _, p := range set {
			out = append(out, attribute{p.oid, asn1.RawValue{Tag: p.tag, Bytes: []byte(p.value)}})
		}
		all = append(all, out)
	}
	raw, err := asn1.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func one(oid asn1.ObjectIdentifier, tag int, value string) []part { return []part{{oid, tag, value}} }

// TestSubjectIsWrittenAsOpenSSLDoes: the expectations are what openssl x509 -subject -nameopt RFC2253 printed for the same names.
func TestSubjectIsWrittenAsOpenSSLDoes(t *testing.T) {
	const utf8, printable, ia5, t61, bmp = asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, asn1.TagT61String, asn1.TagBMPString
	var (
		cn, c, o, ou = asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 6}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}
		email        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
		dc, uid      = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 25}, asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
		unknown      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 99999, 1}
	)
	for _, test := range []struct {
		raw      []byte
		want, cn string
	}{
		{name(t, one(c, printable, "DE"), one(o, utf8, "x"), one(cn, utf8, "rajan")), "CN=rajan,O=x,C=DE", "rajan"},
		{name(t, one(o, utf8, `a,b+c"d\e<f>g;h`), one(cn, utf8, "#x ")), `CN=\#x\ ,O=a\,b\+c\"d\\e\<f\>g\;h`, "#x "},
		{name(t, one(cn, utf8, " lead#")), `CN=\ lead#`, " lead#"},
		{name(t, one(cn, utf8, "Jürgen\n\x7f")), `CN=J\C3\BCrgen\0A\7F`, "Jürgen\n\x7f"},
		{name(t, one(cn, t61, "J\xfcrgen"), one(o, bmp, "\x00J\x00\xfc")), `O=J\C3\BC,CN=J\C3\BCrgen`, "Jürgen"},
		{name(t, []part{{cn, utf8, "a"}, {ou, utf8, "b"}}, one(o, utf8, "x")), "O=x,OU=b+CN=a", "a"},
		{name(t, one(cn, utf8, "first"), one(cn, utf8, "second")), "CN=second,CN=first", "first"},
		{name(t, one(dc, ia5, "org"), one(dc, ia5, "example"), one(uid, utf8, "7"), one(email, ia5, "a@b.c")), "emailAddress=a@b.c,UID=7,DC=example,DC=org", ""},
		{name(t, one(unknown, utf8, "hi"), one(cn, utf8, "a")), "CN=a,1.3.6.1.4.1.99999.1=#0C026869", "a"},
		{name(t, one(cn, utf8, "good\x00bad")), `CN=good\00bad`, ""},
		{name(t), "", ""},
	} {
		got := certs.NamesOf(&x509.Certificate{RawSubject: test.raw})
		if got.Subject != test.want || got.CommonName != test.cn {
			t.Errorf("got %s (CN %q), want %s (CN %q)", got.Subject, got.CommonName, test.want, test.cn)
		}
	}
}

func TestAlternativeNamesAreListed(t *testing.T) {
	uri, err := url.Parse("spiffe://example.org/device/7")
	if err != nil {
		t.Fatal(err)
	}
	cert := certtest.NewCA(t, "root").Client(t, "device", func(c *x509.Certificate) {
		c.DNSNames, c.EmailAddresses, c.URIs = []string{"device.example.org"}, []string{"d@example.org"}, []*url.URL{uri}
	})
	got := certs.NamesOf(cert.Cert)
	want := certs.Names{
		CommonName: "device", Subject: "CN=device", DNS: []string{"device.example.org"}, Emails: []string{"d@example.org"},
		URIs: []string{"spiffe://example.org/device/7"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

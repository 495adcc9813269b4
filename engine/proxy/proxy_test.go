package proxy

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// wire reads bytes in hexadecimal, with blanks anywhere; sig stands for the signature of version 2.
func wire(t testing.TB, text string) []byte {
	t.Helper()
	text = strings.ReplaceAll(text, "sig", "0d0a0d0a000d0a515549540a")
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tcp(version int, source, destination string) Header {
	return Header{Version: version, Kind: TCP, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination)}
}

type vector struct {
	name string
	in   []byte
	want Header
}

func vectors(t testing.TB) []vector {
	const ones = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
	all := Header{Version: 2, Kind: TCP, Source: netip.MustParseAddrPort("[2001:db8::1]:1"), Destination: netip.MustParseAddrPort("[2001:db8::2]:65535"),
		ALPN: []byte("mqtt"), Authority: []byte("broker.example"), UniqueID: []byte{0, 1, 0xFF},
		TLS: TLS{OverTLS | CertificateNow | CertificateEarlier, 0x01020304, []byte("TLSv1.3"), []byte("Jürgen"), []byte("TLS_AES_128_GCM_SHA256")}}
	return []vector{
		{"v1 IPv4", []byte("PROXY TCP4 192.0.2.1 198.51.100.7 4711 8883\r\n"), tcp(1, "192.0.2.1:4711", "198.51.100.7:8883")},
		{"v1 IPv4, largest", []byte("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), tcp(1, "255.255.255.255:65535", "255.255.255.255:65535")},
		{"v1 port 0", []byte("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"), tcp(1, "0.0.0.0:0", "0.0.0.0:0")},
		{"v1 IPv6", []byte("PROXY TCP6 2001:db8::1 ::1 4711 8883\r\n"), tcp(1, "[2001:db8::1]:4711", "[::1]:8883")},
		{"v1 IPv6, largest", []byte("PROXY TCP6 " + ones + " " + ones + " 65535 65535\r\n"), tcp(1, "["+ones+"]:65535", "["+ones+"]:65535")},
		{"v1 IPv6, capitals", []byte("PROXY TCP6 2001:DB8::A ::1 1 2\r\n"), tcp(1, "[2001:db8::a]:1", "[::1]:2")},
		{"v1 IPv4 as IPv6", []byte("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"), tcp(1, "192.0.2.1:1", "192.0.2.2:2")},
		{"v1 unknown", []byte("PROXY UNKNOWN\r\n"), Header{Version: 1}},
		{"v1 unknown with text", []byte("PROXY UNKNOWN whatever  it says\r\n"), Header{Version: 1}},
		{"v1 unknown, longest", []byte("PROXY UNKNOWN " + ones + " " + ones + " 65535 65535\r\n"), Header{Version: 1}},

		{"v2 local", wire(t, "sig 20 00 0000"), Header{Version: 2, Kind: Local}},
		{"v2 local with an address", wire(t, "sig 20 11 000c c0000201 c0000202 0001 0002"), Header{Version: 2, Kind: Local}},
		{"v2 local of a strange family", wire(t, "sig 20 ff 0003 aabbcc"), Header{Version: 2, Kind: Local}},
		{"v2 unspecified", wire(t, "sig 21 00 0000"), Header{Version: 2}},
		{"v2 unspecified with a name", wire(t, "sig 21 00 0005 02 0002 6162"), Header{Version: 2, Authority: []byte("ab")}},
		{"v2 IPv4", wire(t, "sig 21 11 000c c0000201 c6336407 1267 22b3"), tcp(2, "192.0.2.1:4711", "198.51.100.7:8883")},
		{"v2 IPv6", wire(t, "sig 21 21 0024 20010db8000000000000000000000001 00000000000000000000000000000001 1267 22b3"), tcp(2, "[2001:db8::1]:4711", "[::1]:8883")},
		{"v2 IPv4 as IPv6", wire(t, "sig 21 21 0024 00000000000000000000ffffc0000201 00000000000000000000ffffc0000202 0001 0002"), tcp(2, "192.0.2.1:1", "192.0.2.2:2")},
		{"v2 Unix", wire(t, "sig 21 31 00d8 2f61"+strings.Repeat("00", 106)+"2f62"+strings.Repeat("00", 106)), Header{Version: 2, Kind: Unix, SourcePath: []byte("/a"), DestinationPath: []byte("/b")}},
		{"v2 Unix without names", wire(t, "sig 21 31 00d8"+strings.Repeat("00", 216)), Header{Version: 2, Kind: Unix, SourcePath: []byte{}, DestinationPath: []byte{}}},
		{"v2 Unix, whole paths", wire(t, "sig 21 31 00d8"+strings.Repeat("61", 216)), Header{Version: 2, Kind: Unix,
			SourcePath: bytes.Repeat([]byte("a"), 108), DestinationPath: bytes.Repeat([]byte("a"), 108)}},
		{"v2 unknown parts", wire(t, "sig 21 00 000d 04 0001 00 ee 0000 ee 0000 30 0000"), Header{Version: 2}},
		{"v2 checksum", wire(t, "sig 21 00 0007 03 0004 3ec9894e"), Header{Version: 2}},
		{"v2 TLS without a certificate", wire(t, "sig 21 00 0012 20 000f 01 00000001 21 0007 544c5376312e32"), Header{Version: 2, TLS: TLS{Flags: OverTLS, Verify: 1, Version: []byte("TLSv1.2")}}},
		{"v2 TLS, unknown parts", wire(t, "sig 21 00 000e 20 000b 01 00000000 24 0000 25 0000"), Header{Version: 2, TLS: TLS{Flags: OverTLS}}},
		{"v2 everything", AppendV2(nil, &all, true), all},
	}
}

func TestParse(t *testing.T) {
	for _, c := range vectors(t) {
		h, n, err := Parse(append(bytes.Clone(c.in), "\x10\x0c the connection"...), AnyVersion)
		if err != nil || n != len(c.in) || !reflect.DeepEqual(h, c.want) {
			t.Errorf("%s: %+v, %d of %d bytes, %v; want %+v", c.name, h, n, len(c.in), err, c.want)
		}
	}
}

func TestParseWantsMoreOfEveryBeginning(t *testing.T) {
	for _, c := range vectors(t) {
		for n := range c.in {
			h, size, err := Parse(c.in[:n], AnyVersion)
			if size != 0 || err != nil || !reflect.DeepEqual(h, Header{}) {
				t.Fatalf("%s, %d bytes: %+v, %d, %v", c.name, n, h, size, err)
			}
		}
	}
}

// The last byte of each input is the first that is wrong.
func TestParseRefusesAtTheFirstWrongByte(t *testing.T) {
	v1 := func(text string) []byte { return []byte(text) }
	for _, c := range []struct {
		in   []byte
		want error
	}{
		{wire(t, "10"), ErrNoHeader}, // MQTT
		{wire(t, "16"), ErrNoHeader}, // TLS
		{v1("G"), ErrNoHeader},       // HTTP
		{v1("p"), ErrNoHeader},
		{v1("\n"), ErrNoHeader},
		{v1("PO"), ErrNoHeader},
		{v1("PROXY\t"), ErrNoHeader},
		{v1("PROXYT"), ErrNoHeader},
		{wire(t, "0d0a0d0a0d"), ErrNoHeader},
		{wire(t, "0d0a0d0a000d0a515549540d"), ErrNoHeader},

		{v1("PROXY  "), errProtocol},
		{v1("PROXY t"), errProtocol},
		{v1("PROXY UD"), errProtocol},
		{v1("PROXY TCP5"), errProtocol},
		{v1("PROXY TCP4\r"), errProtocol},
		{v1("PROXY TCP46"), errProtocol},
		{v1("PROXY TCP4  "), errLine},
		{v1("PROXY TCP4 a"), errLine},
		{v1("PROXY TCP4 -"), errLine},
		{v1("PROXY TCP4 192.0.2.1\r"), errLine},
		{v1("PROXY TCP4 192.0.2 "), errAddress},
		{v1("PROXY TCP4 192.0.2.256 "), errAddress},
		{v1("PROXY TCP4 192.0.2.01 "), errAddress},
		{v1("PROXY TCP4 1111111111111111"), errLine},
		{v1("PROXY TCP4 :"), errLine},
		{v1("PROXY TCP6 192.0.2.1 "), errAddress},
		{v1("PROXY TCP6 ::1::2 "), errAddress},
		{v1("PROXY TCP6 fe80::1%"), errLine},
		{v1("PROXY TCP6 ["), errLine},
		{v1("PROXY TCP4 192.0.2.1  "), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2  "), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 -"), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 65536 "), errPort},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 01 "), errPort},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 100000"), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 "), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n"), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r"), errLine},
		{v1("PROXY TCP4 192.0.2.1 192.0.2.2 1 \r"), errLine},
		{v1("PROXY UNKNOWNS"), errLine},
		{v1("PROXY UNKNOWN\n"), errLine},
		{v1("PROXY UNKNOWN \x00"), errLine},
		{v1("PROXY UNKNOWN \x80"), errLine},
		{v1("PROXY UNKNOWN \r "), errLine},
		{v1("PROXY UNKNOWN " + strings.Repeat("x", V1BytesMax-14)), ErrTooLong},

		{wire(t, "sig 11"), errCommand}, // version 1 in the form of 2
		{wire(t, "sig 31"), errCommand},
		{wire(t, "sig 22"), errCommand},
		{wire(t, "sig 21 01"), errProtocol},
		{wire(t, "sig 21 10"), errProtocol},
		{wire(t, "sig 21 12"), errProtocol}, // datagrams
		{wire(t, "sig 21 22"), errProtocol},
		{wire(t, "sig 21 32"), errProtocol},
		{wire(t, "sig 21 41"), errProtocol},
		{wire(t, "sig 21 11 10"), ErrTooLong},
		{wire(t, "sig 21 11 ff"), ErrTooLong},
		{wire(t, "sig 20 00 ff"), ErrTooLong},
		{wire(t, "sig 21 11 0ff1"), ErrTooLong}, // 4096 with the fixed part is the bound
		{wire(t, "sig 21 11 000b"), errTruncated},
		{wire(t, "sig 21 21 0023"), errTruncated},
		{wire(t, "sig 21 31 00d7"), errTruncated},
	} {
		for n := range c.in {
			if _, size, err := Parse(c.in[:n], AnyVersion); size != 0 || err != nil {
				t.Errorf("%q: %v already after %d bytes", c.in, err, n)
			}
		}
		for _, more := range []string{"", "x", strings.Repeat("\r\n", 60)} {
			if h, n, err := Parse(append(bytes.Clone(c.in), more...), AnyVersion); n != 0 || err != c.want || !reflect.DeepEqual(h, Header{}) {
				t.Errorf("%q and %d more: %d, %v; want %v", c.in, len(more), n, err, c.want)
			}
		}
	}
}

func TestParseRefusesWrongParts(t *testing.T) {
	tls := func(parts string) string { return "20 " + sizeOf(t, "01 00000000"+parts) + "01 00000000" + parts }
	for _, c := range []struct {
		name, parts string
		want        error
	}{
		{"a type only", "01", errTruncated},
		{"half a length", "01 00", errTruncated},
		{"a length beyond the end", "01 0002 61", errTruncated},
		{"two ALPNs", "01 0001 61 01 0001 62", errRepeated},
		{"two authorities", "02 0001 61 02 0001 61", errRepeated},
		{"two unique ids", "05 0000 05 0000", errRepeated},
		{"two TLS", tls("") + tls(""), errRepeated},
		{"authority not UTF-8", "02 0002 c328", errText},
		{"authority with a newline", "02 0002 610a", errText},
		{"unique id of 129 bytes", "05 0081 " + strings.Repeat("61", 129), errUniqueID},
		{"checksum of three bytes", "03 0003 000000", errTruncated},
		{"wrong checksum", "03 0004 00000000", errChecksum},
		{"two checksums", "03 0004 00000000 03 0004 00000000", errChecksum},
		{"TLS of four bytes", "20 0004 01000000", errTruncated},
		{"half a part of TLS", tls("22 0002 61"), errTruncated},
		{"two names", tls("22 0001 61 22 0001 62"), errRepeated},
		{"a name not UTF-8", tls("22 0002 c328"), errText},
		{"a name with a NUL", tls("22 0003 610062"), errText},
		{"a name with DEL", tls("22 0001 7f"), errText},
		{"a cipher with a control character", tls("23 0001 1b"), errText},
		{"a version with a control character", tls("21 0001 1b"), errText},
	} {
		in := wire(t, "sig 21 00"+sizeOf(t, c.parts)+c.parts)
		if _, n, err := Parse(in, AnyVersion); n != 0 || err != c.want {
			t.Errorf("%s: %d, %v; want %v", c.name, n, err, c.want)
		}
	}
}

// sizeOf is the length of bytes in hexadecimal, as two bytes.
func sizeOf(t testing.TB, text string) string {
	n := len(wire(t, text))
	return hex.EncodeToString([]byte{byte(n >> 8), byte(n)})
}

func TestParseFindsEveryChangedBitByTheChecksum(t *testing.T) {
	h := tcp(2, "192.0.2.1:4711", "198.51.100.7:8883")
	h.TLS = TLS{Flags: OverTLS | CertificateNow, CommonName: []byte("sensor-17")}
	good := AppendV2(nil, &h, true)
	if _, n, err := Parse(good, AnyVersion); n != len(good) || err != nil {
		t.Fatal(n, err)
	}
	for at := v2FixedBytes; at < len(good); at++ {
		for bit := range 8 {
			if at >= len(good)-7 && at < len(good)-4 {
				continue // the checksum's own type and length: without them there is none
			}
			bad := bytes.Clone(good)
			bad[at] ^= 1 << bit
			if h, n, err := Parse(bad, AnyVersion); n != 0 || err == nil {
				t.Fatalf("byte %d, bit %d: %+v", at, bit, h)
			}
		}
	}
}

func TestParseTakesTheVersionsAccepted(t *testing.T) {
	v1, v2 := []byte("PROXY UNKNOWN\r\n"), wire(t, "sig 20 00 0000")
	for _, c := range []struct {
		accept Versions
		v1, v2 error
	}{
		{AnyVersion, nil, nil}, {Version1 | Version2, nil, nil}, {Version1, nil, ErrVersion}, {Version2, ErrVersion, nil},
	} {
		if _, n, err := Parse(v1, c.accept); err != c.v1 || (n > 0) != (err == nil) {
			t.Errorf("accept %b, version 1: %v", c.accept, err)
		}
		if _, n, err := Parse(v2, c.accept); err != c.v2 || (n > 0) != (err == nil) {
			t.Errorf("accept %b, version 2: %v", c.accept, err)
		}
		if _, _, err := Parse([]byte("\x10"), c.accept); err != ErrNoHeader {
			t.Errorf("accept %b, none: %v", c.accept, err)
		}
	}
}

func TestParseTakesTheLongestHeader(t *testing.T) {
	h := Header{Version: 2, ALPN: bytes.Repeat([]byte("a"), V2BytesMax-v2FixedBytes-3)}
	in := AppendV2(nil, &h, false)
	if got, n, err := Parse(in, AnyVersion); n != V2BytesMax || err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestTLSVerified(t *testing.T) {
	for _, c := range []struct {
		t                   TLS
		encrypted, verified bool
	}{
		{TLS{}, false, false},
		{TLS{Flags: CertificateNow}, false, false},
		{TLS{Flags: OverTLS}, true, false},
		{TLS{Flags: OverTLS, CommonName: []byte("a")}, true, false},
		{TLS{Flags: OverTLS | CertificateNow}, true, true},
		{TLS{Flags: OverTLS | CertificateEarlier}, true, true},
		{TLS{Flags: OverTLS | CertificateNow, Verify: 1}, true, false},
	} {
		if c.t.Encrypted() != c.encrypted || c.t.Verified() != c.verified {
			t.Errorf("%+v: %v, %v", c.t, c.t.Encrypted(), c.t.Verified())
		}
	}
}

func TestAppendV1(t *testing.T) {
	mixed := Header{Kind: TCP, Source: netip.MustParseAddrPort("192.0.2.1:1"), Destination: netip.MustParseAddrPort("[2001:db8::1]:2")}
	zone := Header{Kind: TCP, Source: netip.MustParseAddrPort("[fe80::1%eth0]:1"), Destination: netip.MustParseAddrPort("[fe80::2]:2")}
	v4 := tcp(1, "192.0.2.1:4711", "198.51.100.7:8883")
	for want, h := range map[string]*Header{
		"PROXY TCP4 192.0.2.1 198.51.100.7 4711 8883\r\n": &v4,
		"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n": &mixed,
		"PROXY TCP6 fe80::1 fe80::2 1 2\r\n":              &zone,
		"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n":              {Kind: TCP},
		"PROXY UNKNOWN\r\n":                               {Kind: Local},
	} {
		if got := string(AppendV1([]byte("x"), h)); got != "x"+want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAppendV2RefusesWhatDoesNotFit(t *testing.T) {
	for name, h := range map[string]Header{
		"a long value":  {ALPN: make([]byte, 1<<16)},
		"a long header": {ALPN: make([]byte, V2BytesMax)},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			AppendV2(nil, &h, false)
		}()
	}
}

func TestKindsHaveNames(t *testing.T) {
	for k, want := range map[Kind]string{Unknown: "unknown", Local: "local", TCP: "tcp", Unix: "unix"} {
		if k.String() != want {
			t.Errorf("%d: %s", k, k)
		}
	}
}

// FuzzParse: a header that is accepted does not depend on what follows it, is wanted more of in all its beginnings, and
// comes back the same when it is appended and parsed again.
func FuzzParse(f *testing.F) {
	for _, c := range vectors(f) {
		f.Add(c.in, byte(0), uint16(20))
	}
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 65536 "), byte(1), uint16(1))
	f.Fuzz(func(t *testing.T, in []byte, accept byte, cut uint16) {
		versions := Versions(accept % 4)
		before := bytes.Clone(in)
		h, n, err := Parse(in, versions)
		if !bytes.Equal(in, before) {
			t.Fatal("the input has changed")
		}
		if err != nil {
			if n != 0 || !reflect.DeepEqual(h, Header{}) {
				t.Fatalf("%v, but %d, %+v", err, n, h)
			}
			if _, _, again := Parse(append(before, 'x'), versions); !errors.Is(again, err) {
				t.Fatalf("%v, with more %v", err, again)
			}
			return
		}
		if n == 0 {
			if len(in) >= V2BytesMax {
				t.Fatalf("more wanted after %d bytes", len(in))
			}
			return
		}
		if _, size, err := Parse(in[:int(cut)%n], versions); size != 0 || err != nil {
			t.Fatalf("its beginning: %d, %v", size, err)
		}
		if !versions.has(Versions(h.Version)) {
			t.Fatalf("version %d", h.Version)
		}
		if h.Kind == TCP && (!h.Source.IsValid() || !h.Destination.IsValid() || h.Source.Addr().Is4In6() || h.Source.Addr().Zone() != "") {
			t.Fatalf("%+v", h)
		}
		var out []byte
		if h.Version == 1 {
			out = AppendV1(nil, &h)
		} else {
			out = AppendV2(nil, &h, accept&4 != 0)
		}
		again, size, err := Parse(append(out, "more"...), AnyVersion)
		if err != nil || size != len(out) {
			t.Fatalf("appended: %d of %d bytes, %v", size, len(out), err)
		}
		if !same(h, again) {
			t.Fatalf("%+v\nbecame\n%+v", h, again)
		}
	})
}

// same compares what survives: empty fields are not written, nor is anything about a connection without TLS.
func same(a, b Header) bool {
	for _, h := range []*Header{&a, &b} {
		if h.TLS.Flags == 0 {
			h.TLS = TLS{}
		}
		for _, field := range []*[]byte{&h.SourcePath, &h.DestinationPath, &h.ALPN, &h.Authority, &h.UniqueID, &h.TLS.Version, &h.TLS.CommonName, &h.TLS.Cipher} {
			if len(*field) == 0 {
				*field = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}

func BenchmarkParse(b *testing.B) {
	for _, c := range vectors(b) {
		switch c.name {
		case "v1 IPv4", "v2 IPv4", "v2 everything":
			b.Run(c.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, n, err := Parse(c.in, AnyVersion); n == 0 || err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

package proxy

import (
	"errors"
	"net/netip"
)

// Versions are the versions of the protocol that a listener takes.
type Versions uint8

// The zero value takes both.
const (
	AnyVersion Versions = 0
	Version1   Versions = 1 << 0
	Version2   Versions = 1 << 1
)

func (v Versions) has(one Versions) bool { return v == AnyVersion || v&one != 0 }

// Bounds of a header in bytes, all of it. Longer ones are refused.
const (
	V1BytesMax = 107
	V2BytesMax = 4096
)

// Kind is on whose behalf a connection comes.
type Kind uint8

// The kinds.
const (
	Unknown Kind = iota // a client, of whom nothing is known
	Local               // the proxy itself: the peer is the client
	TCP                 // Source and Destination are known
	Unix                // a client on the proxy's host: SourcePath and DestinationPath, which may be empty
)

func (k Kind) String() string { return [...]string{"unknown", "local", "tcp", "unix"}[k] }

// Header is what a proxy tells of a connection. Its slices borrow from the bytes that it was parsed from.
type Header struct {
	Version int // 1 or 2
	Kind    Kind

	// The client, and the address that it connected to. Valid when Kind is TCP. An IPv4 address in an IPv6 one comes out
	// as IPv4.
	Source, Destination netip.AddrPort

	SourcePath, DestinationPath []byte

	// What version 2 may tell besides; empty if it does not.
	ALPN      []byte // the application protocol that the client negotiated with the proxy
	Authority []byte // the host name that it asked for
	UniqueID  []byte // at most 128 bytes, of any value
	TLS       TLS
}

// TLS is what a proxy tells about the TLS between the client and it. The zero value is a connection without TLS, or one
// of which nothing is told.
type TLS struct {
	Flags      TLSFlags
	Verify     uint32 // 0: the client's certificate, if any, is good
	Version    []byte // such as "TLSv1.3"
	CommonName []byte // of the subject of the client's certificate; who uses it asks Verified first
	Cipher     []byte
}

// TLSFlags are facts.
type TLSFlags uint8

// Their values on the wire.
const (
	OverTLS            TLSFlags = 1 << 0 // the client speaks TLS to the proxy
	CertificateNow     TLSFlags = 1 << 1 // it presented a certificate on this connection
	CertificateEarlier TLSFlags = 1 << 2 // it did so in the TLS session, which may be resumed
)

// Encrypted tells whether the client speaks TLS to the proxy.
func (t *TLS) Encrypted() bool { return t.Flags&OverTLS != 0 }

// Verified tells whether the client has a certificate and the proxy found it good.
func (t *TLS) Verified() bool {
	return t.Encrypted() && t.Flags&(CertificateNow|CertificateEarlier) != 0 && t.Verify == 0
}

// The reasons to refuse a header. What they say about the peer holds for any bytes: it may be no proxy at all.
var (
	ErrNoHeader = errors.New("proxy header: there is none")
	ErrVersion  = errors.New("proxy header: of a version that is not accepted here")
	ErrTooLong  = errors.New("proxy header: too long")

	errLine      = errors.New("proxy header: line malformed")
	errProtocol  = errors.New("proxy header: not for a stream, or of an unknown address family")
	errAddress   = errors.New("proxy header: address malformed")
	errPort      = errors.New("proxy header: port malformed")
	errCommand   = errors.New("proxy header: unknown command")
	errTruncated = errors.New("proxy header: shorter than its parts")
	errRepeated  = errors.New("proxy header: a part that may be there once is repeated")
	errText      = errors.New("proxy header: text is not UTF-8, or has control characters")
	errUniqueID  = errors.New("proxy header: unique id longer than 128 bytes")
	errChecksum  = errors.New("proxy header: wrong checksum")
)

// Parse looks at the first bytes of a connection, b. When the header is there it returns it and its size n: the
// connection itself begins at b[n:]. n is 0 without an error as long as more is needed, which ends at V2BytesMax. An error is
// final; it is returned as soon as the byte that makes it one has arrived, within the lines of version 1 and the first 16
// bytes of version 2, and what is behind them is judged when it is whole.
func Parse(b []byte, accept Versions) (h Header, n int, err error) {
	switch {
	case len(b) == 0:
		return Header{}, 0, nil
	case b[0] == v1Prefix[0]:
		if !begins(b, v1Prefix) {
			return Header{}, 0, ErrNoHeader
		}
		if len(b) < len(v1Prefix) {
			return Header{}, 0, nil
		}
		if !accept.has(Version1) {
			return Header{}, 0, ErrVersion
		}
		h, n, err = parseV1(b[:min(len(b), V1BytesMax)])
	default:
		if !begins(b, v2Signature) {
			return Header{}, 0, ErrNoHeader
		}
		if len(b) < len(v2Signature) {
			return Header{}, 0, nil
		}
		if !accept.has(Version2) {
			return Header{}, 0, ErrVersion
		}
		h, n, err = parseV2(b)
	}
	if n == 0 || err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// begins tells whether b, as far as it goes, is what whole begins with, or the other way round.
func begins(b []byte, whole string) bool {
	n := min(len(b), len(whole))
	return string(b[:n]) == whole[:n]
}

// addrPort joins an address and a port, and frees an IPv4 address from its IPv6 form.
func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a.Unmap(), port) }

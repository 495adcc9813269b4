package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"sync/atomic"
	"unsafe"
)

// What crypto/tls keeps to itself.
//
// A tls.Conn reads ciphertext into a buffer of its own and keeps that buffer, and the one of the handshake's messages,
// for as long as it lives: half of what an idle connection costs, and a copy of every byte. Three of its fields are
// reached for here, so that it has no buffer while nothing is in it, and decrypts what arrives where it already lies, in
// the read buffer of the event loop. The fields are bytes.Buffer and bytes.Reader, and they are given new values of these
// types between two calls of the tls.Conn's methods, on the one goroutine that calls them: nothing depends on what is
// inside of them. They are found by name and type; if a Go release has others, tlsInside is not usable, and everything
// goes through Read as usual, with a copy and with twice the memory.

// tlsInside knows where the fields are. Immutable.
type tlsInside struct {
	rawInput, input, hand            uintptr // offsets in tls.Conn
	peerCertificates, verifiedChains uintptr
	usable                           bool
}

func newTLSInside() tlsInside {
	in := tlsInside{usable: true}
	t := reflect.TypeFor[tls.Conn]()
	for _, f := range []struct {
		name   string
		is     reflect.Type
		offset *uintptr
	}{
		{"rawInput", reflect.TypeFor[bytes.Buffer](), &in.rawInput},
		{"input", reflect.TypeFor[bytes.Reader](), &in.input},
		{"hand", reflect.TypeFor[bytes.Buffer](), &in.hand},
		{"peerCertificates", reflect.TypeFor[[]*x509.Certificate](), &in.peerCertificates},
		{"verifiedChains", reflect.TypeFor[[][]*x509.Certificate](), &in.verifiedChains},
	} {
		if field, ok := t.FieldByName(f.name); ok && field.Type == f.is {
			*f.offset = field.Offset
		} else {
			in.usable = false
		}
	}
	return in
}

// raw returns the buffer of ciphertext that c has not decrypted yet: it begins with the header of a record.
func (in *tlsInside) raw(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), in.rawInput))
}

// handshake returns the buffer of messages of the handshake, which may also come after it.
func (in *tlsInside) handshake(c *tls.Conn) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(c), in.hand))
}

// more tells whether c can decrypt something, or has to refuse what it cannot: asking it in vain costs an allocation.
func (in *tlsInside) more(c *tls.Conn) bool {
	const header, most = 5, 16384 + 2048
	if in.decrypted(c).Len() > 0 {
		return true
	}
	b := in.raw(c).Bytes()
	if len(b) < header {
		return false
	}
	n := int(b[3])<<8 | int(b[4])
	return n > most || len(b) >= header+n
}

// decrypted returns what c has decrypted and not been asked for.
func (in *tlsInside) decrypted(c *tls.Conn) *bytes.Reader {
	return (*bytes.Reader)(unsafe.Add(unsafe.Pointer(c), in.input))
}

// trim lets go of what an idle connection does not need.
func (in *tlsInside) trim(c *tls.Conn) {
	if input := in.decrypted(c); input.Len() == 0 {
		*input = bytes.Reader{}
	}
	if hand := in.handshake(c); hand.Len() == 0 {
		*hand = bytes.Buffer{}
	}
}

// forget lets go of the certificates of the client, after they were looked at.
func (in *tlsInside) forget(c *tls.Conn) {
	*(*[]*x509.Certificate)(unsafe.Add(unsafe.Pointer(c), in.peerCertificates)) = nil
	*(*[][]*x509.Certificate)(unsafe.Add(unsafe.Pointer(c), in.verifiedChains)) = nil
}

// wholeRecords returns c with dynamic record sizing off, also in the configurations that it chooses for single clients.
// Sizing would cut what is sent into records of a packet each, for the sake of browsers that render while they read.
func wholeRecords(c *tls.Config) *tls.Config {
	whole := c.Clone()
	whole.DynamicRecordSizingDisabled = true
	choose := c.GetConfigForClient
	if choose == nil {
		return whole
	}
	type pair struct{ chosen, whole *tls.Config }
	var latest atomic.Pointer[pair] // the choice is mostly the same, and each connection keeps its configuration
	whole.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		chosen, err := choose(hello)
		if err != nil || chosen == nil || chosen.DynamicRecordSizingDisabled {
			return chosen, err
		}
		if p := latest.Load(); p != nil && p.chosen == chosen {
			return p.whole, nil
		}
		p := &pair{chosen, chosen.Clone()}
		p.whole.DynamicRecordSizingDisabled = true
		latest.Store(p)
		return p.whole, nil
	}
	return whole
}

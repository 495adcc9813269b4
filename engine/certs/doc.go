// Package certs is what a TLS listener presents and whom it trusts: certificates with their keys, certificate authorities and revocation
// lists, read from files, judged before they are used, and replaced while connections live.
//
//	store, err := certs.Load(certs.Options{Pairs: []certs.Pair{{CertFile: "server.crt", KeyFile: "server.key"}}})
//	conn := tls.Server(c, store.ServerConfig()) // one *tls.Config for as long as the store lives
//	err = store.Reload()                        // the next handshake sees what the files say now
//
// # How a reload reaches handshakes
//
// ServerConfig always returns the same *tls.Config. It decides nothing: for each ClientHello it hands out the tls.Config of the snapshot that
// is current, which is immutable and behind an atomic pointer. A reload builds a whole new snapshot and swaps it in, or fails and leaves the old
// one alone; a handshake under way ends with the one it began with.
//
// The keys of session tickets belong to the outer tls.Config, which crypto/tls asks for them when the inner one has none. So tickets survive a
// reload and are good on every listener of one store, and crypto/tls makes a new key each day and forgets it after a week. What a ticket must not
// do is outlive trust: a resumed connection carries the chains that were verified when the session began, and crypto/tls does not ask for the
// certificate again. Therefore every connection with a client certificate, resumed or not, is judged once more in VerifyConnection against the
// snapshot that is current by then: one of its chains must end in an authority that is still trusted, with every certificate in date and none
// revoked. This costs no signature check.
//
// # Revocation
//
// With revocation lists, the issuer of the client's own certificate must have one, as OpenSSL wants it, and it must be in date unless the Options
// say otherwise. Certificates further up are looked up where a list is there. A list that covers only a part of what its issuer signed (delta,
// partitioned or indirect) is refused when it is read, because the absence of a certificate in it means nothing.
//
// # What it is not
//
// It opens no socket, and logs nothing: warnings are returned. TLS-PSK is not offered: crypto/tls implements pre-shared keys for resumption only
// and has no way to bring one, and what exists for Go elsewhere are unmaintained copies of old versions of crypto/tls, and DTLS.
//
// It imports the standard library.
package certs

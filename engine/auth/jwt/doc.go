// Package jwt judges clients by JSON Web Tokens (RFC 7519, signed as in RFC 7515). A client puts its token into the Password of its
// CONNECT, or into the User Name where devices can do no better.
//
// # What is believed
//
// Nothing, until a key of ours has verified the signature. A key has a kind, and the kind decides which algorithms it verifies: a secret
// HS256 to HS512, an RSA key RS and PS, an elliptic curve the one ES of its size, Ed25519 EdDSA; a JWK that names its algorithm verifies
// no other. So a public key is never used as a secret, and none is no algorithm. The header of a token chooses a key by its kid among those
// that we have, and nothing else: jku, x5u, jwk and the like are not read, and a critical extension (crit) is refused.
//
// Then come the times (exp is required unless told otherwise, nbf, iat), issuer and audience, and claims that must have certain values.
// The user name of the client is a claim, too (sub, unless told otherwise), so that what access control goes by is never the
// client's own word. A claim may carry rules for the client: see package grant. When the token expires, the client is disconnected.
//
// What does not look like a token is a matter for other judges: no opinion. A token that is not good is refused, whoever else
// may be asked.
//
// # Where keys come from
//
// A secret, PEM files with public keys or certificates (of which only the key is used: neither dates nor chains are looked at), a JWKS
// file (RFC 7517), and a URL with a JWKS. The latter is fetched by one goroutine, again and again, and early if a token names
// a kid that nobody knows: its client then waits for the answer. Tokens cannot make that happen more often than once in RefreshGap. If a
// fetch fails, the keys of the last one stay.
//
// # What it costs
//
// Verification takes 7 µs for a secret, 40 µs for RSA, 90 µs for P-256 and Ed25519, and milliseconds for P-384 and P-521; it runs in a
// work.Pool. The outcome is remembered, by the SHA-256 of the token
// until it expires or keys change, so that a device that comes back costs its event loop half a microsecond.
//
// It imports golang-jwt, codec, session, auth, grant, httpclient, textfile and work.
package jwt

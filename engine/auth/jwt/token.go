package jwt

import (
	"errors"

	gojwt "github.com/golang-jwt/jwt/v5"
)

// looksLikeToken tells whether b is three parts of base64url of which the first begins as a JSON object does; the last may be empty. Anything
// else is a password.
func looksLikeToken(b []byte) bool {
	if len(b) < 2 || b[0] != 'e' || !sixBits[b[1]] || b[1] < 'w' && b[1] >= 'A' && b[1] != '_' { // '{' is 011110 11...
		return false
	}
	dots, part := 0, 0
	for _, c := range b {
		switch {
		case c == '.' && part > 0 && dots < 2:
			dots++
			part = 0
		case sixBits[c]:
			part++
		default:
			return false
		}
	}
	return dots == 2
}

// sixBits are the characters of base64url.
var sixBits = func() (set [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		set[c] = true
	}
	return set
}()

// verify tells whether one of the keys has signed the token, and returns its claims.
func (j *Judge) verify(token string, ring *keyring) (claims, error) {
	said := claims{}
	_, err := j.parser.ParseWithClaims(token, &said, func(t *gojwt.Token) (any, error) {
		kid, ok := t.Header["kid"].(string)
		if _, has := t.Header["kid"]; has && !ok {
			return nil, ErrHeader
		}
		if _, has := t.Header["crit"]; has { // we know no extension [RFC 7515, 4.1.11]
			return nil, ErrHeader
		}
		found := find(ring.keys, t.Method.Alg(), kid)
		if len(found) == 0 {
			return nil, ErrUnknownKey
		}
		return gojwt.VerificationKeySet{Keys: found}, nil
	})
	switch {
	case err == nil:
		return said, nil
	case errors.Is(err, ErrHeader):
		return nil, ErrHeader
	case errors.Is(err, ErrUnknownKey) && !ring.complete:
		return nil, ErrNoKeys
	case errors.Is(err, ErrUnknownKey):
		return nil, ErrUnknownKey
	case errors.Is(err, gojwt.ErrTokenMalformed):
		return nil, ErrMalformed
	case errors.Is(err, gojwt.ErrTokenSignatureInvalid):
		return nil, ErrSignature
	}
	return nil, ErrAlgorithm
}

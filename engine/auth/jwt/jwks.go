package jwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// jwk is one member of a JWK Set (RFC 7517; RFC 7518, 6; RFC 8037).
type jwk struct {
	Type       string   `json:"kty"`
	ID         string   `json:"kid"`
	Use        string   `json:"use"`
	Operations []string `json:"key_ops"`
	Algorithm  string   `json:"alg"`
	Curve      string   `json:"crv"`
	N, E       string
	X, Y       string
	K          string
	D          string
}

// errOtherUse is about keys that are for something else, which every set may have.
var errOtherUse = errors.New("not for signatures that we verify")

// parseJWKS reads a set. Keys for other purposes are passed over. Of one that is ours, a file of our own, every other key has to be good,
// and may be a secret; from elsewhere, those that are not good are passed over [RFC 7517, 5], and so are secrets, which nobody who
// publishes keys should have in there.
func parseJWKS(text []byte, ours bool) (keys []key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(text, &set) != nil || set.Keys == nil {
		return nil, errors.New(`not a JWK Set: {"keys": [...]}`)
	}
	if len(set.Keys) > KeysMax {
		return nil, fmt.Errorf("more than %d keys", KeysMax)
	}
	for i, raw := range set.Keys {
		k, err := parseJWK(raw, ours)
		switch {
		case err == nil:
			keys = append(keys, k)
		case ours && err != errOtherUse:
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it can verify a signature")
	}
	return keys, nil
}

func parseJWK(raw []byte, ours bool) (key, error) {
	var j jwk
	if json.Unmarshal(raw, &j) != nil {
		return key{}, errors.New("not a JWK")
	}
	switch {
	case j.Use != "" && j.Use != "sig", j.Operations != nil && !slices.Contains(j.Operations, "verify"):
		return key{}, errOtherUse
	case j.D != "":
		return key{}, errors.New("a private key, which only the issuer of tokens should have; give the public one")
	}
	value, err := j.value(ours)
	if err != nil {
		return key{}, err
	}
	k, err := newKey(j.ID, value)
	if err != nil {
		return key{}, err
	}
	if j.Algorithm != "" {
		if !slices.Contains(k.algorithms, j.Algorithm) {
			return key{}, errors.New("its alg does not fit its kty and crv, or is not offered")
		}
		k.algorithms = []string{j.Algorithm}
	}
	return k, nil
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func (j *jwk) value(ours bool) (any, error) {
	switch j.Type {
	case "oct":
		if !ours {
			return nil, errOtherUse
		}
		return decodePart(j.K)
	case "RSA":
		n, err := decodePart(j.N)
		if err != nil {
			return nil, err
		}
		e, err := decodePart(j.E)
		if err != nil || len(e) > 4 {
			return nil, errors.New("RSA key with an exponent that is not one")
		}
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	case "EC":
		curve, ok := curves[j.Curve]
		if !ok {
			return nil, errOtherUse
		}
		size := (curve.Params().BitSize + 7) / 8
		x, errX := decodePart(j.X)
		y, errY := decodePart(j.Y)
		if errX != nil || errY != nil || len(x) != size || len(y) != size { // [RFC 7518, 6.2.1.2]
			return nil, fmt.Errorf("x and y of %s are not %d bytes of base64url", j.Curve, size)
		}
		value, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
		if err != nil {
			return nil, errors.New("a point that is not on its curve")
		}
		return value, nil
	case "OKP":
		if j.Curve != "Ed25519" {
			return nil, errOtherUse
		}
		x, err := decodePart(j.X)
		if err != nil || len(x) != ed25519.PublicKeySize {
			return nil, errors.New("x of Ed25519 is not 32 bytes of base64url")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errOtherUse
}

func decodePart(text string) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) == 0 {
		return nil, errors.New("a part of it is missing or not base64url")
	}
	return b, nil
}

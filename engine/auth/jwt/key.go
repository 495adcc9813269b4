package jwt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/gannetmq/gannet/engine/textfile"
	gojwt "github.com/golang-jwt/jwt/v5"
)

// key is one key of ours. It verifies the algorithms of its kind, and no others.
type key struct {
	id         string // kid; empty: it has none
	algorithms []string
	value      any // []byte, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// newKey makes a key of a secret or public key, if it is strong enough and not too strong.
func newKey(id string, value any) (key, error) {
	k := key{id: id, value: value}
	switch v := value.(type) {
	case []byte:
		if len(v) < secretBytesMin {
			return key{}, fmt.Errorf("secret of %d bytes; a shorter one than %d can be guessed from any token", len(v), secretBytesMin)
		}
		if bytes.Contains(v, []byte("-----BEGIN")) {
			return key{}, errors.New("secret is a PEM file; a public key belongs into the key files")
		}
		k.algorithms = hmacAlgorithms
	case *rsa.PublicKey:
		if n := v.N.BitLen(); n < rsaBitsMin || n > rsaBitsMax {
			return key{}, fmt.Errorf("RSA key of %d bits; it takes %d to %d", n, rsaBitsMin, rsaBitsMax)
		}
		if v.E < 3 || v.E&1 == 0 || v.E > 1<<31-1 {
			return key{}, errors.New("RSA key with an exponent that is not one")
		}
		k.algorithms = rsaAlgorithms
	case *ecdsa.PublicKey:
		name, ok := map[elliptic.Curve]string{elliptic.P256(): "ES256", elliptic.P384(): "ES384", elliptic.P521(): "ES512"}[v.Curve]
		if !ok {
			return key{}, errors.New("elliptic curve other than P-256, P-384 and P-521")
		}
		k.algorithms = []string{name}
	case ed25519.PublicKey:
		k.algorithms = []string{"EdDSA"}
	default:
		return key{}, errors.New("key that is none of RSA, ECDSA and Ed25519")
	}
	return k, nil
}

// find returns the keys that may have signed a token: those with its kid, or, if none has it, those without any. A token without a kid may
// be of any of the first triedMax.
func find(keys []key, algorithm, kid string) (found []gojwt.VerificationKey) {
	var anonymous []gojwt.VerificationKey
	for _, k := range keys {
		switch {
		case !slices.Contains(k.algorithms, algorithm):
		case kid == "" || k.id == kid:
			found = append(found, k.value)
		case k.id == "":
			anonymous = append(anonymous, k.value)
		}
	}
	if len(found) == 0 {
		found = anonymous
	}
	return found[:min(len(found), triedMax)]
}

// fileKeys reads every key that is not behind a URL. Errors name the file and show nothing of what is in it.
func fileKeys(o *Options) (keys []key, err error) {
	secret, name := o.Secret, "secret"
	if o.SecretFile != "" {
		if secret, err = textfile.ReadFile(o.SecretFile, keyFileBytesMax); err != nil {
			return nil, fmt.Errorf("jwt: secret file: %w", err)
		}
		secret = bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
		name = o.SecretFile
	}
	if o.SecretFile != "" || len(o.Secret) > 0 {
		if o.SecretBase64 {
			if secret, err = decodeBase64(secret); err != nil {
				return nil, fmt.Errorf("jwt: %s: not base64", name)
			}
		}
		k, err := newKey("", bytes.Clone(secret))
		if err != nil {
			return nil, fmt.Errorf("jwt: %s: %w", name, err)
		}
		keys = append(keys, k)
	}
	for _, path := range o.KeyFiles {
		text, err := textfile.ReadFile(path, keyFileBytesMax)
		if err != nil {
			return nil, fmt.Errorf("jwt: key file: %w", err)
		}
		more, err := parsePEM(text)
		if err != nil {
			return nil, fmt.Errorf("jwt: %s: %w", path, err)
		}
		keys = append(keys, more...)
	}
	if o.JWKSFile != "" {
		text, err := textfile.ReadFile(o.JWKSFile, keyFileBytesMax)
		if err != nil {
			return nil, fmt.Errorf("jwt: jwks file: %w", err)
		}
		more, err := parseJWKS(text, true)
		if err != nil {
			return nil, fmt.Errorf("jwt: %s: %w", o.JWKSFile, err)
		}
		keys = append(keys, more...)
	}
	return keys, nil
}

// decodeBase64 takes either alphabet, with padding or without.
func decodeBase64(text []byte) ([]byte, error) {
	text = bytes.TrimRight(bytes.TrimSpace(text), "=")
	text = bytes.ReplaceAll(bytes.ReplaceAll(text, []byte("+"), []byte("-")), []byte("/"), []byte("_"))
	return base64.RawURLEncoding.AppendDecode(nil, text)
}

// parsePEM reads public keys and certificates.
func parsePEM(text []byte) (keys []key, err error) {
	for n := 1; ; n++ {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if n > KeysMax {
			return nil, fmt.Errorf("more than %d keys", KeysMax)
		}
		value, err := parseBlock(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", n, err)
		}
		k, err := newKey("", value)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", n, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("no public key or certificate in PEM form")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (value any, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		value, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		value, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var cert *x509.Certificate
		if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
			value = cert.PublicKey
		}
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("a private key, which only the issuer of tokens should have; give the public one")
	default:
		return nil, errors.New("neither a public key nor a certificate")
	}
	if err != nil {
		return nil, errors.New("damaged, or of a kind that is not known")
	}
	return value, nil
}

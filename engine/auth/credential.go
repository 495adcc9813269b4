package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ScramName is the Authentication Method, and the first word of a verifier in a users file.
const ScramName = "SCRAM-SHA-256"

// Bounds of a Credential. A count outside them is refused in users files, and by ScramClient when a Server asks for
// it: a low one gives the password away, a high one is a way to keep the Client busy.
const (
	IterationsMin     = 4096 // RFC 7677 section 4
	IterationsMax     = 1_000_000
	IterationsDefault = 15_000 // a tenth of a second by the rule of RFC 7677 section 4, a few seconds on a small device

	saltBytesMin     = 8
	saltBytesMax     = 128
	saltBytesDefault = 16
	keyBytes         = sha256.Size
)

type key = [keyBytes]byte

// Credential is what the Server knows about one user: a verifier of the password, not the password. Whoever reads
// it can pretend to be the Server and can try passwords offline, so it stays out of logs; String shows no secret.
// It is immutable and safe for concurrent use.
type Credential struct {
	iterations int
	salt       []byte
	storedKey  key // SHA-256 of the ClientKey: recognises a proof
	serverKey  key // signs the Server's answer
}

// NewCredential makes the verifier of password, which is prepared with SASLprep and must not be empty. iterations is
// between IterationsMin and IterationsMax. salt has 8 to 128 bytes and is copied; nil draws 16 random bytes.
//
// It computes iterations HMACs, milliseconds to a second: never call it on an event loop.
func NewCredential(password string, iterations int, salt []byte) (Credential, error) {
	if iterations < IterationsMin || iterations > IterationsMax {
		return Credential{}, iterationsError(iterations)
	}
	if salt == nil {
		salt = make([]byte, saltBytesDefault)
		rand.Read(salt) // never fails: crypto/rand ends the process instead
	}
	if len(salt) < saltBytesMin || len(salt) > saltBytesMax {
		return Credential{}, saltError(len(salt))
	}
	prepared, err := saslprep(password)
	if err != nil {
		return Credential{}, fmt.Errorf("password: %w", err)
	}
	if prepared == "" {
		return Credential{}, errors.New("password: empty")
	}
	clientKey, serverKey, err := stretch(prepared, salt, iterations)
	if err != nil {
		return Credential{}, err
	}
	return Credential{
		iterations: iterations,
		salt:       append([]byte(nil), salt...),
		storedKey:  storedKeyOf(&clientKey),
		serverKey:  serverKey,
	}, nil
}

// ParseCredential reads the form that Append writes. Base64 is the standard alphabet with padding, nothing else.
func ParseCredential(text string) (Credential, error) {
	name, rest, _ := strings.Cut(text, "$")
	if name != ScramName {
		return Credential{}, errors.New("credential: does not begin with " + ScramName + "$")
	}
	parameters, keys, ok := strings.Cut(rest, "$")
	if !ok {
		return Credential{}, errors.New("credential: no $ before the keys")
	}
	iterationsText, saltText, ok := strings.Cut(parameters, ":")
	if !ok {
		return Credential{}, errors.New("credential: no colon between iterations and salt")
	}
	storedText, serverText, ok := strings.Cut(keys, ":")
	if !ok {
		return Credential{}, errors.New("credential: no colon between StoredKey and ServerKey")
	}

	var c Credential
	var err error
	if c.iterations, err = parseIterations(iterationsText); err != nil {
		return Credential{}, err
	}
	if c.salt, err = parseSalt(saltText); err != nil {
		return Credential{}, err
	}
	if c.storedKey, ok = decodeKey(storedText); !ok {
		return Credential{}, fmt.Errorf("credential: StoredKey is not the base64 of %d bytes", keyBytes)
	}
	if c.serverKey, ok = decodeKey(serverText); !ok {
		return Credential{}, fmt.Errorf("credential: ServerKey is not the base64 of %d bytes", keyBytes)
	}
	return c, nil
}

// Append appends the verifier to dst as it stands in a users file, after the user name and a colon:
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
func (c *Credential) Append(dst []byte) []byte {
	dst = append(dst, ScramName+"$"...)
	dst = strconv.AppendInt(dst, int64(c.iterations), 10)
	dst = append(dst, ':')
	dst = base64.StdEncoding.AppendEncode(dst, c.salt)
	dst = append(dst, '$')
	dst = base64.StdEncoding.AppendEncode(dst, c.storedKey[:])
	dst = append(dst, ':')
	return base64.StdEncoding.AppendEncode(dst, c.serverKey[:])
}

// String describes the credential without its secrets.
func (c Credential) String() string {
	return fmt.Sprintf("%s, %d iterations", ScramName, c.iterations)
}

// provedBy reports whether proof was made from the password of c over authMessage. It takes the same time for any
// proof.
func (c *Credential) provedBy(proof *key, authMessage []byte) bool {
	clientKey := sign(&c.storedKey, authMessage)
	subtle.XORBytes(clientKey[:], clientKey[:], proof[:])
	storedKey := storedKeyOf(&clientKey)
	return subtle.ConstantTimeCompare(storedKey[:], c.storedKey[:]) == 1
}

// stretch turns a prepared password into the two keys of RFC 5802 section 3.
func stretch(prepared string, salt []byte, iterations int) (clientKey, serverKey key, err error) {
	derived, err := pbkdf2.Key(sha256.New, prepared, salt, iterations, keyBytes)
	if err != nil {
		return key{}, key{}, fmt.Errorf("derive key: %w", err)
	}
	salted := key(derived)
	return sign(&salted, []byte("Client Key")), sign(&salted, []byte("Server Key")), nil
}

func storedKeyOf(clientKey *key) key { return sha256.Sum256(clientKey[:]) }

func sign(k *key, message []byte) (signature key) {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(message)
	mac.Sum(signature[:0])
	return signature
}

func parseIterations(text string) (int, error) {
	// No sign and no leading zero: one number has one spelling.
	if text == "" || text[0] < '1' || text[0] > '9' {
		return 0, errors.New("iterations: not a decimal number")
	}
	n, err := strconv.Atoi(text)
	if errors.Is(err, strconv.ErrRange) {
		return 0, iterationsError(IterationsMax + 1)
	}
	if err != nil {
		return 0, errors.New("iterations: not a decimal number")
	}
	if n < IterationsMin || n > IterationsMax {
		return 0, iterationsError(n)
	}
	return n, nil
}

func parseSalt(text string) ([]byte, error) {
	salt, ok := decodeBase64(text, saltBytesMax)
	if !ok {
		return nil, fmt.Errorf("salt: not the base64 of at most %d bytes", saltBytesMax)
	}
	if len(salt) < saltBytesMin {
		return nil, saltError(len(salt))
	}
	return salt, nil
}

func decodeKey(text string) (key, bool) {
	decoded, ok := decodeBase64(text, keyBytes)
	if !ok || len(decoded) != keyBytes {
		return key{}, false
	}
	return key(decoded), true
}

// decodeBase64 accepts exactly one spelling of each value: the decoder of the standard library would skip line
// breaks, even a strict one.
func decodeBase64(text string, bytesMax int) ([]byte, bool) {
	if len(text) > base64.StdEncoding.EncodedLen(bytesMax) || strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	return decoded, err == nil && len(decoded) <= bytesMax
}

func iterationsError(n int) error {
	if n > IterationsMax {
		return fmt.Errorf("iterations: more than %d", IterationsMax)
	}
	return fmt.Errorf("iterations: %d, fewer than %d", n, IterationsMin)
}

func saltError(n int) error {
	return fmt.Errorf("salt: %d bytes, not between %d and %d", n, saltBytesMin, saltBytesMax)
}

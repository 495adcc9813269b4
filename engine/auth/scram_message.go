package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// The messages of RFC 5802 section 7, as the Server reads those of the Client and the Client those of the Server:
//
//	client-first   n,[a=authzid],n=user,r=client-nonce[,extensions]
//	               |-gs2 header-||------------bare----------------|
//	server-first   r=client-nonce server-nonce,s=salt,i=iterations[,extensions]
//	client-final   c=base64 of the gs2 header,r=both nonces[,extensions],p=proof
//	               |-----------------without proof-------------|
//	server-final   v=signature, or e=error
//
// The proof and the signature cover the AuthMessage: bare, server-first and client-final without proof, joined by
// commas. It is kept as the bytes that were sent and received, never put together again from parsed values.

// Bounds of a message. A longer one, or one with more attributes, is malformed.
const (
	scramMessageBytesMax = 8192 // holds the longest user name with every byte escaped, twice
	scramAttributesMax   = 16
)

var (
	errMalformed      = errors.New("scram message: malformed")
	errChannelBinding = errors.New("scram message: channel binding is not offered")
	errMandatory      = errors.New("scram message: unknown mandatory extension")
)

type clientFirst struct {
	gs2Header       string
	authorizationID string // decoded, "" when absent
	bare            string
	user            string // decoded, not prepared
	nonce           string
}

type clientFinal struct {
	withoutProof   string
	channelBinding string // base64, as sent
	nonce          string
	proof          key
}

type serverFirst struct {
	nonce      string
	salt       []byte
	iterations int
}

func parseClientFirst(message string) (m clientFirst, err error) {
	parts := strings.SplitN(message, ",", 3)
	if len(parts) != 3 {
		return m, errMalformed
	}
	switch flag := parts[0]; {
	case flag == "n": // the client does no channel binding
	case flag == "y": // it would, but saw no offer of it: true, the Server has none
	case strings.HasPrefix(flag, "p="):
		return m, errChannelBinding
	default:
		return m, errMalformed
	}
	if parts[1] != "" {
		escaped, ok := attribute(parts[1], 'a')
		if m.authorizationID, ok = unescapeName(escaped, ok); !ok {
			return m, errMalformed
		}
	}
	m.gs2Header, m.bare = message[:len(message)-len(parts[2])], parts[2]

	attributes, err := splitAttributes(m.bare)
	if err != nil {
		return m, err
	}
	if len(attributes) < 2 {
		return m, errMalformed
	}
	escaped, ok := attribute(attributes[0], 'n')
	if m.user, ok = unescapeName(escaped, ok); !ok {
		return m, errMalformed
	}
	if m.nonce, ok = attribute(attributes[1], 'r'); !ok || !validNonce(m.nonce) {
		return m, errMalformed
	}
	return m, nil
}

func parseClientFinal(message string) (m clientFinal, err error) {
	attributes, err := splitAttributes(message)
	if err != nil {
		return m, err
	}
	last := len(attributes) - 1
	if last < 2 {
		return m, errMalformed
	}
	var ok bool
	if m.channelBinding, ok = attribute(attributes[0], 'c'); !ok {
		return m, errMalformed
	}
	if m.nonce, ok = attribute(attributes[1], 'r'); !ok || !validNonce(m.nonce) {
		return m, errMalformed
	}
	proof, ok := attribute(attributes[last], 'p')
	if !ok {
		return m, errMalformed
	}
	if m.proof, ok = decodeKey(proof); !ok {
		return m, errMalformed
	}
	m.withoutProof = message[:len(message)-len(attributes[last])-len(",")]
	return m, nil
}

func parseServerFirst(message string) (m serverFirst, err error) {
	attributes, err := splitAttributes(message)
	if err != nil {
		return m, err
	}
	if len(attributes) < 3 {
		return m, errMalformed
	}
	var ok bool
	if m.nonce, ok = attribute(attributes[0], 'r'); !ok || !validNonce(m.nonce) {
		return m, errMalformed
	}
	salt, ok := attribute(attributes[1], 's')
	if !ok {
		return m, errMalformed
	}
	if m.salt, err = parseSalt(salt); err != nil {
		return m, err
	}
	iterations, ok := attribute(attributes[2], 'i')
	if !ok {
		return m, errMalformed
	}
	m.iterations, err = parseIterations(iterations)
	return m, err
}

// checkMessage judges what holds for every message before it is taken apart.
func checkMessage(message string) error {
	if len(message) > scramMessageBytesMax || !utf8.ValidString(message) || strings.ContainsRune(message, 0) {
		return errMalformed
	}
	return nil
}

// splitAttributes cuts a list of attributes, each a letter, an equals sign and a value that is not empty. Unknown
// ones are extensions, which may be ignored, except m=: it says that ignoring is not safe (RFC 5802 section 5.1).
func splitAttributes(list string) ([]string, error) {
	attributes := strings.SplitN(list, ",", scramAttributesMax+1)
	if len(attributes) > scramAttributesMax {
		return nil, errMalformed
	}
	for _, a := range attributes {
		if len(a) < 3 || a[1] != '=' || !isLetter(a[0]) {
			return nil, errMalformed
		}
		if a[0] == 'm' {
			return nil, errMandatory
		}
	}
	return attributes, nil
}

// attribute is the value of a when its name is name.
func attribute(a string, name byte) (value string, ok bool) {
	if len(a) < 3 || a[0] != name || a[1] != '=' {
		return "", false
	}
	return a[2:], true
}

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }

// validNonce: printable ASCII without the comma, not empty.
func validNonce(nonce string) bool {
	for i := range len(nonce) {
		if nonce[i] <= 0x20 || nonce[i] >= 0x7f || nonce[i] == ',' {
			return false
		}
	}
	return nonce != ""
}

// escapeName writes a name so that it can stand in a list of attributes.
func escapeName(name string) string {
	return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name)
}

// unescapeName undoes escapeName. Any other use of the equals sign is an error, as is ok == false.
func unescapeName(escaped string, ok bool) (string, bool) {
	if !ok || strings.Count(escaped, "=") != strings.Count(escaped, "=2C")+strings.Count(escaped, "=3D") {
		return "", false
	}
	if !strings.Contains(escaped, "=") {
		return escaped, true
	}
	return strings.NewReplacer("=3D", "=", "=2C", ",").Replace(escaped), true
}

// encodeChannelBinding is the c= value of a client-final that repeats gs2Header.
func encodeChannelBinding(gs2Header string) string {
	return base64.StdEncoding.EncodeToString([]byte(gs2Header))
}

package password

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Bounds of a Hash. What is outside them is refused when a file is read, so that a bad line cannot take the machine.
const (
	IterationsMax     = 1_000_000 // of PBKDF2: half a second
	IterationsDefault = 15_000    // nine milliseconds; mosquitto 2.0 makes 101, 2.1 makes 1000, and both read any number

	Argon2MemoryMax = 256 << 10 // KiB for one hash
	Argon2PassesMax = 16
	Argon2LanesMax  = 16
	Argon2WorkMax   = 1 << 20 // memory in KiB times passes: about a second

	PasswordBytesMax = 4096 // a longer one is refused everywhere: many of them may be waiting to be hashed

	saltBytesMin = 8
	saltBytesMax = 64 // what mosquitto 2.1 makes
	sumBytesMin  = 16 // of argon2id
	sumBytesMax  = 64 // and the only length of the others
)

// What NewHash makes.
const (
	saltBytesDefault  = 12    // the only length that mosquitto 2.0 reads
	argon2SaltBytes   = 16    // RFC 9106 section 3.1
	argon2SumBytes    = 32    //
	argon2MemoryKiB   = 47104 // 46 MiB, one pass, one lane: what mosquitto 2.1 makes, and OWASP's first choice
	argon2Version     = 19
	argon2KiBPerLane  = 8 // at least, RFC 9106 section 3.1
	argon2Prefix      = "$argon2id$"
	hashPrefixPBKDF2  = "$7$"
	hashPrefixSHA512  = "$6$"
	unknownIdBytesMax = 16
)

// Scheme is a way to make a hash of a password.
type Scheme uint8

const (
	SHA512   Scheme = iota + 1 // $6$: fast to check, and fast to guess
	PBKDF2                     // $7$: PBKDF2 with HMAC-SHA-512
	Argon2id                   // $argon2id$
)

// cost is what says how long a Hash takes.
type cost struct {
	scheme     Scheme
	lanes      uint8  // of Argon2id
	iterations uint32 // of PBKDF2; passes of Argon2id
	memoryKiB  uint32 // of Argon2id
}

// Hash is what a password file knows about one password. Whoever reads it can try passwords offline, so it stays out of logs; String shows no
// secret. It is immutable, comparable and safe for concurrent use.
type Hash struct {
	cost
	salt, sum string
}

// errPlain is what ParseHash says of a text that is no hash but a password.
var errPlain = errors.New("password in plain text")

// NewHash makes the hash of password, of 1 to PasswordBytesMax bytes, with a fresh random salt. iterations is for PBKDF2 alone; 0 is
// IterationsDefault. It takes as long as the hash is to take: never call it on an event loop.
func NewHash(scheme Scheme, iterations int, password []byte) (Hash, error) {
	switch {
	case len(password) == 0:
		return Hash{}, errors.New("password: empty")
	case len(password) > PasswordBytesMax:
		return Hash{}, fmt.Errorf("password: longer than %d bytes", PasswordBytesMax)
	case iterations < 0 || iterations > IterationsMax:
		return Hash{}, fmt.Errorf("iterations: not between 1 and %d", IterationsMax)
	case iterations == 0:
		iterations = IterationsDefault
	}
	h := Hash{cost: cost{scheme: scheme}}
	saltBytes, sumBytes := saltBytesDefault, sumBytesMax
	switch scheme {
	case SHA512:
	case PBKDF2:
		h.iterations = uint32(iterations)
	case Argon2id:
		h.iterations, h.memoryKiB, h.lanes = 1, argon2MemoryKiB, 1
		saltBytes, sumBytes = argon2SaltBytes, argon2SumBytes
	default:
		panic(fmt.Sprintf("password: hash of scheme %d", scheme))
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails: crypto/rand ends the process instead
	h.salt = string(salt)
	sum, err := h.derive(password, sumBytes)
	if err != nil {
		return Hash{}, fmt.Errorf("hash password: %w", err)
	}
	h.sum = string(sum)
	return h, nil
}

// Matches reports whether the hash was made from password. It takes the same time for any password of one length. A hash that the
// Go runtime refuses to compute, because it was told to do what FIPS 140 allows and nothing else, matches nothing.
func (h *Hash) Matches(password []byte) bool {
	sum, err := h.derive(password, len(h.sum))
	return err == nil && subtle.ConstantTimeCompare(sum, []byte(h.sum)) == 1
}

func (h *Hash) derive(password []byte, sumBytes int) ([]byte, error) {
	switch h.scheme {
	case SHA512:
		d := sha512.New()
		d.Write(password)
		d.Write([]byte(h.salt))
		return d.Sum(nil), nil
	case PBKDF2:
		return pbkdf2.Key(sha512.New, string(password), []byte(h.salt), int(h.iterations), sumBytes)
	case Argon2id:
		return argon2.IDKey(password, []byte(h.salt), h.iterations, h.memoryKiB, h.lanes, uint32(sumBytes)), nil
	default:
		panic(fmt.Sprintf("password: hash of scheme %d", h.scheme))
	}
}

// String describes the hash without its secrets.
func (h Hash) String() string {
	switch h.scheme {
	case SHA512:
		return "sha512"
	case PBKDF2:
		return fmt.Sprintf("sha512-pbkdf2, %d iterations", h.iterations)
	case Argon2id:
		return fmt.Sprintf("argon2id, %d KiB, %d passes, %d lanes", h.memoryKiB, h.iterations, h.lanes)
	default:
		return "no hash"
	}
}

// GoString is String, so that no verb of fmt shows a secret.
func (h Hash) GoString() string { return h.String() }

// Append appends the hash to dst as it stands in a password file.
func (h *Hash) Append(dst []byte) []byte {
	encoding := base64.StdEncoding
	switch h.scheme {
	case SHA512:
		dst = append(dst, hashPrefixSHA512...)
	case PBKDF2:
		dst = strconv.AppendUint(append(dst, hashPrefixPBKDF2...), uint64(h.iterations), 10)
		dst = append(dst, '$')
	case Argon2id:
		encoding = base64.RawStdEncoding
		dst = fmt.Appendf(dst, "%sv=%d$m=%d,t=%d,p=%d$", argon2Prefix, argon2Version, h.memoryKiB, h.iterations, h.lanes)
	default:
		panic(fmt.Sprintf("password: hash of scheme %d", h.scheme))
	}
	dst = encoding.AppendEncode(dst, []byte(h.salt))
	return encoding.AppendEncode(append(dst, '$'), []byte(h.sum))
}

// ParseHash reads what Append writes. Base64 has one spelling for each value. Errors never show the text.
func ParseHash(text string) (Hash, error) {
	switch {
	case strings.HasPrefix(text, hashPrefixSHA512):
		return parseSHA512(strings.Split(text[len(hashPrefixSHA512):], "$"))
	case strings.HasPrefix(text, hashPrefixPBKDF2):
		return parsePBKDF2(strings.Split(text[len(hashPrefixPBKDF2):], "$"))
	case strings.HasPrefix(text, argon2Prefix):
		return parseArgon2id(strings.Split(text[len(argon2Prefix):], "$"))
	case looksHashed(text):
		return Hash{}, errors.New("hash of an unknown kind: only $6$, $7$ and $argon2id$ can be read")
	default:
		return Hash{}, errPlain
	}
}

// looksHashed reports whether text begins like a hash of crypt(3), which must not be taken for a password.
func looksHashed(text string) bool {
	if text == "" || text[0] != '$' {
		return false
	}
	id, _, ok := strings.Cut(text[1:], "$")
	return ok && id != "" && len(id) <= unknownIdBytesMax && strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

func parseSHA512(fields []string) (Hash, error) {
	if len(fields) != 2 {
		return Hash{}, errors.New("hash: not of the form $6$salt$hash")
	}
	return parseSecrets(cost{scheme: SHA512}, base64.StdEncoding, fields[0], fields[1], sumBytesMax)
}

func parsePBKDF2(fields []string) (Hash, error) {
	if len(fields) != 3 {
		return Hash{}, errors.New("hash: not of the form $7$iterations$salt$hash")
	}
	iterations, err := parseNumber("iterations", fields[0], IterationsMax)
	if err != nil {
		return Hash{}, err
	}
	return parseSecrets(cost{scheme: PBKDF2, iterations: iterations}, base64.StdEncoding, fields[1], fields[2], sumBytesMax)
}

func parseArgon2id(fields []string) (Hash, error) {
	malformed := errors.New("hash: not of the form $argon2id$v=19$m=memory,t=passes,p=lanes$salt$hash")
	if len(fields) != 4 {
		return Hash{}, malformed
	}
	if fields[0] != "v="+strconv.Itoa(argon2Version) {
		return Hash{}, fmt.Errorf("hash: argon2id of another version than %d", argon2Version)
	}
	parameters := strings.Split(fields[1], ",")
	if len(parameters) != 3 {
		return Hash{}, malformed
	}
	var values [3]uint32
	for i, p := range []struct {
		name string
		max  uint32
	}{{"m", Argon2MemoryMax}, {"t", Argon2PassesMax}, {"p", Argon2LanesMax}} {
		text, ok := strings.CutPrefix(parameters[i], p.name+"=")
		if !ok {
			return Hash{}, malformed
		}
		var err error
		if values[i], err = parseNumber("argon2id "+p.name, text, p.max); err != nil {
			return Hash{}, err
		}
	}
	c := cost{scheme: Argon2id, memoryKiB: values[0], iterations: values[1], lanes: uint8(values[2])}
	if c.memoryKiB < argon2KiBPerLane*uint32(c.lanes) {
		return Hash{}, errors.New("argon2id m: less than 8 KiB for each lane")
	}
	if c.memoryKiB*c.iterations > Argon2WorkMax {
		return Hash{}, fmt.Errorf("argon2id m times t: more than %d", Argon2WorkMax)
	}
	return parseSecrets(c, base64.RawStdEncoding, fields[2], fields[3], sumBytesMin)
}

func parseSecrets(c cost, encoding *base64.Encoding, saltText, sumText string, sumBytesMin int) (Hash, error) {
	salt, ok := decode(encoding, saltText, saltBytesMin, saltBytesMax)
	if !ok {
		return Hash{}, fmt.Errorf("salt: not the base64 of %d to %d bytes", saltBytesMin, saltBytesMax)
	}
	sum, ok := decode(encoding, sumText, sumBytesMin, sumBytesMax)
	if !ok {
		return Hash{}, fmt.Errorf("hash: not the base64 of %d to %d bytes", sumBytesMin, sumBytesMax)
	}
	return Hash{c, salt, sum}, nil
}

// decode accepts exactly one spelling of each value: even a strict decoder of the standard library would skip line breaks.
func decode(encoding *base64.Encoding, text string, bytesMin, bytesMax int) (string, bool) {
	if len(text) > encoding.EncodedLen(bytesMax) || strings.ContainsAny(text, "\r\n") {
		return "", false
	}
	decoded, err := encoding.Strict().DecodeString(text)
	return string(decoded), err == nil && len(decoded) >= bytesMin && len(decoded) <= bytesMax
}

// parseNumber reads a number from 1 to max. One number has one spelling: no sign and no leading zero.
func parseNumber(name, text string, max uint32) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if text == "" || text[0] == '0' || err != nil || n > uint64(max) {
		return 0, fmt.Errorf("%s: not a number from 1 to %d", name, max)
	}
	return uint32(n), nil
}

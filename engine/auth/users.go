package auth

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gannetmq/gannet/engine/textfile"
)

// Bounds of a users file. A larger one is refused as a whole.
const (
	UsersFileBytesMax = 64 << 20 // about 400,000 users
	UserNameBytesMax  = 1024     // after SASLprep
)

// Users is a set of user names, each with its Credential. The zero value is empty. It is immutable and safe for
// concurrent use.
type Users struct {
	credentials map[string]Credential // by prepared user name
	common      credentialShape
}

// credentialShape is the part of a Credential that the Server tells anyone who asks.
type credentialShape struct{ iterations, saltBytes int }

// LoadUsers reads the users file at path, as ReadUsers does.
func LoadUsers(path string) (*Users, error) {
	return textfile.Load("users file", path, func(file *os.File) (*Users, error) { return ReadUsers(path, file) })
}

// ReadUsers reads a users file of at most UsersFileBytesMax bytes. Each line is one user:
//
//	alice:SCRAM-SHA-256$15000:<salt>$<StoredKey>:<ServerKey>
//
// with salt and keys in base64. Empty lines and lines that begin with # count as nothing, and blanks around a line
// are dropped. A user name may hold colons, but may not begin with # or have a space at either end, and stands for
// its SASLprep form; two lines for one user are an error. Errors begin with name:line, and never show a credential.
func ReadUsers(name string, r io.Reader) (*Users, error) {
	return readUsers(name, r, UsersFileBytesMax)
}

func readUsers(name string, r io.Reader, bytesMax int64) (*Users, error) {
	form := textfile.Form{
		Whole:   textfile.Bound{BytesMax: bytesMax, Beyond: fmt.Sprintf("users file larger than %d bytes", bytesMax)},
		Reading: "read users file ",
	}
	users := &Users{credentials: make(map[string]Credential)}
	firstLine := make(map[string]int)
	shapes := make(map[credentialShape]int)
	err := form.Lines(name, r, func(number int, line string) error {
		if line = strings.Trim(line, " \t\r"); line == "" || line[0] == '#' {
			return nil
		}
		user, credential, err := parseUserLine(line)
		if err != nil {
			return err
		}
		if first, ok := firstLine[user]; ok {
			return fmt.Errorf("user %q: already on line %d", user, first)
		}
		user = strings.Clone(user) // not to keep the rest of its line
		firstLine[user] = number
		users.credentials[user] = credential
		shapes[credential.shape()]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	users.common = mostCommon(shapes)
	return users, nil
}

// UserLine makes the line of a users file for user, without a line break, with a fresh random salt. It takes as long
// as NewCredential and has the same bounds.
func UserLine(user, password string, iterations int) (string, error) {
	prepared, err := prepareUserName(user)
	if err != nil {
		return "", err
	}
	credential, err := NewCredential(password, iterations, nil)
	if err != nil {
		return "", err
	}
	return string(credential.Append([]byte(prepared + ":"))), nil
}

// Len is the number of users.
func (u *Users) Len() int { return len(u.credentials) }

// lookup finds the credential of a prepared user name.
func (u *Users) lookup(prepared string) (Credential, bool) {
	credential, known := u.credentials[prepared]
	return credential, known
}

// commonShape is the form that an invented credential takes so as not to stand out among those of u.
func (u *Users) commonShape() credentialShape {
	if len(u.credentials) == 0 {
		return credentialShape{iterations: IterationsDefault, saltBytes: saltBytesDefault}
	}
	return u.common
}

// parseUserLine splits at the last place where a verifier can begin: base64 has no colon and no $, so that
// whatever stands before it is the user name.
func parseUserLine(line string) (user string, credential Credential, err error) {
	colon := strings.LastIndex(line, ":"+ScramName+"$")
	if colon < 0 {
		return "", Credential{}, errors.New("user: no :" + ScramName + "$ after the user name")
	}
	if user, err = prepareUserName(line[:colon]); err != nil {
		return "", Credential{}, err
	}
	if credential, err = ParseCredential(line[colon+1:]); err != nil {
		return "", Credential{}, fmt.Errorf("user %q: %w", user, err)
	}
	return user, credential, nil
}

// prepareUserName is the SASLprep form of a user name that a users file can hold.
func prepareUserName(user string) (string, error) {
	prepared, err := saslprep(user)
	if err != nil {
		return "", fmt.Errorf("user name: %w", err)
	}
	switch {
	case prepared == "":
		return "", errors.New("user name: empty")
	case len(prepared) > UserNameBytesMax:
		return "", fmt.Errorf("user name: longer than %d bytes", UserNameBytesMax)
	case prepared[0] == '#':
		return "", errors.New("user name: begins with #")
	case strings.Trim(prepared, " ") != prepared:
		return "", errors.New("user name: space at its beginning or end")
	}
	return prepared, nil
}

func (c *Credential) shape() credentialShape {
	return credentialShape{iterations: c.iterations, saltBytes: len(c.salt)}
}

// mostCommon breaks ties towards the larger shape, so that a file always gives the same answer.
func mostCommon(shapes map[credentialShape]int) (common credentialShape) {
	best := 0
	for shape, n := range shapes {
		if n > best || n == best && shape.exceeds(common) {
			common, best = shape, n
		}
	}
	return common
}

func (s credentialShape) exceeds(t credentialShape) bool {
	return s.iterations > t.iterations || s.iterations == t.iterations && s.saltBytes > t.saltBytes
}

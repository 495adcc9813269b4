package password

import (
	"errors"
	"fmt"
	"strings"
)

const blanks = " \t\r\n\v\f"

const byteOrderMark = "\ufeff" // some editors put it before the first line

// entry is a line of a password file that names a user. Its strings alias the line.
type entry struct {
	user string // never empty
	rest string // behind the colon, without blanks around it; never empty
}

// parseLine takes a line apart. An entry without user means that the line is not one, which is right for a comment or an empty
// line, and a fault with any other: mosquitto passes over such a line, too. The fault shows nothing of the line, which may be a password.
func parseLine(line string) (e entry, fault error) {
	if line = strings.TrimRight(line, blanks); strings.Trim(line, blanks) == "" || line[0] == '#' {
		return entry{}, nil
	}
	user, rest, ok := strings.Cut(line, ":")
	if !ok {
		return entry{}, errors.New("no colon after a user name")
	}
	e.user = strings.Trim(user, blanks)
	e.rest = strings.Trim(strings.TrimLeft(rest, ":"), blanks)
	switch {
	case e.user == "":
		return entry{}, errors.New("no user name before the colon")
	case len(e.user) > UserNameBytesMax:
		return entry{}, fmt.Errorf("user name longer than %d bytes", UserNameBytesMax)
	case e.hashText() == "":
		return entry{}, fmt.Errorf("user %q has no password", e.user)
	}
	return e, nil
}

// hashText is what would be a hash. It ends at a further colon: mosquitto takes no notice of what follows.
func (e *entry) hashText() string {
	text, _, _ := strings.Cut(e.rest, ":")
	return strings.TrimRight(text, blanks)
}

// CheckUserName says why a password file cannot hold user, or nil. Mosquitto would make a line of such a name that nobody can log in with.
func CheckUserName(user string) error {
	switch {
	case user == "":
		return errors.New("user name: empty")
	case len(user) > UserNameBytesMax:
		return fmt.Errorf("user name: longer than %d bytes", UserNameBytesMax)
	case strings.Contains(user, ":"):
		return errors.New("user name: contains a colon")
	case strings.ContainsFunc(user, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("user name: contains a control character")
	case user[0] == '#':
		return errors.New("user name: begins with #, like a comment")
	case strings.HasPrefix(user, byteOrderMark):
		return errors.New("user name: begins with a byte order mark")
	case strings.Trim(user, blanks) != user:
		return errors.New("user name: blank at its beginning or end")
	}
	return nil
}

package password

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gannetmq/gannet/engine/textfile"
)

// Bounds of a password file. A larger one is refused as a whole.
const (
	FileBytesMax     = 64 << 20 // about 400,000 users
	UserNameBytesMax = 1024
	LineBytesMax     = 8 << 10
	WarningsMax      = 20 // kept of one file
)

// File is a set of users, each with a Hash. The zero value is empty. It is immutable and safe for concurrent use.
type File struct {
	users    map[string]Hash
	common   Hash // what most look like: the work for users that are not here
	warnings []string
}

// Load reads the password file at path, as Read does. A file that everybody may read is worth a warning, too.
func Load(path string) (*File, error) {
	return textfile.Load("password file", path, func(file *os.File) (*File, error) {
		f, err := Read(path, file)
		if err != nil {
			return nil, err
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0 {
			f.warnings = append([]string{path + ": everybody may read the hashes in it: chmod o-r " + path}, f.warnings...)
		}
		return f, nil
	})
}

// Read reads a password file of at most FileBytesMax bytes with lines of at most LineBytesMax. Empty lines and lines that begin with # count as
// nothing, blanks around a user name or a hash are dropped, and so is a byte order mark.
//
// What mosquitto passes over with a message is passed over with a warning: lines without a colon, a user name or a password. When a user is there twice,
// the last line counts, as for mosquitto 2.0, with a warning, since for 2.1 the first does. What is no hash is an error: a
// password in plain text would lock its user out. Errors and warnings begin with name:line and never show a hash or a password.
func Read(name string, r io.Reader) (*File, error) { return read(name, r, FileBytesMax) }

func read(name string, r io.Reader, bytesMax int64) (*File, error) {
	form := textfile.Form{
		Whole:   textfile.Bound{BytesMax: bytesMax, Beyond: fmt.Sprintf("password file larger than %d bytes", bytesMax)},
		Line:    textfile.Bound{BytesMax: LineBytesMax, Beyond: fmt.Sprintf("line longer than %d bytes", LineBytesMax)},
		Reading: "read password file ",
	}
	f := &File{users: make(map[string]Hash)}
	lines := make(map[string]int) // where each user is
	dropped := 0
	warn := func(number int, format string, args ...any) {
		if len(f.warnings) == WarningsMax {
			dropped++
			return
		}
		f.warnings = append(f.warnings, fmt.Sprintf("%s:%d: ", name, number)+fmt.Sprintf(format, args...))
	}
	err := form.Lines(name, r, func(number int, line string) error {
		if number == 1 {
			line = strings.TrimPrefix(line, byteOrderMark)
		}
		e, fault := parseLine(line)
		if fault != nil {
			warn(number, "%v: line ignored", fault)
		}
		if e.user == "" {
			return nil
		}
		hash, err := ParseHash(e.hashText())
		if errors.Is(err, errPlain) {
			return fmt.Errorf("user %q: %w: run gannet passwd -U %s", e.user, err, name)
		} else if err != nil {
			return fmt.Errorf("user %q: %w: make a new one with gannet passwd", e.user, err)
		}
		if before, ok := lines[e.user]; ok {
			warn(number, "user %q is on line %d, too: this line counts here and in mosquitto 2.0, the first in 2.1", e.user, before)
		}
		user := strings.Clone(e.user) // not to keep the rest of its line
		lines[user], f.users[user] = number, hash
		return nil
	})
	if err != nil {
		return nil, err
	}
	if dropped > 0 {
		f.warnings = append(f.warnings, fmt.Sprintf("%s: and %d warnings more", name, dropped))
	}
	f.common = commonHash(f.users)
	return f, nil
}

// Len is the number of users.
func (f *File) Len() int { return len(f.users) }

// Revoked returns the users of f whom next does not know, or for whom it has another line.
func (f *File) Revoked(next *File) map[string]struct{} {
	revoked := make(map[string]struct{})
	for user, h := range f.users {
		if now, known := next.users[user]; !known || now != h {
			revoked[user] = struct{}{}
		}
	}
	return revoked
}

// Warnings are what is worth an operator's look, one line each, at most WarningsMax and a few more. The slice must not be changed.
func (f *File) Warnings() []string { return f.warnings }

// String describes the file without its secrets.
func (f *File) String() string { return fmt.Sprintf("password file, %d users", len(f.users)) }

// lookup returns the hash of user, or, for one that is not there, something that takes as long.
func (f *File) lookup(user string) (h Hash, known bool) {
	if h, known = f.users[user]; known {
		return h, true
	}
	if f.common.scheme == 0 { // the zero File
		return commonHash(nil), false
	}
	return f.common, false
}

// commonHash is a hash of no password that takes as long as most of users do. Ties go to the more expensive, so that a file always gives
// the same answer.
func commonHash(users map[string]Hash) (common Hash) {
	if len(users) == 0 {
		return Hash{cost{scheme: PBKDF2, iterations: IterationsDefault}, strings.Repeat("\x00", saltBytesDefault), strings.Repeat("\x00", sumBytesMax)}
	}
	counts, best := make(map[Hash]int), 0
	for _, h := range users {
		h.salt, h.sum = strings.Repeat("\x00", len(h.salt)), strings.Repeat("\x00", len(h.sum))
		counts[h]++
	}
	for h, n := range counts {
		if n > best || n == best && h.exceeds(&common) {
			common, best = h, n
		}
	}
	return common
}

// exceeds is a total order of shapes.
func (h *Hash) exceeds(other *Hash) bool {
	of := func(h *Hash) [6]int {
		return [6]int{int(h.scheme), int(h.iterations), int(h.memoryKiB), int(h.lanes), len(h.salt), len(h.sum)}
	}
	a, b := of(h), of(other)
	for i := range a {
		if a[i] != b[i] {
			return a[i] > b[i]
		}
	}
	return false
}

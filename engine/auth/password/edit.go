package password

import (
	"bytes"
	"errors"
	"fmt"
)

// The edits of a password file take its text and return the new one. Lines that they have nothing to say about, comments among them, stay
// byte for byte. The texts do not share memory.

// Set gives user, which CheckUserName passed, the hash h: in its line, if it has one, else in a new line at the end. Further lines of the same user go,
// because versions of mosquitto disagree about which one counts. found says whether the user was there.
func Set(text []byte, user string, h *Hash) (out []byte, found bool) {
	line := append(h.Append([]byte(user+":")), '\n')
	out = eachLine(text, func(dst, raw []byte) []byte {
		switch {
		case !isOf(user, raw):
			return append(dst, raw...)
		case found:
			return dst
		}
		found = true
		return append(dst, line...)
	})
	if !found {
		if n := len(out); n > 0 && out[n-1] != '\n' {
			out = append(out, '\n')
		}
		out = append(out, line...)
	}
	return out, found
}

// Remove takes user out. found says whether it was there.
func Remove(text []byte, user string) (out []byte, found bool) {
	out = eachLine(text, func(dst, raw []byte) []byte {
		if isOf(user, raw) {
			found = true
			return dst
		}
		return append(dst, raw...)
	})
	return out, found
}

// Upgrade replaces each password in plain text by what hash makes of it, and leaves hashes alone: to do it twice is to do it once. The password is
// all that follows the colon, without blanks around it. n counts them. An error begins with the number of its line; the text
// is then not to be used.
func Upgrade(text []byte, hash func(password []byte) (Hash, error)) (out []byte, n int, err error) {
	number := 0
	out = eachLine(text, func(dst, raw []byte) []byte {
		number++
		e, fault := parseLine(string(raw))
		if fault != nil && err == nil {
			err = fmt.Errorf("%d: %w", number, fault)
		}
		if e.user == "" || err != nil {
			return append(dst, raw...)
		}
		if _, parse := ParseHash(e.hashText()); parse == nil {
			return append(dst, raw...)
		} else if !errors.Is(parse, errPlain) {
			err = fmt.Errorf("%d: user %q: %w", number, e.user, parse)
			return dst
		}
		h, failed := hash([]byte(e.rest))
		if failed != nil {
			err = fmt.Errorf("%d: user %q: %w", number, e.user, failed)
			return dst
		}
		n++
		return append(h.Append(append(append(dst, e.user...), ':')), '\n')
	})
	return out, n, err
}

// eachLine is text with each line replaced by what edit appends for it. A byte order mark stays where it is.
func eachLine(text []byte, edit func(dst, line []byte) []byte) []byte {
	out := make([]byte, 0, len(text)+LineBytesMax)
	if lines, ok := bytes.CutPrefix(text, []byte(byteOrderMark)); ok {
		out, text = append(out, byteOrderMark...), lines
	}
	for line := range bytes.Lines(text) {
		out = edit(out, line)
	}
	return out
}

func isOf(user string, line []byte) bool {
	e, _ := parseLine(string(line))
	return user != "" && e.user == user
}

package auth

import (
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

var (
	errNotUTF8    = errors.New("not valid utf-8")
	errProhibited = errors.New("character prohibited by saslprep")
	errDirections = errors.New("mixes writing directions")
)

// saslprep brings a user name or password into the form in which two of them are compared: the SASLprep profile of
// RFC 4013, without its table of unassigned code points. Printable ASCII is returned as it is. The result may be
// empty.
func saslprep(s string) (string, error) {
	if printableASCII(s) {
		return s, nil
	}
	if !utf8.ValidString(s) {
		return "", errNotUTF8
	}
	s = norm.NFKC.String(strings.Map(mapRune, s))
	if strings.ContainsFunc(s, prohibitedRune) {
		return "", errProhibited
	}
	if !oneDirection(s) {
		return "", errDirections
	}
	return s, nil
}

func printableASCII(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// mapRune is RFC 4013 section 2.1: every space becomes U+0020 (RFC 3454 table C.1.2), and what shows nothing is
// left out (table B.1). U+200B is in both tables; here it is a space.
func mapRune(r rune) rune {
	switch {
	case r == 0x00a0, r == 0x1680, r >= 0x2000 && r <= 0x200b, r == 0x202f, r == 0x205f, r == 0x3000:
		return ' '
	case r == 0x00ad, r == 0x034f, r == 0x1806, r >= 0x180b && r <= 0x180d, r == 0x200c, r == 0x200d, r == 0x2060,
		r >= 0xfe00 && r <= 0xfe0f, r == 0xfeff:
		return -1
	}
	return r
}

// prohibitedRune is RFC 4013 section 2.3, named by the tables of RFC 3454. Code points that mapRune or NFKC have
// removed need no line, and valid UTF-8 holds no surrogates (C.5).
func prohibitedRune(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7f && r <= 0x9f: // C.2.1 and C.2.2, controls
		return true
	case r == 0x06dd, r == 0x070f, r == 0x180e, r == 0x2028, r == 0x2029, r >= 0x2061 && r <= 0x2063,
		r >= 0x1d173 && r <= 0x1d17a: // C.2.2, controls outside the control blocks
		return true
	case r >= 0xe000 && r <= 0xf8ff, r >= 0xf0000: // C.3 private use, with the last of C.4
		return true
	case r >= 0xfdd0 && r <= 0xfdef, r&0xfffe == 0xfffe: // C.4, not characters
		return true
	case r >= 0xfff9 && r <= 0xfffd: // C.6, not plain text
		return true
	case r >= 0x2ff0 && r <= 0x2ffb: // C.7, ideographic description
		return true
	case r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x206a && r <= 0x206f: // C.8, display control
		return true
	case r == 0xe0001, r >= 0xe0020 && r <= 0xe007f: // C.9, tags
		return true
	}
	return false
}

// oneDirection is RFC 3454 section 6: text with a right-to-left character holds no left-to-right one, and begins
// and ends right-to-left.
func oneDirection(s string) bool {
	var left, right bool
	for _, r := range s {
		left = left || direction(r) == bidi.L
		right = right || direction(r) == bidi.R
	}
	if !right {
		return true
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return !left && direction(first) == bidi.R && direction(last) == bidi.R
}

// direction is the bidirectional class of r, with Arabic letters counted as right-to-left like all others.
func direction(r rune) bidi.Class {
	properties, _ := bidi.LookupRune(r)
	if class := properties.Class(); class != bidi.AL {
		return class
	}
	return bidi.R
}

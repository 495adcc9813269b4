package codec

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Topics and client identifiers are nearly always ASCII, so strings are looked
// at eight bytes at a time. All tests below rest on one fact: if every byte of a
// word is at most 0x7f, adding 0x7f to each sets its high bit exactly where the
// byte is not zero, and no byte carries into the next. A word with a byte above
// 0x7f fails the test by its own high bit and is judged by the slow path.
const (
	highBits  = 0x8080808080808080
	lowBits   = 0x7f7f7f7f7f7f7f7f
	wildBits  = 0x2b2b2b2b2b2b2b2b // '+' in every byte
	wildDelta = 0x0808080808080808 // '#' with this bit set is '+'
)

// plainASCII reports whether every byte of w is ASCII and not U+0000.
func plainASCII(w uint64) bool {
	return (w+lowBits)&^w&highBits == highBits
}

// plainTopic reports the same and that no byte of w is '+' or '#'.
func plainTopic(w uint64) bool {
	return (w+lowBits)&^w&(((w|wildDelta)^wildBits)+lowBits)&highBits == highBits
}

// ValidString reports whether b may stand in a UTF-8 Encoded String: well-formed
// UTF-8, no surrogates [MQTT-1.5.4-1], no U+0000 [MQTT-1.5.4-2]. Length is not
// checked; an empty string is valid.
func ValidString(b []byte) bool {
	return judgeString(b, false) == sound
}

// ValidTopicName reports whether b has at least one character [MQTT-4.7.3-1] and
// no wildcard [MQTT-4.7.0-1]. That it is a valid string is taken for granted:
// Parse has checked it.
func ValidTopicName(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) >= 8 {
		w := binary.LittleEndian.Uint64(b)
		if !plainTopic(w) {
			break
		}
		b = b[8:]
	}
	for _, c := range b {
		if c == '+' || c == '#' {
			return false
		}
	}
	return true
}

// ValidTopicFilter reports whether b has at least one character [MQTT-4.7.3-1],
// every '#' stands alone in the last level [MQTT-4.7.1-1] and every '+' fills a
// whole level [MQTT-4.7.1-2]. That b is a valid string is taken for granted. A
// shared subscription's filter is taken apart by SplitShare first.
func ValidTopicFilter(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	for i, c := range b {
		if c != '+' && c != '#' {
			continue
		}
		if i > 0 && b[i-1] != '/' {
			return false
		}
		if i+1 < len(b) && (c == '#' || b[i+1] != '/') {
			return false
		}
	}
	return true
}

// SplitShare takes "$share/name/filter" apart. For any other filter shared is
// false. With shared true, ok reports whether the name has at least one character
// [MQTT-4.8.2-1], none of them '/', '+' or '#', and is followed by '/' and a
// Topic Filter of at least one character [MQTT-4.8.2-2]; name and rest are empty
// otherwise. The syntax of rest is for ValidTopicFilter to judge. Both results
// point into filter.
func SplitShare(filter []byte) (name, rest []byte, shared, ok bool) {
	const prefix = "$share/"
	if len(filter) < len(prefix) || string(filter[:len(prefix)]) != prefix {
		return nil, nil, false, false
	}
	filter = filter[len(prefix):]
	slash := bytes.IndexByte(filter, '/')
	if slash < 1 || slash == len(filter)-1 {
		return nil, nil, true, false
	}
	name, rest = filter[:slash], filter[slash+1:]
	if bytes.IndexByte(name, '+') >= 0 || bytes.IndexByte(name, '#') >= 0 {
		return nil, nil, true, false
	}
	return name, rest, true, true
}

// verdict is what may be wrong with a string.
type verdict byte

const (
	sound verdict = iota
	illFormed
	hasNUL
	hasWildcard
)

// judgeString looks for U+0000 and, unless lenient, for ill-formed UTF-8.
func judgeString(b []byte, lenient bool) verdict {
	rest := b
	for len(rest) >= 8 {
		if !plainASCII(binary.LittleEndian.Uint64(rest)) {
			return judgeSlowly(rest, lenient)
		}
		rest = rest[8:]
	}
	if len(rest) == 0 {
		return sound
	}
	if len(b) >= 8 {
		// The last eight bytes once more: they overlap what is known to be ASCII.
		if plainASCII(binary.LittleEndian.Uint64(b[len(b)-8:])) {
			return sound
		}
		return judgeSlowly(rest, lenient)
	}
	for i, c := range rest {
		if c-1 >= 0x7f {
			return judgeSlowly(rest[i:], lenient)
		}
	}
	return sound
}

// judgeTopicName does the same and looks for wildcards too.
func judgeTopicName(b []byte, lenient bool) verdict {
	rest := b
	for len(rest) >= 8 {
		if !plainTopic(binary.LittleEndian.Uint64(rest)) {
			return judgeTopicSlowly(rest, lenient)
		}
		rest = rest[8:]
	}
	if len(rest) == 0 {
		return sound
	}
	if len(b) >= 8 {
		if plainTopic(binary.LittleEndian.Uint64(b[len(b)-8:])) {
			return sound
		}
		return judgeTopicSlowly(rest, lenient)
	}
	for i, c := range rest {
		if c-1 >= 0x7f || c == '+' || c == '#' {
			return judgeTopicSlowly(rest[i:], lenient)
		}
	}
	return sound
}

// judgeSlowly judges a tail that starts on a character boundary.
func judgeSlowly(tail []byte, lenient bool) verdict {
	if !lenient && !utf8.Valid(tail) {
		return illFormed
	}
	if bytes.IndexByte(tail, 0) >= 0 {
		return hasNUL
	}
	return sound
}

func judgeTopicSlowly(tail []byte, lenient bool) verdict {
	if v := judgeSlowly(tail, lenient); v != sound {
		return v
	}
	if bytes.IndexByte(tail, '+') >= 0 || bytes.IndexByte(tail, '#') >= 0 {
		return hasWildcard
	}
	return sound
}

package persist

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
)

// describe says for an operator what can be in the keys from from to before to. nil is unknown.
func describe(from, to []byte) string {
	if to == nil {
		return "what it holds"
	}
	var all []string
	for _, kind := range []struct {
		prefix byte
		what   func(from, to []byte) string
	}{
		{prefixFormat, func(_, _ []byte) string { return "the format version" }},
		{prefixMessage, func(from, to []byte) string {
			return "messages " + numbersBetween(from, to) + " that several sessions are owed"
		}},
		{prefixHot, func(from, to []byte) string { return "what sessions " + numbersBetween(from, to) + " are owed" }},
		{prefixRetained, func(from, to []byte) string {
			return fmt.Sprintf("retained messages of the topics %q to %q", from[min(1, len(from)):], topicBefore(to))
		}},
		{prefixSession, func(from, to []byte) string {
			return "sessions " + numbersBetween(from, to) + " and their subscriptions"
		}},
	} {
		low, high := []byte{kind.prefix}, []byte{kind.prefix + 1}
		if bytes.Compare(from, low) > 0 {
			low = from
		}
		if bytes.Compare(to, high) < 0 {
			high = to
		}
		if bytes.Compare(low, high) < 0 {
			all = append(all, kind.what(low, high))
		}
	}
	return strings.Join(all, "; ")
}

func topicBefore(to []byte) []byte {
	if to[0] != prefixRetained {
		return []byte("\U0010ffff")
	}
	return bytes.TrimSuffix(to[1:], []byte{0})
}

// numbersBetween is the range of numbers in keys from from to before to.
func numbersBetween(from, to []byte) string {
	first, _ := keyNumber(from)
	last := uint64(math.MaxUint64)
	if n, ok := keyNumber(to); ok && to[0] == from[0] {
		if last = n; len(to) == numberKeySize && n > 0 {
			last-- // the key itself is not in it
		}
	}
	switch {
	case first >= last:
		return fmt.Sprint(first)
	case last == math.MaxUint64:
		return fmt.Sprintf("from %d on", first)
	}
	return fmt.Sprintf("%d to %d", first, last)
}

// numberSet is a set of ids that is told as ranges.
type numberSet map[uint64]struct{}

func (s numberSet) add(n uint64)      { s[n] = struct{}{} }
func (s numberSet) has(n uint64) bool { _, ok := s[n]; return ok }

// maxRanges is how many ranges of a set are told.
const maxRanges = 20

func (s numberSet) String() string {
	all := make([]uint64, 0, len(s))
	for n := range s {
		all = append(all, n)
	}
	slices.Sort(all)
	var ranges []string
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n] == all[0]+uint64(n) {
			n++
		}
		if len(ranges) == maxRanges {
			return strings.Join(ranges, ", ") + fmt.Sprintf(" and %d more", len(all))
		}
		if n == 1 {
			ranges = append(ranges, fmt.Sprint(all[0]))
		} else {
			ranges = append(ranges, fmt.Sprintf("%d to %d", all[0], all[n-1]))
		}
		all = all[n:]
	}
	return strings.Join(ranges, ", ")
}

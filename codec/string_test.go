package codec

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// naiveVerdict says the same as judgeTopicName, one byte at a time.
func naiveVerdict(b []byte, lenient bool) verdict {
	switch {
	case !lenient && !utf8.Valid(b):
		return illFormed
	case bytes.ContainsRune(b, 0):
		return hasNUL
	case bytes.ContainsAny(b, "+#"):
		return hasWildcard
	}
	return sound
}

func checkStringJudges(t *testing.T, b []byte) {
	t.Helper()
	for _, lenient := range []bool{false, true} {
		want := naiveVerdict(b, lenient)
		if got := judgeTopicName(b, lenient); got != want {
			t.Errorf("judgeTopicName(%q, %v) = %d, want %d", b, lenient, got, want)
		}
		if want == hasWildcard {
			want = sound
		}
		if got := judgeString(b, lenient); got != want {
			t.Errorf("judgeString(%q, %v) = %d, want %d", b, lenient, got, want)
		}
	}
	if naive := naiveVerdict(b, false); naive == sound && ValidTopicName(b) != (len(b) > 0) {
		t.Errorf("ValidTopicName(%q) = %v", b, len(b) == 0)
	} else if naive == hasWildcard && ValidTopicName(b) {
		t.Errorf("ValidTopicName(%q) = true", b)
	}
}

// Every length around the eight-byte steps, with every byte value in every place.
func TestStringsAreJudgedAlikeAtEveryOffset(t *testing.T) {
	for length := range 27 {
		b := bytes.Repeat([]byte{'a'}, length)
		checkStringJudges(t, b)
		for i := range b {
			for c := range 256 {
				b[i] = byte(c)
				checkStringJudges(t, b)
			}
			b[i] = 'a'
		}
	}
}

func TestCharactersMayStraddleTheEightByteSteps(t *testing.T) {
	for _, s := range []string{"é", "€", "𝄞", "\ufeff", "\uffff", "\U0010ffff", "\xc0\x80", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"} {
		for before := range 18 {
			for after := range 18 {
				checkStringJudges(t, []byte(strings.Repeat("x", before)+s+strings.Repeat("/", after)))
			}
		}
	}
}

func TestValidString(t *testing.T) {
	for _, c := range []struct {
		in   string
		want bool
	}{
		{"", true},
		{"sensor", true},
		{"température/cuisine", true},
		{"\ufeffbom stays", true},
		{"control \x01 and \x7f", true},
		{"nul\x00", false},
		{"overlong \xc0\x80", false},
		{"high surrogate \xed\xa0\x80", false},
		{"low surrogate \xed\xbf\xbf", false},
		{"cut short \xe2\x82", false},
		{"above u+10ffff \xf4\x90\x80\x80", false},
	} {
		if got := ValidString([]byte(c.in)); got != c.want {
			t.Errorf("ValidString(%q) = %v, want %v", c.in, got, c.want)
		}
	}
}

func TestValidTopicFilter(t *testing.T) {
	for _, c := range []struct {
		filter string
		want   bool
	}{
		{"", false}, {"a", true}, {"/", true}, {"//", true}, {"a b", true}, {"$SYS/#", true},
		{"#", true}, {"/#", true}, {"a/#", true}, {"a#", false}, {"#/", false}, {"#/a", false}, {"a/#/b", false}, {"##", false}, {"#a", false}, {"a/b#", false},
		{"+", true}, {"+/+", true}, {"/+", true}, {"+/", true}, {"a/+/b", true}, {"a+", false}, {"+a", false}, {"a/+b", false}, {"a/b+/c", false}, {"++", false},
		{"+/#", true}, {"+#", false}, {"#+", false}, {"température/+", true},
	} {
		if got := ValidTopicFilter([]byte(c.filter)); got != c.want {
			t.Errorf("ValidTopicFilter(%q) = %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestSplitShare(t *testing.T) {
	for _, c := range []struct {
		filter, name, rest string
		shared, ok         bool
	}{
		{filter: ""},
		{filter: "a/b"},
		{filter: "$share"},
		{filter: "$shared/g/x"},
		{filter: "$SHARE/g/x"},
		{filter: "$share/g/x", name: "g", rest: "x", shared: true, ok: true},
		{filter: "$share/g/#", name: "g", rest: "#", shared: true, ok: true},
		{filter: "$share/g//", name: "g", rest: "/", shared: true, ok: true},
		{filter: "$share/g/a+", name: "g", rest: "a+", shared: true, ok: true},
		{filter: "$share/$g h/$share/i/x", name: "$g h", rest: "$share/i/x", shared: true, ok: true},
		{filter: "$share/", shared: true},
		{filter: "$share//", shared: true},
		{filter: "$share//x", shared: true},
		{filter: "$share/g", shared: true},
		{filter: "$share/g/", shared: true},
		{filter: "$share/g+/x", shared: true},
		{filter: "$share/+/x", shared: true},
		{filter: "$share/#/x", shared: true},
	} {
		name, rest, shared, ok := SplitShare([]byte(c.filter))
		got := fmt.Sprintf("%q %q %v %v", name, rest, shared, ok)
		if want := fmt.Sprintf("%q %q %v %v", c.name, c.rest, c.shared, c.ok); got != want {
			t.Errorf("SplitShare(%q) = %s, want %s", c.filter, got, want)
		}
	}
}

func FuzzStrings(f *testing.F) {
	for _, s := range []string{"", "a", "sensor/kitchen/temperature", "température", "a/+/b#", "nul\x00", "\xc0\x80", "\xed\xa0\x80", "long enough for words \xf4\x90\x80\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(checkStringJudges)
}

func BenchmarkTopicName(b *testing.B) {
	for _, topic := range []string{"a/b", "sensors/kitchen/temperature", "building/7/floor/12/room/1204/ceiling/sensor/temperature/celsius", "gebäude/7/küche/temperatur"} {
		b.Run(fmt.Sprint(len(topic)), func(b *testing.B) {
			in := []byte(topic)
			b.ReportAllocs()
			b.SetBytes(int64(len(in)))
			for b.Loop() {
				if judgeTopicName(in, false) != sound {
					b.Fatal("refused")
				}
			}
		})
	}
}

package auth

import (
	"errors"
	"testing"
)

func TestSaslprep(t *testing.T) {
	tests := []struct {
		name, in, want string
		err            error
	}{
		{"rfc 4013 example 1, soft hyphen", "I\u00adX", "IX", nil},
		{"rfc 4013 example 2, nothing to do", "user", "user", nil},
		{"rfc 4013 example 3, case is kept", "USER", "USER", nil},
		{"rfc 4013 example 4, feminine ordinal", "\u00aa", "a", nil},
		{"rfc 4013 example 5, roman nine", "\u2168", "IX", nil},
		{"rfc 4013 example 6, control", "\u0007", "", errProhibited},
		{"rfc 4013 example 7, directions", "\u0627\u0031", "", errDirections},
		{"right to left around a digit", "\u0627\u0031\u0628", "\u0627\u0031\u0628", nil},
		{"right to left with a latin letter", "\u0627a\u0628", "", errDirections},
		{"begins with a digit", "1\u05d0", "", errDirections},
		{"latin with digits", "\u00e9 1", "\u00e9 1", nil},
		{"all printable ascii", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", " !\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~", nil},
		{"empty", "", "", nil},
		{"nothing visible", "\u200d\ufeff", "", nil},
		{"spaces", "a\u00a0b\u3000c\u200bd", "a b c d", nil},
		{"decomposed", "e\u0301", "\u00e9", nil},
		{"full width", "\uff41\uff42", "ab", nil},
		{"delete", "a\x7f", "", errProhibited},
		{"next line", "\u0085", "", errProhibited},
		{"line separator", "a\u2028", "", errProhibited},
		{"private use", "\ue000", "", errProhibited},
		{"private use beyond the first plane", "\U000f0000", "", errProhibited},
		{"not a character", "\ufdd0", "", errProhibited},
		{"not a character at the end of a plane", "\U0001fffe", "", errProhibited},
		{"replacement character", "\ufffd", "", errProhibited},
		{"ideographic description", "\u2ff0", "", errProhibited},
		{"right-to-left mark", "\u200f", "", errProhibited},
		{"direction override", "a\u202eb", "", errProhibited},
		{"tag", "\U000e0041", "", errProhibited},
		{"not utf-8", "a\xff", "", errNotUTF8},
		{"surrogate", "\xed\xa0\x80", "", errNotUTF8},
		{"emoji, unknown to unicode 3.2", "\U0001f600", "\U0001f600", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := saslprep(test.in)
			if got != test.want || !errors.Is(err, test.err) {
				t.Fatalf("saslprep(%q) = %q, %v; want %q, %v", test.in, got, err, test.want, test.err)
			}
		})
	}
}

// FuzzSaslprep: preparing a second time changes nothing, else a name written to a users file would be another one
// when it is read.
func FuzzSaslprep(f *testing.F) {
	for _, s := range []string{"user", "I\u00adX", "\u2168", "\u0627\u0031\u0628", "e\u0301\u200b", "\xff", "\ufb1d\u0345"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := saslprep(s)
		if err != nil {
			return
		}
		if twice, err := saslprep(once); err != nil || twice != once {
			t.Fatalf("%q becomes %q, then %q, %v", s, once, twice, err)
		}
	})
}

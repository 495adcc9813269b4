package password

import (
	"fmt"
	"strings"
	"testing"
)

// tutorialHash is rajan's line in a tutorial on mosquitto; the password is password123.
const tutorialHash = "$6$dtMF49Z2e8YSrYEY$1nAtPhU4V+d8dj/3glka5H7VrQBf/IZ2WFhJDQI5CGpbK6soFrwk0cciOf0pioSvkTsiZ9rD24pOZTPpYxq1Kg=="

// mosquittoUsers are the users of testdata/mosquitto-2.0.txt, which mosquitto_passwd 2.0.11 made: three with -b, one with -H sha512, one with -U.
var mosquittoUsers = map[string]string{
	"alice": "wonderland", "b ob": "with spaces and : colon", "carol": "six", "dörte": "ümläut", "erin": "plain text",
}

func parsed(t testing.TB, text string) Hash {
	t.Helper()
	h, err := ParseHash(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return h
}

// quick is a hash that takes no time.
func quick(t testing.TB, password string) Hash {
	t.Helper()
	h, err := NewHash(SHA512, 0, []byte(password))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHashesOfOtherProgramsMatchTheirPasswords(t *testing.T) {
	tests := []struct{ name, text, password string }{
		{"tutorial", tutorialHash, "password123"},
		// The reference implementation's own tests.
		{"argon2 m=65536", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password"},
		{"argon2 m=256", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "password"},
		{"argon2 p=2", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc", "password"},
	}
	for _, test := range tests {
		h := parsed(t, test.text)
		if !h.Matches([]byte(test.password)) {
			t.Errorf("%s: the password does not match", test.name)
		}
		for _, wrong := range []string{"", test.password + "x", test.password[1:], strings.ToUpper(test.password)} {
			if h.Matches([]byte(wrong)) {
				t.Errorf("%s: %q matches", test.name, wrong)
			}
		}
		if again := string(h.Append([]byte("u:"))); again != "u:"+test.text {
			t.Errorf("%s: written as %s", test.name, again)
		}
	}
}

func TestFileOfMosquittoPasswd(t *testing.T) {
	f, err := Load("testdata/mosquitto-2.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	if f.Len() != len(mosquittoUsers) {
		t.Errorf("%d users", f.Len())
	}
	for user, password := range mosquittoUsers {
		h, known := f.lookup(user)
		if !known || !h.Matches([]byte(password)) || h.Matches([]byte(password+" ")) {
			t.Errorf("user %q: known %v, %v", user, known, h)
		}
	}
}

func TestNewHashIsReadAgain(t *testing.T) {
	for _, test := range []struct {
		scheme     Scheme
		iterations int
		begins     string
		describes  string
	}{
		{SHA512, 0, "$6$", "sha512"},
		{PBKDF2, 0, "$7$15000$", "sha512-pbkdf2, 15000 iterations"},
		{PBKDF2, 7, "$7$7$", "sha512-pbkdf2, 7 iterations"},
		{Argon2id, 7, "$argon2id$v=19$m=47104,t=1,p=1$", "argon2id, 47104 KiB, 1 passes, 1 lanes"},
	} {
		password := []byte("p\x00\xff:$ ü")
		h, err := NewHash(test.scheme, test.iterations, password)
		if err != nil {
			t.Fatal(err)
		}
		text := string(h.Append(nil))
		if again := parsed(t, text); again != h || !again.Matches(password) || again.Matches(password[:1]) {
			t.Errorf("%s: another hash after writing and reading", text)
		}
		if !strings.HasPrefix(text, test.begins) || strings.ContainsAny(text, ":\n") {
			t.Errorf("%s, want %s", text, test.begins)
		}
		other, err := NewHash(test.scheme, test.iterations, password)
		if err != nil || other == h {
			t.Errorf("%s: the same salt twice, error %v", text, err)
		}
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if shown := fmt.Sprintf(format, h); shown != test.describes {
				t.Errorf("%s shows %s", format, shown)
			}
		}
	}
}

func TestNewHashRefusesWhatIsOutOfBounds(t *testing.T) {
	for _, test := range []struct {
		name       string
		iterations int
		password   string
	}{
		{"no password", 1, ""},
		{"long password", 1, strings.Repeat("x", PasswordBytesMax+1)},
		{"negative iterations", -1, "x"},
		{"many iterations", IterationsMax + 1, "x"},
	} {
		if _, err := NewHash(PBKDF2, test.iterations, []byte(test.password)); err == nil {
			t.Errorf("%s: accepted", test.name)
		}
	}
}

func TestParseHashRefusesWhatIsOutOfBounds(t *testing.T) {
	const salt, sum = "BGndiACUuVhHRClN", "Kqeet24FMzN1une6fPYOmHge87nKZGo3i1N8O1q2xjW0GAvovxJiKjorN2bPQ3fUf6HisxhAnfDN+fJDx8WMCQ=="
	const argonTail = "$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	parsed(t, "$7$101$"+salt+"$"+sum)
	parsed(t, fmt.Sprintf("$7$%d$%s$%s", IterationsMax, salt, sum))
	parsed(t, "$argon2id$v=19$m=262144,t=4,p=16"+argonTail)
	tests := []struct{ name, text, want string }{
		{"empty", "", "plain text"},
		{"password", "secret", "plain text"},
		{"password with dollars", "$$ecret", "plain text"},
		{"dollar first", "$ecret", "plain text"},
		{"dollars, but no name of a kind", "$My Secret$", "plain text"},
		{"bcrypt", "$2y$10$abcdefghijklmnopqrstuv", "unknown kind"},
		{"argon2i", "$argon2i$v=19$m=256,t=2,p=1" + argonTail, "unknown kind"},
		{"nothing after the kind", "$6$", "not of the form"},
		{"no sum", "$6$" + salt, "not of the form"},
		{"sha512 with iterations", "$6$101$" + salt + "$" + sum, "not of the form"},
		{"pbkdf2 without iterations", "$7$" + salt + "$" + sum, "not of the form"},
		{"something after it", "$7$101$" + salt + "$" + sum + "$x", "not of the form"},
		{"no iterations", "$7$0$" + salt + "$" + sum, "iterations"},
		{"empty iterations", "$7$$" + salt + "$" + sum, "iterations"},
		{"negative iterations", "$7$-1$" + salt + "$" + sum, "iterations"},
		{"signed iterations", "$7$+101$" + salt + "$" + sum, "iterations"},
		{"zero before", "$7$0101$" + salt + "$" + sum, "iterations"},
		{"many iterations", fmt.Sprintf("$7$%d$%s$%s", IterationsMax+1, salt, sum), "iterations"},
		{"enormous iterations", "$7$99999999999999999999$" + salt + "$" + sum, "iterations"},
		{"short salt", "$6$BGndiACUuQ==$" + sum, "salt"},
		{"long salt", "$6$" + strings.Repeat("QUJD", 22) + "$" + sum, "salt"},
		{"salt not base64", "$6$BGndiACUuVhHRCl!$" + sum, "salt"},
		{"short sum", "$6$" + salt + "$Kqeet24F", "hash: not the base64 of 64 to 64"},
		{"sum without padding", "$6$" + salt + "$" + sum[:86], "hash: not the base64"},
		{"line break in the sum", "$6$" + salt + "$Kq\n" + sum[2:], "hash: not the base64"},
		{"loose bits in the sum", "$6$" + salt + "$" + sum[:85] + "R==", "hash: not the base64"},
		{"old argon2", "$argon2id$v=16$m=256,t=2,p=1" + argonTail, "version"},
		{"no argon2 version", "$argon2id$m=256,t=2,p=1" + argonTail, "not of the form"},
		{"argon2 order", "$argon2id$v=19$t=2,m=256,p=1" + argonTail, "not of the form"},
		{"argon2 more", "$argon2id$v=19$m=256,t=2,p=1,x=1" + argonTail, "not of the form"},
		{"much memory", "$argon2id$v=19$m=262145,t=1,p=1" + argonTail, "argon2id m: not a number from 1 to 262144"},
		{"enormous memory", "$argon2id$v=19$m=4294967296,t=1,p=1" + argonTail, "argon2id m"},
		{"little memory", "$argon2id$v=19$m=15,t=1,p=2" + argonTail, "less than 8 KiB for each lane"},
		{"many passes", "$argon2id$v=19$m=256,t=17,p=1" + argonTail, "argon2id t"},
		{"many lanes", "$argon2id$v=19$m=256,t=1,p=17" + argonTail, "argon2id p"},
		{"no lanes", "$argon2id$v=19$m=256,t=1,p=0" + argonTail, "argon2id p"},
		{"much work", "$argon2id$v=19$m=262144,t=5,p=1" + argonTail, "m times t"},
		{"padded argon2", "$argon2id$v=19$m=256,t=2,p=1" + argonTail + "=", "hash: not the base64"},
		{"short argon2", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgL", "hash: not the base64 of 16 to 64"},
	}
	for _, test := range tests {
		h, err := ParseHash(test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, error %v, want %s", test.name, h, err, test.want)
		} else if strings.Contains(err.Error(), "Kqeet") || strings.Contains(err.Error(), "BGndi") || strings.Contains(err.Error(), "nf65") {
			t.Errorf("%s: error %q shows the hash", test.name, err)
		}
	}
}

// TestHashOfMosquitto21 has salt and sum of 64 bytes, as mosquitto 2.1 makes them for every scheme.
func TestHashOfMosquitto21(t *testing.T) {
	long := strings.Repeat("salt", 16)
	for _, c := range []cost{{scheme: SHA512}, {scheme: PBKDF2, iterations: 1000}, {scheme: Argon2id, iterations: 1, memoryKiB: argon2MemoryKiB, lanes: 1}} {
		h := Hash{cost: c, salt: long}
		sum, err := h.derive([]byte("pw"), sumBytesMax)
		if err != nil {
			t.Fatal(err)
		}
		h.sum = string(sum)
		if again := parsed(t, string(h.Append(nil))); again != h || !again.Matches([]byte("pw")) {
			t.Errorf("%v: another one after writing and reading", h)
		}
	}
}

func BenchmarkMatches(b *testing.B) {
	for _, scheme := range []Scheme{SHA512, PBKDF2, Argon2id} {
		h, err := NewHash(scheme, 0, []byte("secret"))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(h.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Matches([]byte("wrong"))
			}
		})
	}
}

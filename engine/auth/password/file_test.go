package password

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/textfile/textfiletest"
)

func fileOf(t testing.TB, text string) *File {
	t.Helper()
	f, err := Read("users", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestReadTakesLinesAsMosquittoDoes: what mosquitto 2.0.11 made of the same lines was tried with it.
func TestReadTakesLinesAsMosquittoDoes(t *testing.T) {
	const hash = tutorialHash
	for _, test := range []struct{ name, line, user, warning string }{
		{"plain line", "a:" + hash, "a", ""},
		{"carriage return", "a:" + hash + "\r", "a", ""},
		{"blanks", " \ta b :\t" + hash + " ", "a b", ""},
		{"further field", "a:" + hash + ":more", "a", ""},
		{"two colons", "a::" + hash, "a", ""},
		{"not ascii", "dörte ✓:" + hash, "dörte ✓", ""},
		{"wildcards", "+/#:" + hash, "+/#", ""},
		{"hash sign after a blank", " #a:" + hash, "#a", ""},
		{"comment", "#a:" + hash, "", ""},
		{"empty", "", "", ""},
		{"blank", " \t\r", "", ""},
		{"no colon", hash, "", "users:2: no colon after a user name: line ignored"},
		{"no user", ":" + hash, "", "users:2: no user name before the colon: line ignored"},
		{"no password", "a:", "", `users:2: user "a" has no password: line ignored`},
		{"blank password", "a: \r", "", `users:2: user "a" has no password: line ignored`},
		{"blank password before a field", "a: :" + hash, "", `users:2: user "a" has no password: line ignored`},
		{"long user", strings.Repeat("a", UserNameBytesMax+1) + ":" + hash, "", "users:2: user name longer than 1024 bytes: line ignored"},
	} {
		f := fileOf(t, "# head\n"+test.line+"\nlast:"+hash)
		if h, known := f.lookup("last"); !known || string(h.Append(nil)) != hash {
			t.Errorf("%s: the user on the line after it: %v %v", test.name, known, h)
		}
		want := 1
		if test.user != "" {
			want = 2
			if h, known := f.lookup(test.user); !known || string(h.Append(nil)) != hash {
				t.Errorf("%s: user %q: %v %v", test.name, test.user, known, h)
			}
		}
		if f.Len() != want {
			t.Errorf("%s: %d users, want %d", test.name, f.Len(), want)
		}
		if got := strings.Join(f.Warnings(), "|"); got != test.warning {
			t.Errorf("%s: warning %q, want %q", test.name, got, test.warning)
		}
	}
}

func TestReadDropsAByteOrderMark(t *testing.T) {
	if _, known := fileOf(t, "\ufeffa:"+tutorialHash).lookup("a"); !known {
		t.Error("the first user is not there")
	}
}

// TestLastLineOfAUserCounts: as for mosquitto 2.0.
func TestLastLineOfAUserCounts(t *testing.T) {
	first, last := quick(t, "first"), quick(t, "last")
	f := fileOf(t, string(first.Append([]byte("a:")))+"\n\n"+string(last.Append([]byte("a:"))))
	if h, _ := f.lookup("a"); h != last || f.Len() != 1 {
		t.Errorf("%d users, %v", f.Len(), h)
	}
	want := []string{`users:3: user "a" is on line 1, too: this line counts here and in mosquitto 2.0, the first in 2.1`}
	if !slices.Equal(f.Warnings(), want) {
		t.Errorf("warnings %q", f.Warnings())
	}
}

func TestReadNamesFileAndLineOfAnError(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"plain text", "a:secret", `etc/users:3: user "a": password in plain text: run gannet passwd -U etc/users`},
		{"plain text with colons", "a:secret:secret", `etc/users:3: user "a": password in plain text: run gannet passwd -U etc/users`},
		{"bcrypt", "a:$2y$10$secret", `etc/users:3: user "a": hash of an unknown kind: only $6$, $7$ and $argon2id$ can be read: make a new one with gannet passwd`},
		{"bad salt", "a:$6$secret$secret", `etc/users:3: user "a": salt: not the base64 of 8 to 64 bytes: make a new one with gannet passwd`},
		{"long line", "a:" + strings.Repeat("secret", LineBytesMax/6+1), "etc/users:3: line longer than 8192 bytes"},
	} {
		_, err := Read("etc/users", strings.NewReader("# head\nb:"+tutorialHash+"\n"+test.line+"\n"))
		if err == nil || err.Error() != test.want {
			t.Errorf("%s: error %v\nwant %s", test.name, err, test.want)
		}
	}
}

func TestReadKeepsItsBoundAndPassesOnReadErrors(t *testing.T) {
	textfiletest.Bounds(t, "a:"+tutorialHash+"\n", "users: password file larger than", func(r io.Reader, bytesMax int64) error {
		f, err := read("users", r, bytesMax)
		if err == nil && f.Len() != 1 {
			t.Errorf("%d users", f.Len())
		}
		return err
	})
}

func TestLoadWarnsOfAFileThatEverybodyMayRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: error %v", err)
	}
	if err := os.WriteFile(path, []byte("a:"+tutorialHash), 0o600); err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[fs.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		f, err := Load(path)
		if err != nil || f.Len() != 1 || len(f.Warnings()) != want {
			t.Errorf("mode %o: error %v, warnings %q", mode, err, f.Warnings())
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	f := fileOf(t, strings.Repeat("x\n", WarningsMax+5))
	if n := len(f.Warnings()); n != WarningsMax+1 || f.Warnings()[n-1] != "users: and 5 warnings more" {
		t.Errorf("%d warnings, %q", n, f.Warnings()[n-1])
	}
}

func TestFileShowsNoSecret(t *testing.T) {
	f := fileOf(t, "alice:"+tutorialHash)
	for _, format := range []string{"%v", "%+v", "%s"} {
		if shown := fmt.Sprintf(format, f); shown != "password file, 1 users" {
			t.Errorf("%s shows %s", format, shown)
		}
	}
}

// TestUnknownUsersTakeAsLongAsMost: what is hashed for them has the cost of most lines, and its password is not known.
func TestUnknownUsersTakeAsLongAsMost(t *testing.T) {
	const often = "$7$101$BGndiACUuVhHRClN$Kqeet24FMzN1une6fPYOmHge87nKZGo3i1N8O1q2xjW0GAvovxJiKjorN2bPQ3fUf6HisxhAnfDN+fJDx8WMCQ=="
	const costly = "$7$102$BGndiACUuVhHRClN$Kqeet24FMzN1une6fPYOmHge87nKZGo3i1N8O1q2xjW0GAvovxJiKjorN2bPQ3fUf6HisxhAnfDN+fJDx8WMCQ=="
	for _, test := range []struct {
		name, text string
		want       cost
	}{
		{"empty file", "", cost{scheme: PBKDF2, iterations: IterationsDefault}},
		{"most", "a:" + often + "\nb:" + often + "\nc:" + costly, cost{scheme: PBKDF2, iterations: 101}},
		{"tie", "a:" + often + "\nc:" + costly + "\nd:" + tutorialHash, cost{scheme: PBKDF2, iterations: 102}},
	} {
		for range 10 { // whatever the order of the map
			h, known := fileOf(t, test.text).lookup("nobody")
			if known || h.cost != test.want || len(h.salt) != 12 || len(h.sum) != 64 {
				t.Fatalf("%s: known %v, %v", test.name, known, h)
			}
		}
	}
	if h, known := new(File).lookup("nobody"); known || h.iterations != IterationsDefault {
		t.Errorf("zero file: known %v, %v", known, h)
	}
}

// FuzzRead: no panic, errors name the file, every user that is accepted can be written and read again, and what the edits make of a
// file that can be read can be read, too.
func FuzzRead(f *testing.F) {
	f.Add([]byte("# comment\n\nuser:"+tutorialHash+"\r\n"), "user")
	f.Add([]byte("a::"+tutorialHash+":x\n :\na:\nno colon"), "b")
	f.Add([]byte("\ufeffa:$7$101$BGndiACUuVhHRClN$Kqeet24FMzN1une6fPYOmHge87nKZGo3i1N8O1q2xjW0GAvovxJiKjorN2bPQ3fUf6HisxhAnfDN+fJDx8WMCQ=="), "a")
	f.Add([]byte("a:$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"), "a b")
	f.Add([]byte("a:plain\nb:$x$y"), "é")
	f.Fuzz(func(t *testing.T, text []byte, user string) {
		if len(text) > 64<<10 {
			return // nothing new, but slow
		}
		file, err := Read("users", bytes.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "users:") {
				t.Fatalf("error %q does not name the file", err)
			}
			checkUpgrade(t, text)
			return
		}
		if len(file.Warnings()) > WarningsMax+1 {
			t.Fatalf("%d warnings", len(file.Warnings()))
		}
		var again []byte
		for user, h := range file.users {
			again = append(h.Append(append(append(again, user...), ':')), '\n')
		}
		if f := fileOf(t, string(again)); len(again) > 0 && again[0] != '#' && !bytes.Contains(again, []byte("\n#")) && f.Len() != file.Len() {
			t.Fatalf("%d users, then %d", file.Len(), f.Len())
		}
		if CheckUserName(user) != nil {
			return
		}
		h := parsed(t, tutorialHash)
		set, found := Set(text, user, &h)
		after := fileOf(t, string(set))
		if _, known := file.users[user]; known != found || after.users[user] != h {
			t.Fatalf("set: known %v, found %v", known, found)
		}
		removed, found := Remove(set, user)
		if _, known := fileOf(t, string(removed)).users[user]; !found || known {
			t.Fatalf("removed: found %v, known %v", found, known)
		}
		checkUpgrade(t, text)
	})
}

// checkUpgrade: what could be upgraded needs no second time.
func checkUpgrade(t *testing.T, text []byte) {
	hash := func(password []byte) (Hash, error) { return NewHash(SHA512, 0, password) }
	once, _, err := Upgrade(text, hash)
	if err != nil {
		return
	}
	if twice, n, err := Upgrade(once, hash); err != nil || n != 0 || !bytes.Equal(once, twice) {
		t.Fatalf("second upgrade: %d, error %v", n, err)
	}
}

func BenchmarkRead(b *testing.B) {
	var text bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&text, "user%d:%s\n", i, tutorialHash)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read("users", bytes.NewReader(text.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/textfile/textfiletest"
)

// rfcVerifier is the credential of the example of RFC 7677.
const rfcVerifier = "SCRAM-SHA-256$4096:" + rfcSalt + "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

func TestNewCredentialMakesTheVerifierOfRFC7677(t *testing.T) {
	salt, _ := decodeBase64(rfcSalt, saltBytesMax)
	credential := credentialOf(t, "pencil", 4096, salt)
	if got := string(credential.Append(nil)); got != rfcVerifier {
		t.Fatalf("\n got %s\nwant %s", got, rfcVerifier)
	}
	parsed, err := ParseCredential(rfcVerifier)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(parsed.Append([]byte("user:"))); got != "user:"+rfcVerifier {
		t.Fatalf("parsed and appended: %s", got)
	}
}

func TestNewCredentialCopiesTheSalt(t *testing.T) {
	salt := []byte("salt of a test")
	credential := credentialOf(t, "pencil", IterationsMin, salt)
	before := string(credential.Append(nil))
	clear(salt)
	if string(credential.Append(nil)) != before {
		t.Fatal("the credential changed with its caller's salt")
	}
}

func TestNewCredentialRefusesWhatIsOutOfBounds(t *testing.T) {
	tests := []struct {
		name, password string
		iterations     int
		salt           []byte
	}{
		{"few iterations", "x", IterationsMin - 1, nil},
		{"many iterations", "x", IterationsMax + 1, nil},
		{"negative iterations", "x", -1, nil},
		{"empty salt", "x", IterationsMin, []byte{}},
		{"short salt", "x", IterationsMin, make([]byte, saltBytesMin-1)},
		{"long salt", "x", IterationsMin, make([]byte, saltBytesMax+1)},
		{"empty password", "", IterationsMin, nil},
		{"invisible password", "\u00ad", IterationsMin, nil},
		{"password with a control", "a\nb", IterationsMin, nil},
		{"password not utf-8", "\xff", IterationsMin, nil},
	}
	for _, test := range tests {
		if _, err := NewCredential(test.password, test.iterations, test.salt); err == nil {
			t.Errorf("%s: accepted", test.name)
		}
	}
}

func TestCredentialPrintsNoSecret(t *testing.T) {
	credential, err := ParseCredential(rfcVerifier)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%s"} {
		for _, value := range []any{credential, &credential} {
			if got := fmt.Sprintf(format, value); got != "SCRAM-SHA-256, 4096 iterations" {
				t.Errorf("%s of %T: %s", format, value, got)
			}
		}
	}
}

func TestReadUsersAcceptsTheWholeForm(t *testing.T) {
	file := strings.Join([]string{
		"# users of the example",
		"",
		"user:" + rfcVerifier,
		"   \t",
		" \tpadded:" + rfcVerifier + " \r",
		"with:colon:" + rfcVerifier,
		"tricky:SCRAM-SHA-256$4096:" + rfcVerifier,
		"I\u00adX:" + rfcVerifier,
		"inner # and space:" + rfcVerifier,
		"last:" + rfcVerifier, // no line break at the end
	}, "\n")
	users, err := ReadUsers("users", strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"user", "padded", "with:colon", "tricky:SCRAM-SHA-256$4096", "IX", "inner # and space", "last"}
	for _, name := range names {
		credential, known := users.lookup(name)
		if !known || string(credential.Append(nil)) != rfcVerifier {
			t.Errorf("user %q: known %v, %s", name, known, credential)
		}
	}
	if users.Len() != len(names) {
		t.Errorf("%d users, want %d", users.Len(), len(names))
	}
}

func TestReadUsersNamesFileAndLineOfAnError(t *testing.T) {
	const keys = "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
	const head = "SCRAM-SHA-256$4096:" + rfcSalt
	tests := []struct{ name, line, want string }{
		{"no verifier", "alice", "user: no :SCRAM-SHA-256$ after"},
		{"plain password", "alice:secret", "user: no :SCRAM-SHA-256$ after"},
		{"other method", "alice:SCRAM-SHA-1$4096:AAAA$B:C", "user: no :SCRAM-SHA-256$ after"},
		{"no name", ":" + rfcVerifier, "user name: empty"},
		{"invisible name", "\u00ad:" + rfcVerifier, "user name: empty"},
		{"name with a control", "a\x01b:" + rfcVerifier, "user name: character prohibited"},
		{"name not utf-8", "a\xff:" + rfcVerifier, "user name: not valid utf-8"},
		{"name with a hash after preparation", "\uff03a:" + rfcVerifier, "user name: begins with #"},
		{"space after the name", "alice :" + rfcVerifier, "user name: space"},
		{"long name", strings.Repeat("a", UserNameBytesMax+1) + ":" + rfcVerifier, "user name: longer than 1024"},
		{"no keys", "alice:" + head, `user "alice": credential: no $ before`},
		{"no salt", "alice:SCRAM-SHA-256$4096" + keys, `user "alice": credential: no colon between iterations`},
		{"one key", "alice:" + head + "$AAAA", `user "alice": credential: no colon between StoredKey`},
		{"few iterations", "alice:SCRAM-SHA-256$4095:" + rfcSalt + keys, `user "alice": iterations: 4095, fewer than 4096`},
		{"many iterations", "alice:SCRAM-SHA-256$1000001:" + rfcSalt + keys, `user "alice": iterations: more than 1000000`},
		{"enormous iterations", "alice:SCRAM-SHA-256$99999999999999999999:" + rfcSalt + keys, `user "alice": iterations: more than 1000000`},
		{"iterations in words", "alice:SCRAM-SHA-256$many:" + rfcSalt + keys, `user "alice": iterations: not a decimal`},
		{"iterations with a tail", "alice:SCRAM-SHA-256$4096x:" + rfcSalt + keys, `user "alice": iterations: not a decimal`},
		{"iterations with a zero before", "alice:SCRAM-SHA-256$04096:" + rfcSalt + keys, `user "alice": iterations: not a decimal`},
		{"short salt", "alice:SCRAM-SHA-256$4096:AAAA" + keys, `user "alice": salt: 3 bytes`},
		{"salt not base64", "alice:SCRAM-SHA-256$4096:****" + keys, `user "alice": salt: not the base64`},
		{"carriage return in the salt", "alice:SCRAM-SHA-256$4096:W22Z\r" + rfcSalt[4:] + keys, `user "alice": salt: not the base64`},
		{"long salt", "alice:SCRAM-SHA-256$4096:" + strings.Repeat("A", 176) + keys, `user "alice": salt: not the base64`},
		{"salt a byte too long", "alice:SCRAM-SHA-256$4096:" + strings.Repeat("A", 172) + keys, `user "alice": salt: not the base64`},
		{"short StoredKey", "alice:" + head + "$AAAA:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", `user "alice": credential: StoredKey`},
		{"short ServerKey", "alice:" + head + "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:AAAA", `user "alice": credential: ServerKey`},
		{"something after the keys", "alice:" + rfcVerifier + ":x", `user "alice": credential: ServerKey`},
		{"same user again", "bob:" + rfcVerifier, `user "bob": already on line 2`},
		{"same user in another form", "bo\u00adb:" + rfcVerifier, `user "bob": already on line 2`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := "# comment\nbob:" + rfcVerifier + "\n\n" + test.line + "\n"
			users, err := ReadUsers("etc/users", strings.NewReader(file))
			if err == nil {
				t.Fatalf("accepted, %d users", users.Len())
			}
			if !strings.HasPrefix(err.Error(), "etc/users:4: "+test.want) {
				t.Errorf("error %q, want etc/users:4: %s", err, test.want)
			}
			if strings.Contains(err.Error(), "WG5d8oPm3") || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %q shows a credential", err)
			}
		})
	}
}

func TestReadUsersKeepsItsBoundAndPassesOnReadErrors(t *testing.T) {
	textfiletest.Bounds(t, "user:"+rfcVerifier+"\n# comment\n", "users: users file larger than ", func(r io.Reader, bytesMax int64) error {
		users, err := readUsers("users", r, bytesMax)
		if err == nil && users.Len() != 1 {
			t.Errorf("%d users", users.Len())
		}
		return err
	})
}

func TestLoadUsersReadsWhatUserLineWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users")
	if _, err := LoadUsers(path); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no file: error %v", err)
	}
	var file bytes.Buffer
	for _, user := range []string{"alice", "b:o,b=", "\u2168"} {
		line, err := UserLine(user, "password of "+user, IterationsMin)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&file, line)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	users, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	method := NewScram(users, ScramConfig{})
	for user, identity := range map[string]string{"alice": "alice", "b:o,b=": "b:o,b=", "\u2168": "IX"} {
		got, code := login(t, method, &ScramClient{UserName: user, Password: "password of " + user})
		if got != identity || code != codec.Success {
			t.Errorf("%s: identity %q, code %#x", user, got, byte(code))
		}
	}
}

func TestUserLineRefusesNamesThatAFileCannotHold(t *testing.T) {
	for _, user := range []string{"", "#alice", " alice", "alice ", "\u00a0alice", "a\nb", "\xff", strings.Repeat("a", UserNameBytesMax+1)} {
		if line, err := UserLine(user, "x", IterationsMin); err == nil {
			t.Errorf("%q: %s", user, line)
		}
	}
	if _, err := UserLine("alice", "", IterationsMin); err == nil {
		t.Error("empty password accepted")
	}
}

func TestCommonShapeIsThatOfMostUsers(t *testing.T) {
	if shape := new(Users).commonShape(); shape != (credentialShape{IterationsDefault, saltBytesDefault}) {
		t.Errorf("no users: %v", shape)
	}
	few, many := credentialShape{5000, 16}, credentialShape{6000, 12}
	if got := mostCommon(map[credentialShape]int{few: 3, many: 2}); got != few {
		t.Errorf("most common: %v", got)
	}
	for range 20 { // whatever the order of the map
		if got := mostCommon(map[credentialShape]int{few: 2, many: 2, {6000, 11}: 2}); got != many {
			t.Fatalf("tie: %v", got)
		}
	}
}

// FuzzReadUsers: no panic, and every user that is accepted can be written and read again.
func FuzzReadUsers(f *testing.F) {
	f.Add([]byte("# comment\n\nuser:" + rfcVerifier + "\r\n"))
	f.Add([]byte("a:b:" + rfcVerifier + "\n\u2168:" + rfcVerifier))
	f.Add([]byte("user:SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"))
	f.Fuzz(func(t *testing.T, file []byte) {
		users, err := ReadUsers("users", bytes.NewReader(file))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "users:") {
				t.Fatalf("error %q does not name the file", err)
			}
			return
		}
		again := usersOf(t, users.credentials)
		if again.Len() != users.Len() || again.commonShape() != users.commonShape() {
			t.Fatalf("%d users of shape %v, then %d of %v", users.Len(), users.commonShape(), again.Len(), again.commonShape())
		}
		for name, credential := range users.credentials {
			same, known := again.lookup(name)
			if !known || !bytes.Equal(same.Append(nil), credential.Append(nil)) {
				t.Fatalf("user %q is another one after writing and reading", name)
			}
		}
	})
}

func BenchmarkReadUsers(b *testing.B) {
	var file bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&file, "user%d:%s\n", i, rfcVerifier)
	}
	b.SetBytes(int64(file.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadUsers("users", bytes.NewReader(file.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/password"
)

// newPath is a path in a new folder, where a password file may come.
func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "auth.txt") }

// passwords returns user and hash of each line.
func passwords(t *testing.T, text string) map[string]password.Hash {
	t.Helper()
	users := map[string]password.Hash{}
	for line := range strings.Lines(text) {
		user, hash, _ := strings.Cut(strings.TrimSpace(line), ":")
		h, err := password.ParseHash(hash)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		users[user] = h
	}
	return users
}

func expectPasswords(t *testing.T, text string, want map[string]string) {
	t.Helper()
	got := passwords(t, text)
	for user, word := range want {
		if h, ok := got[user]; !ok || !h.Matches([]byte(word)) {
			t.Errorf("%s cannot log in with %s", user, word)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d users, want %d", len(got), len(want))
	}
}

func expectRun(t *testing.T, got result, want result) {
	t.Helper()
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestPasswdAsInTheTutorial: a user made and asked for twice, another added, the first one changed, one taken out.
func TestPasswdAsInTheTutorial(t *testing.T) {
	path := newPath(t)
	const prompts = "Password: \nReenter password: \n"
	expectRun(t, run(t, "password123\npassword123\n", "passwd", "-c", path, "rajan"), result{0, "Adding password for user rajan\n", prompts})
	expectRun(t, run(t, "two\r\ntwo", "passwd", path, "b ö"), result{0, "Adding password for user b ö\n", prompts})
	expectPasswords(t, read(t, path), map[string]string{"rajan": "password123", "b ö": "two"})
	expectRun(t, run(t, "", "passwd", "-b", path, "rajan", "new: one "), result{0, "Updating password for user rajan\n", ""})
	expectPasswords(t, read(t, path), map[string]string{"rajan": "new: one ", "b ö": "two"})
	expectRun(t, run(t, "", "passwd", "-D", path, "rajan"), result{})
	expectPasswords(t, read(t, path), map[string]string{"b ö": "two"})
	expectRun(t, run(t, "", "passwd", "-D", path, "rajan"), result{1, "", "Error: User rajan not found in password file.\n"})
	expectRun(t, run(t, "", "passwd", "-cb", path, "last", "pw"), result{0, "Adding password for user last\n", ""})
	expectPasswords(t, read(t, path), map[string]string{"last": "pw"})
}

func TestPasswdMakesTheHashAskedFor(t *testing.T) {
	path := newPath(t)
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"-cb"}, "sha512-pbkdf2, 15000 iterations"},
		{[]string{"-b", "-I", "101"}, "sha512-pbkdf2, 101 iterations"},
		{[]string{"-bI101", "-H", "sha512-pbkdf2"}, "sha512-pbkdf2, 101 iterations"},
		{[]string{"-H", "sha512", "-b"}, "sha512"},
		{[]string{"-bHargon2id"}, "argon2id, 47104 KiB, 1 passes, 1 lanes"},
	} {
		if got := run(t, "", args("passwd", test.args, path, "u", "pw")...); got.status != 0 {
			t.Fatalf("%v: %+v", test.args, got)
		}
		h := passwords(t, read(t, path))["u"]
		if h.String() != test.want || !h.Matches([]byte("pw")) {
			t.Errorf("%v: %v", test.args, h)
		}
	}
}

func TestPasswdWritesToTheStandardOutput(t *testing.T) {
	got := run(t, "pw\npw\n", "passwd", "-c", "-I", "101", "-", "u")
	expectPasswords(t, got.stdout, map[string]string{"u": "pw"})
	if got.status != 0 || got.stderr != "Password: \nReenter password: \n" {
		t.Errorf("%+v", got)
	}
}

// TestPasswdUpgradesPlainTextOnce: as in the tutorial, with comments, and a second time.
func TestPasswdUpgradesPlainTextOnce(t *testing.T) {
	path := newPath(t)
	write(t, path, "# users\n\nrajan:password123\r\nb: x:y \n")
	expectRun(t, run(t, "", "passwd", "-I", "101", "-U", path), result{0, "2 passwords hashed\n", ""})
	after := read(t, path)
	expectPasswords(t, strings.TrimPrefix(after, "# users\n\n"), map[string]string{"rajan": "password123", "b": "x:y"})
	expectRun(t, run(t, "", "passwd", "-U", path), result{0, "0 passwords hashed\n", ""})
	if read(t, path) != after {
		t.Error("the second time changed the file")
	}
	write(t, path, "a:b\nno colon\n")
	expectRun(t, run(t, "", "passwd", "-U", path), result{1, "", "Error: " + path + ":2: no colon after a user name\n"})
	if got := read(t, path); got != "a:b\nno colon\n" {
		t.Errorf("changed after an error: %q", got)
	}
}

func TestPasswdRefusesAndChangesNothing(t *testing.T) {
	const before = "a:secret\n"
	path := newPath(t)
	missing := path + ".missing"
	for _, test := range []struct {
		name, stdin string
		args        []string
		status      int
		want        string
	}{
		{"differing", "x\ny\n", []string{path, "u"}, 2, "Error: Passwords do not match.\n"},
		{"only once", "x\n", []string{path, "u"}, 2, "Error: Passwords do not match.\n"},
		{"differing, new file", "x\ny\n", []string{"-c", path, "u"}, 2, "Error: Passwords do not match.\n"},
		{"empty", "\n\n", []string{path, "u"}, 1, "Error: Empty password.\n"},
		{"nothing to read", "", []string{path, "u"}, 1, "Error: Empty password.\n"},
		{"empty on the command line", "", []string{"-b", path, "u", ""}, 1, "Error: Empty password.\n"},
		{"long", "", []string{"-b", path, "u", strings.Repeat("x", password.PasswordBytesMax+1)}, 1, "Error: password longer than 4096 bytes\n"},
		{"no file", "x\nx\n", []string{missing, "u"}, 1, "Error: Unable to open password file " + missing + ". no such file or directory: -c makes a new one\n"},
		{"no file to delete from", "", []string{"-D", missing, "u"}, 1, "Error: Unable to open password file " + missing},
		{"no file to upgrade", "", []string{"-U", missing}, 1, "Error: Unable to open password file " + missing},
		{"folder", "", []string{"-U", filepath.Dir(path)}, 1, "Error: Unable to open password file " + filepath.Dir(path)},
		{"folder to make", "", []string{"-cb", filepath.Dir(path), "u", "x"}, 1, "Error: " + filepath.Dir(path) + ": not a regular file\n"},
		{"colon", "", []string{"-b", path, "a:b", "x"}, 1, "Error: user name: contains a colon\n"},
		{"control", "", []string{"-b", path, "a\tb", "x"}, 1, "Error: user name: contains a control"},
		{"no name", "", []string{"-b", path, "", "x"}, 1, "Error: user name: empty\n"},
		{"long name", "", []string{"-b", path, strings.Repeat("u", password.UserNameBytesMax+1), "x"}, 1, "Error: user name: longer than 1024 bytes\n"},
		{"unknown kind of hash", "", []string{"-H", "md5", path, "u"}, 1, "Error: Unknown hash type 'md5'"},
		{"hash missing", "", []string{"-H"}, 1, "Error: -H argument given but not enough other arguments.\n"},
		{"iterations missing", "", []string{"-cI"}, 1, "Error: -I argument given but not enough other arguments.\n"},
		{"no iterations", "", []string{"-I", "0", path, "u"}, 1, "Error: number of iterations: not from 1 to 1000000\n"},
		{"many iterations", "", []string{"-I", "1000001", path, "u"}, 1, "Error: number of iterations: not from 1 to 1000000\n"},
		{"iterations in words", "", []string{"-I", "many", path, "u"}, 1, "Error: number of iterations: not from 1 to 1000000\n"},
		{"-c -D", "", []string{"-cD", path, "u"}, 1, "Error: -c and -D cannot be used together.\n"},
		{"-c -U", "", []string{"-c", "-U", path}, 1, "Error: -c and -U cannot be used together.\n"},
		{"-D -U", "", []string{"-DU", path}, 1, "Error: -D and -U cannot be used together.\n"},
		{"-b -D", "", []string{"-bD", path, "u"}, 1, "Error: -b and -D cannot be used together.\n"},
		{"-b -U", "", []string{"-bU", path}, 1, "Error: -b and -U cannot be used together.\n"},
		{"--scram -U", "", []string{"--scram", "-U", path}, 1, "Error: --scram and -U cannot be used together.\n"},
		{"--scram -H", "", []string{"--scram", "-Hsha512", path, "u"}, 1, "Error: --scram and -H cannot be used together.\n"},
		{"unknown", "", []string{"-x", path, "u"}, 1, "Error: unknown option '-x'\n"},
		{"unknown word", "", []string{"--create", path, "u"}, 1, "Error: unknown option '--create'\n"},
		{"nothing", "", nil, 1, "Error: 0 arguments: write gannet passwd FILE USER\n"},
		{"no user", "", []string{path}, 1, "Error: 1 argument: write gannet passwd FILE USER\n"},
		{"password without -b", "", []string{"-c", path, "u", "pw"}, 1, "Error: 3 arguments: write gannet passwd FILE USER\n"},
		{"no password", "", []string{"-b", path, "u"}, 1, "Error: 2 arguments: write gannet passwd -b FILE USER PASSWORD\n"},
		{"user of -U", "", []string{"-U", path, "u"}, 1, "Error: 2 arguments: write gannet passwd -U FILE\n"},
		{"standard output to change", "", []string{"-D", "-", "u"}, 1, "Error: name of the password file missing\n"},
		{"empty path", "", []string{"-cb", "", "u", "x"}, 1, "Error: name of the password file missing\n"},
	} {
		write(t, path, before)
		got := run(t, test.stdin, args("passwd", test.args)...)
		stderr := strings.TrimPrefix(strings.TrimPrefix(got.stderr, "Password: \n"), "Reenter password: \n")
		if got.status != test.status || got.stdout != "" || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%s: %+v\nwant %d %s", test.name, got, test.status, test.want)
		}
		if read(t, path) != before {
			t.Errorf("%s: the file changed", test.name)
		}
		if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
			t.Errorf("%s: left something behind: %v", test.name, entries)
		}
	}
}

func TestPasswdHelp(t *testing.T) {
	for _, list := range [][]string{{"passwd", "--help"}, {"passwd", "-h"}, {"help", "passwd"}} {
		expectRun(t, run(t, "", list...), result{0, passwdHelp, ""})
	}
}

func TestPasswdKeepsModeAndLink(t *testing.T) {
	path := newPath(t)
	mode := func() os.FileMode {
		t.Helper()
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode()
	}
	run(t, "", "passwd", "-cb", path, "u", "pw")
	if mode() != 0o600 {
		t.Errorf("new file: %v", mode())
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, flags := range []string{"-b", "-cb"} {
		before := read(t, path)
		run(t, "", "passwd", flags, link, "u", "other")
		if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s: the link is gone: %v", flags, err)
		}
		if mode() != 0o640 || read(t, path) == before {
			t.Errorf("%s: %v, changed %v", flags, mode(), read(t, path) != before)
		}
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}

// TestInterruptedPasswdEndsAtOnce: though nobody types anything.
func TestInterruptedPasswdEndsAtOnce(t *testing.T) {
	path := newPath(t)
	write(t, path, "")
	ctx, interrupt := context.WithCancel(t.Context())
	silent, quiet := io.Pipe()
	defer quiet.Close()
	var stdout bytes.Buffer
	p := process{stdin: silent, stdout: &stdout, stderr: writerFunc(func(text []byte) (int, error) {
		if string(text) == "Password: " {
			interrupt()
		}
		return len(text), nil
	})}
	if status := p.run(ctx, []string{"passwd", path, "u"}); status != statusInterrupted {
		t.Errorf("status %d", status)
	}
	if read(t, path) != "" {
		t.Error("the file changed")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestPasswdMakesScramUsers: with them the broker lets clients in by SCRAM.
func TestPasswdMakesScramUsers(t *testing.T) {
	path := newPath(t)
	expectRun(t, run(t, "pw-1\npw-1\n", "passwd", "--scram", "-c", "-I", "4096", path, "rajan"),
		result{0, "Adding password for user rajan\n", "Password: \nReenter password: \n"})
	write(t, path, "# kept\n"+read(t, path))
	expectRun(t, run(t, "", "passwd", "--scram", "-b", path, "co:lon", "pw-2"), result{0, "Adding password for user co:lon\n", ""})
	expectRun(t, run(t, "", "passwd", "--scram", "-bI", "4096", path, "ra\u00adjan", "pw-3"), result{0, "Updating password for user ra\u00adjan\n", ""})
	expectRun(t, run(t, "", "passwd", "--scram", "-D", path, "co:lon"), result{})
	expectRun(t, run(t, "", "passwd", "--scram", "-D", path, "co"), result{1, "", "Error: User co not found in password file.\n"})
	text := read(t, path)
	if !strings.HasPrefix(text, "# kept\nrajan:SCRAM-SHA-256$4096:") || strings.Count(text, "\n") != 2 {
		t.Errorf("%s", text)
	}
	if users, err := auth.LoadUsers(path); err != nil || users.Len() != 1 {
		t.Fatalf("error %v", err)
	}
	at := startBroker(t, "--scram-users", path)
	if got := run(t, "", args("pub", at, "-V", "5", "--scram", "-u", "rajan", "-P", "pw-3", "-t", "x", "-m", "y")...); got.status != 0 {
		t.Errorf("%+v", got)
	}
	if got := run(t, "", args("pub", at, "-V", "5", "--scram", "-u", "rajan", "-P", "pw-1", "-t", "x", "-m", "y")...); got.status == 0 {
		t.Error("the old password is good")
	}
}

func TestPasswdRefusesWhatIsNoUsersFile(t *testing.T) {
	path := newPath(t)
	for _, test := range []struct{ before, user, iterations, want string }{
		{"rajan:plain\n", "u", "4096", "Error: " + path + ":1: user: no :SCRAM-SHA-256$ after the user name\n"},
		{"", "#u", "4096", "Error: user name: begins with #\n"},
		{"", "u", "4095", "Error: iterations: 4095, fewer than 4096\n"},
	} {
		write(t, path, test.before)
		got := run(t, "", "passwd", "--scram", "-bI", test.iterations, path, test.user, "pw")
		expectRun(t, got, result{1, "", test.want})
		if read(t, path) != test.before {
			t.Errorf("%s: the file changed", test.want)
		}
	}
}

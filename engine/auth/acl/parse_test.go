package acl

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/gannetmq/gannet/engine/session"
)

func TestParseTakesTheWholeGrammar(t *testing.T) {
	l := parse(t, strings.Join([]string{
		"# comment",
		"#no space",
		"",
		"   \t",
		"topic both\r",
		"  topic   read    a b  ",
		"topic read",          // a topic of this name
		"topic deny \t ",      // the same
		"topic write \tc\td ", // tabs are part of it, but not at its ends
		"user  a user\t",
	}, "\n")+"\ntopic write x\nuser b\ntopic read x\nuser a user\ntopic read y\npattern z\npattern read last")
	if l.Len() != 10 {
		t.Errorf("%d rules", l.Len())
	}
	for _, test := range []struct{ user, topic, want string }{
		{"", "both", "rw"}, {"", "a b", "r"}, {"", "read", "rw"}, {"", "deny", "rw"}, {"", "c\td", "w"},
		{"a user", "x", "w"}, {"a user", "y", "r"}, {"b", "x", "r"}, {"b", "y", "-"}, {"", "x", "-"},
		{"", "z", "rw"}, {"a user", "z", "rw"}, {"someone", "last", "r"},
	} {
		if got := answers(l, session.Identity{ClientID: "c", UserName: test.user}, test.topic); got != test.want {
			t.Errorf("user %q topic %q: %s, want %s", test.user, test.topic, got, test.want)
		}
	}
}

func TestParseNamesFileAndLine(t *testing.T) {
	for _, test := range []struct{ name, line, want string }{
		{"unknown word", "topics read a", `"topics": want user, topic or pattern`},
		{"a tab for a space", "topic\tread a", `"topic\tread": want user`},
		{"a comment that is none", " # x", `"#": want user, topic or pattern, or a # at the very beginning`},
		{"capitals", "Topic a", `"Topic": want user`},
		{"no user", "user ", "user: no name after it"},
		{"no topic", "topic", "topic: no topic after it"},
		{"no pattern", "pattern  ", "pattern: no topic after it"},
		{"unknown access", "topic reed a", `"reed": want read, write, readwrite or deny`},
		{"a space without an access", "topic my topic", `"my": want read, write, readwrite or deny, also before a topic with a space`},
		{"bad topic", "topic read a/#/b", `topic "a/#/b": + and # fill`},
		{"bad pattern", "pattern write %u+", `topic "%u+": + and # fill`},
		{"deep topic", "topic " + strings.Repeat("/", LevelsMax), "topic: more than 200 levels"},
		{"long topic", "topic " + strings.Repeat("x", TopicBytesMax+1), "topic: longer than 65535"},
		{"long line", "topic " + strings.Repeat("x", LineBytesMax), "longer than 65599 bytes"},
		{"long user", "user " + strings.Repeat("x", TopicBytesMax+1) + "\ntopic a", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Parse("etc/acl", strings.NewReader("user a\ntopic x\n\n"+test.line+"\n"))
			want := "etc/acl:4: " + test.want
			if test.want == "" {
				want = "etc/acl:5: user name: longer than 65535"
			}
			if err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%.90v, want %s", err, want)
			}
		})
	}
}

func TestParsePassesOnAReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := Parse("acl", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// comments is a file of that many bytes.
type comments int

func (n *comments) Read(b []byte) (int, error) {
	line := "#" + strings.Repeat("-", 1022) + "\n"
	if *n <= 0 {
		return 0, errors.New("read beyond the bound")
	}
	k := copy(b, line)
	*n -= comments(k)
	return k, nil
}

func TestParseRefusesAFileAboveItsBound(t *testing.T) {
	n := comments(FileBytesMax + 2*LineBytesMax)
	if _, err := Parse("acl", &n); err == nil || err.Error() != "acl: larger than 64 MiB" {
		t.Errorf("error %v", err)
	}
}

func TestLoadNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acl")
	if _, err := Load(path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Load(t.TempDir()); err == nil {
		t.Error("a folder was read")
	}
	if err := os.WriteFile(path, []byte("topic read a\nnonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+":2: ") {
		t.Errorf("error %v", err)
	}
	if err := os.WriteFile(path, []byte("topic read a"), 0o600); err != nil {
		t.Fatal(err)
	}
	if l, err := Load(path); err != nil || l.Len() != 1 {
		t.Errorf("%v", err)
	}
}

package grant

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

var who = session.Identity{ClientID: "c1", UserName: "alice"}

// may lists what a client may do with a topic: p publish, s subscribe, r receive.
func may(a session.Authorizer, who session.Identity, topic string) (answer string) {
	if a.MayPublish(who, []byte(topic)) {
		answer += "p"
	}
	if a.MaySubscribe(who, []byte(topic)) {
		answer += "s"
	}
	if a.MayReceive(who, []byte(topic)) {
		answer += "r"
	}
	return answer
}

func parse(t *testing.T, text string) session.Authorizer {
	t.Helper()
	a, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return a
}

func TestGrants(t *testing.T) {
	for _, test := range []struct {
		text string
		want map[string]string
	}{
		{`{}`, map[string]string{"a": "", "#": ""}},
		{`[]`, map[string]string{"a": "", "#": ""}},
		{` {"pub":["a","b/+"], "sub":["s/#"], "all":["x"], "deny":["s/no","b/no"]} `, map[string]string{
			"a": "p", "b/1": "p", "b/no": "", "s": "sr", "s/1": "sr", "s/no": "", "x": "psr", "y": "", "s/#": "sr",
		}},
		{`{"all":["dev/%c/%u/x"]}`, map[string]string{"dev/c1/alice/x": "psr", "dev/c1/bob/x": "", "dev/%c/%u/x": ""}},
		{`{"all":["#"],"deny":["dev/%c"]}`, map[string]string{"dev/c1": "", "dev/c2": "psr"}},
		{`[{"permission":"allow","action":"publish","topic":"a/b"},{"permission":"allow","action":"subscribe","topics":["c","d/%u"]}]`,
			map[string]string{"a/b": "p", "c": "sr", "d/alice": "sr", "d/bob": ""}},
		{`[{"permission":"deny","action":"publish","topic":"chat/news"},{"permission":"allow","action":"all","topic":"chat/+"}]`,
			map[string]string{"chat/news": "sr", "chat/x": "psr"}},
		{`[{"permission":"allow","action":"pubsub","topic":"#"},{"permission":"deny","action":"sub","topic":"in/%c"}]`,
			map[string]string{"in/c1": "p", "in/c2": "psr"}},
		{`[{"permission":"allow","action":"pub","topic":"#"},{"permission":"deny","action":"all","topic":"x"}]`,
			map[string]string{"x": "", "y": "p"}},
	} {
		a := parse(t, test.text)
		for topic, want := range test.want {
			if got := may(a, who, topic); got != want {
				t.Errorf("%s: %s is %q, want %q", test.text, topic, got, want)
			}
		}
	}
}

func TestNamesNeverWidenAGrant(t *testing.T) {
	for _, text := range []string{
		`{"all":["dev/%c/#","u/%u/x"]}`,
		`[{"permission":"allow","action":"all","topics":["dev/%c/#","u/%u/x"]},{"permission":"deny","action":"publish","topic":"none"}]`,
	} {
		a := parse(t, text)
		for _, name := range []string{"+", "#", "+/+", "c1/#", "victim/sub", "a+", "/", ""} {
			who := session.Identity{ClientID: name, UserName: name}
			for _, topic := range []string{"dev/victim/1", "dev/victim", "dev/victim/sub/1", "u/victim/x", "dev/c1/1", "dev/+/1", "u/+/x"} {
				if got := may(a, who, topic); got != "" {
					t.Errorf("%q may %s %s", name, got, topic)
				}
			}
		}
	}
	a := parse(t, `{"all":["#"],"deny":["dev/%c/secret"]}`)
	for _, name := range []string{"+", "#", "x/y"} {
		if got := may(a, session.Identity{ClientID: name}, "dev/"+name+"/secret"); got != "" {
			t.Errorf("%q may %s what is denied to it", name, got)
		}
	}
}

func TestGrantsRefused(t *testing.T) {
	many, _ := json.Marshal(map[string][]string{"pub": make([]string, RulesMax+1)})
	for name, text := range map[string]string{
		"nothing":            ``,
		"null":               `null`,
		"string":             `"pub"`,
		"number":             `1`,
		"unknown member":     `{"publish":["a"]}`,
		"topic not a list":   `{"pub":"a"}`,
		"topic not a string": `{"pub":[1]}`,
		"bad filter":         `{"pub":["a#"]}`,
		"empty topic":        `{"pub":[""]}`,
		"bad deny":           `[{"permission":"deny","action":"publish","topic":"a/#/b"}]`,
		"two values":         `{} {}`,
		"cut":                `{"pub":["a"]`,
		"permission":         `[{"action":"publish","topic":"a"}]`,
		"action":             `[{"permission":"allow","topic":"a"}]`,
		"no topic":           `[{"permission":"allow","action":"publish"}]`,
		"both":               `[{"permission":"allow","action":"publish","topic":"a","topics":["b"]}]`,
		"restricted":         `[{"permission":"allow","action":"publish","topic":"a","qos":[0]}]`,
		"not a rule":         `[1]`,
		"too many":           string(many),
	} {
		if a, err := Parse([]byte(text)); err == nil || a != nil {
			t.Errorf("%s: %v, %v", name, a, err)
		}
	}
}

func TestSameGrantIsShared(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	r := NewReader()
	read := func(text string, now time.Time) session.Authorizer {
		a, err := r.Read([]byte(text), now)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := read(`{"pub":["%c"]}`, now)
	if read(`{"pub":["%c"]}`, now) != a || read(`{"pub":["%u"]}`, now) == a {
		t.Error("what is shared depends on something else than the text")
	}
	if read(`{"pub":["%c"]}`, now.Add(sharedFor)) == a {
		t.Error("shared for ever")
	}
	if _, err := r.Read([]byte(`{`), now); err == nil || r.shared.Len() != 2 {
		t.Error("an error is remembered")
	}
}

// FuzzParse: no panic, names never reach what belongs to others, and who has no rule may nothing.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`{"pub":["dev/%c/up"],"sub":["dev/%c/#"],"all":["chat/+"],"deny":["dev/%c/secret"]}`,
		`[{"permission":"deny","action":"publish","topic":"chat/news"},{"permission":"allow","action":"all","topics":["%u","x"]}]`,
		`[]`, `{"all":["#"]}`, `{"all":["+/%c%u/#"]}`,
	} {
		f.Add(text, "c", "u", "dev/c/up")
	}
	f.Fuzz(func(t *testing.T, text, id, user, topic string) {
		a, err := Parse([]byte(text))
		if err != nil {
			if a != nil {
				t.Fatal("an Authorizer with an error")
			}
			return
		}
		if !codec.ValidTopicName([]byte(topic)) {
			return
		}
		who := session.Identity{ClientID: id, UserName: user}
		if a.MayReceive(who, []byte(topic)) && !a.MaySubscribe(who, []byte(topic)) {
			t.Fatalf("%s: %q may receive %q, but not subscribe to it", text, who, topic)
		}
		if !strings.ContainsAny(id+user, "+#") || strings.Contains(text, `\u`) {
			return
		}
		for _, name := range []string{"%c", "%u"} { // a name that nobody has
			text = strings.ReplaceAll(text, name, "no-such-level")
		}
		if nobody, err := Parse([]byte(text)); err == nil {
			for _, right := range may(a, who, topic) {
				if !strings.ContainsRune(may(nobody, who, topic), right) {
					t.Fatalf("%q gets %c on %q by its name", who, right, topic)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(`{"pub":["dev/%c/up"],"sub":["dev/%c/#"],"all":["chat/+"],"deny":["dev/%c/secret"]}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleParse() {
	a, _ := Parse([]byte(`{"sub": ["dev/%c/#"]}`))
	fmt.Println(a.MayReceive(session.Identity{ClientID: "c1"}, []byte("dev/c1/x")), a.MayReceive(session.Identity{ClientID: "c1"}, []byte("dev/c2/x")))
	// Output: true false
}

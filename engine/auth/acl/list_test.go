package acl

import (
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/session"
)

func parse(t testing.TB, text string) *List {
	t.Helper()
	l, err := Parse("acl", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// answers writes r, w, rw or - for what a client may do with a topic.
func answers(l *List, who session.Identity, topic string) string {
	s := ""
	if l.MayReceive(who, []byte(topic)) {
		s = "r"
	}
	if l.MayPublish(who, []byte(topic)) {
		s += "w"
	}
	if s == "" {
		return "-"
	}
	return s
}

// What mosquitto 2.0.11 answered to the same questions about the same file.
func TestListJudgesAsMosquittoDoes(t *testing.T) {
	l := parse(t, `
topic read anon/#
topic readwrite both
user rajan
topic readwrite r/#
topic deny r/secret/#
topic read open space/x
topic deny p/blocked
topic read own/over
user slash/name
topic read literal/%u
pattern readwrite p/%u/#
pattern readwrite part-%c/x
pattern read pub/#
pattern deny own/#
pattern readwrite %u/top
pattern write $SYS/broker/connection/%c/state
user admin
topic readwrite #
topic readwrite $foo/#
`)
	expectAnswers(t, l, []expected{
		{"c", "", "anon/x", "r"},
		{"c", "", "anon", "r"}, // a/# is a, too
		{"c", "", "anon/", "r"},
		{"c", "rajan", "anon", "-"}, // for those without a name
		{"c", "rajan", "both", "-"},
		{"c", "", "both", "rw"},
		{"c", "rajan", "r/a", "rw"},
		{"c", "rajan", "r/secret/a", "-"},
		{"c", "rajan", "r/secret", "-"},
		{"c", "Rajan", "r/a", "-"},
		{"c", "rajan", "R/a", "-"},
		{"c", "rajan", "open space/x", "r"},
		{"c", "", "own/over", "-"},
		{"c", "rajan", "own/over", "r"}, // a user's allow goes before a pattern's deny
		{"c", "rajan", "p/blocked", "-"},
		{"c", "rajan", "p/rajan/x", "rw"},
		{"c", "", "p//x", "-"}, // no name, no pattern with %u
		{"part", "", "part-part/x", "rw"},
		{"part", "nobody", "part-part/x", "rw"},
		{"c", "slash/name", "literal/%u", "r"}, // no names in a topic line
		{"c", "admin", "$foo/x", "rw"},
		{"c", "admin", "$bar/top", "-"},
		{"c", "admin", "$SYS/x", "-"},
		{"c+", "rajan", "r/a", "rw"},
		{"c+", "rajan", "pub/a", "-"},
		{"c", "ra#jan", "pub/a", "-"},
		{"c", "", "$SYS/broker/connection/c/state", "w"},
		{"c", "", "$SYS/broker/connection/d/state", "-"},
		{"c", "", "", "-"},
	})
}

// expected is the answer, as answers has it, for a client and a topic.
type expected struct{ id, user, topic, want string }

func expectAnswers(t *testing.T, l *List, all []expected) {
	t.Helper()
	for _, test := range all {
		if got := answers(l, session.Identity{ClientID: test.id, UserName: test.user}, test.topic); got != test.want {
			t.Errorf("client %q user %q topic %q: %s, want %s", test.id, test.user, test.topic, got, test.want)
		}
	}
}

// Where mosquitto lets a name reach further than a level, and we do not; what takes away goes as far as there.
func TestNamesWidenNothing(t *testing.T) {
	l := parse(t, `
pattern readwrite p/%u/#
pattern readwrite part-%c/x
pattern readwrite %u/top
pattern readwrite all/#
pattern deny all/%u/no
pattern deny %c/no
topic read unused
user $foo
topic readwrite $foo/mine
topic readwrite $foo/no
`)
	expectAnswers(t, l, []expected{
		{"c", "slash/name", "p/slash/name/x", "-"},
		{"a/b", "rajan", "part-a/b/x", "-"},
		{"c", "$foo", "$foo/top", "-"},
		{"c", "$foo", "$foo/mine", "rw"},
		{"c", "$foo", "p/$foo/x", "rw"}, // a $ is special in front only
		{"c", "a/b", "all/a/b/no", "-"},
		{"c", "a/b", "all/a/b/yes", "rw"},
		{"c", "b", "all/a/b/no", "rw"},
		{"$foo", "", "$foo/no", "-"},
		{"c", "%c", "p/c/x", "-"}, // a name is not looked at for further names
		{"c", "%c", "p/%c/x", "rw"},
		{"c", "+", "p/+/x", "-"},
		{"#", "a", "p/a/x", "-"},
	})
}

func TestPatternsWithoutNamesAreForNamesWithWildcardsToo(t *testing.T) {
	l, err := Build([]Rule{{Pattern: true, Access: Read, Topic: "a/%"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := answers(l, session.Identity{ClientID: "a+b"}, "a/%"); got != "r" {
		t.Error(got)
	}
}

func TestListFromAFileGrantsEverySubscription(t *testing.T) {
	l := parse(t, "")
	if who := (session.Identity{ClientID: "c"}); !l.MaySubscribe(who, []byte("a/#")) || l.MayReceive(who, []byte("a/b")) || l.Strict().MaySubscribe(who, []byte("a/#")) {
		t.Error("a list of no rules")
	}
}

func TestStrictListRefusesWhatCannotBringAnything(t *testing.T) {
	l := parse(t, `
topic read a/b
topic read +/x/#
topic write w/#
topic deny d/#
topic read d/x/#
topic read e/#
topic deny e/f/+
topic read $SYS/broker/#
topic read $own/+/v
pattern read u/%u
pattern read c-%c/#
pattern deny c-dev/no/#
pattern read two/%c%u/z
user known
topic read mine/#
topic deny c-dev/+
`).Strict()
	anonymous, known := session.Identity{ClientID: "dev"}, session.Identity{ClientID: "dev", UserName: "known"}
	for _, test := range []struct {
		who  session.Identity
		yes  string
		no   string
		note string
	}{
		{anonymous, "a/b a/# +/b +/+ # a/x/y", "a a/b/c a/c/d b w w/y w/y/# /a/b A/b", "overlap"},
		{anonymous, "q/x q/x/y/z +/x/# q/+ q/#", "q q/y", "a wildcard in front"},
		{anonymous, "e/f/g/h e/f e/# e/f/# e/+", "e/f/g e/f/+ d/x d/# d/x/y/#", "denies"},
		{anonymous, "$SYS/# $SYS/broker $SYS/broker/+/y $own/x/v $own/# $own/+/+", "$SYS $SYS/x $x $own/x $x/x", "dollars; +/x/# is not for them"},
		{anonymous, "c-dev c-dev/# +/y", "u/ u/y c-other c-dev/no c-dev/no/# c-dev/no/x/y two/dev/z", "names"},
		{known, "mine mine/x u/known u/+ c-dev/# c-dev/x/y two/devknown/z two/+/z two/#", "a/b u/dev c-dev/x c-dev/+ c-dev/no/x two/known/z", "with a name"},
		{session.Identity{ClientID: "c+", UserName: "known"}, "mine/#", "c-c/x u/known a/b two/#", "wildcards in a name"},
		{session.Identity{ClientID: "x/y", UserName: "known"}, "u/known", "c-x/y c-x/y/#", "a level in a name"},
		{session.Identity{ClientID: "dev", UserName: "no/body"}, "c-dev/#", "u/no/body u/no/#", "a level in a name"},
	} {
		for _, filter := range strings.Fields(test.yes) {
			if !l.MaySubscribe(test.who, []byte(filter)) {
				t.Errorf("%s: %+v may not subscribe to %s", test.note, test.who, filter)
			}
		}
		for _, filter := range strings.Fields(test.no) {
			if l.MaySubscribe(test.who, []byte(filter)) {
				t.Errorf("%s: %+v may subscribe to %s", test.note, test.who, filter)
			}
		}
	}
	if l.MaySubscribe(anonymous, nil) {
		t.Error("nothing")
	}
}

func TestStrictListHoldsNamesAgainstADollarInFront(t *testing.T) {
	l := parse(t, "pattern read %c/x\npattern read $%c/y").Strict()
	who := session.Identity{ClientID: "$q"}
	for filter, want := range map[string]bool{"$q/x": false, "+/x": false, "#": false, "$$q/y": true, "$$q/#": true, "+/y": false} {
		if l.MaySubscribe(who, []byte(filter)) != want {
			t.Errorf("%s: want %t", filter, want)
		}
	}
	if l.MayReceive(who, []byte("$q/x")) || !l.MayReceive(who, []byte("$$q/y")) {
		t.Error("received otherwise")
	}
}

func TestBuildNamesTheRule(t *testing.T) {
	for _, test := range []struct {
		rule Rule
		want string
	}{
		{Rule{Topic: "a"}, "rule 2: access 0: want read"},
		{Rule{Access: Read | Deny, Topic: "a"}, "rule 2: access 5: want read"},
		{Rule{Access: Read}, "rule 2: topic: empty"},
		{Rule{Access: Read, Topic: "a/#/b"}, `rule 2: topic "a/#/b": + and #`},
		{Rule{Access: Read, Topic: "a+"}, `rule 2: topic "a+": + and #`},
		{Rule{Access: Read, Topic: strings.Repeat("x", TopicBytesMax+1)}, "rule 2: topic: longer than 65535"},
		{Rule{Access: Read, Topic: strings.Repeat("/", LevelsMax)}, "rule 2: topic: more than 200 levels"},
		{Rule{Access: Read, Topic: "a", User: strings.Repeat("x", TopicBytesMax+1)}, "rule 2: user name: longer than 65535"},
	} {
		_, err := Build([]Rule{{Access: ReadWrite, Topic: strings.Repeat("/", LevelsMax-1)}, test.rule})
		if err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%.80v, want %s", err, test.want)
		}
	}
	if _, err := Build(make([]Rule, RulesMax+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too many rules: %v", err)
	}
}

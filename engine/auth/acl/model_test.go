package acl

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// model judges a topic by going through all rules, with strings.
func model(rules []Rule, who session.Identity, topic string, want Access) bool {
	names := false
	for _, r := range rules {
		names = names || r.Pattern && hasNames(r.Topic)
	}
	if want == Write && strings.HasPrefix(topic, "$SYS") && !modelMatch("$SYS/broker/connection/+/state", topic) || want == Write && strings.HasPrefix(topic, "$share") {
		return false
	}
	for _, step := range []struct {
		pattern bool
		access  Access
	}{{false, Deny}, {false, want}, {true, Deny}, {true, want}} {
		if step.pattern && names && strings.ContainsAny(who.ClientID+who.UserName, "+#") {
			return false
		}
		for _, r := range rules {
			if r.Pattern != step.pattern || r.Access&step.access == 0 || !r.Pattern && r.User != who.UserName {
				continue
			}
			filter := r.Topic
			if r.Pattern && hasNames(filter) {
				if strings.Contains(filter, "%u") && who.UserName == "" {
					continue
				}
				filter = strings.NewReplacer("%c", who.ClientID, "%u", who.UserName).Replace(filter)
				grown := strings.Count(filter, "/") > strings.Count(r.Topic, "/") || filter[0] == '$' && r.Topic[0] != '$'
				if grown && step.access != Deny {
					continue
				}
			}
			if modelMatch(filter, topic) {
				return step.access != Deny
			}
		}
	}
	return false
}

func modelMatch(filter, topic string) bool {
	if topic[0] == '$' && filter[0] != '$' {
		return false
	}
	f, t := strings.Split(filter, "/"), strings.Split(topic, "/")
	for i, level := range f {
		if level == "#" {
			return true
		}
		if i >= len(t) || level != "+" && level != t[i] {
			return false
		}
	}
	return len(f) == len(t)
}

// rulesOf reads rules in the form of a file, which may have any mistake in it.
func rulesOf(text string) (rules []Rule) {
	user := ""
	for _, line := range strings.Split(text, "\n") {
		w := strings.SplitN(line, " ", 3)
		switch {
		case w[0] == "user" && len(w) == 2:
			user = w[1]
		case len(w) == 3:
			if r := (Rule{User: user, Pattern: w[0] == "pattern", Access: accessNames[w[1]], Topic: w[2]}); r.check() == nil {
				rules = append(rules, r)
			}
		}
	}
	return rules
}

// FuzzList: any rules, names and topic are judged as the model does. What a client may receive it may subscribe to, with each filter that
// matches it.
func FuzzList(f *testing.F) {
	f.Add("topic read a/#\nuser u\ntopic deny a/b\ntopic readwrite a/+\npattern read %u/%c/#\npattern deny dev-%c", "c", "u", "a/b/c", "a/#")
	f.Add("pattern readwrite %u/#\npattern deny $SYS/#\nuser x\ntopic write #", "c", "a/b", "a/b/c", "a/+/c")
	f.Add("pattern readwrite %u/x\npattern deny %u/y", "c", "$SYS", "$SYS/x", "$SYS/+")
	f.Add("topic read +/+\ntopic deny a/#\ntopic deny +/", "c", "", "/", "+/#")
	f.Add("pattern readwrite %c%u/%\npattern read x%u%cy/+", "cc", "u", "ccu/%", "#")
	f.Fuzz(func(t *testing.T, text, clientID, userName, topic, filter string) {
		rules := rulesOf(text)
		l, err := Build(rules)
		if err != nil {
			t.Fatal(err)
		}
		who := session.Identity{ClientID: clientID, UserName: userName}
		if clientID == "" || !codec.ValidTopicName([]byte(topic)) {
			return
		}
		receive := l.MayReceive(who, []byte(topic))
		if want := model(rules, who, topic, Read); receive != want {
			t.Errorf("receive %q: %t, want %t", topic, receive, want)
		}
		if got, want := l.MayPublish(who, []byte(topic)), model(rules, who, topic, Write); got != want {
			t.Errorf("publish %q: %t, want %t", topic, got, want)
		}
		if codec.ValidTopicFilter([]byte(filter)) && receive && modelMatch(filter, topic) && !l.MaySubscribe(who, []byte(filter)) {
			t.Errorf("may receive %q, and not subscribe to %q", topic, filter)
		}
	})
}

// FuzzParse: no panic, errors say where, and what is accepted allows what the same rules allow when they are built.
func FuzzParse(f *testing.F) {
	f.Add([]byte("# comment\ntopic a\n\nuser  u v \r\ntopic read a b/c\npattern write %u/#\n"), "u v", "a b/c")
	f.Add([]byte("topic deny\ntopic  readwrite  x \nuser"), "", "deny")
	f.Fuzz(func(t *testing.T, file []byte, user, topic string) {
		l, err := Parse("acl", bytes.NewReader(file))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "acl:") {
				t.Fatalf("error %q does not name the file", err)
			}
			return
		}
		if n := bytes.Count(file, []byte("topic")) + bytes.Count(file, []byte("pattern")); l.Len() > n {
			t.Fatalf("%d rules of %d lines", l.Len(), n)
		}
		again := new(strings.Builder)
		for _, line := range strings.Split(string(file), "\n") {
			fmt.Fprintf(again, "%s \t\r\n\n#\n", line) // says the same
		}
		l2, err := Parse("acl", strings.NewReader(again.String()))
		if err != nil {
			t.Fatal(err)
		}
		if !codec.ValidTopicName([]byte(topic)) {
			return
		}
		who := session.Identity{ClientID: "c", UserName: user}
		if l.MayPublish(who, []byte(topic)) != l2.MayPublish(who, []byte(topic)) {
			t.Fatalf("%q is not judged as before", topic)
		}
	})
}

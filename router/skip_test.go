package router

import (
	"slices"
	"testing"
)

func TestSkip(t *testing.T) {
	tests := []struct {
		filter, key string
		next        string
		ok          bool
	}{
		{"a/b", "", "a/b", true},
		{"a/b", "a/b", "a/b", true},
		{"a/b", "a/b/c", "", false},
		{"a/b", "a/a", "a/b", true},
		{"a/#", "a", "a", true},
		{"a/#", "a-", "a/", true},
		{"a/#", "a/x/y", "a/x/y", true},
		{"a/#", "a0", "", false},
		{"+", "a/b", "a0", true},
		{"+", "\xff/b", "\xff0", true},
		{"b/+", "c", "", false},
		{"+/b", "x/a", "x/b", true},
		{"+/b", "x/c", "x0", true},
		{"+/b", "x", "x\x00", true},
		{"+/b", "x.", "x.\x00", true},
		{"+/b", "x//", "x/b", true},
		{"+/b/c", "x/b", "x/b/c", true},
		{"+/b/c", "x/b.", "x/b/c", true},
		{"+/b/c", "x/b0", "x0", true},
		{"a/+/c/d", "a/b", "a/b\x00", true},
		{"a/+/c/d", "a/b/", "a/b/c/d", true},
		{"a/+/c/d", "a/b/d", "a/b0", true},
		{"site/+/zone", "site/1/device/1", "site/1/zone", true},
		// [MQTT-4.7.2-1]
		{"#", "$SYS/x", "%", true},
		{"+/x", "$SYS/x", "%", true},
		{"#", "#", "#", true},
		{"$SYS/+", "$SYS", "$SYS/", true},
	}
	for _, test := range tests {
		if next, ok := Skip(test.filter, test.key); next != test.next || ok != test.ok {
			t.Errorf("Skip(%q, %q) = %q, %v, want %q, %v", test.filter, test.key, next, ok, test.next, test.ok)
		}
	}
}

// TestSkipMissesNoTopic tries every filter and every key of a few bytes out of
// those where the order has corners, and every topic in between.
func TestSkipMissesNoTopic(t *testing.T) {
	const bytes = "\x00$./0a"
	var topics []string
	words := []string{""}
	for range 4 {
		var longer []string
		for _, w := range words {
			for _, b := range bytes {
				longer = append(longer, w+string(b))
			}
		}
		topics = append(topics, longer...)
		words = longer
	}
	slices.Sort(topics)
	for _, filter := range []string{
		"#", "+", "/#", "/+", "+/#", "+/+", "a", "a/#", "a/+", "+/a", "+/a/#", "a/a", "./+", "$/#", "$/+", "$", "0/#", "+/.",
		"+//+", "+/0/#", "//#", "a/+/#", "+/+/a", "+/+/+/#", "+/a/+", "a./#",
	} {
		from := 0
		for from < len(topics) { // the walk a cursor does
			key := topics[from]
			next, ok := Skip(filter, key)
			if MatchTopic(filter, key) != (ok && next == key) || ok && next < key {
				t.Fatalf("Skip(%q, %q) = %q, %v", filter, key, next, ok)
			}
			to := len(topics)
			if ok {
				to, _ = slices.BinarySearch(topics, next)
			}
			for _, passed := range topics[from:to] {
				if MatchTopic(filter, passed) {
					t.Fatalf("Skip(%q, %q) = %q, %v passes %q", filter, key, next, ok, passed)
				}
			}
			from = max(to, from+1)
		}
		for _, key := range topics { // and from everywhere
			next, ok := Skip(filter, key)
			at, _ := slices.BinarySearch(topics, key)
			to := len(topics)
			if ok {
				to, _ = slices.BinarySearch(topics, next)
			}
			if ok && to < at {
				t.Fatalf("Skip(%q, %q) = %q goes back", filter, key, next)
			}
			if i := slices.IndexFunc(topics[at:to], func(s string) bool { return MatchTopic(filter, s) }); i >= 0 {
				t.Fatalf("Skip(%q, %q) = %q, %v passes %q", filter, key, next, ok, topics[at+i])
			}
		}
	}
}

func FuzzSkip(f *testing.F) {
	f.Add("+/b/#", "x/c", "x0/b")
	f.Add("a/+/c", "a/b", "a/b/c")
	f.Add("#", "$x", "a")
	f.Add("+/+", "a/b/c", "a/b0")
	f.Fuzz(func(t *testing.T, filter, key, topic string) {
		if !validFilter(filter) {
			return
		}
		next, ok := Skip(filter, key)
		switch matches := naiveMatch(filter, key); {
		case matches && (!ok || next != key):
			t.Errorf("Skip(%q, %q) = %q, %v of a match", filter, key, next, ok)
		case !matches && ok && next <= key:
			t.Errorf("Skip(%q, %q) = %q, %v does not go on", filter, key, next, ok)
		case topic >= key && naiveMatch(filter, topic) && (!ok || next > topic):
			t.Errorf("Skip(%q, %q) = %q, %v passes %q", filter, key, next, ok, topic)
		}
	})
}

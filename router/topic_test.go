package router

import (
	"strings"
	"testing"
)

func TestMatchTopic(t *testing.T) {
	tests := []struct {
		filter, topic string
		want          bool
	}{
		// The examples of MQTT 4.7.1.
		{"sport/tennis/player1/#", "sport/tennis/player1", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
		{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
		{"sport/#", "sport", true},
		{"#", "sport/tennis", true},
		{"sport/tennis/+", "sport/tennis/player1", true},
		{"sport/tennis/+", "sport/tennis/player1/ranking", false},
		{"sport/+", "sport", false},
		{"sport/+", "sport/", true},
		{"+/tennis/#", "sport/tennis", true},
		{"+/+", "/finance", true},
		{"/+", "/finance", true},
		{"+", "/finance", false},
		// [MQTT-4.7.2-1]
		{"#", "$SYS/broker", false},
		{"+/monitor/Clients", "$SYS/monitor/Clients", false},
		{"$SYS/#", "$SYS", true},
		{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
		{"+/+", "$", false},
		{"a/+", "a/$b", true},
		{"a/#", "a/$b", true},
		// Empty levels are levels [MQTT-4.7.3-4].
		{"/", "/", true},
		{"/", "//", false},
		{"+/+", "/", true},
		{"#", "/", true},
		{"a//b", "a/b", false},
		{"a/+/b", "a//b", true},
		{"a/#", "a/", true},
		{"a/#", "ab", false},
		{"a/+/#", "a", false},
		{"a/+/#", "a/b", true},
		{"a/+/#", "a/", true},
		// Byte by byte [MQTT-4.7.3-4].
		{"A", "a", false},
		{"é", "e\u0301", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
	}
	for _, test := range tests {
		if got := MatchTopic(test.filter, test.topic); got != test.want {
			t.Errorf("MatchTopic(%q, %q) = %v", test.filter, test.topic, got)
		}
		if got := MatchTopic([]byte(test.filter), []byte(test.topic)); got != test.want {
			t.Errorf("MatchTopic of bytes (%q, %q) = %v", test.filter, test.topic, got)
		}
		if got := naiveMatch(test.filter, test.topic); got != test.want {
			t.Errorf("naiveMatch(%q, %q) = %v", test.filter, test.topic, got)
		}
	}
}

func TestMatchTopicDoesNotAllocate(t *testing.T) {
	filter, topic := []byte("site/+/a level of more than thirty-two bytes/#"), "site/1/a level of more than thirty-two bytes/x"
	allocs := testing.AllocsPerRun(100, func() {
		if !MatchTopic(filter, topic) {
			t.Fatal("no match")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestLevelsCountsEmptyLevels(t *testing.T) {
	for topic, want := range map[string]int{"a": 1, "/": 2, "a/b": 2, "//": 3, "a/b/": 3} {
		if got := Levels([]byte(topic)); got != want {
			t.Errorf("Levels(%q) = %d, want %d", topic, got, want)
		}
	}
}

func FuzzMatchTopic(f *testing.F) {
	f.Add("a/+/#", "a/b")
	f.Add("+/b", "$a/b")
	f.Add("a/#", "a")
	f.Add("/+//#", "///")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		if !validFilter(filter) || !validTopic(topic) {
			return
		}
		want := naiveMatch(filter, topic)
		if got := MatchTopic(filter, []byte(topic)); got != want {
			t.Errorf("MatchTopic(%q, %q) = %v", filter, topic, got)
		}
		if next, ok := Skip(filter, topic); (ok && next == topic) != want {
			t.Errorf("Skip(%q, %q) = %q, %v; matching is %v", filter, topic, next, ok, want)
		}
		if strings.Count(topic, "/") < DefaultMaxLevels && strings.Count(filter, "/") < DefaultMaxLevels {
			r := New[int](Config{Shards: 1})
			if _, err := r.Subscribe("", filter, 1, Options{}); err != nil {
				return // longer than the bound
			}
			var m Matches[int]
			r.Match([]byte(topic), &m)
			if got := len(m.Subs) == 1; got != want && len(topic) <= DefaultMaxLength {
				t.Errorf("Router: filter %q, topic %q: %v", filter, topic, got)
			}
		}
	})
}

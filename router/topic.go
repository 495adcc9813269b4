package router

import (
	"bytes"
	"strings"
)

// Text is what a Topic Name or Topic Filter may be held in.
type Text interface{ ~string | ~[]byte }

const (
	separator   = '/'
	singleLevel = "+"
	multiLevel  = "#"
)

// Levels counts the topic levels of a Topic Name or Topic Filter. Every
// separator starts a new level, empty or not, so that "/" has two.
func Levels(b []byte) int { return bytes.Count(b, []byte{separator}) + 1 }

// MatchTopic reports whether the Topic Filter matches the Topic Name. Both must
// be syntactically valid; a shared subscription is given without its
// "$share/name/" part. It allocates nothing and is the reference that the
// indexes of this package are tested against.
//
// A filter that begins with a wildcard does not match a topic that begins with
// '$' [MQTT-4.7.2-1].
func MatchTopic[F, T Text](filter F, topic T) bool {
	if len(filter) == 0 {
		return len(topic) == 0
	}
	if len(topic) > 0 && topic[0] == '$' && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	f, t := 0, 0
	for {
		filterEnd, topicEnd := levelEnd(filter, f), levelEnd(topic, t)
		switch level := filter[f:filterEnd]; {
		case string(level) == multiLevel:
			return true
		case string(level) != singleLevel && string(level) != string(topic[t:topicEnd]):
			return false
		}
		f, t = filterEnd+1, topicEnd+1
		switch filterOver, topicOver := f > len(filter), t > len(topic); {
		case filterOver || topicOver:
			// "a/#" matches its parent "a".
			return topicOver && (filterOver || string(filter[f:]) == multiLevel)
		}
	}
}

// levelEnd returns where the level that starts at from ends: the index of the
// next separator, or the length of text.
func levelEnd[T Text](text T, from int) int {
	for i := from; i < len(text); i++ {
		if text[i] == separator {
			return i
		}
	}
	return len(text)
}

// hasWildcard reports whether a valid Topic Filter holds a wildcard.
func hasWildcard(filter string) bool {
	return strings.IndexByte(filter, '+') >= 0 || strings.IndexByte(filter, '#') >= 0
}

// isWildcard reports whether one level of a filter is a wildcard.
func isWildcard(level string) bool { return level == singleLevel || level == multiLevel }

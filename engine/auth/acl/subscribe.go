package acl

import (
	"strings"

	"github.com/gannetmq/gannet/engine/session"
)

// What a strict list says to a SUBSCRIBE. A rule and a Topic Filter have topics in common if they agree level by level, and those topics
// are again a filter: where one of them has a wildcard, what the other says. If no deny covers that, something may be received.
// Several denies that only together cover it are not noticed; then the subscription is granted, and nothing is delivered.

// MaySubscribe implements session.Authorizer.
func (l *List) MaySubscribe(who session.Identity, filter []byte) bool {
	if !l.strict {
		return true
	}
	if len(filter) == 0 {
		return false
	}
	var room [256]byte
	s := search{filter: filter, who: &who, user: l.childOf(users, who.UserName)}
	if s.user != 0 && l.search(&s, s.user, 0, room[:0]) {
		return true
	}
	s.patterns = true
	return l.patternsFor(&who) && l.search(&s, everyone, 0, room[:0])
}

// search looks for a rule that lets something of filter through.
type search struct {
	filter   []byte
	who      *session.Identity
	user     int32 // root of the user's own rules, 0 if there are none
	patterns bool  // it is the patterns that are searched
}

// search visits node n with the levels of the filter from pos on; once these are at a #, pos stays. path is what the levels before and
// the rules that lead to n have in common, with a / behind each level.
func (l *List) search(s *search, n int32, pos int, path []byte) bool {
	x := &l.nodes[n]
	if pos > len(s.filter) {
		return (x.here|x.below)&Read != 0 && l.open(s, path[:len(path)-1])
	}
	end := levelEnd(s.filter, pos)
	level := asString(s.filter[pos:end])
	next, top := end+1, len(path) == 0
	if level == "#" {
		next = pos
		if x.here&Read != 0 && !top && l.open(s, path[:len(path)-1]) {
			return true
		}
	}
	if !top || !strings.HasPrefix(level, "$") {
		if x.below&Read != 0 && l.open(s, append(path, s.filter[pos:]...)) {
			return true
		}
		common := level
		if level == "#" {
			common = "+"
		}
		if x.plus != 0 && l.search(s, x.plus, next, join(path, common)) {
			return true
		}
	}
	for t := x.template; t != 0; t = l.nodes[t].next {
		name, ok := l.filled(t, s.who)
		if top && strings.HasPrefix(name, "$") && (l.label(t)[0] != '$' || level != name) {
			continue
		}
		if ok && (level == name || level == "+" || level == "#") && l.search(s, t, next, join(path, name)) {
			return true
		}
	}
	if level != "+" && level != "#" {
		c := l.childOf(n, level)
		return c != 0 && l.search(s, c, next, join(path, level))
	}
	for c := x.child; c != 0; c = l.nodes[c].next {
		label := l.label(c)
		if top && strings.HasPrefix(label, "$") { // [MQTT-4.7.2-1]
			continue
		}
		if l.search(s, c, next, join(path, label)) {
			return true
		}
	}
	return false
}

func join(path []byte, level string) []byte { return append(append(path, level...), '/') }

// open tells whether no deny covers all of common, a Topic Filter.
func (l *List) open(s *search, common []byte) bool {
	q := question{topic: common, who: s.who, stop: Deny}
	if s.user != 0 {
		l.walk(&q, s.user, 0, Deny)
	}
	if s.patterns {
		l.walk(&q, everyone, 0, Deny)
	}
	return q.found == 0
}

// filled is the label of a template with the client's names in it. False: it has not got them, or they do not fit into a level.
func (l *List) filled(t int32, who *session.Identity) (level string, ok bool) {
	var b strings.Builder
	for label := l.label(t); len(label) > 0; {
		var piece string
		piece, label = nextPiece(label)
		switch piece {
		case "%c":
			piece = who.ClientID
		case "%u":
			piece = who.UserName
		}
		if piece == "" {
			return "", false
		}
		b.WriteString(piece)
	}
	return b.String(), !strings.Contains(b.String(), "/")
}

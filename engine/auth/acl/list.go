package acl

import (
	"encoding/binary"
	"strings"
	"unsafe"

	"github.com/gannetmq/gannet/engine/session"
)

// List is compiled rules. Immutable, safe for concurrent use. It implements session.Authorizer.
type List struct {
	nodes  []node
	table  []int32 // of nodes by parent and label, open addressing, 0 = free; its length is a power of two
	text   string  // all labels
	rules  int
	names  bool // some pattern has %c or %u
	strict bool // MaySubscribe refuses what can bring nothing
}

// node is one level of some rules. Indexes are of List.nodes, 0 = none.
type node struct {
	parent   int32
	at       uint32 // of its label in List.text
	size     uint16
	here     Access // of rules that end here; of the root of a client's rules: Deny if any of them denies
	below    Access // of rules that end with /# after this
	plus     int32  // child for +
	template int32  // first child with %c or %u in its label
	child    int32  // first of the others
	next     int32  // sibling: for whoever has to see all children
}

const (
	users    = 0 // its children are the roots of users by name, that of clients without one under the empty name
	everyone = 1 // root of the patterns
)

// Len is how many rules there are.
func (l *List) Len() int { return l.rules }

// Strict returns a list with the same rules that refuses a SUBSCRIBE for what can never be received.
func (l *List) Strict() *List {
	strict := *l
	strict.strict = true
	return &strict
}

// MayPublish implements session.Authorizer.
func (l *List) MayPublish(who session.Identity, topic []byte) bool {
	return !reserved(topic) && l.allows(&who, topic, Write)
}

// MayReceive implements session.Authorizer.
func (l *List) MayReceive(who session.Identity, topic []byte) bool {
	return l.allows(&who, topic, Read)
}

// reserved tells whether a topic is the server's own. Bridges tell of their state in a place that is theirs.
func reserved(topic []byte) bool {
	if len(topic) == 0 || topic[0] != '$' {
		return false
	}
	t := asString(topic)
	if !strings.HasPrefix(t, "$SYS") {
		return strings.HasPrefix(t, "$share")
	}
	name, ok := strings.CutPrefix(t, "$SYS/broker/connection/")
	if ok {
		name, ok = strings.CutSuffix(name, "/state")
	}
	return !ok || strings.Contains(name, "/")
}

// allows asks first the rules of the user, then the patterns.
func (l *List) allows(who *session.Identity, topic []byte, want Access) bool {
	if len(topic) == 0 {
		return false
	}
	q := question{topic: topic, who: who}
	if root := l.childOf(users, who.UserName); root != 0 {
		if found := l.ask(&q, root, want); found != 0 {
			return found&Deny == 0
		}
	}
	return l.patternsFor(who) && l.ask(&q, everyone, want) == want
}

// patternsFor tells whether the patterns are for this client: not if its names could be taken for wildcards.
func (l *List) patternsFor(who *session.Identity) bool {
	return !l.names || !strings.ContainsAny(who.UserName, "+#") && !strings.ContainsAny(who.ClientID, "+#")
}

// question is one walk down the tree.
type question struct {
	topic []byte
	who   *session.Identity
	stop  Access // found any of these: no need to look further
	found Access
}

// ask returns want if a rule below root allows it, Deny if one denies, 0 if none has anything to say.
func (l *List) ask(q *question, root int32, want Access) Access {
	q.found, q.stop = 0, Deny
	if l.nodes[root].here&Deny == 0 {
		q.stop |= want
	}
	l.walk(q, root, 0, want|Deny)
	if q.found&Deny != 0 {
		return Deny
	}
	return q.found
}

// walk adds to q.found, as far as mask goes, what the rules below node n say about the levels of the topic from pos on. Behind the last
// level pos is beyond the end. No node is visited twice, since each is at its own depth.
func (l *List) walk(q *question, n int32, pos int, mask Access) {
	for {
		x := &l.nodes[n]
		wild := pos > 0 || q.topic[0] != '$' // [MQTT-4.7.2-1]
		if wild {
			q.found |= x.below & mask
		}
		if pos > len(q.topic) {
			q.found |= x.here & mask
			return
		}
		if q.found&q.stop != 0 {
			return
		}
		end := levelEnd(q.topic, pos)
		if x.plus != 0 && wild && !isHash(q.topic[pos:end]) {
			l.walk(q, x.plus, end+1, mask)
		}
		for t := x.template; t != 0; t = l.nodes[t].next {
			if stop, exact := l.fill(t, q.who, q.topic, pos); exact {
				l.walk(q, t, stop+1, mask)
			} else if stop > 0 {
				l.walk(q, t, stop+1, mask&Deny)
			}
		}
		if n = l.childOf(n, asString(q.topic[pos:end])); n == 0 {
			return
		}
		pos = end + 1
	}
}

// fill compares the label of a template, with the client's names in it, with what begins at pos. stop is where that ends, 0 if it is
// something else. exact says that the names are what a pattern has room for: a level each. A name that spans several, or that would make
// a topic of the server's own, is good enough to be denied something.
func (l *List) fill(t int32, who *session.Identity, topic []byte, pos int) (stop int, exact bool) {
	label := l.label(t)
	exact = pos > 0 || topic[0] != '$' || label[0] == '$'
	stop = pos
	for len(label) > 0 {
		piece, rest := nextPiece(label)
		label = rest
		switch piece {
		case "%c":
			piece = who.ClientID
		case "%u":
			piece = who.UserName
		}
		if piece == "" || !strings.HasPrefix(asString(topic[stop:]), piece) {
			return 0, false
		}
		exact = exact && strings.IndexByte(piece, '/') < 0
		stop += len(piece)
	}
	if stop < len(topic) && topic[stop] != '/' {
		return 0, false
	}
	return stop, exact
}

// nextPiece cuts %c, %u, or what comes before the next of them off a label.
func nextPiece(label string) (piece, rest string) {
	for i := 0; i+1 < len(label); i++ {
		if label[i] == '%' && (label[i+1] == 'c' || label[i+1] == 'u') {
			if i == 0 {
				i = 2
			}
			return label[:i], label[i:]
		}
	}
	return label, ""
}

func (l *List) label(n int32) string {
	x := &l.nodes[n]
	return l.text[x.at : x.at+uint32(x.size)]
}

// childOf finds the child of a node with this label, 0 if there is none.
func (l *List) childOf(parent int32, label string) int32 {
	mask := uint32(len(l.table) - 1)
	for slot := hash(parent, label) & mask; ; slot = (slot + 1) & mask {
		n := l.table[slot]
		if n == 0 {
			return 0
		}
		if l.nodes[n].parent == parent && l.label(n) == label {
			return n
		}
	}
}

// hash mixes eight bytes at a time. Only rules go into the table, so that nobody else can make its chains long.
func hash(parent int32, label string) uint32 {
	const odd = 0x9E3779B97F4A7C15
	h := (uint64(uint32(parent)) ^ uint64(len(label))<<32) * odd
	b := unsafe.Slice(unsafe.StringData(label), len(label))
	for ; len(b) >= 8; b = b[8:] {
		h = (h ^ h>>29 ^ binary.LittleEndian.Uint64(b)) * odd
	}
	var tail uint64
	for _, c := range b {
		tail = tail<<8 | uint64(c)
	}
	h = (h ^ h>>29 ^ tail) * odd
	return uint32(h >> 32)
}

func levelEnd(topic []byte, pos int) int {
	for pos < len(topic) && topic[pos] != '/' {
		pos++
	}
	return pos
}

// isHash tells whether a level is #, which is in a filter only.
func isHash(level []byte) bool { return len(level) == 1 && level[0] == '#' }

func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

package acl

import (
	"fmt"
	"strings"
)

// Build compiles rules. The list it makes is strict: see List.Strict. A list of no rules allows nothing. The error names the rule by its
// number, from 1.
func Build(rules []Rule) (*List, error) {
	if len(rules) > RulesMax {
		return nil, fmt.Errorf("more than %d rules", RulesMax)
	}
	b := newBuilder()
	for i := range rules {
		if err := b.add(&rules[i]); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
	}
	return b.list().Strict(), nil
}

// builder grows a tree. list ends it.
type builder struct {
	l        List
	text     strings.Builder
	labels   map[string]uint32 // where in text
	children map[edge]int32
}

// edge leads from a node to its child with this label.
type edge struct {
	parent int32
	label  string
}

func newBuilder() *builder {
	b := &builder{labels: make(map[string]uint32), children: make(map[edge]int32)}
	b.l.nodes = append(b.l.nodes, node{parent: -1}, node{parent: -1}) // users, everyone
	return b
}

func (b *builder) add(r *Rule) error {
	if err := r.check(); err != nil {
		return err
	}
	root := int32(everyone)
	if !r.Pattern {
		root = b.child(users, r.User)
	}
	b.l.rules++
	b.l.nodes[root].here |= r.Access & Deny
	n := root
	for rest, more := r.Topic, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		switch {
		case level == "#":
			b.l.nodes[n].below |= r.Access
			return nil
		case level == "+":
			n = b.plus(n)
		case r.Pattern && hasNames(level):
			b.l.names = true
			n = b.template(n, level)
		default:
			n = b.child(n, level)
		}
	}
	b.l.nodes[n].here |= r.Access
	return nil
}

func hasNames(level string) bool {
	return strings.Contains(level, "%c") || strings.Contains(level, "%u")
}

// child returns the node for a level below n, a new one if there is none yet.
func (b *builder) child(n int32, label string) int32 {
	e := edge{n, label}
	if c, ok := b.children[e]; ok {
		return c
	}
	c := b.node(n, label)
	b.children[e] = c
	b.l.nodes[c].next, b.l.nodes[n].child = b.l.nodes[n].child, c
	return c
}

func (b *builder) plus(n int32) int32 {
	if b.l.nodes[n].plus == 0 {
		c := b.node(n, "+")
		b.l.nodes[n].plus = c
	}
	return b.l.nodes[n].plus
}

func (b *builder) template(n int32, label string) int32 {
	for t := b.l.nodes[n].template; t != 0; t = b.l.nodes[t].next {
		if x := &b.l.nodes[t]; b.text.String()[x.at:x.at+uint32(x.size)] == label {
			return t
		}
	}
	c := b.node(n, label)
	b.l.nodes[c].next, b.l.nodes[n].template = b.l.nodes[n].template, c
	return c
}

func (b *builder) node(parent int32, label string) int32 {
	at, ok := b.labels[label]
	if !ok {
		at = uint32(b.text.Len())
		b.text.WriteString(label)
		b.labels[label] = at
	}
	b.l.nodes = append(b.l.nodes, node{parent: parent, at: at, size: uint16(len(label))})
	return int32(len(b.l.nodes) - 1)
}

// list returns what was built, in no more memory than it needs.
func (b *builder) list() *List {
	l := b.l
	l.nodes = append(make([]node, 0, len(b.l.nodes)), b.l.nodes...)
	l.text = strings.Clone(b.text.String()) // without what the builder has beyond it
	size := 2
	for size < len(b.children)*3/2+1 {
		size *= 2
	}
	l.table = make([]int32, size)
	for e, n := range b.children {
		slot := hash(e.parent, e.label) & uint32(size-1)
		for l.table[slot] != 0 {
			slot = (slot + 1) & uint32(size-1)
		}
		l.table[slot] = n
	}
	return &l
}

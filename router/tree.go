package router

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// treeShard holds filters with a wildcard, level by level. A filter is in
// exactly one shard, so that walking the whole tree of every shard a topic
// leads to finds each match once, whatever else shares the shard.
type treeShard[S comparable] struct {
	mu     sync.RWMutex
	root   node[S]
	counts counts
	nodes  int // below root

	// population is the number of filters, so that a match passes an empty
	// shard without its lock. It is raised before the epoch is, see Cache.
	population atomic.Int64
	epoch      atomic.Uint64
}

func (x *treeShard[S]) subscribe(group, filter string, s S, o Options) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, grown := x.root.plant(filter)
	x.nodes += grown
	founded := e.empty()
	c := e.subscribe(group, filter, s, o)
	if founded {
		x.population.Add(1)
	}
	x.counts.subscribed(group, c)
	if c.visible {
		x.epoch.Add(1)
	}
	return c.existed
}

func (x *treeShard[S]) unsubscribe(group, filter string, s S) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, path := x.root.trace(filter, make([]step[S], 0, 16))
	if e == nil {
		return false
	}
	c := e.unsubscribe(group, s)
	if c.existed && e.empty() {
		x.population.Add(-1)
		x.nodes -= prune(path)
	}
	x.counts.unsubscribed(group, c)
	if c.visible {
		x.epoch.Add(1)
	}
	return c.existed
}

func (x *treeShard[S]) match(topic []byte, m *Matches[S]) {
	if x.population.Load() == 0 {
		return
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.root.match(topic, 0, m)
}

func (x *treeShard[S]) group(name, filter string) *Group[S] {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e, _ := x.root.trace(filter, make([]step[S], 0, 16))
	if e == nil {
		return nil
	}
	return e.group(name)
}

func (x *treeShard[S]) addTo(s *Stats) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	x.counts.addTo(s)
	s.WildcardFilters += int(x.population.Load())
	s.Nodes += x.nodes
}

// node stands for a filter's levels up to here. '#' is no node of its own, it
// is always last: what "a/#" subscribes lies in below of the node "a".
type node[S comparable] struct {
	literals *children[S] // nil without any, which is what most nodes are
	plus     *node[S]
	here     entry[S] // filters that end with this level
	below    entry[S] // filters that go on with '#' and end
}

func (n *node[S]) empty() bool {
	return n.literals == nil && n.plus == nil && n.here.empty() && n.below.empty()
}

// plant returns the place of a filter, making the nodes that lead there.
func (n *node[S]) plant(filter string) (e *entry[S], grown int) {
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == multiLevel && !more {
			return &n.below, grown
		}
		child := n.child(level)
		if child == nil {
			child = n.grow(level)
			grown++
		}
		n = child
	}
	return &n.here, grown
}

// step is one edge on the way to a filter's place.
type step[S comparable] struct {
	parent *node[S]
	level  string
}

// trace returns the place of a filter, nil if there is none, and the edges that
// lead there appended to path.
func (n *node[S]) trace(filter string, path []step[S]) (*entry[S], []step[S]) {
	for rest, more := filter, true; more; {
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if level == multiLevel && !more {
			return &n.below, path
		}
		child := n.child(level)
		if child == nil {
			return nil, path
		}
		path = append(path, step[S]{n, level})
		n = child
	}
	return &n.here, path
}

// prune removes the nodes at the end of path that hold nothing.
func prune[S comparable](path []step[S]) (removed int) {
	for _, edge := range slices.Backward(path) {
		if !edge.parent.child(edge.level).empty() {
			break
		}
		edge.parent.drop(edge.level)
		removed++
	}
	return removed
}

// match adds what matches topic[from:], of which n stands for the levels before.
// It follows at most one literal child and the '+' child of each node, so the
// nodes it visits are bounded by those that exist and its depth by MaxLevels.
func (n *node[S]) match(topic []byte, from int, m *Matches[S]) {
	for {
		n.below.appendTo(m) // '#' includes the parent level
		if from > len(topic) {
			n.here.appendTo(m)
			return
		}
		end := len(topic)
		if i := bytes.IndexByte(topic[from:], separator); i >= 0 {
			end = from + i
		}
		var literal *node[S]
		if n.literals != nil {
			literal = n.literals.find(topic[from:end])
		}
		from = end + 1
		switch {
		case literal == nil && n.plus == nil:
			return
		case literal == nil:
			n = n.plus
		case n.plus == nil:
			n = literal
		default:
			literal.match(topic, from, m)
			n = n.plus
		}
	}
}

func (n *node[S]) child(level string) *node[S] {
	switch {
	case level == singleLevel:
		return n.plus
	case n.literals == nil:
		return nil
	}
	return n.literals.find([]byte(level))
}

func (n *node[S]) grow(level string) *node[S] {
	child := new(node[S])
	if level == singleLevel {
		n.plus = child
		return child
	}
	if n.literals == nil {
		n.literals = new(children[S])
	}
	// A copy, so that a short level does not keep a long filter alive.
	n.literals.add(strings.Clone(level), child)
	return child
}

func (n *node[S]) drop(level string) {
	if level == singleLevel {
		n.plus = nil
		return
	}
	n.literals.remove(level)
	if n.literals.len() == 0 {
		n.literals = nil
	}
}

// wideNode is the number of children from which a node looks them up in a map.
const wideNode = 16

// children are the literal levels below a node: few of them in a sorted slice,
// many in a map. Exactly one of the two is in use.
type children[S comparable] struct {
	sorted []child[S]
	wide   table[string, *node[S]]
}

type child[S comparable] struct {
	level string
	node  *node[S]
}

func (c *children[S]) len() int { return len(c.sorted) + len(c.wide.m) }

func (c *children[S]) find(level []byte) *node[S] {
	if c.wide.m != nil {
		return c.wide.m[string(level)]
	}
	if i, ok := c.search(level); ok {
		return c.sorted[i].node
	}
	return nil
}

// search returns the first place in sorted that is not before level.
func (c *children[S]) search(level []byte) (place int, found bool) {
	low, high := 0, len(c.sorted)
	for low < high {
		middle := (low + high) / 2
		if c.sorted[middle].level < string(level) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(c.sorted) && c.sorted[low].level == string(level)
}

func (c *children[S]) add(level string, n *node[S]) {
	if c.wide.m != nil {
		c.wide.put(level, n)
		return
	}
	i, _ := c.search([]byte(level))
	c.sorted = slices.Insert(c.sorted, i, child[S]{level, n})
	if len(c.sorted) > wideNode {
		for _, child := range c.sorted {
			c.wide.put(child.level, child.node)
		}
		c.sorted = nil
	}
}

func (c *children[S]) remove(level string) {
	if c.wide.m == nil {
		if i, ok := c.search([]byte(level)); ok {
			c.sorted = slices.Delete(c.sorted, i, i+1)
		}
		return
	}
	c.wide.remove(level)
	if len(c.wide.m) <= wideNode/2 {
		for level, node := range c.wide.m {
			c.sorted = append(c.sorted, child[S]{level, node})
		}
		slices.SortFunc(c.sorted, func(a, b child[S]) int { return strings.Compare(a.level, b.level) })
		c.wide = table[string, *node[S]]{}
	}
}

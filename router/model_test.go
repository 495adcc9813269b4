package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// naiveMatch is the rule of MQTT 4.7 written down for a reader, not for speed.
func naiveMatch(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (strings.HasPrefix(filter, "+") || strings.HasPrefix(filter, "#")) {
		return false
	}
	return naiveLevels(strings.Split(filter, "/"), strings.Split(topic, "/"))
}

func naiveLevels(filter, topic []string) bool {
	switch {
	case len(filter) == 0:
		return len(topic) == 0
	case filter[0] == "#":
		return true
	case len(topic) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == topic[0]) && naiveLevels(filter[1:], topic[1:])
}

// validFilter is what a caller of Subscribe has checked before.
func validFilter(filter string) bool {
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		wild := strings.ContainsAny(level, "+#")
		if wild && len(level) > 1 || level == "#" && i < len(levels)-1 {
			return false
		}
	}
	return filter != ""
}

func validTopic(topic string) bool { return topic != "" && !strings.ContainsAny(topic, "+#") }

// model is what a Router should be: a set of subscriptions, looked through one
// by one.
type model map[modelKey]Options

type modelKey struct {
	group, filter string
	subscriber    int
}

func (m model) subscribe(group, filter string, s int, o Options) (existed bool) {
	_, existed = m[modelKey{group, filter, s}]
	m[modelKey{group, filter, s}] = o
	return existed
}

func (m model) unsubscribe(group, filter string, s int) (existed bool) {
	_, existed = m[modelKey{group, filter, s}]
	delete(m, modelKey{group, filter, s})
	return existed
}

// match lists the answer for a topic in a form that compares.
func (m model) match(topic string) []string {
	var lines []string
	matching, contributing := map[string]bool{}, map[string]bool{}
	for k, o := range m {
		matches, known := matching[k.filter]
		if !known {
			matches = naiveMatch(k.filter, topic)
			matching[k.filter] = matches
		}
		if !matches {
			continue
		}
		if k.group == "" {
			contributing[k.filter] = true
			lines = append(lines, fmt.Sprint("sub ", k.subscriber, o))
		} else {
			lines = append(lines, fmt.Sprint("group ", k.group, " ", k.filter, " ", k.subscriber, o))
		}
	}
	slices.Sort(lines)
	return append(lines, fmt.Sprint("overlapping ", len(contributing) > 1))
}

// describe lists an answer in the same form.
func describe(m *Matches[int]) []string {
	var lines []string
	for _, s := range m.Subs {
		lines = append(lines, fmt.Sprint("sub ", s.Subscriber, s.Options))
	}
	for _, g := range m.Groups {
		for _, s := range g.Members(nil) {
			lines = append(lines, fmt.Sprint("group ", g.Name(), " ", g.Filter(), " ", s.Subscriber, s.Options))
		}
	}
	slices.Sort(lines)
	return append(lines, fmt.Sprint("overlapping ", m.Overlapping))
}

func (m model) stats() Stats {
	var s Stats
	filters := map[string]bool{}
	for k := range m {
		filters[k.filter] = true
		if k.group == "" {
			s.Subscriptions++
		} else {
			s.SharedSubscriptions++
		}
	}
	nodes := map[string]bool{}
	for filter := range filters {
		if !strings.ContainsAny(filter, "+#") {
			s.ExactFilters++
			continue
		}
		s.WildcardFilters++
		levels := strings.Split(filter, "/")
		for i := range levels {
			if levels[i] != "#" {
				// Filters that share their beginning share nodes only within a shard.
				nodes[shardName(filter)+"|"+strings.Join(levels[:i+1], "/")] = true
			}
		}
	}
	s.Nodes = len(nodes)
	return s
}

// shardName says what decides the tree shard of a filter. It tells shards apart
// for a Router in which different names never meet in one shard.
func shardName(filter string) string {
	levels := strings.SplitN(filter, "/", 3)
	switch {
	case isWildcard(levels[0]):
		return ""
	case len(levels) == 1 || isWildcard(levels[1]):
		return levels[0]
	}
	return levels[0] + "/" + levels[1]
}

// check fails the test when the router's parts contradict one another.
func (r *Router[S]) check(t testing.TB) {
	t.Helper()
	for i := range r.exact {
		shard := &r.exact[i]
		if got, want := shard.population.Load(), int64(shard.len()); got != want {
			t.Fatalf("exact shard %d: population %d, %d filters", i, got, want)
		}
		var n counts
		for filter, e := range shard.entries() {
			if e.empty() {
				t.Fatalf("exact shard %d: %q is empty", i, filter)
			}
			if again, at := shard.find(r.hash([]byte(filter)), filter); again != e || at < 0 {
				t.Fatalf("exact shard %d: %q is not found", i, filter)
			}
			e.check(t, &n)
		}
		if n != shard.counts {
			t.Fatalf("exact shard %d: counts %v, holds %v", i, shard.counts, n)
		}
	}
	for i := range r.trees {
		r.trees[i].check(t)
	}
	r.front.check(t)
}

func (x *exactShard[S]) entries() map[string]entry[S] {
	m := map[string]entry[S]{}
	x.singles.Each(func(f *filterSingle[S]) bool {
		m[f.filter] = entry[S]{single: f.single}
		return true
	})
	x.crowds.Each(func(f *filterCrowd[S]) bool {
		m[f.filter] = entry[S]{crowd: f.crowd}
		return true
	})
	return m
}

func (x *treeShard[S]) check(t testing.TB) {
	t.Helper()
	var n counts
	nodes, filters := x.root.check(t, &n)
	if n != x.counts || nodes-1 != x.nodes || int64(filters) != x.population.Load() {
		t.Fatalf("tree: counts %v nodes %d population %d, holds %v %d %d",
			x.counts, x.nodes, x.population.Load(), n, nodes-1, filters)
	}
}

func (n *node[S]) check(t testing.TB, c *counts) (nodes, filters int) {
	t.Helper()
	nodes = 1
	for _, e := range []*entry[S]{&n.here, &n.below} {
		if !e.empty() {
			filters++
			e.check(t, c)
		}
	}
	visit := func(child *node[S]) {
		if child.empty() {
			t.Fatal("tree: a node holds nothing")
		}
		m, f := child.check(t, c)
		nodes, filters = nodes+m, filters+f
	}
	if n.plus != nil {
		visit(n.plus)
	}
	if n.literals == nil {
		return nodes, filters
	}
	kids := n.literals
	switch {
	case kids.len() == 0:
		t.Fatal("tree: children without a child")
	case kids.wide.m != nil && kids.sorted != nil:
		t.Fatal("tree: children both sorted and wide")
	case len(kids.sorted) > wideNode || kids.wide.m != nil && kids.len() <= wideNode/2:
		t.Fatalf("tree: %d children in the wrong form", kids.len())
	}
	for i, child := range kids.sorted {
		if i > 0 && kids.sorted[i-1].level >= child.level {
			t.Fatalf("tree: children %q and %q out of order", kids.sorted[i-1].level, child.level)
		}
		visit(child.node)
	}
	for _, child := range kids.wide.m {
		visit(child)
	}
	return nodes, filters
}

func (e *entry[S]) check(t testing.TB, n *counts) {
	t.Helper()
	if e.crowd == nil {
		n.ordinary++
		return
	}
	subs, groups := &e.crowd.subs, &e.crowd.groups
	if e.single != (single[S]{}) {
		t.Fatal("entry: both single and crowd")
	}
	if len(groups.items) == 0 && len(subs.items) < 2 {
		t.Fatal("entry: a crowd of fewer than two")
	}
	subs.check(t)
	n.ordinary += len(subs.items)
	for i, g := range groups.items {
		if g.index != i || groups.find(g.name) != g || g.Len() == 0 {
			t.Fatalf("group %q: index %d of %d, %d members", g.name, g.index, i, g.Len())
		}
		g.members.check(t)
		n.shared += g.Len()
	}
}

func (l *list[S]) check(t testing.TB) {
	t.Helper()
	if wide := l.place.m != nil; wide && len(l.place.m) != len(l.items) || !wide && len(l.items) > wideList {
		t.Fatalf("list: %d items, %d places", len(l.items), len(l.place.m))
	}
	for i, m := range l.items {
		if l.find(m.Subscriber) != i {
			t.Fatalf("list: subscriber at %d is found at %d", i, l.find(m.Subscriber))
		}
	}
}

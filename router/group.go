package router

import (
	"sync"
	"sync/atomic"
)

// Group is one shared subscription: a share name and a Topic Filter with its
// members. Safe for concurrent use.
//
// The pointer is its identity and stays the same while the group has members.
// A group that lost its last member leaves the index and stays empty for ever;
// whoever subscribes to the same name and filter afterwards founds a new one.
type Group[S comparable] struct {
	name, filter string

	next  atomic.Uint32
	index int // place in groupList.items; guarded by the shard

	mu      sync.RWMutex // taken inside the shard's lock, never around it
	members list[S]

	attachment atomic.Pointer[any]
	attaching  sync.Mutex
}

// Name returns the share name.
func (g *Group[S]) Name() string { return g.name }

// Filter returns the Topic Filter without the "$share/name/" part.
func (g *Group[S]) Filter() string { return g.filter }

// Members appends the present members to dst, in no particular order. Cost
// grows with the group; to pick one member, Member is cheaper.
func (g *Group[S]) Members(dst []Match[S]) []Match[S] {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return append(dst, g.members.items...)
}

// Member returns the member at i modulo Len, so that Member(Next()) walks the
// group in turn and Member(i), Member(i+1), … sees every member once as long as
// none joins or leaves. ok is false when the group is empty.
func (g *Group[S]) Member(i uint32) (m Match[S], ok bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := len(g.members.items)
	if n == 0 {
		return m, false
	}
	return g.members.items[uint64(i)%uint64(n)], true
}

// Len returns the number of members.
func (g *Group[S]) Len() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.members.items)
}

// Next returns 0, 1, 2, … , wrapping around: whose turn it is.
func (g *Group[S]) Next() uint32 { return g.next.Add(1) - 1 }

// Attachment returns what AttachOnce attached, nil before.
func (g *Group[S]) Attachment() any {
	if a := g.attachment.Load(); a != nil {
		return *a
	}
	return nil
}

// AttachOnce returns the attachment of the group, calling create for it if there
// is none yet. However many goroutines call, create runs once in the life of the
// group and all get its result. No lock of the index is held meanwhile; create
// must not call AttachOnce of the same group.
func (g *Group[S]) AttachOnce(create func() any) any {
	if a := g.attachment.Load(); a != nil {
		return *a
	}
	g.attaching.Lock()
	defer g.attaching.Unlock()
	if a := g.attachment.Load(); a != nil {
		return *a
	}
	a := create()
	g.attachment.Store(&a)
	return a
}

func (g *Group[S]) put(s S, o Options) (existed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	existed, _ = g.members.put(s, o)
	return existed
}

func (g *Group[S]) remove(s S) (existed bool, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	existed = g.members.remove(s)
	return existed, len(g.members.items)
}

// groupList holds the groups of one filter without order, found by name.
// Guarded by the shard.
type groupList[S comparable] struct {
	items []*Group[S]
	named table[string, *Group[S]] // in use while m is not nil
}

func (l *groupList[S]) find(name string) *Group[S] {
	if l.named.m != nil {
		return l.named.m[name]
	}
	for _, g := range l.items {
		if g.name == name {
			return g
		}
	}
	return nil
}

func (l *groupList[S]) add(g *Group[S]) {
	g.index = len(l.items)
	l.items = append(l.items, g)
	switch {
	case l.named.m != nil:
		l.named.put(g.name, g)
	case len(l.items) > wideList:
		for _, g := range l.items {
			l.named.put(g.name, g)
		}
	}
}

func (l *groupList[S]) remove(g *Group[S]) {
	l.items = swapRemove(l.items, g.index)
	if g.index < len(l.items) {
		l.items[g.index].index = g.index
	}
	switch {
	case l.named.m == nil:
	case len(l.items) <= wideList/2:
		l.named = table[string, *Group[S]]{}
	default:
		l.named.remove(g.name)
	}
}

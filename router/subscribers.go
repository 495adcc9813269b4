package router

// Options are the subscription options of one subscription, and what the
// Server must remember to honour them. The router carries them, it does not
// read them.
type Options struct {
	QoS               byte // maximum QoS granted
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	Identifier        uint32 // Subscription Identifier, 0 for none
}

// Match is one subscription that matches a topic.
type Match[S comparable] struct {
	Subscriber S
	Options    Options
}

// wideList is the length from which a list keeps the place of every
// subscriber; below, looking through it is as fast and costs no memory.
const wideList = 32

// list holds subscriptions without order, one for every subscriber. Adding,
// replacing and removing take constant time however long it is. Guarded by
// whoever owns it.
type list[S comparable] struct {
	items []Match[S]
	place table[S, uint32] // index in items; in use while m is not nil
}

func (l *list[S]) find(s S) int {
	if l.place.m != nil {
		if i, ok := l.place.m[s]; ok {
			return int(i)
		}
		return -1
	}
	for i := range l.items {
		if l.items[i].Subscriber == s {
			return i
		}
	}
	return -1
}

// put adds or replaces the subscription of s. existed tells that there was one,
// changed that the list is different now.
func (l *list[S]) put(s S, o Options) (existed, changed bool) {
	if i := l.find(s); i >= 0 {
		changed = l.items[i].Options != o
		l.items[i].Options = o
		return true, changed
	}
	l.items = append(l.items, Match[S]{s, o})
	switch {
	case l.place.m != nil:
		l.place.put(s, uint32(len(l.items)-1))
	case len(l.items) > wideList:
		for i := range l.items {
			l.place.put(l.items[i].Subscriber, uint32(i))
		}
	}
	return false, true
}

func (l *list[S]) remove(s S) (existed bool) {
	i := l.find(s)
	if i < 0 {
		return false
	}
	l.items = swapRemove(l.items, i)
	switch {
	case l.place.m == nil:
	case len(l.items) <= wideList/2:
		l.place = table[S, uint32]{}
	default:
		l.place.remove(s)
		if i < len(l.items) {
			l.place.put(l.items[i].Subscriber, uint32(i))
		}
	}
	return true
}

// entry is everything subscribed to one Topic Filter. A single ordinary
// subscription, by far the most frequent case, lies inline; anything else is
// behind crowd, and then single is zero. The zero value has no subscription.
//
// An entry is a comparable value of 24 bytes (for a pointer-sized subscriber). It
// lies in the nodes of a tree; an exactShard, which has a million of them, keeps the
// two halves apart. Guarded by the lock of the shard that holds it.
type entry[S comparable] struct {
	single single[S]
	crowd  *crowd[S]
}

// single is a Match that may be absent, in no more space than a Match.
type single[S comparable] struct {
	subscriber          S
	identifier          uint32
	qos, retainHandling byte
	flags               singleFlags
}

type singleFlags byte

const (
	present singleFlags = 1 << iota
	noLocal
	retainAsPublished
)

func makeSingle[S comparable](s S, o Options) single[S] {
	p := single[S]{s, o.Identifier, o.QoS, o.RetainHandling, present}
	if o.NoLocal {
		p.flags |= noLocal
	}
	if o.RetainAsPublished {
		p.flags |= retainAsPublished
	}
	return p
}

func (p *single[S]) present() bool { return p.flags&present != 0 }

func (p *single[S]) match() Match[S] {
	return Match[S]{p.subscriber, Options{
		QoS:               p.qos,
		NoLocal:           p.flags&noLocal != 0,
		RetainAsPublished: p.flags&retainAsPublished != 0,
		RetainHandling:    p.retainHandling,
		Identifier:        p.identifier,
	}}
}

// crowd is an entry that outgrew its inline place.
type crowd[S comparable] struct {
	subs   list[S]
	groups groupList[S]
}

// change says what a subscribe or unsubscribe did to an entry.
type change struct {
	existed bool // there was such a subscription
	visible bool // matches that were made earlier differ from those made now
}

func (e *entry[S]) empty() bool { return !e.single.present() && e.crowd == nil }

// subscribe adds or replaces one subscription; group is "" for an ordinary one.
func (e *entry[S]) subscribe(group, filter string, s S, o Options) change {
	if group == "" && e.crowd == nil && (!e.single.present() || e.single.subscriber == s) {
		before := e.single
		e.single = makeSingle(s, o)
		return change{existed: before.present(), visible: e.single != before}
	}
	e.spread()
	if group == "" {
		existed, changed := e.crowd.subs.put(s, o)
		return change{existed, changed}
	}
	g := e.crowd.groups.find(group)
	created := g == nil
	if created {
		g = &Group[S]{name: group, filter: filter}
		e.crowd.groups.add(g)
	}
	// A change inside a group is seen by everyone who holds the group already.
	return change{existed: g.put(s, o), visible: created}
}

// unsubscribe removes one subscription and leaves the entry in its smallest form.
func (e *entry[S]) unsubscribe(group string, s S) change {
	switch {
	case e.crowd == nil:
		if group != "" || !e.single.present() || e.single.subscriber != s {
			return change{}
		}
		*e = entry[S]{}
		return change{true, true}
	case group == "":
		if !e.crowd.subs.remove(s) {
			return change{}
		}
		e.gather()
		return change{true, true}
	}
	g := e.crowd.groups.find(group)
	if g == nil {
		return change{}
	}
	existed, left := g.remove(s)
	if left > 0 {
		return change{existed: existed}
	}
	e.crowd.groups.remove(g)
	e.gather()
	return change{true, true}
}

// spread moves the inline subscription into a crowd.
func (e *entry[S]) spread() {
	if e.crowd != nil {
		return
	}
	c := new(crowd[S])
	if e.single.present() {
		m := e.single.match()
		c.subs.put(m.Subscriber, m.Options)
	}
	*e = entry[S]{crowd: c}
}

// gather is the opposite of spread, done when the crowd is small enough.
func (e *entry[S]) gather() {
	subs := e.crowd.subs.items
	switch {
	case len(e.crowd.groups.items) > 0 || len(subs) > 1:
	case len(subs) == 1:
		*e = entry[S]{single: makeSingle(subs[0].Subscriber, subs[0].Options)}
	default:
		*e = entry[S]{}
	}
}

// group looks a group up by name; nil if there is none.
func (e *entry[S]) group(name string) *Group[S] {
	if e.crowd == nil {
		return nil
	}
	return e.crowd.groups.find(name)
}

// appendTo adds everything in e to m.
func (e *entry[S]) appendTo(m *Matches[S]) {
	before := len(m.Subs)
	switch {
	case e.single.present():
		m.Subs = append(m.Subs, e.single.match())
	case e.crowd != nil:
		m.Subs = append(m.Subs, e.crowd.subs.items...)
		m.Groups = append(m.Groups, e.crowd.groups.items...)
	default:
		return
	}
	if before > 0 && len(m.Subs) > before {
		m.Overlapping = true
	}
}

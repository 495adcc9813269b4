package router

// Stats counts what a Router holds at about one moment: shards are asked one
// after the other.
type Stats struct {
	Subscriptions       int // ordinary ones
	SharedSubscriptions int // members of groups, all together
	ExactFilters        int // different filters without a wildcard
	WildcardFilters     int // different filters with a wildcard
	Nodes               int // of the trees
}

// Stats counts what the router holds.
func (r *Router[S]) Stats() Stats {
	var s Stats
	for i := range r.exact {
		r.exact[i].addTo(&s)
	}
	for i := range r.trees {
		r.trees[i].addTo(&s)
	}
	r.front.addTo(&s)
	return s
}

// counts are the subscriptions of one shard, guarded by its lock.
type counts struct{ ordinary, shared int }

func (n *counts) subscribed(group string, c change) {
	if !c.existed {
		n.add(group, 1)
	}
}

func (n *counts) unsubscribed(group string, c change) {
	if c.existed {
		n.add(group, -1)
	}
}

func (n *counts) add(group string, delta int) {
	if group == "" {
		n.ordinary += delta
	} else {
		n.shared += delta
	}
}

func (n *counts) addTo(s *Stats) {
	s.Subscriptions += n.ordinary
	s.SharedSubscriptions += n.shared
}

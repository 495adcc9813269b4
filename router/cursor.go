package router

// Cursor is how far a walk over the retained values that match one filter has
// come. It holds no lock, no memory of the index and no snapshot, and may be
// kept for as long as it takes to deliver. A copy is a cursor of its own. Not
// safe for concurrent use.
type Cursor struct {
	filter string
	extent extent

	// The walk goes on in this shard with the first topic >= from, or > from if
	// beyond is set.
	shard  int
	from   string
	beyond bool
	done   bool
}

// extent is how much of the index a cursor has to visit.
type extent uint8

const (
	matching extent = iota // every shard, what matches the filter
	oneTopic               // the one topic that equals the filter
	all                    // every topic
)

// NewCursor returns a cursor at the beginning for a valid Topic Filter, given
// without "$share/name/".
func NewCursor(filter string) Cursor {
	if !hasWildcard(filter) {
		return Cursor{filter: filter, extent: oneTopic, from: filter}
	}
	c := Cursor{filter: filter}
	c.rewind(0)
	return c
}

// NewCursorAll returns a cursor over every topic, also those that begin with '$'
// and that no wildcard reaches.
func NewCursorAll() Cursor { return Cursor{extent: all} }

const (
	// examinedPerVisit bounds a call of Next: with max visits wanted it looks at
	// no more than max*examinedPerVisit topics that do not match.
	examinedPerVisit = 16

	// cursorBatch is how many values are taken under one lock.
	cursorBatch = 32

	// cursorProbe is how many neighbours are looked at before seeking, which
	// costs about as much.
	cursorProbe = 4
)

// Next goes on with the walk of c and calls visit for at most max values, in no
// particular order. It returns whether there may be more; it can do so after no
// visit at all, since it also bounds how many topics it looks at.
//
// When visit returns false the walk stops and that value is not consumed: the
// next call begins with the same topic again, with the value it has then.
//
// visit is called without a lock and may use r; the value it gets may have been
// replaced a moment ago. A topic that exists during the whole walk is consumed
// exactly once, one that comes or goes meanwhile at most once. A cursor belongs
// to the index it was first used with.
func (r *Retained[V]) Next(c *Cursor, max int, visit func(topic string, v V) bool) (more bool) {
	var room [cursorBatch]btreeItem[V]
	if max < 1 {
		max = 1
	}
	for examine := max * examinedPerVisit; max > 0 && examine > 0 && !c.done; {
		before := c.shard
		found := r.take(c, room[:min(max, len(room))], &examine)
		for i := range room[:found] {
			if !visit(room[i].topic, room[i].value) {
				c.shard, c.from, c.beyond, c.done = before, room[i].topic, false, false
				return true
			}
		}
		max -= found
	}
	return !c.done
}

// take fills room with the next values of one shard and moves c behind them, or
// to the next shard when the shard has no more. It returns how many it found.
func (r *Retained[V]) take(c *Cursor, room []btreeItem[V], examine *int) (found int) {
	if c.extent == oneTopic {
		c.done = true
		v, ok := r.Get([]byte(c.filter))
		if !ok {
			return 0
		}
		room[0] = btreeItem[V]{c.filter, v}
		return 1
	}
	shard := &r.shards[c.shard]
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	*examine--
	var walk btreeWalk[V]
	walk.seek(&shard.tree, c.from, c.beyond)
	for ; walk.valid(); *examine-- {
		if found == len(room) || *examine <= 0 {
			return found
		}
		item := walk.item()
		next, ok := c.skip(item.topic)
		if !ok {
			break
		}
		c.from, c.beyond = next, false
		if next == item.topic {
			room[found], c.beyond = *item, true
			found++
			walk.forward()
			continue
		}
		walk.advance(&shard.tree, next)
	}
	c.rewind(c.shard + 1)
	c.done = c.shard == len(r.shards)
	return found
}

// advance goes forward to the first item with a topic >= to.
func (w *btreeWalk[V]) advance(t *btree[V], to string) {
	for range cursorProbe {
		w.forward()
		if !w.valid() || w.item().topic >= to {
			return
		}
	}
	w.seek(t, to, false)
}

func (c *Cursor) skip(topic string) (next string, ok bool) {
	if c.extent == all {
		return topic, true
	}
	return Skip(c.filter, topic)
}

// rewind puts c at the beginning of a shard.
func (c *Cursor) rewind(shard int) {
	c.shard, c.from, c.beyond = shard, "", false
	if c.extent == matching {
		c.from = place(0).forced(c.filter)
	}
}

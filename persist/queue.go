package persist

import (
	"slices"
	"sort"
)

// queue is what the committer knows of what one session is owed: which chunks there are, not what is in them. There is none
// for a session that is owed nothing.
type queue struct {
	sid    uint64
	chunks []chunk // ascending from head on; those with nothing owed are gone from the store
	head   int
	dead   int          // how many of these behind head
	marks  []*marks     // of chunks, by number
	free   []uint32     // numbers that are not in use
	next   *chunkWriter // the chunk of the batch that is being written; nil: none
}

// chunk is one chunk in the store.
type chunk struct {
	first uint64
	owed  uint16 // deliveries not settled
	span  uint16 // distance of the last sequence number from the first
	marks uint32 // number in queue.marks plus 1; 0: nothing is settled alone
}

func (q *queue) live() []chunk { return q.chunks[q.head:] }

// find returns the chunk that has the delivery seq, nil if there is none. Of chunks that overlap, which they do when a session begins again
// with the number after the last one that was owed, the later one has it: in the earlier one it is settled.
func (q *queue) find(seq uint64) *chunk {
	live := q.live()
	i := 0
	if len(live) > 1 && live[1].first <= seq {
		i = sort.Search(len(live), func(i int) bool { return live[i].first > seq }) - 1
	}
	if i >= len(live) {
		return nil
	}
	c := &live[i]
	if seq < c.first || seq-c.first > uint64(c.span) || c.owed == 0 {
		return nil
	}
	return c
}

// of returns the marks of c, made if there are none.
func (q *queue) of(c *chunk) *marks {
	if c.marks == 0 {
		if n := len(q.free); n > 0 {
			c.marks = q.free[n-1] + 1
			q.free = q.free[:n-1]
			*q.marks[c.marks-1] = marks{}
		} else {
			q.marks = append(q.marks, &marks{})
			c.marks = uint32(len(q.marks))
		}
	}
	return q.marks[c.marks-1]
}

// drop forgets c, of which nothing is owed any more.
func (q *queue) drop(c *chunk) {
	if c.marks > 0 {
		q.free = append(q.free, c.marks-1)
		c.marks = 0
	}
	q.dead++
	for q.head < len(q.chunks) && q.chunks[q.head].owed == 0 {
		q.head++
		q.dead--
	}
	switch live := len(q.chunks) - q.head; {
	case live == 0:
		q.chunks, q.head = q.chunks[:0], 0
		if cap(q.chunks) > 64 {
			q.chunks = nil
		}
	case q.dead > 64 && q.dead > live/2: // behind one that stays
		q.chunks = slices.DeleteFunc(q.chunks[q.head:], func(c chunk) bool { return c.owed == 0 })
		q.head, q.dead = 0, 0
	case q.head > 64 && q.head > live:
		q.chunks = append(make([]chunk, 0, live+live/4), q.live()...)
		q.head = 0
	}
}

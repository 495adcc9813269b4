package bench

// dueQueue has the publisher first whose message is due first: a binary heap. It is
// container/heap without the calls through an interface, which would be half of what a
// message costs here.
type dueQueue []*source

func (q *dueQueue) push(s *source) {
	h := append(*q, s)
	at := len(h) - 1
	for at > 0 {
		parent := (at - 1) / 2
		if h[parent].due <= s.due {
			break
		}
		h[at], at = h[parent], parent
	}
	h[at] = s
	*q = h
}

// pop takes the first out.
func (q *dueQueue) pop() {
	h := *q
	last := len(h) - 1
	h[0], h[last] = h[last], nil
	*q = h[:last]
	q.sink()
}

// sink puts the first, which is due later than it was, in its place.
func (q dueQueue) sink() {
	if len(q) == 0 {
		return
	}
	s, at := q[0], 0
	for {
		child := 2*at + 1
		if child >= len(q) {
			break
		}
		if right := child + 1; right < len(q) && q[right].due < q[child].due {
			child = right
		}
		if s.due <= q[child].due {
			break
		}
		q[at], at = q[child], child
	}
	q[at] = s
}

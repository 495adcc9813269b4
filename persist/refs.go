package persist

// refCounts counts how many deliveries refer to each message with a key of its own. Ids are given out in order and mostly given back in
// order, so that the counts of neighbours are wanted together: they are in pages, and the page used last is at hand.
type refCounts struct {
	pages  map[uint64]*refPage
	number uint64 // of page
	page   *refPage
	n      int // messages with a count
}

type refPage struct {
	used   int
	counts [refPageSize]uint32
}

const refPageSize = 256

// at returns the page of id, nil if there is none.
func (r *refCounts) at(id uint64) *refPage {
	if number := id / refPageSize; r.page == nil || r.number != number {
		r.number, r.page = number, r.pages[number]
	}
	return r.page
}

func (r *refCounts) get(id uint64) uint32 {
	if p := r.at(id); p != nil {
		return p.counts[id%refPageSize]
	}
	return 0
}

// add counts n more, at least 1.
func (r *refCounts) add(id uint64, n uint32) {
	p := r.at(id)
	if p == nil {
		if r.pages == nil {
			r.pages = make(map[uint64]*refPage)
		}
		p = &refPage{}
		r.pages[r.number], r.page = p, p
	}
	c := &p.counts[id%refPageSize]
	if *c == 0 {
		p.used++
		r.n++
	}
	*c += n
}

// drop counts one less, and tells whether that was the last. Of what is not counted nothing is the last.
func (r *refCounts) drop(id uint64) (last bool) {
	p := r.at(id)
	if p == nil {
		return false
	}
	c := &p.counts[id%refPageSize]
	if *c == 0 {
		return false
	}
	if *c--; *c > 0 {
		return false
	}
	r.n--
	if p.used--; p.used == 0 {
		delete(r.pages, r.number)
		r.page = nil
	}
	return true
}

// each visits all counts.
func (r *refCounts) each(visit func(id uint64, n uint32)) {
	for number, p := range r.pages {
		for i, n := range p.counts {
			if n > 0 {
				visit(number*refPageSize+uint64(i), n)
			}
		}
	}
}

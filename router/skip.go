package router

// Skip tells a walk over sorted topics where to go on. If key matches filter it
// returns key itself. Otherwise it returns a next > key such that no topic s
// with key <= s < next matches, and ok false if no topic >= key matches at all.
// Order is bytewise, as strings compare. next need not be a topic, nor valid
// UTF-8; it is a place to seek to. It is the furthest such place that does not
// depend on how topics go on behind a wildcard: topics that match "+/b" and
// begin with "x" have no smallest one, so "x" itself is answered for them.
//
// filter must be a valid Topic Filter without "$share/name/"; the rule for '$'
// holds [MQTT-4.7.2-1]. Skip is pure, so that any ordered index can use it.
//
// How it works. A filter is a deterministic automaton over bytes. A literal byte
// admits only itself. '+' admits every byte, '/' leads on to the next level. '#'
// admits everything for ever. Skip runs key through the automaton and remembers
// the last place where it would have admitted a greater byte than the key has.
// When a byte is refused, no match has the key as its beginning up to there, and
// the next one is: the key up to the remembered place, that greater byte, and
// the literal bytes that must follow it.
func Skip(filter, key string) (next string, ok bool) {
	var (
		at     place // in filter
		kept   = -1  // how much of key the branch keeps, -1: no branch yet
		branch byte  // the greater byte behind it
	)
	for i := range len(key) {
		if at.endless(filter) && !(i == 0 && key[0] == '$') {
			return key, true
		}
		if greater, ok := at.above(filter, key[i], i == 0); ok {
			kept, branch = i, greater
		}
		var admitted bool
		if at, admitted = at.step(filter, key[i], i == 0); !admitted {
			return branchOff(filter, key, kept, branch)
		}
	}
	if at.accepts(filter) {
		return key, true
	}
	if forced := at.forced(filter); forced != "" {
		return key + forced, true
	}
	return key + "\x00", true // the first string behind key
}

// branchOff returns where matches go on that share kept bytes with key.
func branchOff(filter, key string, kept int, greater byte) (next string, ok bool) {
	if kept < 0 {
		return "", false
	}
	var at place
	for i := range kept {
		at, _ = at.step(filter, key[i], i == 0)
	}
	at, _ = at.step(filter, greater, kept == 0)
	return key[:kept] + string([]byte{greater}) + at.forced(filter), true
}

// place is a state of the automaton: how many bytes of the filter are behind it.
// It stays at a '+' for as long as that level lasts.
type place int

func (at place) on(filter string, wildcard byte) bool {
	return int(at) < len(filter) && filter[at] == wildcard
}

// endless reports that '#' is reached.
func (at place) endless(filter string) bool { return at.on(filter, '#') }

// accepts reports whether a topic may end here.
func (at place) accepts(filter string) bool {
	if at.on(filter, '+') {
		at++
	}
	rest := filter[at:]
	return rest == "" || rest == "#" || rest == "/#"
}

// admits reports whether a topic may go on with b. first tells that b is the
// first byte of the topic, where no wildcard admits '$' [MQTT-4.7.2-1].
func (at place) admits(filter string, b byte, first bool) bool {
	switch {
	case int(at) == len(filter):
		return false
	case at.on(filter, '+'):
		return !(first && b == '$') && !(b == separator && int(at)+1 == len(filter))
	case at.on(filter, '#'):
		return !(first && b == '$')
	}
	return filter[at] == b
}

// step goes on with b.
func (at place) step(filter string, b byte, first bool) (place, bool) {
	switch {
	case !at.admits(filter, b, first):
		return at, false
	case at.on(filter, '#') || at.on(filter, '+') && b != separator:
		return at, true
	case at.on(filter, '+'):
		return at + 2, true
	}
	return at + 1, true
}

// above returns the smallest byte greater than b with which a topic may go on.
func (at place) above(filter string, b byte, first bool) (greater byte, ok bool) {
	if int(at) < len(filter) && !at.on(filter, '+') && !at.on(filter, '#') {
		return filter[at], filter[at] > b
	}
	for next := int(b) + 1; next <= 0xff; next++ {
		if at.admits(filter, byte(next), first) {
			return byte(next), true
		}
		if int(at) == len(filter) {
			break
		}
	}
	return 0, false
}

// forced returns the bytes that every topic has here that does not end here.
func (at place) forced(filter string) string {
	end := int(at)
	for end < len(filter) && filter[end] != '+' && filter[end] != '#' && filter[end:] != "/#" {
		end++
	}
	return filter[at:end]
}

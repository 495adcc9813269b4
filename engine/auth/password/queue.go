package password

import (
	"net/netip"
	"strings"
	"time"

	"github.com/gannetmq/gannet/engine/auth"
)

// question is one password to be checked, for all who asked the same.
type question struct {
	digest   digest // by which it is known among those pending
	user     string
	password []byte
	asked    time.Time
	askers   []func(auth.Answer)
}

// address is what shares a place in the queue: an IPv4 address, the /64 of an IPv6 address, or a name of another kind.
type address struct {
	ip    netip.Addr
	other string
}

// addressOf reads the network address and port of Credentials.
func addressOf(text string) address {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		ip := ap.Addr().Unmap().WithZone("")
		if ip.Is6() {
			if network, err := ip.Prefix(64); err == nil {
				ip = network.Addr()
			}
		}
		return address{ip: ip}
	}
	if colon := strings.LastIndexByte(text, ':'); colon >= 0 {
		text = text[:colon]
	}
	return address{other: text}
}

// queue holds the questions that wait for a worker. Addresses take turns, and each has its questions answered in the order in which they came.
// When the queue is full, whoever has most in it makes room, if the newcomer has less: what an attacker with few addresses sends
// displaces nothing but its own. Every operation takes constant time, so that it can be done on an event loop. It is not
// safe for concurrent use.
type queue struct {
	max      int // questions
	shareMax int // questions of one address
	length   int
	sources  map[address]*source
	turns    []*source   // those with questions, each once; the first is next
	byLength [][]*source // at n those with n questions, in no order
	longest  int         // index of the last of byLength that is not empty, or 0
}

// source is an address with questions in the queue.
type source struct {
	address   address
	questions []*question // oldest first
	place     int         // in its list of byLength
}

func newQueue(max, shareMax int) *queue {
	return &queue{max: max, shareMax: shareMax, sources: make(map[address]*source), byLength: make([][]*source, shareMax+1)}
}

// push adds q. Either it has no place (ok is false), or another question may have lost its own (displaced).
func (u *queue) push(from address, q *question) (displaced *question, ok bool) {
	s := u.sources[from]
	own := 0
	if s != nil {
		own = len(s.questions)
	}
	if own >= u.shareMax {
		return nil, false
	}
	if u.length >= u.max {
		if u.longest <= own+1 { // the exchange would make nobody more equal
			return nil, false
		}
		displaced = u.dropLatest(u.byLength[u.longest][0])
	}
	if s == nil {
		s = &source{address: from}
		u.sources[from] = s
		u.turns = append(u.turns, s)
	} else {
		u.unlist(s)
	}
	s.questions = append(s.questions, q)
	u.length++
	u.list(s)
	return displaced, true
}

// pop takes the next question, nil when there is none.
func (u *queue) pop() *question {
	if u.length == 0 {
		return nil
	}
	s := u.turns[0]
	u.turns[0] = nil // for the collector
	u.turns = u.turns[1:]
	u.unlist(s)
	q := s.questions[0]
	s.questions[0] = nil
	s.questions = s.questions[1:]
	u.length--
	if len(s.questions) == 0 {
		delete(u.sources, s.address)
		return q
	}
	u.list(s)
	u.turns = append(u.turns, s)
	return q
}

// dropLatest takes the latest question of s, which has more than one.
func (u *queue) dropLatest(s *source) *question {
	u.unlist(s)
	last := len(s.questions) - 1
	q := s.questions[last]
	s.questions[last] = nil
	s.questions = s.questions[:last]
	u.length--
	u.list(s)
	return q
}

func (u *queue) list(s *source) {
	n := len(s.questions)
	s.place = len(u.byLength[n])
	u.byLength[n] = append(u.byLength[n], s)
	u.longest = max(u.longest, n)
}

func (u *queue) unlist(s *source) {
	n := len(s.questions)
	list := u.byLength[n]
	last := len(list) - 1
	list[s.place] = list[last]
	list[s.place].place = s.place
	list[last] = nil
	u.byLength[n] = list[:last]
	for u.longest > 0 && len(u.byLength[u.longest]) == 0 {
		u.longest--
	}
}

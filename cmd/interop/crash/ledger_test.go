package crash

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// ledger holds what was published, acknowledged and delivered in one round. Publishers
// and subscribers write it as things happen on the wire; the verdict is read from it.
// Safe for concurrent use.
//
// A stream is one topic: one publisher publishes to it, with one QoS, payloads that begin
// with 1, 2, 3 and so on.
type ledger struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each event
	streams  map[string]*stream
	accounts map[string]*account
	events   [eventKinds]int
	owed     int             // acknowledged messages that somebody has not received yet, over all accounts
	fences   map[string]bool // "subscriber fence"
	faults   []string        // what no figure below counts, in words
	sessions int             // sessions that were granted and not there later
	retained int             // retained messages that were older than an acknowledged one, missing or undead
	subs     int             // subscriptions that were granted and lost, or ended and back
}

type event int

const (
	acked     event = iota // the first PUBACK or PUBREC of a message
	delivered              // a message passed to an application
	connected              // a CONNACK
	eventKinds
)

// stream is the publisher's side of one topic.
type stream struct {
	qos       byte
	published int          // highest number on the wire
	acked     map[int]bool // numbers that the broker has taken over
	lastAcked int
}

// account is what one subscriber, or a shared group as a whole, has received. Each is
// owed every stream.
type account struct {
	name    string
	ordered bool // a shared group has no order
	got     map[string]*receipt
}

type receipt struct {
	times                 map[int]int
	highest               int
	reordered, dup1, dup2 int
}

func newLedger() *ledger {
	return &ledger{
		changed:  make(chan struct{}),
		streams:  map[string]*stream{},
		accounts: map[string]*account{},
		fences:   map[string]bool{},
	}
}

func (l *ledger) open(topic string, qos byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[topic] = &stream{qos: qos, acked: map[int]bool{}}
}

// account makes the account of name, or finds it, for the members of a group share one.
func (l *ledger) account(name string, ordered bool) *account {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[name]
	if a == nil {
		a = &account{name: name, ordered: ordered, got: map[string]*receipt{}}
		l.accounts[name] = a
	}
	return a
}

// tell wakes whoever waits. The caller holds mu.
func (l *ledger) tell() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) happen(kind event) {
	l.events[kind]++
	l.tell()
}

// until waits until condition holds. condition is called with mu held.
func (l *ledger) until(ctx context.Context, condition func() bool) error {
	for {
		l.mu.Lock()
		holds, changed := condition(), l.changed
		l.mu.Unlock()
		if holds {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// touch makes waiters look again at a condition of their own.
func (l *ledger) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tell()
}

func (l *ledger) count(kind event) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[kind]
}

func (l *ledger) connected() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.happen(connected)
}

// published notes a PUBLISH that goes onto the wire, for the first time or again.
func (l *ledger) published(topic string, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.streams[topic]; s != nil {
		s.published = max(s.published, number)
	}
}

// acked notes that the broker has taken the message over.
func (l *ledger) acked(topic string, number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[topic]
	if s == nil || s.acked[number] {
		return
	}
	s.acked[number] = true
	s.lastAcked = max(s.lastAcked, number)
	for _, a := range l.accounts {
		if r := a.got[topic]; r == nil || r.times[number] == 0 {
			l.owed++
		}
	}
	l.happen(acked)
}

// lastAcked is the highest acknowledged number of each stream that ends in suffix and has one.
func (l *ledger) lastAcked(suffix string) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[string]int{}
	for topic, s := range l.streams {
		if strings.HasSuffix(topic, suffix) && s.lastAcked > 0 {
			found[topic] = s.lastAcked
		}
	}
	return found
}

// delivered notes that the application of the subscriber called name, for which a is the
// account, received a message.
func (l *ledger) delivered(a *account, name, topic string, payload []byte, qos byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.happen(delivered)
	if topic == fenceTopic {
		l.fences[name+" "+string(payload)] = true
		return
	}
	s, number := l.streams[topic], numberOf(payload)
	if s == nil || number < 1 || number > s.published {
		l.faults = append(l.faults, fmt.Sprintf("%s received what nobody published: %s %.20q", name, topic, payload))
		return
	}
	r := a.got[topic]
	if r == nil {
		r = &receipt{times: map[int]int{}}
		a.got[topic] = r
	}
	r.times[number]++
	if r.times[number] == 1 && s.acked[number] {
		l.owed--
	}
	switch {
	case r.times[number] > 1 && qos == 2:
		r.dup2++
		l.faults = append(l.faults, fmt.Sprintf("%s received %s %d again with QoS 2", name, topic, number))
	case r.times[number] > 1:
		r.dup1++
	case a.ordered && number < r.highest:
		r.reordered++
		l.faults = append(l.faults, fmt.Sprintf("%s received %s %d after %d", name, topic, number, r.highest))
	default:
		r.highest = number
	}
}

// fault notes in words what went wrong, and counts it where counter is not nil.
func (l *ledger) fault(counter *int, format string, values ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if counter != nil {
		*counter++
	}
	l.faults = append(l.faults, fmt.Sprintf(format, values...))
}

// missingTo names the acknowledged messages that a has not received. The caller holds mu.
func (l *ledger) missingTo(a *account) (lost []string) {
	for topic, s := range l.streams {
		r := a.got[topic]
		for number := range s.acked {
			if r == nil || r.times[number] == 0 {
				lost = append(lost, fmt.Sprintf("%s %d", topic, number))
			}
		}
	}
	return lost
}

// verdict is one line of figures, and in words each broken promise. A QoS 1 message that
// comes twice breaks none.
type verdict struct {
	kills, published, acked, delivered              int
	lost, duplicated1, duplicated2, reordered       int
	retainedWrong, sessionsLost, subscriptionsWrong int
	faults                                          []string
}

func (l *ledger) verdict() verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	v := verdict{
		acked: l.events[acked], delivered: l.events[delivered], lost: l.owed,
		retainedWrong: l.retained, sessionsLost: l.sessions, subscriptionsWrong: l.subs,
		faults: append([]string(nil), l.faults...),
	}
	for _, s := range l.streams {
		v.published += s.published
	}
	for _, a := range l.accounts {
		if lost := l.missingTo(a); len(lost) > 0 {
			v.faults = append(v.faults, fmt.Sprintf("%s never received %d messages, such as %s", a.name, len(lost), lost[0]))
		}
		for _, r := range a.got {
			v.duplicated1 += r.dup1
			v.duplicated2 += r.dup2
			v.reordered += r.reordered
		}
	}
	return v
}

func (v *verdict) add(o verdict) {
	v.kills += o.kills
	v.published += o.published
	v.acked += o.acked
	v.delivered += o.delivered
	v.lost += o.lost
	v.duplicated1 += o.duplicated1
	v.duplicated2 += o.duplicated2
	v.reordered += o.reordered
	v.retainedWrong += o.retainedWrong
	v.sessionsLost += o.sessionsLost
	v.subscriptionsWrong += o.subscriptionsWrong
}

func (v verdict) String() string {
	return fmt.Sprintf("kills=%d published=%d acked=%d delivered=%d lost=%d duplicated(qos1)=%d duplicated(qos2)=%d "+
		"reordered=%d retained-wrong=%d sessions-lost=%d subscriptions-wrong=%d",
		v.kills, v.published, v.acked, v.delivered, v.lost, v.duplicated1, v.duplicated2,
		v.reordered, v.retainedWrong, v.sessionsLost, v.subscriptionsWrong)
}

// numberOf reads the number that a payload begins with; 0 where there is none.
func numberOf(payload []byte) int {
	digits, _, _ := strings.Cut(string(payload), " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}

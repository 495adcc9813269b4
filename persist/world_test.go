package persist

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// store is what every store can do.
type store interface {
	Append(records []session.Record) (ticket uint64)
	Together() sync.Locker
	Read(q session.QueueRead, done func([]session.Record, error))
	Estimate() (sessions, filters int)
	Load(visitor func() func(session.Record) error) error
	OnDurable(tell func(ticket uint64))
	Unavailable() bool
}

// durable waits for tickets.
type durable struct {
	mu   sync.Mutex
	cond sync.Cond
	upTo uint64
}

func newDurable() *durable {
	d := &durable{}
	d.cond.L = &d.mu
	return d
}

func (d *durable) notify(ticket uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ticket <= d.upTo {
		panic(fmt.Sprintf("ticket %d after %d", ticket, d.upTo))
	}
	d.upTo = ticket
	d.cond.Broadcast()
}

func (d *durable) wait(ticket uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.upTo < ticket {
		d.cond.Wait()
	}
}

func (d *durable) newest() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.upTo
}

// openTest opens a small store.
func openTest(t testing.TB, fs vfs.FS, change func(*Options)) (*Pebble, *durable) {
	t.Helper()
	d := newDurable()
	o := Options{FS: fs, MemTableBytes: 1 << 20, CacheBytes: 1 << 20}
	if change != nil {
		change(&o)
	}
	p, err := open("dir/store", o, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	p.OnDurable(d.notify)
	return p, d
}

func closeTest(t testing.TB, p *Pebble) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// line is a record as text, all of it that counts.
func line(r session.Record) string {
	message := func(m *session.Message) string {
		if m == nil {
			return "-"
		}
		return fmt.Sprintf("%q %q %x %d %d %d %v", m.Topic, m.Payload, m.Properties, m.Expires, m.From, m.QoS, m.Retain)
	}
	switch r.Kind {
	case session.SessionPut:
		return fmt.Sprintf("%d session %+v", r.Session, *r.State)
	case session.SubscriptionPut:
		return fmt.Sprintf("%d subscription %q %+v", r.Session, r.Filter, r.Options)
	case session.QueuePut:
		return fmt.Sprintf("%d put %d qos %d retain %v ids %v: %s", r.Session, r.Seq, r.QoS, r.Retain, r.IDs, message(r.Message))
	case session.QueueRelease:
		return fmt.Sprintf("%d release %d", r.Session, r.Seq)
	case session.ReceivedPut:
		return fmt.Sprintf("%d received %d", r.Session, r.ID)
	case session.RetainedPut:
		return "retained " + message(r.Message)
	case session.WillPut:
		w := *r.Will
		w.Message = nil
		return fmt.Sprintf("%d will %+v %s", r.Session, w, message(r.Will.Message))
	}
	return fmt.Sprintf("unexpected kind %d", r.Kind)
}

// load returns what a store holds, sessions by their number, then retained messages by topic.
func load(t testing.TB, s store) (records []session.Record) {
	t.Helper()
	var parts [][]session.Record
	err := s.Load(func() func(session.Record) error {
		part := len(parts)
		parts = append(parts, nil)
		return func(r session.Record) error {
			parts[part] = append(parts[part], r)
			return nil
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	records = slices.Concat(parts...)
	slices.SortStableFunc(records, func(a, b session.Record) int {
		if x, y := a.Kind == session.RetainedPut, b.Kind == session.RetainedPut; x && y {
			return bytes.Compare(a.Message.Topic, b.Message.Topic)
		} else if x != y {
			return cmp.Compare(b.Session, a.Session) // a retained message has no session
		}
		return cmp.Compare(a.Session, b.Session)
	})
	return records
}

func lines(records []session.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, line(r))
	}
	return all
}

// model is what a store should hold: lines by keys that sort as Load visits.
type model map[string]string

func (m model) apply(records []session.Record) {
	for _, r := range records {
		sid := fmt.Sprintf("session %020d", r.Session)
		switch r.Kind {
		case session.SessionPut:
			m[sid+" 0"] = line(r)
		case session.SessionDelete:
			maps.DeleteFunc(m, func(k, _ string) bool { return strings.HasPrefix(k, sid) })
		case session.SubscriptionPut:
			m[sid+" 1 "+r.Filter] = line(r)
		case session.SubscriptionDelete:
			delete(m, sid+" 1 "+r.Filter)
		case session.QueuePut, session.QueueRelease:
			m[fmt.Sprintf("%s 2 %020d", sid, r.Seq)] = line(r)
		case session.QueueDelete:
			delete(m, fmt.Sprintf("%s 2 %020d", sid, r.Seq))
		case session.ReceivedPut:
			m[fmt.Sprintf("%s 3 %05d", sid, r.ID)] = line(r)
		case session.ReceivedDelete:
			delete(m, fmt.Sprintf("%s 3 %05d", sid, r.ID))
		case session.RetainedPut:
			m["with topic "+string(r.Message.Topic)] = line(r)
		case session.RetainedDelete:
			delete(m, "with topic "+r.Filter)
		case session.WillPut:
			m[sid+" 4"] = line(r)
		case session.WillDelete:
			delete(m, sid+" 4")
		}
	}
}

func (m model) lines() []string {
	var all []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[k])
	}
	return all
}

// world makes up records as a broker would append them.
type world struct {
	rnd      *rand.Rand
	hints    bool // a QueueDelete names its message
	sessions []*worldSession
	topics   map[string]bool
	nextID   uint64
	n        int
}

type worldSession struct {
	id       uint64
	nextSeq  uint64
	queue    map[uint64]*session.Message // nil: released
	subs     map[string]bool
	received map[uint16]bool
	will     bool
}

func newWorld(seed uint64) *world {
	rnd := rand.New(rand.NewPCG(seed, 7))
	return &world{rnd: rnd, hints: rnd.IntN(2) == 0, topics: map[string]bool{}}
}

// resume takes up what a store holds, as a broker that restarts.
func (w *world) resume(records []session.Record) {
	w.sessions, w.topics = nil, map[string]bool{}
	for _, r := range records {
		if r.Kind == session.RetainedPut {
			w.topics[string(r.Message.Topic)] = true
			continue
		}
		if r.Kind == session.SessionPut {
			w.newSession(r.Session)
		}
		s := w.sessions[len(w.sessions)-1]
		switch r.Kind {
		case session.SubscriptionPut:
			s.subs[r.Filter] = true
		case session.QueuePut, session.QueueRelease:
			s.queue[r.Seq] = r.Message
			s.nextSeq = r.Seq + 1
		case session.ReceivedPut:
			s.received[r.ID] = true
		case session.WillPut:
			s.will = true
		}
	}
}

func (w *world) newSession(id uint64) *worldSession {
	s := &worldSession{id: id, nextSeq: 1, queue: map[uint64]*session.Message{}, subs: map[string]bool{}, received: map[uint16]bool{}}
	w.sessions = append(w.sessions, s)
	w.nextID = max(w.nextID, id)
	return s
}

func (w *world) message(topic string) *session.Message {
	w.n++
	m := session.Message{Topic: []byte(topic), Payload: fmt.Appendf(nil, "message %d", w.n), QoS: codec.QoS(w.rnd.IntN(3)), Retain: w.rnd.IntN(2) == 0}
	if w.rnd.IntN(3) == 0 {
		m.Payload = append(m.Payload, make([]byte, w.rnd.IntN(3000))...)
	}
	if w.rnd.IntN(3) == 0 {
		m.Properties, m.Expires, m.From = []byte{1, 2, 3}, session.Time(w.rnd.Int64()), w.rnd.Uint64()
	}
	return m.Keep()
}

// step returns the records of one thing that happens: one slice for each Append.
func (w *world) step() (appends [][]session.Record) {
	add := func(records ...session.Record) { appends = append(appends, records) }
	if len(w.sessions) == 0 || w.rnd.IntN(40) == 0 {
		s := w.newSession(w.nextID + 1 + uint64(w.rnd.IntN(3)))
		add(session.Record{Kind: session.SessionPut, Session: s.id, State: w.state(s)})
		return appends
	}
	s := w.sessions[w.rnd.IntN(len(w.sessions))]
	switch n := w.rnd.IntN(100); {
	case n < 35:
		m := w.message("t")
		for _, to := range w.sessions {
			if w.rnd.IntN(3) > 0 {
				continue
			}
			r := session.Record{Kind: session.QueuePut, Session: to.id, Seq: to.nextSeq, QoS: codec.QoS(1 + w.rnd.IntN(2)), Retain: w.rnd.IntN(2) == 0, Message: m}
			for range w.rnd.IntN(3) {
				r.IDs = append(r.IDs, 1+w.rnd.Uint32N(1<<28))
			}
			to.queue[to.nextSeq] = m
			to.nextSeq++
			add(r)
		}
	case n < 70:
		var all []session.Record
		for range 1 + w.rnd.IntN(4) {
			all = append(all, w.acknowledge(s)...)
		}
		add(all...)
	case n < 75:
		add(session.Record{Kind: session.SessionPut, Session: s.id, State: w.state(s)})
	case n < 80:
		filter := []string{"a", "a/#", "+/b", "$share/g/a", "\xff"}[w.rnd.IntN(5)]
		if s.subs[filter] && w.rnd.IntN(2) == 0 {
			delete(s.subs, filter)
			add(session.Record{Kind: session.SubscriptionDelete, Session: s.id, Filter: filter})
			break
		}
		s.subs[filter] = true
		add(session.Record{Kind: session.SubscriptionPut, Session: s.id, Filter: filter, Options: session.SubscriptionOptions{
			QoS: codec.QoS(w.rnd.IntN(3)), NoLocal: w.rnd.IntN(2) == 0, RetainAsPublished: w.rnd.IntN(2) == 0,
			RetainHandling: byte(w.rnd.IntN(3)), Identifier: w.rnd.Uint32N(1 << 28)}})
	case n < 86:
		id := uint16(w.rnd.IntN(4) * 20000)
		kind := session.ReceivedPut
		if s.received[id] {
			kind = session.ReceivedDelete
		}
		s.received[id] = !s.received[id]
		add(session.Record{Kind: kind, Session: s.id, ID: id})
	case n < 90:
		if s.will = !s.will; !s.will {
			add(session.Record{Kind: session.WillDelete, Session: s.id})
			break
		}
		add(session.Record{Kind: session.WillPut, Session: s.id, Will: &session.Will{Message: w.message("will"), DelaySeconds: w.rnd.Uint32(),
			HasExpiry: true, ExpirySeconds: w.rnd.Uint32(), Due: session.Time(w.rnd.Int64())}})
	case n < 97:
		topic := []string{"r", "r/1", "r/2", "$x"}[w.rnd.IntN(4)]
		if w.topics[topic] && w.rnd.IntN(2) == 0 {
			delete(w.topics, topic)
			add(session.Record{Kind: session.RetainedDelete, Filter: topic})
			break
		}
		w.topics[topic] = true
		add(session.Record{Kind: session.RetainedPut, Message: w.message(topic)})
	default:
		w.sessions = slices.DeleteFunc(w.sessions, func(x *worldSession) bool { return x == s })
		add(session.Record{Kind: session.SessionDelete, Session: s.id})
	}
	return appends
}

// acknowledge moves the oldest delivery of s, or another one, a step on.
func (w *world) acknowledge(s *worldSession) []session.Record {
	if len(s.queue) == 0 {
		return nil
	}
	waiting := slices.Sorted(maps.Keys(s.queue))
	seq := waiting[0]
	if w.rnd.IntN(5) == 0 {
		seq = waiting[w.rnd.IntN(len(waiting))]
	}
	m := s.queue[seq]
	r := session.Record{Session: s.id, Seq: seq, Kind: session.QueueDelete}
	if w.hints {
		r.Message = m
	}
	if m != nil && w.rnd.IntN(4) == 0 {
		s.queue[seq] = nil
		r.Kind = session.QueueRelease
		return []session.Record{r}
	}
	delete(s.queue, seq)
	return []session.Record{r}
}

func (w *world) state(s *worldSession) *session.State {
	return &session.State{ClientID: fmt.Sprint("client ", s.id), UserName: "user", Version: codec.V5, Expiry: w.rnd.Uint32(),
		ExpiresAt: session.Never, Connected: w.rnd.IntN(2) == 0, SentUpTo: s.nextSeq - 1}
}

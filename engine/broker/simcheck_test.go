package broker

import (
	"bytes"
	"fmt"
	"math/bits"
	"slices"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// What a simulation may expect of the broker: who is owed which message, and what ends that.

// simMessage is one application message, published or left as a will.
type simMessage struct {
	n      int // number in the world; begins the payload
	from   *simClient
	topic  string
	qos    codec.QoS
	retain bool
	empty  bool // no payload: clears what is retained

	id       uint16
	state    int // what the publisher knows
	acked    bool
	refused  bool
	tries    int // how often it was sent
	restarts int // how many there were when it was first sent

	owed    uint8 // bits of clients
	group   bool  // somebody of the group of the topic is owed it
	got     [simClients]uint8
	gotOnce uint8 // bits of clients that got it without a session in the store

	will      bool
	due       Time // of a will whose connection is lost: when it is published
	wait      Time
	crashed   bool // there was a crash since
	returned  bool // a CONNECT came before it was due
	cancelled bool // and was acknowledged
}

const (
	simSent      = iota // may or may not have arrived
	simAcked            // PUBREC seen
	simClosed           // nothing left to do
	simAbandoned        // the publisher's session ended
)

var (
	simTopics      = []string{"t/0", "t/1", "t/2", simRetainedByAll}
	simGroupTopics = []string{"g/0", "g/1"}
)

const simRetainedByAll = "retained/all"

func groupFilter(topic string) string { return "$share/x/" + topic }

func (s *sim) anyTopic() string {
	if s.shared && s.rnd.Intn(2) == 0 {
		return simGroupTopics[s.rnd.Intn(len(simGroupTopics))]
	}
	return simTopics[s.rnd.Intn(3)]
}

func (s *sim) newMessage(from *simClient, qos codec.QoS, topic string) *simMessage {
	m := &simMessage{n: len(s.sent) + 1, from: from, qos: qos, topic: topic, restarts: s.restarts}
	s.sent = append(s.sent, m)
	return m
}

func (m *simMessage) payload() []byte {
	if m.empty {
		return nil
	}
	return append(fmt.Append(nil, m.n), bytes.Repeat([]byte{' '}, m.n%5*7)...)
}

func (m *simMessage) packet(v codec.Version, dup bool) []byte {
	return (&codec.Publish{Topic: []byte(m.topic), Payload: m.payload(), QoS: m.qos, PacketID: m.id, Dup: dup, Retain: m.retain}).Append(nil, v)
}

func (m *simMessage) finished() bool { return m.state == simClosed || m.state == simAbandoned }

// owe notes who is owed m if it is acknowledged: who knows of its subscription.
func (s *sim) owe(m *simMessage) {
	m.owed, m.group = 0, s.member(m.topic)
	for _, c := range s.clients {
		if c.subs[m.topic] && !m.empty {
			m.owed |= c.bit
		}
	}
}

// member tells whether somebody is certain to be a member of the group of a topic.
func (s *sim) member(topic string) bool {
	return slices.ContainsFunc(s.clients[:], func(c *simClient) bool { return c.subs[groupFilter(topic)] })
}

// retaining notes that m is to be retained: it or what was before.
func (s *sim) retaining(m *simMessage) {
	if s.retained[m.topic] == nil {
		s.retained[m.topic] = []int{0}
	}
	s.retained[m.topic] = append(s.retained[m.topic], m.n)
	if m.topic == simRetainedByAll {
		s.lastOfAll = m
	}
}

// settled takes note that m was acknowledged or refused.
func (s *sim) settled(m *simMessage) {
	list := s.retained[m.topic]
	i := slices.Index(list, m.n)
	switch {
	case !m.retain || i < 0:
	case m.acked:
		s.retained[m.topic] = list[i:]
	case m.refused && m.tries == 1:
		s.retained[m.topic] = slices.Delete(list, i, i+1)
	}
}

// lost notes that the connection is gone since at.
func (c *simClient) lost(at Time) {
	if c.w == nil {
		return
	}
	c.s.trace("%s lost", c.name)
	end := session.Never
	if h := &c.hello; h.expiry != session.Never {
		end = at + h.expiry
	}
	if c.fresh = c.up; c.up {
		c.endsAt = end
	} else {
		c.endsAt = min(c.endsAt, end)
	}
	if m := c.hello.will; m != nil && c.up {
		m.wait = min(c.hello.delay, c.hello.expiry)
		m.due, m.acked = at+m.wait, true
		if !c.w.Closed { // else that was noted then
			c.s.owe(m)
		}
		c.pending = m
	}
	c.w, c.up, c.late = nil, false, nil
}

// beforeConnect notes what a CONNECT may do at once.
func (c *simClient) beforeConnect(h *simHello) {
	s := c.s
	if m := c.pending; m != nil && !h.clean && s.Now < m.due {
		m.acked, m.returned = false, !m.crashed
	}
	h.mustBeNew = c.fresh && c.endsAt != session.Never && s.Now >= max(c.endsAt, s.restarted+c.hello.expiry)
	c.fresh = false
	if h.clean || s.Now >= c.endsAt {
		c.known, c.stateless = false, true
		c.forgive()
		c.abandon()
	}
	c.cleaning = h.clean
}

// resolveWill notes that a connection is acknowledged: what became of the will of the last one is certain.
func (c *simClient) resolveWill() {
	if m := c.pending; m != nil {
		m.cancelled = m.returned
		c.pending = nil
	}
}

// newSession notes that the client has a session without a past.
func (c *simClient) newSession(volatile bool) {
	c.forgive()
	c.abandon()
	c.rec, c.seen, c.order = map[uint16]bool{}, map[int]bool{}, map[string]int{}
	c.volatile = volatile
}

// abandon gives up what it was publishing.
func (c *simClient) abandon() {
	for _, m := range c.open {
		m.state = simAbandoned
	}
	c.open, c.late = nil, nil
}

// forgive notes that the session may have ended: nothing is owed to it any more.
func (c *simClient) forgive() {
	s := c.s
	c.subs = map[string]bool{}
	for _, m := range s.sent {
		m.owed &^= c.bit
		if !m.group || !c.members[groupFilter(m.topic)] {
			continue
		}
		// QoS 2 that one member has begun goes to no other [MQTT-4.8.2-5], and after a restart nobody knows that a message in
		// flight came through a group.
		if m.qos == codec.QoS2 || s.restarts > m.restarts {
			m.group = false
		}
	}
	s.forgiveGroups()
}

// left notes that the client does not want a subscription any more.
func (c *simClient) left(filter string) {
	delete(c.subs, filter)
	for _, m := range c.s.sent {
		if m.topic == filter && (!m.acked || m.will) {
			m.owed &^= c.bit
		}
	}
	c.s.forgiveGroups()
}

// forgiveGroups notes which groups may have no members: what waited for them is gone.
func (s *sim) forgiveGroups() {
	for _, topic := range simGroupTopics {
		if s.member(topic) {
			continue
		}
		for _, m := range s.sent {
			if m.topic == topic {
				m.group = false
			}
		}
	}
}

// afterCrash notes what a crash may have undone.
func (s *sim) afterCrash() {
	s.trace("crash")
	for _, c := range s.clients {
		if m := c.pending; m != nil {
			m.crashed, m.returned = true, false
			m.due = max(m.due, s.Now+m.wait)
		}
	}
	for _, m := range s.sent {
		if m.will && m.from.volatile {
			m.acked = false // nothing of its session is in the store
		}
		if m.group && slices.ContainsFunc(s.clients[:], func(c *simClient) bool { return c.volatile && c.members[groupFilter(m.topic)] }) {
			m.group = false // it may have been in the hands of one of them
		}
	}
}

func (c *simClient) received(m *simMessage, p *codec.Publish) {
	t := c.s.t
	if m.topic != string(p.Topic) || m.qos != p.QoS || m.empty {
		t.Fatalf("message %d arrived as %s qos %d", m.n, p.Topic, p.QoS)
	}
	c.s.trace("%s got %d topic %s qos %d volatile %v", c.name, m.n, m.topic, m.qos, c.volatile)
	again := c.seen[m.n]
	if c.seen[m.n] = true; again && m.qos == codec.QoS2 {
		t.Fatalf("%s got message %d (%s, qos 2) again", c.name, m.n, m.topic)
	}
	if c.volatile {
		m.gotOnce |= c.bit
	} else {
		m.got[bits.TrailingZeros8(c.bit)]++
	}
	// A message from before the subscription may come late: its publisher may have to send it again after a crash.
	// And what made room in a full queue, or was refused, may come with the next try.
	if again || m.owed&c.bit == 0 || m.will || m.tries > 1 && (c.s.small || c.s.faults) {
		return
	}
	key := fmt.Sprint(m.from.name, m.topic, m.qos)
	if m.n < c.order[key] {
		t.Fatalf("%s got message %d of %s after %d", c.name, m.n, key, c.order[key])
	}
	c.order[key] = m.n
}

// check holds what everybody got against what they were owed.
func (s *sim) check() {
	t := s.t
	var missing []string
	for _, m := range s.sent {
		what := fmt.Sprintf("message %d (%s, qos %d, will %v) of %s", m.n, m.topic, m.qos, m.will, m.from.name)
		total := 0
		for i, c := range s.clients {
			n := int(m.got[i])
			total += n
			if m.qos == codec.QoS2 && n > 1 {
				t.Errorf("%s reached %s %d times", what, c.name, n)
			}
			if m.acked && m.qos > 0 && m.owed&c.bit != 0 && n == 0 && m.gotOnce&c.bit == 0 {
				missing = append(missing, what+" never reached "+c.name)
			}
		}
		got := total > 0 || m.gotOnce != 0
		switch {
		case m.acked && m.group && m.qos > 0 && !got:
			missing = append(missing, what+" reached nobody of its group")
		case m.topic[0] == 'g' && m.qos == codec.QoS2 && total > 1:
			t.Errorf("%s reached members of its group %d times", what, total)
		case m.refused && (m.qos == codec.QoS2 && total > 0 || m.tries == 1 && got):
			t.Errorf("%s was refused, but reached somebody", what)
		case m.cancelled && got:
			t.Errorf("%s was published, though its client had come back in time", what)
		case !m.will && m.qos > 0 && !m.finished():
			t.Errorf("%s was never finished: state %d", what, m.state)
		}
	}
	if len(missing) > int(s.dropped) {
		t.Errorf("%d messages were dropped, but %d are missing: %q", s.dropped, len(missing), missing)
	}
	for topic, candidates := range s.retained {
		w := s.connect(0, connectAs("late-"+topic, codec.V5))
		w.subscribe(topic, 0)
		n := 0
		if f, ok := w.next(); ok {
			var p codec.Publish
			if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Sscan(string(p.Payload), &n)
		}
		if !slices.ContainsFunc(candidates, func(k int) bool { return k == n || n == 0 && k > 0 && s.sent[k-1].empty }) {
			t.Errorf("message %d is retained on %s, not one of %v", n, topic, candidates)
		}
	}
}

// checkStore holds the store against a broker that has nothing left to do: nothing is owed, and the sessions are those of the clients.
func (s *sim) checkStore() {
	t := s.t
	s.store.commit(1 << 20)
	sessions, owners := map[uint64]*client{}, map[uint64]*simClient{}
	for _, c := range s.clients {
		sh, hash := s.b.registry.shard(c.name)
		b := sh.find(hash, c.name)
		if !c.volatile {
			sessions[b.s.ID], owners[b.s.ID] = b, c
		}
		if n, _ := b.s.Queued(); n > 0 || b.s.Inflight() > 0 || b.extra != nil && b.extra.holding {
			t.Errorf("%s: %d queued, %d in flight, holding %v", c.name, n, b.s.Inflight(), b.extra.holding)
		}
	}
	s.store = s.store.restart(s.rnd)
	subscriptions := map[uint64]int{}
	groups := map[uint64]string{}
	err := loadAll(s.store, func(r session.Record) error {
		switch {
		case r.Kind == session.RetainedPut:
		case r.Kind == session.SessionPut && r.State.Group != "":
			groups[r.Session] = r.State.Group
		case r.Kind == session.SubscriptionPut && sessions[r.Session] != nil:
			subscriptions[r.Session]++
		case r.Kind == session.WillPut && owners[r.Session] != nil && owners[r.Session].hello.will != nil:
		case r.Kind != session.SessionPut || sessions[r.Session] == nil:
			t.Errorf("the store still has a record of kind %d of session %d %s", r.Kind, r.Session, groups[r.Session])
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for id, c := range sessions {
		if n := c.s.Subscriptions(); n != subscriptions[id] {
			t.Errorf("%s: %d subscriptions, %d in the store", c.s.ClientID(), n, subscriptions[id])
		}
	}
}

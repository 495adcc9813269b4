package session

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// check holds the session against its invariants. routing says how many QoS 1 PUBLISH wait for Acknowledge.
func (s *Session) check(t testing.TB, routing int) {
	t.Helper()
	if s.phase == ended {
		if s.more != nil || s.will != nil || s.sub0.Filter != "" {
			t.Error("an ended session still holds state")
		}
		return
	}
	m := s.more
	if m == nil {
		m = &more{}
	}
	s.checkSubscriptions(t, m)
	s.checkInflight(t, m)
	s.checkQueue(t, m)
	s.checkReceived(t, m, routing)
	if s.phase == connected {
		if s.will != nil && s.will.Due != 0 {
			t.Error("a will is due while its client is connected")
		}
		if len(m.aliasOut) > int(s.aliasMaximum) || len(m.aliasIn) > int(s.access.aliasLimit(s.cfg)) {
			t.Errorf("%d outbound and %d inbound aliases", len(m.aliasOut), len(m.aliasIn))
		}
		return
	}
	if m.aliasIn != nil || m.aliasOut != nil || m.held != nil || m.method != nil || m.exchange != nil {
		t.Error("state of a connection outlives it")
	}
	if s.phase == parked && s.expiry == 0 && !s.stored { // a restored one may have run out
		t.Error("parked, but its expiry is 0")
	}
	if s.will != nil && (s.will.Due == 0 || s.will.Due > s.mark) {
		t.Error("a will of a parked session is not due in time")
	}
}

func (s *Session) checkSubscriptions(t testing.TB, m *more) {
	seen := map[string]bool{}
	s.eachSubscription(func(sub *Subscription) {
		if sub.Filter == "" || seen[sub.Filter] {
			t.Errorf("subscription %q is empty or there twice", sub.Filter)
		}
		seen[sub.Filter] = true
	})
	if len(seen) != s.Subscriptions() || len(seen) > s.cfg.MaxSubscriptions {
		t.Errorf("%d subscriptions, counted %d, at most %d", len(seen), s.Subscriptions(), s.cfg.MaxSubscriptions)
	}
}

func (s *Session) checkInflight(t testing.TB, m *more) {
	r := &m.inflight
	var last uint64
	live, slots, resend := 0, 0, 0
	for i := range r.n {
		e := r.at(i)
		if e.seq <= last || e.seq >= s.nextSeq {
			t.Errorf("in flight: sequence number %d after %d, next is %d", e.seq, last, s.nextSeq)
		}
		last = e.seq
		if e.state == settledEntry {
			if i == 0 {
				t.Error("in flight: the oldest entry is settled")
			}
			continue
		}
		live++
		if e.state != awaitsResend {
			slots++
		} else if resend++; e.msg == nil {
			t.Error("in flight: an entry to resend has no message")
		}
		if r.find(PacketID(e.seq)) != e {
			t.Errorf("in flight: packet identifier %d does not find its entry", PacketID(e.seq))
		}
	}
	if live != r.live {
		t.Errorf("in flight: %d live entries, counted %d", live, r.live)
	}
	if s.phase == connected && (slots != int(s.open) || resend != int(m.resend)) {
		t.Errorf("in flight: %d slots, counted %d; %d to resend, counted %d", slots, s.open, resend, m.resend)
	}
}

func (s *Session) checkQueue(t testing.TB, m *more) {
	q := &m.queue
	var last uint64
	m.inflight.each(func(e *entry) {
		if e.state != awaitsPubcomp { // which may be ahead after a restart with a smaller window
			last = e.seq
		}
	})
	bytes, qos0, newest := 0, 0, uint64(0)
	for i := range q.n {
		e := q.at(i)
		bytes += e.size()
		if !e.msg.kept {
			t.Error("queue: a message that was not copied")
		}
		if e.qos == codec.QoS0 {
			qos0++ // what follows may come from the store, and be older
			continue
		}
		if e.seq <= last || e.seq >= s.nextSeq {
			t.Errorf("queue: sequence number %d after %d, next is %d", e.seq, last, s.nextSeq)
		}
		last, newest = e.seq, e.seq
	}
	if bytes != q.bytes || qos0 != q.qos0 {
		t.Errorf("queue: %d bytes, counted %d; %d of QoS 0, counted %d", bytes, q.bytes, qos0, q.qos0)
	}
	s.checkBacklog(t, m, newest)
}

func (s *Session) checkBacklog(t testing.TB, m *more, newest uint64) {
	q, b := &m.queue, &m.backlog
	if b.n < 0 || b.bytes < 0 || b.n == 0 && (b.bytes > 0 || b.reading) || b.n > 0 && (!s.durable() || b.first <= newest || b.first >= s.nextSeq) {
		t.Errorf("backlog: %+v behind %d", *b, newest)
	}
	n, bytes := m.queued()
	if over := n > s.cfg.MaxQueuedMessages || bytes > s.cfg.MaxQueuedBytes; over && (!b.reading && q.n > q.qos0 || n > s.cfg.MaxQueuedMessages+maxExcess) {
		t.Errorf("queue: %d messages of %d bytes, and reading %t", n, bytes, b.reading)
	}
	if s.durable() && q.n-q.qos0 > max(1, s.cfg.QueueWindow)+s.cfg.QueueWindow/2 {
		t.Errorf("queue: %d messages in memory with a window of %d", q.n-q.qos0, s.cfg.QueueWindow)
	}
}

func (s *Session) checkReceived(t testing.TB, m *more, routing int) {
	n := 0
	m.received.each(func(id uint16) {
		n++
		if !m.received.has(id) {
			t.Errorf("received: %d is and is not there", id)
		}
	})
	if n != m.received.n {
		t.Errorf("received: %d identifiers, counted %d", n, m.received.n)
	}
	want := n + routing
	ticket := uint64(0)
	for i := range m.held {
		h := &m.held[i]
		if h.ticket < ticket {
			t.Error("held: tickets out of order")
		}
		ticket = h.ticket
		if finishesPublish(h.bytes()) {
			want++
		}
	}
	due := Time(0)
	for i := range m.delayed() {
		h := &m.paced.frames[i]
		if h.due < due {
			t.Error("delayed: out of order")
		}
		if due = h.due; finishesPublish(h.bytes()) {
			want++
		}
	}
	if m.paced != nil && (m.delayed() == 0 || s.phase != connected || !s.cfg.hasRate()) || s.phase != connected && m.meter != (meter{}) {
		t.Errorf("delayed: %d answers, %+v", m.delayed(), m.meter)
	}
	if len(m.held) > s.cfg.MaxHeldAcks {
		t.Errorf("held: %d acknowledgements", len(m.held))
	}
	if s.phase == connected && int(s.receiving) != want {
		t.Errorf("receiving %d, want %d", s.receiving, want)
	}
}

// witness sees what a strict client sees, the wire and nothing else, and knows what it may expect.
type witness struct {
	receiveMaximum int
	maxPacket      int
	aliasMaximum   int
	said           bool                 // CONNACK came
	gone           bool                 // DISCONNECT came
	begun          map[uint16]codec.QoS // PUBLISH of the session not finished, on any connection
	open           map[uint16]bool      // PUBLISH of this connection not finished
	early          map[uint16]bool      // finished before CONNACK came, with what earlier connections had brought
	aliases        map[uint16]string
	restarted      bool // the server may have forgotten what it sent at QoS 1
	unseen         bool // something never came here that the server has sent; it says DUP too often
}

func (w *witness) connected(c *codec.Connect, v codec.Version) {
	begun := w.begun
	if begun == nil {
		begun = map[uint16]codec.QoS{}
	}
	*w = witness{begun: begun, open: map[uint16]bool{}, early: map[uint16]bool{}, aliases: map[uint16]string{}, receiveMaximum: 65535, restarted: w.restarted, unseen: w.unseen}
	if v == codec.V5 {
		w.maxPacket = int(c.Properties.MaximumPacketSize)
		w.aliasMaximum = int(c.Properties.TopicAliasMaximum)
	}
}

func (w *witness) accepted(receiveMaximum uint16) { w.receiveMaximum = int(receiveMaximum) }

// forget: the session is a new one.
func (w *witness) forget() { clear(w.begun) }

// received is told of packets that the client sends.
func (w *witness) received(v codec.Version, f codec.Frame) {
	var a codec.Ack
	switch f.Type {
	case codec.TypePuback, codec.TypePubcomp, codec.TypePubrec:
		if a.Parse(f.Type, v, f.Flags, f.Body) != nil || f.Type == codec.TypePubrec && a.Reason < 0x80 {
			return
		}
		delete(w.open, a.PacketID)
		delete(w.begun, a.PacketID)
		w.early[a.PacketID] = !w.said
	}
}

// sent is told of packets that the client gets.
func (w *witness) sent(t testing.TB, v codec.Version, f codec.Frame) {
	t.Helper()
	if w.maxPacket > 0 && f.Size > w.maxPacket {
		t.Errorf("MQTT-3.1.2-24: %s of %d bytes", f.Type, f.Size)
	}
	if w.gone {
		t.Errorf("MQTT-3.14.4-1: %s after DISCONNECT", f.Type)
	}
	switch f.Type {
	case codec.TypeConnack:
		if w.said {
			t.Error("MQTT-3.2.0-2: a second CONNACK")
		}
		w.said = true
	case codec.TypeAuth:
	case codec.TypeDisconnect:
		w.gone = true
		if !w.said || v != codec.V5 {
			t.Error("MQTT-3.14.0-1: DISCONNECT before CONNACK, or before 5.0")
		}
	case codec.TypePublish:
		w.publish(t, v, f)
		fallthrough
	default:
		if !w.said {
			t.Errorf("MQTT-3.2.0-1: %s before CONNACK", f.Type)
		}
	}
}

func (w *witness) publish(t testing.TB, v codec.Version, f codec.Frame) {
	var p codec.Publish
	if err := p.Parse(v, f.Flags, f.Body); err != nil {
		t.Error(err)
		return
	}
	topic := string(p.Topic)
	if p.Properties.Has(codec.PropTopicAlias) {
		a := p.Properties.TopicAlias
		if int(a) > w.aliasMaximum {
			t.Errorf("MQTT-3.1.2-26: topic alias %d", a)
		}
		if topic == "" {
			topic = w.aliases[a]
		}
		w.aliases[a] = topic
	}
	if topic == "" {
		t.Error("MQTT-3.3.2-7: PUBLISH without a topic")
	}
	if p.QoS == codec.QoS0 {
		return
	}
	if w.early[p.PacketID] && p.Dup {
		delete(w.early, p.PacketID)
		return
	}
	begun := w.begun[p.PacketID]
	forgiven := w.unseen && p.Dup && begun == 0 || w.restarted && begun == codec.QoS1
	if w.open[p.PacketID] || (begun == p.QoS) != p.Dup && !forgiven || begun > 0 && begun != p.QoS && !forgiven {
		t.Errorf("MQTT-2.2.1-4, MQTT-3.3.1-1: PUBLISH %d at QoS %d with DUP %t, begun at QoS %d", p.PacketID, p.QoS, p.Dup, begun)
	}
	w.open[p.PacketID], w.begun[p.PacketID] = true, p.QoS
	if len(w.open) > w.receiveMaximum {
		t.Errorf("MQTT-3.3.4-9: %d PUBLISH open, receive maximum %d", len(w.open), w.receiveMaximum)
	}
}

func (w *witness) check(t testing.TB, s *Session) {
	for id := range w.open {
		if s.more == nil || s.more.inflight.find(id) == nil {
			t.Errorf("the session forgot delivery %d, which its client has not finished", id)
		}
	}
}

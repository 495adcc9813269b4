package broker

import (
	"bytes"
	"fmt"
	"io"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// simClient is a correct MQTT client over a link that may break, most of the time with a session that outlives it.
type simClient struct {
	s    *sim
	bit  uint8
	name string
	v    codec.Version
	recv uint16

	w     *wire
	up    bool // CONNACK seen on w
	hello simHello

	// The session, as far as the client can know.
	known     bool // it must be there until endsAt
	cleaning  bool // no CONNACK has confirmed the end of an old session: Clean Start until one does
	stateless bool // the client has given its own part of it up
	volatile  bool // it was never to outlive its connection
	fresh     bool // no CONNECT since the loss of a connection that had its CONNACK
	endsAt    Time // while there is no connection: when it expires at the earliest
	pending   *simMessage
	subs      map[string]bool    // filters of acknowledged subscriptions
	asked     map[uint16]*simAsk // SUBSCRIBE and UNSUBSCRIBE under way
	open      []*simMessage      // own QoS 1/2 messages not finished, in order
	rec       map[uint16]bool    // inbound QoS 2 awaiting PUBREL
	unack     map[uint16]bool    // deliveries on this connection not yet acknowledged
	late      [][]byte           // own packets not yet handed to the link
	seen      map[int]bool       // messages that this session got
	order     map[string]int     // publisher/topic/qos -> newest number seen

	members map[string]bool // groups that it ever asked to join
}

// simHello is what a CONNECT says.
type simHello struct {
	clean  bool
	expiry Time // Never: no limit
	will   *simMessage
	delay  Time

	mustBeNew bool // the old session has certainly expired
}

// simAsk is a SUBSCRIBE or UNSUBSCRIBE under way.
type simAsk struct {
	filter string
	void   bool // an UNSUBSCRIBE, or overtaken by one
}

// simOpen is how many messages a client has open at most.
const simOpen = 10

func (c *simClient) anyHello() simHello {
	rnd := c.s.rnd
	h := simHello{expiry: session.Never}
	if c.s.ends {
		h.clean = rnd.Intn(8) == 0
		switch n := rnd.Intn(8); {
		case c.v == codec.V5 && n == 0:
			h.expiry = 3000
		case n == 1:
			h.expiry = 0
		}
	}
	h.clean = h.clean || c.cleaning
	if c.v == codec.V311 { // one flag for both
		if h.expiry == 0 {
			h.clean = true
		}
		if h.clean {
			h.expiry = 0
		}
	}
	if c.s.wills && rnd.Intn(2) == 0 {
		h.will = c.s.newMessage(c, codec.QoS(rnd.Intn(3)), append(simTopics, simGroupTopics...)[rnd.Intn(len(simTopics)+len(simGroupTopics))])
		h.will.will = true
		if c.v == codec.V5 {
			h.delay = Time(rnd.Intn(3) * 2000)
		}
	}
	return h
}

// dial connects; if it is connected, the new connection takes its session over.
func (c *simClient) dial(h simHello) {
	s := c.s
	if old := c.w; old != nil {
		late := bytes.Join(c.late, nil)
		c.lost(s.Now)
		defer func() { // something may still be on its way over the old one
			if !old.Closed && s.rnd.Intn(2) == 0 {
				old.send(late)
			}
		}()
	}
	c.beforeConnect(&h)
	c.hello = h
	c.w = s.rig.dial(s.rnd.Intn(len(s.Loops)), true)
	s.links = append(s.links, c.w)
	if w := c.w; h.will != nil {
		w.OnClose = func() {
			if c.w == w { // else it was left before
				s.owe(h.will)
			}
		}
	}
	c.w.v = c.v
	k := &codec.Connect{Version: c.v, ClientID: []byte(c.name), CleanStart: h.clean}
	if c.v == codec.V5 {
		k.Properties.ReceiveMaximum = c.recv
		k.Properties.Set(codec.PropReceiveMaximum)
		k.Properties.SessionExpiryInterval = uint32(h.expiry / 1000)
		if h.expiry == session.Never {
			k.Properties.SessionExpiryInterval = session.NeverExpires
		}
		k.Properties.Set(codec.PropSessionExpiryInterval)
	}
	if m := h.will; m != nil {
		k.HasWill, k.WillTopic, k.WillPayload, k.WillQoS = true, []byte(m.topic), m.payload(), m.qos
		if c.v == codec.V5 {
			k.WillProperties.WillDelayInterval = uint32(h.delay / 1000)
			k.WillProperties.Set(codec.PropWillDelayInterval)
		}
	}
	c.up, c.unack, c.asked = false, map[uint16]bool{}, map[uint16]*simAsk{}
	c.s.trace("%s dials %+v", c.name, h)
	c.w.send(k.Append(nil, c.v))
}

func (c *simClient) cut() {
	w := c.w
	c.lost(c.s.Now)
	if !w.Closed {
		w.Closed = true
		w.loop.Closed(w.conn, io.EOF, c.s.Now)
	}
}

// disconnect leaves in order. Nobody answers, so that a crash may still make it a loss of the connection.
func (c *simClient) disconnect() {
	c.flushLate()
	if c.w == nil || c.w.Closed {
		return
	}
	c.w.send((&codec.Disconnect{}).Append(nil, c.v))
	c.hello.will = nil
	c.lost(c.s.Now)
}

func (c *simClient) write(b []byte) { c.late = append(c.late, b) }

// flushLate hands packets to the link, the last one perhaps in two pieces.
func (c *simClient) flushLate() {
	if c.w == nil || !c.up {
		return
	}
	all := bytes.Join(c.late, nil)
	c.late = nil
	for len(all) > 0 && !c.w.Closed {
		n := 1 + c.s.rnd.Intn(len(all))
		b := bytes.Clone(all[:n])
		c.s.trace("%s sends %x", c.name, b)
		c.w.send(b)
		clear(b) // the broker must not keep what it borrows
		all = all[n:]
	}
}

// id is the lowest one that is free: the sooner it is used again, the worse for a broker that has not forgotten it.
func (c *simClient) id() uint16 {
	for id := uint16(1); ; id++ {
		used := c.asked[id] != nil
		for _, m := range c.open {
			used = used || m.id == id
		}
		if !used {
			return id
		}
	}
}

func (c *simClient) subscribe(filter string) {
	id := c.id()
	c.asked[id] = &simAsk{filter: filter}
	c.members[filter] = true
	c.write((&codec.Subscribe{PacketID: id, Filters: []codec.Subscription{{Filter: []byte(filter), QoS: codec.QoS2}}}).Append(nil, c.v))
}

func (c *simClient) unsubscribe(filter string) {
	for _, a := range c.asked {
		a.void = a.void || a.filter == filter
	}
	id := c.id()
	c.asked[id] = &simAsk{filter: filter, void: true}
	c.left(filter)
	c.write((&codec.Unsubscribe{PacketID: id, Filters: [][]byte{[]byte(filter)}}).Append(nil, c.v))
}

func (c *simClient) publish() {
	s := c.s
	if len(c.open) >= simOpen {
		return
	}
	topic, qos, retain := s.anyTopic(), codec.QoS(s.rnd.Intn(3)), s.rnd.Intn(10) == 0
	if retain {
		// Messages with the same QoS keep their order, also when they are sent again [MQTT-4.6.0-2, -3].
		if topic = fmt.Sprint("retained/", c.name, qos); qos > 0 && s.rnd.Intn(2) == 0 && (s.lastOfAll == nil || s.lastOfAll.finished()) {
			topic = simRetainedByAll
		}
	}
	m := s.newMessage(c, qos, topic)
	m.retain = retain
	m.empty = retain && s.rnd.Intn(5) == 0
	m.tries = 1
	s.owe(m)
	if m.qos > 0 {
		m.id = c.id()
		c.open = append(c.open, m)
	}
	if retain {
		s.retaining(m)
	}
	c.write(m.packet(c.v, false))
}

// read takes packets off the link, some or all of them, and returns how many.
func (c *simClient) read() (n int) {
	for c.w != nil && c.s.rnd.Intn(8) > 0 {
		f, ok := c.w.next()
		if !ok {
			if c.w.Closed {
				c.lost(c.w.endAt)
			}
			return n
		}
		n++
		c.take(f)
	}
	return n
}

func (c *simClient) take(f codec.Frame) {
	c.s.trace("%s takes %v %x", c.name, f.Type, f.Body)
	t := c.s.t
	var a codec.Ack
	switch f.Type {
	case codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp:
		if err := a.Parse(f.Type, c.v, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
	}
	switch f.Type {
	case codec.TypeConnack:
		c.connack(f)
	case codec.TypeSuback, codec.TypeUnsuback:
		id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
		ask := c.asked[id]
		delete(c.asked, id)
		refused := f.Body[len(f.Body)-1] >= byte(codec.UnspecifiedError)
		if refused && (!c.s.faults || f.Type == codec.TypeUnsuback) {
			t.Fatalf("%s: %v refused", c.name, f.Type)
		}
		if !refused && !ask.void {
			c.subs[ask.filter] = true
		}
	case codec.TypePublish:
		var p codec.Publish
		if err := p.Parse(c.v, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
		c.deliver(&p)
	case codec.TypePuback:
		c.finish(&a, codec.QoS1, simClosed)
	case codec.TypePubrec:
		if a.Reason >= codec.UnspecifiedError {
			c.finish(&a, codec.QoS2, simClosed)
			break
		}
		c.finish(&a, codec.QoS2, simAcked)
		c.write([]byte{byte(codec.TypePubrel)<<4 | 2, 2, byte(a.PacketID >> 8), byte(a.PacketID)})
	case codec.TypePubcomp:
		c.finish(&a, codec.QoS2, simClosed)
	case codec.TypePubrel:
		delete(c.rec, a.PacketID)
		delete(c.unack, a.PacketID)
		c.write(codec.AppendPubackShort(nil, codec.TypePubcomp, a.PacketID))
	case codec.TypeDisconnect:
		var d codec.Disconnect
		if err := d.Parse(c.v, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
		if d.Reason != codec.ServerShuttingDown {
			t.Fatalf("%s: DISCONNECT %v %q", c.name, d.Reason, d.Properties.ReasonString)
		}
	default:
		t.Fatalf("%s got %v", c.name, f.Type)
	}
}

func (c *simClient) connack(f codec.Frame) {
	t, present := c.s.t, f.Body[0] == 1
	if code := f.Body[1]; code != 0 {
		if !c.s.faults || c.known || code != byte(codec.ServerUnavailable) && code != 3 {
			t.Fatalf("%s refused: %#x", c.name, code)
		}
		return
	}
	switch {
	case c.known && !present:
		t.Fatalf("the session of %s is gone", c.name)
	case c.hello.clean && present:
		t.Fatalf("%s: Clean Start, but a session was present", c.name)
	case c.hello.mustBeNew && present:
		t.Fatalf("%s: the session had expired, but was present", c.name)
	}
	if c.stateless && present { // [MQTT-3.2.2-4]
		c.cleaning = true
		c.cut()
		return
	}
	if !present {
		c.newSession(c.hello.expiry == 0)
	}
	c.stateless = false
	c.up, c.known, c.cleaning, c.endsAt = true, true, false, session.Never
	c.volatile = c.volatile && c.hello.expiry == 0
	c.resolveWill()
	for _, m := range c.open { // [MQTT-4.4.0-1]
		if m.state == simAcked {
			c.write([]byte{byte(codec.TypePubrel)<<4 | 2, 2, byte(m.id >> 8), byte(m.id)})
		} else {
			m.tries++
			c.write(m.packet(c.v, true))
		}
	}
}

// finish moves an own message on, if the acknowledgement is of its kind.
func (c *simClient) finish(a *codec.Ack, qos codec.QoS, state int) {
	for i, m := range c.open {
		if m.id != a.PacketID || m.qos != qos {
			continue
		}
		if a.Reason >= codec.UnspecifiedError && a.Reason != codec.PacketIdentifierNotFound {
			if a.Reason != codec.QuotaExceeded || !c.s.faults && !c.s.small {
				c.s.t.Fatalf("%s: message %d refused: %v", c.name, m.n, a.Reason)
			}
			m.refused = true
		} else {
			m.acked = true
		}
		if m.state = state; state == simClosed {
			c.open = append(c.open[:i], c.open[i+1:]...)
		}
		c.s.settled(m)
		return
	}
}

func (c *simClient) deliver(p *codec.Publish) {
	t := c.s.t
	if p.QoS > 0 {
		c.unack[p.PacketID] = true
		limit := int(c.s.b.options().Session.MaxInflight)
		if c.v == codec.V5 {
			limit = min(limit, int(c.recv))
		}
		if len(c.unack) > limit {
			t.Fatalf("%s has %d deliveries in flight, of %d", c.name, len(c.unack), limit)
		}
	}
	fresh := true
	switch p.QoS {
	case codec.QoS1:
		delete(c.unack, p.PacketID)
		c.write(codec.AppendPubackShort(nil, codec.TypePuback, p.PacketID))
	case codec.QoS2:
		fresh = !c.rec[p.PacketID]
		c.rec[p.PacketID] = true
		c.write(codec.AppendPubackShort(nil, codec.TypePubrec, p.PacketID))
	}
	if !fresh || p.Retain || len(p.Payload) == 0 { // a retained message comes with every SUBSCRIBE
		return
	}
	var n int
	if _, err := fmt.Sscan(string(p.Payload), &n); err != nil {
		t.Fatal(err)
	}
	c.received(c.s.sent[n-1], p)
}

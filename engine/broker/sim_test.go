package broker

import (
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/persist"
)

var (
	simSeed  = flag.Int64("sim.seed", 0, "run the simulation with this seed only")
	simRuns  = flag.Int("sim.runs", 60, "how many seeds the simulation runs")
	simSteps = flag.Int("sim.steps", 600, "steps of one run")
)

// TestSimulation runs the whole core, from bytes to bytes, with clients that publish, acknowledge late, lose their links and come
// back, on loops that turn in any order, over a store that commits when it likes and crashes. Everything follows from a seed.
//
// Checked: what was acknowledged reaches every subscriber that was told of its subscription; QoS 2 arrives once; messages of one
// publisher on one topic keep their order; no more is in flight than the Receive Maximum allows; an acknowledged session
// is there again; the retained message is the last one acknowledged.
func TestSimulation(t *testing.T) {
	if *simSeed != 0 {
		runSim(t, *simSeed, *simSteps)
		return
	}
	for seed := int64(1); seed <= int64(*simRuns); seed++ {
		if !t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { runSim(t, seed, *simSteps) }) {
			t.Fatalf("replay with -run TestSimulation -sim.seed %d", seed)
		}
	}
}

// sim is the world of one run.
type sim struct {
	*rig
	rnd     *rand.Rand
	store   *persist.Memory
	clients []*simClient
	sent    []*simMessage
	crashes bool
	last    map[string]int // retained topic -> number of the newest retained message that was sent
}

// simMessage is one published application message.
type simMessage struct {
	n     int // number in the world; the payload
	from  *simClient
	topic string
	qos   codec.QoS
	id    uint16
	state int // what the publisher knows
	owed  []*simClient
}

const (
	simSent   = iota // may or may not have arrived
	simAcked         // PUBACK or PUBREC seen
	simClosed        // nothing left to do
)

// simClient is a correct MQTT client with a durable session, over a link that may break.
type simClient struct {
	s     *sim
	name  string
	w     *wire
	up    bool // CONNACK seen on w
	known bool // some CONNACK was seen: the session must be there from then on
	v     codec.Version
	recv  uint16
	subs  map[string]bool // topics of acknowledged subscriptions
	asked map[uint16]string
	open  []*simMessage   // own QoS 1/2 messages not finished, in order
	rec   map[uint16]bool // inbound QoS 2 awaiting PUBREL
	unack map[uint16]bool // deliveries on this connection not yet acknowledged
	late  [][]byte        // own packets not yet handed to the link
	got   map[int]int     // message -> times passed to the application
	order map[string]int  // publisher/topic/qos -> newest number seen
}

var simTopics = []string{"t/0", "t/1", "t/2"}

func runSim(t *testing.T, seed int64, steps int) {
	s := &sim{rnd: rand.New(rand.NewSource(seed)), store: &persist.Memory{Manual: true}, last: map[string]int{}}
	s.rig = newRigWithStore(t, 1+s.rnd.Intn(3), s.store, func(o *Options) {
		o.WideFanout = 2 + s.rnd.Intn(4)
		o.Session.MaxInflight = uint16(1 + s.rnd.Intn(20))
		o.Session.QueueWindow = 1 + s.rnd.Intn(8)
		if s.rnd.Intn(2) == 0 {
			o.MaxOutboundBytes = 100
		}
	})
	for i := range 5 {
		c := &simClient{s: s, name: fmt.Sprint("c", i), v: []codec.Version{codec.V311, codec.V5}[i%2], recv: uint16(1 + s.rnd.Intn(10)),
			subs: map[string]bool{}, rec: map[uint16]bool{}, got: map[int]int{}, order: map[string]int{}}
		s.clients = append(s.clients, c)
	}
	s.crashes = s.rnd.Intn(2) == 0
	for range steps {
		s.step()
	}
	s.finish()
}

func (s *sim) step() {
	c := s.clients[s.rnd.Intn(len(s.clients))]
	switch n := s.rnd.Intn(100); {
	case n < 20:
		s.turnOne()
	case n < 32:
		s.b.Durable(s.store.Commit(1 + s.rnd.Intn(5)))
	case n < 35:
		s.now += Time(s.rnd.Intn(2000))
	case n == 35 && s.crashes && s.rnd.Intn(4) == 0:
		s.crash()
	case c.w == nil:
		c.dial()
	case !c.up:
		c.read()
	case n < 40:
		c.cut()
	case n < 45:
		c.subscribe(simTopics[s.rnd.Intn(len(simTopics))])
	case n < 65:
		c.publish()
	case n < 75:
		c.flushLate()
	default:
		c.read()
	}
}

func (s *sim) turnOne() {
	i := s.rnd.Intn(len(s.loops))
	s.woken[i] = false
	s.loops[i].Turn(s.now)
}

// crash loses the process and what its store had not committed.
func (s *sim) crash() {
	for _, c := range s.clients {
		c.lostLink()
	}
	s.rig = s.crashAndRestart(s.store)
}

// finish lets everybody come back and everything arrive, then checks.
func (s *sim) finish() {
	for round := 0; round < 2000; round++ {
		for _, c := range s.clients {
			if c.w == nil {
				c.dial()
			}
			c.flushLate()
		}
		s.settle()
		s.b.Durable(s.store.Commit(1000))
		s.settle()
		quiet := true
		for _, c := range s.clients {
			quiet = c.read() == 0 && quiet
			quiet = quiet && len(c.late) == 0 && c.up && len(c.w.in) == 0
		}
		if quiet && round > 3 {
			break
		}
	}
	for _, m := range s.sent {
		for _, c := range m.owed {
			n := c.got[m.n]
			if m.state != simSent && n == 0 {
				s.t.Errorf("message %d (%s, qos %d) of %s was acknowledged but never reached %s", m.n, m.topic, m.qos, m.from.name, c.name)
			}
			if m.qos == codec.QoS2 && n > 1 {
				s.t.Errorf("message %d (%s, qos 2) reached %s %d times", m.n, m.topic, c.name, n)
			}
		}
		if m.state != simClosed && m.qos > 0 {
			s.t.Errorf("message %d (%s, qos %d) of %s was never finished: state %d", m.n, m.topic, m.qos, m.from.name, m.state)
		}
	}
	for topic, n := range s.last {
		w := s.connect(0, connectAs("late-"+topic, codec.V5))
		w.subscribe(topic, 0)
		w.expectPublish(topic, fmt.Sprint(n))
	}
}

func (c *simClient) dial() {
	c.w = c.s.dial(c.s.rnd.Intn(len(c.s.loops)), true)
	c.w.v = c.v
	k := durable(c.name, c.v)
	if c.v == codec.V5 {
		k.Properties.ReceiveMaximum = c.recv
		k.Properties.Set(codec.PropReceiveMaximum)
		k.Properties.SessionExpiryInterval = 0xFFFFFFFF
	}
	c.up, c.unack, c.asked = false, map[uint16]bool{}, map[uint16]string{}
	c.w.send(k.Append(nil, c.v))
}

// lostLink forgets the connection; what was under way on it is lost.
func (c *simClient) lostLink() {
	c.w, c.up, c.late = nil, false, nil
}

func (c *simClient) cut() {
	w := c.w
	c.lostLink()
	w.loop.Closed(w.conn, nil, c.s.now)
}

func (c *simClient) write(b []byte) { c.late = append(c.late, b) }

// flushLate hands packets to the link, the last one perhaps in two pieces.
func (c *simClient) flushLate() {
	if c.w == nil || !c.up {
		return
	}
	var all []byte
	for _, b := range c.late {
		all = append(all, b...)
	}
	c.late = nil
	for len(all) > 0 && c.w != nil {
		n := 1 + c.s.rnd.Intn(len(all))
		c.w.send(append([]byte(nil), all[:n]...)) // the broker must not keep what it borrows
		all = all[n:]
	}
}

// id is the lowest one that is free: the sooner it is used again, the worse for a broker that has not forgotten it.
func (c *simClient) id() uint16 {
	for id := uint16(1); ; id++ {
		used := c.asked[id] != ""
		for _, m := range c.open {
			used = used || m.id == id
		}
		if !used {
			return id
		}
	}
}

func (c *simClient) subscribe(topic string) {
	id := c.id()
	c.asked[id] = topic
	c.write((&codec.Subscribe{PacketID: id, Filters: []codec.Subscription{{Filter: []byte(topic), QoS: codec.QoS2, RetainHandling: map[codec.Version]byte{codec.V5: 2}[c.v]}}}).Append(nil, c.v))
}

func (c *simClient) publish() {
	s := c.s
	if len(c.open) >= 10 {
		return
	}
	m := &simMessage{n: len(s.sent) + 1, from: c, qos: codec.QoS(s.rnd.Intn(3)), topic: simTopics[s.rnd.Intn(len(simTopics))]}
	retained := s.rnd.Intn(10) == 0 && m.qos == codec.QoS1
	if retained {
		// One retained topic for each publisher, so that the last one is known.
		m.topic = "retained/" + c.name
	}
	for _, x := range s.clients {
		if x.subs[m.topic] {
			m.owed = append(m.owed, x)
		}
	}
	s.sent = append(s.sent, m)
	if m.qos > 0 {
		m.id = c.id()
		c.open = append(c.open, m)
	}
	if retained {
		s.last[m.topic] = m.n
	}
	c.write(m.packet(c.v, false))
}

func (m *simMessage) packet(v codec.Version, dup bool) []byte {
	return (&codec.Publish{Topic: []byte(m.topic), Payload: fmt.Append(nil, m.n), QoS: m.qos, PacketID: m.id, Dup: dup,
		Retain: m.topic[0] == 'r'}).Append(nil, v)
}

// read takes packets off the link, some or all of them, and returns how many.
func (c *simClient) read() (n int) {
	for c.w != nil && c.s.rnd.Intn(8) > 0 {
		f, ok := c.w.next()
		if !ok {
			return n
		}
		n++
		c.take(f)
	}
	return n
}

func (c *simClient) take(f codec.Frame) {
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
	case codec.TypeSuback:
		id := uint16(f.Body[0])<<8 | uint16(f.Body[1])
		c.subs[c.asked[id]] = true
		delete(c.asked, id)
	case codec.TypePublish:
		var p codec.Publish
		if err := p.Parse(c.v, f.Flags, f.Body); err != nil {
			t.Fatal(err)
		}
		c.deliver(&p)
	case codec.TypePuback:
		c.finish(a.PacketID, codec.QoS1, simClosed)
	case codec.TypePubrec:
		if a.Reason < codec.UnspecifiedError {
			c.finish(a.PacketID, codec.QoS2, simAcked)
			c.write([]byte{byte(codec.TypePubrel)<<4 | 2, 2, byte(a.PacketID >> 8), byte(a.PacketID)})
		}
	case codec.TypePubcomp:
		c.finish(a.PacketID, codec.QoS2, simClosed)
	case codec.TypePubrel:
		delete(c.rec, a.PacketID)
		delete(c.unack, a.PacketID)
		c.write(codec.AppendPubackShort(nil, codec.TypePubcomp, a.PacketID))
	default:
		t.Fatalf("%s got %v", c.name, f.Type)
	}
}

func (c *simClient) connack(f codec.Frame) {
	if f.Body[1] != 0 {
		c.s.t.Fatalf("%s refused: %#x", c.name, f.Body[1])
	}
	if c.known && f.Body[0] != 1 {
		c.s.t.Fatalf("the session of %s is gone", c.name)
	}
	if f.Body[0] == 0 {
		c.rec = map[uint16]bool{}
	}
	c.up, c.known = true, true
	for _, m := range c.open { // [MQTT-4.4.0-1]
		if m.state == simAcked {
			c.write([]byte{byte(codec.TypePubrel)<<4 | 2, 2, byte(m.id >> 8), byte(m.id)})
		} else {
			c.write(m.packet(c.v, true))
		}
	}
}

// finish moves an own message on, if the acknowledgement is of its kind.
func (c *simClient) finish(id uint16, qos codec.QoS, state int) {
	for i, m := range c.open {
		if m.id == id && m.qos == qos {
			if m.state = state; state == simClosed {
				c.open = append(c.open[:i], c.open[i+1:]...)
			}
			return
		}
	}
}

func (c *simClient) deliver(p *codec.Publish) {
	t := c.s.t
	if p.QoS > 0 {
		c.unack[p.PacketID] = true
		limit := int(c.s.b.opts.Session.MaxInflight)
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
	if !fresh {
		return
	}
	var n int
	if _, err := fmt.Sscan(string(p.Payload), &n); err != nil {
		t.Fatal(err)
	}
	m := c.s.sent[n-1]
	if m.topic != string(p.Topic) || m.qos != p.QoS {
		t.Fatalf("message %d arrived as %s qos %d", n, p.Topic, p.QoS)
	}
	c.got[n]++
	key := fmt.Sprint(m.from.name, m.topic, m.qos)
	// A message from before the subscription may come late: its publisher may have to send it again after a crash.
	if c.got[n] == 1 && slices.Contains(m.owed, c) {
		if n < c.order[key] {
			t.Fatalf("%s got message %d of %s after %d", c.name, n, key, c.order[key])
		}
		c.order[key] = n
	}
}

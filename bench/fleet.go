package bench

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/router"
)

// A payload of a fleet says where it comes from and when it was to leave, in as many
// bytes as the smallest payloads of common benchmarks have. What is longer is filled up.
// Numbers are little-endian.
//
//	0           4                 8                      14     16
//	┌───────────┬─────────────────┬──────────────────────┬──────┐
//	│ publisher │ sequence number │ intended time, ns:48 │ mark │ filler…
//	└───────────┴─────────────────┴──────────────────────┴──────┘
//
// The sequence number is the low half of the one that the books have. The time lasts
// for three days, and a run for one.
const fleetStampSize = 16

// fleet is the scenario of a fleetSpec: groups of clients that publish and listen.
//
// Closed loop: a publisher has a window of messages under way, and one leaves it when
// everybody has it and the broker has acknowledged it. Open loop: every publisher has a
// clock of its own, and a message bears the time at which it was to leave. When its
// window is full it leaves later, still with that time, so that a broker that pauses
// does not also pause what it is judged by.
type fleet struct {
	spec    *fleetSpec
	loop    *loop
	mark    uint16
	members []member
	sources []source
	ears    []ear // by number of the client
	slow    []*client
	queue   dueQueue

	readyCount int
	sending    bool
	factor     float64       // of all rates
	halted     time.Duration // with a factor of 0: messages that are due later wait for another one
	until      time.Duration // messages that are due later are not sent
	since      time.Duration // messages that were due earlier are not measured
	behind     time.Duration // how late a message left at most

	sent, received, acked uint64
	owed, unanswered      uint64 // deliveries and acknowledgements under way
	aside                 uint64 // deliveries to clients that read slowly, and those from a retained message
	departed              int    // clients that read slowly and were sent away
	latency               []histogram
	faults                faults
	gulped                time.Duration // when slow clients read last
	forgetting            bool          // clients come back only to end their Sessions
	forgotten             int           // Sessions ended
}

// member is one client of a fleet.
type member struct {
	client *client
	group  int
	source int // -1: it does not publish
}

// source is the publishing half of a client.
type source struct {
	client    *client
	spec      *publishSpec
	header    []byte // a PUBLISH up to its payload
	id        int    // where in it the Packet Identifier is, or two before what follows the topic
	topicSize int
	filler    []byte // of the payload, shared by the group
	audience  int    // deliveries that one message makes
	flow      flow   // of deliveries
	answers   flow   // of acknowledgements: one or two for each message
	next      uint64 // sequence number

	due     time.Duration // when the next message is to leave, by the clock
	gap     float64       // mean, in nanoseconds, with a factor of 1
	random  *rand.Rand    // of Poisson arrivals
	waits   bool          // it has something due, and is not in the queue
	flowed  uint64        // the next of flow at the last look for losses
	awaited uint64        // the same of answers
}

// newFleet works out who hears whom. prefix goes into the templates, seed into all that
// is left to chance.
func newFleet(spec *fleetSpec, prefix string, v codec.Version, seed uint64) (*fleet, error) {
	x := &fleet{spec: spec, mark: uint16(rand.Uint32()), factor: 1, latency: make([]histogram, len(spec.groups))}
	a := newAssembly(spec.clients())
	for i := range spec.groups {
		if err := x.enlist(a, i, prefix); err != nil {
			return nil, fmt.Errorf("group %s: %w", spec.groups[i].name, err)
		}
	}
	var matches router.Matches[int32]
	for i := range x.members {
		m := &x.members[i]
		g := &spec.groups[m.group]
		if g.publish == nil {
			continue
		}
		if err := x.appoint(a, m, prefix, v, seed, &matches); err != nil {
			return nil, fmt.Errorf("group %s: %w", g.name, err)
		}
	}
	x.ears = a.done()
	return x, nil
}

// enlist makes the clients of a group.
func (x *fleet) enlist(a *assembly, group int, prefix string) error {
	g := &x.spec.groups[group]
	for n := range g.count {
		c := &client{
			id: fmt.Sprintf("%s-%d", g.name, n), index: len(x.members), qos: g.qos,
			keepAlive: uint16(g.keepAlive), durable: g.durable,
		}
		if g.will != nil {
			topic, err := expand(g.will.topic, prefix, n, 0)
			if err != nil {
				return err
			}
			mine := *g.will
			mine.topic, c.will = topic, &mine
		}
		for k := range max(1, g.filters) {
			for _, template := range g.subscribe {
				filter, err := expand(template, prefix, n, k)
				if err != nil {
					return err
				}
				if err := a.subscribe(c.index, filter); err != nil {
					return err
				}
				c.filters = append(c.filters, filter)
			}
		}
		a.ears[c.index] = ear{group: group, qos: g.qos, slow: g.readRate > 0}
		if g.readRate > 0 {
			c.gulp = max(1, g.readRate/gulpsPerSecond)
		}
		x.members = append(x.members, member{client: c, group: group, source: -1})
	}
	return nil
}

// appoint makes a publisher of m.
func (x *fleet) appoint(a *assembly, m *member, prefix string, v codec.Version, seed uint64, matches *router.Matches[int32]) error {
	g := &x.spec.groups[m.group]
	p, n := g.publish, m.client.index-x.first(m.group)
	topic, err := expand(p.topic, prefix, n, 0)
	if err != nil {
		return err
	}
	number := len(x.sources)
	audience, err := a.publish(number, topic, matches)
	if err != nil {
		return err
	}
	if audience == 0 && p.qos == codec.QoS0 && p.rate == 0 {
		return fmt.Errorf("nobody hears %q and with QoS 0 nobody acknowledges it: give it a rate", topic)
	}
	d := codec.Delivery{Topic: []byte(topic), QoS: p.qos, PacketID: 1, Retain: p.retain, Payload: make([]byte, p.size)}
	whole := codec.AppendDelivery(nil, v, &d)
	s := source{
		client: m.client, spec: p, header: whole[: len(whole)-p.size : len(whole)-p.size],
		topicSize: len(topic), audience: audience, flow: newFlow(p.window, audience), answers: newFlow(p.window, int(p.qos)),
	}
	if s.id = len(s.header) - 2; v == codec.V5 {
		s.id-- // Property Length
	}
	if n == 0 {
		s.filler = make([]byte, p.size-fleetStampSize)
	} else {
		s.filler = x.sources[number-1].filler
	}
	if p.rate > 0 {
		s.gap = float64(time.Second) / p.rate
		s.random = rand.New(rand.NewPCG(seed, uint64(number)))
	}
	m.source = number
	x.sources = append(x.sources, s)
	return nil
}

// first returns the number of the first client of a group.
func (x *fleet) first(group int) (n int) {
	for i := range group {
		n += x.spec.groups[i].count
	}
	return n
}

// open adds the clients to l; those who listen are dialed first, and nobody publishes
// before all are ready.
func (x *fleet) open(l *loop) {
	x.loop = l
	largest := 0
	for i := range x.sources {
		largest = max(largest, len(x.sources[i].header)+x.sources[i].spec.size)
	}
	l.admit(largest + 64<<10) // a broker may add properties
	for i := range x.members {
		l.open(x.members[i].client)
	}
}

func (x *fleet) ready(c *client) error {
	if x.forgetting {
		x.forgotten++
		c.leave(x.loop)
		return nil
	}
	m := &x.members[c.index]
	x.readyCount++
	if m.source >= 0 {
		x.sources[m.source].answers.narrow(c.receives)
	}
	if c.gulp > 0 {
		x.slow = append(x.slow, c)
		return x.loop.deafen(c)
	}
	return nil
}

func (x *fleet) ended(*client) error { return nil } // it was asked to leave

// lost is no end of the run for a client that reads slowly: brokers send those away.
func (x *fleet) lost(c *client, err error) error {
	if c.gulp > 0 && x.sending {
		x.departed++
		return nil
	}
	return c.failure(err)
}

// start lets the publishers go with a factor of their rates, or go on with another one.
func (x *fleet) start(factor float64, until time.Duration) {
	now := x.loop.clock()
	if x.sending {
		x.stretch(now, factor)
	}
	if factor == 0 && x.factor != 0 {
		x.halted = now - 1
	}
	first := !x.sending
	x.factor, x.until, x.sending = factor, until, true
	for i := range x.sources {
		s := &x.sources[i]
		if s.spec.rate == 0 {
			x.loop.touch(s.client)
			continue
		}
		if !first {
			continue
		}
		// Publishers with even gaps do not all begin at once.
		s.due = now + time.Duration(min(s.gap*float64(i)/float64(len(x.sources))/x.speed(), float64(runMax)))
		if s.spec.arrivals == poisson {
			s.due = now + s.wait(x.speed())
		}
		x.queue.push(s)
	}
}

// stretch moves what is still to be due to where another factor has it. The order of the
// queue stays.
func (x *fleet) stretch(now time.Duration, factor float64) {
	if factor == x.factor {
		return
	}
	from, scale := now, x.speed()
	if x.factor == 0 {
		from = x.halted
	}
	if factor > 0 {
		scale /= factor
	}
	for i := range x.sources {
		if s := &x.sources[i]; s.due > from {
			s.due = now + time.Duration(min(float64(s.due-from)*scale, float64(runMax)))
		}
	}
}

// speed is the factor of the rates, or 1 while all of them are halted.
func (x *fleet) speed() float64 {
	if x.factor == 0 {
		return 1
	}
	return x.factor
}

// dueUntil returns until when what is due at a time, or was before, may be sent.
func (x *fleet) dueUntil(t time.Duration) time.Duration {
	if x.factor == 0 {
		t = min(t, x.halted)
	}
	return min(t, x.until)
}

// wait returns the time from one message to the next.
func (s *source) wait(factor float64) time.Duration {
	gap := s.gap / factor
	if s.spec.arrivals == poisson {
		gap *= s.random.ExpFloat64()
	}
	return time.Duration(min(gap, float64(runMax)))
}

// pace sends what is due by the clock, has slow clients read, and returns how long it is
// until something is due again.
func (x *fleet) pace() time.Duration {
	now := x.loop.clock()
	wait := x.readSlowly(now)
	if !x.sending {
		return wait
	}
	limit := x.dueUntil(now)
	for len(x.queue) > 0 && x.queue[0].due <= limit {
		s := x.queue[0]
		if !s.mayPublish() || len(s.client.out) >= outSize {
			s.waits = true // until an acknowledgement or the socket makes room: fill
			x.queue.pop()
			continue
		}
		x.publish(s, s.due)
		x.loop.touch(s.client)
		s.due += s.wait(x.speed())
		x.queue.sink()
	}
	if len(x.queue) > 0 && x.queue[0].due <= x.dueUntil(x.until) {
		wait = min(wait, x.queue[0].due-now)
	}
	return wait
}

// gulpsPerSecond is how often a client reads that does so slowly.
const gulpsPerSecond = 20

func (x *fleet) readSlowly(now time.Duration) time.Duration {
	const every = time.Second / gulpsPerSecond
	if len(x.slow) == 0 {
		return turnLimit
	}
	if now-x.gulped < every {
		return x.gulped + every - now
	}
	x.gulped = now
	for _, c := range x.slow {
		if c.fd < 0 {
			continue
		}
		if err := x.loop.read(c); err != nil {
			// lost knows these clients, and has no other answer than nil.
			_ = x.loop.fail(c, err)
		}
	}
	return every
}

// fill sends what c may send: what its window allows, or what is overdue.
func (x *fleet) fill(c *client) {
	number := x.members[c.index].source
	if number < 0 || !x.sending {
		return
	}
	s := &x.sources[number]
	if s.spec.rate > 0 {
		x.catchUp(s)
		return
	}
	now := x.loop.now
	if now >= x.until || !s.mayPublish() {
		return
	}
	now = x.loop.clock()
	for len(c.out) < outSize && s.mayPublish() {
		x.publish(s, now)
	}
}

// catchUp sends what s could not send when it was due.
func (x *fleet) catchUp(s *source) {
	if !s.waits {
		return
	}
	limit := x.dueUntil(x.loop.clock())
	for s.due <= limit {
		if !s.mayPublish() || len(s.client.out) >= outSize {
			return
		}
		x.publish(s, s.due)
		s.due += s.wait(x.speed())
	}
	s.waits = false
	x.queue.push(s)
}

// mayPublish says whether the window of s is open, towards those who hear it and towards
// the broker.
func (s *source) mayPublish() bool {
	return (s.audience == 0 || s.flow.open()) && (s.spec.qos == codec.QoS0 || s.answers.open())
}

// publish appends the next message of s, which was to leave at a time.
func (x *fleet) publish(s *source, due time.Duration) {
	c, seq := s.client, s.next
	s.next++
	if s.audience > 0 {
		s.flow.send()
		x.owed += uint64(s.audience)
	}
	at := len(c.out)
	c.out = append(c.out, s.header...)
	if s.spec.qos > codec.QoS0 {
		binary.BigEndian.PutUint16(c.out[at+s.id:], packetID(s.answers.send()))
		x.unanswered += uint64(s.spec.qos)
	}
	var stamp [fleetStampSize]byte
	binary.LittleEndian.PutUint32(stamp[0:], uint32(x.members[c.index].source))
	binary.LittleEndian.PutUint32(stamp[4:], uint32(seq))
	binary.LittleEndian.PutUint64(stamp[8:], uint64(due)|uint64(x.mark)<<48)
	c.out = append(append(c.out, stamp[:]...), s.filler...)
	x.sent++
	x.behind = max(x.behind, x.loop.now-due)
}

func (x *fleet) packet(c *client, f codec.Frame) error {
	switch f.Type {
	case codec.TypePublish:
		return x.receive(c, f)
	case codec.TypePingresp:
		return nil
	case codec.TypePubrel:
		id, _, err := cutAck(x.loop.version, f)
		if err != nil {
			return err
		}
		c.out = codec.AppendPubackShort(c.out, codec.TypePubcomp, id)
		x.loop.touch(c)
		return nil
	case codec.TypePuback, codec.TypePubrec, codec.TypePubcomp:
		return x.acknowledged(c, f)
	}
	return fmt.Errorf("unexpected %s", f.Type)
}

// acknowledged books PUBACK, PUBREC or PUBCOMP.
func (x *fleet) acknowledged(c *client, f codec.Frame) error {
	id, refused, err := cutAck(x.loop.version, f)
	if err != nil {
		return err
	}
	number := x.members[c.index].source
	if number < 0 || (f.Type == codec.TypePuback) != (x.sources[number].spec.qos == codec.QoS1) {
		return fmt.Errorf("unexpected %s", f.Type)
	}
	s := &x.sources[number]
	x.answer(s, id)
	switch {
	case refused && f.Type == codec.TypePubrec: // and no PUBCOMP will come [MQTT-4.3.3-4]
		x.answer(s, id)
		x.faults.refused++
	case refused:
		x.faults.refused++
	case f.Type == codec.TypePubrec:
		c.out = codec.AppendPubackShort(c.out, codec.TypePubrel, id)
	}
	x.loop.touch(c)
	return nil
}

func (x *fleet) answer(s *source, id uint16) {
	if !s.answers.receive(s.answers.numbered(id)) {
		x.faults.unasked++
		return
	}
	x.acked++
	x.unanswered--
}

// receive acknowledges a PUBLISH and books it.
func (x *fleet) receive(c *client, f codec.Frame) error {
	_, id, payload, err := cutPublish(x.loop.version, f)
	if err != nil {
		return err
	}
	qos := codec.QoS(f.Flags >> 1 & 3)
	if qos > codec.QoS0 {
		answer := codec.TypePuback
		if qos == codec.QoS2 {
			answer = codec.TypePubrec
		}
		c.out = codec.AppendPubackShort(c.out, answer, id)
		x.loop.touch(c)
	}
	e := &x.ears[c.index]
	if f.Flags&1 != 0 { // from before this run
		x.aside++
		return nil
	}
	if len(payload) < fleetStampSize || binary.LittleEndian.Uint16(payload[14:]) != x.mark {
		x.faults.stray++
		return nil
	}
	from := binary.LittleEndian.Uint32(payload)
	at := e.place(from)
	if at < 0 {
		x.faults.stray++
		return nil
	}
	s := &x.sources[from]
	if len(payload) != s.spec.size || qos != lowerQoS(s.spec.qos, e.qos) {
		x.faults.stray++
		return nil
	}
	if e.slow {
		x.aside++
		return nil
	}
	x.book(e, at, s, binary.LittleEndian.Uint32(payload[4:]), time.Duration(binary.LittleEndian.Uint64(payload[8:])&(1<<48-1)))
	return nil
}

// book enters the delivery of a message into the books: the low half of its sequence
// number, and when it was to leave.
func (x *fleet) book(e *ear, at int, s *source, low uint32, due time.Duration) {
	seq := s.flow.base + uint64(int64(int32(low-uint32(s.flow.base))))
	if seq >= s.next {
		x.faults.stray++
		return
	}
	verdict := e.streams[at].receive(seq, e.shared[at])
	switch {
	case verdict == again:
		x.faults.duplicate++
		return
	case seq < s.flow.base && !e.shared[at]:
		x.faults.tardy++
		return
	case !s.flow.receive(seq):
		x.faults.duplicate++
		return
	case verdict == late:
		x.faults.reordered++
	}
	x.received++
	x.owed--
	if due >= x.since {
		x.latency[e.group].record(x.loop.now - due)
	}
	if s.waits || s.spec.rate == 0 {
		x.loop.touch(s.client)
	}
}

// sweep gives up what has been under way since the last sweep, so that a window that a
// loss keeps closed opens again. With all it gives up everything.
func (x *fleet) sweep(all bool) {
	for i := range x.sources {
		s := &x.sources[i]
		if all {
			s.flowed, s.awaited = s.flow.next, s.answers.next
		}
		if s.flow.base < s.flowed {
			n := s.flow.giveUp(s.flowed)
			x.faults.lost += n
			x.owed -= n
			x.loop.touch(s.client)
		}
		if s.answers.base < s.awaited {
			n := s.answers.giveUp(s.awaited)
			x.faults.unanswered += n
			x.unanswered -= n
			x.loop.touch(s.client)
		}
		s.flowed, s.awaited = s.flow.next, s.answers.next
	}
}

// ping sends PINGREQ on the connections whose turn it is: every client's comes in half
// its Keep Alive.
func (x *fleet) ping(second int) {
	for i := range x.members {
		c := x.members[i].client
		if half := int(c.keepAlive) / 2; c.keepAlive > 0 && c.state == stateReady && (second+i)%max(1, half) == 0 {
			c.out = codec.AppendPingreq(c.out)
			x.loop.touch(c)
		}
	}
}

// farewell has every client leave, so that no Will is published, and takes back what was
// retained.
func (x *fleet) farewell() {
	for i := range x.members {
		m := &x.members[i]
		if m.client.state != stateReady || m.client.fd < 0 {
			continue
		}
		if m.source >= 0 && x.sources[m.source].spec.retain {
			c, s := m.client, &x.sources[m.source]
			d := codec.Delivery{Topic: s.topic(), Retain: true}
			c.out = codec.AppendDelivery(c.out, x.loop.version, &d)
		}
		m.client.leave(x.loop)
	}
}

// forget has every client whose Session outlives its connection come back with a clean
// one, and leave. It returns how many there are.
func (x *fleet) forget() (n int) {
	x.forgetting = true
	for i := range x.members {
		c := x.members[i].client
		if !c.durable {
			continue
		}
		n++
		x.loop.shut(c)
		c.durable, c.filters, c.will, c.gulp = false, nil, nil, 0
		x.loop.reopen(c)
	}
	return n
}

// topic returns the Topic Name in the header of s.
func (s *source) topic() []byte {
	end := s.id
	if s.spec.qos == codec.QoS0 {
		end += 2
	}
	return s.header[end-s.topicSize : end]
}

// overdue says whether a publisher has something to send that was due before the end.
func (x *fleet) overdue() bool {
	for i := range x.sources {
		if s := &x.sources[i]; s.waits && s.due <= x.dueUntil(x.until) {
			return true
		}
	}
	return false
}

// settled says whether nothing is under way or to be sent any more.
func (x *fleet) settled() bool { return x.owed == 0 && x.unanswered == 0 && !x.overdue() }

// progress changes when something moves, and when there is nothing that could.
func (x *fleet) progress() uint64 {
	if x.owed == 0 && x.unanswered == 0 {
		return uint64(x.loop.now)
	}
	return x.received + x.acked
}

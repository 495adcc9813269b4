package bench

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// layout says who hears whom.
type layout byte

const (
	layoutPairs layout = iota // receiver i hears publisher i
	layoutAll                 // every receiver hears every publisher
	layoutShare               // the receivers share the messages of every publisher
)

// exchangeSpec describes a load of messages.
type exchangeSpec struct {
	layout     layout
	publishers int
	receivers  int
	qos        codec.QoS
	window     int // messages that one publisher may have under way, 1 to 65,535
	rate       int // messages a second by the clock, all publishers together; 0: as the window allows
}

// A payload says where it comes from and when it left, and is filled up to a common
// size. Numbers are little-endian.
//
//	0           4        8                 16              24        64
//	┌───────────┬────────┬─────────────────┬───────────────┬─────────┐
//	│ publisher │  mark  │ sequence number │ time sent, ns │ filler  │
//	└───────────┴────────┴─────────────────┴───────────────┴─────────┘
const (
	payloadSize = 64
	payloadMark = 0x74656e47 // tells our payloads from a stranger's
)

// publisher is the sending half of a client.
type publisher struct {
	client   *client
	template []byte // a whole PUBLISH
	body     int    // where the payload begins in it; a Packet Identifier is just before
	answers  flow   // with QoS 1 and 2, the acknowledgements that are to come: one or two for each message
}

// exchange is the scenario of an exchangeSpec. Clients with an index below the
// number of publishers publish, the others receive.
type exchange struct {
	spec       exchangeSpec
	loop       *loop
	publishers []publisher
	ledger     ledger // a flow for each publisher
	readyCount int
	sending    bool
	sent       uint64 // PUBLISH packets encoded
	received   uint64 // PUBLISH packets read and booked
	latency    histogram
	due        time.Duration // when a paced exchange sends next
	turn       int           // which publisher that is
}

func newExchange(spec exchangeSpec) *exchange {
	x := &exchange{spec: spec, publishers: make([]publisher, spec.publishers)}
	x.ledger.gaps = spec.layout == layoutShare
	x.ledger.fan = 1
	reached := 1
	switch spec.layout {
	case layoutAll:
		x.ledger.fan, reached = spec.publishers, spec.receivers
	case layoutShare:
		x.ledger.fan = spec.publishers
	}
	x.ledger.streams = make([]stream, spec.receivers*x.ledger.fan)
	for range spec.publishers {
		x.ledger.flows = append(x.ledger.flows, newFlow(spec.window, reached))
	}
	return x
}

// open adds the clients to l, receivers last: what waits longest is dialed last, and
// nobody publishes before all are ready anyhow.
func (x *exchange) open(l *loop) {
	x.loop = l
	for i := range x.publishers {
		c := &client{id: fmt.Sprintf("pub-%d", i), index: i}
		x.publishers[i] = newPublisher(c, i, &x.spec)
		l.open(c)
	}
	for i := range x.spec.receivers {
		c := &client{id: fmt.Sprintf("sub-%d", i), index: x.spec.publishers + i, qos: x.spec.qos}
		switch x.spec.layout {
		case layoutPairs:
			c.filter = topicOf(i)
		case layoutAll:
			c.filter = "bench/+"
			if x.spec.publishers == 1 {
				c.filter = topicOf(0)
			}
		case layoutShare:
			c.filter = "$share/bench/bench/+"
		}
		l.open(c)
	}
}

func topicOf(publisher int) string { return fmt.Sprintf("bench/%04d", publisher) }

func newPublisher(c *client, index int, spec *exchangeSpec) publisher {
	payload := make([]byte, payloadSize)
	binary.LittleEndian.PutUint32(payload[0:], uint32(index))
	binary.LittleEndian.PutUint32(payload[4:], payloadMark)
	d := codec.Delivery{Topic: []byte(topicOf(index)), Payload: payload, QoS: spec.qos, PacketID: 1}
	template := codec.AppendDelivery(nil, codec.V311, &d)
	return publisher{
		client:   c,
		template: template,
		body:     len(template) - payloadSize,
		answers:  newFlow(spec.window, int(spec.qos)),
	}
}

// start lets the publishers go.
func (x *exchange) start() {
	x.sending = true
	x.due = x.loop.clock()
	if x.spec.rate > 0 {
		return
	}
	for i := range x.publishers {
		x.loop.touch(x.publishers[i].client)
	}
}

// pace sends what is due by the clock and returns how long it is until the next
// message. A publisher whose window is full is passed over: the rate reached tells.
func (x *exchange) pace() time.Duration {
	gap := time.Second / time.Duration(x.spec.rate)
	for now := x.loop.clock(); x.due <= now; x.due += gap {
		p := &x.publishers[x.turn]
		if x.mayPublish(p) && len(p.client.out) < outSize {
			x.publish(p, now)
			x.loop.touch(p.client)
		}
		x.turn = (x.turn + 1) % len(x.publishers)
	}
	return x.due - x.loop.now
}

// settled says whether nothing is under way any more.
func (x *exchange) settled() bool {
	for i := range x.publishers {
		if a := &x.publishers[i].answers; a.base != a.next {
			return false
		}
	}
	return x.ledger.settled()
}

// progress is a number that changes whenever something moves.
func (x *exchange) progress() uint64 {
	n := x.received
	for i := range x.publishers {
		n += x.publishers[i].answers.base
	}
	return n
}

func (x *exchange) ready(*client) error {
	x.readyCount++
	return nil
}

func (x *exchange) ended(c *client) error { return fmt.Errorf("client %s left", c.id) }

// fill sends what the window of c allows. All messages of one call have one time.
func (x *exchange) fill(c *client) {
	if c.index >= len(x.publishers) || !x.sending || x.spec.rate > 0 {
		return
	}
	p := &x.publishers[c.index]
	if !x.mayPublish(p) {
		return
	}
	now := x.loop.clock()
	for len(c.out) < outSize && x.mayPublish(p) {
		x.publish(p, now)
	}
}

// mayPublish says whether the window of p is open, towards the receivers and towards
// the broker.
func (x *exchange) mayPublish(p *publisher) bool {
	return x.ledger.flows[p.client.index].open() && (x.spec.qos == codec.QoS0 || p.answers.open())
}

// publish appends the next message of p.
func (x *exchange) publish(p *publisher, now time.Duration) {
	seq := x.ledger.flows[p.client.index].send()
	c := p.client
	at := len(c.out)
	c.out = append(c.out, p.template...)
	payload := c.out[at+p.body:]
	binary.LittleEndian.PutUint64(payload[8:], seq)
	binary.LittleEndian.PutUint64(payload[16:], uint64(now))
	if x.spec.qos > codec.QoS0 {
		binary.BigEndian.PutUint16(c.out[at+p.body-2:], packetID(p.answers.send()))
	}
	x.sent++
}

// packetIDs is how many Packet Identifiers there are: 1 to 65,535, over and over.
const packetIDs = 65535

func packetID(seq uint64) uint16 { return uint16(seq%packetIDs) + 1 }

// numbered returns the sequence number that a Packet Identifier stands for. The
// window is far smaller than packetIDs, so only one message under way can be meant.
func (f *flow) numbered(id uint16) (seq uint64) {
	return f.base + (uint64(id)-1+packetIDs-f.base%packetIDs)%packetIDs
}

// answer books an acknowledgement.
func (x *exchange) answer(p *publisher, id uint16) {
	if !p.answers.receive(p.answers.numbered(id)) {
		x.ledger.faults.unasked++
	}
}

func (x *exchange) packet(c *client, f codec.Frame) error {
	switch {
	case f.Type == codec.TypePublish && c.index >= len(x.publishers):
		return x.receive(c, f)
	case len(f.Body) != 2:
		return fmt.Errorf("unexpected %s of %d bytes", f.Type, f.Size)
	}
	id := binary.BigEndian.Uint16(f.Body)
	if c.index >= len(x.publishers) {
		if f.Type != codec.TypePubrel || x.spec.qos != codec.QoS2 {
			return fmt.Errorf("unexpected %s", f.Type)
		}
		c.out = codec.AppendPubackShort(c.out, codec.TypePubcomp, id)
		x.loop.touch(c)
		return nil
	}
	p := &x.publishers[c.index]
	switch {
	case f.Type == codec.TypePuback && x.spec.qos == codec.QoS1:
		x.answer(p, id)
	case f.Type == codec.TypePubrec && x.spec.qos == codec.QoS2:
		x.answer(p, id)
		c.out = codec.AppendPubackShort(c.out, codec.TypePubrel, id)
	case f.Type == codec.TypePubcomp && x.spec.qos == codec.QoS2:
		x.answer(p, id)
	default:
		return fmt.Errorf("unexpected %s", f.Type)
	}
	x.loop.touch(c)
	return nil
}

// receive acknowledges a PUBLISH, books it and opens its publisher's window.
func (x *exchange) receive(c *client, f codec.Frame) error {
	qos := codec.QoS(f.Flags >> 1 & 3)
	skip := 2
	if qos > codec.QoS0 {
		skip = 4
	}
	at := len(f.Body) - payloadSize
	if at < skip || int(binary.BigEndian.Uint16(f.Body))+skip != at {
		x.ledger.faults.stray++
		return nil
	}
	if qos > codec.QoS0 {
		answer := codec.TypePuback
		if qos == codec.QoS2 {
			answer = codec.TypePubrec
		}
		c.out = codec.AppendPubackShort(c.out, answer, binary.BigEndian.Uint16(f.Body[at-2:]))
		x.loop.touch(c)
	}

	payload := f.Body[at:]
	from := int(binary.LittleEndian.Uint32(payload))
	if qos != x.spec.qos || binary.LittleEndian.Uint32(payload[4:]) != payloadMark || !x.hears(c, from) {
		x.ledger.faults.stray++
		return nil
	}
	if x.ledger.receive(c.index-len(x.publishers), from, binary.LittleEndian.Uint64(payload[8:])) {
		x.received++
		x.latency.record(x.loop.now - time.Duration(binary.LittleEndian.Uint64(payload[16:])))
	}
	if x.sending && x.spec.rate == 0 {
		x.loop.touch(x.publishers[from].client)
	}
	return nil
}

// hears says whether messages of publisher from are meant for c.
func (x *exchange) hears(c *client, from int) bool {
	if x.spec.layout == layoutPairs {
		return from == c.index-len(x.publishers)
	}
	return from < len(x.publishers)
}

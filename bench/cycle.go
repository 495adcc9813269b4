package bench

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/gannetmq/gannet/codec"
)

// arrivals is the scenario in which clients connect, subscribe to a topic each, and
// stay. It serves the connect scenario and the idle command.
type arrivals struct {
	loop    *loop
	wanted  int
	arrived int
	latency histogram // from connecting to SUBACK
}

// more adds n clients that are going to connect.
func (a *arrivals) more(l *loop, n int) {
	a.loop = l
	for range n {
		l.open(&client{id: fmt.Sprintf("idle-%d", a.wanted), filter: fmt.Sprintf("bench/idle/%d", a.wanted)})
		a.wanted++
	}
}

func (a *arrivals) ready(c *client) error {
	a.arrived++
	a.latency.record(a.loop.now - c.began)
	return nil
}

func (a *arrivals) packet(_ *client, f codec.Frame) error { return fmt.Errorf("unexpected %s", f.Type) }
func (a *arrivals) fill(*client)                          {}
func (a *arrivals) ended(c *client) error                 { return fmt.Errorf("client %s left", c.id) }

// churn is the scenario in which each of a number of places is taken by one client
// after the other: it connects, subscribes to a topic of its own, publishes one QoS 0
// message to it, waits for that message, and leaves.
type churn struct {
	loop    *loop
	root    string // of the topics; empty: bench
	bare    bool   // they leave as soon as they are there
	places  []place
	present int    // places that are taken
	closing bool   // nobody takes a place that gets free
	cycles  uint64 // clients that have come and gone
	latency histogram
	faults  faults
	message codec.Publish // scratch for parsing
}

// place is where one client stands in its cycle.
type place struct {
	cycle   uint64
	arrived bool // its message has
}

func newChurn(places int) *churn { return &churn{places: make([]place, places), present: places} }

// newVisits returns a churn of clients that only connect and leave.
func newVisits(places int) *churn {
	x := newChurn(places)
	x.bare = true
	return x
}

func (x *churn) open(l *loop) {
	x.loop = l
	for i := range x.places {
		c := &client{index: i}
		if !x.bare {
			c.filter = fmt.Sprintf("%s/%04d", cmp.Or(x.root, "bench"), i)
		}
		x.name(c)
		l.open(c)
	}
}

// name gives the next client of a place its Client Identifier.
func (x *churn) name(c *client) { c.id = fmt.Sprintf("churn-%d-%d", c.index, x.places[c.index].cycle) }

func (x *churn) ready(c *client) error {
	if x.bare {
		c.leave(x.loop)
		return nil
	}
	var payload [payloadSize]byte
	binary.LittleEndian.PutUint32(payload[0:], uint32(c.index))
	binary.LittleEndian.PutUint32(payload[4:], payloadMark)
	binary.LittleEndian.PutUint64(payload[8:], x.places[c.index].cycle)
	d := codec.Delivery{Topic: []byte(c.filter), Payload: payload[:]}
	c.out = codec.AppendDelivery(c.out, x.loop.version, &d)
	x.loop.touch(c)
	return nil
}

func (x *churn) packet(c *client, f codec.Frame) error {
	m := &x.message
	if f.Type != codec.TypePublish {
		return fmt.Errorf("unexpected %s", f.Type)
	}
	if err := m.Parse(x.loop.version, f.Flags, f.Body); err != nil {
		return err
	}
	p := &x.places[c.index]
	switch {
	case len(m.Payload) != payloadSize || binary.LittleEndian.Uint32(m.Payload) != uint32(c.index) ||
		binary.LittleEndian.Uint32(m.Payload[4:]) != payloadMark || binary.LittleEndian.Uint64(m.Payload[8:]) != p.cycle:
		x.faults.stray++
	case p.arrived:
		x.faults.duplicate++
	default:
		p.arrived = true
		c.leave(x.loop)
	}
	return nil
}

func (x *churn) fill(*client) {}

func (x *churn) ended(c *client) error {
	p := &x.places[c.index]
	x.latency.record(x.loop.now - c.began)
	x.cycles++
	p.cycle++
	p.arrived = false
	if x.closing {
		x.present--
		return nil
	}
	x.name(c)
	x.loop.reopen(c)
	return nil
}

package bench

import (
	"fmt"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// state is where a client stands between its socket and its work.
//
//	waiting ─▶ connecting ─▶ subscribing ─▶ ready ─▶ leaving ─▶ waiting
//	                     └──── no filter ────▶
type state byte

const (
	stateWaiting     state = iota // no socket yet
	stateConnecting               // CONNECT on its way, no CONNACK yet
	stateSubscribing              // SUBSCRIBE on its way, no SUBACK yet
	stateReady                    // the scenario's
	stateLeaving                  // DISCONNECT on its way, the broker has not closed yet
)

var stateNames = [...]string{"waiting", "connecting", "subscribing", "ready", "leaving"}

func (s state) String() string { return stateNames[s] }

// client is one MQTT 3.1.1 client of a loop, which owns it. A scenario appends
// packets to out and touches the client; the loop does the rest.
type client struct {
	id     string
	filter string // subscribed to before the client is ready; empty: nothing
	qos    codec.QoS
	index  int // the scenario's own number for it

	durable bool // connects with Clean Session off, and sends SUBSCRIBE without waiting for CONNACK
	present bool // CONNACK said that the broker had the Session

	began   time.Duration // when the connection was begun
	token   int32
	fd      int
	state   state
	touched bool
	blocked bool   // the poller reports room to write
	partial []byte // the beginning of a packet
	out     []byte

	layer layer  // below the packets of this connection; nil: none
	wire  []byte // what out has become below it
}

// begin starts the connection that fd is: CONNECT without Keep Alive, and with Clean
// Session unless the client is durable.
func (c *client) begin(l *loop, fd int) (err error) {
	c.fd, c.state, c.began = fd, stateConnecting, l.clock()
	l.connect.Version, l.connect.CleanStart = codec.V311, !c.durable
	l.connect.ClientID = append(l.connect.ClientID[:0], c.id...)
	c.out = l.connect.Append(c.out[:0], codec.V311)
	if c.durable && c.filter != "" {
		c.subscribe()
	}
	if l.target.layer != nil {
		c.layer = l.target.layer()
		c.wire, err = c.layer.begin(c.wire[:0])
	}
	return err
}

func (c *client) subscribe() {
	s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte(c.filter), QoS: c.qos}}}
	c.out = s.Append(c.out, codec.V311)
}

// leave sends DISCONNECT; the scenario's ended follows.
func (c *client) leave(l *loop) {
	var p codec.Disconnect
	c.state = stateLeaving
	c.out = p.Append(c.out, codec.V311)
	l.touch(c)
}

// packet takes the client through its states.
func (c *client) packet(l *loop, f codec.Frame) error {
	switch c.state {
	case stateReady, stateLeaving:
		return l.scenario.packet(c, f)
	case stateConnecting:
		return c.connack(l, f)
	case stateSubscribing:
		if f.Type == codec.TypePublish { // a server is free to send them before SUBACK
			return l.scenario.packet(c, f)
		}
		return c.suback(l, f)
	}
	return fmt.Errorf("%s while %s", f.Type, c.state)
}

func (c *client) connack(l *loop, f codec.Frame) error {
	var p codec.Connack
	if f.Type != codec.TypeConnack {
		return fmt.Errorf("%s instead of CONNACK", f.Type)
	}
	if err := p.Parse(codec.V311, f.Flags, f.Body); err != nil {
		return err
	}
	if p.Return != codec.Accepted {
		return fmt.Errorf("connection refused: %s", p.Return)
	}
	l.started--
	c.present = p.SessionPresent
	if c.filter == "" {
		c.state = stateReady
		return l.scenario.ready(c)
	}
	c.state = stateSubscribing
	if !c.durable {
		c.subscribe()
		l.touch(c)
	}
	return nil
}

func (c *client) suback(l *loop, f codec.Frame) error {
	var p codec.Suback
	if f.Type != codec.TypeSuback {
		return fmt.Errorf("%s instead of SUBACK", f.Type)
	}
	if err := p.Parse(codec.V311, f.Flags, f.Body); err != nil {
		return err
	}
	if len(p.Reasons) != 1 || p.Reasons[0] != codec.ReasonCode(c.qos) {
		return fmt.Errorf("subscription to %s with QoS %d refused: SUBACK %v", c.filter, c.qos, p.Reasons)
	}
	c.state = stateReady
	return l.scenario.ready(c)
}

// failure names the client in an error that ends the run.
func (c *client) failure(err error) error {
	return fmt.Errorf("client %s: %w", c.id, err)
}

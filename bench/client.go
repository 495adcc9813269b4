package bench

import (
	"fmt"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// filtersAtOnce bounds the filters of one SUBSCRIBE.
const filtersAtOnce = 200

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

// client is one MQTT client of a loop, which owns it. A scenario appends
// packets to out and touches the client; the loop does the rest.
type client struct {
	id     string
	filter string // subscribed to before the client is ready; empty: nothing
	qos    codec.QoS
	index  int // the scenario's own number for it

	filters    []string // in place of filter: any number of them
	subscribed int      // how many of them SUBACK has been seen for

	keepAlive uint16 // seconds; the scenario sends PINGREQ
	will      *will  // nil: none
	durable   bool   // connects with Clean Session off, and sends SUBSCRIBE without waiting for CONNACK
	present   bool   // CONNACK said that the broker had the Session
	receives  uint16 // PUBLISH packets that the broker takes unacknowledged

	began   time.Duration // when the connection was to begin
	token   int32
	fd      int
	state   state
	touched bool
	blocked bool   // the poller reports room to write
	deaf    bool   // the poller does not report input: the scenario reads
	gulp    int    // bytes of one read at most, of a small socket buffer; 0: what there is
	partial []byte // the beginning of a packet
	out     []byte

	layer layer  // below the packets of this connection; nil: none
	wire  []byte // what out has become below it
}

// will is the Will Message of a client.
type will struct {
	topic, payload string
	qos            codec.QoS
	retain         bool
}

// begin starts the connection that fd is, and that was to begin at due: CONNECT, with
// Clean Session unless the client is durable.
func (c *client) begin(l *loop, fd int, due time.Duration) (err error) {
	c.fd, c.state, c.began = fd, stateConnecting, due
	c.subscribed = 0
	c.out = c.connect(l).Append(c.out[:0], l.version)
	if c.durable && c.filter != "" {
		c.subscribe(l)
	}
	if l.target.layer != nil {
		c.layer = l.target.layer()
		c.wire, err = c.layer.begin(c.wire[:0])
	}
	return err
}

// connect returns the CONNECT packet of c, which the loop owns.
func (c *client) connect(l *loop) *codec.Connect {
	p, how := &l.connect, l.target.how
	p.Properties.Reset()
	p.Version, p.CleanStart, p.KeepAlive = l.version, !c.durable, c.keepAlive
	if c.durable && l.version == codec.V5 {
		p.Properties.SessionExpiryInterval = expiryDurable
		p.Properties.Set(codec.PropSessionExpiryInterval)
	}
	p.ClientID = p.ClientID[:0]
	if how != nil {
		p.ClientID = append(p.ClientID, how.prefix...)
	}
	p.ClientID = append(p.ClientID, c.id...)
	how.present(p, int(c.token))
	p.HasWill, p.WillQoS, p.WillRetain = c.will != nil, 0, false
	if w := c.will; w != nil {
		p.WillQoS, p.WillRetain = w.qos, w.retain
		p.WillTopic, p.WillPayload = append(p.WillTopic[:0], w.topic...), append(p.WillPayload[:0], w.payload...)
	}
	return p
}

// wanted returns the filters of the next SUBSCRIBE; none: all have been asked for.
func (c *client) wanted() []string {
	if c.filter != "" && c.subscribed == 0 {
		return []string{c.filter}
	}
	if c.subscribed >= len(c.filters) {
		return nil
	}
	return c.filters[c.subscribed:min(len(c.filters), c.subscribed+filtersAtOnce)]
}

func (c *client) subscribe(l *loop) {
	s := codec.Subscribe{PacketID: 1}
	for _, filter := range c.wanted() {
		s.Filters = append(s.Filters, codec.Subscription{Filter: []byte(filter), QoS: c.qos})
	}
	c.out = s.Append(c.out, l.version)
}

// leave sends DISCONNECT; the scenario's ended follows.
func (c *client) leave(l *loop) {
	var p codec.Disconnect
	c.state = stateLeaving
	c.out = p.Append(c.out, codec.V311) // two bytes in every version
	l.touch(c)
}

// packet takes the client through its states.
func (c *client) packet(l *loop, f codec.Frame) error {
	if f.Type == codec.TypeDisconnect {
		return c.dismissed(l, f)
	}
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
	if err := p.Parse(l.version, f.Flags, f.Body); err != nil {
		return err
	}
	switch {
	case p.Return != codec.Accepted:
		return fmt.Errorf("connection refused: %s", p.Return)
	case p.Reason != codec.Success:
		return fmt.Errorf("connection refused: %s", p.Reason)
	}
	l.started--
	c.present, c.receives = p.SessionPresent, receiveMax
	if p.Properties.Has(codec.PropReceiveMaximum) {
		c.receives = p.Properties.ReceiveMaximum
	}
	if p.Properties.Has(codec.PropServerKeepAlive) {
		c.keepAlive = p.Properties.ServerKeepAlive // [MQTT-3.2.2-21]
	}
	if c.filter == "" && len(c.filters) == 0 {
		c.state = stateReady
		return l.scenario.ready(c)
	}
	c.state = stateSubscribing
	if !c.durable || c.filter == "" {
		c.subscribe(l)
		l.touch(c)
	}
	return nil
}

// dismissed is what a broker's DISCONNECT, which MQTT 5.0 has, says.
func (c *client) dismissed(l *loop, f codec.Frame) error {
	var p codec.Disconnect
	if err := p.Parse(l.version, f.Flags, f.Body); err != nil {
		return err
	}
	return fmt.Errorf("disconnected by the broker: %s", p.Reason)
}

func (c *client) suback(l *loop, f codec.Frame) error {
	var p codec.Suback
	if f.Type != codec.TypeSuback {
		return fmt.Errorf("%s instead of SUBACK", f.Type)
	}
	if err := p.Parse(l.version, f.Flags, f.Body); err != nil {
		return err
	}
	asked := c.wanted()
	if len(p.Reasons) != len(asked) {
		return fmt.Errorf("SUBACK with %d answers to %d filters", len(p.Reasons), len(asked))
	}
	for i, reason := range p.Reasons {
		if reason != codec.ReasonCode(c.qos) {
			return fmt.Errorf("subscription to %s with QoS %d refused: SUBACK %v", asked[i], c.qos, reason)
		}
	}
	c.subscribed += len(asked)
	if c.subscribed < len(c.filters) {
		c.subscribe(l)
		l.touch(c)
		return nil
	}
	c.state = stateReady
	return l.scenario.ready(c)
}

// failure names the client in an error that ends the run.
func (c *client) failure(err error) error {
	return fmt.Errorf("client %s: %w", c.id, err)
}

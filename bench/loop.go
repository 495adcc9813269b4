package bench

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// readSize is how much one read may bring, for all clients together: whatever a
// broker writes at once is read at once.
const readSize = 256 << 10

// outSize is where a client stops encoding and writes first.
const outSize = 64 << 10

// dialing bounds the clients that are between connecting and CONNACK. It is below
// the listen backlog of every broker: a connection that overflows one waits for a
// retransmission, and the measurement with it.
const dialing = 64

// scenario is what happens on the connections of a loop once they are made. All
// methods are called by the loop's goroutine.
type scenario interface {
	// ready follows CONNACK, and SUBACK for a client that subscribes.
	ready(c *client) error
	// packet gets every packet after that, also after DISCONNECT. f.Body is borrowed.
	packet(c *client, f codec.Frame) error
	// fill may append packets to c.out. It is called for every touched client before and
	// after the wait of a turn, and again while c.out reaches outSize.
	fill(c *client)
	// ended follows the broker's close of a connection that sent DISCONNECT.
	ended(c *client) error
}

// survivor is a scenario that goes on when a connection fails.
type survivor interface {
	// lost follows the end of a connection that was not asked for. c may be reopened.
	// The result ends the run unless it is nil.
	lost(c *client, err error) error
}

// loop drives the connections of one run. It is owned by one goroutine, the one
// that calls turn.
type loop struct {
	target   target
	scenario scenario
	poll     *poller
	base     time.Time
	now      time.Duration // since base: of the last read, fill or wake-up
	clients  []*client     // a client's token is its index
	touched  []*client     // have, or may have, something to write
	waiting  []*client     // to be dialed when others are through
	started  int           // clients between dialing and CONNACK
	in       []byte
	raw      []byte        // what a read brings below a layer; nil without
	connect  codec.Connect // scratch for encoding
	version  codec.Version
	dialed   time.Duration // when a paced loop is to dial next
	largest  uint32        // bytes of a packet
}

// newLoop makes a loop without connections to t. close must be called.
func newLoop(t target, s scenario) (*loop, error) {
	poll, err := newPoller()
	if err != nil {
		return nil, err
	}
	l := &loop{
		target: t, scenario: s, poll: poll, base: time.Now(), in: make([]byte, readSize),
		version: t.how.protocol(), largest: readSize,
	}
	if t.layer != nil {
		l.raw = make([]byte, readSize)
	}
	return l, nil
}

// admit has packets of up to size bytes read.
func (l *loop) admit(size int) {
	l.largest = uint32(max(readSize, size))
	l.in = make([]byte, readSize+int(l.largest))
}

// clock reads the time into l.now.
func (l *loop) clock() time.Duration {
	l.now = time.Since(l.base)
	return l.now
}

// open adds a client that connects as soon as it may. Room is made for it and others to come, here and in the kernel, where
// it would be made while they connect and are measured.
func (l *loop) open(c *client) {
	if n := len(l.clients); n == cap(l.clients) {
		l.clients = slices.Grow(l.clients, max(n, spareDescriptors))
		engine.PrepareDescriptors(cap(l.clients) + spareDescriptors)
	}
	c.token, c.fd = int32(len(l.clients)), -1
	l.clients = append(l.clients, c)
	l.reopen(c)
}

// reopen connects a client again that has ended. What a paced loop could have dialed while
// nobody waited it does not make up for.
func (l *loop) reopen(c *client) {
	if len(l.waiting) == 0 {
		l.dialed = max(l.dialed, l.clock())
	}
	c.state = stateWaiting
	l.waiting = append(l.waiting, c)
}

// touch has c written before the loop waits again.
func (l *loop) touch(c *client) {
	if !c.touched {
		c.touched = true
		l.touched = append(l.touched, c)
	}
}

// turn writes what is to be written already, waits for input, at most for timeout from
// l.now, reads what there is, and writes what that gave rise to. What is due by the clock
// so does not wait for what has come in, and the wait is the only call of the poller. In
// each of the two, a connection is written at most once, except for what exceeds outSize.
func (l *loop) turn(timeout time.Duration) error {
	until := l.now + timeout
	if err := l.dial(); err != nil {
		return err
	}
	if len(l.touched) > 0 {
		if err := l.flush(); err != nil {
			return err
		}
		timeout = until - l.clock()
	}
	n, err := l.poll.wait(min(timeout, l.untilDial()))
	if err != nil {
		return err
	}
	l.clock()
	for i := range n {
		token, input, output := l.poll.ready(i)
		c := l.clients[token]
		if output {
			l.touch(c)
		}
		if input {
			if err := l.read(c); err != nil {
				if err := l.fail(c, err); err != nil {
					return err
				}
			}
		}
	}
	return l.flush()
}

// paced says whether connections are begun by the clock.
func (l *loop) paced() bool { return l.target.how.connectRate() > 0 }

// mayDial says whether another connection may be begun, and counts it. due is when it was
// to begin: now, or an earlier time by the clock of a paced loop.
func (l *loop) mayDial() (due time.Duration, ok bool) {
	if l.started >= l.target.how.mostDialing() {
		return 0, false
	}
	now := l.clock()
	if !l.paced() {
		return now, true
	}
	if now < l.dialed {
		return 0, false
	}
	due = l.dialed
	l.dialed += time.Duration(float64(time.Second) / l.target.how.rate)
	return due, true
}

// untilDial returns how long it is, from l.now, until another connection may be begun by
// what is known now: turnLimit if only a packet or an error could make room for it.
func (l *loop) untilDial() time.Duration {
	switch {
	case len(l.waiting) == 0 || l.started >= l.target.how.mostDialing():
		return turnLimit
	case l.paced():
		return l.dialed - l.now
	}
	return 0
}

// fail ends a connection that went wrong, and the run unless the scenario can do
// without it.
func (l *loop) fail(c *client, err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("nobody listens on %s: %w", l.target.addr, err)
	}
	s, able := l.scenario.(survivor)
	if !able {
		return c.failure(err)
	}
	if c.state == stateConnecting {
		l.started--
	}
	l.shut(c)
	return s.lost(c, err)
}

// dial connects waiting clients as far as the bound on them allows.
func (l *loop) dial() error {
	for len(l.waiting) > 0 {
		due, ok := l.mayDial()
		if !ok {
			return nil
		}
		c := l.waiting[len(l.waiting)-1]
		l.waiting = l.waiting[:len(l.waiting)-1]
		fd, err := dialSocket(l.target.addr, l.target.how.source(int(c.token)), c.gulp)
		if err != nil {
			return err
		}
		if err := l.poll.add(fd, c.token); err != nil {
			closeSocket(fd)
			return err
		}
		l.started++
		if err := c.begin(l, fd, due); err != nil {
			if err := l.fail(c, err); err != nil {
				return err
			}
			continue
		}
		l.touch(c)
	}
	return nil
}

// read takes one read's worth of bytes from c and hands on the packets in it. The
// part of a packet that is left over stays with the client and goes in front of the
// next read.
func (l *loop) read(c *client) error {
	kept := copy(l.in, c.partial)
	room := l.in[kept:]
	if c.layer != nil {
		room = l.raw
	}
	if c.gulp > 0 && c.deaf {
		room = room[:min(c.gulp, len(room))]
	}
	n, again, err := readSocket(c.fd, room)
	switch {
	case err != nil:
		return err
	case again:
		return nil
	case n == 0:
		return l.end(c)
	}
	rest := l.in[:kept+n]
	if c.layer != nil {
		if rest, err = l.unwrap(c, l.in[:kept], l.raw[:n]); err != nil {
			return err
		}
	}
	l.clock()
	for {
		f, _, err := codec.Next(rest, l.largest)
		if err != nil {
			return err
		}
		if f.Size == 0 {
			break
		}
		if err := c.packet(l, f); err != nil {
			return err
		}
		rest = rest[f.Size:]
	}
	c.partial = append(c.partial[:0], rest...)
	return nil
}

// unwrap appends to in the packets in what was read below the layer of c.
func (l *loop) unwrap(c *client, in, raw []byte) ([]byte, error) {
	in, wire, err := c.layer.receive(in, c.wire, raw)
	c.wire = wire
	if len(c.wire) > 0 || c.layer.open() && len(c.out) > 0 {
		l.touch(c)
	}
	return in, err
}

// wrap gives the packets of c to its layer, unless there is a lot to be written
// already.
func (c *client) wrap() (err error) {
	if !c.layer.open() || len(c.out) == 0 || len(c.wire) >= outSize {
		return nil
	}
	c.wire, err = c.layer.send(c.wire, c.out)
	c.out = c.out[:0]
	return err
}

// end is the end of a stream: expected after DISCONNECT only. A client that leaves
// waits for it although it might close first: the broker then is done with the
// client, and the port is not kept from the loader by TIME_WAIT.
func (l *loop) end(c *client) error {
	if c.state == stateConnecting {
		return errors.New("closed by the broker while connecting: perhaps it expects another transport there, or has no room")
	}
	if c.state != stateLeaving {
		return fmt.Errorf("closed by the broker while %s", c.state)
	}
	l.shut(c)
	return l.scenario.ended(c)
}

// shut closes the socket of c.
func (l *loop) shut(c *client) {
	if c.fd >= 0 {
		closeSocket(c.fd)
	}
	if c.layer != nil {
		c.layer.end()
	}
	c.fd, c.blocked, c.deaf, c.layer = -1, false, false, nil
	c.out, c.wire, c.partial = c.out[:0], c.wire[:0], c.partial[:0]
}

// flush writes all touched clients.
func (l *loop) flush() error {
	for i := 0; i < len(l.touched); i++ {
		c := l.touched[i]
		c.touched = false
		if err := l.write(c); err != nil {
			if err := l.fail(c, err); err != nil {
				return err
			}
		}
	}
	l.touched = l.touched[:0]
	return nil
}

// write fills c.out and writes it until either has nothing more to offer. What the
// socket does not take waits for the poller.
func (l *loop) write(c *client) error {
	if c.fd < 0 {
		return nil
	}
	out := &c.out
	if c.layer != nil {
		out = &c.wire
	}
	for {
		if c.state == stateReady && len(c.out) < outSize {
			l.scenario.fill(c)
		}
		if c.layer != nil {
			if err := c.wrap(); err != nil {
				return err
			}
		}
		if len(*out) == 0 {
			return l.await(c, false)
		}
		n, again, err := writeSocket(c.fd, *out)
		if err != nil {
			return err
		}
		full := len(*out) >= outSize
		*out = (*out)[:copy(*out, (*out)[n:])]
		if again || len(*out) > 0 {
			return l.await(c, true)
		}
		if !full {
			return l.await(c, false)
		}
	}
}

// await sets whether the poller reports room to write on c.
func (l *loop) await(c *client, room bool) error {
	if c.blocked == room {
		return nil
	}
	c.blocked = room
	return l.poll.modify(c.fd, c.token, !c.deaf, room)
}

// deafen has the poller not report input on c any more.
func (l *loop) deafen(c *client) error {
	c.deaf = true
	return l.poll.modify(c.fd, c.token, false, c.blocked)
}

// close closes every connection.
func (l *loop) close() {
	for _, c := range l.clients {
		l.shut(c)
	}
	l.poll.close()
}

package conformance

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// patience is how long a test waits for what must come.
const patience = 8 * time.Second

// client is one connection to the broker. Owned by one test; a failed expectation ends that test.
type client struct {
	t      *testing.T
	b      *target
	nc     net.Conn
	in     *bufio.Reader
	v      codec.Version
	id     string
	ack    *packet   // CONNACK
	stash  []*packet // read while looking for something else
	lastID uint16
	watch  witness
}

// dial opens a connection and sends nothing.
func (b *target) dial(t *testing.T, v codec.Version) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", b.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &client{t: t, b: b, nc: nc, in: bufio.NewReader(nc), v: v, watch: newWitness(v, hello{})}
}

// open connects and sends CONNECT, and does not wait for the answer.
func (b *target) open(t *testing.T, v codec.Version, h hello) *client {
	t.Helper()
	c := b.dial(t, v)
	if h.id == "" && !h.emptyID {
		h.id = unique(t)
	}
	c.id, c.watch = h.id, newWitness(v, h)
	c.send(h.encode(v))
	return c
}

// connect opens a connection that must be accepted.
func (b *target) connect(t *testing.T, v codec.Version, h hello) *client {
	t.Helper()
	c := b.open(t, v, h)
	c.accepted()
	return c
}

// join is connect without wishes.
func (b *target) join(t *testing.T, v codec.Version) *client {
	t.Helper()
	return b.connect(t, v, hello{})
}

// accepted takes CONNACK 0x00.
func (c *client) accepted() *packet {
	c.t.Helper()
	c.ack = c.expect(codec.TypeConnack)
	if c.ack.code != 0 {
		c.t.Fatalf("%s: %s", c.id, c.ack)
	}
	return c.ack
}

// send writes bytes. Whether the broker still wants them shows in what it answers.
func (c *client) send(parts ...[]byte) {
	c.t.Helper()
	if err := c.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(cat(parts...)); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%s: the broker does not read", c.id)
	}
}

// nextID returns a Packet Identifier not used on this connection.
func (c *client) nextID() uint16 {
	c.lastID++
	return c.lastID
}

// next returns the next packet, nil when the broker has closed the connection.
func (c *client) next() *packet {
	c.t.Helper()
	if len(c.stash) > 0 {
		p := c.stash[0]
		c.stash = c.stash[1:]
		return p
	}
	return c.read()
}

func (c *client) read() *packet {
	c.t.Helper()
	if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		c.t.Fatal(err)
	}
	first, err := c.in.ReadByte()
	if err != nil {
		if isClosed(err) {
			return nil
		}
		c.t.Fatalf("%s: wait for a packet: %v", c.id, err)
	}
	length, digits := 0, 0
	for more := true; more; digits++ {
		d, err := c.in.ReadByte()
		if err != nil || digits > 3 {
			c.t.Fatalf("%s: remaining length: digit %d, %v", c.id, digits, err)
		}
		length |= int(d&0x7f) << (7 * digits)
		more = d&0x80 != 0
		if !more && d == 0 && digits > 0 {
			c.t.Fatalf("%s: %v", c.id, errNotMinimal) // [MQTT-1.5.5-1]
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.in, body); err != nil {
		c.t.Fatalf("%s: body of %d bytes: %v", c.id, length, err)
	}
	p, err := decode(c.v, first, body)
	if err != nil {
		c.t.Fatalf("%s: %v in % x", c.id, err, body[:min(len(body), 64)])
	}
	p.size = 1 + digits + length
	if err := c.watch.see(p); err != nil {
		c.t.Fatalf("%s: %v", c.id, err)
	}
	return p
}

func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// expect takes the next packet, which must be of that kind.
func (c *client) expect(kind codec.PacketType) *packet {
	c.t.Helper()
	p := c.next()
	if p == nil {
		c.t.Fatalf("%s: connection closed, not %s", c.id, kind)
	}
	if p.kind != kind {
		c.t.Fatalf("%s: %s, not %s", c.id, p, kind)
	}
	return p
}

// expectAck takes the next packet, which must be of that kind with that identifier.
func (c *client) expectAck(kind codec.PacketType, id uint16) *packet {
	c.t.Helper()
	p := c.expect(kind)
	if p.id != id {
		c.t.Fatalf("%s: %s, not id=%d", c.id, p, id)
	}
	return p
}

// await finds the packet of that kind and identifier; what comes before it stays to be read.
func (c *client) await(kind codec.PacketType, id uint16) *packet {
	c.t.Helper()
	for i, p := range c.stash {
		if p.kind == kind && p.id == id {
			c.stash = slices.Delete(c.stash, i, i+1)
			return p
		}
	}
	for {
		p := c.read()
		if p == nil {
			c.t.Fatalf("%s: connection closed, not %s id=%d", c.id, kind, id)
		}
		if p.kind == kind && p.id == id {
			return p
		}
		c.stash = append(c.stash, p)
	}
}

// closed expects the end of the connection, without another packet.
func (c *client) closed() {
	c.t.Helper()
	if p := c.next(); p != nil {
		c.t.Fatalf("%s: %s, not the end of the connection", c.id, p)
	}
}

// refused expects the broker to close an accepted connection. A 5.0 client is told why first: by codes[0], or, from a broker that
// is not ours, by any of codes or not at all.
func (c *client) refused(codes ...codec.ReasonCode) {
	c.t.Helper()
	c.farewell(c.v == codec.V5, codec.TypeDisconnect, codes)
}

// refusedConnect is refused for a connection that is not accepted yet. Before 5.0 codes are return codes, and without
// any the connection closes in silence.
func (c *client) refusedConnect(codes ...codec.ReasonCode) {
	c.t.Helper()
	c.farewell(len(codes) > 0, codec.TypeConnack, codes)
}

func (c *client) farewell(told bool, kind codec.PacketType, codes []codec.ReasonCode) {
	c.t.Helper()
	p := c.next()
	switch {
	case p == nil:
		if told && !c.b.external {
			c.t.Fatalf("%s: closed without %s 0x%02x", c.id, kind, byte(codes[0]))
		}
		return
	case p.kind != kind || !told:
		c.t.Fatalf("%s: %s, not the end of the connection", c.id, p)
	case p.code != codes[0] && !(c.b.external && slices.Contains(codes, p.code)):
		c.t.Fatalf("%s: %s, not code 0x%02x", c.id, p, byte(codes[0]))
	}
	c.closed()
}

// ping is a fence: what the broker had for this client before it got PINGREQ would have come before PINGRESP.
func (c *client) ping() {
	c.t.Helper()
	c.send(pingreq)
	c.expect(codec.TypePingresp)
}

// nothing proves that what others did so far brings these clients nothing: each of others has its packets processed, and only
// then are the clients asked.
func nothing(clients []*client, others ...*client) {
	for _, c := range others {
		c.t.Helper()
		c.send(pingreq)
		c.await(codec.TypePingresp, 0)
	}
	for _, c := range clients {
		c.t.Helper()
		c.ping()
	}
}

// silentFor lets time pass in which nothing may arrive.
func (c *client) silentFor(d time.Duration) {
	c.t.Helper()
	if err := c.nc.SetReadDeadline(time.Now().Add(d)); err != nil {
		c.t.Fatal(err)
	}
	if len(c.stash) > 0 {
		c.t.Fatalf("%s: %s, not silence", c.id, c.stash[0])
	}
	if b, err := c.in.Peek(1); err == nil {
		c.t.Fatalf("%s: 0x%02x, not silence", c.id, b)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%s: %v, not silence", c.id, err)
	}
}

// subscribe sends SUBSCRIBE and returns SUBACK, in which no code may be a failure. What comes before SUBACK stays to be read.
func (c *client) subscribe(filters ...filter) *packet {
	c.t.Helper()
	return c.subscribeWith(nil, filters...)
}

func (c *client) subscribeWith(props []byte, filters ...filter) *packet {
	c.t.Helper()
	p := c.trySubscribe(props, filters...)
	for i, code := range p.codes {
		if code >= codec.UnspecifiedError {
			c.t.Fatalf("%s: %q: %s", c.id, filters[i].name, p)
		}
	}
	return p
}

// trySubscribe is subscribe when failures are expected.
func (c *client) trySubscribe(props []byte, filters ...filter) *packet {
	c.t.Helper()
	id := c.nextID()
	c.send(subscribePacket(c.v, int(id), props, filters...))
	p := c.await(codec.TypeSuback, id)
	if len(p.codes) != len(filters) {
		c.t.Fatalf("%s: %d codes for %d filters", c.id, len(p.codes), len(filters))
	}
	return p
}

func (c *client) unsubscribe(filters ...string) *packet {
	c.t.Helper()
	id := c.nextID()
	c.send(unsubscribePacket(c.v, int(id), filters...))
	return c.await(codec.TypeUnsuback, id)
}

// start sends a PUBLISH, with an identifier that it chooses unless the message has one, and returns the identifier.
func (c *client) start(m message) uint16 {
	c.t.Helper()
	if m.qos > 0 && m.id == 0 {
		m.id = c.nextID()
	}
	c.send(m.encode(c.v))
	return m.id
}

// publish sends a PUBLISH and completes its handshake. It returns the code of PUBACK or PUBREC. A QoS 0 message is known to be
// processed when it returns.
func (c *client) publish(m message) codec.ReasonCode {
	c.t.Helper()
	id := c.start(m)
	switch m.qos {
	case codec.QoS0:
		c.send(pingreq)
		c.await(codec.TypePingresp, 0)
		return 0
	case codec.QoS1:
		return c.await(codec.TypePuback, id).code
	}
	rec := c.await(codec.TypePubrec, id)
	if rec.code < codec.UnspecifiedError {
		c.send(ackPacket(codec.TypePubrel, id, 0))
		c.await(codec.TypePubcomp, id)
	}
	return rec.code
}

// delivery takes the next packet, which must be this message. It is not acknowledged.
func (c *client) delivery(topic, payload string) *packet {
	c.t.Helper()
	p := c.expect(codec.TypePublish)
	if p.topic != topic || p.payload != payload {
		c.t.Fatalf("%s: %s, not %q %q", c.id, p, short(topic), short(payload))
	}
	return p
}

// receive takes the next packet, which must be this message, and acknowledges it to the end.
func (c *client) receive(topic, payload string) *packet {
	c.t.Helper()
	p := c.delivery(topic, payload)
	c.acknowledge(p)
	return p
}

// acknowledge completes the handshake of a delivery.
func (c *client) acknowledge(p *packet) {
	c.t.Helper()
	switch p.qos() {
	case codec.QoS1:
		c.puback(p.id, 0)
	case codec.QoS2:
		c.pubrec(p.id, 0)
		if rel := c.await(codec.TypePubrel, p.id); rel.code != 0 {
			c.t.Fatalf("%s: %s", c.id, rel)
		}
		c.pubcomp(p.id)
	}
}

func (c *client) puback(id uint16, code codec.ReasonCode) {
	c.t.Helper()
	c.watch.settled(id)
	c.send(ackPacket(codec.TypePuback, id, code))
}

func (c *client) pubrec(id uint16, code codec.ReasonCode) {
	c.t.Helper()
	if code >= codec.UnspecifiedError {
		c.watch.settled(id)
	}
	c.send(ackPacket(codec.TypePubrec, id, code))
}

func (c *client) pubcomp(id uint16) {
	c.t.Helper()
	c.watch.settled(id)
	c.send(ackPacket(codec.TypePubcomp, id, 0))
}

// leave says DISCONNECT and waits until the broker has closed.
func (c *client) leave() {
	c.t.Helper()
	c.send(disconnectNow)
	c.gone()
}

// crash breaks the connection in a way that the broker counts as a network failure, and waits until it has noticed.
func (c *client) crash() {
	c.t.Helper()
	c.send([]byte{0, 0}) // packet type 0
	c.gone()
}

// gone reads on until the broker has closed.
func (c *client) gone() {
	c.t.Helper()
	for c.next() != nil {
	}
}

// vanish closes the connection without a word.
func (c *client) vanish() {
	c.t.Helper()
	if err := c.nc.Close(); err != nil {
		c.t.Fatal(err)
	}
}

// equal fails the test when what was got is not what was wanted.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, not %v", what, got, want)
	}
}

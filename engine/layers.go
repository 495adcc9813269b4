package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/gannetmq/gannet/engine/websocket"
)

// Layers: TLS and WebSocket on an event loop.
//
//	socket -> tls.Conn -> HTTP request, then frames -> broker
//
// What the loop has read goes up through the layers until nothing whole is left; what is not whole yet stays in the layer
// that waits for the rest. No layer ever waits. For WebSocket that is how the package is made. A tls.Conn would block in
// Read: its net.Conn (tap) answers again instead, a temporary error, after which a tls.Conn may be asked again. During
// the handshake it may not, so that comes first and elsewhere; see greeting.go.
//
// What the broker writes in a turn, once per connection, becomes one frame, then as few records as it takes, and then one
// write to the socket. Everything on the way lies in buffers that belong to the loop. A connection has a buffer of its
// own only while a record, a request or a frame of control is incomplete.
//
// Any write to a socket may close the connection, and then loop.closed is called, and by the broker others may be
// written to, before it returns. So nothing of the scratch's out is needed any more when it is handed to a socket, and
// conn.sock is looked at after each write.

const (
	// plaintextBytes is what is decrypted before it is passed on: more than one read brings.
	plaintextBytes = 64 << 10

	// flushBytes is how much ciphertext is collected before it is written all the same, so that a packet of many
	// megabytes does not need as many again.
	flushBytes = 256 << 10

	// keepBytes is how large a buffer a loop keeps.
	keepBytes = 512 << 10

	// answerBytesMax bounds the answers below the broker (pong, key update) that wait in a socket: who asks for that
	// much and does not read is closed. What the broker has to say is bounded by the broker.
	answerBytesMax = 64 << 10
)

// errUnread ends a connection in which answerBytesMax is exceeded.
var errUnread = errors.New("the client asks for answers below MQTT and does not read them")

// layers are the layers of one connection, and the broker.Transport above them. Owned by one event loop, and before that
// by one greeting.
type layers struct {
	origin
	conn *conn // nil during the greeting

	tls      *tls.Conn // nil: none
	greeting *greeting // whom the tap reads from during the handshake, nil after
	pending  []byte    // what the tap has for the tls.Conn

	upgrade *upgrade          // the HTTP request; nil after, and without WebSocket
	frames  *websocket.Reader // nil before, and without WebSocket
	wire    *wire             // nil before, and without WebSocket or with TLS below it

	unread *unread // the answers that may wait in the socket; nil: none
}

// newLayers returns the layers of a connection of l from peer.
func newLayers(l *listener, s *setup, peer netip.Addr) *layers {
	lay := &layers{origin: origin{listener: l}}
	lay.layers = lay
	if s.ws {
		lay.upgrade = &upgrade{setup: s, peer: peer}
	}
	return lay
}

// scratch is what a loop lends to the layers of the connection it serves.
type scratch struct {
	inside tlsInside
	plain  []byte // of plaintextBytes, for what was decrypted
	joined []byte // ciphertext that did not come at once
	frame  []byte // one outgoing frame
	out    []byte // what goes to the socket next
}

func newScratch() *scratch {
	return &scratch{inside: newTLSInside(), plain: make([]byte, plaintextBytes), joined: make([]byte, 0, 96<<10)}
}

// shrink gives up buffers that have grown for one large packet.
func (s *scratch) shrink() {
	if cap(s.out) > keepBytes {
		s.out = nil
	}
	if cap(s.frame) > keepBytes {
		s.frame = nil
	}
}

// Up: from the socket to the broker.

// receive takes what the socket has brought, which may be nothing. b is borrowed and overwritten.
func (lay *layers) receive(b []byte) {
	if lay.tls == nil {
		lay.upward(b)
		return
	}
	s := lay.conn.loop.lend()
	held := lay.feed(s, b)
	lay.decrypt(s)
	lay.hold(s, held)
}

// feed gives b to the tls.Conn behind what it has, and returns memory of the connection's own that lies idle meanwhile.
func (lay *layers) feed(s *scratch, b []byte) (held []byte) {
	if !s.inside.usable {
		if len(lay.pending) == 0 {
			lay.pending = b // it will be empty in the end
		} else {
			lay.pending = append(lay.pending, b...)
		}
		return nil
	}
	raw := s.inside.raw(lay.tls)
	held = raw.Bytes()
	if len(held)+len(lay.pending) > 0 {
		s.joined = append(append(append(s.joined[:0], held...), lay.pending...), b...)
		b, lay.pending = s.joined, nil
	}
	*raw = *bytes.NewBuffer(b)
	return held
}

// hold keeps what is not a whole record, as small as it is, in held if it fits.
func (lay *layers) hold(s *scratch, held []byte) {
	if !s.inside.usable {
		lay.pending = nil
		return
	}
	raw := s.inside.raw(lay.tls)
	if rest := raw.Bytes(); len(rest) > 0 && lay.conn.sock != nil {
		*raw = *bytes.NewBuffer(append(held[:0], rest...))
	} else {
		*raw = bytes.Buffer{}
	}
	s.inside.trim(lay.tls)
}

// decrypt passes on all that the tls.Conn can decrypt.
func (lay *layers) decrypt(s *scratch) {
	n := 0
	for {
		m, err := 0, error(again{})
		if !s.inside.usable || s.inside.more(lay.tls) {
			m, err = lay.tls.Read(s.plain[n:])
		}
		n += m
		if !lay.answer(s) {
			return
		}
		if err == nil && n < len(s.plain) {
			continue
		}
		if n > 0 {
			lay.upward(s.plain[:n])
			n = 0
		}
		switch {
		case lay.conn.peer == nil: // closed by what it said
			return
		case err == nil || errors.Is(err, again{}):
		case errors.Is(err, io.EOF): // close_notify
			lay.conn.loop.hangUp(lay.conn, io.EOF)
			return
		default:
			lay.broken(err)
			return
		}
		if err != nil {
			return
		}
	}
}

// upward passes on b, which is what TLS protects or what there is without TLS. It may be empty.
func (lay *layers) upward(b []byte) {
	if lay.upgrade != nil {
		b = lay.request(b)
	}
	c := lay.conn
	if len(b) == 0 || c.peer == nil {
		return
	}
	if lay.frames == nil {
		c.loop.core.Data(c.peer, b, c.loop.now)
		return
	}
	s := c.loop.lend()
	data, answers, err := lay.frames.Read(b, s.frame[:0])
	s.frame = answers[:0]
	if err != nil {
		answers = slices.Clone(answers) // what the broker writes meanwhile is framed where they are
	} else if len(answers) > 0 && !lay.reply(s, answers) {
		return
	}
	if len(data) > 0 {
		c.loop.core.Data(c.peer, data, c.loop.now)
	}
	if err == nil || c.peer == nil { // closing: the close frame is that of goodbye
		return
	}
	if lay.wire != nil {
		lay.wire.close()
	}
	lay.send(s, answers)
	lay.frames = nil
	if errors.Is(err, websocket.ErrClosed) {
		err = io.EOF
	} else {
		lay.listener.tally.count(transportError)
	}
	c.loop.hangUp(c, err)
}

// answer writes what a layer had to say while it was reading (alerts, key updates). False: the connection is over.
func (lay *layers) answer(s *scratch) bool {
	c := lay.conn
	if n := len(s.out); n > 0 && lay.flush(s) {
		lay.limit(n)
	}
	return c.peer != nil
}

// reply is answer for b, which is sent below the broker.
func (lay *layers) reply(s *scratch, b []byte) bool {
	if lay.tls != nil {
		return lay.seal(s, b) && lay.answer(s)
	}
	c := lay.conn
	if lay.send(s, b) {
		lay.limit(len(b))
	}
	return c.peer != nil
}

// limit closes the connection if too many answers wait in it, with what waits. The last one, of n bytes, is in the socket.
func (lay *layers) limit(n int) {
	c := lay.conn
	waiting := c.sock.OutboundBuffered()
	if waiting == 0 {
		lay.unread = nil
		return
	}
	if lay.unread == nil {
		lay.unread = new(unread)
	}
	if lay.unread.add(n, waiting) > answerBytesMax {
		lay.listener.tally.count(transportError)
		c.loop.cut(c, errUnread)
	}
}

// unread counts the answers in a socket among everything else that waits there. It knows how much was written since some
// moment, the mark, and how much waits. Once the latter is no more than the former, all that was before the mark has been
// sent, and there is another mark. It never counts less than what waits, and at worst the answers among twice as many bytes
// as wait.
type unread struct {
	before, after int // bytes of answers on either side of the mark
	written       int // bytes of any kind after it
}

// add takes note of an answer of n bytes, the last of those that wait, and returns how many of these are answers.
func (u *unread) add(n, waiting int) int {
	u.after += n
	if waiting <= u.written {
		*u = unread{before: u.after}
	}
	return min(u.before+u.after, waiting)
}

// broken ends the connection for what its client sent.
func (lay *layers) broken(err error) {
	c := lay.conn
	lay.listener.tally.count(transportError)
	c.parted = true // an alert has been sent, where it can
	c.loop.hangUp(c, err)
}

// Down: from the broker to the socket.

// Write implements broker.Transport, see conn.Write.
func (lay *layers) Write(b []byte) error {
	c := lay.conn
	if c.sock == nil || c.parted || lay.upgrade != nil {
		return net.ErrClosed
	}
	s := c.loop.lend()
	if lay.wire != nil {
		b = lay.wire.unsaid(b)
	}
	if lay.frames != nil && len(b) > 0 {
		s.frame = append(websocket.AppendHeader(s.frame[:0], websocket.Binary, len(b)), b...)
		b = s.frame
	}
	ok := lay.send(s, b)
	s.shrink()
	if !ok {
		return net.ErrClosed
	}
	return nil
}

// send writes b, whole frames or none if there are frames. False: the connection is gone, and closed has been called.
func (lay *layers) send(s *scratch, b []byte) bool {
	if lay.wire != nil {
		return lay.wire.write(lay, b)
	}
	if lay.tls == nil {
		return lay.put(b)
	}
	return lay.seal(s, b) && lay.flush(s)
}

// seal puts b into s.out as records. False: the connection is gone, and closed has been called.
func (lay *layers) seal(s *scratch, b []byte) bool {
	s.out = s.out[:0]
	_, err := lay.tls.Write(b)
	if c := lay.conn; err != nil && c.sock != nil {
		c.loop.events.close(c.sock)
	}
	return err == nil
}

// flush writes what is in s.out. False: the connection is gone, and closed has been called.
func (lay *layers) flush(s *scratch) bool {
	out := s.out
	s.out = s.out[:0]
	if lay.conn.sock == nil {
		return false
	}
	if len(out) == 0 {
		return true
	}
	return lay.put(out)
}

// put writes b to the socket. False: the connection is gone, and closed has been called.
func (lay *layers) put(b []byte) bool {
	if lay.unread != nil {
		lay.unread.written += len(b)
	}
	_, err := lay.conn.sock.Write(b)
	return err == nil
}

// goodbye tells the client, in the language of each layer, that the connection ends. It may be gone afterwards.
func (lay *layers) goodbye() {
	c := lay.conn
	if c.sock == nil || c.parted {
		return
	}
	c.parted = true
	s := c.loop.lend()
	if lay.frames != nil {
		code := websocket.NormalClosure
		if c.loop.shutting {
			code = websocket.GoingAway
		}
		s.frame = websocket.AppendClose(s.frame[:0], code, "")
		if !lay.send(s, s.frame) {
			return
		}
	}
	if lay.tls != nil {
		s.out = s.out[:0]
		if lay.tls.CloseWrite() == nil {
			lay.flush(s)
		}
	}
}

// Buffered implements broker.Transport.
func (lay *layers) Buffered() int { return lay.conn.Buffered() }

// Close implements broker.Transport.
func (lay *layers) Close() { lay.conn.Close() }

// RemoteAddr implements broker.Transport.
func (lay *layers) RemoteAddr() string { return lay.conn.RemoteAddr() }

// UserName implements broker.Transport.
func (lay *layers) UserName() string { return lay.userName }

// tap is layers as the net.Conn below its tls.Conn: the socket during the handshake, memory after.
type tap layers

// again says that there is nothing to read now. For a tls.Conn that is no failure.
type again struct{}

func (again) Error() string   { return "nothing to read yet" }
func (again) Timeout() bool   { return false }
func (again) Temporary() bool { return true }

func (t *tap) Read(b []byte) (int, error) {
	if t.greeting != nil {
		return t.greeting.read(b)
	}
	if len(t.pending) == 0 {
		return 0, again{}
	}
	n := copy(b, t.pending)
	t.pending = t.pending[n:]
	return n, nil
}

func (t *tap) Write(b []byte) (int, error) {
	if t.greeting != nil {
		return t.greeting.write(b)
	}
	lay := (*layers)(t)
	s := lay.conn.loop.lend()
	s.out = append(s.out, b...)
	if len(s.out) >= flushBytes && !lay.flush(s) {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

func (t *tap) LocalAddr() net.Addr {
	if t.greeting != nil {
		return t.greeting.nc.LocalAddr()
	}
	return nil
}

func (t *tap) RemoteAddr() net.Addr {
	if t.greeting != nil {
		return t.greeting.nc.RemoteAddr()
	}
	return nil
}

// The socket is not the tls.Conn's to close, and deadlines are the greeting's.
func (*tap) Close() error                     { return nil }
func (*tap) SetDeadline(time.Time) error      { return nil }
func (*tap) SetReadDeadline(time.Time) error  { return nil }
func (*tap) SetWriteDeadline(time.Time) error { return nil }

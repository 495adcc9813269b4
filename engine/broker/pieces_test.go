package broker

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand"
	"slices"
	"testing"

	"github.com/valyala/bytebufferpool"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// TestPiecesComeWhereTheyBelong holds what is written of a buffer with pieces, a random part at a time, against the same bytes in one.
func TestPiecesComeWhereTheyBelong(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 500 {
		c, want, given := &client{out: &bytebufferpool.ByteBuffer{}}, []byte(nil), 0
		some := func(most int) []byte {
			b := make([]byte, rnd.Intn(most))
			rnd.Read(b)
			return b
		}
		out := &session.Output{}
		pieces := rnd.Intn(4)
		for range pieces {
			head, payload := append(some(6), 1), append(some(50), 2)
			out.Frames = append(out.Frames, head...)
			out.Pieces = append(out.Pieces, session.Piece{At: len(out.Frames), Payload: payload, Body: session.NewBody(0, func() { given++ })})
			want = append(append(want, head...), payload...)
		}
		last := some(6)
		want, c.out.B = append(want, last...), append(out.Frames, last...)
		c.conn = &Conn{}
		c.keepPieces(out)

		for n := len(want); n > 0; {
			if c.outSize() != n {
				t.Fatalf("%d bytes are left, and %d counted", n, c.outSize())
			}
			if got := bytes.Join(appendVectors(nil, c.out.B, c.extra.pieces), nil); !bytes.Equal(got, want) {
				t.Fatalf("got %x, want %x", got, want)
			}
			if rnd.Intn(4) == 0 {
				c.flatten()
				if !bytes.Equal(c.out.B, want) || len(c.extra.pieces)+c.extra.pieceBytes > 0 {
					t.Fatalf("in one: %x, want %x", c.out.B, want)
				}
			}
			k := rnd.Intn(n + 1)
			c.dropWritten(k)
			want, n = want[k:], n-k
		}
		if given != pieces {
			t.Fatalf("%d of %d bodies were given back", given, pieces)
		}
	}
}

// whole is a wire whose transport takes no pieces, as if there were layers.
type whole struct{ w *wire }

func (t whole) Write(b []byte) error { return t.w.Write(b) }
func (t whole) Buffered() int        { return t.w.Buffered() }
func (t whole) Close()               { t.w.Close() }
func (t whole) RemoteAddr() string   { return t.w.RemoteAddr() }
func (t whole) UserName() string     { return t.w.UserName() }

// largePayload is one that tells where each of its bytes belongs.
func largePayload(first byte, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = first + byte(i/251)
	}
	return string(b)
}

// publishSlowly sends a PUBLISH in parts that are never whole.
func (w *wire) publishSlowly(p *codec.Publish) {
	b := p.Append(nil, w.v)
	for n := 0; len(b) > 0; b = b[n:] {
		n = min(len(b), 60000)
		part := bytes.Clone(b[:n])
		w.send(part)
		clear(part) // the broker must not keep what it borrows
	}
}

func (w *wire) expectPayload(want string) {
	w.r.t.Helper()
	var p codec.Publish
	f := w.expect(codec.TypePublish)
	if err := p.Parse(w.v, f.Flags, f.Body); err != nil {
		w.r.t.Fatal(err)
	}
	if string(p.Payload) != want {
		w.r.t.Fatalf("%d bytes came, not the %d that were sent", len(p.Payload), len(want))
	}
}

// memory is where the buffers lie that s has for packets of size bytes.
func (s *spares) memory(size int) map[*byte]bool {
	at := map[*byte]bool{}
	for _, buf := range s.list {
		if cap(buf.B) >= size {
			at[&buf.B[:1][0]] = true
		}
	}
	return at
}

// TestMemoryOfALargePacketGoesRound: to every subscriber, near or far, that takes pieces or not, and back to where it came from.
func TestMemoryOfALargePacketGoesRound(t *testing.T) {
	const size = 256 << 10
	r := newRig(t, 2, nil)
	near, far, layered := r.connect(0, connectAs("near", codec.V5)), r.connect(1, connectAs("far", codec.V311)), r.dial(0, true)
	layered.conn.t, layered.v = whole{layered}, codec.V5
	layered.send(connectAs("layered", codec.V5).Append(nil, codec.V5))
	r.Settle()
	layered.expect(codec.TypeConnack)
	for _, w := range []*wire{near, far, layered} {
		w.subscribe("t", codec.QoS1)
	}
	pub := r.connect(0, connectAs("pub", codec.V5))
	var memory map[*byte]bool
	for i := range 5 {
		text := largePayload(byte(i), size)
		pub.publishSlowly(&codec.Publish{Topic: []byte("t"), Payload: []byte(text), QoS: codec.QoS1, PacketID: 1})
		for _, w := range []*wire{near, far} {
			if c := w.conn.client; c.outSize() < size || len(c.out.B) > 4096 {
				t.Errorf("message %d was copied: %d of %d bytes", i, len(c.out.B), c.outSize())
			}
		}
		writes := near.Writes
		r.Settle()
		if near.Writes != writes+1 {
			t.Errorf("message %d in %d writes", i, near.Writes-writes)
		}
		for _, w := range []*wire{near, far, layered} {
			w.expectPayload(text)
		}
		pub.expect(codec.TypePuback)
		now := r.Loops[0].spare.memory(size)
		if i == 2 {
			memory = now
		} else if i > 2 && (!maps.Equal(now, memory) || len(now) == 0) {
			t.Errorf("message %d: %d buffers, %d before", i, len(now), len(memory))
		}
	}
	if n := len(r.Loops[1].spare.list); n > 0 {
		t.Errorf("%d buffers went to the wrong loop", n)
	}
}

// TestKeptLargePayloadIsNotOverwritten: what is retained or queued has taken its memory out of the round.
func TestKeptLargePayloadIsNotOverwritten(t *testing.T) {
	const size = 200 << 10
	r := newRig(t, 1, nil)
	d := connectAs("durable", codec.V5)
	d.Properties.SessionExpiryInterval = 3600
	d.Properties.Set(codec.PropSessionExpiryInterval)
	away := r.connect(0, d)
	away.subscribe("t/#", codec.QoS1)
	away.gone()
	pub := r.connect(0, connectAs("pub", codec.V311))
	text := func(i int) string { return largePayload(byte(10*i), size) }
	topic := func(i int) []byte { return fmt.Append(nil, "t/", i) }
	for i := range 4 {
		pub.publishSlowly(&codec.Publish{Topic: topic(i), Payload: []byte(text(i)), QoS: codec.QoS1, PacketID: 1, Retain: true})
		r.Settle()
		pub.expect(codec.TypePuback)
	}
	for range 3 { // these use what memory there is
		pub.publishSlowly(&codec.Publish{Topic: []byte("nobody"), Payload: make([]byte, size)})
	}
	if n, want := r.b.retained.bytes.Load(), int64(4*(size+3+retainedOverhead)); n != want {
		t.Errorf("%d bytes are retained, %d counted", want, n)
	}
	d.CleanStart = false
	back := r.connect(0, d)
	for i := range 4 {
		back.expectPayload(text(i))
	}
	for i := range 4 {
		sub := r.connect(0, connectAs(fmt.Sprint("sub", i), codec.V5))
		sub.subscribe(string(topic(i)), codec.QoS0)
		sub.expectPayload(text(i))
	}
}

// TestPiecesCountAgainstTheBound: a message that no longer fits is dropped although nothing of the one before was copied.
func TestPiecesCountAgainstTheBound(t *testing.T) {
	const size = 128 << 10
	r := newRig(t, 1, func(o *Options) { o.MaxOutboundBytes = 2 * size })
	sub := r.connect(0, connectAs("sub", codec.V311))
	sub.subscribe("t", codec.QoS0)
	pub := r.connect(0, connectAs("pub", codec.V311))
	for i := range 4 {
		pub.publishSlowly(&codec.Publish{Topic: []byte("t"), Payload: []byte(largePayload(byte(i), size))})
	}
	pub.publish("t", "small", codec.QoS0, 0)
	r.Settle()
	for i := range 2 {
		sub.expectPayload(largePayload(byte(i), size))
	}
	sub.expectNothing()
	if n := r.Loops[0].stats.drops[session.DropOutboundFull]; n != 3 {
		t.Errorf("%d dropped", n)
	}
	pub.publish("t", "small", codec.QoS0, 0)
	r.Settle()
	sub.expectPayload("small")
}

// TestPiecesOfAConnectionThatEnds are written before it is closed, or given back.
func TestPiecesOfAConnectionThatEnds(t *testing.T) {
	const size = 128 << 10
	for _, how := range []string{"says goodbye", "is gone", "is taken over"} {
		r := newRig(t, 1, nil)
		sub := r.connect(0, connectAs("sub", codec.V5))
		sub.subscribe("t", codec.QoS0)
		pub := r.connect(0, connectAs("pub", codec.V311))
		text := largePayload(1, size)
		pub.publishSlowly(&codec.Publish{Topic: []byte("t"), Payload: []byte(text)})
		switch how {
		case "says goodbye":
			sub.send((&codec.Disconnect{}).Append(nil, codec.V5))
		case "is gone":
			sub.Closed = true
			sub.loop.Closed(sub.conn, io.EOF, r.Now)
		case "is taken over":
			r.connect(0, connectAs("sub", codec.V5))
		}
		r.Settle()
		if how != "is gone" {
			sub.expectPayload(text)
		}
		if len(r.Loops[0].spare.memory(size)) == 0 {
			t.Errorf("a client %s, and the memory of its message does not come back", how)
		}
	}
}

// directPieces is a direct that takes pieces.
type directPieces struct{ direct }

func (d *directPieces) WritevDirect(bs [][]byte) int {
	return d.WriteDirect(bytes.Join(bs, nil))
}

func TestAnotherLoopWritesPieces(t *testing.T) {
	const size = 128 << 10
	r := newRig(t, 2, nil)
	sub := r.connect(1, connectAs("sub", codec.V311))
	sub.subscribe("t", codec.QoS0)
	d := &directPieces{direct{wire: sub}}
	sub.conn.t = d
	pub := r.connect(0, connectAs("pub", codec.V311))
	r.Settle()
	for i, takes := range []int{1 << 20, 0, 3, 7, 5000, size} {
		d.takes = takes
		text := largePayload(byte(i), size)
		pub.publishSlowly(&codec.Publish{Topic: []byte("t"), Payload: []byte(text)})
		r.Loops[0].Turn(r.Now)
		if d.calls != i+1 || r.Woken[1] != (i > 0) {
			t.Errorf("takes %d: %d direct writes, woken %v", takes, d.calls, r.Woken[1])
		}
		r.Settle()
		sub.expectPayload(text)
		if len(r.Loops[0].spare.memory(size)) == 0 {
			t.Errorf("takes %d: the memory does not come back", takes)
		}
	}
}

func TestRoomIsForTheRestOfALargePacketOnly(t *testing.T) {
	r := newRig(t, 1, nil)
	sub := r.connect(0, connectAs("sub", codec.V311))
	sub.subscribe("t", codec.QoS0)
	fresh := r.dial(0, true)
	fresh.send([]byte{0x10, 0xff, 0x7f})
	if r.Loops[0].Room(fresh.conn) != nil {
		t.Error("room for a CONNECT")
	}
	pub := r.connect(0, connectAs("pub", codec.V311))
	if r.Loops[0].Room(pub.conn) != nil {
		t.Error("room for no packet")
	}
	text := largePayload(1, 1<<20)
	b := (&codec.Publish{Topic: []byte("t"), Payload: []byte(text)}).Append(nil, codec.V311)
	pub.send(b[:100])
	pub.conn.partial.B = slices.Clip(pub.conn.partial.B) // whatever the pool had
	if n := len(r.Loops[0].Room(pub.conn)); n > 0 {
		t.Errorf("room for %d bytes after 100", n)
	}
	pub.send(b[100 : 64<<10])
	sent, in := 64<<10, r.Loops[0].stats.bytesIn
	for sent < len(b) {
		room := r.Loops[0].Room(pub.conn)
		if len(room) > sent || len(room) > len(b)-sent {
			t.Fatalf("room for %d bytes after %d of %d", len(room), sent, len(b))
		}
		if len(room) < roomBytesMin {
			pub.send(b[sent:])
			in += uint64(len(b) - sent)
			break
		}
		n := copy(room[:1+len(room)/2], b[sent:])
		r.Loops[0].Received(pub.conn, n, r.Now)
		sent += n
	}
	r.Settle()
	sub.expectPayload(text)
	if sent < 900<<10 || r.Loops[0].stats.bytesIn != in+uint64(sent)-64<<10 {
		t.Errorf("%d bytes sent, %d counted", sent, r.Loops[0].stats.bytesIn-in)
	}
	if r.Loops[0].Room(pub.conn) != nil {
		t.Error("room after the packet")
	}
}

// counted is a wire that remembers the most pieces of one call.
type counted struct {
	*wire
	most int
}

func (c *counted) Writev(bs [][]byte) error {
	c.most = max(c.most, len(bs))
	return c.wire.Writev(bs)
}

func TestManyPiecesAreMoreThanOneWrite(t *testing.T) {
	const messages = vectorsMost
	r := newRig(t, 1, nil)
	r.Loops[0].spliceBytes = 1
	sub := r.connect(0, connectAs("sub", codec.V311))
	sub.subscribe("t", codec.QoS0)
	c := &counted{wire: sub}
	sub.conn.t = c
	pub := r.connect(0, connectAs("pub", codec.V311))
	for i := range messages {
		b := (&codec.Publish{Topic: []byte("t"), Payload: fmt.Append(nil, i)}).Append(nil, codec.V311)
		pub.send(b[:3])
		pub.send(b[3:])
	}
	writes := sub.Writes
	r.Settle()
	if c.most != vectorsMost || sub.Writes != writes+2 {
		t.Errorf("%d pieces at most in %d writes", c.most, sub.Writes-writes)
	}
	for i := range messages {
		sub.expectPayload(fmt.Sprint(i))
	}
}

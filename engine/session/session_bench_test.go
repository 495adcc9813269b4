package session

import (
	"runtime"
	"testing"
	"unsafe"

	"github.com/gannetmq/gannet/codec"
)

// exchange is one PUBLISH from a client through its session to another client's, and all acknowledgements.
type exchange struct {
	pub, sub *Session
	in, out  Output
	o        Outgoing
	route    Route
	packet   codec.Frame
	acks     []byte
}

func newExchange(v codec.Version, qos codec.QoS) *exchange {
	x := &exchange{pub: plainSession(v), sub: plainSession(v), route: Route{QoS: qos}}
	p := codec.Publish{Topic: []byte("a/b"), Payload: make([]byte, 64), QoS: qos}
	if qos > 0 {
		p.PacketID = 1
	}
	x.packet = frameOf(p.Append(nil, v))
	x.in.Room, x.out.Room = 1<<20, 1<<20
	return x
}

func frameOf(b []byte) codec.Frame {
	f, _, err := codec.Next(b, 0)
	if err != nil || f.Size != len(b) {
		panic("not one packet")
	}
	return f
}

// answer sends one acknowledgement to s.
func (x *exchange) answer(s *Session, t codec.PacketType, id uint16, out *Output) {
	x.acks = codec.AppendPubackShort(x.acks[:0], t, id)
	out.Reset()
	s.Packet(frameOf(x.acks), start, out)
}

func (x *exchange) run() {
	in, out := &x.in, &x.out
	in.Reset()
	in.Frames, out.Frames = in.Frames[:0], out.Frames[:0]
	x.pub.Packet(x.packet, start, in)
	if !in.HasPublish {
		panic("nothing to route")
	}
	out.Reset()
	x.o.Reset(&in.Publish, start, false)
	id := PacketID(x.sub.nextSeq)
	if x.sub.Deliver(&x.o, &x.route, out) != Sent {
		panic("not sent")
	}
	switch in.AckQoS {
	case codec.QoS1:
		x.pub.Acknowledge(in.AckID, in.AckQoS, codec.Success, in)
		x.answer(x.sub, codec.TypePuback, id, out)
	case codec.QoS2:
		x.pub.Acknowledge(in.AckID, in.AckQoS, codec.Success, in)
		x.answer(x.pub, codec.TypePubrel, 1, in)
		x.answer(x.sub, codec.TypePubrec, id, out)
		x.answer(x.sub, codec.TypePubcomp, id, out)
	}
}

// TestSteadyStreamAllocatesNothing: once buffers have grown, a message costs no memory at any level, because neither
// session has to remember it.
func TestSteadyStreamAllocatesNothing(t *testing.T) {
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		for qos := range codec.QoS(3) {
			x := newExchange(v, qos)
			for range 100 {
				x.run()
			}
			if n := testing.AllocsPerRun(500, x.run); n != 0 {
				t.Errorf("version %s QoS %d: %v allocations per message", v, qos, n)
			}
		}
	}
}

func BenchmarkPublishDeliver(b *testing.B) {
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		for qos := range codec.QoS(3) {
			b.Run(v.String()+"/qos"+string('0'+rune(qos)), func(b *testing.B) {
				x := newExchange(v, qos)
				b.ReportAllocs()
				for b.Loop() {
					x.run()
				}
			})
		}
	}
}

// TestIdleSessionStaysSmall holds the size of what every idle connection costs here.
func TestIdleSessionStaysSmall(t *testing.T) {
	if n := unsafe.Sizeof(Session{}); n > 136 {
		t.Errorf("a session has %d bytes", n)
	}
	// The allocator has no size between 320 and 352. What a limit on the rate needs fits into that.
	if n := unsafe.Sizeof(more{}); n > 352 || unsafe.Sizeof(meter{}) != 16 {
		t.Errorf("what few sessions need has %d bytes", n)
	}
	if entrySize > 48 {
		t.Errorf("an entry in flight or queued has %d bytes", entrySize)
	}
}

// BenchmarkIdleSessionBytes reports what a connected session with one subscription takes from the heap.
func BenchmarkIdleSessionBytes(b *testing.B) {
	cfg := DefaultConfig()
	sub := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte("sensors/+/temperature")}}}
	f := frameOf(sub.Append(nil, codec.V5))
	out := &Output{}
	sessions := make([]*Session, 0, b.N)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range b.N {
		s := New(&cfg, uint64(i+1), "client")
		out.Frames = out.Frames[:0]
		out.Reset()
		s.Connect(&Hello{Version: codec.V5, ClientID: "client", receiveMaximum: 65535}, start, out)
		s.Packet(f, start, out)
		s.Trim(start)
		sessions = append(sessions, s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(unsafe.Sizeof(Session{})), "struct-bytes")
	b.ReportMetric(float64(int64(after.HeapAlloc)-int64(before.HeapAlloc))/float64(b.N), "heap-bytes/session")
	runtime.KeepAlive(sessions)
}

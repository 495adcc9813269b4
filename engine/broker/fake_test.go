package broker

import (
	"io"
	"log/slog"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/fake"
	"github.com/gannetmq/gannet/engine/session"
)

// rig is a broker with loops that a test turns by hand, on fake transports: the whole core without a socket.
type rig struct {
	*fake.Rig[*Loop]
	t testing.TB
	b *Broker
}

func newRig(t testing.TB, loops int, change func(*Options)) *rig {
	return newRigWithStore(t, loops, nil, change)
}

func newRigWithStore(t testing.TB, loops int, store Store, change func(*Options)) *rig {
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	b := New(o, store, slog.New(slog.NewTextHandler(io.Discard, nil)))
	return &rig{fake.NewRig(loops, Time(1_700_000_000_000), b.NewLoop), t, b}
}

// wire is the far end of a fake connection.
type wire struct {
	fake.Transport
	r     *rig
	conn  *Conn
	loop  *Loop
	v     codec.Version
	endAt Time // when the broker closed it
}

func (w *wire) Close() {
	w.endAt = w.r.Now
	w.Transport.Close()
}

func (r *rig) dial(loop int, anonymous bool) *wire {
	w := &wire{r: r, loop: r.Loops[loop], Transport: fake.Transport{Keep: true}}
	w.conn = w.loop.Open(w, &Listener{Name: "fake", Policy: session.Policy{AllowAnonymous: anonymous, NewClientID: NewClientID}}, r.Now)
	return w
}

func (w *wire) send(b []byte) { w.loop.Data(w.conn, b, w.r.Now) }

// gone cuts the connection from the client's side.
func (w *wire) gone() {
	w.Closed = true
	w.loop.Closed(w.conn, io.EOF, w.r.Now)
	w.r.Settle()
}

func (r *rig) connect(loop int, c *codec.Connect) *wire {
	w := r.dial(loop, true)
	w.v = c.Version
	w.send(c.Append(nil, c.Version))
	r.Settle()
	w.expect(codec.TypeConnack)
	return w
}

// next takes one packet that the broker wrote.
func (w *wire) next() (codec.Frame, bool) {
	f, _, err := codec.Next(w.In, 0)
	if err != nil {
		w.r.t.Fatalf("broker wrote nonsense: %v", err)
	}
	if f.Size == 0 {
		return f, false
	}
	w.In = w.In[f.Size:]
	return f, true
}

func (w *wire) expect(t codec.PacketType) codec.Frame {
	w.r.t.Helper()
	f, ok := w.next()
	if !ok || f.Type != t {
		w.r.t.Fatalf("got %v (%v), want %v", f.Type, ok, t)
	}
	return f
}

func (w *wire) expectNothing() {
	w.r.t.Helper()
	if f, ok := w.next(); ok {
		w.r.t.Fatalf("got %v, want nothing", f.Type)
	}
}

func (w *wire) subscribe(filter string, qos codec.QoS) {
	w.r.t.Helper()
	s := codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: []byte(filter), QoS: qos}}}
	w.send(s.Append(nil, w.v))
	w.r.Settle()
	w.expect(codec.TypeSuback)
}

func (w *wire) publish(topic, payload string, qos codec.QoS, id uint16) {
	p := codec.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: id}
	w.send(p.Append(nil, w.v))
}

func connectAs(id string, v codec.Version) *codec.Connect {
	return &codec.Connect{Version: v, CleanStart: true, ClientID: []byte(id)}
}

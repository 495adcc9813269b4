package broker

import (
	"io"
	"log/slog"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// rig is a broker with loops that a test turns by hand, on fake transports: the whole core without a socket.
type rig struct {
	t     testing.TB
	b     *Broker
	loops []*Loop
	woken []bool
	now   Time
}

func newRig(t testing.TB, loops int, change func(*Options)) *rig {
	return newRigWithStore(t, loops, nil, change)
}

func newRigWithStore(t testing.TB, loops int, store Store, change func(*Options)) *rig {
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	r := &rig{t: t, now: 1_700_000_000_000, woken: make([]bool, loops)}
	r.b = New(o, store, slog.New(slog.NewTextHandler(io.Discard, nil)))
	for i := range loops {
		r.loops = append(r.loops, r.b.NewLoop(func() { r.woken[i] = true }))
	}
	return r
}

// settle turns all loops until nobody has anything to do.
func (r *rig) settle() {
	for busy := true; busy; {
		busy = false
		for i, l := range r.loops {
			if r.woken[i] || l.NeedsTurn() {
				r.woken[i], busy = false, true
				l.Turn(r.now)
			}
		}
	}
}

// pass lets time go by, a tick each quarter second.
func (r *rig) pass(d Time) {
	for end := r.now + d; r.now < end; {
		r.now = min(r.now+tickMillis, end)
		for _, l := range r.loops {
			l.Tick(r.now)
		}
		r.settle()
	}
}

// wire is the far end of a fake connection.
type wire struct {
	r      *rig
	conn   *Conn
	loop   *Loop
	v      codec.Version
	in     []byte // what the broker wrote
	keep   bool   // keep what the broker writes; else only count
	bytes  int
	writes int
	stuck  int // bytes the socket does not take
	full   bool
	closed bool
	endAt  Time // when the broker closed it

	onClose func() // when the broker closes it, or nil
}

func (w *wire) Write(b []byte) error {
	w.bytes += len(b)
	w.writes++
	if w.full {
		w.stuck += len(b)
	}
	if w.keep {
		w.in = append(w.in, b...)
	}
	return nil
}
func (w *wire) Buffered() int      { return w.stuck }
func (w *wire) RemoteAddr() string { return "fake" }
func (w *wire) UserName() string   { return "" }
func (w *wire) Close() {
	w.closed, w.endAt = true, w.r.now
	if w.onClose != nil {
		w.onClose()
	}
}

func (r *rig) dial(loop int, anonymous bool) *wire {
	w := &wire{r: r, loop: r.loops[loop], keep: true}
	w.conn = w.loop.Open(w, &Listener{Name: "fake", Policy: session.Policy{AllowAnonymous: anonymous, NewClientID: NewClientID}}, r.now)
	return w
}

func (w *wire) send(b []byte) { w.loop.Data(w.conn, b, w.r.now) }

// gone cuts the connection from the client's side.
func (w *wire) gone() {
	w.closed = true
	w.loop.Closed(w.conn, io.EOF, w.r.now)
	w.r.settle()
}

func (r *rig) connect(loop int, c *codec.Connect) *wire {
	w := r.dial(loop, true)
	w.v = c.Version
	w.send(c.Append(nil, c.Version))
	r.settle()
	w.expect(codec.TypeConnack)
	return w
}

// next takes one packet that the broker wrote.
func (w *wire) next() (codec.Frame, bool) {
	f, _, err := codec.Next(w.in, 0)
	if err != nil {
		w.r.t.Fatalf("broker wrote nonsense: %v", err)
	}
	if f.Size == 0 {
		return f, false
	}
	w.in = w.in[f.Size:]
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
	w.r.settle()
	w.expect(codec.TypeSuback)
}

func (w *wire) publish(topic, payload string, qos codec.QoS, id uint16) {
	p := codec.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos, PacketID: id}
	w.send(p.Append(nil, w.v))
}

func connectAs(id string, v codec.Version) *codec.Connect {
	return &codec.Connect{Version: v, CleanStart: true, ClientID: []byte(id)}
}

package engine

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/gannetmq/gannet/engine/broker"
)

// fakeEvents is an event loop whose every answer the test decides.
type fakeEvents struct {
	loop  *loop
	peeks []int // answers of ahead, the last one for ever
	tasks int
}

func (f *fakeEvents) execute() error { f.tasks++; return nil }

func (f *fakeEvents) ahead() int {
	n := f.peeks[0]
	if len(f.peeks) > 1 {
		f.peeks = f.peeks[1:]
	}
	return n
}

func (f *fakeEvents) close(s socket)          { s.(*fakeSocket).end(nil) }
func (f *fakeEvents) listen(int) error        { panic("no listener") }
func (f *fakeEvents) unlisten(int)            { panic("no listener") }
func (f *fakeEvents) adopt(int, *entry) error { panic("no listener") }

// fakeSocket is a socket that keeps what is written to it.
type fakeSocket struct {
	conn     *conn
	written  []byte
	buffered int
	broken   error // what the next Write fails with
	ended    bool
}

func (s *fakeSocket) end(err error) {
	if s.ended {
		panic("socket closed twice")
	}
	s.ended = true
	s.conn.loop.closed(s.conn, err)
}

func (s *fakeSocket) Write(b []byte) (int, error) {
	if s.ended {
		panic("write to a closed socket")
	}
	if s.broken != nil {
		s.end(s.broken)
		return 0, s.broken
	}
	s.written = append(s.written, b...)
	return len(b), nil
}

func (s *fakeSocket) Writev(bs [][]byte) (n int, err error) {
	for _, b := range bs {
		m, err := s.Write(b)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *fakeSocket) OutboundBuffered() int { return s.buffered }

// scriptCore is a core that records its calls and does what the test put into it.
type scriptCore struct {
	trace []string
	dirty bool
	block bool

	room     []byte // what is missing of a large packet
	received []byte

	onOpen, onData, onTurn, onClosed func(t broker.Transport)
	transports                       map[*broker.Conn]broker.Transport
}

func (c *scriptCore) note(what string, hook func(broker.Transport), t broker.Transport) {
	c.trace = append(c.trace, what)
	if hook != nil {
		hook(t)
	}
	c.trace = append(c.trace, "/"+what)
}

func (c *scriptCore) Open(t broker.Transport, _ *broker.Listener, _ broker.Time) *broker.Conn {
	bc := new(broker.Conn)
	c.transports[bc] = t
	c.note("open", c.onOpen, t)
	return bc
}

func (c *scriptCore) Data(bc *broker.Conn, _ []byte, _ broker.Time) {
	c.dirty = true
	c.note("data", c.onData, c.transports[bc])
}

func (c *scriptCore) Room(*broker.Conn) []byte { return c.room }

func (c *scriptCore) Received(bc *broker.Conn, n int, _ broker.Time) {
	c.received = append(c.received, c.room[:n]...)
	c.room = c.room[n:]
}

func (c *scriptCore) Closed(bc *broker.Conn, _ error, _ broker.Time) {
	t := c.transports[bc]
	if t == nil {
		panic("closed twice, or without a connection")
	}
	delete(c.transports, bc)
	c.note("closed", c.onClosed, t)
}

func (c *scriptCore) Turn(broker.Time) {
	c.dirty = false
	for _, t := range c.transports {
		c.note("turn", c.onTurn, t)
	}
}

func (c *scriptCore) NeedsTurn() bool       { return c.dirty }
func (c *scriptCore) Begin()                {}
func (c *scriptCore) Rest() bool            { return true }
func (c *scriptCore) Tick(broker.Time) bool { return false }
func (c *scriptCore) Blocked() bool         { return c.block }
func (c *scriptCore) Shutdown(broker.Time)  {}

// scripted returns a loop with fakes on both sides.
func scripted(peeks ...int) (*loop, *scriptCore, *fakeEvents) {
	l := newLoop(newGate(10), newClock())
	c := &scriptCore{transports: map[*broker.Conn]broker.Transport{}}
	l.core, l.intake = c, newIntake(l, new(door))
	f := &fakeEvents{loop: l, peeks: peeks}
	l.attach(f)
	return l, c, f
}

func connect(l *loop) *fakeSocket {
	if !l.gate.enter() {
		panic("gate is full")
	}
	s := &fakeSocket{}
	e := &entry{origin: &origin{listener: new(listener)}, peer: netip.MustParseAddrPort("[::ffff:192.0.2.1]:7")}
	s.conn = newConn(s, l, e, -1)
	l.open(s.conn, nil, nil)
	return s
}

func wantTrace(t *testing.T, c *scriptCore, want ...string) {
	t.Helper()
	if !slices.Equal(c.trace, want) {
		t.Errorf("calls:\n got %q\nwant %q", c.trace, want)
	}
	c.trace = nil
}

func TestTurnRunsAtOnceWhenNothingElseIsReadable(t *testing.T) {
	l, c, f := scripted(0)
	s := connect(l)
	c.trace = nil
	l.data(s.conn, []byte("x"))
	wantTrace(t, c, "data", "/data", "turn", "/turn")
	if f.tasks != 0 {
		t.Errorf("%d tasks, want none", f.tasks)
	}
}

func TestTurnWaitsForTheReadableSockets(t *testing.T) {
	l, c, _ := scripted(2, 1, 0)
	a := connect(l)
	c.trace = nil
	l.data(a.conn, nil) // two more are certain
	l.data(a.conn, nil)
	l.data(a.conn, nil) // and one more
	l.data(a.conn, nil) // and none
	wantTrace(t, c, "data", "/data", "data", "/data", "data", "/data", "data", "/data", "turn", "/turn")
}

func TestTurnComesAfterItsMostCallbacksWhateverIsReadable(t *testing.T) {
	l, c, _ := scripted(peekAlways)
	s := connect(l)
	turns := 0
	c.onTurn = func(broker.Transport) { turns++ }
	const rounds = 5
	for range rounds * (turnEvents + 1) {
		l.data(s.conn, nil)
	}
	if turns != rounds {
		t.Errorf("%d turns in %d callbacks, want %d", turns, rounds*(turnEvents+1), rounds)
	}
}

// peekAlways is a peek into a loop that never runs dry.
const peekAlways = 50

func TestTurnIsATaskWhereTheLoopCannotLookAhead(t *testing.T) {
	l, c, f := scripted(-1)
	s := connect(l)
	c.trace = nil
	l.data(s.conn, nil)
	l.data(s.conn, nil)
	wantTrace(t, c, "data", "/data", "data", "/data")
	if f.tasks != 1 {
		t.Errorf("%d tasks, want 1", f.tasks)
	}
	l.run()
	wantTrace(t, c, "turn", "/turn")
}

func TestWakeBeforeAttachIsRemembered(t *testing.T) {
	l := newLoop(newGate(1), newClock())
	l.core = &scriptCore{}
	l.wake()
	f := &fakeEvents{loop: l, peeks: []int{0}}
	l.attach(f)
	if f.tasks != 1 {
		t.Errorf("%d tasks after attach, want 1", f.tasks)
	}
}

func TestWakeAfterSilenceDoesNothing(t *testing.T) {
	l, _, f := scripted(0)
	l.silence()
	l.wake()
	if f.tasks != 0 {
		t.Errorf("%d tasks, want none", f.tasks)
	}
}

func TestTurnAfterALostConnectionDoesNotWaitForItsDyingSocket(t *testing.T) {
	l, c, _ := scripted(0, 0, 1) // gnet reports the end of a socket before it stops to watch it
	dying, other := connect(l), connect(l)
	c.trace = nil
	c.onClosed = func(broker.Transport) { c.dirty = true } // a will for the other
	dying.end(errors.New("reset"))
	wantTrace(t, c, "closed", "/closed", "turn", "/turn")
	_ = other
}

func TestClosedFollowsCloseLater(t *testing.T) {
	l, c, _ := scripted(0)
	s := connect(l)
	c.trace = nil
	c.onData = func(tr broker.Transport) { tr.Close(); tr.Close() }
	l.data(s.conn, nil)
	wantTrace(t, c, "data", "/data", "turn", "/turn", "closed", "/closed")
	if !s.ended || l.gate.open.Load() != 0 {
		t.Errorf("socket ended %v, places taken %d", s.ended, l.gate.open.Load())
	}
	if err := s.conn.Write(nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to what is gone: %v", err)
	}
	s.conn.Close()
	if len(l.closing) != 0 {
		t.Error("closing what is gone closes it again")
	}
}

func TestClosedOnceWhenTheClientIsFasterThanClose(t *testing.T) {
	l, c, _ := scripted(5)
	s := connect(l)
	c.onData = func(tr broker.Transport) { tr.Close() }
	l.data(s.conn, nil)
	c.trace = nil
	s.end(errors.New("reset")) // before the turn
	wantTrace(t, c)
	l.run()
	wantTrace(t, c, "turn", "/turn", "closed", "/closed")
}

func TestClosedInsideWrite(t *testing.T) {
	l, c, _ := scripted(0)
	s := connect(l)
	c.trace = nil
	s.broken = errors.New("broken pipe")
	c.onTurn = func(tr broker.Transport) {
		if err := tr.Write([]byte("x")); !errors.Is(err, s.broken) {
			t.Errorf("write: %v", err)
		}
		tr.Close()
		if tr.Buffered() != 0 || tr.RemoteAddr() != "192.0.2.1:7" {
			t.Error("a connection that is gone has bytes, or its address is forgotten:", tr.RemoteAddr())
		}
	}
	l.data(s.conn, nil)
	wantTrace(t, c, "data", "/data", "turn", "closed", "/closed", "/turn")
}

func TestClosedFollowsOpen(t *testing.T) {
	for name, inOpen := range map[string]func(*fakeSocket, broker.Transport){
		"closed by the core":     func(_ *fakeSocket, tr broker.Transport) { tr.Close() },
		"broken by a write":      func(s *fakeSocket, tr broker.Transport) { s.broken = net.ErrClosed; _ = tr.Write(nil) },
		"closed and then broken": func(s *fakeSocket, tr broker.Transport) { tr.Close(); s.broken = net.ErrClosed; _ = tr.Write(nil) },
		"broken and then closed": func(s *fakeSocket, tr broker.Transport) { s.broken = net.ErrClosed; _ = tr.Write(nil); tr.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l, c, _ := scripted(0)
			c.onOpen = func(tr broker.Transport) { inOpen(tr.(*conn).sock.(*fakeSocket), tr) }
			s := connect(l)
			l.run()
			if got := c.trace[:2]; !slices.Equal(got, []string{"open", "/open"}) {
				t.Errorf("calls begin with %q", got)
			}
			if len(c.transports) != 0 || !s.ended || l.gate.open.Load() != 0 {
				t.Errorf("still there: core %d, socket ended %v, places %d",
					len(c.transports), s.ended, l.gate.open.Load())
			}
		})
	}
}

func TestClosingHasItsConsequencesInTheSameTurn(t *testing.T) {
	l, c, _ := scripted(0)
	a, b := connect(l), connect(l)
	c.onData = func(tr broker.Transport) { tr.Close() }
	c.onClosed = func(broker.Transport) { b.conn.Close() } // as a will might
	l.data(a.conn, nil)
	if !a.ended || !b.ended {
		t.Errorf("ended: %v, %v", a.ended, b.ended)
	}
}

func TestSocketOfAClosedConnectionMayDrain(t *testing.T) {
	l, c, _ := scripted(0)
	s := connect(l)
	c.onData = func(tr broker.Transport) { tr.Close() }
	s.buffered = 10
	l.data(s.conn, nil)
	if len(c.transports) != 0 {
		t.Error("the broker was made to wait for the socket")
	}
	c.trace = nil
	l.data(s.conn, []byte("more"))
	wantTrace(t, c)

	l.request(requestTick)
	l.run()
	if s.ended {
		t.Fatal("closed before it was drained")
	}
	s.buffered = 0
	l.request(requestTick)
	l.run()
	if !s.ended || len(l.draining) != 0 {
		t.Error("not closed when drained")
	}
}

func TestSocketThatDoesNotDrainIsClosedInTime(t *testing.T) {
	l, c, _ := scripted(0)
	s := connect(l)
	c.onData = func(tr broker.Transport) { tr.Close() }
	s.buffered = 10
	l.data(s.conn, nil)
	l.draining[0].until = l.now
	l.request(requestTick)
	l.run()
	if !s.ended {
		t.Error("still open")
	}
}

func TestBlockedLoopIsTurnedAgain(t *testing.T) {
	l, c, f := scripted(0)
	s := connect(l)
	woken := make(chan struct{}, 1)
	l.retry.Stop()
	c.block = true
	l.events = wakeEvents{f, woken}
	l.data(s.conn, nil)
	<-woken
}

// wakeEvents tells the test about tasks that come from another goroutine.
type wakeEvents struct {
	*fakeEvents
	woken chan struct{}
}

func (w wakeEvents) execute() error { w.woken <- struct{}{}; return nil }

func TestNoTurnInsideAnotherCallback(t *testing.T) {
	l, c, _ := scripted(0)
	s := connect(l)
	c.trace = nil
	c.onData = func(tr broker.Transport) {
		s.broken = net.ErrClosed
		_ = tr.Write(nil) // ends the connection, and with it a callback inside this one
	}
	other := connect(l)
	c.trace = nil
	l.data(s.conn, nil)
	wantTrace(t, c, "data", "closed", "/closed", "/data", "turn", "/turn")
	if other.ended {
		t.Error("the wrong connection has ended")
	}
}

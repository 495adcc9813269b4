package engine

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

// echoCore is a core that sends back what it gets, in its turn and with one write
// for each connection, as the broker would. It recognises a few commands, each a
// line of its own, that make it misbehave as a broker might.
type echoCore struct {
	wake  func()
	conns map[*broker.Conn]*echoConn
	dirty []*echoConn
	mail  mail

	turns, ticks, opened, closed, shutdowns int
}

type echoConn struct {
	transport broker.Transport
	out       []byte
	dirty     bool
}

// mail is what other goroutines want the core to do in its next turn.
type mail struct {
	mu    sync.Mutex
	woken bool
	items []func(*echoCore)
}

func newEchoCore(wake func()) *echoCore {
	return &echoCore{wake: wake, conns: map[*broker.Conn]*echoConn{}}
}

// post has f called in a turn of the core's loop. From any goroutine.
func (e *echoCore) post(f func(*echoCore)) {
	e.mail.mu.Lock()
	e.mail.items = append(e.mail.items, f)
	woken := e.mail.woken
	e.mail.woken = true
	e.mail.mu.Unlock()
	if !woken {
		e.wake()
	}
}

func (e *echoCore) Open(t broker.Transport, _ *broker.Listener, _ broker.Time) *broker.Conn {
	c := new(broker.Conn)
	e.conns[c] = &echoConn{transport: t}
	e.opened++
	return c
}

func (e *echoCore) Room(*broker.Conn) []byte                { return nil }
func (e *echoCore) Received(*broker.Conn, int, broker.Time) { panic("it has no room") }

func (e *echoCore) Data(c *broker.Conn, b []byte, _ broker.Time) {
	ec := e.conns[c]
	switch {
	case bytes.Equal(b, []byte("bye\n")):
		ec.out = append(ec.out, "bye\n"...)
		e.markDirty(ec)
		e.flush()
		ec.transport.Close()
	default:
		ec.out = append(ec.out, b...)
		e.markDirty(ec)
	}
}

func (e *echoCore) markDirty(ec *echoConn) {
	if !ec.dirty {
		ec.dirty = true
		e.dirty = append(e.dirty, ec)
	}
}

func (e *echoCore) Closed(c *broker.Conn, _ error, _ broker.Time) {
	if e.conns[c] == nil {
		panic("closed twice or never opened")
	}
	delete(e.conns, c)
	e.closed++
}

func (e *echoCore) NeedsTurn() bool { return len(e.dirty) > 0 }

func (e *echoCore) Turn(broker.Time) {
	e.turns++
	e.mail.mu.Lock()
	items := e.mail.items
	e.mail.items, e.mail.woken = nil, false
	e.mail.mu.Unlock()
	for _, f := range items {
		f(e)
	}
	e.flush()
}

func (e *echoCore) flush() {
	for i := 0; i < len(e.dirty); i++ {
		ec := e.dirty[i]
		ec.dirty = false
		_ = ec.transport.Write(ec.out)
		ec.out = ec.out[:0]
	}
	e.dirty = e.dirty[:0]
}

func (e *echoCore) Begin()                {}
func (e *echoCore) Rest() bool            { return true }
func (e *echoCore) Tick(broker.Time) bool { e.ticks++; return true }
func (e *echoCore) Blocked() bool         { return false }

func (e *echoCore) Shutdown(broker.Time) {
	e.shutdowns++
	for _, ec := range e.conns {
		ec.transport.Close()
	}
}

// running is a server under test.
type running struct {
	*Server
	cores []*echoCore // look into them only after stop, or through post
	stop  func()      // ends Run and waits for it
}

// serve runs a server with echo cores until the test ends or stop is called.
func serve(t testing.TB, o Options) *running {
	t.Helper()
	return serveWith(t, o, slog.New(slog.DiscardHandler))
}

// serveLogged is serve with a log.
func serveLogged(t testing.TB, log *lines, listeners ...ListenerOptions) *running {
	t.Helper()
	return serveWith(t, Options{Loops: 1, Listeners: listeners}, slog.New(slog.NewTextHandler(log, nil)))
}

func serveWith(t testing.TB, o Options, log *slog.Logger) *running {
	t.Helper()
	return byLoops.serve(t, o, log)
}

// way is how connections are accepted.
type way bool

const (
	byLoops      way = false
	byGoroutines way = true
)

// eachWay runs a test with loops that accept and with goroutines that do.
func eachWay(t *testing.T, test func(t *testing.T, w way)) {
	t.Run("loops", func(t *testing.T) { test(t, byLoops) })
	t.Run("goroutines", func(t *testing.T) { test(t, byGoroutines) })
}

// start is serve for a way.
func (w way) start(t testing.TB, o Options) *running {
	t.Helper()
	return w.serve(t, o, slog.New(slog.DiscardHandler))
}

func (w way) serve(t testing.TB, o Options, log *slog.Logger) *running {
	t.Helper()
	if len(o.Listeners) == 0 {
		o.Listeners = []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}}
	}
	r := &running{}
	var err error
	r.Server, err = newServer(o, log, func(wake func()) core {
		e := newEchoCore(wake)
		r.cores = append(r.cores, e)
		return e
	})
	if err != nil {
		t.Fatal(err)
	}
	r.detour = bool(w)
	r.stop = run(t, r.Server)
	return r
}

// lines is a log that a test looks into.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) want(t testing.TB, part string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !bytes.Contains(l.text.Bytes(), []byte(part)) {
		t.Errorf("the log does not say %q:\n%s", part, l.text.Bytes())
	}
}

// run runs s until the test ends or the returned function is called, which waits.
func run(t testing.TB, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func dial(t testing.TB, a net.Addr) net.Conn {
	t.Helper()
	nc, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	// Only to make a failure a failure and not a hanging test.
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

func exchange(t testing.TB, nc net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(nc, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(nc, got); err != nil {
		t.Fatalf("waiting for %q: %v", text, err)
	}
	if string(got) != text {
		t.Fatalf("got %q, want %q", got, text)
	}
}

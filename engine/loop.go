package engine

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

// A loop turns what happens on sockets into calls of the core and decides when the
// core's turn comes. The core only collects while data arrives: messages for other
// loops, bytes for its own connections. Its Turn sends all of it, with one write
// for each connection and one wake-up for each loop, so the later the turn, the
// more it does at once, and the longer everybody waits. The rule here is:
//
//	The turn comes when no socket of this loop has anything left to read, or
//	after turnEvents callbacks, whichever is first.
//
// An idle broker therefore answers a message at once, and a busy one batches by
// exactly as much as it is behind. What "nothing left to read" means is answered by
// eventLoop.ahead (peek_linux.go); where it cannot be answered, the turn is queued
// as a task of the event loop, which runs at the end of its next iteration.
//
// No turn is lost, because at the end of every callback after which one is needed
// one of these holds: the turn has run; a task is queued (armed), and a task ends
// with a turn; or the reactor is certain to make l.ahead more callbacks, the last of
// which comes back to this decision. A tick, four times a second, ends with a turn
// too, so that even a reactor that broke its promise would cost a delay, not a
// message.

const (
	// turnEvents bounds how many callbacks one turn may wait for.
	turnEvents = 128

	// turnRounds bounds how often the core's Turn is repeated for what the closing
	// of connections brought up (wills, mostly) before sockets are read again.
	turnRounds = 4

	// retryDelay is how long a loop with a blocked connection sleeps, at most,
	// before it looks whether the socket has drained.
	retryDelay = 2 * time.Millisecond

	// drainMillis is how long the socket of a closed connection may take to send
	// what it holds. After that it is closed, and what is left is lost. During the
	// shutdown the bound is that of the shutdown.
	drainMillis = 2000
)

// loop is one event loop of the server. Owned by that event loop, except for wake
// and request, which any goroutine may call.
type loop struct {
	core   core
	events eventLoop
	gate   *gate
	clock  clock
	door   *door    // for what is not known before the first bytes were read
	intake *intake  // set with door
	loan   *scratch // nil until there is a connection with layers

	now    broker.Time // read once for a burst of callbacks
	ahead  int         // callbacks the reactor is still certain to make
	waited int         // callbacks the coming turn has been put off for
	inside bool        // a callback is under way: what happens in it is not the end of one

	opening  *conn // while core.Open runs, and
	brokenBy error // why its socket broke meanwhile

	shutting bool // draining sockets get all the time the server has

	closing  []closing
	spare    []closing // the other half of closing's double buffer
	draining []draining

	armed    atomic.Bool   // a task is queued
	ticked   atomic.Int64  // broker.Time of the last tick
	restful  atomic.Bool   // the next one need not come soon
	requests atomic.Uint32 // what the task shall do besides the turn
	retry    *time.Timer   // wakes a blocked loop

	mu      sync.Mutex // held while a task is being queued: attach and silence wait
	stopped bool
}

// closing is a connection closed by the broker whose socket is still to be closed.
type closing struct {
	conn *conn
	peer *broker.Conn
}

// draining is a connection that the broker is done with and whose socket still
// holds bytes to be sent.
type draining struct {
	conn  *conn
	until broker.Time
}

// What a task of the loop can be asked for; every task ends with a turn.
const (
	requestTick uint32 = 1 << iota
	requestShutdown
	requestIntake
)

// newLoop returns a loop that still lacks its neighbours: core, door and intake are
// set before the reactor starts, attach is called by the reactor.
func newLoop(g *gate, c clock) *loop {
	l := &loop{gate: g, clock: c, now: c.now()}
	l.retry = time.AfterFunc(time.Hour, l.wake)
	l.retry.Stop()
	return l
}

// attach joins the loop to its event loop. Called once, before all other callbacks.
func (l *loop) attach(e eventLoop) {
	l.mu.Lock()
	l.events = e
	l.mu.Unlock()
	if l.armed.Swap(false) { // the core has asked for a turn already
		l.wake()
	}
}

// Callbacks of the reactor, on the event loop.

// ring reports that somebody may wait at a listener. It is not one of the callbacks that eventLoop.ahead promises.
func (l *loop) ring() {
	if l.ahead == 0 {
		l.refresh()
		l.core.Begin()
	}
	l.inside = true
	l.intake.ring()
	l.inside = false
	l.settle()
}

// open presents a new connection, with its socket, to the broker. early was read from it already, and is borrowed. The
// reactor calls it inside of eventLoop.adopt, too, and so inside of another callback.
func (l *loop) open(c *conn, lst *broker.Listener, early []byte) {
	outer := l.inside
	if !outer {
		l.refresh()
		l.core.Begin()
	}
	l.inside = true
	l.intake.load.Add(1)
	l.opening = c
	peer := l.core.Open(c.transport(), lst, l.now)
	l.opening = nil

	switch i := l.closingIndex(c); {
	case i >= 0: // closed by the core inside Open
		l.closing[i].peer = peer
	case c.sock == nil: // broken by a write inside Open
		l.core.Closed(peer, l.brokenBy, l.now)
	default:
		c.peer = peer
		if len(early) > 0 || c.origin.layers != nil && c.origin.layers.tls != nil {
			l.pass(c, early)
		}
	}
	l.inside = outer
	l.settle()
}

// data passes on what was read from the socket of c; b is borrowed, and may be overwritten.
func (l *loop) data(c *conn, b []byte) {
	l.called()
	if c.peer != nil {
		l.inside = true
		l.pass(c, b)
		if len(b) == readBufferBytes && c.origin.layers == nil {
			l.readOn(c)
		}
		l.inside = false
	}
	l.settle()
}

// pass passes b on to the core, or to the layers before it.
func (l *loop) pass(c *conn, b []byte) {
	if c.fresh && len(b) > 0 && l.mistaken(c, b) {
		return
	}
	if lay := c.origin.layers; lay != nil {
		lay.receive(b)
		return
	}
	l.core.Data(c.peer, b, l.now)
}

// mistaken looks at the first bytes of a connection, and closes it if they are those of TLS where none is spoken.
func (l *loop) mistaken(c *conn, b []byte) bool {
	c.fresh = false
	if lay := c.origin.layers; lay != nil && lay.tls != nil || !looksLikeTLS(b) {
		return false
	}
	c.origin.listener.tally.count(wrongTransport)
	l.door.mistaken(c)
	l.hangUp(c, errUnwelcome)
	return true
}

// lend returns what the layers of any connection of the loop work with.
func (l *loop) lend() *scratch {
	if l.loan == nil {
		l.loan = newScratch()
	}
	return l.loan
}

// closed reports the end of the socket of c. The reactor calls it inside of
// socket.Write and eventLoop.close, too, and so inside of another callback.
func (l *loop) closed(c *conn, err error) {
	l.called()
	outer := l.inside
	l.inside = true
	peer := c.peer
	c.sock, c.peer = nil, nil
	switch {
	case peer != nil:
		l.core.Closed(peer, err, l.now)
	case c == l.opening:
		l.brokenBy = err
	}
	l.gate.leave()
	l.intake.load.Add(-1)
	c.origin.listener.tally.leave()
	l.inside = outer
	// No peek here: the dying socket is still in the epoll instance and readable, and would count as a
	// callback to come.
	if !l.inside && l.ahead == 0 && !l.armed.Load() {
		l.rest()
	}
}

// run is the task of the loop.
func (l *loop) run() {
	l.armed.Store(false) // first: a wake-up from here on queues a task of its own
	l.ahead = 0
	l.refresh()
	requests := l.requests.Swap(0)
	l.core.Begin()
	l.inside = true
	if requests&requestIntake != 0 {
		l.intake.tend() // first: whoever has come in takes part in a shutdown
	}
	if requests&requestShutdown != 0 {
		l.shutting = true
		l.core.Shutdown(l.now)
	}
	if requests&requestTick != 0 {
		soon := l.core.Tick(l.now)
		l.ticked.Store(int64(l.now))
		l.sweepDraining()
		l.restful.Store(!soon && len(l.draining) == 0)
	}
	l.turn()
}

// called notes that the reactor has made a callback because of a socket.
func (l *loop) called() {
	if l.ahead > 0 {
		l.ahead--
		return
	}
	if !l.inside {
		l.refresh()
		l.core.Begin()
	}
}

func (l *loop) refresh() { l.now = l.clock.now() }

// The turn.

// settle ends a callback: it decides when the turn comes, if one is needed.
func (l *loop) settle() {
	if l.inside || l.armed.Load() || l.ahead > 0 {
		return
	}
	if !l.needsTurn() {
		l.rest()
		return
	}
	if l.waited < turnEvents {
		switch n := l.events.ahead(); {
		case n < 0:
			l.wake()
			return
		case n > 0:
			l.ahead = min(n, turnEvents-l.waited)
			l.waited += l.ahead
			return
		}
	}
	l.turn()
}

// rest ends a burst of callbacks: with a turn if one is needed or if another loop has
// posted something that it did not have to wake this one for.
func (l *loop) rest() {
	if l.needsTurn() || !l.core.Rest() {
		l.turn()
	}
}

func (l *loop) needsTurn() bool {
	return len(l.closing) > 0 || l.core.NeedsTurn()
}

// turn lets the core send what it has collected, then closes what it has closed.
func (l *loop) turn() {
	l.inside = true
	rested := false
	for range turnRounds {
		l.core.Turn(l.now)
		l.closeAll()
		if rested = !l.needsTurn() && l.core.Rest(); rested {
			break
		}
	}
	l.inside = false
	l.waited = 0

	if !rested {
		l.wake()
	}
	if l.core.Blocked() {
		l.retry.Reset(retryDelay)
	}
}

// Closing.

// closeLater closes c at the end of the turn; see conn.Close.
func (l *loop) closeLater(c *conn) {
	opening := c == l.opening && l.closingIndex(c) < 0
	if c.sock == nil || c.peer == nil && !opening {
		return
	}
	l.closing = append(l.closing, closing{c, c.peer})
	c.peer = nil
}

// closingIndex returns the place of c in l.closing, -1 if it has none.
func (l *loop) closingIndex(c *conn) int {
	for i := range l.closing {
		if l.closing[i].conn == c {
			return i
		}
	}
	return -1
}

// closeAll ends the connections that were closed since the last call. A socket that
// still holds bytes is given time to send them; the broker is not made to wait.
func (l *loop) closeAll() {
	list := l.closing
	l.closing = l.spare[:0]
	for _, e := range list {
		l.end(e.conn)
		l.core.Closed(e.peer, nil, l.now)
	}
	clear(list)
	l.spare = list
}

// hangUp ends a connection for what its socket has brought, or for what a layer makes of it. err says what it was.
func (l *loop) hangUp(c *conn, err error) {
	peer := c.peer
	if peer == nil {
		return
	}
	c.peer = nil
	l.core.Closed(peer, err, l.now)
	l.end(c)
}

// cut is hangUp without a goodbye, and without sending what waits.
func (l *loop) cut(c *conn, err error) {
	peer := c.peer
	if peer == nil {
		return
	}
	c.peer = nil
	l.core.Closed(peer, err, l.now)
	if c.sock != nil {
		l.events.close(c.sock)
	}
}

// errUnwelcome ends a connection that was refused.
var errUnwelcome = errors.New("refused")

// end closes the socket of a connection that the broker is done with, when it has sent what it holds.
func (l *loop) end(c *conn) {
	if lay := c.origin.layers; lay != nil {
		lay.goodbye()
	}
	switch {
	case c.sock == nil: // the client was faster
	case c.sock.OutboundBuffered() > 0:
		l.draining = append(l.draining, draining{c, l.now + drainMillis})
	default:
		l.events.close(c.sock)
	}
}

// sweepDraining closes the sockets that have sent everything or had their time.
func (l *loop) sweepDraining() {
	kept := l.draining[:0]
	for _, d := range l.draining {
		switch s := d.conn.sock; {
		case s == nil:
		case s.OutboundBuffered() == 0, l.now >= d.until && !l.shutting:
			l.events.close(s)
		default:
			kept = append(kept, d)
		}
	}
	clear(l.draining[len(kept):])
	l.draining = kept
}

// From any goroutine.

// wake queues a task, unless one is queued already. Before attach it is remembered;
// once the reactor is being stopped it does nothing.
func (l *loop) wake() {
	if !l.armed.CompareAndSwap(false, true) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.events == nil {
		return
	}
	if err := l.events.execute(); err != nil {
		panic(fmt.Sprintf("engine: an event loop that runs refused a task: %v", err))
	}
}

// request asks for something besides the turn.
func (l *loop) request(what uint32) {
	l.requests.Or(what)
	l.wake()
}

// silence makes wake do nothing from now on. When it returns, no goroutine but the
// event loop itself is inside the reactor on behalf of this loop.
func (l *loop) silence() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.retry.Stop()
}

// finish gives the core a last turn for what the end of its connections left
// behind. Called when the event loop has ended and the caller owns the loop.
func (l *loop) finish() {
	l.refresh()
	l.turn()
	l.retry.Stop()
}

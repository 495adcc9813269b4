package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

// Greetings: what happens to a connection between accept and event loop.
//
// The PROXY header and the TLS handshake come first, and each waits for its client. crypto/tls can wait only by
// blocking, because an error during the handshake is final, and a handshake costs as much processor time as a thousand
// messages. Both are reasons to keep it off the event loops: each such connection has a goroutine, for as long as it
// takes. Two bounds keep strangers from taking everybody's time or place.
//
// Time: so many greetings as there are slots may compute at a moment. One that waits for its client holds none. A storm
// of clients that all come back at once therefore leaves half of the processors to those who are connected.
//
// Places: when MaxHandshakes greetings are under way, room is made by closing the one that has waited longest for its
// client, not counting the time it has waited for a slot. A crowd that connects and says nothing, or says it a byte at a
// time, thus loses its places to whoever is quicker. But nobody is closed who has waited less than evictAfter: in a
// storm of good clients the eldest are those in whom most work was invested, and one that waits for the other end of a
// long line is not slow. Meanwhile newcomers wait where they are, in the kernel's backlog.

// evictAfter is how long a greeting may wait for its client whatever the crowd.
const evictAfter = time.Second

// greetings are the connections that no event loop has yet. Their goroutines are joined by stop.
type greetings struct {
	door       *door
	max        int
	timeout    time.Duration
	evictAfter time.Duration
	inside     tlsInside
	slots      chan struct{} // taken by those who compute
	freed      chan struct{} // told that a place is free
	wait       sync.WaitGroup

	mu   sync.Mutex
	open map[*greeting]struct{}
}

func newGreetings(o Options) *greetings {
	return &greetings{
		max: o.MaxHandshakes, timeout: o.HandshakeTimeout, evictAfter: evictAfter, inside: newTLSInside(),
		slots: make(chan struct{}, max(1, o.Loops/2)), freed: make(chan struct{}, 1), open: map[*greeting]struct{}{},
	}
}

// greeting is one connection among the greetings. Owned by its goroutine but for what follows mu.
type greeting struct {
	nc       net.Conn
	peer     netip.AddrPort
	listener *listener
	setup    *setup
	all      *greetings

	origin *origin // of the connection, if it is not like all others of the listener
	early  []byte  // read already, and to be read again

	// Guarded by all.mu.
	since   time.Time     // it waits for its client since then; zero: it does not
	waited  time.Duration // and has waited so long before
	evicted bool
}

// start takes a place for g, waiting for one if need be, and begins. False: ctx has ended.
func (all *greetings) start(ctx context.Context, g *greeting) bool {
	if !all.enter(ctx, g) {
		return false
	}
	g.begin(all)
	return true
}

// tryStart is start for who cannot wait: it says after what time to try again at the latest.
func (all *greetings) tryStart(g *greeting) (patience time.Duration, ok bool) {
	if patience, ok = all.tryEnter(g, time.Now()); ok {
		g.begin(all)
	}
	return patience, ok
}

// begin starts the goroutine of g, which has a place.
func (g *greeting) begin(all *greetings) {
	g.all = all
	all.wait.Go(g.run)
}

func (all *greetings) enter(ctx context.Context, g *greeting) bool {
	for {
		patience, ok := all.tryEnter(g, time.Now())
		if ok {
			return true
		}
		t := time.NewTimer(patience)
		select {
		case <-ctx.Done():
			t.Stop()
			return false
		case <-all.freed:
		case <-t.C:
		}
		t.Stop()
	}
}

// tryEnter takes a place for g, or says after what time to try again at the latest.
func (all *greetings) tryEnter(g *greeting, now time.Time) (patience time.Duration, ok bool) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if len(all.open) >= all.max {
		slowest, longest := all.slowest(now)
		if slowest == nil || longest < all.evictAfter {
			return all.evictAfter - longest, false
		}
		slowest.evicted = true
		delete(all.open, slowest)
		_ = slowest.nc.SetDeadline(now.Add(-time.Second)) // Close would wait for its goroutine
	}
	all.open[g] = struct{}{}
	if len(all.open) < all.max {
		all.tell()
	}
	return 0, true
}

// slowest returns who has waited longest for its client and does so now, nil if nobody does. Caller holds mu.
func (all *greetings) slowest(now time.Time) (slowest *greeting, longest time.Duration) {
	for g := range all.open {
		if g.since.IsZero() {
			continue
		}
		if d := g.waited + now.Sub(g.since); slowest == nil || d > longest {
			slowest, longest = g, d
		}
	}
	return slowest, longest
}

func (all *greetings) leave(g *greeting) {
	all.mu.Lock()
	delete(all.open, g)
	all.mu.Unlock()
	all.tell()
}

func (all *greetings) tell() {
	select {
	case all.freed <- struct{}{}:
	default:
	}
	if all.door != nil {
		all.door.placeFreed()
	}
}

// stop closes what is under way and waits for its goroutines. Nothing may be started any more.
func (all *greetings) stop() {
	all.mu.Lock()
	for g := range all.open {
		_ = g.nc.Close()
	}
	all.mu.Unlock()
	all.wait.Wait()
}

// run is the goroutine of g.
func (g *greeting) run() {
	_ = g.nc.SetDeadline(time.Now().Add(g.all.timeout))
	g.all.slots <- struct{}{}
	err := g.proxied()
	if err == nil {
		err = g.layered()
	}
	<-g.all.slots
	g.all.leave(g)
	if err != nil {
		g.failed(err)
		_ = g.nc.Close()
		g.all.door.leave(g.listener)
		return
	}
	_ = g.nc.SetDeadline(time.Time{})
	e := &entry{listener: g.setup.broker, origin: g.origin, peer: g.peer, early: g.early}
	if e.origin == nil {
		e.origin = &g.listener.plain
	}
	g.all.door.adopt(g.nc, e)
}

// refusal is an error that has been counted as something else than a failed handshake.
type refusal struct {
	event event
	why   string // empty: not worth a line
}

func (r refusal) Error() string { return r.why }

// failed counts err, and tells of it if the operator can do something about it.
func (g *greeting) failed(err error) {
	g.all.mu.Lock()
	evicted := g.evicted
	g.all.mu.Unlock()
	event, what, why := handshakeFailed, "TLS handshake failed", err.Error()
	var r refusal
	var record tls.RecordHeaderError
	switch {
	case evicted:
		event, why = handshakeEvicted, ""
	case errors.As(err, &r):
		event, what, why = r.event, "connection refused", r.why
	case errors.Is(err, os.ErrDeadlineExceeded):
		event, why = handshakeTimedOut, ""
	case errors.As(err, &record):
		if looksLikeMQTT(record.RecordHeader[:]) {
			event, why = wrongTransport, "the client speaks plain MQTT to a port for TLS"
		}
	case gone(err):
		why = ""
	}
	g.listener.tally.count(event)
	if why == "" {
		return
	}
	d := g.all.door
	if n, ok := d.quiet.may(time.Now()); ok {
		d.log.Warn(what, "listener", g.setup.options.Name, "remote", g.remote(), "reason", why, "unreported", n)
	}
}

func (g *greeting) remote() string {
	if g.origin != nil && g.origin.remote != "" {
		return g.origin.remote
	}
	return addressText(g.peer)
}

// Handshake.

// layered puts the layers of the listener over the connection, and does the TLS handshake.
func (g *greeting) layered() error {
	s := g.setup
	if s.tls == nil && !s.ws {
		return nil
	}
	lay := newLayers(g.listener, s, g.peer.Addr())
	if g.origin != nil {
		lay.remote, lay.userName = g.origin.remote, g.origin.userName
		if lay.upgrade != nil {
			lay.upgrade.proxied = true
		}
	}
	g.origin = &lay.origin
	if s.tls == nil {
		return nil
	}
	lay.greeting, lay.tls = g, tls.Server((*tap)(lay), s.tls)
	if err := lay.tls.Handshake(); err != nil {
		return err
	}
	lay.greeting, lay.pending, g.early = nil, g.early, nil
	ackNow(g.nc)
	g.met(lay)
	return nil
}

// ackNow has what the client sent last acknowledged at once. Nothing is sent in return for the end of its handshake, so that
// the kernel would wait 40 ms for something to send it with, and a client that has not turned Nagle's algorithm off, such as
// mosquitto's, would wait as long with its CONNECT.
func ackNow(nc net.Conn) {
	if sc, ok := nc.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = control(rc, quickAck) // a matter of speed only
		}
	}
}

// met takes note of a completed handshake.
func (g *greeting) met(lay *layers) {
	state := lay.tls.ConnectionState()
	t := &g.listener.tally
	t.count(handshakeDone)
	if state.DidResume {
		t.count(handshakeResumed)
	}
	if identity := g.setup.options.Identity; identity != nil && len(state.PeerCertificates) > 0 {
		lay.userName = usable(identity(state.PeerCertificates[0]))
	}
	if in := &g.all.inside; in.usable {
		in.forget(lay.tls)
	}
	if log := g.all.door.log; log.Enabled(context.Background(), slog.LevelDebug) {
		log.Debug("TLS", "listener", g.setup.options.Name, "remote", g.remote(), "version", tls.VersionName(state.Version),
			"cipher", tls.CipherSuiteName(state.CipherSuite), "resumed", state.DidResume, "user", lay.userName)
	}
}

// usable returns name if MQTT can have such a user name, else an empty one.
func usable(name string) string {
	if len(name) > math.MaxUint16 || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return ""
	}
	return name
}

// read reads from the client, first what was read already, without a slot while it waits.
func (g *greeting) read(b []byte) (int, error) {
	if len(g.early) > 0 {
		n := copy(b, g.early)
		g.early = g.early[n:]
		return n, nil
	}
	return g.waiting(func() (int, error) { return g.nc.Read(b) })
}

func (g *greeting) write(b []byte) (int, error) {
	return g.waiting(func() (int, error) { return g.nc.Write(b) })
}

// waiting calls f, which waits for the client.
func (g *greeting) waiting(f func() (int, error)) (int, error) {
	all := g.all
	all.mu.Lock()
	g.since = time.Now()
	all.mu.Unlock()
	<-all.slots

	n, err := f()

	all.mu.Lock()
	g.waited += time.Since(g.since)
	g.since = time.Time{}
	if g.evicted && err == nil {
		err = net.ErrClosed
	}
	all.mu.Unlock()
	all.slots <- struct{}{}
	return n, err
}

// gone tells whether err is that the client has left, which is no news.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// looksLikeTLS tells whether b, the first bytes of a connection, are those of a ClientHello.
func looksLikeTLS(b []byte) bool {
	const handshakeRecord, majorVersion = 22, 3
	return len(b) >= 3 && b[0] == handshakeRecord && b[1] == majorVersion && b[2] <= 4
}

// looksLikeMQTT tells whether b, the first bytes of a connection, are those of a CONNECT.
func looksLikeMQTT(b []byte) bool { return len(b) > 0 && b[0] == 0x10 }

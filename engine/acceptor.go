package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Accepting, and what it does when the process runs out of something.
//
// A server that cannot accept must neither die nor spin. Of the errors of accept,
// only the end of the listener ends an acceptor; after any other it pauses, longer
// each time, and tries again. When descriptors have run out, a pause alone would
// leave the client hanging in the backlog, with a connection that the kernel has
// completed and nobody serves. So one descriptor is held in reserve: it is given
// up, the waiting connections are accepted with it and closed one by one, so that
// their clients know and go elsewhere, and it is taken again.
//
// Adopting a connection needs a second descriptor for a moment and can therefore
// fail as well; that costs the one connection.

const (
	// acceptorsPerListener is how many goroutines accept on one listener. Adopting
	// waits for the event loop, and they hide that from each other.
	acceptorsPerListener = 4

	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = 500 * time.Millisecond

	// shedMost bounds how many connections are closed with the reserve at once.
	shedMost = 128
)

// acceptors accepts on all listeners of a server. Its goroutines end when ctx is
// done and the listeners are closed, and are joined with wait.
type acceptors struct {
	reactor   reactor
	gate      *gate
	throttle  *throttle
	reserve   *reserve
	greetings *greetings
	mayCome   func(addr netip.Addr, listener string) bool // Options.Admit
	log       *slog.Logger
	quiet     quiet

	wait sync.WaitGroup
}

// start begins to accept on l.
func (a *acceptors) start(ctx context.Context, l *listener) {
	for range acceptorsPerListener {
		a.wait.Go(func() { a.accept(ctx, l) })
	}
}

func (a *acceptors) accept(ctx context.Context, l *listener) {
	e := new(entry)
	pause := acceptPauseMin
	for {
		if !sleep(ctx, a.throttle.take(time.Now())) {
			return
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			a.admit(ctx, nc, l, e)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			a.starved(l, err)
			if !sleep(ctx, pause) {
				return
			}
			pause = min(2*pause, acceptPauseMax)
		}
	}
}

// admit hands nc to the reactor, or to the greetings first, if it may come and there is a place for it.
func (a *acceptors) admit(ctx context.Context, nc net.Conn, l *listener, e *entry) {
	l.tally.count(accepted)
	s := l.setup.Load()
	peer := peerOf(nc)
	switch {
	case !s.options.Proxy.trusts(peer.Addr()) && !a.welcome(peer.Addr(), s):
		l.tally.count(refusedAdmit)
	case !l.tally.enter(s.options.MaxConnections):
		a.full(s, "max connections of the listener reached")
		l.tally.count(refusedFull)
	case !a.gate.enter():
		l.tally.leave()
		l.tally.count(refusedFull)
		a.full(s, "max connections reached")
	case s.greets():
		if a.greetings.start(ctx, &greeting{nc: nc, peer: peer, listener: l, setup: s}) {
			return
		}
		a.leave(l)
	default:
		*e = entry{listener: s.broker, origin: &l.plain}
		if s.ws {
			e.origin = &newLayers(l, s, peer.Addr()).origin
		}
		a.adopt(nc, l, e)
		return
	}
	_ = nc.Close()
}

// welcome asks Options.Admit, unless the client has no address.
func (a *acceptors) welcome(addr netip.Addr, s *setup) bool {
	return a.mayCome == nil || !addr.IsValid() || a.mayCome(addr, s.options.Name)
}

// adopt hands nc, which has its places, to the reactor.
func (a *acceptors) adopt(nc net.Conn, l *listener, e *entry) {
	if err := a.reactor.adopt(nc, e); err != nil {
		a.leave(l)
		l.tally.count(adoptError)
		a.complain("connection lost", e.listener.Name, err.Error())
	}
}

// leave gives back the places of a connection that the reactor has not got.
func (a *acceptors) leave(l *listener) {
	l.tally.leave()
	a.gate.leave()
}

// peerOf returns the address of the socket at the other end, not valid if it is a Unix socket.
func peerOf(nc net.Conn) netip.AddrPort {
	tcp, ok := nc.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	a := tcp.AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// starved reacts to an accept that failed with err.
func (a *acceptors) starved(l *listener, err error) {
	l.tally.count(acceptError)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		l.tally.add(refusedStarved, uint64(a.reserve.shed(l)))
	}
	a.complain("accept", l.name(), plain(err).Error())
}

func (a *acceptors) full(s *setup, reason string) {
	a.complain("connection refused", s.options.Name, reason)
}

// mistaken tells of a connection that was closed for speaking TLS. On its event loop.
func (a *acceptors) mistaken(c *conn) {
	if n, ok := a.quiet.may(time.Now()); ok {
		a.log.Warn("connection refused", "listener", c.origin.listener.name(), "remote", c.RemoteAddr(), "reason", "the client speaks TLS to a plain port", "unreported", n)
	}
}

// refused tells of a request that did not become a WebSocket. On its event loop.
func (a *acceptors) refused(c *conn, s *setup, reason string) {
	if n, ok := a.quiet.may(time.Now()); ok {
		a.log.Warn("WebSocket refused", "listener", s.options.Name, "remote", c.RemoteAddr(), "reason", reason, "unreported", n)
	}
}

func (a *acceptors) complain(what, listener, reason string) {
	if n, ok := a.quiet.may(time.Now()); ok {
		a.log.Warn(what, "listener", listener, "reason", reason, "unreported", n)
	}
}

// sleep waits for d and returns true, or false as soon as ctx is done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reserve is one file descriptor, open for the sake of being given up. Safe for
// concurrent use.
type reserve struct {
	mu   sync.Mutex
	file *os.File // nil while there is none to be had
}

func newReserve() (*reserve, error) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	return &reserve{file: f}, nil
}

// shed accepts and closes what waits at l, with the reserve and without blocking,
// and returns how many connections that were.
func (r *reserve) shed(l *listener) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
	if sc, ok := l.Listener.(syscall.Conn); ok {
		if rc, err := sc.SyscallConn(); err == nil {
			_ = control(rc, func(fd int) error {
				for n < shedMost {
					conn, _, err := syscall.Accept(fd)
					if err != nil {
						return err
					}
					_ = syscall.Close(conn)
					n++
				}
				return nil
			})
		}
	}
	if f, err := os.Open(os.DevNull); err == nil {
		r.file = f
	}
	return n
}

func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file != nil {
		_ = r.file.Close()
		r.file = nil
	}
}

// quietFor is the least time between two lines of a log that could get many.
const quietFor = 10 * time.Second

// quiet keeps a log line from being written too often. Safe for concurrent use.
type quiet struct {
	mu       sync.Mutex
	until    time.Time
	withheld int
}

// may reports whether a line may be written now, and how many before it were not.
func (q *quiet) may(now time.Time) (withheld int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.Before(q.until) {
		q.withheld++
		return 0, false
	}
	withheld, q.withheld = q.withheld, 0
	q.until = now.Add(quietFor)
	return withheld, true
}

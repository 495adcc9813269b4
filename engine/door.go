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

	"golang.org/x/sys/unix"
)

// The door: who may come in, and what happens when the process runs out of something.
//
// Connections are taken from the kernel in one of two ways: by the event loops
// themselves (intake.go), or, where the reactor does not offer that, by goroutines
// (acceptor.go). The rules are the same and stand here.
//
// A server that cannot accept must neither die nor spin. Of the errors of accept,
// only the end of the listener ends accepting; after any other there is a pause,
// longer each time, and another try. When descriptors have run out, a pause alone
// would leave the client hanging in the backlog, with a connection that the kernel
// has completed and nobody serves. So one descriptor is held in reserve: it is given
// up, the waiting connections are accepted with it and closed one by one, so that
// their clients know and go elsewhere, and it is taken again.
//
// A connection that has come through the greetings needs a second descriptor for a
// moment, and so does any that a goroutine accepts. That can fail as well; it costs
// the one connection.

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = 500 * time.Millisecond

	// shedMost bounds how many connections are closed with the reserve at once.
	shedMost = 128
)

// door lets connections in on all listeners of a server. Safe for concurrent use; the
// fields are set before the first start.
type door struct {
	reactor   reactor
	intakes   []*intake // of the loops, if they accept; else empty
	gate      *gate
	throttle  *throttle
	reserve   *reserve
	greetings *greetings
	mayCome   func(addr netip.Addr, listener string) bool // Options.Admit
	log       *slog.Logger
	quiet     quiet

	wait sync.WaitGroup // whoever accepts, one for each listener he does it on
}

// start begins to accept on l, until l is closed. ctx ends when all listeners are going to be.
func (d *door) start(ctx context.Context, l *listener) {
	if len(d.intakes) > 0 && l.detach(d.intakes) == nil {
		d.wait.Add(len(d.intakes))
		for _, in := range d.intakes {
			in.attend(l)
		}
		return
	}
	for range acceptorsPerListener {
		d.wait.Go(func() { d.accept(ctx, l) })
	}
}

// admit decides about a connection from peer that was accepted on l. It returns what the connection meets, and has taken
// its places; or nil, and it is to be closed.
func (d *door) admit(l *listener, peer netip.Addr) *setup {
	l.tally.count(accepted)
	s := l.setup.Load()
	switch {
	case !s.options.Proxy.trusts(peer) && !d.welcome(peer, s):
		l.tally.count(refusedAdmit)
	case !l.tally.enter(s.options.MaxConnections):
		d.full(s, "max connections of the listener reached")
		l.tally.count(refusedFull)
	case !d.gate.enter():
		l.tally.leave()
		l.tally.count(refusedFull)
		d.full(s, "max connections reached")
	default:
		return s
	}
	return nil
}

// welcome asks Options.Admit, unless the client has no address.
func (d *door) welcome(addr netip.Addr, s *setup) bool {
	return d.mayCome == nil || !addr.IsValid() || d.mayCome(addr, s.options.Name)
}

// adopt hands nc, which has its places, to the event loop with the fewest connections.
func (d *door) adopt(nc net.Conn, e *entry) {
	if len(d.intakes) == 0 {
		if err := d.reactor.adopt(nc, e); err != nil {
			d.lost(e, err)
		}
		return
	}
	fd, err := takeOut(nc)
	if err != nil {
		d.lost(e, err)
	} else if !d.fewest().hand(arrival{fd, *e}) {
		_ = syscall.Close(fd)
		d.lost(e, errBehind)
	}
}

// takeOut returns the socket of nc, and closes nc.
func takeOut(nc net.Conn) (fd int, err error) {
	rc, err := nc.(syscall.Conn).SyscallConn()
	if err == nil {
		err = control(rc, func(old int) error { fd, err = duplicate(old); return err })
	}
	_ = nc.Close()
	return fd, err
}

// duplicate returns another descriptor for the file of fd.
func duplicate(fd int) (int, error) {
	another, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return another, os.NewSyscallError("fcntl", err)
}

// lost gives up a connection that had its places and that no event loop could take.
func (d *door) lost(e *entry, err error) {
	l := e.origin.listener
	d.leave(l)
	l.tally.count(adoptError)
	d.complain("connection lost", e.listener.Name, err.Error())
}

// leave gives back the places of a connection that the reactor has not got.
func (d *door) leave(l *listener) {
	l.tally.leave()
	d.gate.leave()
}

// starved reacts to an accept that failed with err, and returns how long to pause. After that one, pause is how long the
// next is going to be: twice as long, unless this time somebody could be told to go.
func (d *door) starved(l *listener, err error, pause *time.Duration) time.Duration {
	l.tally.count(acceptError)
	d.complain("accept", l.name(), plain(err).Error())
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		if n := d.reserve.shed(l); n > 0 {
			l.tally.add(refusedStarved, uint64(n))
			*pause = acceptPauseMin
			return acceptPauseMin
		}
	}
	now := *pause
	*pause = min(2*now, acceptPauseMax)
	return now
}

func (d *door) full(s *setup, reason string) {
	d.complain("connection refused", s.options.Name, reason)
}

// mistaken tells of a connection that was closed for speaking TLS. On its event loop.
func (d *door) mistaken(c *conn) {
	if n, ok := d.quiet.may(time.Now()); ok {
		d.log.Warn("connection refused", "listener", c.origin.listener.name(), "remote", c.RemoteAddr(), "reason", "the client speaks TLS to a plain port", "unreported", n)
	}
}

// refused tells of a request that did not become a WebSocket. On its event loop.
func (d *door) refused(c *conn, s *setup, reason string) {
	if n, ok := d.quiet.may(time.Now()); ok {
		d.log.Warn("WebSocket refused", "listener", s.options.Name, "remote", c.RemoteAddr(), "reason", reason, "unreported", n)
	}
}

func (d *door) complain(what, listener, reason string) {
	if n, ok := d.quiet.may(time.Now()); ok {
		d.log.Warn(what, "listener", listener, "reason", reason, "unreported", n)
	}
}

// reserve is one file descriptor, open for the sake of being given up. Safe for
// concurrent use.
type reserve struct {
	mu     sync.RWMutex
	file   *os.File // nil while there is none to be had
	closed bool     // nobody accepts any more
}

func newReserve() (*reserve, error) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	return &reserve{file: f}, nil
}

// accept is accept of l, but not while the reserve is given up, or it would take its place. If somebody else has, the first
// descriptor that is free becomes the reserve.
func (r *reserve) accept(l *listener) (fd int, peer netip.AddrPort, err error) {
	r.mu.RLock()
	if r.file == nil {
		r.mu.RUnlock()
		r.restore()
		r.mu.RLock()
	}
	defer r.mu.RUnlock()
	return l.accept()
}

func (r *reserve) restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take()
}

// take opens the reserve if it is not. Caller holds mu.
func (r *reserve) take() {
	if r.file != nil || r.closed {
		return
	}
	if f, err := os.Open(os.DevNull); err == nil {
		r.file = f
	}
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
	_ = l.control(func(fd int) error {
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
	r.take()
	return n
}

func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
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

package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
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
	reactor  reactor
	gate     *gate
	throttle *throttle
	reserve  *reserve
	counters *counters
	log      *slog.Logger
	quiet    quiet

	wait sync.WaitGroup
}

// start begins to accept on l.
func (a *acceptors) start(ctx context.Context, l *listener) {
	for range acceptorsPerListener {
		a.wait.Go(func() { a.accept(ctx, l) })
	}
}

func (a *acceptors) accept(ctx context.Context, l *listener) {
	e := &entry{listener: l.broker}
	pause := acceptPauseMin
	for {
		if !sleep(ctx, a.throttle.take(time.Now())) {
			return
		}
		nc, err := l.Accept()
		switch {
		case err == nil:
			pause = acceptPauseMin
			a.admit(nc, e)
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

// admit hands nc to the reactor, if there is a place for it.
func (a *acceptors) admit(nc net.Conn, e *entry) {
	a.counters.accepted.Add(1)
	if !a.gate.enter() {
		a.counters.refusedFull.Add(1)
		a.complain("connection refused", e.listener.Name, "max connections reached")
		_ = nc.Close()
		return
	}
	if err := a.reactor.adopt(nc, e); err != nil {
		a.gate.leave()
		a.counters.adoptErrors.Add(1)
		a.complain("connection lost", e.listener.Name, err.Error())
	}
}

// starved reacts to an accept that failed with err.
func (a *acceptors) starved(l *listener, err error) {
	a.counters.acceptErrors.Add(1)
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
		a.counters.refusedStarved.Add(uint64(a.reserve.shed(l)))
	}
	a.complain("accept", l.broker.Name, plain(err).Error())
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

package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

// This file and direct_linux.go are the only ones that name gnet. It uses gnet's client:
// an engine of several event loops without listeners, which takes over connections that
// somebody else has accepted. gnet's server would end, silently and with every
// connection, at the first accept that finds no free descriptor; see door.go.
//
// What had to be known about gnet v2.10.0, so that it is checked again after an
// upgrade:
//
//   - A Write that fails closes the connection and calls OnClose before it returns.
//   - Write does not look whether the connection is closed; its descriptor may be
//     another connection's by then. conn forgets the socket in closed for that.
//   - EnrollContext duplicates the descriptor, then sets socket options, and leaks
//     the duplicate if that fails. So it is given no options to set: the accepted
//     socket has them from its listener.
//   - The release of a connection puts the zone of an IPv6 address, a string that
//     package net owns and shares, into a pool of buffers. So no address may keep
//     its zone.
//   - EnrollContext returns without an error when the loop could not add the socket
//     to its poller. Only OnOpen tells.
//   - EnrollContext waits for the loop for ever if the loop has ended. So acceptors
//     are joined before stop.
//   - EventLoop.Close closes at once, Conn.Close some iterations later. The former
//     is used, at the end of a turn: an event that is still in the batch gnet walks
//     through finds the descriptor unknown and is dropped.

const (
	// readBufferBytes is what one read takes at most, and what a loop owns for it.
	readBufferBytes = 64 << 10
	// writeBufferBytes is how much of a blocked connection's output is kept in one
	// ring; what is more goes to a list. It bounds nothing: the broker does.
	writeBufferBytes = 64 << 10
)

// gnetReactor implements reactor. Its methods follow the contract there.
type gnetReactor struct {
	gnet.BuiltinEventEngine

	log    *slog.Logger
	detour bool // the loops shall not accept
	client *gnet.Client
	loops  []*gnetLoop // complete before the first adopt, constant after
	unused []*loop     // handlers without an event loop, while start runs
	bound  sync.WaitGroup
}

func newGnetReactor(log *slog.Logger, detour bool) *gnetReactor {
	return &gnetReactor{log: log, detour: detour}
}

func (r *gnetReactor) start(handlers []*loop) error {
	client, err := gnet.NewClient(r,
		gnet.WithNumEventLoop(len(handlers)),
		gnet.WithReadBufferCap(readBufferBytes),
		gnet.WithWriteBufferCap(writeBufferBytes),
		gnet.WithTCPNoDelay(gnet.TCPDelay), // leave the option alone; see above
		gnet.WithLogger(gnetLog{r.log}),
	)
	if err != nil {
		return fmt.Errorf("create event loops: %w", err)
	}
	if err := client.Start(); err != nil {
		return fmt.Errorf("start event loops: %w", err)
	}
	r.client = client
	r.unused = append(r.unused, handlers...)
	if err := r.bind(); err != nil {
		return errors.Join(err, client.Stop())
	}
	return nil
}

// bind finds out the event loops, which gnet shows only to their connections. Every
// new connection goes to the loop that has the fewest, so as many connections as
// there are loops meet all of them. They are socket pairs, and gone when bind
// returns without an error.
func (r *gnetReactor) bind() error {
	ends, err := r.bindLoops()
	for _, fd := range ends {
		_ = syscall.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("bind event loops: %w", err)
	}
	r.bound.Wait()
	return nil
}

func (r *gnetReactor) bindLoops() (ends []int, err error) {
	for n := len(r.unused); n > 0; n-- {
		pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			return ends, err
		}
		ends = append(ends, pair[0])
		f := os.NewFile(uintptr(pair[1]), "bind")
		nc, err := net.FileConn(f)
		_ = f.Close()
		if err != nil {
			return ends, err
		}
		if _, err := r.client.EnrollContext(nc, bindEntry{}); err != nil {
			return ends, err
		}
	}
	if len(r.unused) > 0 {
		return ends, fmt.Errorf("%d of them got no connection", len(r.unused))
	}
	return ends, nil
}

// bindEntry is the context of the connections made by bind.
type bindEntry struct{}

func (r *gnetReactor) adopt(nc net.Conn, e *entry) error {
	forgetZone(nc.LocalAddr())
	forgetZone(nc.RemoteAddr())
	e.opened = false
	if _, err := r.client.EnrollContext(nc, e); err != nil {
		return err
	}
	if !e.opened {
		return errors.New("event loop could not watch the socket")
	}
	return nil
}

func forgetZone(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		tcp.Zone = ""
	}
}

func (r *gnetReactor) accepts() bool {
	for _, l := range r.loops {
		if l.direct == nil {
			return false
		}
	}
	return true
}

func (r *gnetReactor) stop() error {
	return r.client.Stop()
}

// OnOpen implements gnet.EventHandler.
func (r *gnetReactor) OnOpen(g gnet.Conn) ([]byte, gnet.Action) {
	what := g.Context()
	if what == nil {
		what = r.loopOf(g).adopting
	}
	switch e := what.(type) {
	case *entry:
		e.opened = true
		c := newConn(g, r.loopOf(g).handler, e, g.Fd())
		if c.origin.layers != nil {
			c.origin.layers.conn = c
		}
		g.SetContext(c) // first: the connection may end inside open
		c.loop.open(c, e.listener, e.early)
	case bindEntry:
		r.bound.Add(1)
		if r.loopOf(g) == nil && len(r.unused) > 0 {
			r.attach(g.EventLoop())
		}
	case *bell:
		e.hung = true
		g.SetContext(e)
	}
	return nil, gnet.None
}

// attach gives el a handler. The loops take turns with it: bind waits for each.
func (r *gnetReactor) attach(el gnet.EventLoop) {
	l := &gnetLoop{events: el, handler: r.unused[0]}
	l.peeker, _ = newPeeker(el) // nil: turns run as tasks
	r.unused = r.unused[1:]
	r.loops = append(r.loops, l)
	if l.peeker != nil && !r.detour {
		l.direct, _ = newDirect(l) // nil: goroutines accept
	}
	l.handler.attach(l)
}

// loopOf returns the loop of g. There are as many as processors, so a search it is.
func (r *gnetReactor) loopOf(g gnet.Conn) *gnetLoop {
	el := g.EventLoop()
	for _, l := range r.loops {
		if l.events == el {
			return l
		}
	}
	return nil
}

// OnTraffic implements gnet.EventHandler.
func (r *gnetReactor) OnTraffic(g gnet.Conn) gnet.Action {
	b, _ := g.Next(-1)
	switch c := g.Context().(type) {
	case *conn:
		c.loop.data(c, b)
	case *bell:
		c.loop.ring()
	}
	return gnet.None
}

// OnClose implements gnet.EventHandler.
func (r *gnetReactor) OnClose(g gnet.Conn, err error) gnet.Action {
	switch c := g.Context().(type) {
	case *conn:
		c.loop.closed(c, err)
	case bindEntry:
		r.bound.Done()
	}
	return gnet.None
}

// gnetLoop implements eventLoop.
type gnetLoop struct {
	events   gnet.EventLoop
	handler  *loop
	peeker   *peeker // nil where peeking is not possible
	direct   *direct // nil where the loops cannot accept
	adopting any     // during adopt: the context that the connection gets
}

// bell is the context of what is no connection, but rings when somebody waits at a listener.
type bell struct {
	loop *loop
	hung bool // gnet has taken it
}

func (l *gnetLoop) execute() error {
	return l.events.Execute(context.Background(), l)
}

// Run implements gnet.Runnable.
func (l *gnetLoop) Run(context.Context) error {
	l.handler.run()
	return nil
}

func (l *gnetLoop) ahead() int {
	if l.peeker == nil {
		return -1
	}
	return l.peeker.readable()
}

func (l *gnetLoop) close(s socket) {
	_ = l.events.Close(s.(gnet.Conn))
}

func (l *gnetLoop) listen(fd int) error { return l.direct.watch(fd) }

func (l *gnetLoop) unlisten(fd int) { l.direct.unwatch(fd) }

func (l *gnetLoop) adopt(fd int, e *entry) error { return l.enter(fd, e) }

// enter makes fd a connection of the loop with the context that OnOpen makes of what.
func (l *gnetLoop) enter(fd int, what any) error {
	l.adopting = what
	err := l.direct.enroll(fd)
	l.adopting = nil
	return err
}

// gnetLog passes on what gnet calls errors. The rest is about connections that
// came and went, which the broker logs better.
type gnetLog struct{ log *slog.Logger }

func (gnetLog) Debugf(string, ...any) {}
func (gnetLog) Infof(string, ...any)  {}
func (gnetLog) Warnf(string, ...any)  {}

func (g gnetLog) Errorf(format string, args ...any) {
	g.log.Error("event loop", "reason", fmt.Sprintf(format, args...))
}

func (g gnetLog) Fatalf(format string, args ...any) { g.Errorf(format, args...) }

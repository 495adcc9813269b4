package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/gannetmq/gannet/engine/broker"
)

const (
	// tickEvery is how often a loop gets a tick that has something to wait for.
	tickEvery = 250 * time.Millisecond
	// restTicks is how much rarer it gets one otherwise. Each wakes threads of the Go runtime that look around for
	// milliseconds: with four a second, a broker that does nothing takes 0.8 % of a processor, with one 0.2 %.
	restTicks = 4
)

// Server is a broker with its listeners and event loops. Its methods are safe for
// concurrent use; Run is called once.
type Server struct {
	options   Options
	log       *slog.Logger
	broker    *broker.Broker
	loops     []*loop
	clock     clock
	gate      *gate
	tally     tally
	reserve   *reserve
	door      *door
	greetings *greetings
	detour    bool // of a test: connections come in on goroutines, as if the loops could not accept

	mu        sync.Mutex
	listeners []*listener // in the order of the options
	running   context.Context
	closed    bool // no listener is opened any more
}

// New checks o, creates the broker, opens the listeners and brings back what the
// store holds, so that everything that can be wrong with a configuration is wrong
// here. Clients that connect from the moment the listeners are open wait in the kernel
// until Run is called. A Server that is never run is given up with Close. The only
// use of log is Warn and above, never for a message.
func New(o Options, log *slog.Logger) (*Server, error) {
	b := broker.New(o.Broker, o.Store, log)
	s, err := newServer(o, log, func(wake func()) core { return b.NewLoop(wake) })
	if err != nil {
		return nil, err
	}
	s.broker = b
	if err := b.Restore(s.clock.now()); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// newServer is New for any core.
func newServer(o Options, log *slog.Logger, newCore func(wake func()) core) (*Server, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	PrepareDescriptors(min(o.MaxConnections, tableMost-descriptorReserve) + descriptorReserve)
	s := &Server{options: o, log: log, gate: newGate(o.MaxConnections), clock: newClock()}
	var err error
	if s.reserve, err = newReserve(); err != nil {
		return nil, fmt.Errorf("reserve a file descriptor: %w", err)
	}
	if s.listeners, err = listenAll(o.Listeners, &s.tally); err != nil {
		s.reserve.close()
		return nil, err
	}
	s.greetings = newGreetings(o)
	s.door = &door{
		gate: s.gate, throttle: newThrottle(o.MaxAcceptRate), reserve: s.reserve, greetings: s.greetings,
		mayCome: o.Admit, log: log,
	}
	s.greetings.door = s.door
	for range o.Loops {
		l := newLoop(s.gate, s.clock)
		l.core, l.door, l.intake = newCore(l.wake), s.door, newIntake(l, s.door)
		s.loops = append(s.loops, l)
	}
	return s, nil
}

// SetMaxConnections replaces Options.MaxConnections, with its default for 0. Connections beyond it stay. Safe for concurrent use.
func (s *Server) SetMaxConnections(n int) {
	s.gate.max.Store(int64(Options{MaxConnections: n}.withDefaults().MaxConnections))
}

// Broker returns the broker inside, for whoever publishes into it or asks it.
func (s *Server) Broker() *broker.Broker { return s.broker }

// Addrs returns the addresses of the listeners in the order of Options.Listeners, or
// of the options last applied, with the ports that the system chose where port 0 was
// asked for.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []net.Addr
	for _, l := range s.listeners {
		addrs = append(addrs, l.Addr())
	}
	return addrs
}

// Close closes the listeners of a server that is not going to run. A running
// server is ended by the context of Run.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	closeAll(s.listeners)
	s.reserve.close()
	return nil
}

// Run serves clients until ctx ends. Then it stops accepting, has every client
// told (a 5.0 client gets DISCONNECT 0x8B) and closes each connection when its
// client has taken what was sent, waiting no longer than Options.ShutdownTimeout.
// When it returns, every goroutine of the server has ended and every descriptor is
// closed. The error is nil after an orderly end, also when time ran out.
func (s *Server) Run(ctx context.Context) error {
	r := newGnetReactor(s.log, s.detour)
	if err := r.start(s.loops); err != nil {
		return errors.Join(err, s.Close())
	}

	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var ticker sync.WaitGroup
	ticker.Go(func() { s.tick(running) })

	s.door.reactor = r
	if r.accepts() {
		for _, l := range s.loops {
			s.door.intakes = append(s.door.intakes, l.intake)
		}
	}
	s.accept(ctx)

	<-ctx.Done()

	err := s.Close()
	s.door.wait.Wait()
	s.greetings.stop()
	s.drain()
	end()
	ticker.Wait()
	for _, l := range s.loops {
		l.silence()
	}
	err = errors.Join(err, r.stop())
	for range 2 { // the first round may leave mail in the boxes of loops before it
		for _, l := range s.loops {
			l.finish()
		}
	}
	return err
}

// accept begins to accept on the listeners there are, and on those that are applied from now on.
func (s *Server) accept(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = ctx
	for _, l := range s.listeners {
		s.door.start(ctx, l)
	}
}

// tick requests ticks from all loops until ctx ends.
func (s *Server) tick(ctx context.Context) {
	t := time.NewTimer(tickEvery)
	defer t.Stop()
	for skipped := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		all, rest := skipped >= restTicks, true
		for _, l := range s.loops {
			restful := l.restful.Load()
			rest = rest && restful
			if all || !restful {
				l.request(requestTick)
			}
		}
		switch {
		case rest:
			skipped = restTicks
			t.Reset(restTicks * tickEvery)
		case all:
			skipped = 1
			t.Reset(tickEvery)
		default:
			skipped++
			t.Reset(tickEvery)
		}
	}
}

// drain has all connections closed and waits for it within the time allowed.
func (s *Server) drain() {
	for _, l := range s.loops {
		l.request(requestShutdown)
	}
	s.gate.drain()
	t := time.NewTimer(s.options.ShutdownTimeout)
	defer t.Stop()
	select {
	case <-s.gate.empty:
	case <-t.C:
		s.log.Warn("shutdown: time is up", "connections", s.gate.open.Load())
	}
}

package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// agentOptions are what the arguments of gannet bench agent say.
type agentOptions struct {
	listen string
	token  []byte // nil: none
	source string // addresses to connect from; empty: as the order says
}

func agentOptionsOf(args []string, output io.Writer) (*agentOptions, error) {
	o := &agentOptions{}
	f := newFlags("agent", "waits for gannet bench run --agents on another machine and carries out its share of a run", output)
	f.StringVar(&o.listen, "listen", "127.0.0.1:7883", "`HOST:PORT` to wait on; anything but a loopback address needs --token-file")
	path := f.String("token-file", "", "`FILE` with a secret that the coordinator has, too; what is said is then encrypted")
	f.StringVar(&o.source, "source", "", "`ADDRESSES` of this machine for the clients, as of gannet bench run, instead of the coordinator's")
	if err := f.parse(args); err != nil {
		return nil, err
	}
	var err error
	if o.token, err = readToken(*path); err != nil {
		return nil, err
	}
	if err := agentAddress(o.listen, o.token); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return o, nil
}

// runAgent is gannet bench agent. It ends with ctx, and a run that it has with it.
func runAgent(ctx context.Context, o *agentOptions, stdout, stderr io.Writer) error {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", o.listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use, by another agent perhaps: write another --listen", o.listen)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "gannet bench agent waits on %s.\n", l.Addr())
	a := &agent{token: o.token, source: o.source, log: &lockedWriter{w: stderr}}
	return a.serve(ctx, l)
}

// agent carries out the runs of coordinators, one at a time.
type agent struct {
	token  []byte
	source string
	log    io.Writer // safe for concurrent use
	busy   sync.Mutex
}

// greetingsMax bounds the connections that an agent has at the same time. Further ones
// are closed at once.
const greetingsMax = 8

// serve accepts coordinators until ctx ends, and returns when the last one is gone. It
// closes l.
func (a *agent) serve(ctx context.Context, l net.Listener) error {
	var certificate *tls.Config
	if a.token != nil {
		c, err := newCertificate()
		if err != nil {
			l.Close()
			return err
		}
		certificate = &tls.Config{
			MinVersion:             tls.VersionTLS13,
			Certificates:           []tls.Certificate{{Certificate: [][]byte{c.leaf.Raw}, PrivateKey: c.key}},
			SessionTicketsDisabled: true,
		}
	}
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	var all sync.WaitGroup
	defer all.Wait()
	places := make(chan struct{}, greetingsMax)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("agent: %w", err)
		}
		select {
		case places <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		if certificate != nil {
			conn = tls.Server(conn, certificate)
		}
		all.Go(func() {
			defer func() { <-places }()
			defer conn.Close()
			if err := a.attend(ctx, newAgentLink(conn, a.token)); err != nil {
				fmt.Fprintf(a.log, "%s: %v\n", conn.RemoteAddr(), err)
			}
		})
	}
}

// attend greets a coordinator and does what it orders.
func (a *agent) attend(ctx context.Context, c *agentLink) error {
	mine := false
	defer func() {
		if mine {
			a.busy.Unlock()
		}
	}()
	err := c.welcome(ctx, func() string {
		if mine = a.busy.TryLock(); !mine {
			return "it is busy with another run"
		}
		return ""
	})
	if err != nil {
		return err
	}
	m, err := c.receive()
	if err != nil {
		return err
	}
	if m.Type != "order" {
		return fmt.Errorf("%s instead of an order", m.Type)
	}
	fmt.Fprintf(a.log, "%s: %s, part %d of %d, against %s\n", c.RemoteAddr(), m.Order.Scenario, m.Order.Part+1, m.Order.Of, m.Order.Broker)
	s := newAgentSession(ctx, c)
	result := s.carryOut(m.Order, a.source)
	s.end(result)
	text := "done"
	if why := result.Result.Error; why != "" {
		text = why
	} else if result.Result.Interrupted {
		text = "ended early"
	}
	fmt.Fprintf(a.log, "%s: %s\n", c.RemoteAddr(), text)
	return nil
}

// outboxMax bounds the messages that wait for a coordinator which does not read.
const outboxMax = 1024

var (
	errAgentEnded  = errors.New("the agent was ended")
	errNoRoom      = errors.New("the coordinator does not take what it is told")
	errCoordinator = errors.New("the coordinator is gone")
	errStopped     = errors.New("the coordinator wants it to end")
	errOutOfOrder  = errors.New("the coordinator says what nobody waits for")
)

// agentSession is one run of an agent: the runner on the goroutine that made it, one
// goroutine that reads and one that writes. end joins both.
type agentSession struct {
	link   *agentLink
	part   *part
	cancel context.CancelCauseFunc
	out    chan *message
	last   chan struct{} // closed when nothing more is posted by the runner
	gone   chan struct{} // closed when the coordinator has closed the connection
	all    sync.WaitGroup
	above  context.Context
}

func newAgentSession(ctx context.Context, c *agentLink) *agentSession {
	s := &agentSession{link: c, above: ctx, out: make(chan *message, outboxMax), last: make(chan struct{}), gone: make(chan struct{})}
	inner, cancel := context.WithCancelCause(ctx)
	s.cancel = cancel
	s.part = &part{ctx: inner, post: s.post, start: make(chan starting, 1), base: time.Now()}
	s.all.Go(s.read)
	s.all.Go(s.write)
	return s
}

// post has m sent, or ends the run if too much waits already.
func (s *agentSession) post(m *message) {
	select {
	case s.out <- m:
	default:
		s.cancel(errNoRoom)
	}
}

// read takes what the coordinator says until it closes the connection.
func (s *agentSession) read() {
	defer close(s.gone)
	for {
		m, err := s.link.receive()
		if err != nil {
			s.cancel(errCoordinator)
			return
		}
		switch m.Type {
		case "ping":
			s.post(&message{Type: "pong", Pong: &pong{At: m.Ping.At, Clock: s.part.clock()}})
		case "start":
			select {
			case s.part.start <- *m.Start:
			default:
				s.cancel(errOutOfOrder)
			}
		case messageStop:
			s.cancel(errStopped)
		default:
			s.cancel(errOutOfOrder)
			return
		}
	}
}

// write sends what is posted, and when the runner is through, what is left of it. What
// cannot be sent any more is thrown away.
func (s *agentSession) write() {
	broken := false
	for {
		var m *message
		select {
		case m = <-s.out:
		case <-s.last:
			select {
			case m = <-s.out:
			default:
				return
			}
		}
		if broken {
			continue
		}
		err := s.link.send(m)
		if err != nil && m.Type == "result" { // larger than a frame, for instance
			err = s.link.send(&message{Type: "result", Result: &resultReport{Result: &runResult{Error: oneLine(err)}}})
		}
		if err != nil {
			broken = true
			s.cancel(errCoordinator)
			s.link.Close()
		}
	}
}

// carryOut runs an order. Its errors are in the result.
func (s *agentSession) carryOut(x *order, source string) *resultReport {
	o, err := x.options(source)
	if err != nil {
		return &resultReport{Result: &runResult{Error: oneLine(err)}}
	}
	r := newRunner(o, io.Discard)
	defer r.close()
	r.part, r.drifted = s.part, true
	err = o.scenario.run(s.part.ctx, r)
	if err == nil || errors.Is(err, errInterrupted) {
		err = nil
		switch cause := context.Cause(s.part.ctx); {
		case s.above.Err() != nil:
			err = errAgentEnded
		case cause != nil && cause != errStopped:
			err = cause
		}
	}
	r.result.close(err)
	return reportOf(r.result, s.part.late)
}

// goodbyeLimit is how long an agent waits for a coordinator to take its result.
const goodbyeLimit = 10 * time.Second

// end sends the result, waits until the coordinator has it and closes the connection.
func (s *agentSession) end(x *resultReport) {
	// The connection stays open until the coordinator closes it: closed with pings that
	// nobody has read, it would be reset, and the result lost on its way.
	select {
	case s.out <- &message{Type: "result", Result: x}:
	case <-time.After(goodbyeLimit):
	}
	close(s.last)
	select {
	case <-s.gone:
	case <-time.After(goodbyeLimit):
	}
	s.link.Close()
	s.all.Wait()
	s.cancel(nil)
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// suite is what the tests of one run share. Safe for concurrent use.
type suite struct {
	ledger  ledger
	run     string // sets this run's names apart from those of others at the same broker
	counter atomic.Uint64

	mu      sync.Mutex
	servers map[string]*target
}

var theSuite = &suite{
	ledger:  ledger{entries: map[statement][]entry{}},
	run:     rand.Text()[:6],
	servers: map[string]*target{},
}

// target is a broker under test.
type target struct {
	addr     string
	external bool // not ours: every reaction that the specification allows passes
	stop     context.CancelFunc
	done     chan error
}

// configuration is a way to run the broker that some tests need.
type configuration struct {
	name  string
	alter func(*engine.Options)
}

// The limits of the configuration "small".
const (
	smallPacket  = 600
	smallWindow  = 3
	smallAliases = 5
)

var (
	plain = configuration{"plain", func(*engine.Options) {}}

	// small announces narrow limits.
	small = configuration{"small", func(o *engine.Options) {
		s := &o.Broker.Session
		s.MaxPacketSize, s.ReceiveMaximum, s.TopicAliasMaximum = smallPacket, smallWindow, smallAliases
		s.ResponseInformation = "responses/"
		s.MaxSubscriptions = 3
		o.Broker.MaxConnectBytes = smallPacket
	}}

	// basic lacks what a server may lack.
	basic = configuration{"basic", func(o *engine.Options) {
		s := &o.Broker.Session
		s.MaxQoS, s.RetainUnavailable, s.TopicAliasMaximum = codec.QoS1, true, 0
	}}

	// impatient allows a Keep Alive of one second at most and sessions of one second, and waits no longer for CONNECT.
	impatient = configuration{"impatient", func(o *engine.Options) {
		s := &o.Broker.Session
		s.MaxKeepAliveSecs, s.MaxSessionExpiry = 1, 1
		o.Broker.ConnectTimeout = time.Second
	}}

	// guarded refuses to have anything to do with topics that have a level "forbidden".
	guarded = configuration{"guarded", func(o *engine.Options) {
		o.Broker.Session.Authorizer = guard{}
	}}

	// scram lets in only who proves a password by SCRAM-SHA-256.
	scram = configuration{"scram", func(o *engine.Options) {
		line, err := auth.UserLine(scramUser, scramPassword, 4096)
		if err != nil {
			panic(err)
		}
		second, err := auth.UserLine(scramOther, scramPassword, 4096)
		if err != nil {
			panic(err)
		}
		users, err := auth.ReadUsers("users", strings.NewReader(line+"\n"+second+"\n"))
		if err != nil {
			panic(err)
		}
		p := &o.Listeners[0].Policy
		p.AllowAnonymous = false
		p.Methods = []session.EnhancedMethod{method{auth.NewScram(users, auth.ScramConfig{})}}
	}}
)

const (
	scramUser     = "user"
	scramOther    = "other"
	scramPassword = "pencil"
)

// guard is an Authorizer by a level of the topic.
type guard struct{}

func (guard) MayPublish(_ session.Identity, topic []byte) bool    { return permitted(topic) }
func (guard) MaySubscribe(_ session.Identity, filter []byte) bool { return permitted(filter) }
func (guard) MayReceive(_ session.Identity, topic []byte) bool    { return permitted(topic) }

func permitted(topic []byte) bool { return !strings.Contains(string(topic), "forbidden") }

// method is an auth.Method as the session package wants it.
type method struct{ auth.Method }

func (m method) Begin(clientID, userName string) session.Exchange {
	return m.Method.Begin(clientID, userName)
}

// broker returns the broker that tests without special wishes share.
func broker(t *testing.T) *target {
	t.Helper()
	if addr := os.Getenv("GANNET_TEST_ADDR"); addr != "" {
		return &target{addr: addr, external: true}
	}
	return theSuite.server(t, plain)
}

// brokerWith returns the broker that all tests of this configuration share.
func brokerWith(t *testing.T, c configuration) *target {
	t.Helper()
	if os.Getenv("GANNET_TEST_ADDR") != "" {
		t.Skipf("needs a broker configured as %q", c.name)
	}
	return theSuite.server(t, c)
}

func (s *suite) server(t *testing.T, c configuration) *target {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if running := s.servers[c.name]; running != nil {
		return running
	}
	b, err := startServer(c)
	if err != nil {
		t.Fatal(err)
	}
	s.servers[c.name] = b
	return b
}

// startServer runs a broker, with a store in a folder of its own, until stop is called; done then has what Run returned.
func startServer(c configuration) (*target, error) {
	dir, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		return nil, err
	}
	o := engine.DefaultOptions()
	o.Listeners[0].URL = "mqtt://127.0.0.1:0"
	o.Loops = 2 // so that clients meet across loops
	o.Store = store
	c.alter(&o)
	server, err := engine.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &target{addr: server.Addrs()[0].String(), stop: cancel, done: make(chan error, 1)}
	go func() { b.done <- errors.Join(server.Run(ctx), store.Close(), os.RemoveAll(dir)) }()
	return b, nil
}

// stop ends all servers of the run.
func (s *suite) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for name, b := range s.servers {
		b.stop()
		if err := <-b.done; err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// unique returns a name that nobody else uses: the test's, the run's and a number. Without slashes.
func unique(t *testing.T) string {
	clean := strings.NewReplacer("/", "-", "#", "", "+", "", " ", "_").Replace(strings.TrimPrefix(t.Name(), "Test"))
	return fmt.Sprintf("%s-%s%d", clean, theSuite.run, theSuite.counter.Add(1))
}

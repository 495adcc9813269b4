package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/persist"
)

// patience bounds every wait for something that must come.
const patience = 15 * time.Second

const (
	kib = 1 << 10
	mib = 1 << 20
)

func TestMain(m *testing.M) {
	if os.Getenv(descriptorsChild) != "" {
		serveWithFewDescriptors()
		return
	}
	os.Exit(m.Run())
}

// server is the broker under attack.
type server struct {
	*engine.Server
	t       *testing.T
	addr    string
	options engine.Options
	heap    uint64 // in use when the server was idle
	routine int    // goroutines when the server was idle
}

// serve runs a server with two loops until the test ends. alter may change its options.
func serve(t *testing.T, alter func(*engine.Options)) *server {
	t.Helper()
	o := engine.DefaultOptions()
	o.Loops = 2
	o.MaxConnections = 1 << 20
	o.Listeners[0].URL = "mqtt://127.0.0.1:0"
	store, err := persist.Open(t.TempDir(), persist.Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20}) // the heap is measured
	if err != nil {
		t.Fatal(err)
	}
	o.Store = store
	if alter != nil {
		alter(&o)
	}
	es, err := engine.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- es.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-ended, store.Close()); err != nil {
			t.Error(err)
		}
	})
	s := &server{Server: es, t: t, addr: es.Addrs()[0].String(), options: o}
	// Each loop and each pool has worked once before anything is measured.
	for range 4 {
		s.connect(t, "", codec.V5).close()
	}
	s.until("the first clients are gone", func() bool { return s.Broker().Connections() == 0 })
	s.heap, s.routine = heapInUse(), runtime.NumGoroutine()
	return s
}

// heapInUse is the size of all live objects.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC() // the second one takes what pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// counters are the broker's, from loops that all have taken a turn.
func (s *server) counters() *broker.Counters {
	c, _ := s.Broker().Counters(s.t.Context())
	return c
}

// until waits for the broker to come to a state. Each look asks every loop, so that it is no busy loop.
func (s *server) until(what string, reached func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !reached(); s.counters() {
		if time.Now().After(deadline) {
			s.t.Fatalf("not in time: %s", what)
		}
	}
}

// heapWithin holds the heap against a bound in bytes beyond what the idle server had.
func (s *server) heapWithin(bound int) {
	s.t.Helper()
	grown := int64(heapInUse()) - int64(s.heap)
	s.t.Logf("heap: %.1f MiB of %.1f MiB allowed", float64(grown)/mib, float64(bound)/mib)
	if grown > int64(bound) {
		s.t.Errorf("the heap grew by %d bytes, more than %d", grown, bound)
	}
}

// quiet expects that no connection and no goroutine of the attack is left.
func (s *server) quiet() {
	s.t.Helper()
	s.until("the connections are gone", func() bool { return s.Broker().Connections() == 0 && s.Stats().Open == 0 })
	s.until("the goroutines are gone", func() bool { return runtime.NumGoroutine() <= s.routine })
}

// under runs attack while two well-behaved clients exchange QoS 1 messages in lockstep, and goes on with them for a while when
// it is over. Every message has to be acknowledged and to arrive, in order, once. attack may end before its connections do.
func (s *server) under(attack func()) {
	s.t.Helper()
	sub, pub := s.connect(s.t, "pair-sub", codec.V5), s.connect(s.t, "pair-pub", codec.V311)
	sub.subscribe(filter("pair/+", 1))
	over, result := make(chan struct{}), make(chan error, 1)
	var exchanged int
	var worst time.Duration
	go func() {
		for after := 0; after < 50; exchanged++ {
			select {
			case <-over:
				after++
			default:
			}
			begun := time.Now()
			if err := exchange(pub, sub, exchanged); err != nil {
				result <- fmt.Errorf("message %d of the well-behaved pair: %w", exchanged, err)
				return
			}
			worst = max(worst, time.Since(begun))
		}
		result <- nil
	}()
	func() {
		defer close(over) // also when attack gives up
		attack()
	}()
	if err := <-result; err != nil {
		s.t.Fatal(err)
	}
	s.t.Logf("beside it: %d messages, the slowest in %v", exchanged, worst)
	pub.close()
	sub.close()
}

// exchange sends one QoS 1 message from pub to sub and completes its handshakes on both sides.
func exchange(pub, sub *client, n int) error {
	payload, id := strconv.Itoa(n), uint16(n%60000+1)
	p := codec.Publish{Topic: []byte("pair/x"), Payload: []byte(payload), QoS: 1, PacketID: id}
	if err := pub.write(p.Append(nil, pub.v)); err != nil {
		return err
	}
	f, err := sub.next()
	if err != nil {
		return err
	}
	var got codec.Publish
	if err := got.Parse(sub.v, f.Flags, f.Body); f.Type != codec.TypePublish || err != nil {
		return fmt.Errorf("%v: %w", f.Type, err)
	}
	if string(got.Payload) != payload {
		return fmt.Errorf("got %q", got.Payload)
	}
	if err := sub.write(codec.AppendPubackShort(nil, codec.TypePuback, got.PacketID)); err != nil {
		return err
	}
	if f, err = pub.next(); err != nil || f.Type != codec.TypePuback {
		return fmt.Errorf("%v: %w", f.Type, err)
	}
	return nil
}

// client is one connection. It holds no buffer before it reads. Owned by one goroutine.
type client struct {
	t  *testing.T
	nc net.Conn
	v  codec.Version
	in []byte
}

// dial opens a connection and sends nothing.
func (s *server) dial(t *testing.T, v codec.Version) *client {
	t.Helper()
	nc, err := net.DialTimeout("tcp", s.addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(4 * patience))
	return &client{t: t, nc: nc, v: v}
}

// connect opens a connection that is accepted. An empty id lets the broker choose.
func (s *server) connect(t *testing.T, id string, v codec.Version) *client {
	t.Helper()
	return s.connectWith(t, &codec.Connect{Version: v, CleanStart: true, ClientID: []byte(id)})
}

func (s *server) connectWith(t *testing.T, h *codec.Connect) *client {
	t.Helper()
	c := s.dial(t, h.Version)
	c.send(h.Append(nil, h.Version))
	c.expect(codec.TypeConnack)
	return c
}

// deafen makes room for little in the socket of a client that is not going to read.
func (c *client) deafen() *client {
	_ = c.nc.(*net.TCPConn).SetReadBuffer(4 * kib)
	return c
}

func (c *client) close() {
	_ = c.nc.Close()
	c.in = nil // the heap that is measured is the test's, too
}

func (c *client) write(b []byte) error {
	_, err := c.nc.Write(b)
	return err
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if err := c.write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next reads one packet, which is valid until the call after it.
func (c *client) next() (codec.Frame, error) {
	for {
		f, need, err := codec.Next(c.in, 0)
		if err != nil || f.Size > 0 {
			c.in = c.in[f.Size:]
			return f, err
		}
		if len(c.in) == cap(c.in) {
			grown := make([]byte, len(c.in), max(need, 4*kib, 2*len(c.in)))
			copy(grown, c.in)
			c.in = grown
		}
		n, err := c.nc.Read(c.in[len(c.in):cap(c.in)])
		c.in = c.in[:len(c.in)+n]
		if n == 0 && err != nil {
			return f, err
		}
	}
}

// expect reads a packet of that type.
func (c *client) expect(want codec.PacketType) codec.Frame {
	c.t.Helper()
	f, err := c.next()
	if err != nil || f.Type != want {
		c.t.Fatalf("got %v, %v, want %v", f.Type, err, want)
	}
	return f
}

// ended reads on until the broker has closed, and tells whether it did.
func (c *client) ended() bool {
	_, err := io.Copy(io.Discard, c.nc)
	ne, ok := err.(net.Error)
	return !ok || !ne.Timeout()
}

func (c *client) ping() {
	c.t.Helper()
	c.send(pingreq)
	c.expect(codec.TypePingresp)
}

func (c *client) subscribe(fs ...codec.Subscription) []codec.ReasonCode {
	c.t.Helper()
	c.send(subscribePacket(c.v, fs...))
	var ack codec.Suback
	f := c.expect(codec.TypeSuback)
	if err := ack.Parse(c.v, f.Flags, f.Body); err != nil || len(ack.Reasons) != len(fs) {
		c.t.Fatalf("%d codes for %d filters, %v", len(ack.Reasons), len(fs), err)
	}
	return ack.Reasons
}

func (c *client) publish(topic string, payload []byte, qos codec.QoS, id uint16) {
	c.t.Helper()
	p := codec.Publish{Topic: []byte(topic), Payload: payload, QoS: qos, PacketID: id}
	c.send(p.Append(nil, c.v))
}

var pingreq = []byte{0xc0, 0}

func filter(name string, qos codec.QoS) codec.Subscription {
	return codec.Subscription{Filter: []byte(name), QoS: qos}
}

func subscribePacket(v codec.Version, fs ...codec.Subscription) []byte {
	return (&codec.Subscribe{PacketID: 1, Filters: fs}).Append(nil, v)
}

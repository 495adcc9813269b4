package bench

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine"
)

// brief is a budget for tests: long enough for messages to pass, and no more.
func brief() budget {
	return budget{warm: 10 * time.Millisecond, length: 50 * time.Millisecond, connections: 40, patience: 2 * time.Second}
}

// patient is brief for brokers that are not expected to lose anything: a slow machine
// is not a loss.
func patient() budget {
	b := brief()
	b.patience = 30 * time.Second
	return b
}

func honest(_ int, deliver func([]byte), payload []byte) { deliver(payload) }

func TestExchangeFindsWhatABrokerDoesToMessages(t *testing.T) {
	var held []byte
	tests := []struct {
		name   string
		tamper func(n int, deliver func([]byte), payload []byte)
		want   faults
	}{
		{"nothing", honest, faults{}},
		{"drops one", func(n int, deliver func([]byte), payload []byte) {
			if n != 3 {
				deliver(payload)
			}
		}, faults{lost: 1}},
		{"doubles one", func(n int, deliver func([]byte), payload []byte) {
			if n == 3 {
				deliver(payload)
			}
			deliver(payload)
		}, faults{duplicate: 1}},
		{"swaps two", func(n int, deliver func([]byte), payload []byte) {
			switch n {
			case 3:
				held = slices.Clone(payload)
			case 4:
				deliver(payload)
				deliver(held)
			default:
				deliver(payload)
			}
		}, faults{reordered: 1}},
		{"replaces one", func(n int, deliver func([]byte), payload []byte) {
			if n == 3 {
				payload = []byte("something else")
			}
			deliver(payload)
		}, faults{lost: 1, stray: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := brief()
			if tt.want.lost == 0 {
				b = patient()
			}
			addr := startFake(t, tt.tamper)
			spec := exchangeSpec{layout: layoutPairs, publishers: 1, receivers: 1, window: 100_000}
			o, err := measureExchange(context.Background(), target{addr: addr}, spec, b)
			if err != nil {
				t.Fatal(err)
			}
			if o.faults != tt.want {
				t.Errorf("found %v, want %v", o.faults, tt.want)
			}
		})
	}
}

func TestExchangeThatStallsIsAFailureWithItsLosses(t *testing.T) {
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n < 5 {
			deliver(payload)
		}
	})
	b := brief()
	b.length = time.Minute
	spec := exchangeSpec{layout: layoutPairs, publishers: 1, receivers: 1, window: 8}
	_, err := measureExchange(context.Background(), target{addr: addr}, spec, b)
	if !errors.Is(err, errStalled) {
		t.Fatalf("%v, want a stall", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n == 10 {
			cancel()
		}
		deliver(payload)
	})
	b := patient()
	b.length = time.Hour
	spec := exchangeSpec{layout: layoutPairs, publishers: 1, receivers: 1, window: 8}
	if _, err := measureExchange(ctx, target{addr: addr}, spec, b); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the end of the context", err)
	}
}

func TestRunFailsWhenNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	l.Close()
	if _, err := measureChurn(context.Background(), target{addr: addr}, newChurn(1), brief()); err == nil {
		t.Error("no error")
	}
}

// startEngine returns a Gannet in this process that ends with the test.
func startEngine(t *testing.T) target {
	t.Helper()
	o := engine.DefaultOptions()
	o.Listeners[0].URL = "mqtt://127.0.0.1:0"
	s, err := engine.New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return target{addr: s.Addrs()[0].(*net.TCPAddr).AddrPort(), pid: os.Getpid()}
}

func TestEveryKindOfLoadRunsAgainstGannetWithoutFaults(t *testing.T) {
	running := startEngine(t)
	exchanges := []struct {
		name string
		spec exchangeSpec
	}{
		{"pairs with QoS 0", exchangeSpec{layout: layoutPairs, publishers: 3, receivers: 3, window: 20}},
		{"pairs with QoS 1", exchangeSpec{layout: layoutPairs, publishers: 3, receivers: 3, qos: codec.QoS1, window: 20}},
		{"pairs with QoS 2", exchangeSpec{layout: layoutPairs, publishers: 3, receivers: 3, qos: codec.QoS2, window: 20}},
		{"one message at a time", exchangeSpec{layout: layoutPairs, publishers: 2, receivers: 2, qos: codec.QoS1, window: 1}},
		{"one to many", exchangeSpec{layout: layoutAll, publishers: 1, receivers: 10, window: 16}},
		{"many to one", exchangeSpec{layout: layoutAll, publishers: 10, receivers: 1, qos: codec.QoS1, window: 20}},
		{"shared", exchangeSpec{layout: layoutShare, publishers: 4, receivers: 2, qos: codec.QoS1, window: 20}},
		{"by the clock", exchangeSpec{layout: layoutPairs, publishers: 4, receivers: 4, window: 64, rate: 2000}},
	}
	for _, tt := range exchanges {
		t.Run(tt.name, func(t *testing.T) {
			o, err := measureExchange(context.Background(), running, tt.spec, patient())
			check(t, o, err)
		})
	}
	t.Run("arrivals", func(t *testing.T) {
		o, err := measureArrivals(context.Background(), running, patient())
		check(t, o, err)
	})
	t.Run("churn", func(t *testing.T) {
		o, err := measureChurn(context.Background(), running, newChurn(5), patient())
		check(t, o, err)
	})
}

func check(t *testing.T, o outcome, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if o.faults.any() || o.total == 0 {
		t.Errorf("%+v", o)
	}
}

// BenchmarkExchange is one message on its way through the loader alone: encoded,
// taken off the wire and booked, without a socket.
func BenchmarkExchange(b *testing.B) {
	x := newExchange(exchangeSpec{layout: layoutPairs, publishers: 1, receivers: 1, window: 100})
	l := &loop{scenario: x, base: time.Now()}
	x.open(l)
	from, to := x.publishers[0].client, l.clients[1]
	b.ReportAllocs()
	for b.Loop() {
		from.out = from.out[:0]
		x.publish(&x.publishers[0], l.now)
		f, _, err := codec.Next(from.out, readSize)
		if err != nil {
			b.Fatal(err)
		}
		if err := x.packet(to, f); err != nil {
			b.Fatal(err)
		}
	}
	if x.received != uint64(b.N) {
		b.Fatalf("%d of %d received", x.received, b.N)
	}
}

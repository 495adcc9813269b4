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

// onePair is a publisher with a window, and a receiver.
func onePair(window int) []groupSpec {
	return pairsFleet(&sizes{publishers: 1, subscribers: 1, payload: payloadSize, window: window})
}

func TestMeasuredFleetFindsWhatABrokerDoesToMessages(t *testing.T) {
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
			o, err := measureFleet(context.Background(), target{addr: addr}, onePair(100_000), b)
			if err != nil {
				t.Fatal(err)
			}
			if o.faults != tt.want {
				t.Errorf("found %v, want %v", o.faults, tt.want)
			}
		})
	}
}

func TestMeasuredFleetThatStallsIsAFailureWithItsLosses(t *testing.T) {
	addr := startFake(t, func(n int, deliver func([]byte), payload []byte) {
		if n < 5 {
			deliver(payload)
		}
	})
	b := brief()
	b.length = time.Minute
	_, err := measureFleet(context.Background(), target{addr: addr}, onePair(8), b)
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
	if _, err := measureFleet(ctx, target{addr: addr}, onePair(8), b); !errors.Is(err, context.Canceled) {
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
	fleets := []struct {
		name string
		of   func(*sizes) []groupSpec
		s    sizes
	}{
		{"pairs with QoS 0", pairsFleet, sizes{publishers: 3, subscribers: 3, window: 20}},
		{"pairs with QoS 1", pairsFleet, sizes{publishers: 3, subscribers: 3, qos: 1, window: 20}},
		{"pairs with QoS 2", pairsFleet, sizes{publishers: 3, subscribers: 3, qos: 2, window: 20}},
		{"one message at a time", pairsFleet, sizes{publishers: 2, subscribers: 2, qos: 1, window: 1}},
		{"one to many", oneTopicFleet, sizes{publishers: 1, subscribers: 10, window: 16}},
		{"many to one", fanOutFleet, sizes{publishers: 10, subscribers: 1, qos: 1, window: 20}},
		{"shared", sharedFleet, sizes{publishers: 4, subscribers: 2, qos: 1, window: 20}},
		{"by the clock", pairsFleet, sizes{publishers: 4, subscribers: 4, window: 64, rate: 2000, arrivals: "uniform"}},
	}
	for _, tt := range fleets {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.payload = payloadSize
			o, err := measureFleet(context.Background(), running, tt.of(&tt.s), patient())
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

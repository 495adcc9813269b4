package broker

import (
	"flag"
	"fmt"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

var scaleSessions = flag.Int("scale.sessions", 1_000_000, "idle sessions of BenchmarkIdleSessions")

// BenchmarkIdleSessions holds sessions with one subscription each, parked and connected over fake transports, and reports the
// heap that each costs in the broker. Run with -benchtime 1x.
func BenchmarkIdleSessions(b *testing.B) {
	for _, connected := range []bool{false, true} {
		name := "parked"
		if connected {
			name = "connected"
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				idleSessions(b, connected)
			}
		})
	}
}

func idleSessions(b *testing.B, connected bool) {
	n := *scaleSessions
	r := newRig(b, 2, nil)
	wires := make([]wire, n) // the far ends, not counted: made before the first measurement
	before := heap()
	for i := range n {
		w := &wires[i]
		w.r, w.v, w.loop = r, codec.V311, r.Loops[i%2]
		w.conn = w.loop.Open(w, idleListener, r.Now)
		w.send((&codec.Connect{Version: codec.V311, ClientID: fmt.Appendf(nil, "device-%08d", i), KeepAlive: 60}).Append(nil, codec.V311))
		w.send((&codec.Subscribe{PacketID: 1, Filters: []codec.Subscription{{Filter: fmt.Appendf(nil, "devices/%08d/cmd", i), QoS: 1}}}).Append(nil, codec.V311))
		if !connected {
			w.loop.Closed(w.conn, nil, r.Now)
			w.conn = nil
		}
		if i%64 == 0 {
			r.Settle()
		}
	}
	r.Settle()
	b.ReportMetric(float64(heap()-before)/float64(n), "heap-B/session")
	b.ReportMetric(float64(unsafe.Sizeof(client{})), "client-B")
	b.ReportMetric(float64(unsafe.Sizeof(Conn{})), "conn-B")
	runtime.KeepAlive(wires)
	runtime.KeepAlive(r)
}

// BenchmarkRestore is a restart with sessions of one subscription each on disk, and what each costs then. Run with -benchtime 1x.
func BenchmarkRestore(b *testing.B) {
	dir, n := b.TempDir(), *scaleSessions
	store, err := persist.Open(dir, persist.Options{})
	if err != nil {
		b.Fatal(err)
	}
	for id := uint64(1); id <= uint64(n); id++ {
		store.Append([]session.Record{
			{Kind: session.SessionPut, Session: id, State: &session.State{ClientID: fmt.Sprintf("device-%08d", id), Version: codec.V311, Expiry: session.NeverExpires, ExpiresAt: session.Never}},
			{Kind: session.SubscriptionPut, Session: id, Filter: fmt.Sprintf("devices/%08d/cmd", id), Options: session.SubscriptionOptions{QoS: 1}},
		})
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		before := heap()
		store, err := persist.Open(dir, persist.Options{})
		if err != nil {
			b.Fatal(err)
		}
		started := time.Now()
		r := newRigWithStore(b, 2, store, nil)
		if err := r.b.Restore(r.Now); err != nil || r.b.Sessions() != n {
			b.Fatal(r.b.Sessions(), err)
		}
		b.ReportMetric(time.Since(started).Seconds(), "s-to-serve")
		b.ReportMetric(float64(heap()-before)/float64(n), "heap-B/session")
		if err := store.Close(); err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(r)
	}
}

var idleListener = &Listener{Name: "idle", Policy: session.Policy{AllowAnonymous: true}}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

package persist

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDurableQueue is 50 publishers with up to 20 unacknowledged messages of 256 bytes each, to offline sessions: each message
// is a QueuePut for every session it goes to. With drain it is deleted once it is durable, as by a reader that is
// slower than the disk. One operation is one message durable.
func BenchmarkDurableQueue(b *testing.B) {
	for _, durability := range []Durability{Sync, OS} {
		for _, fanout := range []int{1, 10} {
			for _, drain := range []bool{false, true} {
				name := fmt.Sprintf("%s/fanout=%d/drain=%v", [...]string{"sync", "os"}[durability], fanout, drain)
				b.Run(name, func(b *testing.B) { benchQueue(b, durability, fanout, drain) })
			}
		}
	}
}

func benchQueue(b *testing.B, durability Durability, fanout int, drain bool) {
	const publishers, window = 50, 20
	d := newDurable()
	p, err := Open(b.TempDir(), Options{Durability: durability})
	if err != nil {
		b.Fatal(err)
	}
	p.OnDurable(d.notify)
	var seq atomic.Uint64
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu(b)
	for i := range publishers {
		wg.Go(func() {
			payload := make([]byte, 256)
			records := make([]session.Record, 0, fanout)
			deletes := make([]session.Record, 0, fanout)
			tickets := make([]uint64, 0, window)
			var ring [window]session.Record
			for n := range b.N/publishers + 1 {
				m := session.Message{Topic: []byte("bench/topic"), Payload: payload, QoS: codec.QoS1}
				r := session.Record{Kind: session.QueuePut, Session: uint64(i * fanout), Seq: seq.Add(1), QoS: codec.QoS1, Message: m.Keep()}
				records, deletes = records[:0], deletes[:0]
				old := ring[n%window]
				for range fanout {
					r.Session++
					records = append(records, r)
					if drain && n >= window {
						old.Session++
						deletes = append(deletes, old)
					}
				}
				if n >= window {
					d.wait(tickets[n%window])
					p.Append(deletes)
				} else {
					tickets = append(tickets, 0)
				}
				tickets[n%window] = p.Append(records)
				r.Kind, r.Session = session.QueueDelete, uint64(i*fanout)
				ring[n%window] = r
			}
		})
	}
	wg.Wait()
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	s := p.Stats()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e3, "cpu-µs/op")
	b.ReportMetric(float64(s.Records)/float64(max(s.Batches, 1)), "records/batch")
	b.ReportMetric(float64(s.Bytes)/float64(b.N), "B-written/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkCommit is the committer's work for a batch of messages of 256 bytes to ten sessions each, of 500, and of the deletions of those
// of an earlier batch. One operation is one record.
func BenchmarkCommit(b *testing.B) {
	const sessions, fanout, messages = 500, 10, 200
	p, err := Open("store", Options{FS: vfs.NewMem()})
	if err != nil {
		b.Fatal(err)
	}
	var batch taken
	batch.kinds = 1<<session.QueuePut | 1<<session.QueueDelete
	old := make([]session.Record, 0, messages*fanout)
	payload := make([]byte, 256)
	seq := uint64(0)
	b.ReportAllocs()
	spent := time.Duration(0)
	for n := 0; n < b.N; n += len(batch.records) {
		b.StopTimer()
		batch.ticket++
		batch.records = batch.records[:0]
		deletes := old
		old = make([]session.Record, 0, messages*fanout)
		for i := range messages {
			seq++
			m := session.Message{Topic: []byte("bench/topic"), Payload: payload, QoS: codec.QoS1}
			kept := m.Keep()
			if len(deletes) > 0 {
				batch.records = append(batch.records, deletes[i*fanout:(i+1)*fanout]...)
			}
			for s := range uint64(fanout) {
				r := putOf(1+(seq*7+s)%sessions, seq, kept)
				batch.records = append(batch.records, r)
				r.Kind = session.QueueDelete
				old = append(old, r)
			}
		}
		b.StartTimer()
		before := cpu(b)
		if err := p.commit(batch); err != nil {
			b.Fatal(err)
		}
		spent += cpu(b) - before
	}
	b.StopTimer()
	b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAppend is what the event loop pays for a record.
func BenchmarkAppend(b *testing.B) {
	p, err := Open(b.TempDir(), Options{Durability: OS})
	if err != nil {
		b.Fatal(err)
	}
	m := (&session.Message{Topic: []byte("bench/topic"), Payload: make([]byte, 64)}).Keep()
	records := []session.Record{{Kind: session.QueuePut, Session: 1, QoS: codec.QoS1, Message: m}}
	b.ReportAllocs()
	for b.Loop() {
		records[0].Seq++
		records[0].Kind = session.QueuePut
		p.Append(records)
		records[0].Kind = session.QueueDelete
		p.Append(records)
	}
	b.StopTimer()
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLoad is a restart with 100,000 sessions of one subscription each.
func BenchmarkLoad(b *testing.B) {
	dir := b.TempDir()
	p, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	const sessions = 100_000
	for sid := uint64(1); sid <= sessions; sid++ {
		p.Append([]session.Record{
			{Kind: session.SessionPut, Session: sid, State: &session.State{ClientID: fmt.Sprint("client-", sid), Version: codec.V5, Expiry: 3600}},
			{Kind: session.SubscriptionPut, Session: sid, Filter: fmt.Sprintf("devices/%d/+", sid)},
		})
	}
	if err := p.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		err = p.Load(func() func(session.Record) error {
			return func(session.Record) error { return nil }
		})
		if n := p.Loaded(); err != nil || n.Sessions != sessions || n.Subscriptions != sessions {
			b.Fatal(n, err)
		}
		if err := p.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/sessions, "ns/session")
}

package broker

import (
	"errors"
	"fmt"
	"math/rand"
	randv2 "math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/persist"
)

// simStore is the store of a simulation. Nothing happens in it but when the simulation says so: what was appended becomes durable in
// commit, and who asked for part of a queue gets it in answer, if at all.
type simStore struct {
	simBackend
	told   uint64 // newest ticket that the broker heard of
	reads  []simRead
	refuse bool
}

// simBackend is the store behind a simStore. Its Read calls done before it returns, and After is durable.
type simBackend interface {
	Store
	// commit lets up to n more of what was appended become durable, and tells.
	commit(n int)
	// crash ends the process that the store is of, and returns what the next one finds.
	crash(rnd *rand.Rand) simBackend
	// close ends the store.
	close()
}

type simRead struct {
	session.QueueRead
	done func([]session.Record, error)
}

var errSimRead = errors.New("this read fails")

func (s *simStore) Append(records []session.Record) uint64 {
	ticket := s.simBackend.Append(records)
	for i := range records {
		if r := &records[i]; *simTrace {
			fmt.Printf("        ticket %d: kind %d session %d seq %d id %d filter %q state %+v\n", ticket, r.Kind, r.Session, r.Seq, r.ID, r.Filter, r.State)
		}
	}
	return ticket
}

func (s *simStore) OnDurable(tell func(ticket uint64)) {
	s.simBackend.OnDurable(func(ticket uint64) {
		s.told = ticket
		tell(ticket)
	})
}

func (s *simStore) Read(q session.QueueRead, done func([]session.Record, error)) {
	s.reads = append(s.reads, simRead{q, done})
}

func (s *simStore) Unavailable() bool { return s.refuse || s.simBackend.Unavailable() }

// answer does one of the reads that can be done. False: there is none.
func (s *simStore) answer(rnd *rand.Rand, fail bool) bool {
	for _, i := range rnd.Perm(len(s.reads)) {
		r := s.reads[i]
		if r.After > s.told {
			continue
		}
		s.reads = slices.Delete(s.reads, i, i+1)
		if fail {
			r.done(nil, errSimRead)
		} else {
			s.simBackend.Read(r.QueueRead, r.done)
		}
		return true
	}
	return false
}

// restart is a crash, after which the next process opens the store.
func (s *simStore) restart(rnd *rand.Rand) *simStore {
	return &simStore{simBackend: s.simBackend.crash(rnd)}
}

// simMemory is a backend that is deterministic.
type simMemory struct{ persist.Memory }

func (m *simMemory) commit(n int) { m.Commit(n) }

// crash keeps what was durable, and perhaps a little of what nobody had been told of.
func (m *simMemory) crash(rnd *rand.Rand) simBackend {
	m.OnDurable(nil)
	m.Commit(rnd.Intn(4))
	m.Crash()
	return m
}

func (m *simMemory) close() {}

// simPebble is a backend on Pebble, in a file system in memory that a crash leaves as a power failure would: with all that was
// synced, and part of what was not. The broker gets tickets that count its calls of Append, so that what it hears
// does not depend on where Pebble cut its batches.
type simPebble struct {
	*persist.Pebble
	t    testing.TB
	fs   *vfs.MemFS
	opts persist.Options
	real []uint64 // tickets of Pebble for those of the broker, from 1
	n    int      // how many the broker has been told of
	tell func(ticket uint64)

	mu      sync.Mutex
	cond    sync.Cond
	durable uint64
}

func openSimPebble(t testing.TB, fs *vfs.MemFS, window int) *simPebble {
	p := &simPebble{t: t, fs: fs, opts: persist.Options{FS: fs, Window: window, MemTableBytes: 256 << 10, CacheBytes: 1 << 20}}
	p.cond.L = &p.mu
	var err error
	if p.Pebble, err = persist.Open("store", p.opts); err != nil {
		t.Fatal(err)
	}
	p.Pebble.OnDurable(func(ticket uint64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.durable = ticket
		p.cond.Broadcast()
	})
	return p
}

func (p *simPebble) Append(records []session.Record) uint64 {
	p.real = append(p.real, p.Pebble.Append(records))
	return uint64(len(p.real))
}

func (p *simPebble) OnDurable(tell func(ticket uint64)) { p.tell = tell }

func (p *simPebble) Read(q session.QueueRead, done func([]session.Record, error)) {
	records, err := p.readNow(q)
	if err != nil && len(p.real) > 0 {
		// A session may end while its queue is read, and take messages with it. When that is done nothing can be amiss.
		p.await(p.real[len(p.real)-1])
		records, err = p.readNow(q)
	}
	if err != nil {
		p.t.Error(err)
	}
	done(records, err)
}

func (p *simPebble) readNow(q session.QueueRead) (records []session.Record, err error) {
	q.After = 0
	answered := make(chan struct{})
	p.Pebble.Read(q, func(r []session.Record, e error) {
		records, err = r, e
		close(answered)
	})
	<-answered
	return records, err
}

// await waits until a ticket of Pebble is durable.
func (p *simPebble) await(ticket uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.durable < ticket {
		p.cond.Wait()
	}
}

func (p *simPebble) commit(n int) {
	if n = min(n, len(p.real)-p.n); n == 0 {
		return
	}
	p.n += n
	p.await(p.real[p.n-1])
	p.tell(uint64(p.n))
}

func (p *simPebble) crash(rnd *rand.Rand) simBackend {
	crashed := p.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rnd.Intn(101), RNG: randv2.New(randv2.NewPCG(rnd.Uint64(), 0))})
	p.close()
	return openSimPebble(p.t, crashed, p.opts.Window)
}

func (p *simPebble) close() {
	if err := p.Close(); err != nil {
		p.t.Error(err)
	}
}

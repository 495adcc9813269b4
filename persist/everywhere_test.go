package persist

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gannetmq/gannet/engine/session"
)

// TestEveryOperationMayFail lets one operation of the file system after the other fail, reading or writing, once or from then on, while
// a store is opened, loaded, written, read, backed up and closed. Nothing panics, everything returns, and what was reported durable
// is there after a crash.
func TestEveryOperationMayFail(t *testing.T) {
	stride := 11
	if testing.Short() {
		stride = 41
	}
	base := vfs.NewCrashableMem()
	p, d := openTest(t, base, func(o *Options) { o.MemTableBytes = 64 << 10 })
	d.wait(p.Append(population(12)))
	closeTest(t, p)
	p, _ = openTest(t, copyOf(t, base), nil)
	stored := load(t, p)
	closeTest(t, p)
	whole := faultRun{fs: copyOf(t, base), at: math.MaxInt64, stored: stored}
	n := whole.run(t)
	t.Logf("%d operations", n)
	for at := 0; at < n; at += stride { // odd, so that each kind comes in turn
		kind := at % 4
		failure := []error{syscall.EIO, syscall.ENOSPC}[kind%2]
		f := faultRun{fs: copyOf(t, base), at: int64(at), failure: failure, forEver: kind/2 == 1, stored: stored}
		f.run(t)
	}
}

// faultRun is one life of a store.
type faultRun struct {
	fs      *vfs.MemFS
	at      int64 // operation that fails
	failure error
	forEver bool
	stored  []session.Record
}

func (f *faultRun) String() string {
	return fmt.Sprintf("operation %d, %v, for ever %v", f.at, f.failure, f.forEver)
}

// run returns how many operations there were.
func (f *faultRun) run(t *testing.T) int {
	var n atomic.Int64
	disk := newTrouble(f.fs, func(op errorfs.Op) bool {
		i := n.Add(1) - 1
		return i == f.at || f.forEver && i > f.at
	})
	disk.start(f.failure)
	d := newDurable()
	p, err := open("dir/store", Options{FS: disk.fs, MemTableBytes: 64 << 10, CacheBytes: 1 << 20}, time.Millisecond)
	if err != nil {
		if !strings.HasPrefix(err.Error(), "store dir/store: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: open says %v", f, err)
		}
		return int(n.Load())
	}
	p.OnDurable(d.notify)
	tickets, states := f.use(t, p)
	if err := p.Close(); p.hasFailed() && err == nil {
		t.Errorf("%v: failed, but closed with no error", f)
	}
	disk.stop()
	crashed := f.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(f.at) % 3 * 50, RNG: rand.New(rand.NewPCG(1, uint64(f.at)))})
	p, _ = openTest(t, crashed, nil)
	checkPrefix(t, lines(load(t, p)), tickets, states, d.newest())
	checkKeys(t, p)
	closeTest(t, p)
	return int(n.Load())
}

// use does what a broker might, and returns what the store held after each Append.
func (f *faultRun) use(t *testing.T, p *Pebble) (tickets []uint64, states [][]string) {
	m := model{}
	m.apply(f.stored)
	tickets, states = append(tickets, 0), append(states, m.lines())
	if err := p.Load(func() func(session.Record) error { return func(session.Record) error { return nil } }); err != nil {
		return tickets, states
	}
	w := newWorld(uint64(f.at))
	w.resume(f.stored)
	read := make(chan error, 1)
	reads := 0
	for i := range 120 {
		steps := w.step()
		if i%2 == 0 { // so that there are tables and compactions
			big := session.Message{Topic: fmt.Appendf(nil, "big/%d", i%20), Payload: make([]byte, 6<<10)}
			steps = append(steps, []session.Record{{Kind: session.RetainedPut, Message: big.Keep()}})
		}
		for _, records := range steps {
			if ticket := p.Append(records); ticket > 0 {
				m.apply(records)
				tickets, states = append(tickets, ticket), append(states, m.lines())
			}
		}
		if i%50 == 10 && reads == 0 {
			reads++
			p.Read(session.QueueRead{Session: 7, Messages: 10, Bytes: 1 << 20}, func(_ []session.Record, err error) { read <- err })
		}
		if i == 90 {
			if err := p.Backup("dir/backup", nil); err == nil {
				if report, err := verify(f.fs, "dir/backup", nil); err != nil || len(report.Problems) > 0 {
					t.Errorf("%v: backup: %+v, %v", f, report.Problems, err)
				}
			} else if errors.Is(err, ErrDamaged) {
				t.Errorf("%v: backup: %v", f, err)
			}
		}
	}
	for range reads {
		if err := <-read; err != nil && !strings.HasPrefix(err.Error(), "store dir/store: ") {
			t.Errorf("%v: read: %v", f, err)
		}
	}
	return tickets, states
}

package persist

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/gannetmq/gannet/engine/session"
)

// trouble is a disk that fails on demand.
type trouble struct {
	fs  vfs.FS
	err atomic.Pointer[error]
	hit func(errorfs.Op) bool
}

func newTrouble(fs vfs.FS, hit func(errorfs.Op) bool) *trouble {
	d := &trouble{hit: hit}
	d.fs = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if err := d.err.Load(); err != nil && d.hit(op) {
			return *err
		}
		return nil
	}))
	return d
}

func (d *trouble) start(err error) { d.err.Store(&err) }
func (d *trouble) stop()           { d.err.Store(nil) }

func writes(op errorfs.Op) bool {
	return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && op.Kind != errorfs.OpFilePreallocate
}

func retained(n int) []session.Record {
	m := session.Message{Topic: fmt.Appendf(nil, "t/%d", n), Payload: []byte("x")}
	return []session.Record{{Kind: session.RetainedPut, Message: m.Keep()}}
}

func TestFullDiskDelaysUntilThereIsSpace(t *testing.T) {
	fs := vfs.NewMem()
	disk := newTrouble(fs, writes)
	told := make(chan error, 10)
	p, d := openTest(t, disk.fs, func(o *Options) {
		o.OnError = func(err error) { told <- err }
		o.MaxPendingBytes = 100
	})
	d.wait(p.Append(retained(1)))
	disk.start(syscall.ENOSPC)
	ticket := p.Append(retained(2))
	if err := <-told; !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("told of %v", err)
	}
	if err := p.Err(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Err is %v", err)
	}
	var last uint64
	for n := range 5000 { // more than the pipeline takes
		last = p.Append(retained(n))
	}
	if !p.Unavailable() {
		t.Error("available")
	}
	if d.newest() >= ticket {
		t.Error("reported durable without space")
	}
	disk.stop()
	d.wait(last)
	if err := p.Err(); err != nil {
		t.Errorf("there is space again, but Err is %v", err)
	}
	if p.Append(nil); p.Unavailable() && p.Stats().PendingBytes == 0 {
		t.Error("still unavailable")
	}
	closeTest(t, p)
	p, _ = openTest(t, fs, nil)
	if n := len(load(t, p)); n != 5000 {
		t.Errorf("%d records came back", n)
	}
	closeTest(t, p)
}

func TestCloseDoesNotWaitForAFullDisk(t *testing.T) {
	disk := newTrouble(vfs.NewMem(), writes)
	told := make(chan error, 10)
	p, d := openTest(t, disk.fs, func(o *Options) { o.OnError = func(err error) { told <- err } })
	disk.start(syscall.ENOSPC)
	ticket := p.Append(retained(1))
	<-told
	if err := p.Close(); !errors.Is(err, errGaveUp) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("closed with %v", err)
	}
	if d.newest() >= ticket {
		t.Error("reported durable")
	}
	disk.stop()
	p, _ = openTest(t, disk.fs, nil)
	closeTest(t, p)
}

func TestFailedSyncIsFinal(t *testing.T) {
	disk := newTrouble(vfs.NewMem(), func(op errorfs.Op) bool {
		return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData
	})
	told := make(chan error, 10)
	p, d := openTest(t, disk.fs, func(o *Options) { o.OnError = func(err error) { told <- err } })
	durable := p.Append(retained(1))
	d.wait(durable)
	disk.start(syscall.EIO)
	p.Append(retained(2))
	if err := <-told; !errors.Is(err, syscall.EIO) {
		t.Errorf("told of %v", err)
	}
	disk.stop() // too late: nobody knows what the disk has
	p.Append(retained(3))
	if !p.Unavailable() || !errors.Is(p.Err(), syscall.EIO) {
		t.Error("a failed store takes more")
	}
	if err := p.Close(); !errors.Is(err, syscall.EIO) {
		t.Errorf("closed with %v", err)
	}
	if n := d.newest(); n != durable {
		t.Errorf("reported %d durable, was %d before the failure", n, durable)
	}
	p, _ = openTest(t, disk.fs, nil)
	if n := len(load(t, p)); n < 1 || n > 2 {
		t.Errorf("%d records came back", n)
	}
	closeTest(t, p)
}

// TestNothingIsLostWhereverAWriteFails lets one write after the other fail, for good or for lack of space, and crashes the
// store after that. What was reported durable is there.
func TestNothingIsLostWhereverAWriteFails(t *testing.T) {
	failures := []error{syscall.EIO, syscall.ENOSPC}
	for at := int32(0); at < 120; at += 3 {
		for _, failure := range failures {
			fs := vfs.NewCrashableMem()
			var n atomic.Int32
			disk := newTrouble(fs, func(op errorfs.Op) bool {
				return writes(op) && n.Add(1) == at+1
			})
			disk.start(failure)
			d := newDurable()
			failed := make(chan struct{}, 1000)
			p, err := open("dir/store", Options{FS: disk.fs, MemTableBytes: 64 << 10, CacheBytes: 1 << 20,
				OnError: func(error) { failed <- struct{}{} }}, time.Millisecond)
			if err != nil {
				if !errors.Is(err, failure) && !strings.Contains(err.Error(), failure.Error()) {
					t.Errorf("write %d: open says %v", at, err)
				}
				continue
			}
			p.OnDurable(d.notify)
			w, m := newWorld(uint64(at)), model{}
			tickets, states := []uint64{0}, [][]string{m.lines()}
			for range 300 {
				for _, records := range w.step() {
					if ticket := p.Append(records); ticket > 0 {
						m.apply(records)
						tickets, states = append(tickets, ticket), append(states, m.lines())
					}
				}
			}
			if err = p.Close(); p.hasFailed() != (err != nil) {
				t.Errorf("write %d: failed %v, closed with %v", at, p.hasFailed(), err)
			}
			newest := d.newest()
			crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(at) % 3 * 50, RNG: rand.New(rand.NewPCG(1, uint64(at)))})
			p, _ = openTest(t, crashed, nil)
			checkPrefix(t, lines(load(t, p)), tickets, states, newest)
			checkKeys(t, p)
			closeTest(t, p)
		}
	}
}

func TestTableThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	disk := newTrouble(vfs.NewMem(), func(op errorfs.Op) bool { return writes(op) && isTable(op.Path) })
	told := make(chan error, 1)
	p, d := openTest(t, disk.fs, func(o *Options) {
		o.OnError = func(err error) {
			select {
			case told <- err:
			default:
			}
		}
	})
	disk.start(syscall.ENOSPC)
	d.wait(p.Append(retained(1)))
	flushed, err := p.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	if err := <-told; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("told of %v", err)
	}
	d.wait(p.Append(retained(2))) // the log has space
	if p.Unavailable() || p.Err() != nil {
		t.Errorf("the log is well, but: %v", p.Err())
	}
	disk.stop()
	<-flushed
	if n := len(load(t, p)); n != 2 {
		t.Errorf("%d records", n)
	}
	closeTest(t, p)
}

// TestDurabilityOSWritesButDoesNotSync: a ticket is durable when the log is written, which is what a killed process leaves.
func TestDurabilityOSWritesButDoesNotSync(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var logSyncs atomic.Int32
	watched := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if path.Ext(op.Path) == ".log" && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) {
			logSyncs.Add(1)
		}
		return nil
	}))
	p, d := openTest(t, watched, func(o *Options) { o.Durability = OS })
	atOpen := logSyncs.Load()
	for n := range 100 {
		d.wait(p.Append(retained(n)))
	}
	if n := logSyncs.Load() - atOpen; n != 0 {
		t.Errorf("%d syncs of the log", n)
	}
	killed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	closeTest(t, p)
	if logSyncs.Load() == atOpen {
		t.Error("closed without a sync of the log")
	}
	p, _ = openTest(t, killed, nil)
	if n := len(load(t, p)); n != 100 {
		t.Errorf("%d of 100 records survived the process", n)
	}
	closeTest(t, p)
}

// TestOpenOnAFullDiskReturns: also where Pebble itself would try for ever.
func TestOpenOnAFullDiskReturns(t *testing.T) {
	killed := populate(t, vfs.NewCrashableMem(), 200)
	for name, hit := range map[string]func(errorfs.Op) bool{
		"all":    writes,
		"tables": func(op errorfs.Op) bool { return writes(op) && isTable(op.Path) },
		"log":    func(op errorfs.Op) bool { return writes(op) && path.Ext(op.Path) == ".log" },
	} {
		disk := newTrouble(copyOf(t, killed), hit)
		disk.start(syscall.ENOSPC)
		_, _, err := tryOpen(disk.fs)
		if !errors.Is(err, syscall.ENOSPC) || !strings.HasPrefix(err.Error(), "store dir/store: disk full: ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
		disk.stop()
		if _, _, err := tryOpen(disk.fs); err != nil {
			t.Errorf("%s: with space again: %v", name, err)
		}
	}
}

// TestCompactionThatCannotReadFailsTheStore, where Pebble would panic on a goroutine of its own.
func TestCompactionThatCannotReadFailsTheStore(t *testing.T) {
	compact := func(fs vfs.FS) error {
		p, err := open("dir/store", Options{FS: fs}, time.Millisecond)
		if err != nil { // it came at once
			return err
		}
		go func() { _ = p.db.Compact(t.Context(), []byte{0}, []byte{0xFF}, false) }()
		<-p.failed
		if !p.Unavailable() {
			t.Error("takes more")
		}
		if err := p.Close(); !errors.Is(err, p.Err()) {
			t.Errorf("closed with %v", err)
		}
		return p.Err()
	}
	whole := populate(t, vfs.NewCrashableMem(), 2000)
	for _, name := range liveTables(t, whole) {
		damaged := copyOf(t, whole)
		flip(t, damaged, name, len(readAll(t, whole, name))/2)
		err := compact(damaged)
		checkHint(t, name, err)
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	disk := newTrouble(whole, func(op errorfs.Op) bool { return op.Kind == errorfs.OpFileReadAt && isTable(op.Path) && compacting() })
	disk.start(syscall.EIO)
	if err := compact(disk.fs); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
}

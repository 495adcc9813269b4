package persist

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// groupLoops append groups: the deliveries of one message to each session of the loop, one by one, and an identifier of the publisher.
const (
	groupLoops    = 3
	groupSessions = 4
)

// appendGroups is one loop. sizes are those of the messages of its groups; it calls after each.
func appendGroups(p *Pebble, d *durable, loop int, sizes []int, after func()) {
	lock := p.Together()
	for i, size := range sizes {
		n := i + 1
		m := session.Message{Topic: []byte("t"), Payload: bytes.Repeat([]byte{byte(n)}, size), QoS: codec.QoS2}
		kept := m.Keep()
		var ticket uint64
		lock.Lock()
		for i := range groupSessions {
			message := kept
			if n%2 == 0 { // as many messages as deliveries
				x := m
				message = x.Keep()
			}
			ticket = p.Append([]session.Record{putOf(uint64(1+loop*groupSessions+i), uint64(n), message)})
			runtime.Gosched() // so that the committer may come
		}
		p.Append([]session.Record{{Kind: session.ReceivedPut, Session: uint64(1 + loop*groupSessions), ID: uint16(n)}})
		lock.Unlock()
		after()
		if n%3 == 0 {
			d.wait(ticket)
		}
	}
}

// checkGroups wants what is left of each loop's groups to be the first of them, each whole, and returns how many there are.
func checkGroups(t *testing.T, p *Pebble, what string) (total int) {
	t.Helper()
	queued, received := map[uint64]int{}, map[uint64]int{}
	for _, r := range load(t, p) {
		switch r.Kind {
		case session.QueuePut:
			if queued[r.Session]++; r.Seq != uint64(queued[r.Session]) {
				t.Fatalf("%s: session %d: delivery %d in place of %d", what, r.Session, r.Seq, queued[r.Session])
			}
		case session.ReceivedPut:
			received[r.Session]++
		}
	}
	for loop := range groupLoops {
		first := uint64(1 + loop*groupSessions)
		for i := range uint64(groupSessions) {
			if queued[first+i] != received[first] {
				t.Fatalf("%s: loop %d: session %d has %d deliveries, but %d groups", what, loop, first+i, queued[first+i], received[first])
			}
		}
		total += received[first]
	}
	checkKeys(t, p)
	return total
}

func groupStates() (records []session.Record) {
	for sid := range uint64(groupLoops * groupSessions) {
		records = append(records, stateOf(sid+1))
	}
	return records
}

// TestGroupIsWholeWheneverThePowerFails takes the power away at random moments, and cuts the log then at many places. Most groups fit
// into a memtable, and some do not.
func TestGroupIsWholeWheneverThePowerFails(t *testing.T) {
	states := map[int]bool{}
	for seed := range uint64(2) {
		fs := vfs.NewCrashableMem()
		p, d := openTest(t, fs, func(o *Options) { o.MemTableBytes = 2 << 20 })
		d.wait(p.Append(groupStates()))
		rnd := rand.New(rand.NewPCG(seed, 3))
		var crashed []*vfs.MemFS
		crash := func() {
			if rnd.IntN(6) == 0 {
				crashed = append(crashed, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rnd.IntN(3)], RNG: rnd}))
			}
		}
		var loops sync.WaitGroup
		for loop := groupLoops - 1; loop >= 0; loop-- { // the first loop starts last: rnd is its own from then on
			sizes := make([]int, 60)
			for n := range sizes {
				if sizes[n] = rnd.IntN(500); loop == 0 && n == 30 {
					sizes[n] = partBytes / 3
				}
			}
			after := crash
			if loop > 0 {
				after = func() {}
			}
			loops.Go(func() { appendGroups(p, d, loop, sizes, after) })
		}
		loops.Wait()
		closeTest(t, p)
		for i, fs := range crashed {
			name, log := newestLog(t, fs)
			for range 4 {
				torn := vfs.NewMem()
				if _, err := vfs.Clone(fs, torn, "dir/store", "dir/store"); err != nil {
					t.Fatal(err)
				}
				cut := rnd.IntN(len(log) + 1)
				writeFile(t, torn, name, log[:cut])
				p, _ := openTest(t, torn, nil)
				states[checkGroups(t, p, fmt.Sprintf("seed %d, crash %d, log cut at %d", seed, i, cut))] = true
				closeTest(t, p)
			}
			p, _ := openTest(t, fs, nil)
			states[checkGroups(t, p, fmt.Sprintf("seed %d, crash %d", seed, i))] = true
			closeTest(t, p)
		}
	}
	if len(states) < 12 {
		t.Errorf("only %d different states", len(states))
	}
}

func newestLog(t *testing.T, fs vfs.FS) (name string, content []byte) {
	t.Helper()
	names, err := fs.List("dir/store")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, n := range names {
		if path.Ext(n) == ".log" {
			name = "dir/store/" + n
		}
	}
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if content, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return name, content
}

func (p *Pebble) tooMuchPending() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pending.bytes >= partBytes
}

func writeFile(t *testing.T, fs vfs.FS, name string, content []byte) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(content)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBatchIsPartedWithoutTheCommitter: what collects while the disk is full does not become one batch.
func TestBatchIsPartedWithoutTheCommitter(t *testing.T) {
	fs := vfs.NewMem()
	disk := newTrouble(fs, writes)
	p, d := openTest(t, disk.fs, nil)
	disk.start(syscall.ENOSPC)
	lock := p.Together()
	const size = 10_000
	var last uint64
	records := 0
	for ; last < 2*pipelineDepth; records++ {
		m := session.Message{Topic: fmt.Append(nil, records), Payload: make([]byte, size)}
		lock.Lock()
		last = p.Append([]session.Record{{Kind: session.RetainedPut, Message: m.Keep()}})
		lock.Unlock()
		for p.tooMuchPending() { // until the parter was here, or for ever
			runtime.Gosched()
		}
	}
	disk.stop()
	d.wait(last)
	closeTest(t, p)
	p, _ = openTest(t, fs, nil)
	if n := len(load(t, p)); n != records {
		t.Errorf("%d of %d records", n, records)
	}
	closeTest(t, p)
}

package persist

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// TestStoreHoldsWhatWasAppended is the contract of every store: what Load visits follows from the records in their order,
// also over restarts.
func TestStoreHoldsWhatWasAppended(t *testing.T) {
	type restart func(t *testing.T, s store) store
	kinds := map[string]func(t *testing.T) (store, restart){
		"memory": func(*testing.T) (store, restart) {
			return &Memory{}, func(_ *testing.T, s store) store { return s }
		},
		"pebble": func(t *testing.T) (store, restart) {
			fs := vfs.NewMem()
			p, _ := openTest(t, fs, nil)
			return p, func(t *testing.T, s store) store {
				closeTest(t, s.(*Pebble))
				p, _ := openTest(t, fs, nil)
				return p
			}
		},
	}
	for name, make := range kinds {
		for seed := uint64(1); seed <= 20; seed++ {
			t.Run(fmt.Sprint(name, " seed ", seed), func(t *testing.T) {
				s, restart := make(t)
				w, m := newWorld(seed), model{}
				for range 1 + w.rnd.IntN(4) {
					for range w.rnd.IntN(400) {
						for _, records := range w.step() {
							m.apply(records)
							s.Append(slices.Clone(records))
						}
					}
					s = restart(t, s)
					got := load(t, s)
					compare(t, lines(got), m.lines())
					w.resume(got)
				}
				if p, ok := s.(*Pebble); ok {
					checkKeys(t, p)
					closeTest(t, p)
				}
			})
		}
	}
}

func compare(t testing.TB, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("%d records, want %d; differ at %d:\n got %.300s\nwant %.300s", len(got), len(want), i, at(got, i), at(want, i))
		}
	}
}

func at(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return "nothing"
}

// keys returns the stored keys with a prefix. Nothing may be appended meanwhile.
func keys(t testing.TB, p *Pebble, prefix byte) (all []string) {
	t.Helper()
	it, err := p.db.NewIter(&pebble.IterOptions{LowerBound: []byte{prefix}, UpperBound: []byte{prefix + 1}})
	if err != nil {
		t.Fatal(err)
	}
	for it.First(); it.Valid(); it.Next() {
		all = append(all, string(it.Key()))
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// checkKeys holds what the committer knows against what is stored: every message with a key of its own is owed to somebody, as
// often as is counted, and every chunk is known with what is settled of it.
func checkKeys(t testing.TB, p *Pebble) {
	t.Helper()
	refs := map[uint64]uint32{}
	it, err := p.db.NewIter(prefixBounds(prefixHot))
	if err != nil {
		t.Fatal(err)
	}
	chunks := 0
	for it.First(); it.Valid(); {
		if !isChunkKey(it.Key()) {
			if isMarksKey(it.Key()) {
				t.Errorf("marks %x without a chunk", it.Key())
			}
			it.Next()
			continue
		}
		chunks++
		c, err := nextChunk(it)
		if err != nil {
			t.Fatal(err)
		}
		stillOwed := 0
		for _, o := range c.deliveries(&err) {
			if stillOwed++; o.id != 0 {
				refs[o.id]++
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		sid, first, m := c.sid, c.first, c.marks
		known := p.w.queues[sid].find(first)
		if known == nil {
			t.Errorf("session %d: chunk %d is not known", sid, first)
		} else if q := p.w.queues[sid]; int(known.owed) != stillOwed || (known.marks > 0) != (m != nil) ||
			m != nil && (q.of(known).settled != m.settled || q.of(known).released != m.released) {
			t.Errorf("session %d: chunk %d has %d owed, known are %+v", sid, first, stillOwed, *known)
		}
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	for sid, q := range p.w.queues {
		live := len(q.live()) - q.dead
		if chunks -= live; live == 0 || q.next != nil {
			t.Errorf("session %d: a queue of %d chunks", sid, live)
		}
	}
	if chunks != 0 {
		t.Errorf("%d more chunks are stored than known", chunks)
	}
	for _, k := range keys(t, p, prefixMessage) {
		if id, _ := keyNumber([]byte(k)); refs[id] == 0 {
			t.Errorf("message %d is owed to nobody", id)
		}
	}
	counted := map[uint64]uint32{}
	p.w.refs.each(func(id uint64, n uint32) { counted[id] = n })
	if !maps.Equal(refs, counted) || len(counted) != p.w.refs.n {
		t.Errorf("messages are referred to as %v, counted %v", refs, counted)
	}
}

// TestCrashLeavesAPrefixWithAllThatWasDurable cuts the power at random moments, with nothing, some or all of what was not
// synced on the disk.
func TestCrashLeavesAPrefixWithAllThatWasDurable(t *testing.T) {
	for seed := uint64(1); seed <= 12; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			rnd := rand.New(rand.NewPCG(seed, 1))
			p, d := openTest(t, fs, func(o *Options) { o.MemTableBytes = 256 << 10 })
			w, m := newWorld(seed), model{}
			tickets := []uint64{0}          // of each Append
			states := [][]string{m.lines()} // after each
			for range 3 {
				for range 300 {
					for _, records := range w.step() {
						if ticket := p.Append(slices.Clone(records)); ticket > 0 {
							m.apply(records)
							tickets, states = append(tickets, ticket), append(states, m.lines())
						}
					}
					if rnd.IntN(50) == 0 {
						d.wait(tickets[len(tickets)-1])
					}
				}
				newest := d.newest()
				crashed := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 100}[rnd.IntN(3)], RNG: rnd})
				_ = p.Close() // of the world that did not crash
				p, d = openTest(t, crashed, nil)
				got := load(t, p)
				checkPrefix(t, lines(got), tickets, states, newest)
				checkKeys(t, p)
				fs = crashed
				w.resume(got)
				m = model{}
				for _, r := range got {
					m.apply([]session.Record{r})
				}
				tickets, states = []uint64{0}, [][]string{m.lines()}
			}
			closeTest(t, p)
		})
	}
}

// checkPrefix wants got to be the state after some Append, and not before one whose ticket was durable.
func checkPrefix(t testing.TB, got []string, tickets []uint64, states [][]string, newest uint64) {
	t.Helper()
	first := 0
	for i, ticket := range tickets {
		if ticket <= newest {
			first = i
		}
	}
	for i := first; i < len(states); i++ {
		if slices.Equal(states[i], got) {
			return
		}
	}
	for i := range first {
		if slices.Equal(states[i], got) {
			t.Fatalf("holds the state after append %d with ticket %d, but %d was durable", i, tickets[i], newest)
		}
	}
	t.Fatalf("holds what never was: %d records, durable %d", len(got), newest)
}

func TestSharedMessageIsStoredOnceAndGoesWithTheLastReference(t *testing.T) {
	for _, hints := range []bool{true, false} {
		t.Run(fmt.Sprint("delete names its message ", hints), func(t *testing.T) {
			fs := vfs.NewMem()
			p, d := openTest(t, fs, nil)
			w := newWorld(1)
			m := w.message("t")
			var puts []session.Record
			for sid := uint64(1); sid <= 10; sid++ {
				puts = append(puts, session.Record{Kind: session.SessionPut, Session: sid, State: &session.State{}},
					session.Record{Kind: session.QueuePut, Session: sid, Seq: 1, QoS: 1, Message: m})
			}
			d.wait(p.Append(puts))
			if n := len(keys(t, p, prefixMessage)); n != 1 {
				t.Fatalf("%d messages stored", n)
			}
			closeTest(t, p)

			p, d = openTest(t, fs, nil)
			got := load(t, p)
			if got[1].Message != got[3].Message {
				t.Error("shared before, not shared after a restart")
			}
			remove := func(sid uint64, kind session.RecordKind) session.Record {
				r := session.Record{Kind: kind, Session: sid, Seq: 1}
				if hints {
					r.Message = got[1].Message
				}
				return r
			}
			var ends []session.Record
			for sid := uint64(1); sid <= 9; sid++ {
				ends = append(ends, remove(sid, []session.RecordKind{session.QueueDelete, session.QueueRelease, session.SessionDelete}[sid%3]))
			}
			d.wait(p.Append(ends))
			if n := len(keys(t, p, prefixMessage)); n != 1 || p.w.refs.get(got[1].Message.StoreID) != 1 {
				t.Fatalf("%d messages stored", n)
			}
			checkKeys(t, p)
			d.wait(p.Append([]session.Record{remove(10, session.QueueDelete)}))
			if n := len(keys(t, p, prefixMessage)); n != 0 {
				t.Fatalf("%d messages stored, owed to nobody", n)
			}
			// Owed once more, after all: the number is a new one, since the key of the old one was used up.
			again := session.Record{Kind: session.QueuePut, Seq: 2, QoS: 1, Message: got[1].Message}
			again.Session = 1
			other := again
			other.Session = 10
			d.wait(p.Append([]session.Record{again, other}))
			checkKeys(t, p)
			closeTest(t, p)
		})
	}
}

func TestSessionDeleteLeavesNoKey(t *testing.T) {
	p, d := openTest(t, vfs.NewMem(), nil)
	w := newWorld(3)
	for range 500 {
		for _, records := range w.step() {
			p.Append(records)
		}
	}
	var ends []session.Record
	for _, s := range w.sessions {
		ends = append(ends, session.Record{Kind: session.SessionDelete, Session: s.id})
	}
	d.wait(p.Append(ends))
	for _, prefix := range []byte{prefixHot, prefixSession, prefixMessage} {
		if all := keys(t, p, prefix); len(all) > 0 {
			t.Errorf("left: %x", all)
		}
	}
	closeTest(t, p)
}

func TestAcknowledgedBeforeItIsTakenIsNotWritten(t *testing.T) {
	m := (&session.Message{Topic: []byte("t")}).Keep()
	put := session.Record{Kind: session.QueuePut, Session: 1, Seq: 1, QoS: 2, Message: m}
	release := session.Record{Kind: session.QueueRelease, Session: 1, Seq: 1}
	remove := session.Record{Kind: session.QueueDelete, Session: 1, Seq: 1}
	end := session.Record{Kind: session.SessionDelete, Session: 1}
	tests := []struct {
		name   string
		before []session.Record // stored already
		batch  []session.Record
		want   []fate
		keys   int
	}{
		{"put and deleted", nil, []session.Record{put, remove}, []fate{undone, undone}, 0},
		{"put and released", nil, []session.Record{put, release}, []fate{writtenReleased, undone}, 1},
		{"put, released, deleted", nil, []session.Record{put, release, remove}, []fate{undone, undone, undone}, 0},
		{"released and deleted", []session.Record{put}, []session.Record{release, remove}, []fate{undone, written}, 0},
		{"released", []session.Record{put}, []session.Record{release}, []fate{written}, 2},
		{"released twice", []session.Record{put}, []session.Record{release, release}, []fate{written, undone}, 2},
		{"deleted after it was released", []session.Record{put, release}, []session.Record{remove}, []fate{written}, 0},
		{"deleted twice", []session.Record{put}, []session.Record{remove, remove}, []fate{written, undone}, 0},
		{"session ended", []session.Record{put}, []session.Record{remove, end}, []fate{undone, written}, 0},
		{"session ended and put", nil, []session.Record{put, end}, []fate{undone, written}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p, d := openTest(t, vfs.NewMem(), nil)
			for _, r := range test.before {
				d.wait(p.Append([]session.Record{r}))
			}
			d.wait(p.Append(test.batch))
			if !slices.Equal(p.w.fate, test.want) {
				t.Errorf("planned %v, want %v", p.w.fate, test.want)
			}
			if all := keys(t, p, prefixHot); len(all) != test.keys {
				t.Errorf("stored %x, want %d keys", all, test.keys)
			}
			checkKeys(t, p)
			closeTest(t, p)
		})
	}
}

package persist

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// kit is a store of either kind, and what a test does to it.
type kit struct {
	t *testing.T
	store
	wait    func(ticket uint64) // until it is durable
	restart func(window int)
}

// eachStore runs a test of the contract on every store.
func eachStore(t *testing.T, test func(t *testing.T, k *kit)) {
	t.Run("memory", func(t *testing.T) {
		m := &Memory{Manual: true}
		test(t, &kit{t: t, store: m, wait: func(ticket uint64) {
			if m.Commit(1000) < ticket {
				t.Fatalf("ticket %d is not durable", ticket)
			}
		}, restart: func(window int) {
			m.Commit(1000)
			m.Crash()
			m.Window = window
		}})
	})
	t.Run("pebble", func(t *testing.T) {
		fs := vfs.NewMem()
		p, d := openTest(t, fs, nil)
		k := &kit{t: t, store: p, wait: d.wait}
		k.restart = func(window int) {
			closeTest(t, p)
			p, d = openTest(t, fs, func(o *Options) { o.Window = window })
			k.store, k.wait = p, d.wait
		}
		test(t, k)
		closeTest(t, p)
	})
}

// read waits for the answer. With commits, the store is told to go on meanwhile.
func (k *kit) read(q session.QueueRead) []session.Record {
	k.t.Helper()
	type answer struct {
		records []session.Record
		err     error
	}
	answers := make(chan answer, 2)
	k.Read(q, func(records []session.Record, err error) { answers <- answer{records, err} })
	if m, ok := k.store.(*Memory); ok {
		m.Commit(1000)
	}
	a := <-answers
	if a.err != nil {
		k.t.Fatal(a.err)
	}
	return a.records
}

// brief is a delivery in a few letters.
func brief(records []session.Record) string {
	var all []string
	for _, r := range records {
		switch {
		case r.Kind == session.QueueRelease:
			all = append(all, fmt.Sprintf("%d released", r.Seq))
		case r.Kind == session.QueuePut && r.Message != nil:
			all = append(all, fmt.Sprintf("%d %s", r.Seq, r.Message.Payload[:1]))
		case r.Kind == session.QueuePut:
			all = append(all, fmt.Sprintf("%d of %d", r.Seq, r.Bytes))
		}
	}
	return strings.Join(all, ", ")
}

func putOf(sid, seq uint64, m *session.Message) session.Record {
	return session.Record{Kind: session.QueuePut, Session: sid, Seq: seq, QoS: codec.QoS1, Message: m}
}

// letter is a message with a payload of one letter and a topic that makes it of size 10.
func letter(s string) *session.Message {
	m := session.Message{Topic: []byte("123456789"), Payload: []byte(s)}
	return m.Keep()
}

func stateOf(sid uint64) session.Record {
	return session.Record{Kind: session.SessionPut, Session: sid, State: &session.State{ClientID: fmt.Sprint(sid)}}
}

// queues puts a to f into the queues of sessions 1 and 2, of which 1 has c released and b gone.
func (k *kit) queues() {
	records := []session.Record{stateOf(1), stateOf(2)}
	for i, s := range strings.Split("abcdef", "") {
		m := letter(s)
		records = append(records, putOf(1, uint64(i+1), m), putOf(2, uint64(i+1), m))
	}
	k.Append(records)
	k.wait(k.Append([]session.Record{{Kind: session.QueueRelease, Session: 1, Seq: 3}, {Kind: session.QueueDelete, Session: 1, Seq: 2}}))
}

func TestReadHandsOverPartOfAQueue(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		k.queues()
		for _, again := range []bool{false, true} {
			if again {
				k.restart(0)
				load(t, k)
			}
			tests := []struct {
				name string
				q    session.QueueRead
				want string
			}{
				{"all", session.QueueRead{Session: 1, Messages: 100, Bytes: 1000}, "1 a, 3 released, 4 d, 5 e, 6 f"},
				{"from the middle", session.QueueRead{Session: 1, From: 4, Messages: 100, Bytes: 1000}, "4 d, 5 e, 6 f"},
				{"from one that is gone", session.QueueRead{Session: 1, From: 2, Messages: 2, Bytes: 1000}, "3 released, 4 d"},
				{"one", session.QueueRead{Session: 2, From: 2, Messages: 1, Bytes: 1000}, "2 b"},
				{"exactly the bytes", session.QueueRead{Session: 2, Messages: 100, Bytes: 20}, "1 a, 2 b"},
				{"a byte more", session.QueueRead{Session: 2, Messages: 100, Bytes: 21}, "1 a, 2 b, 3 c"},
				{"no byte, but always one", session.QueueRead{Session: 2, Messages: 100}, "1 a"},
				{"past the end", session.QueueRead{Session: 2, From: 7, Messages: 100, Bytes: 1000}, ""},
				{"no such session", session.QueueRead{Session: 3, Messages: 100, Bytes: 1000}, ""},
			}
			for _, test := range tests {
				if got := brief(k.read(test.q)); got != test.want {
					t.Errorf("%s: got %s, want %s", test.name, got, test.want)
				}
			}
		}
	})
}

func TestReadSeesAllUpToItsTicket(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		k.Append([]session.Record{stateOf(1)})
		for seq := uint64(1); seq <= 200; seq++ {
			ticket := k.Append([]session.Record{putOf(1, seq, letter("x"))})
			got := k.read(session.QueueRead{Session: 1, From: seq, Messages: 10, Bytes: 1000, After: ticket})
			if want := fmt.Sprintf("%d x", seq); brief(got) != want {
				t.Fatalf("got %s, want %s", brief(got), want)
			}
		}
	})
}

// TestReadWaitsForItsTicket: what is not durable yet may be lost, and then nobody must have seen it.
func TestReadWaitsForItsTicket(t *testing.T) {
	m := &Memory{Manual: true}
	m.Append([]session.Record{stateOf(1)})
	first := m.Append([]session.Record{putOf(1, 1, letter("a"))})
	second := m.Append([]session.Record{putOf(1, 2, letter("b"))})
	var got []string
	done := func(records []session.Record, err error) {
		m.Unavailable() // not called from under a lock
		m.Append(nil)
		got = append(got, brief(records))
	}
	m.Read(session.QueueRead{Session: 1, Messages: 9, Bytes: 99, After: second}, done)
	m.Read(session.QueueRead{Session: 1, Messages: 9, Bytes: 99, After: first}, done)
	m.Commit(1)
	if len(got) > 0 {
		t.Fatalf("read before it was durable: %s", got)
	}
	m.Commit(1)
	m.Commit(1)
	m.Read(session.QueueRead{Session: 1, Messages: 1, Bytes: 99, After: second}, done)
	if want := []string{"1 a", "1 a, 2 b", "1 a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWhatWasReadIsDeletedByItsMessage: a session deletes what came from Read as it does any other delivery.
func TestWhatWasReadIsDeletedByItsMessage(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		k.queues()
		k.restart(1)
		load(t, k)
		var last uint64
		for sid := uint64(1); sid <= 2; sid++ {
			for _, r := range k.read(session.QueueRead{Session: sid, Messages: 100, Bytes: 1000}) {
				r.Kind = session.QueueDelete
				last = k.Append([]session.Record{r})
			}
		}
		k.wait(last)
		if p, ok := k.store.(*Pebble); ok {
			checkKeys(t, p)
			if n := len(keys(t, p, prefixMessage)) + len(keys(t, p, prefixHot)); n != 0 {
				t.Errorf("%d keys left", n)
			}
		}
		k.restart(0)
		if got := brief(load(t, k)); got != "" {
			t.Errorf("left: %s", got)
		}
	})
}

func TestLoadLeavesInTheStoreWhatWasNotSent(t *testing.T) {
	connected := &session.State{ClientID: "c", Connected: true, SentUpTo: 1}
	parked := &session.State{ClientID: "c", SentUpTo: 3}
	group := &session.State{Group: "$share/g/t"}
	tests := []struct {
		name   string
		state  *session.State
		window int
		want   string
	}{
		{"connected, no window", connected, 0, "1 a, 3 released, 4 d, 5 e, 6 f"},
		{"connected", connected, 3, "1 a, 3 released, 4 d, 5 of 10, 6 of 10"},
		{"connected, all in the window", connected, 9, "1 a, 3 released, 4 d, 5 e, 6 f"},
		{"parked", parked, 1, "1 a, 3 released, 4 of 10, 5 of 10, 6 of 10"},
		{"group", group, 1, "1 a, 3 released, 4 d, 5 e, 6 f"},
	}
	eachStore(t, func(t *testing.T, k *kit) {
		for _, shared := range []bool{true, false} {
			k.queues()
			if !shared {
				k.wait(k.Append([]session.Record{{Kind: session.SessionDelete, Session: 1}}))
				records := []session.Record{}
				for _, seq := range []uint64{1, 3, 4, 5, 6} {
					records = append(records, putOf(1, seq, letter("abcdef"[seq-1:seq])))
				}
				k.Append(records)
				k.wait(k.Append([]session.Record{{Kind: session.QueueRelease, Session: 1, Seq: 3}}))
			}
			for _, test := range tests {
				k.wait(k.Append([]session.Record{{Kind: session.SessionPut, Session: 1, State: test.state}}))
				k.restart(test.window)
				got := slices.DeleteFunc(load(t, k), func(r session.Record) bool { return r.Session != 1 })
				if brief(got) != test.want {
					t.Errorf("%s: got %s, want %s", test.name, brief(got), test.want)
				}
				if *got[0].State != *test.state {
					t.Errorf("%s: state %+v, want %+v", test.name, got[0].State, test.state)
				}
			}
			k.wait(k.Append([]session.Record{{Kind: session.SessionDelete, Session: 1}, {Kind: session.SessionDelete, Session: 2}}))
		}
	})
}

func TestSessionThatIsGoneLeavesNothingForTheNextOfItsNumber(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		records := []session.Record{stateOf(5)}
		for _, sid := range []uint64{1, 2, 4, 5, 6, 7} { // only 5 is there
			records = append(records, putOf(sid, 1, letter("x")), session.Record{Kind: session.ReceivedPut, Session: sid, ID: 1})
		}
		k.wait(k.Append(records))
		k.restart(0)
		want := lines(load(t, k))
		if len(want) != 3 {
			t.Errorf("loaded %q", want)
		}
		k.wait(k.Append([]session.Record{stateOf(1), stateOf(4), stateOf(7)}))
		k.restart(0)
		if got := load(t, k); len(got) != 6 || brief(got) != "1 x" {
			t.Errorf("loaded %q", lines(got))
		}
		if p, ok := k.store.(*Pebble); ok {
			checkKeys(t, p)
		}
	})
}

func TestErrorOfAVisitEndsTheLoad(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		k.queues()
		k.restart(0)
		stop := errors.New("stop")
		err := k.Load(func() func(session.Record) error {
			return func(r session.Record) error {
				if r.Session == 2 {
					return stop
				}
				return nil
			}
		})
		if err != stop { //nolint:errorlint // as it is
			t.Errorf("got %v", err)
		}
	})
}

func TestMemoryCommitsAGroupAsOne(t *testing.T) {
	m := &Memory{Manual: true}
	a, b := m.Together(), m.Together()
	alone := m.Append(retained(1))
	a.Lock()
	first := m.Append(retained(2))
	b.Lock()
	a.Unlock()
	second := m.Append(retained(3))
	if first != second || first == alone {
		t.Errorf("tickets %d, %d, %d", alone, first, second)
	}
	if got := m.Commit(10); got != alone {
		t.Errorf("committed up to %d while a group was open", got)
	}
	b.Unlock()
	last := m.Append(retained(4))
	if got := m.Commit(1); got != first || last == first {
		t.Errorf("committed up to %d, want %d", got, first)
	}
	if n := len(load(t, m)); n != 3 {
		t.Errorf("%d records", n)
	}
	a.Lock()
	m.Append(retained(5))
	m.Crash()
	if ticket := m.Append(retained(6)); m.Commit(1) != ticket {
		t.Error("the crash did not end the group")
	}
}

func TestMemoryTellsAsItIsTold(t *testing.T) {
	m := &Memory{Manual: true}
	var told []uint64
	m.OnDurable(func(ticket uint64) { told = append(told, ticket) })
	m.Append(retained(1))
	m.Append(retained(2))
	m.Commit(1)
	m.Commit(5)
	m.Commit(5)
	if !slices.Equal(told, []uint64{1, 2}) {
		t.Errorf("told of %d", told)
	}
	if m.SetUnavailable(true); !m.Unavailable() {
		t.Error("available")
	}
}

func TestReadOfAStoreThatIsClosedOrBrokenFails(t *testing.T) {
	for _, broken := range []bool{true, false} {
		p, _ := openTest(t, vfs.NewMem(), nil)
		answers := make(chan error, 3)
		done := func(records []session.Record, err error) {
			if records != nil {
				err = errors.New("records")
			}
			answers <- err
		}
		p.Read(session.QueueRead{Session: 1, Messages: 1, After: 1 << 40}, done) // waits
		want := errClosed
		if broken {
			want = errors.New("broken")
			p.fail(want)
		} else {
			closeTest(t, p)
		}
		p.Read(session.QueueRead{Session: 1, Messages: 1}, done)
		for range 2 {
			if err := <-answers; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
		if broken {
			_ = p.Close()
		}
	}
}

// TestReadOfWhatIsDamagedFails names the delivery.
func TestReadOfWhatIsDamagedFails(t *testing.T) {
	p, d := openTest(t, vfs.NewMem(), nil)
	d.wait(p.Append(appended(fixture())))
	if err := p.db.Set(appendChunkKey(nil, 8, 2), []byte{0, 1, 3, 154, 1}, nil); err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, 1)
	p.Read(session.QueueRead{Session: 8, Messages: 9, Bytes: 9999}, func(_ []session.Record, err error) { answers <- err })
	want := "store dir/store: damaged: read a queue: session 8: delivery 2: message 77 is not in the store (gannet store verify dir/store tells what is lost, gannet store repair dir/store mends it)"
	if err := <-answers; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	closeTest(t, p)
}

// TestQueuesAreReadWhileTheyChange: readers walk queues that loops fill and empty.
func TestQueuesAreReadWhileTheyChange(t *testing.T) {
	p, d := openTest(t, vfs.NewMem(), func(o *Options) { o.MemTableBytes = 128 << 10 })
	const sessions, window, total = 4, 50, 3000
	shared := make([]*session.Message, total+1)
	for seq := range shared {
		m := session.Message{Topic: []byte("t"), Payload: fmt.Appendf(make([]byte, 0, 300), "%0300d", seq)}
		shared[seq] = m.Keep()
	}
	var records []session.Record
	for seq := uint64(1); seq <= total; seq++ {
		for sid := uint64(1); sid <= sessions; sid++ {
			records = append(records, putOf(sid, seq, shared[seq]))
		}
	}
	for batch := range slices.Chunk(records, 1000) {
		p.Append(batch)
	}
	ticket := p.Append([]session.Record{stateOf(1)})
	errs := make(chan error, sessions)
	for sid := uint64(1); sid <= sessions; sid++ {
		var next func(from uint64)
		next = func(from uint64) {
			p.Read(session.QueueRead{Session: sid, From: from, Messages: window, Bytes: 1 << 20, After: ticket}, func(got []session.Record, err error) {
				if err != nil || len(got) == 0 {
					errs <- err
					return
				}
				for i, r := range got {
					if want := from + uint64(i); r.Seq != want || string(r.Message.Payload) != string(shared[want].Payload) {
						errs <- fmt.Errorf("session %d: got %d, want %d", sid, r.Seq, want)
						return
					}
					p.Append([]session.Record{{Kind: session.QueueDelete, Session: sid, Seq: r.Seq, Message: r.Message}})
				}
				next(from + uint64(len(got)))
			})
		}
		next(1)
	}
	for range sessions {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	d.wait(p.Append(retained(1)))
	checkKeys(t, p)
	if n := len(keys(t, p, prefixHot)) + len(keys(t, p, prefixMessage)); n > 0 {
		t.Errorf("%d keys left", n)
	}
	closeTest(t, p)
}

func TestSessionsThatDrainTheSameMessagesShareThem(t *testing.T) {
	p, d := openTest(t, vfs.NewMem(), nil)
	m := letter(strings.Repeat("x", 500))
	d.wait(p.Append([]session.Record{stateOf(1), stateOf(2), putOf(1, 1, m), putOf(2, 1, m)}))
	var got [2]*session.Message
	for i := range got {
		records, err := p.read(session.QueueRead{Session: uint64(i + 1), Messages: 1}, nil)
		if err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
		got[i] = records[0].Message
	}
	if got[0] != got[1] || !bytes.Equal(got[0].Payload, m.Payload) {
		t.Error("read twice")
	}
	closeTest(t, p)
}

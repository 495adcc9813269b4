package persist

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// TestEverySessionAndTopicIsInOnePart, whole, whatever their numbers and names are like.
func TestEverySessionAndTopicIsInOnePart(t *testing.T) {
	numbers := map[string]func(i uint64) uint64{
		"in a row":     func(i uint64) uint64 { return i + 1 },
		"far apart":    func(i uint64) uint64 { return 1 + i*(1<<64/1000+7) },
		"to the end":   func(i uint64) uint64 { return 1<<64 - 1 - i },
		"in two heaps": func(i uint64) uint64 { return 1 + i + i%2<<40 },
		"one":          func(uint64) uint64 { return 9 },
	}
	for name, number := range numbers {
		fs := vfs.NewMem()
		p, _ := openTest(t, fs, nil)
		m := model{}
		for i := range uint64(1000) {
			sid := number(i)
			topic := letter(fmt.Sprint(i))
			topic.Topic = fmt.Appendf(nil, "devices/%d/%s", i, name)
			records := []session.Record{
				stateOf(sid), {Kind: session.SubscriptionPut, Session: sid, Filter: "f"}, putOf(sid, 1, letter("x")),
				{Kind: session.ReceivedPut, Session: sid, ID: 1}, {Kind: session.RetainedPut, Message: topic},
			}
			m.apply(records)
			p.Append(records)
		}
		closeTest(t, p)
		p, _ = openTest(t, fs, nil)
		compare(t, lines(load(t, p)), m.lines())
		if n := p.Loaded(); n.Sessions != n.Subscriptions || n.Sessions != n.Queued || n.Sessions != n.Received || n.Retained != 1000 || n.Orphans != 0 {
			t.Errorf("%s: counted %+v", name, n)
		}
		closeTest(t, p)
	}
}

// TestLoadVisitsWithOneGoroutineForEachFunction, and all of a session with one.
func TestLoadVisitsWithOneGoroutineForEachFunction(t *testing.T) {
	fs := vfs.NewMem()
	p, _ := openTest(t, fs, nil)
	for sid := uint64(1); sid <= 2000; sid++ {
		p.Append([]session.Record{stateOf(sid), {Kind: session.SubscriptionPut, Session: sid, Filter: "f"}})
	}
	closeTest(t, p)
	p, _ = openTest(t, fs, nil)
	sessions := 0
	var mu sync.Mutex
	err := p.Load(func() func(session.Record) error {
		var own session.Record // unguarded: the race detector watches
		return func(r session.Record) error {
			switch r.Kind {
			case session.SessionPut:
				if r.Session <= own.Session {
					t.Errorf("session %d after %d", r.Session, own.Session)
				}
				mu.Lock()
				sessions++
				mu.Unlock()
			case session.SubscriptionPut:
				if own.Session != r.Session {
					t.Errorf("subscription of %d with session %d", r.Session, own.Session)
				}
			}
			own = r
			return nil
		}
	})
	if err != nil || sessions != 2000 {
		t.Errorf("%d sessions, %v", sessions, err)
	}
	closeTest(t, p)
}

func TestCutKeysAreBetweenTheirEnds(t *testing.T) {
	ends := []struct{ first, last string }{
		{"a", "b"}, {"a", "a"}, {"r", "r/1"}, {"rdevices/000001/x", "rdevices/999999/x"}, {"a\x00", "a\xff\xff\xff\xff\xff\xff\xff\xff\xff"},
		{"same/and/then/1", "same/and/then/2"},
	}
	for _, test := range ends {
		cuts := cutKeys([]byte(test.first), []byte(test.last), 10)
		if len(cuts) > 9 || !slices.IsSortedFunc(cuts, bytes.Compare) {
			t.Errorf("%q to %q: %q", test.first, test.last, cuts)
		}
		for i, c := range cuts {
			if bytes.Compare(c, []byte(test.first)) <= 0 || i > 0 && bytes.Equal(c, cuts[i-1]) {
				t.Errorf("%q to %q: cut at %q", test.first, test.last, c)
			}
		}
	}
	if n := len(cutKeys([]byte("rdevices/000001"), []byte("rdevices/999999"), 10)); n != 9 {
		t.Errorf("%d cuts", n)
	}
}

package persist

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/gannetmq/gannet/engine/session"
)

// TestEstimateIsNearTheTruth, whatever the numbers of the sessions are like and wherever they are dense.
func TestEstimateIsNearTheTruth(t *testing.T) {
	const n = 20000
	cases := map[string]struct {
		number   func(i uint64) uint64
		filter   func(i uint64) string
		sessions int
		filters  int
	}{
		"in a row":       {func(i uint64) uint64 { return i + 1 }, func(i uint64) string { return fmt.Sprint("f/", i) }, n, n},
		"at random":      {func(i uint64) uint64 { return 1 + i*1000 + i*i%997 }, func(i uint64) string { return fmt.Sprint("f/", i) }, n, n},
		"one filter":     {func(i uint64) uint64 { return i + 1 }, func(uint64) string { return "f" }, n, 0},
		"wildcards":      {func(i uint64) uint64 { return i + 1 }, func(i uint64) string { return fmt.Sprint("f/", i, "/#") }, n, 0},
		"every other":    {func(i uint64) uint64 { return i + 1 }, func(i uint64) string { return fmt.Sprint([]string{"f/", "$share/g/"}[i%2], i) }, n, n / 2},
		"a few far away": {func(i uint64) uint64 { return (i + 1) << (40 * (1 - min(1, i/100))) }, func(i uint64) string { return fmt.Sprint("f/", i) }, n, n},
		"none":           {nil, nil, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			p, _ := openTest(t, fs, nil)
			for i := range uint64(c.sessions) {
				sid := c.number(i)
				p.Append([]session.Record{stateOf(sid), {Kind: session.SubscriptionPut, Session: sid, Filter: c.filter(i)}})
			}
			closeTest(t, p)
			p, _ = openTest(t, fs, nil)
			defer closeTest(t, p)
			sessions, filters := p.Estimate()
			if near := func(got, want int) bool { return got >= want/2 && got <= want*2 }; !near(sessions, c.sessions) || !near(filters, c.filters) {
				t.Errorf("%d sessions, %d filters", sessions, filters)
			}
		})
	}
}

func TestEstimateOfASmallStoreCounts(t *testing.T) {
	eachStore(t, func(t *testing.T, k *kit) {
		for sid := uint64(1); sid <= 40; sid++ {
			k.store.Append([]session.Record{stateOf(sid * sid), {Kind: session.SubscriptionPut, Session: sid * sid, Filter: fmt.Sprint(sid)}})
		}
		k.restart(0)
		if sessions, filters := k.store.Estimate(); sessions != 40 || filters != 40 {
			t.Errorf("%d sessions, %d filters", sessions, filters)
		}
	})
}

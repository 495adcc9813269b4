package main

import (
	"testing"
	"time"
)

// TestBooksCatchEveryFault enters, of ten messages, what a broker must not do to them.
func TestBooksCatchEveryFault(t *testing.T) {
	const messages = 10
	type delivery struct{ publisher, seq, size int }
	honest := make([]delivery, messages)
	for i := range honest {
		honest[i] = delivery{7, i, payload}
	}
	with := func(change func(all []delivery) []delivery) []delivery {
		return change(append([]delivery(nil), honest...))
	}
	for _, tt := range []struct {
		name       string
		deliveries []delivery
		want       faults
	}{
		{"honest", honest, faults{}},
		{"one lost", honest[:messages-1], faults{Lost: 1}},
		{"one twice", with(func(all []delivery) []delivery { return append(all, all[3]) }), faults{Duplicate: 1}},
		{"two swapped", with(func(all []delivery) []delivery { all[4], all[5] = all[5], all[4]; return all }), faults{Reordered: 1}},
		{"of another", with(func(all []delivery) []delivery { all[2].publisher = 8; return all }), faults{Lost: 1, Stray: 1}},
		{"never sent", with(func(all []delivery) []delivery { return append(all, delivery{7, messages, payload}) }), faults{Stray: 1}},
		{"longer", with(func(all []delivery) []delivery { all[2].size++; return all }), faults{Lost: 1, Stray: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBook(clock{time.Now()}, 7, payload, messages, make(writings, messages))
			for _, d := range tt.deliveries {
				b.take(stamp(d.size, d.publisher, d.seq, time.Millisecond), 0)
			}
			var r result
			latency, wire := b.close(&r)
			if r.Faults != tt.want {
				t.Errorf("%v, want %v", r.Faults, tt.want)
			}
			if got := messages - tt.want.Lost; r.Received != got || uint64(len(latency)) != got || uint64(len(wire)) != got {
				t.Errorf("%d received, %d and %d times taken, want %d", r.Received, len(latency), len(wire), got)
			}
		})
	}
}

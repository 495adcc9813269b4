package bench

import "testing"

// pairLedger is one publisher and one receiver with a window of 8.
func pairLedger() *ledger {
	return &ledger{flows: []flow{newFlow(8, 1)}, streams: make([]stream, 1), fan: 1}
}

func TestLedgerFindsWhatABrokerDidToAStream(t *testing.T) {
	tests := []struct {
		name     string
		sent     int
		received []uint64
		want     faults
	}{
		{"everything once and in order", 4, []uint64{0, 1, 2, 3}, faults{}},
		{"nothing", 3, nil, faults{lost: 3}},
		{"the middle one lost", 3, []uint64{0, 2}, faults{lost: 1}},
		{"the last one lost", 3, []uint64{0, 1}, faults{lost: 1}},
		{"one twice in a row", 3, []uint64{0, 1, 1, 2}, faults{duplicate: 1}},
		{"an old one again", 4, []uint64{0, 1, 2, 3, 0}, faults{duplicate: 1}},
		{"two swapped", 3, []uint64{0, 2, 1}, faults{reordered: 1}},
		{"swapped, then again", 3, []uint64{0, 2, 1, 1}, faults{reordered: 1, duplicate: 1}},
		{"one that was never sent", 2, []uint64{0, 1, 2}, faults{duplicate: 1}},
		{"lost, duplicate and reordered", 6, []uint64{1, 0, 3, 3, 5}, faults{lost: 2, duplicate: 1, reordered: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := pairLedger()
			for range tt.sent {
				l.flows[0].send()
			}
			for _, seq := range tt.received {
				l.receive(0, 0, seq)
			}
			if l.settled() != (tt.want.lost == 0) {
				t.Errorf("settled is %v", l.settled())
			}
			l.close()
			if l.faults != tt.want {
				t.Errorf("found %v, want %v", l.faults, tt.want)
			}
		})
	}
}

func TestLedgerOfASharedGroupAllowsGapsAndNothingElse(t *testing.T) {
	l := &ledger{flows: []flow{newFlow(8, 1)}, streams: make([]stream, 2), fan: 1, gaps: true}
	for range 5 {
		l.flows[0].send()
	}
	l.receive(0, 0, 0)
	l.receive(1, 0, 2) // before 1: another member's business
	l.receive(0, 0, 1)
	l.receive(0, 0, 4)
	if l.faults.any() {
		t.Fatalf("sharing alone is a fault: %v", l.faults)
	}
	l.receive(1, 0, 4) // both members got it
	l.receive(0, 0, 3) // after 4, to the same member
	l.close()
	if want := (faults{duplicate: 1, reordered: 1}); l.faults != want {
		t.Errorf("found %v, want %v", l.faults, want)
	}
}

func TestFlowWindowOpensAtTheOldestMessageOnly(t *testing.T) {
	f := newFlow(3, 2)
	for f.open() {
		f.send()
	}
	if f.next != 3 {
		t.Fatalf("a window of 3 let %d messages go", f.next)
	}
	f.receive(1)
	f.receive(1)
	f.receive(0)
	if f.open() {
		t.Error("the window opened while message 0 lacks a receiver")
	}
	if got := f.underWay(); got != 3 {
		t.Errorf("%d deliveries under way, want 3", got)
	}
	f.receive(0)
	if f.base != 2 || !f.open() {
		t.Errorf("base %d, open %v after messages 0 and 1 are complete", f.base, f.open())
	}
	if f.receive(1) {
		t.Error("a third delivery of message 1 to two receivers counts")
	}
}

func TestStreamForgetsNoMoreThanItsBound(t *testing.T) {
	var s stream
	s.receive(10*skippedMax, false)
	if len(s.skipped) != skippedMax {
		t.Errorf("%d skipped numbers are kept, want %d", len(s.skipped), skippedMax)
	}
}

func TestFaultsString(t *testing.T) {
	if got := (faults{}).String(); got != "none" {
		t.Errorf("no faults: %q", got)
	}
	f := faults{lost: 2}
	f.add(faults{lost: 1, unasked: 4})
	if got, want := f.String(), "3 lost, 4 acknowledged unasked"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkLedgerReceive(b *testing.B) {
	l := &ledger{flows: []flow{newFlow(1024, 1)}, streams: make([]stream, 1), fan: 1}
	b.ReportAllocs()
	for b.Loop() {
		l.receive(0, 0, l.flows[0].send())
	}
}

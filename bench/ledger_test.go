package bench

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// booksOf is a fleet without sockets in which one publisher has sent some messages with a
// window of 8 to receivers that subscribe to a filter.
func booksOf(t *testing.T, receivers int, filter string, sent int) *fleet {
	t.Helper()
	p := plainPublish()
	p.window = 8
	s := smallFleet(p, filter)
	s.groups[0].count = receivers
	x := idleFleet(t, s, codec.V311)
	for range sent {
		x.publish(&x.sources[0], 0)
	}
	return x
}

// deliver books message seq as received by a receiver.
func (x *fleet) deliver(receiver int, seq uint32) {
	x.book(&x.ears[receiver], 0, &x.sources[0], seq, 0)
}

func TestBooksFindWhatABrokerDidToAStream(t *testing.T) {
	tests := []struct {
		name     string
		sent     int
		received []uint32
		want     faults
	}{
		{"everything once and in order", 4, []uint32{0, 1, 2, 3}, faults{}},
		{"nothing", 3, nil, faults{lost: 3}},
		{"the middle one lost", 3, []uint32{0, 2}, faults{lost: 1}},
		{"the last one lost", 3, []uint32{0, 1}, faults{lost: 1}},
		{"one twice in a row", 3, []uint32{0, 1, 1, 2}, faults{duplicate: 1}},
		{"an old one again", 4, []uint32{0, 1, 2, 3, 0}, faults{duplicate: 1}},
		{"two swapped", 3, []uint32{0, 2, 1}, faults{reordered: 1}},
		{"swapped, then again", 3, []uint32{0, 2, 1, 1}, faults{reordered: 1, duplicate: 1}},
		{"one that was never sent", 2, []uint32{0, 1, 2}, faults{stray: 1}},
		{"lost, duplicate and reordered", 6, []uint32{1, 0, 3, 3, 5}, faults{lost: 2, duplicate: 1, reordered: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := booksOf(t, 1, "a", tt.sent)
			for _, seq := range tt.received {
				x.deliver(0, seq)
			}
			if x.settled() != (tt.want.lost == 0) {
				t.Errorf("settled is %v", x.settled())
			}
			x.sweep(true)
			if x.faults != tt.want {
				t.Errorf("found %v, want %v", x.faults, tt.want)
			}
		})
	}
}

func TestBooksOfASharedGroupAllowGapsAndNothingElse(t *testing.T) {
	x := booksOf(t, 2, "$share/g/a", 5)
	x.deliver(0, 0)
	x.deliver(1, 2) // before 1: another member's business
	x.deliver(0, 1)
	x.deliver(0, 4)
	if x.faults.any() {
		t.Fatalf("sharing alone is a fault: %v", x.faults)
	}
	x.deliver(1, 4) // both members got it
	x.deliver(0, 3) // after 4, to the same member
	x.sweep(true)
	if want := (faults{duplicate: 1, reordered: 1}); x.faults != want {
		t.Errorf("found %v, want %v", x.faults, want)
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

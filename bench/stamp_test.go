package bench

import "testing"

func TestTallyTellsNewFromLateFromAgain(t *testing.T) {
	var tl tally
	steps := []struct {
		seq  uint64
		want verdict
	}{{0, inOrder}, {1, inOrder}, {200, inOrder}, {64, late}, {64, again}, {200, again}, {199, late}, {201, inOrder}}
	for i, s := range steps {
		if got := tl.receive(s.seq); got != s.want {
			t.Errorf("step %d, message %d: %d, want %d", i, s.seq, got, s.want)
		}
	}
	if tl.count != 6 || tl.next != 202 {
		t.Errorf("%d messages, next %d", tl.count, tl.next)
	}
}

func TestStampOfAnotherIsNotRead(t *testing.T) {
	payload := make([]byte, stampSize)
	putStamp(payload, 7, 1<<40)
	if p, seq, ok := readStamp(payload); !ok || p != 7 || seq != 1<<40 {
		t.Errorf("%d %d %v", p, seq, ok)
	}
	payload[4]++
	for _, b := range [][]byte{nil, payload[:stampSize-1], payload} {
		if _, _, ok := readStamp(b); ok {
			t.Errorf("%x is taken", b)
		}
	}
}

package fake

import (
	"slices"
	"testing"

	"github.com/gannetmq/gannet/engine/session"
)

// ring is a loop that wakes its neighbour in its turn, as often as it has tokens.
type ring struct {
	wake   func()
	next   *ring
	tokens int
	turns  []session.Time
	ticks  []session.Time
}

func (l *ring) NeedsTurn() bool            { return false }
func (l *ring) Tick(now session.Time) bool { l.ticks = append(l.ticks, now); return false }
func (l *ring) Turn(now session.Time) {
	l.turns = append(l.turns, now)
	if l.tokens > 0 {
		l.tokens--
		l.next.wake()
	}
}

func TestSettleTurnsLoopsUntilNoneIsWoken(t *testing.T) {
	r := NewRig(2, 1000, func(wake func()) *ring { return &ring{wake: wake, tokens: 3} })
	a, b := r.Loops[0], r.Loops[1]
	a.next, b.next = b, a
	r.Settle()
	if len(a.turns) > 0 || len(b.turns) > 0 {
		t.Fatal("a loop had a turn that it was not woken for")
	}
	b.wake()
	r.Settle()
	if len(b.turns) != 4 || len(a.turns) != 3 || r.Woken[0] || r.Woken[1] {
		t.Errorf("%d and %d turns, woken %v", len(a.turns), len(b.turns), r.Woken)
	}
}

func TestPassTicksEveryLoopOnTheWay(t *testing.T) {
	r := NewRig(2, 1000, func(wake func()) *ring { return &ring{wake: wake} })
	r.Pass(600)
	for i, l := range r.Loops {
		if !slices.Equal(l.ticks, []session.Time{1250, 1500, 1600}) {
			t.Errorf("loop %d ticks at %v", i, l.ticks)
		}
	}
	if r.Now != 1600 {
		t.Errorf("it is %d", r.Now)
	}
}

func TestFullTransportKeepsCountOfWhatIsStuck(t *testing.T) {
	closed := 0
	w := Transport{Keep: true, OnClose: func() { closed++ }}
	write := func(s string) {
		if err := w.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	write("abc")
	if w.Buffered() != 0 {
		t.Errorf("%d bytes are stuck in an open transport", w.Buffered())
	}
	w.Full = true
	write("de")
	if err := w.Writev([][]byte{[]byte("f"), []byte("gh")}); err != nil {
		t.Fatal(err)
	}
	if w.Buffered() != 5 || string(w.In) != "abcdefgh" || w.Bytes != 8 || w.Writes != 3 {
		t.Errorf("stuck %d, in %q, %d bytes in %d writes", w.Buffered(), w.In, w.Bytes, w.Writes)
	}
	if w.Close(); !w.Closed || closed != 1 {
		t.Errorf("closed %t, told %d times", w.Closed, closed)
	}
}

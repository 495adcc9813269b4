package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBreaker plays stories: + and - are a question that is asked, and its result; ? is one that is not; a number lets so many seconds pass.
func TestBreaker(t *testing.T) {
	half := strings.Repeat("+ - ", window/2)
	for _, test := range []struct {
		name, story string
		end         state
		opened      uint64
	}{
		{"works", "+ + + +", closed, 0},
		{"fails now and then", "- - + - - + + + - -", closed, 0},
		{"fails in a row", "- - - ? ?", open, 1},
		{"stays open for its pause", "- - - 9 ? 1 +", closed, 1},
		{"probe fails", "- - - 10 - ? 9 ? 1 - ?", open, 3},
		{"works again", "- - - 10 + - - + + ", closed, 1},
		{"counts anew", "- - - 10 + - - ", closed, 1},
		{"half of the last", half + "?", open, 1},
		{"less than half of the last", half[4:] + "+ + + +", closed, 0},
	} {
		b := &breaker{inARowMax: 3, pause: 10 * time.Second}
		now := time.Unix(1_700_000_000, 0)
		for i, step := range strings.Fields(test.story) {
			if step == "+" || step == "-" || step == "?" {
				ready := b.ready(now)
				epoch, ok := b.take(now)
				if ok != (step != "?") || ready != ok {
					t.Errorf("%s, step %d: asked is %v, ready %v", test.name, i, ok, ready)
				}
				if ok {
					b.report(epoch, step == "+", now)
				}
				continue
			}
			var seconds int
			fmt.Sscan(step, &seconds)
			now = now.Add(time.Duration(seconds) * time.Second)
		}
		if b.state != test.end || b.opened != test.opened {
			t.Errorf("%s: state %d, opened %d times", test.name, b.state, b.opened)
		}
	}
}

func TestBreakerLetsOneProbeThrough(t *testing.T) {
	b := &breaker{inARowMax: 1, pause: time.Second}
	now := time.Unix(1_700_000_000, 0)
	late, _ := b.take(now)
	first, _ := b.take(now)
	if to, changed := b.report(first, false, now); to != open || !changed {
		t.Fatal("not open")
	}
	if _, changed := b.report(late, true, now); changed || b.state != open {
		t.Error("what was asked before it opened closes it")
	}
	now = now.Add(time.Second)
	probe, ok := b.take(now)
	if _, another := b.take(now); !ok || another || b.ready(now) {
		t.Error("not one probe")
	}
	if _, changed := b.report(late, false, now); changed {
		t.Error("what was asked before it opened is taken for the probe")
	}
	if to, changed := b.report(probe, true, now); to != closed || !changed || !b.ready(now) {
		t.Error("not closed after a good probe")
	}
}

package broker

import (
	"math/rand"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

type alarm struct {
	slot timer[alarm]
	due  Time
	rang Time
}

//lint:ignore U1000 the wheel calls it through its type parameter
func (a *alarm) timerNode() *timer[alarm] { return &a.slot }

// TestWheelRingsOnceAndNeverEarly puts, moves and removes deadlines from a quarter second to a week ahead.
func TestWheelRingsOnceAndNeverEarly(t *testing.T) {
	const never = Time(1) << 62
	rnd := rand.New(rand.NewSource(1))
	start := Time(1_700_000_000_123)
	var w wheel[alarm, *alarm]
	w.init(start)
	now := start
	var set []*alarm
	spans := []int64{400, 30_000, 120_000, 20_000_000, 600_000_000}
	for range 4000 {
		a := &alarm{due: now + Time(rnd.Int63n(spans[rnd.Intn(len(spans))]))}
		w.put(a, a.due, never)
		set = append(set, a)
		if rnd.Intn(4) == 0 {
			b := set[rnd.Intn(len(set))]
			if b.rang == 0 && b.due != never {
				b.due = now + Time(rnd.Int63n(100_000))
				if rnd.Intn(2) == 0 {
					b.due = never
				}
				w.put(b, b.due, never)
			}
		}
		step := Time(rnd.Intn(2000))
		now += step
		w.advance(now, func(a *alarm) {
			if a.rang != 0 || a.due > now {
				t.Fatalf("rang at %d, due %d, before at %d", now-start, a.due-start, a.rang)
			}
			a.rang = now
		})
	}
	for _, a := range set {
		if a.rang == 0 && a.due != never && a.due <= now-tickMillis {
			t.Fatalf("due %d has not rung at %d", a.due-start, now-start)
		}
	}
	for w.count > 0 {
		now += 60_000
		w.advance(now, func(a *alarm) {
			if a.due > now || a.due < now-60_000-2*tickMillis {
				t.Fatalf("rang at %d, due %d", now-start, a.due-start)
			}
			a.rang = now
		})
	}
	for _, a := range set {
		if (a.rang == 0) != (a.due == never) {
			t.Fatalf("due %d, rang %d", a.due, a.rang)
		}
	}
}

// TestWheelKeepsWhatHasNoDeadline: it is listed with the others and never rings, until it gets one.
func TestWheelKeepsWhatHasNoDeadline(t *testing.T) {
	var w wheel[alarm, *alarm]
	w.init(0)
	alarms := make([]alarm, 3)
	w.put(&alarms[0], 1000, -1)
	w.put(&alarms[1], 3_600_000, -1)
	w.keep(&alarms[2])
	w.keep(&alarms[1])
	rang := 0
	w.advance(2000, func(*alarm) { rang++ })
	if all := w.appendAll(nil); rang != 1 || len(all) != 2 || w.count != 2 {
		t.Fatalf("%d rang, %d are listed, %d counted", rang, len(all), w.count)
	}
	w.put(&alarms[2], 3000, -1)
	w.advance(7_200_000, func(a *alarm) {
		if rang++; a != &alarms[2] {
			t.Error("rang without a deadline")
		}
	})
	w.remove(&alarms[1])
	if all := w.appendAll(nil); rang != 2 || len(all) != 0 || w.count != 0 {
		t.Fatalf("%d rang, %d are listed, %d counted", rang, len(all), w.count)
	}
}

// TestTicksAreWantedSoonWhileADeadlineIsNear: for a loop without any, or with those of patient clients only, a tick a second is enough.
func TestTicksAreWantedSoonWhileADeadlineIsNear(t *testing.T) {
	r := newRig(t, 1, nil)
	wanted := func() bool {
		r.Pass(tickMillis)
		return r.Loops[0].Tick(r.Now)
	}
	if wanted() {
		t.Error("wanted soon without a client")
	}
	connect := func(id string, keepAlive uint16) *wire {
		c := connectAs(id, codec.V5)
		c.KeepAlive = keepAlive
		return r.connect(0, c)
	}
	connect("patient", 60)
	if wanted() {
		t.Error("wanted soon for a Keep Alive of a minute")
	}
	w := connect("hasty", 2)
	if !wanted() {
		t.Error("not wanted soon for a Keep Alive of two seconds")
	}
	w.send(codec.AppendPingreq(nil))
	r.Pass(2_900)
	if w.Closed {
		t.Error("closed too early")
	}
	r.Pass(2 * tickMillis)
	if !w.Closed {
		t.Error("not closed in time")
	}
	r.Pass(promptMillis)
	if wanted() {
		t.Error("wanted soon when the hasty one is gone")
	}
}

package bench

import (
	"testing"
	"time"
)

// pacedLoop is a loop that begins a number of connections a second, to a fake broker.
func pacedLoop(t *testing.T, rate float64, dialing int) *loop {
	t.Helper()
	l, err := newLoop(target{addr: startFake(t, honest), how: &access{rate: rate, dialing: dialing}}, &crowd{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l
}

// age lets a time pass on the clock of a loop.
func (l *loop) age(d time.Duration) { l.base = l.base.Add(-d) }

func TestConnectRateIsNotMadeUpForTimeWithoutClients(t *testing.T) {
	const rate = 100
	l := pacedLoop(t, rate, clientsMax)
	l.age(10 * time.Second)
	from := l.clock()
	l.open(&client{})
	begun := 0
	for {
		if _, ok := l.mayDial(); !ok {
			break
		}
		begun++
	}
	if most := 1 + int((l.clock()-from).Seconds()*rate); begun > most {
		t.Errorf("%d connections at once after 10 s in which nobody waited, want %d", begun, most)
	}
}

func TestConnectRateIsMadeUpForTimeInWhichTheBrokerIsSlow(t *testing.T) {
	const rate = 1000
	l := pacedLoop(t, rate, 1)
	first, second := &client{}, &client{}
	l.open(second)
	l.open(first)
	due := l.dialed
	l.age(time.Second) // in which nobody could be dialed
	if err := l.dial(); err != nil {
		t.Fatal(err)
	}
	if first.began != due {
		t.Errorf("a connection that was to begin at %v counts from %v", due, first.began)
	}
	if second.fd >= 0 {
		t.Fatal("two clients are between connecting and CONNACK, want one")
	}
	l.started-- // CONNACK
	if err := l.dial(); err != nil {
		t.Fatal(err)
	}
	if want := due + time.Second/rate; second.began != want {
		t.Errorf("a connection that was to begin at %v counts from %v", want, second.began)
	}
}

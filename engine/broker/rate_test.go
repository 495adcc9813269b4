package broker

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

// TestAcknowledgementsAreDelayedToTheRate: a client that waits for them publishes as fast as it may, loses nothing and stays connected.
func TestAcknowledgementsAreDelayedToTheRate(t *testing.T) {
	for _, qos := range []codec.QoS{codec.QoS1, codec.QoS2} {
		r := newRig(t, 2, func(o *Options) { o.Session.MaxMessageRate, o.Session.ReceiveMaximum = 20, 8 })
		sub := r.connect(1, connectAs("sub", codec.V5))
		sub.subscribe("t", codec.QoS0)
		pub := r.connect(0, connectAs("pub", codec.V5))
		open, published, id := 0, 0, uint16(0)
		for range 40 { // ten seconds
			for again := true; again; {
				again = false
				for ; open < 8; open++ {
					id++
					pub.publish("t", "x", qos, id)
					published++
				}
				r.Settle()
				for f, ok := pub.next(); ok; f, ok = pub.next() {
					switch f.Type {
					case codec.TypePubrec:
						pub.send(codec.AppendPubackShort(nil, codec.TypePubrel, uint16(f.Body[0])<<8|uint16(f.Body[1])))
						r.Settle()
					case codec.TypePuback, codec.TypePubcomp:
						open--
						again = true
					default:
						t.Fatalf("%v", f.Type)
					}
				}
			}
			r.Pass(tickMillis)
		}
		if want := 20 + 10*20; published < want-5 || published > want+8 {
			t.Errorf("QoS %d: %d published in ten seconds, want about %d", qos, published, want)
		}
		n := 0
		for _, ok := sub.next(); ok; _, ok = sub.next() {
			n++
		}
		if n != published {
			t.Errorf("QoS %d: %d of %d arrived", qos, n, published)
		}
		if c := r.Loops[0].Counters(); c.DelayedAcks == 0 || pub.Closed {
			t.Errorf("QoS %d: %d acknowledgements were delayed, closed %t", qos, c.DelayedAcks, pub.Closed)
		}
	}
}

func TestTooFastWithoutAcknowledgementsIsClosed(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.Session.MaxMessageRate, o.Session.MaxRateDebt = 5, 10 })
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		w := r.connect(0, connectAs("a", v))
		for id := range uint16(16) {
			if !w.Closed {
				w.publish("t", "x", codec.QoS1, id+1)
			}
		}
		r.Settle()
		for range 5 {
			w.expect(codec.TypePuback)
		}
		if v == codec.V5 {
			if f := w.expect(codec.TypeDisconnect); codec.ReasonCode(f.Body[0]) != codec.MessageRateTooHigh {
				t.Errorf("DISCONNECT % x", f.Body)
			}
		}
		if w.expectNothing(); !w.Closed {
			t.Error("still open")
		}
		w.gone()
	}
	if n := r.Loops[0].Counters().Closed[codec.MessageRateTooHigh]; n != 2 {
		t.Errorf("%d closed", n)
	}
}

func TestQoS0AboveTheRateIsDroppedAndCounted(t *testing.T) {
	r := newRig(t, 1, func(o *Options) { o.Session.MaxByteRate = 1000 })
	w := r.connect(0, connectAs("a", codec.V311))
	for range 1000 {
		w.publish("t", "seven-7", codec.QoS0, 0) // 12 bytes
	}
	w.expectNothing()
	if n := r.Loops[0].Counters().Drops[session.DropRate]; n != 1000-84 || w.Closed {
		t.Errorf("%d dropped, closed %t", n, w.Closed)
	}
}

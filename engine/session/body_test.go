package session

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// bodied returns a message whose payload fills the rest of a Body, and how often that was given back.
func bodied(payload int, waste int) (m *Message, done *int) {
	done = new(int)
	packet := make([]byte, 10+payload, 10+payload+waste)
	copy(packet, "t")
	for i := range payload {
		packet[10+i] = byte(i)
	}
	m = &Message{Topic: packet[:1], Payload: packet[10:], Body: NewBody(cap(packet), func() { *done++ })}
	return m, done
}

func TestBodyIsGivenBackByItsLastUser(t *testing.T) {
	m, done := bodied(1000, 0)
	m.Body.Retain()
	m.Body.Release()
	if *done != 0 {
		t.Error("given back with a user left")
	}
	m.Body.Release()
	if *done != 1 {
		t.Errorf("given back %d times", *done)
	}
	defer func() {
		if recover() == nil {
			t.Error("released once too often, and nobody minds")
		}
	}()
	m.Body.Release()
}

func TestKeptPayloadOfABodyStaysWhereItIs(t *testing.T) {
	m, done := bodied(1000, 0)
	payload := m.Payload
	k := m.Keep()
	clear(m.Topic) // the topic may lie elsewhere, and is copied
	m.Body.Release()
	if *done != 0 || &k.Payload[0] != &payload[0] || string(k.Topic) != "t" || k.Body != nil {
		t.Errorf("given back %d times, topic %q, body %v", *done, k.Topic, k.Body)
	}

	m, done = bodied(1000, 1000) // it would hold twice as much as it counts
	k = m.Keep()
	m.Body.Release()
	clear(m.Payload)
	if *done != 1 || k.Payload[5] != 5 || cap(k.Payload) > 1100 {
		t.Errorf("given back %d times, payload % x of %d bytes", *done, k.Payload[:10], cap(k.Payload))
	}
}

// joined is what out says to write.
func joined(out *Output) (b []byte) {
	at := 0
	for i := range out.Pieces {
		p := &out.Pieces[i]
		b = append(append(b, out.Frames[at:p.At]...), p.Payload...)
		at = p.At
	}
	return append(b, out.Frames[at:]...)
}

// TestPiecesAreWhatWouldBeCopied holds deliveries in pieces against the same ones in one.
func TestPiecesAreWhatWouldBeCopied(t *testing.T) {
	for _, v := range []codec.Version{codec.V31, codec.V311, codec.V5} {
		for i := range 2 * 2 * 2 * 2 * 3 {
			wide, kept, alias, ids, qos := i&1 > 0, i&2 > 0, i&4 > 0, i&8 > 0, codec.QoS(i/16)
			m, done := bodied(1000, 0)
			m.Topic, m.QoS, m.Retain, m.Expires = []byte("a/long/topic"), qos, true, 1000+5000
			body := m.Body
			if kept {
				m = m.Keep()
			}
			r := &Route{QoS: qos, RetainAsPublished: true}
			if ids {
				r.IDs = []uint32{1, 300}
			}
			whole, cut := &Output{Room: 1 << 20}, &Output{Room: 1 << 20, SpliceBytes: 1000}
			for _, out := range []*Output{whole, cut} {
				s := plainSession(v)
				if alias {
					s.aliasMaximum = 1
				}
				var o Outgoing
				o.Reset(m, 1000, wide)
				for range 3 {
					if s.Deliver(&o, r, out) != Sent {
						t.Fatal("not sent")
					}
				}
			}
			name := fmt.Sprintf("%v QoS %d wide %v kept %v alias %v ids %v", v, qos, wide, kept, alias, ids)
			if len(cut.Pieces) != 3 || len(cut.Frames) > 3*80 || !bytes.Equal(joined(cut), whole.Frames) {
				t.Errorf("%s: %d pieces, %d bytes beside them, together not the same", name, len(cut.Pieces), len(cut.Frames))
			}
			if cut.Room != 1<<20-3*1000 {
				t.Errorf("%s: room for %d more", name, cut.Room)
			}
			body.Release()
			for _, p := range cut.Pieces {
				if *done != 0 {
					t.Errorf("%s: the body was given back before the last piece", name)
				}
				if (p.Body == nil) != kept {
					t.Errorf("%s: a piece has body %v", name, p.Body)
				} else if !kept {
					p.Body.Release()
				}
			}
			if (*done == 1) == kept {
				t.Errorf("%s: the body was given back %d times", name, *done)
			}
		}
	}
}

func TestBorrowedAndSmallPayloadsAreCopied(t *testing.T) {
	borrowed := &Message{Topic: []byte("t"), Payload: make([]byte, 1000)}
	small, _ := bodied(999, 0)
	for _, m := range []*Message{borrowed, small} {
		var o Outgoing
		o.Reset(m, 1000, false)
		out := &Output{Room: 1 << 20, SpliceBytes: 1000}
		if plainSession(codec.V5).Deliver(&o, &Route{}, out) != Sent || len(out.Pieces) > 0 || len(out.Frames) < 999 {
			t.Errorf("%d bytes: %d pieces", len(m.Payload), len(out.Pieces))
		}
	}
}

// TestWhatMayBeHeldIsInOnePiece: PUBLISH of QoS 2 to a durable session, and what follows it, waits for the store as a whole.
func TestWhatMayBeHeldIsInOnePiece(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Durable = true
	s := New(&cfg, 1, "c")
	s.Connect(&Hello{Version: codec.V5, ClientID: "c", receiveMaximum: 65535, Expiry: 3600}, 0, &Output{})
	out := &Output{Room: 1 << 20, SpliceBytes: 1000}
	for _, qos := range []codec.QoS{codec.QoS1, codec.QoS2, codec.QoS1, codec.QoS0} {
		m, _ := bodied(1000, 0)
		m.QoS = qos
		var o Outgoing
		o.Reset(m, 1000, false)
		if s.Deliver(&o, &Route{QoS: qos}, out) != Sent {
			t.Fatal("not sent")
		}
	}
	if len(out.Pieces) != 1 || !out.Await {
		t.Fatalf("%d pieces, something awaits records: %v", len(out.Pieces), out.Await)
	}
	s.Recorded(7, out)
	if n := len(joined(out)); n < 1000 || n > 1100 || !s.mustHold(out) {
		t.Errorf("%d bytes may leave", n)
	}
	if s.Durable(7, out); len(joined(out)) < 4000 {
		t.Errorf("%d bytes after the store has all", len(joined(out)))
	}
}

func TestQueuedPayloadsLeaveAsPieces(t *testing.T) {
	s := plainSession(codec.V5)
	s.sendMaximum = 1
	out := &Output{Room: 1 << 20, SpliceBytes: 1000}
	for i := range 2 {
		m, _ := bodied(1000, 0)
		m.QoS = codec.QoS1
		var o Outgoing
		o.Reset(m, 1000, false)
		if got, want := s.Deliver(&o, &Route{QoS: codec.QoS1}, out), []Result{Sent, Queued}[i]; got != want {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	ack := codec.AppendPubackShort(nil, codec.TypePuback, PacketID(1))
	f, _, err := codec.Next(ack, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.Packet(f, 1000, out)
	if len(out.Pieces) != 2 || out.Pieces[1].Payload[7] != 7 || out.Pieces[1].Body != nil {
		t.Errorf("%d pieces", len(out.Pieces))
	}
}

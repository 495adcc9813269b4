package session

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// FuzzRing plays sends with gaps and settlements in any order against a map, from any point of the identifiers' round.
func FuzzRing(f *testing.F) {
	f.Add(uint64(1), []byte{0, 0, 0, 0x80, 0x81, 0, 0x40})
	f.Add(uint64(65530), []byte{0, 1, 2, 3, 4, 5, 6, 7, 0x83, 0x80, 0, 0x84, 0x40, 0})
	f.Add(uint64(1<<40), []byte{0x3f, 0x3f, 0x3f, 0x3f, 0x81, 0x81, 0x40, 0x80})
	f.Fuzz(func(t *testing.T, seq uint64, ops []byte) {
		if seq == 0 || seq > 1<<60 {
			return
		}
		ops = ops[:min(len(ops), 1<<10)] // each step looks at all that is in flight: more would take longer than a fuzzer waits
		var r ring
		live := map[uint16]uint64{}
		var order []uint64
		for _, op := range ops {
			switch {
			case op < 0x40: // send, after a gap of op numbers
				seq += uint64(op)
				if op == 0x3f {
					seq += maxSpan - 64 // once round the identifiers
				}
				if !r.free(seq) {
					if live[PacketID(seq)] == 0 {
						t.Fatalf("the identifier of %d is free", seq)
					}
					continue
				}
				r.push(entry{seq: seq, qos: codec.QoS1})
				live[PacketID(seq)] = seq
				order = append(order, seq)
				seq++
			case op < 0x80:
				r.trim()
			case len(order) > 0: // settle one of those in flight
				i := int(op-0x80) % len(order)
				e := r.find(PacketID(order[i]))
				if e == nil || e.seq != order[i] {
					t.Fatalf("%d is in flight but is not found", order[i])
				}
				r.settle(e)
				delete(live, PacketID(order[i]))
				order = append(order[:i], order[i+1:]...)
			}
			checkRing(t, &r, live, order)
		}
		// Visitors may settle what they visit.
		var seen []uint64
		r.each(func(e *entry) {
			seen = append(seen, e.seq)
			if e.seq%3 != 0 {
				r.settle(e)
			}
		})
		if len(seen) != len(order) {
			t.Fatalf("each visited %d of %d entries while some were settled", len(seen), len(order))
		}
		for i := range seen {
			if seen[i] != order[i] {
				t.Fatalf("each visited %v, want %v", seen, order)
			}
		}
	})
}

func checkRing(t *testing.T, r *ring, live map[uint16]uint64, order []uint64) {
	t.Helper()
	if r.live != len(order) || r.unsettledPublishes() != len(order) {
		t.Fatalf("%d live, %d unsettled, want %d", r.live, r.unsettledPublishes(), len(order))
	}
	if r.n > 0 && r.at(0).state == settledEntry {
		t.Fatal("the oldest entry is settled")
	}
	for _, seq := range order {
		for _, id := range []uint16{PacketID(seq), PacketID(seq + 1), PacketID(seq + 40)} {
			e, want := r.find(id), live[id]
			if e == nil && want != 0 || e != nil && e.seq != want {
				t.Fatalf("identifier %d finds %+v, want sequence number %d", id, e, want)
			}
		}
	}
	if r.find(0) != nil {
		t.Fatal("identifier 0 finds an entry")
	}
}

func TestQueueGivesMemoryBack(t *testing.T) {
	var q queue
	m := &Message{Topic: []byte("t"), kept: true}
	for i := range 1000 {
		q.push(entry{seq: uint64(i + 1), msg: m, qos: codec.QoS(i % 2)})
	}
	if q.qos0 != 500 || q.bytes != 1000 {
		t.Errorf("%d of QoS 0 and %d bytes", q.qos0, q.bytes)
	}
	for q.len() > 50 {
		q.pop()
	}
	q.trim()
	if len(q.buf) > 64 || q.front().seq != 951 || q.len() != 50 {
		t.Errorf("room for %d after a trim, front %d, %d queued", len(q.buf), q.front().seq, q.len())
	}
	for range 50 {
		q.push(entry{seq: 2000, msg: m})
	}
	for q.len() > 0 {
		q.pop()
	}
	if len(q.buf) > 64 || q.bytes != 0 || q.qos0 != 0 {
		t.Errorf("empty: room for %d, %d bytes, %d of QoS 0", len(q.buf), q.bytes, q.qos0)
	}
	q.trim()
	if q.buf != nil {
		t.Error("an empty queue keeps memory after a trim")
	}
}

// TestPacketIDs: from 1 to 65535, never 0, and again.
func TestPacketIDs(t *testing.T) {
	seen := map[uint16]bool{}
	for seq := uint64(1); seq <= maxSpan; seq++ {
		id := PacketID(seq)
		if id == 0 || seen[id] || PacketID(seq+maxSpan) != id {
			t.Fatalf("sequence number %d has identifier %d", seq, id)
		}
		seen[id] = true
	}
}

// FuzzPacketIDSet holds the set against a map, across its two forms.
func FuzzPacketIDSet(f *testing.F) {
	long := make([]byte, 0, 200)
	for i := range 60 {
		long = append(long, 0, byte(i), byte(i*7))
	}
	f.Add(append(long, 1, 9, 9, 1, 1, 7, 1, 2, 14))
	var emptied []byte
	for _, op := range []byte{0, 1} {
		for i := range byte(30) {
			emptied = append(emptied, op, 1, i)
		}
	}
	f.Add(emptied)
	f.Add([]byte{0, 0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		var p packetIDSet
		want := map[uint16]bool{}
		for len(ops) >= 3 {
			id := uint16(ops[1])<<8 | uint16(ops[2])
			if ops[0]%2 == 0 {
				p.add(id)
				want[id] = true
			} else {
				if p.remove(id) != want[id] {
					t.Fatalf("remove of %d, which is there: %t", id, want[id])
				}
				delete(want, id)
			}
			if p.has(id) != want[id] || p.n != len(want) {
				t.Fatalf("%d is there: %t; %d members, want %d", id, p.has(id), p.n, len(want))
			}
			if len(want) == 0 && p.bits != nil {
				t.Fatal("an empty set keeps its bitmap")
			}
			ops = ops[3:]
		}
		n := 0
		p.each(func(id uint16) {
			if n++; !want[id] && id != 0 {
				t.Fatalf("each visits %d", id)
			}
		})
		if delete(want, 0); n < len(want) {
			t.Fatalf("each visits %d of %d", n, len(want))
		}
	})
}

// TestOneNeglectedDeliveryDoesNotStopTheOthers goes round the identifiers three times beside a delivery that is never acknowledged.
func TestOneNeglectedDeliveryDoesNotStopTheOthers(t *testing.T) {
	s := plainSession(codec.V311)
	m := &Message{Topic: []byte("t"), QoS: codec.QoS1}
	var o Outgoing
	out := &Output{Room: 1 << 20}
	neglected := uint16(0)
	for i := range 3 * maxSpan {
		o.Reset(m, 0, false)
		if res := s.Deliver(&o, &Route{QoS: codec.QoS1}, out); res != Sent {
			t.Fatalf("delivery %d: result %d", i, res)
		}
		f, _, err := codec.Next(out.Frames, 0)
		if err != nil {
			t.Fatal(err)
		}
		id := uint16(f.Body[3])<<8 | uint16(f.Body[4])
		out.Frames = out.Frames[:0]
		if i == 0 {
			neglected = id
			continue
		}
		if id == neglected {
			t.Fatalf("identifier %d used twice", id)
		}
		ack, _, _ := codec.Next(codec.AppendPubackShort(nil, codec.TypePuback, id), 0)
		out.Reset()
		s.Packet(ack, 0, out)
	}
	if n := s.more.inflight.n; n > 64 {
		t.Errorf("%d entries kept for one in flight", n)
	}
	s.check(t, 0)
}

package broker

import (
	"fmt"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// BenchmarkPointToPoint is one PUBLISH in and one out, through codec, session, router and broker, 16 to a read.
func BenchmarkPointToPoint(b *testing.B) {
	for _, v := range []codec.Version{codec.V311, codec.V5} {
		for qos := range codec.QoS(3) {
			b.Run(fmt.Sprintf("v%d/qos%d", v, qos), func(b *testing.B) { benchPointToPoint(b, v, qos) })
		}
	}
}

const benchBatch = 16

func benchPointToPoint(b *testing.B, v codec.Version, qos codec.QoS) {
	r := newRig(b, 1, nil)
	sub := r.connect(0, connectAs("sub", v))
	sub.subscribe("bench/topic/one", qos)
	pub := r.connect(0, connectAs("pub", v))
	var batch []byte
	for i := range benchBatch {
		p := codec.Publish{Topic: []byte("bench/topic/one"), Payload: make([]byte, 64), QoS: qos}
		if qos > 0 {
			p.PacketID = uint16(i + 1)
		}
		batch = p.Append(batch, v)
	}
	var answer, rel []byte
	b.ReportAllocs()
	for b.Loop() {
		pub.send(batch)
		r.Settle()
		if qos == 0 {
			sub.In = sub.In[:0]
			continue
		}
		answer = answer[:0]
		answer = answerAll(sub, answer, qos)
		sub.send(answer)
		r.Settle()
		if qos == 2 {
			answer = answerAll(sub, answer[:0], qos)
			sub.send(answer)
			rel = rel[:0]
			for i := range benchBatch {
				rel = codec.AppendPubackShort(rel, codec.TypePubrel, uint16(i+1))
				rel[len(rel)-4] |= 2 * (1 - rel[len(rel)-4]&2>>1)
			}
			pub.send(rel)
			r.Settle()
		}
		pub.In = pub.In[:0]
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch/2, "ns/msg")
}

// answerAll acknowledges everything that w received.
func answerAll(w *wire, dst []byte, qos codec.QoS) []byte {
	in := w.In
	for len(in) > 0 {
		f, _, err := codec.Next(in, 0)
		if err != nil || f.Size == 0 {
			panic("broker wrote nonsense")
		}
		switch f.Type {
		case codec.TypePublish:
			topic := int(f.Body[0])<<8 | int(f.Body[1])
			id := uint16(f.Body[2+topic])<<8 | uint16(f.Body[3+topic])
			t := codec.TypePuback
			if qos == 2 {
				t = codec.TypePubrec
			}
			dst = codec.AppendPubackShort(dst, t, id)
		case codec.TypePubrel:
			dst = codec.AppendPubackShort(dst, codec.TypePubcomp, uint16(f.Body[0])<<8|uint16(f.Body[1]))
		}
		in = in[f.Size:]
	}
	w.In = w.In[:0]
	return dst
}

// BenchmarkFanout is one QoS 0 PUBLISH to many subscribers on two loops.
func BenchmarkFanout(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := newRig(b, 2, nil)
			for i := range n {
				s := r.connect(i%2, connectAs(fmt.Sprint("s", i), codec.V311))
				s.subscribe("bench/topic/one", 0)
				s.Keep = false
			}
			pub := r.connect(0, connectAs("pub", codec.V311))
			var batch []byte
			for range benchBatch {
				batch = (&codec.Publish{Topic: []byte("bench/topic/one"), Payload: make([]byte, 64)}).Append(batch, codec.V311)
			}
			b.ReportAllocs()
			for b.Loop() {
				pub.send(batch)
				r.Settle()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBatch/float64(n), "ns/delivery")
		})
	}
}

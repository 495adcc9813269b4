package session

import (
	"bytes"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestKeepCopiesOnceForAllKeepers(t *testing.T) {
	buffer := []byte("topicpropspayload")
	m := &Message{Topic: buffer[:5], Properties: buffer[5:10], Payload: buffer[10:], QoS: codec.QoS1}
	k := m.Keep()
	if m.Keep() != k || k.Keep() != k {
		t.Error("a second keeper gets another copy")
	}
	clear(buffer) // the read buffer is used again
	if string(k.Topic) != "topic" || string(k.Properties) != "props" || string(k.Payload) != "payload" || k.QoS != codec.QoS1 {
		t.Errorf("kept %+v", k)
	}
	if k.Size() != 17 || cap(k.Topic) != 5 || cap(k.Properties) != 5 {
		t.Error("the parts of a kept message could run into each other")
	}
}

// TestKeptWillOutlivesItsOutput: the Output that announced a will is used again while the will still waits in a queue.
func TestKeptWillOutlivesItsOutput(t *testing.T) {
	for _, expires := range []bool{false, true} {
		m := Message{Topic: []byte("w"), Payload: []byte("bye")}
		s := plainSession(codec.V5)
		s.will = &Will{Message: m.Keep(), HasExpiry: expires, ExpirySeconds: 10}
		out := &Output{}
		s.ConnectionLost(start, out)
		k := out.Publish.Keep()
		out.Reset()
		if string(k.Payload) != "bye" || string(k.Topic) != "w" || k.From != s.ID || expires != (k.Expires == start+Seconds(10)) {
			t.Errorf("the kept will became %+v", k)
		}
	}
}

func TestOutgoingDoesNotKeepHugeBuffers(t *testing.T) {
	var o Outgoing
	s := plainSession(codec.V5)
	out := &Output{Room: 1 << 20}
	for _, size := range []int{10, 300 << 10, 10} {
		o.Reset(&Message{Topic: []byte("t"), Payload: make([]byte, size)}, start, true)
		if size == 10 && cap(o.buf) > 256<<10 {
			t.Errorf("holds %d bytes", cap(o.buf))
		}
		out.Frames = out.Frames[:0]
		if s.Deliver(&o, &Route{}, out) != Sent || len(out.Frames) < size {
			t.Errorf("%d bytes sent of a payload of %d", len(out.Frames), size)
		}
	}
}

// TestSharedEncodingsDiffer holds remembered encodings against fresh ones, for all versions and levels in one fan-out.
func TestSharedEncodingsDiffer(t *testing.T) {
	var wide, narrow Outgoing
	m := &Message{Topic: []byte("t/u"), Payload: bytes.Repeat([]byte("x"), 150), Properties: []byte{0x01, 1}, QoS: codec.QoS2, Expires: start + 5000, Retain: true}
	wide.Reset(m, start, true)
	for i := range 3 {
		for _, v := range []codec.Version{codec.V31, codec.V311, codec.V5} {
			for qos := range codec.QoS(3) {
				narrow.Reset(m, start, false)
				a, b := plainSession(v), plainSession(v)
				a.nextSeq, b.nextSeq = uint64(300*i+1), uint64(300*i+1)
				x, y := &Output{Room: 1 << 20}, &Output{Room: 1 << 20}
				r := &Route{QoS: qos, RetainAsPublished: i == 1}
				if a.Deliver(&wide, r, x) != Sent || b.Deliver(&narrow, r, y) != Sent || !bytes.Equal(x.Frames, y.Frames) {
					t.Errorf("version %s QoS %d: % x, want % x", v, qos, x.Frames, y.Frames)
				}
			}
		}
	}
}

package session

import (
	"bytes"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// TestPlainIsDeliver holds the short way against the long one in every case that the short way takes, and wants those
// with something of the client's own refused.
func TestPlainIsDeliver(t *testing.T) {
	for _, v := range []codec.Version{codec.V31, codec.V311, codec.V5} {
		for i := range 2 * 2 * 2 * 9 {
			wide, retain, asPublished, qos, granted := i&1 > 0, i&2 > 0, i&4 > 0, codec.QoS(i/8%3), codec.QoS(i/24)
			m := &Message{Topic: []byte("a/long/topic"), Payload: []byte("payload"), QoS: qos, Retain: retain}
			if v == codec.V5 {
				m.Properties = []byte{0x01, 1}
			}
			var o Outgoing
			o.Reset(m, 1000, wide)
			long, short := plainSession(v), plainSession(v)
			out := &Output{Room: 1 << 20}
			if long.Deliver(&o, &Route{QoS: granted, RetainAsPublished: asPublished}, out) != Sent {
				t.Fatal("not sent")
			}
			got, ok := short.AppendPlain(&o, granted, asPublished, []byte("before"), 1<<20)
			if !ok || !bytes.Equal(got[6:], out.Frames) {
				t.Errorf("%v wide %v retain %v as published %v qos %d/%d: %x, want %x", v, wide, retain, asPublished, qos, granted, got, out.Frames)
			}
			if long.nextSeq != short.nextSeq || long.open != short.open || long.Inflight() != short.Inflight() {
				t.Errorf("%v qos %d/%d: the sessions differ afterwards", v, qos, granted)
			}
		}
	}
}

func TestPlainLeavesSpecialCasesToDeliver(t *testing.T) {
	m := &Message{Topic: []byte("a/long/topic"), Payload: []byte("payload")}
	for name, change := range map[string]func(*Session, *Message) (room int){
		"no room":             func(*Session, *Message) int { return 0 },
		"maximum packet size": func(s *Session, _ *Message) int { s.maxPacketSize = 10; return 100 },
		"alias":               func(s *Session, _ *Message) int { s.aliasMaximum = 1; return 100 },
		"expiry":              func(_ *Session, m *Message) int { m.Expires = 5000; return 100 },
		"resumable":           func(s *Session, _ *Message) int { s.expiry = 1; return 100 },
		"stored":              func(s *Session, _ *Message) int { s.stored = true; return 100 },
		"window":              func(s *Session, _ *Message) int { s.open = s.sendMaximum; return 100 },
		"queue": func(s *Session, m *Message) int {
			s.extra().queue.push(entry{msg: m.Keep(), qos: codec.QoS1})
			return 100
		},
		"parked": func(s *Session, _ *Message) int { s.phase = parked; return 100 },
	} {
		s, mm := plainSession(codec.V5), *m
		room := change(s, &mm)
		var o Outgoing
		mm.QoS = codec.QoS1
		o.Reset(&mm, 1000, true)
		if _, ok := s.AppendPlain(&o, codec.QoS1, false, nil, room); ok {
			t.Errorf("%s: the short way took it", name)
		}
	}
}

func plainSession(v codec.Version) *Session {
	cfg := DefaultConfig()
	s := New(&cfg, 1, "c")
	s.Connect(&Hello{Version: v, ClientID: "c", receiveMaximum: 65535}, 0, &Output{})
	return s
}

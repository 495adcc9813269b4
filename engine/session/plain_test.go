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
		for _, wide := range []bool{false, true} {
			for _, retain := range []bool{false, true} {
				for _, asPublished := range []bool{false, true} {
					m := &Message{Topic: []byte("a/long/topic"), Payload: []byte("payload"), Retain: retain}
					if v == codec.V5 {
						m.Properties = []byte{0x01, 1}
					}
					var o Outgoing
					o.Reset(m, 1000, wide)
					s := plainSession(v)
					out := &Output{Room: 1 << 20}
					if s.Deliver(&o, &Route{RetainAsPublished: asPublished}, out) != Sent {
						t.Fatal("not sent")
					}
					got, ok := s.AppendPlain(&o, asPublished, []byte("before"), 1<<20)
					if !ok || !bytes.Equal(got[6:], out.Frames) {
						t.Errorf("%v wide %v retain %v as published %v: %x, want %x", v, wide, retain, asPublished, got, out.Frames)
					}
				}
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
		"parked":              func(s *Session, _ *Message) int { s.phase = parked; return 100 },
	} {
		s, mm := plainSession(codec.V5), *m
		room := change(s, &mm)
		var o Outgoing
		o.Reset(&mm, 1000, true)
		if _, ok := s.AppendPlain(&o, false, nil, room); ok {
			t.Errorf("%s: the short way took it", name)
		}
	}
}

func plainSession(v codec.Version) *Session {
	cfg := DefaultConfig()
	s := New(&cfg, 1)
	s.Connect(&Hello{Version: v, ClientID: "c", receiveMaximum: 65535}, 0, &Output{})
	return s
}

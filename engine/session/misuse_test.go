package session

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
)

// TestMisusePanics: mistakes of the caller are loud.
func TestMisusePanics(t *testing.T) {
	hello := &Hello{Version: codec.V5, ClientID: "c", receiveMaximum: 10}
	for name, misuse := range map[string]func(*Session){
		"connect while connected": func(s *Session) { s.Connect(hello, start, &Output{}) },
		"lost without a connection": func(s *Session) {
			s.ConnectionLost(start, &Output{})
			s.ConnectionLost(start, &Output{})
		},
		"connect after the end": func(s *Session) {
			s.End(start, &Output{})
			s.Connect(hello, start, &Output{})
		},
		"foreign record": func(s *Session) { s.RestoreRecord(&Record{Kind: RetainedPut}, start) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse(plainSession(codec.V5))
		}()
	}
}

// TestLateCallsAreHarmless: routing, the store and the socket may be done after the connection is gone.
func TestLateCallsAreHarmless(t *testing.T) {
	s, out := plainSession(codec.V5), &Output{Room: 100}
	s.expiry = 60
	s.ConnectionLost(start, out)
	out.Reset()
	s.Acknowledge(7, codec.QoS2, codec.Success, out)
	s.Drain(start, out)
	s.Tick(start, out)
	s.Loaded(QueueRead{Session: 1, From: 1}, nil, false, start, out)
	if s.Durable(5, out) || len(out.Frames) > 0 || out.Close || out.Drops.Any || s.more != nil {
		t.Errorf("a parked session answers: % x", out.Frames)
	}
	s.Hold(5, len(out.Frames), out)
	if out.Held > 0 || s.more != nil && len(s.more.held) > 0 {
		t.Error("nothing was held")
	}
}

// TestLateAcknowledgeKeepsTheIdentifier: a QoS 2 message that was routed while its connection broke is not routed again on
// the next one; one that was refused may come again.
func TestLateAcknowledgeKeepsTheIdentifier(t *testing.T) {
	for _, test := range []struct {
		v      codec.Version
		code   codec.ReasonCode
		repeat bool
	}{
		{codec.V5, codec.Success, true},
		{codec.V5, codec.QuotaExceeded, false},
		{codec.V311, codec.QuotaExceeded, true}, // who cannot be told is told that all is well
	} {
		cfg := DefaultConfig()
		cfg.Durable = true
		s, out := New(&cfg, 1, "c"), &Output{}
		hello := &Hello{Version: test.v, ClientID: "c", Expiry: 60, receiveMaximum: 10}
		p := frameOf((&codec.Publish{QoS: codec.QoS2, PacketID: 7, Topic: []byte("t")}).Append(nil, test.v))
		s.Connect(hello, start, out)
		s.Packet(p, start, out)
		s.ConnectionLost(start, out)
		out.Reset()
		s.AcknowledgeLate(7, codec.QoS2, test.code, out)
		if recorded := len(out.Records) == 1 && out.Records[0].Kind == ReceivedPut; recorded != test.repeat {
			t.Errorf("version %s, code %v: records %+v", test.v, test.code, out.Records)
		}
		s.check(t, 0)
		s.Connect(hello, start, out)
		out.Reset()
		s.Packet(p, start, out)
		if out.HasPublish == test.repeat {
			t.Errorf("version %s, code %v: routed again: %t", test.v, test.code, out.HasPublish)
		}
		s.End(start, out)
		out.Reset()
		s.AcknowledgeLate(7, codec.QoS2, test.code, out)
		if len(out.Records) > 0 {
			t.Error("an ended session has records")
		}
	}
}

// TestCloseIsSaidOnce: the first reason stands, and one DISCONNECT is written.
func TestCloseIsSaidOnce(t *testing.T) {
	s, out := plainSession(codec.V5), &Output{}
	s.Disconnect(codec.ServerShuttingDown, "first", out)
	n := len(out.Frames)
	s.Disconnect(codec.QuotaExceeded, "second", out)
	out.close(codec.QuotaExceeded, "", "third")
	if len(out.Frames) != n || out.Why != "first" || out.Reason != codec.ServerShuttingDown {
		t.Errorf("%d bytes after %d, because %s", len(out.Frames), n, out.Why)
	}
}

// TestOutputReset: nothing of one call shows in the next, except the bytes to write.
func TestOutputReset(t *testing.T) {
	out := &Output{
		Frames: []byte{1}, Room: 7, DurableUpTo: 8, Unavailable: true, Await: true, AwaitFrom: 1, Held: 9, Paced: 1, HasRead: true, HasPublish: true, Publish: Message{Topic: []byte("t")}, AckID: 1, AckQoS: 1,
		Changes: []Change{{}}, Redispatch: []Redispatch{{}}, Records: []Record{{}}, Drops: Drops{Any: true, N: [DropReasons]uint32{1}},
		Close: true, Graceful: true, Reason: 1, Statement: "s", Why: "w", Ended: true, Acked: true, Full: true,
	}
	out.Reset()
	if len(out.Frames) != 1 || out.Room != 7 || out.DurableUpTo != 8 || !out.Unavailable {
		t.Error("what the caller set is gone")
	}
	if out.Await || out.Held != 0 || out.Paced != 0 || out.HasRead || out.HasPublish || out.Publish.Topic != nil || out.AckID != 0 || out.AckQoS != 0 || len(out.Changes)+len(out.Redispatch)+len(out.Records) > 0 ||
		out.Drops != (Drops{}) || out.Close || out.Graceful || out.Reason != 0 || out.Statement != "" || out.Why != "" || out.Ended || out.Acked || out.Full {
		t.Errorf("left over: %+v", out)
	}
}

// TestOutputGivesMemoryBack: what one odd packet made large is not kept.
func TestOutputGivesMemoryBack(t *testing.T) {
	out := &Output{Records: make([]Record, 1, 100), Changes: make([]Change, 2000)}
	out.Reset()
	if cap(out.Records) != 100 || cap(out.Changes) != 0 {
		t.Errorf("room for %d records and %d changes", cap(out.Records), cap(out.Changes))
	}
}

func TestEveryDropReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := range DropReasons {
		if name := r.String(); name == "" || seen[name] {
			t.Errorf("drop reason %d is called %q", r, name)
		} else {
			seen[name] = true
		}
	}
}

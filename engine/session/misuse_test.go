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
	if s.Durable(5, out) || len(out.Frames) > 0 || out.Close || s.more != nil {
		t.Errorf("a parked session answers: % x", out.Frames)
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
		Frames: []byte{1}, Room: 7, HasPublish: true, Publish: Message{Topic: []byte("t")}, AckID: 1, AckQoS: 1,
		Changes: []Change{{}}, Redispatch: []Redispatch{{}}, Records: []Record{{}}, Drops: Drops{Any: true, N: [DropReasons]uint32{1}},
		Close: true, Graceful: true, Reason: 1, Statement: "s", Why: "w", Ended: true, Acked: true, Full: true,
	}
	out.Reset()
	if len(out.Frames) != 1 || out.Room != 7 {
		t.Error("Frames or Room are gone")
	}
	if out.HasPublish || out.Publish.Topic != nil || out.AckID != 0 || out.AckQoS != 0 || len(out.Changes)+len(out.Redispatch)+len(out.Records) > 0 ||
		out.Drops != (Drops{}) || out.Close || out.Graceful || out.Reason != 0 || out.Statement != "" || out.Why != "" || out.Ended || out.Acked || out.Full {
		t.Errorf("left over: %+v", out)
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

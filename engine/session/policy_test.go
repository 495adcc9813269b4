package session

import (
	"runtime"
	"testing"
	"weak"

	"github.com/gannetmq/gannet/codec"
)

// judge is an Authenticator with an address of its own, which one without a field has not.
type judge struct{ asked int }

func (j *judge) Authenticate(_ *Credentials, done func(Verdict)) { j.asked++; done(Verdict{}) }

// A client may stay connected through many reloads, each of which makes other policies.
func TestSessionKeepsNothingButItsAccessOfAPolicy(t *testing.T) {
	cfg, rules := plainConfig(), &Switch{}
	s, old := connectOnce(t, &cfg, rules)
	runtime.GC()
	if old.Value() != nil {
		t.Error("the session keeps the judge of its policy")
	}
	if a := s.access; a == nil || a.Authorizer != Authorizer(rules) || a.MountPoint != "m/" {
		t.Errorf("it has the access %+v", a)
	}
}

// connectOnce connects a session by a policy that nobody else has, and returns a trace of its judge.
func connectOnce(t *testing.T, cfg *Config, rules Authorizer) (*Session, weak.Pointer[judge]) {
	t.Helper()
	j := &judge{}
	pol := &Policy{Authenticator: j, AllowAnonymous: true, Access: Access{Authorizer: rules, MountPoint: "m/"}}
	pol.Share()
	c := codec.Connect{Version: codec.V311, CleanStart: true, ClientID: []byte("c")}
	f, _, err := codec.Next(c.Append(nil, codec.V311), 0)
	if err != nil {
		t.Fatal(err)
	}
	var h Handshake
	var out Output
	hello := h.Packet(cfg, pol, "", f, &out)
	if hello == nil {
		t.Fatalf("refused: %s", out.Why)
	}
	s := New(cfg, 1, hello.ClientID)
	s.Connect(hello, start, &out)
	return s, weak.Make(j)
}

package guard_test

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/broker"
	"github.com/gannetmq/gannet/engine/guard"
	"github.com/gannetmq/gannet/engine/session"
)

// guarded is a broker with one loop that a guard watches.
type guarded struct {
	t      *testing.T
	now    session.Time
	guard  *guard.Guard
	loop   *broker.Loop
	lst    *broker.Listener
	asked  int // how often a password was looked at
	events []guard.Event
}

// Authenticate knows one password.
func (g *guarded) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	g.asked++
	v := session.Verdict{}
	if string(c.Password) != "right" {
		v.Code = codec.NotAuthorized
	}
	done(v)
}

// scram is the method in the shape that the session wants.
type scram struct{ *auth.Scram }

func (s scram) Begin(clientID, userName string) session.Exchange {
	return s.Scram.Begin(clientID, userName)
}

func newGuarded(t *testing.T) *guarded {
	g := &guarded{t: t, now: 1_700_000_000_000}
	o := guard.DefaultOptions()
	o.Log = func(e guard.Event) { g.events = append(g.events, e) }
	var err error
	if g.guard, err = guard.New(o); err != nil {
		t.Fatal(err)
	}
	line, err := auth.UserLine("alice", "wonder", 4096)
	if err != nil {
		t.Fatal(err)
	}
	users, err := auth.ReadUsers("users", strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	h := &guard.Hooks{Guard: g.guard, Now: func() session.Time { return g.now }}
	opts := broker.DefaultOptions()
	opts.TakenOver = h.TakenOver
	g.loop = broker.New(opts, nil, slog.New(slog.NewTextHandler(io.Discard, nil))).NewLoop(func() {})
	g.lst = &broker.Listener{Name: "l", Policy: session.Policy{
		AllowAnonymous: true, NewClientID: broker.NewClientID, Authenticator: h.Watch(g), Admit: h.Admit,
		Methods: []session.EnhancedMethod{h.WatchMethod(scram{auth.NewScram(users, auth.ScramConfig{})})},
	}}
	return g
}

// wire is a connection that keeps what the broker writes.
type wire struct {
	addr   string
	in     []byte
	closed bool
}

func (w *wire) Write(b []byte) error { w.in = append(w.in, b...); return nil }
func (w *wire) Buffered() int        { return 0 }
func (w *wire) RemoteAddr() string   { return w.addr }
func (w *wire) UserName() string     { return "" }
func (w *wire) Close()               { w.closed = true }

// send sends packets on a new connection, or on cn, and returns the last one that comes back.
func (g *guarded) send(w *wire, cn *broker.Conn, b []byte) (*broker.Conn, codec.Frame) {
	g.t.Helper()
	if cn == nil {
		cn = g.loop.Open(w, g.lst, g.now)
	}
	w.in = nil
	g.loop.Data(cn, b, g.now)
	for g.loop.Turn(g.now); g.loop.NeedsTurn(); {
		g.loop.Turn(g.now)
	}
	var last codec.Frame
	for rest := w.in; len(rest) > 0; {
		f, _, err := codec.Next(rest, 0)
		if err != nil || f.Size == 0 {
			g.t.Fatalf("% x", w.in)
		}
		last, rest = f, rest[f.Size:]
	}
	return cn, last
}

// connect returns the code of CONNACK.
func (g *guarded) connect(addr, id, user, password string) codec.ReasonCode {
	g.t.Helper()
	c := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte(id)}
	if user != "" {
		c.HasUserName, c.UserName, c.HasPassword, c.Password = true, []byte(user), true, []byte(password)
	}
	w := &wire{addr: addr}
	_, f := g.send(w, nil, c.Append(nil, codec.V5))
	if f.Type != codec.TypeConnack || w.closed != (f.Body[1] != 0) {
		g.t.Fatalf("%v % x, closed %t", f.Type, f.Body, w.closed)
	}
	return codec.ReasonCode(f.Body[1])
}

func (g *guarded) want(what string, got, want codec.ReasonCode) {
	g.t.Helper()
	if got != want {
		g.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestGuessedPasswordsAreNotLookedAt(t *testing.T) {
	g := newGuarded(t)
	for i := range 20 {
		want := codec.NotAuthorized
		if i >= 10 {
			want = codec.Banned
		}
		g.want(fmt.Sprint("guess ", i), g.connect("192.0.2.1:1", "c", "alice", "guess"), want)
	}
	if g.asked != 10 {
		t.Errorf("%d passwords were looked at", g.asked)
	}
	g.want("the right one meanwhile", g.connect("192.0.2.1:1", "c", "alice", "right"), codec.Banned)
	g.want("from elsewhere", g.connect("192.0.2.2:1", "c", "alice", "right"), codec.Success)
	g.want("somebody else", g.connect("192.0.2.1:1", "d", "bob", "right"), codec.Success)
	g.want("without a name", g.connect("192.0.2.1:1", "e", "", ""), codec.Success)
	g.now += 10_000
	g.want("after the ban", g.connect("192.0.2.1:1", "c", "alice", "right"), codec.Success)
	if len(g.events) == 0 || g.events[0].Reason != guard.LoginBan || g.events[0].UserName != "alice" {
		t.Errorf("%+v", g.events)
	}
}

func TestGuessedProofsCount(t *testing.T) {
	g := newGuarded(t)
	login := func(password string) codec.ReasonCode {
		client := auth.ScramClient{UserName: "alice", Password: password}
		first, err := client.First()
		if err != nil {
			t.Fatal(err)
		}
		c := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("c")}
		c.Properties.AuthenticationMethod, c.Properties.AuthenticationData = []byte(auth.ScramName), first
		c.Properties.Set(codec.PropAuthenticationMethod)
		c.Properties.Set(codec.PropAuthenticationData)
		w := &wire{addr: "192.0.2.1:1"}
		cn, f := g.send(w, nil, c.Append(nil, codec.V5))
		if f.Type == codec.TypeAuth {
			var challenge codec.Auth
			if err := challenge.Parse(codec.V5, f.Flags, f.Body); err != nil {
				t.Fatal(err)
			}
			final, err := client.Final(challenge.Properties.AuthenticationData)
			if err != nil {
				t.Fatal(err)
			}
			a := codec.Auth{Reason: codec.ContinueAuthentication}
			a.Properties.AuthenticationMethod, a.Properties.AuthenticationData = []byte(auth.ScramName), final
			a.Properties.Set(codec.PropAuthenticationMethod)
			a.Properties.Set(codec.PropAuthenticationData)
			_, f = g.send(w, cn, a.Append(nil, codec.V5))
		}
		if f.Type != codec.TypeConnack {
			t.Fatalf("%v", f.Type)
		}
		return codec.ReasonCode(f.Body[1])
	}
	for range 3 {
		for range 9 {
			g.want("a wrong proof", login("guess"), codec.NotAuthorized)
		}
		g.want("the right one", login("wonder"), codec.Success)
	}
	for range 10 {
		g.want("a wrong proof", login("guess"), codec.NotAuthorized)
	}
	g.want("the right one while banned", login("wonder"), codec.Banned)
}

func TestFlappingAndFightingClients(t *testing.T) {
	g := newGuarded(t)
	for i := range 300 {
		g.want(fmt.Sprint("connect ", i), g.connect(fmt.Sprintf("192.0.2.%d:1", 1+i%2), "twin", "", ""), codec.Success)
	}
	g.want("once more", g.connect("192.0.2.1:1", "twin", "", ""), codec.ConnectionRateExceeded)
	g.want("another", g.connect("192.0.2.1:1", "other", "", ""), codec.Success)
	n := g.guard.Counters().By
	if n[guard.TakeoverFight] < 50 || n[guard.Flapping] != 1 {
		t.Errorf("%v", n)
	}
	if e := g.events[0]; e.Reason != guard.TakeoverFight || e.ClientID != "twin" {
		t.Errorf("%+v", g.events)
	}
}

func TestABannedUserIsOutUnderWhateverNameHeComes(t *testing.T) {
	g := newGuarded(t)
	bans, err := guard.ParseBans("bans", strings.NewReader("user mallory # moved on\nclient-id old-firmware\n"))
	if err != nil {
		t.Fatal(err)
	}
	g.guard.Swap(bans)
	g.want("mallory", g.connect("192.0.2.1:1", "c", "mallory", "right"), codec.Banned)
	g.want("old firmware", g.connect("192.0.2.1:1", "old-firmware", "", ""), codec.Banned)
	if g.asked != 0 {
		t.Error("his password was looked at")
	}
	inner := g.lst.Policy.Authenticator
	g.lst.Policy.Authenticator = renames{inner}
	g.want("mallory by a token", g.connect("192.0.2.1:1", "c", "somebody", "right"), codec.Banned)
}

// renames takes everybody for mallory.
type renames struct{ session.Authenticator }

func (r renames) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	r.Authenticator.Authenticate(c, func(v session.Verdict) {
		v.UserName = "mallory"
		done(v)
	})
}

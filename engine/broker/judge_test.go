package broker

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/fake"
	"github.com/gannetmq/gannet/engine/session"
)

// slowJudge is an Authenticator that answers when the test says so.
type slowJudge struct {
	asked []*session.Credentials
	done  []func(session.Verdict)
}

func (j *slowJudge) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	j.asked, j.done = append(j.asked, c), append(j.done, done)
}

// answer gives the verdict on the oldest question.
func (j *slowJudge) answer(v session.Verdict) {
	done := j.done[0]
	j.asked, j.done = j.asked[1:], j.done[1:]
	done(v)
}

func (r *rig) dialJudged(j session.Authenticator) *wire {
	w := &wire{r: r, loop: r.Loops[0], Transport: fake.Transport{Keep: true}, v: codec.V5}
	w.conn = w.loop.Open(w, &Listener{Name: "judged", Policy: session.Policy{Authenticator: j, NewClientID: NewClientID}}, r.Now)
	return w
}

func hello(id string) []byte {
	c := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte(id), HasUserName: true, UserName: []byte("u"), HasPassword: true, Password: []byte("p")}
	return c.Append(nil, codec.V5)
}

func TestWhatComesBeforeTheVerdictWaits(t *testing.T) {
	ping := codec.AppendPingreq(nil)
	whole := append(hello("a"), bytes.Repeat(ping, 3)...)
	for cut := 1; cut <= len(whole); cut++ { // whatever arrived with CONNECT, and whatever after
		r, j := newRig(t, 1, nil), &slowJudge{}
		w := r.dialJudged(j)
		w.send(whole[:cut])
		w.send(whole[cut:])
		r.Settle()
		if len(j.asked) != 1 || len(w.In) > 0 {
			t.Fatalf("cut at %d: %d questions, %d bytes before the verdict", cut, len(j.asked), len(w.In))
		}
		if c := j.asked[0]; c.UserName != "u" || string(c.Password) != "p" || c.ClientID != "a" || c.Addr != "fake" || c.Listener != "judged" {
			t.Fatalf("asked about %+v", c)
		}
		j.answer(session.Verdict{})
		r.Settle()
		w.expect(codec.TypeConnack)
		for range 3 {
			w.expect(codec.TypePingresp)
		}
	}
}

func TestWhoIsRefusedIsClosed(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(append(hello("a"), codec.AppendPingreq(nil)...))
	j.answer(session.Verdict{Code: codec.NotAuthorized})
	r.Settle()
	if f := w.expect(codec.TypeConnack); f.Body[1] != byte(codec.NotAuthorized) || !w.Closed || len(w.In) > 0 {
		t.Errorf("CONNACK % x, closed %t, then % x", f.Body, w.Closed, w.In)
	}
}

func TestVerdictOnAClientThatLeftIsNotRead(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	w.gone()
	j.answer(session.Verdict{})
	r.Settle()
	if len(w.In) > 0 {
		t.Errorf("answered % x", w.In)
	}
	if n := r.b.sessions.Load(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestJudgingEndsWithTheConnectTimeout(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	r.Pass(Time(r.b.options().ConnectTimeout.Milliseconds()) + 1000)
	if !w.Closed {
		t.Fatal("still open")
	}
	j.answer(session.Verdict{})
	r.Settle()
	if len(w.In) > 0 {
		t.Errorf("answered % x", w.In)
	}
}

func TestWhoWaitsForAVerdictSendsNoMoreThanAConnect(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	for range r.b.options().MaxConnectBytes/1024 + 1 {
		if !w.Closed {
			w.send(make([]byte, 1024))
		}
	}
	if !w.Closed || w.conn.partial != nil {
		t.Errorf("closed %t", w.Closed)
	}
}

// TestOverloadedLoopAcceptsNobody: two late ticks in a row are load, a single one is a machine that was suspended.
func TestOverloadedLoopAcceptsNobody(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	l := r.Loops[0]
	l.Tick(r.Now)
	limit := Time(r.b.options().MaxLoopLag.Milliseconds())
	steps := []struct {
		after Time
		busy  bool
	}{
		{tickMillis, false}, {limit, false}, {limit + 1, false}, {limit, false}, {3600_000, false}, {tickMillis, false},
		{limit + 1, false}, {limit + 1, true}, {limit + 1, true}, {limit, false}, {limit + 1, false},
	}
	for i, x := range steps {
		r.Now += x.after
		l.Tick(r.Now)
		w := r.dial(0, true)
		w.v = codec.V5
		c := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("a")}
		w.send(c.Append(nil, codec.V5))
		r.Settle()
		if code := codec.ReasonCode(w.expect(codec.TypeConnack).Body[1]); x.busy != (code == codec.ServerBusy) || x.busy != w.Closed {
			t.Errorf("step %d: %v, closed %t", i, code, w.Closed)
		}
		w = r.dialJudged(j)
		w.send(hello("b"))
		r.Settle()
		if x.busy != (len(j.asked) == 0) {
			t.Errorf("step %d: the judge is asked about %d clients", i, len(j.asked))
		}
		j.asked, j.done = nil, nil
	}
	if n := l.Counters(); n.LateTicks != 6 || n.Refused[codec.ServerBusy] != 4 {
		t.Errorf("%d late ticks, %d refused", n.LateTicks, n.Refused[codec.ServerBusy])
	}
}

// TestAdmitIsAskedBeforeTheJudgeAndOnceTheNamesAreCertain: it hears of everybody, and from where.
func TestAdmitIsAskedBeforeTheJudgeAndOnceTheNamesAreCertain(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	var asked []session.Credentials
	code := codec.Success
	lst := &Listener{Name: "guarded", Policy: session.Policy{Authenticator: j, NewClientID: NewClientID, Admit: func(c *session.Credentials) codec.ReasonCode {
		asked = append(asked, *c)
		return code
	}}}
	dial := func() *wire {
		w := &wire{r: r, loop: r.Loops[0], Transport: fake.Transport{Keep: true}, v: codec.V5}
		w.conn = w.loop.Open(w, lst, r.Now)
		w.send(hello("a"))
		r.Settle()
		return w
	}
	w := dial()
	if len(asked) != 1 || len(j.asked) != 1 {
		t.Fatalf("asked %d times, the judge %d times", len(asked), len(j.asked))
	}
	j.answer(session.Verdict{UserName: "U", ClientID: "A"})
	r.Settle()
	w.expect(codec.TypeConnack)
	want := session.Credentials{Addr: "fake", Listener: "guarded", Version: codec.V5, ClientID: "a", UserName: "u", HasUserName: true}
	if !reflect.DeepEqual(asked[0], want) {
		t.Errorf("at first asked about %+v", asked[0])
	}
	want.ClientID, want.UserName, want.Certain = "A", "U", true
	if len(asked) != 2 || !reflect.DeepEqual(asked[1], want) {
		t.Errorf("then asked about %+v", asked[1:])
	}
	code = codec.Banned
	if w = dial(); len(j.asked) > 0 || !w.Closed || codec.ReasonCode(w.expect(codec.TypeConnack).Body[1]) != codec.Banned {
		t.Error("who is banned is judged")
	}
	if n := r.Loops[0].Counters().Refused[codec.Banned]; n != 1 {
		t.Errorf("%d counted", n)
	}
}

func TestTakenOverIsTold(t *testing.T) {
	var told []string
	r := newRig(t, 2, func(o *Options) { o.TakenOver = func(id, by string) { told = append(told, id+" by "+by) } })
	r.connect(0, connectAs("a", codec.V5))
	b := r.connect(1, connectAs("b", codec.V5))
	b.gone()
	r.connect(0, connectAs("b", codec.V5)) // from nobody
	r.connect(1, connectAs("a", codec.V5))
	if len(told) != 1 || told[0] != "a by fake" {
		t.Errorf("told %q", told)
	}
}

func TestVerdictThatExpiresDisconnects(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	j.answer(session.Verdict{Expires: r.Now + session.Seconds(100)})
	r.Settle()
	w.expect(codec.TypeConnack)
	r.Pass(session.Seconds(98))
	if w.Closed {
		t.Fatal("closed before its time")
	}
	r.Pass(session.Seconds(4))
	if f := w.expect(codec.TypeDisconnect); f.Body[0] != byte(codec.NotAuthorized) || !w.Closed {
		t.Errorf("DISCONNECT % x, closed %t", f.Body, w.Closed)
	}
}

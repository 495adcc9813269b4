package broker

import (
	"bytes"
	"testing"

	"github.com/gannetmq/gannet/codec"
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
	w := &wire{r: r, loop: r.loops[0], keep: true, v: codec.V5}
	w.conn = w.loop.Open(w, &Listener{Name: "judged", Policy: session.Policy{Authenticator: j, NewClientID: NewClientID}}, r.now)
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
		r.settle()
		if len(j.asked) != 1 || len(w.in) > 0 {
			t.Fatalf("cut at %d: %d questions, %d bytes before the verdict", cut, len(j.asked), len(w.in))
		}
		if c := j.asked[0]; c.UserName != "u" || string(c.Password) != "p" || c.ClientID != "a" || c.Addr != "fake" || c.Listener != "judged" {
			t.Fatalf("asked about %+v", c)
		}
		j.answer(session.Verdict{})
		r.settle()
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
	r.settle()
	if f := w.expect(codec.TypeConnack); f.Body[1] != byte(codec.NotAuthorized) || !w.closed || len(w.in) > 0 {
		t.Errorf("CONNACK % x, closed %t, then % x", f.Body, w.closed, w.in)
	}
}

func TestVerdictOnAClientThatLeftIsNotRead(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	w.gone()
	j.answer(session.Verdict{})
	r.settle()
	if len(w.in) > 0 {
		t.Errorf("answered % x", w.in)
	}
	if n := r.b.sessions.Load(); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

func TestJudgingEndsWithTheConnectTimeout(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	r.pass(Time(r.b.opts.ConnectTimeout.Milliseconds()) + 1000)
	if !w.closed {
		t.Fatal("still open")
	}
	j.answer(session.Verdict{})
	r.settle()
	if len(w.in) > 0 {
		t.Errorf("answered % x", w.in)
	}
}

func TestWhoWaitsForAVerdictSendsNoMoreThanAConnect(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	for range r.b.opts.MaxConnectBytes/1024 + 1 {
		if !w.closed {
			w.send(make([]byte, 1024))
		}
	}
	if !w.closed || w.conn.partial != nil {
		t.Errorf("closed %t", w.closed)
	}
}

func TestOverloadedLoopAcceptsNobody(t *testing.T) {
	r := newRig(t, 1, nil)
	l := r.loops[0]
	l.Tick(r.now)
	for _, late := range []bool{true, false} {
		r.now += tickMillis
		if late {
			r.now += Time(r.b.opts.MaxLoopLag.Milliseconds())
		}
		l.Tick(r.now)
		w := r.dial(0, true)
		w.v = codec.V5
		c := codec.Connect{Version: codec.V5, CleanStart: true, ClientID: []byte("a")}
		w.send(c.Append(nil, codec.V5))
		r.settle()
		if code := codec.ReasonCode(w.expect(codec.TypeConnack).Body[1]); late != (code == codec.ServerBusy) || late != w.closed {
			t.Errorf("late %t: %v, closed %t", late, code, w.closed)
		}
	}
}

func TestVerdictThatExpiresDisconnects(t *testing.T) {
	r, j := newRig(t, 1, nil), &slowJudge{}
	w := r.dialJudged(j)
	w.send(hello("a"))
	j.answer(session.Verdict{Expires: r.now + session.Seconds(100)})
	r.settle()
	w.expect(codec.TypeConnack)
	r.pass(session.Seconds(98))
	if w.closed {
		t.Fatal("closed before its time")
	}
	r.pass(session.Seconds(4))
	if f := w.expect(codec.TypeDisconnect); f.Body[0] != byte(codec.NotAuthorized) || !w.closed {
		t.Errorf("DISCONNECT % x, closed %t", f.Body, w.closed)
	}
}

package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

const hidden = "hunter2"

// service stands in for the one that is asked.
type service struct {
	mu     sync.Mutex
	asked  []*http.Request
	bodies []string
	answer func(r *http.Request, body string) (status int, answer string)
	header http.Header
}

func (s *service) serve(r *http.Request) (int, string, http.Header, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	s.mu.Lock()
	s.asked, s.bodies = append(s.asked, r), append(s.bodies, string(body))
	answer, header := s.answer, s.header.Clone()
	s.mu.Unlock()
	status, text := answer(r, string(body))
	return status, text, header, r.Context().Err()
}

func (s *service) count() int { s.mu.Lock(); defer s.mu.Unlock(); return len(s.asked) }

func (s *service) say(status int, text string) {
	s.do(func(*http.Request, string) (int, string) { return status, text })
}

func (s *service) do(answer func(*http.Request, string) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// RoundTrip lets it be asked without a network, in a bubble where time is false. A status of 0 is an error.
func (s *service) RoundTrip(r *http.Request) (*http.Response, error) {
	status, text, header, err := s.serve(r)
	if err == nil && status == 0 {
		err = errors.New(text)
	}
	if err != nil {
		return nil, err
	}
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(text)), Header: header, Request: r}, nil
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, text, header, _ := s.serve(r)
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// bench is a Judge that asks a service without a network, and what it told.
type bench struct {
	*Judge
	*service
	mu     sync.Mutex
	events []string
}

func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	b := &bench{service: &service{}}
	b.say(200, `{"result":"allow"}`)
	tell := func(s string) { b.mu.Lock(); defer b.mu.Unlock(); b.events = append(b.events, s) }
	o.URL, o.transport = "https://auth.example/"+hidden+"?key="+hidden, b.service
	o.Events = Events{Failed: func(err error) { tell(err.Error()) }, Opened: func() { tell("opened") }, Closed: func() { tell("closed") }}
	var err error
	if b.Judge, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Judge.Close)
	return b
}

func (b *bench) told() (events []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	events, b.events = b.events, nil
	return events
}

func alice() *session.Credentials {
	return &session.Credentials{
		Addr: "192.0.2.1:1234", Listener: "main", Version: codec.V5, ClientID: "c1",
		UserName: "alice", HasUserName: true, Password: []byte(hidden), HasPassword: true,
	}
}

// user is another client.
func user(n int) *session.Credentials {
	c := alice()
	c.UserName, c.Addr = fmt.Sprint("user", n), fmt.Sprintf("192.0.2.%d:1", n)
	return c
}

func ask(j *Judge, c *session.Credentials) <-chan auth.Answer {
	said := make(chan auth.Answer, 2)
	j.Judge(c, func(a auth.Answer) { said <- a })
	return said
}

func (b *bench) ask(c *session.Credentials) string { return word(<-ask(b.Judge, c)) }

// word is an answer in short.
func word(a auth.Answer) string {
	switch a.Opinion {
	case auth.Allow:
		return "allow"
	case auth.Deny:
		return fmt.Sprintf("%#x", byte(a.Verdict.Code))
	}
	return "ignore"
}

func TestQuestionInEveryFormat(t *testing.T) {
	anonymous := &session.Credentials{Addr: "[2001:db8::1]:9", Listener: "l", Version: codec.V311, ClientID: "x"}
	binary := alice()
	binary.Password = []byte{0xff, 0}
	var got string
	s := &service{}
	s.do(func(r *http.Request, body string) (int, string) {
		got = r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("X-Key") + " " + body
		return 204, ""
	})
	server := httptest.NewServer(s)
	defer server.Close()
	for _, test := range []struct {
		format Format
		c      *session.Credentials
		want   string
	}{
		{JSON, alice(), `POST /ask application/json k {"client_id":"c1","username":"alice","password":"hunter2","address":"192.0.2.1","listener":"main","protocol":5}`},
		{JSON, anonymous, `POST /ask application/json k {"client_id":"x","address":"2001:db8::1","listener":"l","protocol":4}`},
		{JSON, binary, `POST /ask application/json k {"client_id":"c1","username":"alice","password_base64":"/wA=","address":"192.0.2.1","listener":"main","protocol":5}`},
		{Form, alice(), `POST /ask application/x-www-form-urlencoded k address=192.0.2.1&client_id=c1&listener=main&password=hunter2&protocol=5&username=alice`},
		{Form, anonymous, `POST /ask application/x-www-form-urlencoded k address=2001%3Adb8%3A%3A1&client_id=x&listener=l&protocol=4`},
		{Query, binary, `GET /ask?address=192.0.2.1&client_id=c1&listener=main&password=%FF%00&protocol=5&username=alice  k `},
	} {
		j, err := New(Options{URL: server.URL + "/ask", Format: test.format, Header: map[string]string{"x-key": "k"}, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if a := <-ask(j, test.c); a.Opinion != auth.Allow || got != test.want {
			t.Errorf("%v\n got %s\nwant %s", a, got, test.want)
		}
		j.Close()
	}
}

func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		status int
		body   string
		want   string
	}{
		{204, "", "allow"},
		{200, "", "allow"},
		{200, " \n", "allow"},
		{200, `{"result":"allow"}`, "allow"},
		{200, `{"result":"allow","is_superuser":true,"acl":null,"username":null,"expire_at":null}`, "allow"},
		{200, `{"result":"deny"}`, "0x87"},
		{200, `{"result":"deny","acl":"nonsense"}`, "0x87"},
		{200, `{"result":"ignore"}`, "ignore"},
		{401, "", "0x87"},
		{403, `{"result":"allow"}`, "0x87"},
		{404, "", "ignore"},
		// and everything else is a failure
		{200, `ok`, "0x88"},
		{200, `true`, "0x88"},
		{200, `<html>` + hidden, "0x88"},
		{200, `{}`, "0x88"},
		{200, `{"result":"Allow"}`, "0x88"},
		{200, `{"result":true}`, "0x88"},
		{200, `{"result":"allow"}{"result":"deny"}`, "0x88"},
		{200, `{"result":"allow"`, "0x88"},
		{200, `{"result":"allow","username":"a\u0000b"}`, "0x88"},
		{200, `{"result":"allow","client_id":"` + strings.Repeat("x", 65536) + `"}`, "0x88"},
		{200, `{"result":"allow","client_id":"` + strings.Repeat("x", 60000) + `"}`, "allow"},
		{200, `{"result":"allow","expire_at":"tomorrow"}`, "0x88"},
		{200, `{"result":"allow","expire_at":1700000000000}`, "0x88"},
		{200, `{"result":"allow","expire_at":-1}`, "0x88"},
		{200, `{"result":"allow","expire_at":1}`, "0x87"},
		{200, `{"result":"allow","acl":{"publish":["#"]}}`, "0x88"},
		{200, strings.Repeat(" ", AnswerBytesMax+1), "0x88"},
		{201, `{"result":"allow"}`, "0x88"},
		{206, `{"result":"allow"}`, "0x88"},
		{302, "", "0x88"},
		{400, "", "0x88"},
		{429, "", "0x88"},
		{500, hidden, "0x88"},
		{503, "", "0x88"},
		{0, hidden, "0x88"},
	} {
		b := newBench(t, Options{})
		b.say(test.status, test.body)
		name := fmt.Sprintf("%d %.60s", test.status, test.body)
		if got := b.ask(alice()); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		events := b.told()
		if failed := test.want == "0x88"; failed != (len(events) == 1) || failed && strings.Contains(events[0], hidden) {
			t.Errorf("%s: told %q", name, events)
		}
		b = newBench(t, Options{Down: Ignore})
		if b.say(test.status, test.body); test.want == "0x88" {
			if a := <-ask(b.Judge, alice()); a.Opinion != auth.NoOpinion || a.Verdict.Code != codec.ServerUnavailable {
				t.Errorf("%s: not ignored, but %+v", name, a)
			}
		}
	}
}

func TestAnswerSaysWhoAndWhat(t *testing.T) {
	b := newBench(t, Options{})
	until := time.Now().Add(time.Hour).Unix()
	b.say(200, fmt.Sprintf(`{"result":"allow","username":"bob","client_id":"c2","expire_at":%d.5,"acl":{"pub":["dev/%%c/%%u"]}}`, until))
	v := (<-ask(b.Judge, alice())).Verdict
	if v.UserName != "bob" || v.ClientID != "c2" || v.Expires != session.Time(until*1000+500) || v.Authorizer == nil {
		t.Fatalf("%+v", v)
	}
	who := session.Identity{ClientID: "c2", UserName: "bob"}
	if !v.Authorizer.MayPublish(who, []byte("dev/c2/bob")) || v.Authorizer.MayPublish(who, []byte("dev/c1/alice")) || v.Authorizer.MayReceive(who, []byte("dev/c2/bob")) {
		t.Error("other rules")
	}
}

func TestRulesFromTheSecondURL(t *testing.T) {
	for _, test := range []struct {
		first  string
		status int
		body   string
		want   string
		rules  bool
		asked  int
	}{
		{`{"result":"allow"}`, 200, `{"acl":{"pub":["a"]}}`, "allow", true, 2},
		{`{"result":"allow"}`, 200, `{"acl":null}`, "allow", false, 2},
		{`{"result":"allow"}`, 204, ``, "allow", false, 2},
		{`{"result":"allow"}`, 404, ``, "allow", false, 2},
		{``, 200, `{"acl":[]}`, "allow", true, 2},
		{`{"result":"allow"}`, 403, ``, "0x87", false, 2},
		{`{"result":"allow"}`, 200, ``, "0x88", false, 2},
		{`{"result":"allow"}`, 200, `{"acl":{"a":1}}`, "0x88", false, 2},
		{`{"result":"allow"}`, 500, ``, "0x88", false, 2},
		{`{"result":"allow"}`, 0, hidden, "0x88", false, 2},
		{`{"result":"allow","acl":{"pub":["b"]}}`, 500, ``, "allow", true, 1},
		{`{"result":"deny"}`, 500, ``, "0x87", false, 1},
		{`{"result":"ignore"}`, 500, ``, "ignore", false, 1},
		{`{"result":"allow","client_id":"c9","username":"bob"}`, 204, ``, "allow", false, 2},
	} {
		b := newBench(t, Options{RulesURL: "https://rules.example/"})
		b.do(func(r *http.Request, body string) (int, string) {
			if r.URL.Host == "rules.example" {
				return test.status, test.body
			}
			return 200, test.first
		})
		a := <-ask(b.Judge, alice())
		if word(a) != test.want || (a.Verdict.Authorizer != nil) != test.rules || b.count() != test.asked {
			t.Errorf("%s, then %d %s: %+v, asked %d times", test.first, test.status, test.body, a, b.count())
		}
		if b.count() < 2 {
			continue
		}
		if second := b.bodies[1]; strings.Contains(second, hidden) || strings.Contains(test.first, "c9") != strings.Contains(second, `"client_id":"c9","username":"bob"`) {
			t.Errorf("the second question is %s", second)
		}
	}
}

func TestAnswersAreRemembered(t *testing.T) {
	for _, test := range []struct {
		name   string
		o      Options
		status int
		body   string
		header string
		ttl    time.Duration // 0: not at all
	}{
		{"allow", Options{}, 204, "", "", AllowTTLDefault},
		{"deny", Options{}, 403, "", "", DenyTTLDefault},
		{"no opinion", Options{}, 404, "", "", DenyTTLDefault},
		{"failure", Options{}, 500, "", "max-age=60", 0},
		{"allow, set", Options{AllowTTL: time.Hour}, 204, "", "", time.Hour},
		{"deny, set", Options{DenyTTL: time.Minute}, 403, "", "", time.Minute},
		{"allow, never", Options{AllowTTL: -1}, 204, "", "max-age=60", 0},
		{"deny, never", Options{DenyTTL: -1}, 403, "", "max-age=60", 0},
		{"max-age", Options{}, 204, "", "private, Max-Age=100", 100 * time.Second},
		{"max-age of nothing", Options{}, 204, "", "max-age=0", 0},
		{"max-age that is none", Options{}, 204, "", "max-age=-1", 0},
		{"max-age beyond all", Options{}, 204, "", "max-age=2000000000", TTLMax},
		{"no-store", Options{}, 204, "", "max-age=100, no-store", 0},
		{"deny, max-age longer", Options{}, 403, "", "max-age=100", DenyTTLDefault},
		{"deny, max-age shorter", Options{}, 403, "", "max-age=2", 2 * time.Second},
		{"expires", Options{}, 200, `{"result":"allow","expire_at":946684807}`, "", 7 * time.Second}, // where a bubble begins, and 7 s
		{"no cache", Options{CacheEntries: -1}, 204, "", "", 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, test.o)
			b.say(test.status, test.body)
			if test.header != "" {
				b.header = http.Header{"Cache-Control": {test.header}}
			}
			first := b.ask(alice())
			if test.ttl > 0 {
				time.Sleep(test.ttl - time.Millisecond)
				if got := b.ask(alice()); got != first || b.count() != 1 || b.Judge.Stats().Cached != 1 {
					t.Errorf("%s: %s, then %s, asked %d times", test.name, first, got, b.count())
				}
				time.Sleep(time.Millisecond)
			}
			before := b.count()
			if b.ask(alice()); b.count() != before+1 {
				t.Errorf("%s: remembered for too long", test.name)
			}
			b.Forget()
			if b.ask(alice()); b.count() != before+2 {
				t.Errorf("%s: remembered what was to be forgotten", test.name)
			}
		})
	}
}

func TestAnswerIsForItsQuestionOnly(t *testing.T) {
	b := newBench(t, Options{})
	b.ask(alice())
	port := alice()
	port.Addr = "192.0.2.1:4321"
	if b.ask(port); b.count() != 1 {
		t.Error("another port is another question")
	}
	changes := []func(c *session.Credentials){
		func(c *session.Credentials) { c.Addr = "192.0.2.2:1234" },
		func(c *session.Credentials) { c.Listener = "other" },
		func(c *session.Credentials) { c.Version = codec.V311 },
		func(c *session.Credentials) { c.ClientID = "c2" },
		func(c *session.Credentials) { c.UserName = "bob" },
		func(c *session.Credentials) { c.UserName, c.HasUserName = "", false },
		func(c *session.Credentials) { c.UserName = "" },
		func(c *session.Credentials) { c.Password = []byte("hunter3") },
		func(c *session.Credentials) { c.Password, c.HasPassword = nil, false },
		func(c *session.Credentials) { c.Password = nil },
		func(c *session.Credentials) { c.ClientID, c.UserName = "c1a", "lice" },
	}
	if fields := reflect.TypeFor[session.Credentials]().NumField(); fields != 9 { // Certain is for Policy.Admit
		t.Errorf("Credentials have %d fields: is the new one part of the question?", fields)
	}
	for i, change := range changes {
		c := alice()
		change(c)
		if b.ask(c); b.count() != i+2 {
			t.Errorf("change %d is the same question as another one", i)
		}
	}
}

// hang makes the service wait until the returned function is called.
func (b *bench) hang() (release func()) {
	gate := make(chan struct{})
	b.do(func(r *http.Request, _ string) (int, string) {
		select {
		case <-gate:
		case <-r.Context().Done():
		}
		return 204, ""
	})
	return func() { close(gate) }
}

func TestSameQuestionIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		release := b.hang()
		var all []<-chan auth.Answer
		for range mergedMax + 2 {
			all = append(all, ask(b.Judge, alice()))
		}
		for _, late := range all[mergedMax:] {
			if got := word(<-late); got != "0x89" {
				t.Errorf("beyond the bound: %s", got)
			}
		}
		release()
		for _, said := range all[:mergedMax] {
			if got := word(<-said); got != "allow" {
				t.Error(got)
			}
		}
		want := Stats{Asked: mergedMax + 2, Merged: mergedMax - 1, Requests: 1, Allowed: mergedMax, Overloaded: 2}
		if got := b.Judge.Stats(); got != want {
			t.Errorf("%+v", got)
		}
		if len(b.flights) != 0 {
			t.Error("a flight that does not end")
		}
	})
}

func TestServiceThatHangsCostsItsTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{Connections: 2, Waiting: 4, FailuresInARow: 100})
		b.hang()
		var all []<-chan auth.Answer
		for n := range 7 { // two are under way, four in line, one has no place
			all = append(all, ask(b.Judge, user(n)))
		}
		start := time.Now()
		want := []string{"0x88", "0x88", "0x89", "0x89", "0x89", "0x89", "0x89"}
		for n, said := range all {
			if got := word(<-said); got != want[n] {
				t.Errorf("%d: %s, want %s", n, got, want[n])
			}
		}
		if took := time.Since(start); took != TimeoutDefault || b.count() != 2 {
			t.Errorf("took %v, asked %d times", took, b.count())
		}
		if got := b.told(); len(got) != 1 || got[0] != "ask https://auth.example: no answer in time" {
			t.Errorf("told %q", got)
		}
	})
}

func TestAddressHasHalfOfTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{Connections: 1, Waiting: 4})
		release := b.hang()
		var flood []<-chan auth.Answer
		for n := range 10 {
			c := user(n)
			c.Addr = "198.51.100.7:1"
			flood = append(flood, ask(b.Judge, c))
		}
		good := ask(b.Judge, alice())
		release()
		if got := word(<-good); got != "allow" {
			t.Errorf("beside a flood: %s", got)
		}
		allowed := 0
		for _, said := range flood {
			if word(<-said) == "allow" {
				allowed++
			}
		}
		if allowed != 3 {
			t.Errorf("%d of the flood were asked, want one under way and two in line", allowed)
		}
	})
}

func TestBreakerStopsQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{FailuresInARow: 3, AllowTTL: time.Hour})
		if b.ask(alice()) != "allow" {
			t.Fatal("not allowed")
		}
		b.say(500, hidden)
		for n := range 10 {
			if got := b.ask(user(n)); got != "0x88" {
				t.Error(got)
			}
		}
		if s := b.Judge.Stats(); s.Requests != 4 || s.Failed != 10 || s.Shorted != 7 || s.Opened != 1 {
			t.Errorf("%+v", s)
		}
		if got := b.ask(alice()); got != "allow" {
			t.Errorf("who is remembered: %s", got)
		}
		time.Sleep(PauseDefault)
		b.ask(user(0)) // the probe fails
		b.ask(user(1))
		if n := b.count(); n != 5 {
			t.Errorf("asked %d times", n)
		}
		b.say(204, "")
		time.Sleep(PauseDefault)
		for n := range 3 {
			if got := b.ask(user(n)); got != "allow" {
				t.Error(got)
			}
		}
		want := "https://auth.example: status 500, opened, opened, closed"
		if got := strings.Join(b.told(), ", "); got != want {
			t.Errorf("told %s", got)
		}
	})
}

// TestWhoIsInLineWhenTheBreakerOpensIsNotAsked: the line of a service that hangs is gone with the first time-outs.
func TestWhoIsInLineWhenTheBreakerOpensIsNotAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{Connections: 1, FailuresInARow: 1, Down: Ignore})
		gate := make(chan struct{})
		b.do(func(*http.Request, string) (int, string) { <-gate; return 502, "" })
		first := ask(b.Judge, user(0))
		synctest.Wait()
		second := ask(b.Judge, user(1))
		close(gate)
		if a, c := word(<-first), word(<-second); a != "ignore" || c != "ignore" || b.count() != 1 {
			t.Errorf("%s %s, asked %d times", a, c, b.count())
		}
	})
}

func TestAnswersThatClientsCanCauseDoNotOpenTheBreaker(t *testing.T) {
	b := newBench(t, Options{FailuresInARow: 1})
	b.say(400, "")
	for n := range 2 * window {
		b.ask(user(n))
	}
	if s := b.Judge.Stats(); s.Opened != 0 || s.Requests != 2*window || s.Failed != 2*window {
		t.Errorf("%+v", s)
	}
}

func TestFailuresAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{})
		b.say(400, "")
		for n := range 180 {
			b.ask(user(n))
			time.Sleep(time.Second)
		}
		if got := b.told(); len(got) != 3 {
			t.Errorf("told %d times", len(got))
		}
	})
}

func TestCloseEndsAndRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Options{Connections: 1, Timeout: time.Hour})
		b.hang()
		underWay := ask(b.Judge, user(0))
		synctest.Wait()
		inLine := ask(b.Judge, user(1))
		b.Judge.Close()
		for _, said := range []<-chan auth.Answer{underWay, inLine, ask(b.Judge, user(2))} {
			if got := word(<-said); got != "0x88" {
				t.Error(got)
			}
		}
		if got := b.told(); got != nil {
			t.Errorf("told %q", got)
		}
		b.Judge.Close()
	})
}

func TestNetworkOfTheService(t *testing.T) {
	hang := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-hang })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(bytes.Repeat([]byte(hidden), AnswerBytesMax))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://other.example/"+hidden, http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	s := httptest.NewServer(mux)
	defer s.Close()
	defer close(hang)
	for path, want := range map[string]string{"/hang": "no answer in time", "/huge": "larger", "/away": "redirect", "/cut": "connection closed", "/ok": ""} {
		var told []string
		o := Options{URL: s.URL + path, Timeout: time.Minute, Events: Events{Failed: func(err error) { told = append(told, err.Error()) }}}
		if path == "/hang" {
			o.Timeout = 50 * time.Millisecond
		}
		j, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		a := <-ask(j, alice())
		j.Close()
		if want == "" {
			if a.Opinion != auth.Allow {
				t.Errorf("%s: %+v", path, a)
			}
			continue
		}
		if word(a) != "0x88" || len(told) != 1 || !strings.Contains(told[0], want) || strings.Contains(told[0], hidden) {
			t.Errorf("%s: %s, told %q", path, word(a), told)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"no url":        {Options{}, "no URL"},
		"plain":         {Options{URL: "http://user:" + hidden + "@example.com/" + hidden}, "http://example.com would"},
		"rules":         {Options{URL: "https://a/", RulesURL: "ftp://b/" + hidden}, "rules: url"},
		"format":        {Options{URL: "https://a/", Format: 3}, "format"},
		"down":          {Options{URL: "https://a/", Down: 2}, "down"},
		"connections":   {Options{URL: "https://a/", Connections: ConnectionsMax + 1}, "connections"},
		"negative":      {Options{URL: "https://a/", Timeout: -1}, "below 0"},
		"header":        {Options{URL: "https://a/", Header: map[string]string{"a": hidden + "\r\n"}}, `header "a"`},
		"no such file":  {Options{URL: "https://a/", CAFile: "/no/such/file"}, "/no/such/file"},
		"half of a key": {Options{URL: "https://a/", KeyFile: "/no/such/file"}, "both"},
	} {
		j, err := New(test.o)
		if err == nil {
			j.Close()
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), hidden) || !strings.HasPrefix(err.Error(), "webhook: ") {
			t.Errorf("%s: %q, want %q", name, err, test.want)
		}
	}
}

// FuzzAnswer: no panic; only what says allow allows, with names that a client can have.
func FuzzAnswer(f *testing.F) {
	b := newBench(f, Options{CacheEntries: -1, FailuresInARow: 1 << 30, Pause: 1})
	for _, s := range []string{``, `{"result":"allow","username":"a","acl":[],"expire_at":1e10}`, `{"result":"deny"}`, `{"RESULT":"allow"}`, `[]`} {
		f.Add(200, s)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || status == 301 || status == 302 || status == 303 || status == 307 || status == 308 {
			return
		}
		b.say(status, body)
		a := <-ask(b.Judge, alice())
		if a.Opinion != auth.Allow {
			return
		}
		var r struct{ Result string }
		empty := strings.TrimSpace(body) == ""
		if status != 204 && (status != 200 || !empty && (json.Unmarshal([]byte(body), &r) != nil || r.Result != "allow")) {
			t.Fatalf("%d %q allows", status, body)
		}
		if !codec.ValidString([]byte(a.Verdict.UserName)) || !codec.ValidString([]byte(a.Verdict.ClientID)) {
			t.Fatalf("%+v", a)
		}
	})
}

// FuzzQuestion: what the service reads is what the client said.
func FuzzQuestion(f *testing.F) {
	f.Add("c", "u", []byte("p"), true, true)
	f.Add("<&>", "\u2028", []byte{0xff}, true, true)
	f.Fuzz(func(t *testing.T, id, user string, password []byte, hasUser, hasPassword bool) {
		if !codec.ValidString([]byte(id)) || !codec.ValidString([]byte(user)) {
			return
		}
		q := newQuestion(&session.Credentials{ClientID: id, UserName: user, HasUserName: hasUser, Password: password, HasPassword: hasPassword})
		_, _, _, body, err := q.encode(JSON)
		if err != nil {
			t.Fatal(err)
		}
		var back question
		if err := json.Unmarshal(body, &back); err != nil {
			t.Fatal(err)
		}
		if back.Password == nil && back.PasswordBase64 != nil {
			text := string(back.PasswordBase64)
			back.Password, back.PasswordBase64 = &text, nil
		}
		if !reflect.DeepEqual(q, &back) {
			t.Fatalf("%s", body)
		}
		_, _, _, body, _ = q.encode(Form)
		v, err := url.ParseQuery(string(body))
		if err != nil || v.Get("client_id") != id || hasUser && v.Get("username") != user || hasPassword && v.Get("password") != string(password) || v.Has("password") != hasPassword {
			t.Fatalf("%s: %v", body, err)
		}
	})
}

func BenchmarkRemembered(b *testing.B) {
	j := newBench(b, Options{AllowTTL: time.Hour})
	c := alice()
	j.ask(c)
	b.ReportAllocs()
	for b.Loop() {
		j.Judge.Judge(c, func(auth.Answer) {})
	}
}

package jwt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// site stands in for the server behind the URL, in a bubble where time is false. What it serves may change.
type site struct {
	mu     sync.Mutex
	body   []byte
	status int
	err    error
	asked  int
	hold   chan struct{} // if not nil, an answer waits for it
}

func (s *site) serve(status int, body []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body, s.err = status, body, err
}

func (s *site) count() int { s.mu.Lock(); defer s.mu.Unlock(); return s.asked }

func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if hold := s.hold; hold != nil {
		s.mu.Unlock()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
		s.mu.Lock()
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if s.err != nil {
		return nil, s.err
	}
	return &http.Response{StatusCode: s.status, Body: io.NopCloser(bytes.NewReader(s.body)), Header: http.Header{}, Request: r}, nil
}

// far is a Judge with keys behind a URL.
type far struct {
	*Judge
	site *site
	said []string // by its events, in order
	mu   sync.Mutex
}

// newFar makes one in a bubble; what its tokens say is counted from the time there.
func newFar(t *testing.T, s *site, o Options) *far {
	t.Helper()
	f := &far{site: s}
	say := func(format string, args ...any) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.said = append(f.said, fmt.Sprintf(format, args...))
	}
	o.JWKSURL, o.transport = "https://keys.example/set", s
	o.Events = Events{
		Fetched:     func(n int) { say("fetched %d", n) },
		FetchFailed: func(err error) { say("%v", err) },
	}
	var err error
	if f.Judge, err = New(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func (f *far) events() (said []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	said, f.said = f.said, nil
	return said
}

func (f *far) expectEvents(t *testing.T, want ...string) {
	t.Helper()
	if got := f.events(); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("events %q, want %q", got, want)
	}
}

// ask returns what will be answered.
func (f *far) ask(token string) <-chan string {
	said := make(chan string, 2)
	f.Judge.Judge(&session.Credentials{ClientID: "c", Password: []byte(token), HasPassword: true}, func(a auth.Answer) {
		if a.Opinion == auth.Allow {
			said <- "allow"
			return
		}
		said <- fmt.Sprintf("%#x", byte(a.Verdict.Code))
	})
	return said
}

// fresh is a token of a key in the bubble's time.
func fresh(t *testing.T, kid string) string {
	c := good(map[string]any{"exp": time.Now().Add(1000 * time.Hour).Unix()})
	return sign(t, "EdDSA", map[string]any{"kid": kid}, c, edwards())
}

func set(t *testing.T, kids ...string) []byte {
	var keys []map[string]any
	for _, kid := range kids {
		keys = append(keys, jwkOf(t, kid, edwards().Public()))
	}
	return jwksOf(t, keys...)
}

func TestKeysAreFetchedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, &site{status: 200, body: set(t, "a")}, Options{Refresh: time.Hour})
		synctest.Wait()
		f.expectEvents(t, "fetched 1")
		if got := <-f.ask(fresh(t, "a")); got != "allow" {
			t.Error(got)
		}
		ring := f.ring.Load()
		time.Sleep(time.Hour)
		synctest.Wait()
		if f.site.count() != 2 || f.ring.Load() != ring {
			t.Error("the same keys again are other ones")
		}
		f.site.serve(200, set(t, "b", "c"), nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		f.expectEvents(t)
		if got := <-f.ask(fresh(t, "a")); got != "0x87" {
			t.Errorf("a key that is gone: %s", got)
		}
		if got := <-f.ask(fresh(t, "c")); got != "allow" {
			t.Error(got)
		}
	})
}

func TestTokensBeforeTheFirstKeysWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFar(t, &site{status: 200, body: set(t, "a"), hold: hold}, Options{})
		one, other := f.ask(fresh(t, "a")), f.ask(fresh(t, "z"))
		synctest.Wait()
		if len(one)+len(other) > 0 {
			t.Fatal("judged without a key")
		}
		close(hold)
		if got := <-one; got != "allow" {
			t.Error(got)
		}
		if got := <-other; got != "0x87" {
			t.Error(got)
		}
		if f.site.count() != 1 {
			t.Errorf("asked %d times", f.site.count())
		}
	})
}

func TestFetchThatFailsKeepsTheKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hidden = "hunter2"
		f := newFar(t, &site{status: 200, body: set(t, "a")}, Options{Refresh: time.Hour, RefreshGap: time.Minute})
		synctest.Wait()
		f.expectEvents(t, "fetched 1")
		for _, bad := range []struct {
			status int
			body   string
			err    error
		}{
			{status: 500, body: hidden}, {status: 204}, {status: 200, body: hidden}, {status: 200, body: `{"keys":[{"kty":"` + hidden + `"}]}`}, {err: errors.New(hidden)},
			{status: 200, body: strings.Repeat(" ", jwksBytesMax+1)},
		} {
			f.site.serve(bad.status, []byte(bad.body), bad.err)
			before := f.site.count()
			time.Sleep(time.Hour) // until the next one, then again every minute
			synctest.Wait()
			if n := f.site.count() - before; n < 1 || n > 61 {
				t.Errorf("%+v: asked %d times in an hour", bad, n)
			}
			if got := <-f.ask(fresh(t, "a")); got != "allow" {
				t.Errorf("%+v: %s", bad, got)
			}
		}
		f.expectEvents(t, "fetch keys: https://keys.example answers with status 500")
		f.site.serve(200, set(t, "a", "b"), nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		f.expectEvents(t, "fetched 2")
		if got := <-f.ask(fresh(t, "b")); got != "allow" {
			t.Error(got)
		}
	})
}

func TestUnknownKidFetchesEarlyButNotOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, &site{status: 200, body: set(t, "a")}, Options{RefreshGap: time.Minute})
		synctest.Wait()
		f.site.serve(200, set(t, "a", "b"), nil)
		if got := <-f.ask(fresh(t, "b")); got != "0x87" || f.site.count() != 1 {
			t.Errorf("within the gap: %s, asked %d times", got, f.site.count())
		}
		time.Sleep(time.Minute)
		one, two := f.ask(fresh(t, "b")), f.ask(fresh(t, "b"))
		if a, b := <-one, <-two; a != "allow" || b != "allow" || f.site.count() != 2 {
			t.Errorf("after the gap: %s %s, asked %d times", a, b, f.site.count())
		}
		for range 100 { // an attacker's
			time.Sleep(10 * time.Second)
			if got := <-f.ask(fresh(t, "x")); got != "0x87" {
				t.Error(got)
			}
		}
		if n := f.site.count(); n < 10 || n > 20 {
			t.Errorf("asked %d times in 1000 s", n)
		}
		if got := <-f.ask(fresh(t, "a")); got != "allow" {
			t.Error(got)
		}
	})
}

func TestSiteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		s := &site{status: 200, body: set(t, "a"), hold: hold}
		f := newFar(t, s, Options{FetchTimeout: 5 * time.Second, RefreshGap: time.Minute})
		said := f.ask(fresh(t, "a"))
		time.Sleep(5 * time.Second)
		if got := <-said; got != "0x88" {
			t.Errorf("after the time-out: %s", got)
		}
		f.expectEvents(t, "fetch keys: ask https://keys.example: no answer in time")
		if got := <-f.ask(fresh(t, "a")); got != "0x88" {
			t.Errorf("until the next one: %s", got)
		}
		close(hold)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := <-f.ask(fresh(t, "a")); got != "allow" {
			t.Error(got)
		}
	})
}

func TestCloseEndsAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFar(t, &site{hold: make(chan struct{})}, Options{FetchTimeout: time.Hour})
		said := f.ask(fresh(t, "a"))
		synctest.Wait()
		f.Close()
		if got := <-said; got != "0x88" {
			t.Error(got)
		}
		if got := <-f.ask(fresh(t, "a")); got != "0x88" {
			t.Error(got)
		}
		f.expectEvents(t)
	})
}

func TestWhoWaitsForAFetchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		f := newFar(t, &site{status: 200, body: set(t, "a"), hold: hold}, Options{Waiting: 10 * fetchWaitingMax})
		said := make(chan codec.ReasonCode, fetchWaitingMax+10)
		token := []byte(fresh(t, "a"))
		for range fetchWaitingMax + 10 {
			f.Judge.Judge(&session.Credentials{Password: token}, func(a auth.Answer) { said <- a.Verdict.Code })
		}
		synctest.Wait()
		if len(said) != 10 {
			t.Errorf("%d were answered before the fetch, want 10", len(said))
		}
		close(hold)
		count := make(map[codec.ReasonCode]int)
		for range fetchWaitingMax + 10 {
			count[<-said]++
		}
		if count[codec.Success] != fetchWaitingMax || count[codec.ServerUnavailable] != 10 {
			t.Errorf("%v", count)
		}
	})
}

func TestSecretsFromTheNetworkAreNotTaken(t *testing.T) {
	if _, err := parseJWKS(jwksOf(t, jwkOf(t, "a", secret)), false); err == nil {
		t.Error("a published secret is a key")
	}
	good, bad := jwkOf(t, "a", edwards().Public()), jwkOf(t, "b", &p256().PublicKey)
	bad["x"] = "??"
	if keys, err := parseJWKS(jwksOf(t, bad, good), false); err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v: what is not good is passed over", len(keys), err)
	}
}

func TestFetchOverTheNetwork(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(set(t, "a")) }))
	defer s.Close()
	fetched := make(chan int, 1)
	j, err := New(Options{JWKSURL: s.URL, FetchTimeout: time.Minute, Events: Events{Fetched: func(n int) { fetched <- n }}})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if n := <-fetched; n != 1 {
		t.Errorf("%d keys", n)
	}
}

// FuzzJWKS: no panic, and every key that comes out is within its bounds.
func FuzzJWKS(f *testing.F) {
	f.Add(`{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, true)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"RS256","use":"sig"}]}`, false)
	f.Fuzz(func(t *testing.T, text string, ours bool) {
		keys, err := parseJWKS([]byte(text), ours)
		if (err == nil) != (len(keys) > 0) || len(keys) > KeysMax {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if _, secret := k.value.([]byte); secret && !ours {
				t.Fatal("a secret from the network")
			}
			if _, err := newKey(k.id, k.value); err != nil || len(k.algorithms) == 0 {
				t.Fatal(err)
			}
		}
	})
}

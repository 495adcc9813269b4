package httpclient

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const secret = "hunter2-never-shown"

func client(t *testing.T, o Options) *Client {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ask sends a request full of secrets, and holds the error, if any, against them.
func ask(t *testing.T, c *Client, method string) (*Answer, error) {
	t.Helper()
	a, err := c.Ask(t.Context(), method, url.Values{"q": {secret}}, "text/plain", []byte(secret))
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("secret in %q", err)
	}
	return a, err
}

func TestAskSendsWhatItIsTold(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(418)
		_, _ = io.WriteString(w, strings.Join([]string{r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("X-Key"), r.Header.Get("Idempotency-Key"),
			r.Header.Get("Content-Type"), user, pass, string(body)}, " "))
	}))
	defer s.Close()
	c := client(t, Options{
		URL: strings.Replace(s.URL, "http://", "http://me:pw@", 1) + "/p?a=1#f", Header: map[string]string{"x-key": "k", "host": "other.example"},
	})
	a, err := c.Ask(t.Context(), "POST", url.Values{"b": {"2 3"}}, "text/plain", []byte("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(a.Body), "POST other.example /p?a=1&b=2+3 k  text/plain me pw hello"; got != want || a.Status != 418 || a.Header.Get("X-Answer") != "yes" {
		t.Errorf("%d %q\nwant %q", a.Status, got, want)
	}
}

func TestAskBounds(t *testing.T) {
	hang := make(chan struct{})
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1001)) })
	mux.HandleFunc("/fits", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1000)) })
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", headerBytesMax)) })
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-hang })
	mux.HandleFunc("/drip", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("a"))
		w.(http.Flusher).Flush()
		<-hang
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/"+secret, http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/fits", http.StatusFound) })
	mux.HandleFunc("/here", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/fits", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("a"))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	defer close(hang)
	for _, test := range []struct {
		path, want string
		timeout    time.Duration
	}{
		{"/fits", "", 0},
		{"/here", "", 0},
		{"/huge", "larger than allowed", 0},
		{"/header", "header is too large", 0},
		{"/hang", "no answer in time", 50 * time.Millisecond},
		{"/drip", "no answer in time", 50 * time.Millisecond},
		{"/away", "redirect", 0},
		{"/plain", "redirect", 0},
		{"/loop", "redirect", 0},
		{"/cut", "connection closed", 0},
	} {
		timeout := time.Minute
		if test.timeout > 0 {
			timeout = test.timeout
		}
		c := client(t, Options{URL: s.URL + test.path, AnswerBytesMax: 1000, Timeout: timeout})
		a, err := ask(t, c, "POST")
		switch {
		case test.want == "" && (err != nil || a.Status != 200):
			t.Errorf("%s: %v %v", test.path, a, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", test.path, err, test.want)
		}
	}
}

func TestAskEndsWithItsContext(t *testing.T) {
	arrived := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	}))
	defer s.Close()
	c := client(t, Options{URL: s.URL, Timeout: time.Hour})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if _, err := c.Ask(ctx, "POST", nil, "", []byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// rawServer answers every connection with the same bytes.
func rawServer(t *testing.T, answer string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, answer)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestErrorsShowNoSecret(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for name, test := range map[string]struct{ url, want string }{
		"echoes":        {"http://user:" + secret + "@" + rawServer(t, "HTTP/1.1 "+secret+"\r\n\r\n") + "/" + secret, "not HTTP"},
		"no http":       {"http://" + rawServer(t, secret+"\n"), "not HTTP"},
		"closes":        {"http://" + rawServer(t, ""), "connection closed"},
		"no tls":        {"https://" + rawServer(t, secret+"\n"), "TLS"},
		"unknown ca":    {secure.URL + "/" + secret, "certificate"},
		"refused":       {gone.URL + "/" + secret, "refused"},
		"not this port": {"http://127.0.0.1:1/" + secret, "refused"},
	} {
		c := client(t, Options{URL: test.url, Header: map[string]string{"X-Key": secret}, Timeout: time.Minute})
		if _, err := ask(t, c, "GET"); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		o    Options
		want string
	}{
		"nothing":         {Options{}, "https://HOST"},
		"no url":          {Options{URL: "http://user:" + secret + "@%zz/"}, "https://HOST"},
		"no host":         {Options{URL: "https:///x"}, "https://HOST"},
		"port only":       {Options{URL: "https://:443/x"}, "https://HOST"},
		"scheme":          {Options{URL: "ftp://x/" + secret}, `scheme "ftp"`},
		"plain":           {Options{URL: "http://user:" + secret + "@example.com/"}, "http://example.com would send secrets"},
		"header name":     {Options{URL: "https://x/", Header: map[string]string{"a b": secret}}, `header "a b"`},
		"no header name":  {Options{URL: "https://x/", Header: map[string]string{"": secret}}, `header ""`},
		"header value":    {Options{URL: "https://x/", Header: map[string]string{"a": secret + "\n"}}, `header "a"`},
		"ca file missing": {Options{URL: "https://x/", CAFile: empty + "x"}, "no such file"},
		"ca file":         {Options{URL: "https://x/", CAFile: empty}, "no certificate"},
		"half a pair":     {Options{URL: "https://x/", CertFile: empty}, "both"},
		"no pair":         {Options{URL: "https://x/", CertFile: empty, KeyFile: empty}, "client certificate " + empty},
	} {
		_, err := New(test.o)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	for _, u := range []string{"http://localhost/", "http://127.0.0.1:1/", "http://[::1]/", "https://example.com"} {
		client(t, Options{URL: u})
	}
	client(t, Options{URL: "http://example.com/", AllowPlainHTTP: true})
}

func TestCAFileIsTrusted(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer s.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	c := client(t, Options{URL: s.URL, CAFile: ca, Timeout: time.Minute})
	if a, err := ask(t, c, "GET"); err != nil || a.Status != 204 {
		t.Errorf("%v %v", a, err)
	}
	if c.Name() != s.URL {
		t.Errorf("name %s", c.Name())
	}
}

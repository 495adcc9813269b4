package admin

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func options(dir string) Options {
	return Options{
		Version:   "gannet version 1",
		Figures:   func() map[string]string { return map[string]string{"$SYS/broker/uptime": "1 seconds"} },
		Listeners: func() []Listener { return []Listener{{"mqtt://:1883", "[::]:1883"}} },
		Dir:       dir,
	}
}

func TestAnswers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"index.html": "home", "page.html": "page", ".secret": "s", "empty/file": "f"} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := Handler(options(dir))
	for _, test := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/api/v1/version", 200, `{"version":"gannet version 1"}`},
		{"GET", "/api/v1/systree", 200, `{"$SYS/broker/uptime":"1 seconds"}`},
		{"GET", "/api/v1/listeners", 200, `{"listeners":[{"name":"mqtt://:1883","address":"[::]:1883"}]}`},
		{"POST", "/api/v1/version", 405, ""},
		{"GET", "/", 200, "home"},
		{"GET", "/page.html", 200, "page"},
		{"GET", "/.secret", 404, ""},
		{"GET", "/empty/", 404, ""},
		{"GET", "/empty/file", 200, "f"},
		{"GET", "/%2e%2e/" + filepath.Base(dir) + "/page.html", 404, ""},
		{"GET", "/nothing", 404, ""},
	} {
		w := httptest.NewRecorder()
		r, err := http.NewRequest(test.method, "http://host"+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.ServeHTTP(w, r)
		if w.Code != test.status || test.body != "" && strings.TrimSpace(w.Body.String()) != test.body {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, w.Code, w.Body, test.status, test.body)
		}
	}
}

// TestServeEnds: with a client that asks nothing still connected, and more clients than are served at a time behind it.
func TestServeEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, options("")) }()
	var idle []net.Conn
	for range ConnectionsMax {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	answered := make(chan string, 1)
	go func() {
		r, err := http.Get("http://" + l.Addr().String() + "/api/v1/version")
		if err != nil {
			answered <- err.Error()
			return
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		answered <- string(b)
	}()
	idle[0].Close() // makes room for it
	if s := <-answered; !strings.Contains(s, "gannet version 1") {
		t.Errorf("answer: %s", s)
	}
	stop()
	for _, c := range idle[1:] {
		c.Close()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

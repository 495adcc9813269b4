package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// socketName is the socket's name in the data folder.
const socketName = "control.sock"

const (
	headerTimeout = 5 * time.Second  // for a request to arrive
	lineTimeout   = 10 * time.Second // for a client to take a line; then it is told nothing any more
)

// Broker is what a Server makes available. Its functions are called on goroutines of the Server, Info by several at a time,
// Backup by one.
type Broker struct {
	Info func() Info
	// Backup makes a copy of the store at the absolute path to and calls progress on its own goroutine.
	Backup func(to string, progress func(what string, done, total int64)) error
	Log    *slog.Logger
}

// Info is a running broker in figures.
type Info struct {
	Store        string    `json:"store"`
	PID          int       `json:"pid"`
	Version      string    `json:"version"`
	Since        time.Time `json:"since"`
	Durability   string    `json:"durability"`
	Connections  int       `json:"connections"`
	Sessions     int       `json:"sessions"`
	Retained     int       `json:"retained"`
	PendingBytes int64     `json:"pendingBytes"`    // wait for the disk
	Fault        string    `json:"fault,omitempty"` // what is wrong with the disk now
}

// Server answers on the socket of one data folder. End it with Stop and Wait.
type Server struct {
	broker   Broker
	listener net.Listener
	http     http.Server
	joined   chan struct{}

	requests  sync.RWMutex // held for reading by each request, for good by Wait
	backingUp sync.Mutex
}

// Serve makes the socket in dir and begins to answer. The caller has the store in dir open, which is what makes sure that
// a socket that lies there is of a broker that was killed.
func Serve(dir string, b Broker) (*Server, error) {
	l, err := listen(filepath.Join(dir, socketName))
	if err != nil {
		return nil, err
	}
	s := &Server{broker: b, listener: l, joined: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", s.request(s.info))
	mux.HandleFunc("POST /backup", s.request(s.backup))
	s.http = http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, ErrorLog: slog.NewLogLogger(b.Log.Handler(), slog.LevelWarn)}
	s.http.SetKeepAlivesEnabled(false)
	go func() {
		defer close(s.joined)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			b.Log.Error("control socket ended", "socket", l.Addr().String(), "reason", err)
		}
	}()
	return s, nil
}

// listen makes a socket that only its owner may connect to, at no moment anybody else.
func listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	var lc net.ListenConfig
	lc.Control = func(_, _ string, raw syscall.RawConn) (err error) {
		// Linux gives the name in the file system the mode of the socket; elsewhere Chmod has to do.
		return errors.Join(raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o600) }), err)
	}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("control socket: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

// Stop removes the socket. It comes before the store is closed: after that the folder may be another broker's. What is being
// answered goes on.
func (s *Server) Stop() { _ = s.listener.Close() }

// Wait comes after Stop, waits for the requests that are being answered, a backup too, and joins the goroutines.
func (s *Server) Wait() {
	s.requests.Lock() // and never unlocked
	_ = s.http.Close()
	<-s.joined
}

// request keeps Wait waiting while h runs.
func (s *Server) request(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.requests.TryRLock() {
			http.Error(w, "the broker is being stopped", http.StatusServiceUnavailable)
			return
		}
		defer s.requests.RUnlock()
		h(w, r)
	}
}

func (s *Server) info(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.broker.Info())
}

func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	to := r.URL.Query().Get("to")
	if !filepath.IsAbs(to) {
		http.Error(w, fmt.Sprintf("to %q: not an absolute path", to), http.StatusBadRequest)
		return
	}
	if !s.backingUp.TryLock() {
		http.Error(w, "another backup is being made", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := lineWriter{w: w, control: http.NewResponseController(w)}
	last := step{End: true}
	if err := s.copyStore(to, &out); err != nil {
		last.Error = err.Error()
	}
	out.write(last) // and who reads it may ask for the next backup
}

// copyStore makes a backup and gives back the right to make one.
func (s *Server) copyStore(to string, out *lineWriter) error {
	defer s.backingUp.Unlock()
	s.broker.Log.Info("backup begun", "to", to)
	err := s.broker.Backup(to, func(what string, done, total int64) {
		out.write(step{What: what, Done: done, Total: total})
	})
	if err != nil {
		s.broker.Log.Error("backup ended", "to", to, "reason", err)
		return err
	}
	s.broker.Log.Info("backup done", "to", to)
	return nil
}

// step is one line of the answer to a backup. End marks the last one: an answer without it was cut off.
type step struct {
	What  string `json:"what,omitempty"`
	Done  int64  `json:"done,omitempty"`
	Total int64  `json:"total,omitempty"`
	End   bool   `json:"end,omitempty"`
	Error string `json:"error,omitempty"`
}

// lineWriter sends lines to a client as long as it takes them. The backup goes on without it.
type lineWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	gone    bool
}

func (l *lineWriter) write(s step) {
	if l.gone {
		return
	}
	err := errors.Join(l.control.SetWriteDeadline(time.Now().Add(lineTimeout)), json.NewEncoder(l.w).Encode(s), l.control.Flush())
	l.gone = err != nil
}

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"time"
)

// The bounds of a Server. Nobody needs more of it; who sends or reads too slowly is closed.
const (
	ConnectionsMax = 64 // a further one waits in the system's backlog
	HeaderBytesMax = 8 << 10
	Patience       = 10 * time.Second // for a request to arrive, and for an answer to be taken
)

// Options say what there is to tell. The functions may be called from any goroutine, several at a time.
type Options struct {
	Version   string
	Figures   func() map[string]string // payload by topic; the caller owns the map
	Listeners func() []Listener
	Dir       string // files to serve at all other paths; empty: none
}

// Listener is a place where the broker accepts clients.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
}

// Handler answers requests.
func Handler(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"version": o.Version})
	})
	mux.HandleFunc("GET /api/v1/systree", func(w http.ResponseWriter, _ *http.Request) { answer(w, o.Figures()) })
	mux.HandleFunc("GET /api/v1/listeners", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string][]Listener{"listeners": o.Listeners()})
	})
	if o.Dir != "" {
		mux.Handle("GET /", http.FileServerFS(plainFiles{os.DirFS(o.Dir)}))
	}
	return mux
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(what) // whoever asked has gone
}

// plainFiles shows files and the folders that have an index.html, and nothing whose name begins with a dot.
type plainFiles struct{ fs.FS }

func (f plainFiles) Open(name string) (fs.File, error) {
	for part := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(part, ".") && part != "." {
			return nil, fs.ErrNotExist
		}
	}
	file, err := f.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		if _, err := fs.Stat(f.FS, path.Join(name, "index.html")); err != nil {
			_ = file.Close()
			return nil, fs.ErrNotExist
		}
	}
	return file, nil
}

// Serve answers on l until ctx ends, and closes l. It returns when the last answer is given or, after Patience, given up.
func Serve(ctx context.Context, l net.Listener, o Options) error {
	s := http.Server{
		Handler: Handler(o), ReadTimeout: Patience, WriteTimeout: Patience, IdleTimeout: Patience, MaxHeaderBytes: HeaderBytesMax,
	}
	var closing sync.WaitGroup
	ended, end := context.WithCancel(ctx)
	closing.Go(func() {
		<-ended.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), Patience)
		defer cancel()
		if s.Shutdown(late) != nil {
			_ = s.Close()
		}
	})
	err := s.Serve(&few{Listener: l, slots: make(chan struct{}, ConnectionsMax), done: ended.Done()})
	asked := ctx.Err() != nil
	end()
	closing.Wait()
	if asked || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// few is a listener that accepts no more than a few connections at a time.
type few struct {
	net.Listener
	slots chan struct{}
	done  <-chan struct{}
}

func (f *few) Accept() (net.Conn, error) {
	select {
	case f.slots <- struct{}{}:
	case <-f.done:
		return nil, net.ErrClosed
	}
	c, err := f.Listener.Accept()
	if err != nil {
		<-f.slots
		return nil, err
	}
	return &counted{Conn: c, leave: sync.OnceFunc(func() { <-f.slots })}, nil
}

type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

package jwt

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/gannetmq/gannet/engine/auth/httpclient"
)

// fetcher keeps the keys behind a URL fresh. Its goroutine is started by start and joined by stop.
type fetcher struct {
	client       *httpclient.Client
	refresh, gap time.Duration
	now          func() time.Time
	events       *Events
	put          func(keys []key) // takes what was fetched, if it is not the same as before

	cancel context.CancelFunc
	kick   chan struct{} // a fetch is wanted early
	done   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	wanted  bool      // a fetch is under way, or about to be
	began   time.Time // when the last one did
	waiting []func()  // called when it has ended, well or not

	last    []byte // what was fetched; the goroutine's, as are those below
	failing bool
	works   bool
}

func newFetcher(o *Options, put func([]key)) (*fetcher, error) {
	client, err := httpclient.New(httpclient.Options{
		URL: o.JWKSURL, CAFile: o.CAFile, AllowPlainHTTP: o.AllowHTTP, Timeout: o.FetchTimeout, AnswerBytesMax: jwksBytesMax, Transport: o.transport,
	})
	if err != nil {
		return nil, fmt.Errorf("jwt: jwks: %w", err)
	}
	return &fetcher{
		client: client, refresh: o.Refresh, gap: o.RefreshGap, now: o.Now, events: &o.Events, put: put,
		kick: make(chan struct{}, 1), wanted: true,
	}, nil
}

func (f *fetcher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	f.cancel = cancel
	f.done.Go(func() { f.run(ctx) })
}

// stop ends a fetch that is under way, and calls whoever waits for it.
func (f *fetcher) stop() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.done.Wait()
	f.client.Close()
}

func (f *fetcher) run(ctx context.Context) {
	for {
		pause := f.refresh
		if !f.fetch(ctx) {
			pause = min(f.refresh, f.gap)
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			f.release() // those who came since the last fetch; nobody does any more
			return
		case <-timer.C:
			f.mu.Lock()
			f.wanted = true
			f.mu.Unlock()
		case <-f.kick:
			timer.Stop()
		}
	}
}

// after calls what once the next fetch has ended, on the goroutine of the fetcher. False: there will be none soon, or too many wait.
func (f *fetcher) after(what func()) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.waiting) >= fetchWaitingMax || !f.wanted && f.now().Sub(f.began) < f.gap {
		return false
	}
	f.waiting = append(f.waiting, what)
	if !f.wanted {
		f.wanted = true
		select {
		case f.kick <- struct{}{}:
		default: // one that nobody has taken yet
		}
	}
	return true
}

// fetch asks once. A kick that came before it is answered by it.
func (f *fetcher) fetch(ctx context.Context) bool {
	f.mu.Lock()
	f.began = f.now()
	f.mu.Unlock()
	select {
	case <-f.kick:
	default:
	}
	n, err := f.ask(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if !f.failing && f.events.FetchFailed != nil {
			f.events.FetchFailed(err)
		}
		f.failing = true
	default:
		if (f.failing || !f.works) && f.events.Fetched != nil {
			f.events.Fetched(n)
		}
		f.failing, f.works = false, true
	}
	f.release()
	return err == nil
}

// release calls who waits.
func (f *fetcher) release() {
	f.mu.Lock()
	waiting := f.waiting
	f.waiting, f.wanted = nil, false
	f.mu.Unlock()
	for _, what := range waiting {
		what()
	}
}

func (f *fetcher) ask(ctx context.Context) (int, error) {
	a, err := f.client.Ask(ctx, "GET", nil, "", nil)
	if err != nil {
		return 0, fmt.Errorf("fetch keys: %w", err)
	}
	if a.Status != 200 {
		return 0, fmt.Errorf("fetch keys: %s answers with status %d", f.client.Name(), a.Status)
	}
	keys, err := parseJWKS(a.Body, false)
	if err != nil {
		return 0, fmt.Errorf("fetch keys: %s: %w", f.client.Name(), err)
	}
	if !bytes.Equal(a.Body, f.last) {
		f.last = a.Body
		f.put(keys)
	}
	return len(keys), nil
}

package webhook

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/grant"
	"github.com/gannetmq/gannet/engine/auth/httpclient"
	"github.com/gannetmq/gannet/engine/auth/work"
	"github.com/gannetmq/gannet/engine/session"
)

// Judge is an auth.Judge that asks a service. Safe for concurrent use.
type Judge struct {
	o       Options
	service *httpclient.Client
	second  *httpclient.Client // for rules; nil: there is none
	secret  []byte             // of digests
	grants  *grant.Reader
	pool    *work.Pool
	cache   *work.Cache[*outcome]
	breaker *breaker
	ctx     context.Context // of all requests
	cancel  context.CancelFunc

	mu      sync.Mutex
	flights map[work.Key]*flight // questions in line or under way
	told    time.Time            // when Events.Failed was called last

	asked, cached, merged, requests, allowed, denied, ignored, failed, shorted, overloaded atomic.Uint64
}

// flight is one question, and who waits for its answer.
type flight struct {
	question *question
	since    time.Time
	waiting  []func(auth.Answer) // under Judge.mu
}

// Stats are counters since New.
type Stats struct {
	Asked      uint64 // clients
	Cached     uint64 // of which so many had an answer that was remembered
	Merged     uint64 // and so many waited for the answer of another one
	Requests   uint64 // to the service
	Allowed    uint64 // clients; so are the next ones
	Denied     uint64
	Ignored    uint64 // no opinion
	Failed     uint64 // got no answer of the service, and so Options.Down
	Shorted    uint64 // of which so many because the breaker was open
	Overloaded uint64 // refused with 0x89
	Opened     uint64 // how often the breaker did
}

// New reads the files that o names. It opens no connection yet. Close ends what the Judge starts.
func New(o Options) (*Judge, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	j := &Judge{
		o:       o,
		secret:  make([]byte, 32),
		grants:  grant.NewReader(),
		pool:    work.NewPool(o.Connections, o.Waiting),
		cache:   work.NewCache[*outcome](o.CacheEntries),
		breaker: &breaker{inARowMax: o.FailuresInARow, pause: o.Pause},
		flights: make(map[work.Key]*flight),
	}
	_, _ = rand.Read(j.secret) // never fails
	var err error
	if j.service, err = o.client(o.URL); err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if o.RulesURL != "" {
		if j.second, err = o.client(o.RulesURL); err != nil {
			return nil, fmt.Errorf("webhook: rules: %w", err)
		}
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j, nil
}

func (o *Options) client(url string) (*httpclient.Client, error) {
	return httpclient.New(httpclient.Options{
		URL: url, Header: o.Header, CAFile: o.CAFile, CertFile: o.CertFile, KeyFile: o.KeyFile, AllowPlainHTTP: o.AllowHTTP,
		Connections: o.Connections, Timeout: o.Timeout, AnswerBytesMax: AnswerBytesMax, Transport: o.transport,
	})
}

// Close ends the requests that are under way, refuses who waits, with 0x88, and joins all goroutines. From then on everybody is refused.
func (j *Judge) Close() {
	j.cancel()
	j.pool.Close()
	j.service.Close()
	if j.second != nil {
		j.second.Close()
	}
}

// Forget drops all answers that are remembered, for when the operator knows that they have changed.
func (j *Judge) Forget() { j.cache.Clear() }

// Stats returns the counters.
func (j *Judge) Stats() Stats {
	j.breaker.mu.Lock()
	opened := j.breaker.opened
	j.breaker.mu.Unlock()
	return Stats{
		Asked: j.asked.Load(), Cached: j.cached.Load(), Merged: j.merged.Load(), Requests: j.requests.Load(),
		Allowed: j.allowed.Load(), Denied: j.denied.Load(), Ignored: j.ignored.Load(),
		Failed: j.failed.Load(), Shorted: j.shorted.Load(), Overloaded: j.overloaded.Load(), Opened: opened,
	}
}

// Judge implements auth.Judge.
func (j *Judge) Judge(c *session.Credentials, done func(auth.Answer)) {
	j.asked.Add(1)
	now := j.o.Now()
	q := newQuestion(c)
	key := q.digest(j.secret)
	if o, ok := j.cache.Get(key, now); ok {
		j.cached.Add(1)
		j.counter(o.answer.Opinion).Add(1)
		done(o.answer)
		return
	}
	f, joined := j.board(key, q, now, done)
	switch {
	case f == nil:
		j.overloaded.Add(1)
		done(busy)
		return
	case joined:
		j.merged.Add(1)
		return
	case !j.breaker.ready(now):
		j.land(key, f, j.down(), &j.failed, &j.shorted)
		return
	}
	took := j.pool.Try(work.Task{
		Key:  q.Address,
		Run:  func() { j.run(key, f) },
		Drop: func() { j.land(key, f, shutdown, &j.denied) },
	})
	switch {
	case took:
	case j.pool.Closed():
		j.land(key, f, shutdown, &j.denied)
	default:
		j.land(key, f, busy, &j.overloaded)
	}
}

var (
	busy     = refuse(codec.ServerBusy)
	shutdown = refuse(codec.ServerUnavailable) // 0x8B is not for CONNACK
)

// down is what is answered in place of the service.
func (j *Judge) down() auth.Answer {
	a := refuse(codec.ServerUnavailable)
	if j.o.Down == Ignore {
		a.Opinion = auth.NoOpinion
	}
	return a
}

func (j *Judge) counter(o auth.Opinion) *atomic.Uint64 {
	switch o {
	case auth.Allow:
		return &j.allowed
	case auth.Deny:
		return &j.denied
	}
	return &j.ignored
}

// board joins the flight of the same question, or begins one; nil if too many are on it already.
func (j *Judge) board(key work.Key, q *question, now time.Time, done func(auth.Answer)) (f *flight, joined bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	f, joined = j.flights[key]
	if !joined {
		f = &flight{question: q, since: now}
		j.flights[key] = f
	}
	if len(f.waiting) >= mergedMax {
		return nil, false
	}
	f.waiting = append(f.waiting, done)
	return f, joined
}

// land ends a flight: everybody on it gets the answer, and is counted.
func (j *Judge) land(key work.Key, f *flight, a auth.Answer, counters ...*atomic.Uint64) {
	j.mu.Lock()
	delete(j.flights, key)
	waiting := f.waiting
	j.mu.Unlock()
	for _, c := range counters {
		c.Add(uint64(len(waiting)))
	}
	for _, done := range waiting {
		done(a)
	}
}

// run asks the service, on a goroutine of the pool, if that still makes sense.
func (j *Judge) run(key work.Key, f *flight) {
	now := j.o.Now()
	if now.Sub(f.since) >= j.o.Timeout {
		j.land(key, f, busy, &j.overloaded)
		return
	}
	epoch, ok := j.breaker.take(now)
	if !ok {
		j.land(key, f, j.down(), &j.failed, &j.shorted)
		return
	}
	o, err := j.ask(f.question, now)
	if j.ctx.Err() != nil {
		j.land(key, f, shutdown, &j.denied)
		return
	}
	now = j.o.Now()
	j.report(epoch, err, now)
	if err != nil {
		j.land(key, f, j.down(), &j.failed)
		return
	}
	j.remember(key, o, now)
	j.land(key, f, o.answer, j.counter(o.answer.Opinion))
}

// ask asks about a client, and for its rules if it is let in without any.
func (j *Judge) ask(q *question, now time.Time) (*outcome, error) {
	a, err := j.request(j.service, q)
	if err != nil {
		return nil, err
	}
	o, err := j.read(a, now)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", j.service.Name(), err)
	}
	if j.second == nil || o.answer.Opinion != auth.Allow || o.rules {
		return o, nil
	}
	if a, err = j.request(j.second, q.known(&o.answer.Verdict)); err != nil {
		return nil, err
	}
	if err := j.readRules(o, a, now); err != nil {
		return nil, fmt.Errorf("%s: %w", j.second.Name(), err)
	}
	if ttl := maxAge(a.Header.Values("Cache-Control")); ttl >= 0 && (o.ttl < 0 || ttl < o.ttl) {
		o.ttl = ttl
	}
	return o, nil
}

func (j *Judge) request(to *httpclient.Client, q *question) (*httpclient.Answer, error) {
	j.requests.Add(1)
	method, query, contentType, body, err := q.encode(j.o.Format)
	if err != nil {
		panic("webhook: a question that cannot be encoded: " + err.Error())
	}
	return to.Ask(j.ctx, method, query, contentType, body)
}

// report tells the breaker, and whoever listens, how it went.
func (j *Judge) report(epoch uint64, err error, now time.Time) {
	var f *failure
	alive := err == nil || errors.As(err, &f) && f.alive
	to, changed := j.breaker.report(epoch, alive, now)
	if err != nil && j.o.Events.Failed != nil && j.mayTell(now) {
		j.o.Events.Failed(err)
	}
	switch {
	case changed && to == open && j.o.Events.Opened != nil:
		j.o.Events.Opened()
	case changed && to == closed && j.o.Events.Closed != nil:
		j.o.Events.Closed()
	}
}

// mayTell bounds how often a failure is told: clients might be able to bring them about.
func (j *Judge) mayTell(now time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.told.IsZero() && now.Sub(j.told) < tellEvery {
		return false
	}
	j.told = now
	return true
}

// remember keeps an answer for as long as the service and the options allow.
func (j *Judge) remember(key work.Key, o *outcome, now time.Time) {
	ttl := j.o.DenyTTL
	switch {
	case o.answer.Opinion == auth.Allow && j.o.AllowTTL >= 0:
		if ttl = j.o.AllowTTL; o.ttl >= 0 {
			ttl = o.ttl
		}
	case o.answer.Opinion == auth.Allow:
		ttl = 0
	case o.ttl >= 0:
		ttl = min(ttl, o.ttl)
	}
	until := now.Add(ttl)
	if !o.expires.IsZero() && o.expires.Before(until) {
		until = o.expires
	}
	j.cache.Put(key, o, until, now)
}

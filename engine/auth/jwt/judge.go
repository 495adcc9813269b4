package jwt

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/auth/grant"
	"github.com/gannetmq/gannet/engine/auth/work"
	"github.com/gannetmq/gannet/engine/session"
)

// Judge is an auth.Judge of clients with tokens. Safe for concurrent use.
type Judge struct {
	o      Options
	parser *gojwt.Parser
	grants *grant.Reader
	pool   *work.Pool
	cache  *work.Cache[*verified]
	fetch  *fetcher // nil: no URL

	changing sync.Mutex // held while a keyring takes the place of another
	ring     atomic.Pointer[keyring]

	asked, cached, allowed, denied, overloaded atomic.Uint64
}

// keyring is all keys at one time. Immutable.
type keyring struct {
	keys          []key
	files, remote []key
	complete      bool // those behind the URL, if there is one, are in
}

// Stats are counters since New.
type Stats struct {
	Asked      uint64 // clients with something that looked like a token
	Cached     uint64 // of which so many were known
	Allowed    uint64
	Denied     uint64 // for whatever reason
	Overloaded uint64 // of which so many because too many were waiting
}

// New reads the key files and starts to fetch the keys behind a URL. Close ends what it starts.
func New(o Options) (*Judge, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	files, err := fileKeys(&o)
	if err != nil {
		return nil, err
	}
	j := &Judge{
		o:      o,
		parser: gojwt.NewParser(gojwt.WithValidMethods(o.Algorithms), gojwt.WithStrictDecoding(), gojwt.WithoutClaimsValidation()),
		grants: grant.NewReader(),
		pool:   work.NewPool(o.Workers, o.Waiting),
		cache:  work.NewCache[*verified](o.CacheEntries),
	}
	j.ring.Store(&keyring{keys: files, files: files, complete: o.JWKSURL == ""})
	if o.JWKSURL != "" {
		if j.fetch, err = newFetcher(&j.o, j.fetched); err != nil {
			return nil, err
		}
		j.fetch.start()
	}
	return j, nil
}

// Reload reads the key files again: all of them, or, with an error, none.
func (j *Judge) Reload() error {
	take, err := j.ReadKeys()
	if err == nil {
		take()
	}
	return err
}

// ReadKeys is Reload in two parts, of which take, the second, cannot fail.
func (j *Judge) ReadKeys() (take func(), err error) {
	files, err := fileKeys(&j.o)
	if err != nil {
		return nil, err
	}
	return func() { j.replace(func(r *keyring) { r.files = files }) }, nil
}

func (j *Judge) fetched(keys []key) {
	j.replace(func(r *keyring) { r.remote, r.complete = keys, true })
}

// replace makes other keys those that count. What was verified by the ones before is forgotten.
func (j *Judge) replace(change func(*keyring)) {
	j.changing.Lock()
	defer j.changing.Unlock()
	next := *j.ring.Load()
	change(&next)
	next.keys = append(next.files[:len(next.files):len(next.files)], next.remote...)
	j.ring.Store(&next)
	j.cache.Clear()
}

// Close refuses who waits, with 0x88, and joins all goroutines. From then on everybody is refused.
func (j *Judge) Close() {
	if j.fetch != nil {
		j.fetch.stop()
	}
	j.pool.Close()
}

// Stats returns the counters.
func (j *Judge) Stats() Stats {
	return Stats{j.asked.Load(), j.cached.Load(), j.allowed.Load(), j.denied.Load(), j.overloaded.Load()}
}

// question is one client that waits for an answer.
type question struct {
	c       *session.Credentials
	token   string
	key     work.Key
	done    func(auth.Answer)
	fetched bool // keys were fetched for it already
}

// Judge implements auth.Judge.
func (j *Judge) Judge(c *session.Credentials, done func(auth.Answer)) {
	token := c.Password
	if j.o.Field == UserName {
		token = []byte(c.UserName)
	}
	if !looksLikeToken(token) {
		done(auth.Answer{})
		return
	}
	j.asked.Add(1)
	q := &question{c: c, done: done}
	if len(token) > TokenBytesMax {
		j.deny(q, codec.NotAuthorized, ErrTooLong)
		return
	}
	q.key = sha256.Sum256(token)
	if v, ok := j.cache.Get(q.key, j.o.Now()); ok && v.ring == j.ring.Load() {
		j.cached.Add(1)
		j.decide(q, v)
		return
	}
	q.token = string(token)
	j.submit(q)
}

func (j *Judge) submit(q *question) {
	took := j.pool.Try(work.Task{
		Key:  work.Address(q.c.Addr),
		Run:  func() { j.answer(q) },
		Drop: func() { j.deny(q, codec.ServerUnavailable, nil) },
	})
	if took {
		return
	}
	if j.pool.Closed() {
		j.deny(q, codec.ServerUnavailable, nil)
		return
	}
	j.overloaded.Add(1)
	j.deny(q, codec.ServerBusy, ErrBusy)
}

// answer verifies a token, on a goroutine of the pool. If its key is not known, the question may come again after a fetch.
func (j *Judge) answer(q *question) {
	ring, now := j.ring.Load(), j.o.Now()
	said, err := j.verify(q.token, ring)
	if missing := errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrNoKeys); missing && j.fetch != nil && !q.fetched {
		q.fetched = true
		if j.fetch.after(func() { j.submit(q) }) {
			return
		}
	}
	var v *verified
	if err == nil {
		v, err = j.check(said, now)
	}
	switch {
	case errors.Is(err, ErrNoKeys):
		j.deny(q, codec.ServerUnavailable, err)
		return
	case err != nil:
		j.deny(q, codec.NotAuthorized, err)
		return
	}
	v.ring = ring
	until := v.expires
	if until.IsZero() {
		until = now.Add(cacheWithoutExpiry)
	}
	j.cache.Put(q.key, v, until, now)
	j.decide(q, v)
}

// decide judges the client by a token that is good.
func (j *Judge) decide(q *question, v *verified) {
	if !j.fits(v, q.c) {
		j.deny(q, codec.NotAuthorized, ErrRequiredClaim)
		return
	}
	verdict := session.Verdict{UserName: v.user, Authorizer: v.authorizer}
	if !v.expires.IsZero() && !j.o.StayConnected {
		verdict.Expires = session.Time(v.expires.UnixMilli())
	}
	j.allowed.Add(1)
	q.done(auth.Answer{Opinion: auth.Allow, Verdict: verdict})
}

func (j *Judge) deny(q *question, code codec.ReasonCode, why error) {
	j.denied.Add(1)
	if why != nil && j.o.Events.Refused != nil {
		j.o.Events.Refused(q.c, why)
	}
	q.done(auth.Answer{Opinion: auth.Deny, Verdict: session.Verdict{Code: code}})
}

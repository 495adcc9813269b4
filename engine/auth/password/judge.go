package password

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// Defaults of Options.
const (
	QueueMaxDefault   = 4096
	WaitingMaxDefault = 64 << 10
	WaitMaxDefault    = 20 * time.Second
	MemoryMaxDefault  = 256 << 10 // KiB
	CacheMaxDefault   = 64 << 10
	CacheTTLDefault   = time.Hour
)

// Options are what a Judge needs besides its File. In the zero value everything has its default.
type Options struct {
	Workers    int // passwords hashed at once; 0: one for each two processors, at least one
	QueueMax   int // questions that wait for a worker; 0: QueueMaxDefault. Beyond it: 0x89 Server busy
	AddressMax int // of these from one address, or one /64 of IPv6; 0: a quarter of QueueMax. Beyond it: 0x89
	WaitingMax int // clients that wait for the answers, those who asked the same among them; 0: WaitingMaxDefault. Beyond it: 0x89
	MemoryMax  int // KiB that argon2id takes at once in all workers together, one hash always excepted; 0: MemoryMaxDefault. Beyond it: workers wait

	// WaitMax is how long a question may wait for a worker; 0: WaitMaxDefault. After it the client is told 0x89, because it will have
	// given up, and to hash its password would keep others waiting.
	WaitMax time.Duration

	CacheMax int           // passwords remembered as right; 0: CacheMaxDefault; negative: none. Beyond it: the oldest is forgotten
	CacheTTL time.Duration // how long; 0: CacheTTLDefault; negative: not at all

	// Followed says that another judge is asked after this one: who is not in the file is then passed on at once, without the work that
	// hides who is.
	Followed bool

	// Now is the clock, called by many goroutines; nil: time.Now.
	Now func() time.Time
}

// Validate says what is wrong with o, or nil.
func (o *Options) Validate() error {
	for _, bound := range []struct {
		name  string
		value int
	}{{"Workers", o.Workers}, {"QueueMax", o.QueueMax}, {"AddressMax", o.AddressMax}, {"WaitingMax", o.WaitingMax}, {"MemoryMax", o.MemoryMax}} {
		if bound.value < 0 {
			return fmt.Errorf("%s: %d, less than 0", bound.name, bound.value)
		}
	}
	if o.WaitMax < 0 {
		return errors.New("WaitMax: negative")
	}
	return nil
}

func (o Options) withDefaults() Options {
	o.Workers = cmp.Or(o.Workers, max(1, runtime.GOMAXPROCS(0)/2))
	o.QueueMax = cmp.Or(o.QueueMax, QueueMaxDefault)
	o.AddressMax = min(cmp.Or(o.AddressMax, max(1, o.QueueMax/4)), o.QueueMax)
	o.WaitingMax = cmp.Or(o.WaitingMax, WaitingMaxDefault)
	o.MemoryMax = cmp.Or(o.MemoryMax, MemoryMaxDefault)
	o.WaitMax = cmp.Or(o.WaitMax, WaitMaxDefault)
	o.CacheMax = cmp.Or(o.CacheMax, CacheMaxDefault)
	o.CacheTTL = cmp.Or(o.CacheTTL, CacheTTLDefault)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Stats count what a Judge was asked, and how it answered. Each question ends as one of Cached to Closed.
type Stats struct {
	Asked      uint64 // questions with a user name
	Cached     uint64 // allowed from memory
	Verified   uint64 // allowed after hashing
	Denied     uint64 // no password, or a wrong one
	Unknown    uint64 // users that are not in the file: no opinion
	Overloaded uint64 // refused with 0x89
	Closed     uint64 // refused because the judge was closed

	Merged uint64 // of Asked, those who asked what somebody else was waiting for already
	Hashed uint64 // hashes computed
}

// Judge answers for the users of a File. It is an auth.Judge, and safe for concurrent use.
type Judge struct {
	o       Options
	key     [sha256.Size]byte // of digests
	file    atomic.Pointer[File]
	matches func(h *Hash, password []byte) bool
	workers sync.WaitGroup

	mu        sync.Mutex
	asked     sync.Cond // there is a question, or the end
	freed     sync.Cond // there is memory, or the end
	queue     *queue
	pending   map[digest]*question // in the queue, or with a worker
	waiting   int                  // askers of all pending
	cache     *cache
	memoryKiB int // in use
	closed    bool
	stats     Stats
}

var _ auth.Judge = (*Judge)(nil)

// New returns a judge for the users of f, which must not be nil, and starts its workers. o must be valid. The judge must be closed.
func New(f *File, o Options) *Judge { return newJudge(f, o, (*Hash).Matches) }

func newJudge(f *File, o Options, matches func(*Hash, []byte) bool) *Judge {
	if err := o.Validate(); err != nil {
		panic("password: options: " + err.Error())
	}
	o = o.withDefaults()
	j := &Judge{
		o:       o,
		matches: matches,
		queue:   newQueue(o.QueueMax, o.AddressMax),
		pending: make(map[digest]*question),
		cache:   newCache(o.CacheMax, o.CacheTTL),
	}
	j.asked.L, j.freed.L = &j.mu, &j.mu
	rand.Read(j.key[:]) // never fails: crypto/rand ends the process instead
	j.Swap(f)
	for range o.Workers {
		j.workers.Go(j.work)
	}
	return j
}

// Swap replaces the file. No answer is given from a line of the old one that is not in the new one, not even to questions that
// were asked before. f must not be nil.
func (j *Judge) Swap(f *File) {
	if f == nil {
		panic("password: judge needs a file, an empty one at least")
	}
	j.file.Store(f)
}

// Close ends the workers, and returns when they are done with the hashes they are at. Questions that wait, and those that come
// later, are refused with 0x88 Server unavailable. It must not be called from an answer.
func (j *Judge) Close() {
	j.mu.Lock()
	j.closed = true
	var dropped []*question
	for q := j.queue.pop(); q != nil; q = j.queue.pop() {
		j.forget(q, &j.stats.Closed)
		dropped = append(dropped, q)
	}
	j.asked.Broadcast()
	j.freed.Broadcast()
	j.mu.Unlock()
	for _, q := range dropped {
		q.answer(refusal(codec.ServerUnavailable))
	}
	j.workers.Wait()
}

// Stats returns the counters.
func (j *Judge) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stats
}

// Judge implements auth.Judge. A client without a user name is no business of a password file. What is too long for one is not hashed: neither a known
// user nor anybody else can have it.
func (j *Judge) Judge(c *session.Credentials, done func(auth.Answer)) {
	if !c.HasUserName {
		done(auth.Answer{})
		return
	}
	h, known := j.file.Load().lookup(c.UserName)
	if !c.HasPassword || len(c.Password) > PasswordBytesMax || len(c.UserName) > UserNameBytesMax || !known && j.o.Followed {
		done(j.atOnce(known))
		return
	}
	d := digestOf(&j.key, c.UserName, c.Password, &h)
	answer, displaced := j.ask(c, d, done)
	displaced.answer(refusal(codec.ServerBusy))
	if answer != nil {
		done(*answer)
	}
}

// atOnce is the answer where there is nothing to hash.
func (j *Judge) atOnce(known bool) auth.Answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Asked++
	if known {
		j.stats.Denied++
		return auth.Answer{Opinion: auth.Deny}
	}
	j.stats.Unknown++
	return auth.Answer{}
}

// ask finds a place for a question, or its answer. Who was displaced is to be told, and may be nil.
func (j *Judge) ask(c *session.Credentials, d digest, done func(auth.Answer)) (answer *auth.Answer, displaced *question) {
	now := j.o.Now()
	refuse := func(counter *uint64, code codec.ReasonCode) (*auth.Answer, *question) {
		*counter++
		a := refusal(code)
		return &a, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stats.Asked++
	if j.closed {
		return refuse(&j.stats.Closed, codec.ServerUnavailable)
	}
	if j.cache.has(d, now) {
		j.stats.Cached++
		return &auth.Answer{Opinion: auth.Allow}, nil
	}
	if j.waiting >= j.o.WaitingMax {
		return refuse(&j.stats.Overloaded, codec.ServerBusy)
	}
	if q, ok := j.pending[d]; ok {
		j.stats.Merged++
		j.waiting++
		q.askers = append(q.askers, done)
		return nil, nil
	}
	q := &question{digest: d, user: c.UserName, password: c.Password, asked: now, askers: []func(auth.Answer){done}}
	displaced, ok := j.queue.push(addressOf(c.Addr), q)
	if !ok {
		return refuse(&j.stats.Overloaded, codec.ServerBusy)
	}
	if displaced != nil {
		j.forget(displaced, &j.stats.Overloaded)
	}
	j.pending[d] = q
	j.waiting++
	j.asked.Signal()
	return nil, displaced
}

// forget makes an end of a pending question, whose askers are counted by counter. It needs the lock.
func (j *Judge) forget(q *question, counter *uint64) {
	delete(j.pending, q.digest)
	j.waiting -= len(q.askers)
	*counter += uint64(len(q.askers))
}

// answer tells all askers, without the lock. After forget there are no further ones.
func (q *question) answer(a auth.Answer) {
	if q == nil {
		return
	}
	for _, done := range q.askers {
		done(a)
	}
}

func refusal(code codec.ReasonCode) auth.Answer {
	return auth.Answer{Opinion: auth.Deny, Verdict: session.Verdict{Code: code}}
}

// work is one worker.
func (j *Judge) work() {
	for {
		q := j.next()
		if q == nil {
			return
		}
		q.answer(j.settle(q))
	}
}

// next waits for a question, nil at the end.
func (j *Judge) next() *question {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if q := j.queue.pop(); q != nil {
			return q
		}
		if j.closed {
			return nil
		}
		j.asked.Wait()
	}
}

// settle works a question out.
func (j *Judge) settle(q *question) auth.Answer {
	if j.o.Now().Sub(q.asked) > j.o.WaitMax {
		return j.conclude(q, &j.stats.Overloaded, refusal(codec.ServerBusy))
	}
	for {
		h, known := j.file.Load().lookup(q.user)
		if !j.reserve(&h) {
			return j.conclude(q, &j.stats.Closed, refusal(codec.ServerUnavailable))
		}
		right := j.matches(&h, q.password)
		j.release(&h)
		if current, still := j.file.Load().lookup(q.user); known != still || known && current != h {
			continue // the file was swapped meanwhile, and has another line for this user
		}
		switch {
		case !known:
			return j.conclude(q, &j.stats.Unknown, auth.Answer{})
		case !right:
			return j.conclude(q, &j.stats.Denied, auth.Answer{Opinion: auth.Deny})
		default:
			j.remember(q, &h)
			return j.conclude(q, &j.stats.Verified, auth.Answer{Opinion: auth.Allow})
		}
	}
}

func (j *Judge) conclude(q *question, counter *uint64, a auth.Answer) auth.Answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.forget(q, counter)
	return a
}

func (j *Judge) remember(q *question, h *Hash) {
	d := digestOf(&j.key, q.user, q.password, h)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.cache.add(d, j.o.Now())
}

// reserve waits for the memory that h takes. At the end of the judge it reports false.
func (j *Judge) reserve(h *Hash) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for h.memoryKiB > 0 && j.memoryKiB > 0 && j.memoryKiB+int(h.memoryKiB) > j.o.MemoryMax {
		if j.closed {
			return false
		}
		j.freed.Wait()
	}
	j.memoryKiB += int(h.memoryKiB)
	j.stats.Hashed++
	return true
}

func (j *Judge) release(h *Hash) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.memoryKiB -= int(h.memoryKiB)
	if h.memoryKiB > 0 {
		j.freed.Broadcast()
	}
}

package password

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// tally collects how one kind of client fares.
type tally struct {
	mu      sync.Mutex
	waits   []time.Duration // of those allowed
	refused int             // with 0x89
	denied  int
}

// asks asks and counts. It does not wait; pending is done with the answer.
func (c *tally) asks(j *Judge, pending *sync.WaitGroup, addr, user, password string) {
	pending.Add(1)
	begin := time.Now()
	j.Judge(&session.Credentials{Addr: addr, UserName: user, HasUserName: true, Password: []byte(password), HasPassword: true}, func(a auth.Answer) {
		defer pending.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case a.Opinion == auth.Allow:
			c.waits = append(c.waits, time.Since(begin))
		case a.Verdict.Code == codec.ServerBusy:
			c.refused++
		default:
			c.denied++
		}
	})
}

func (c *tally) report(b *testing.B, name string, unit time.Duration, unitName string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.Sort(c.waits)
	if n := len(c.waits); n > 0 {
		b.ReportMetric(float64(c.waits[n/2])/float64(unit), name+"-p50-"+unitName)
		b.ReportMetric(float64(c.waits[n*99/100])/float64(unit), name+"-p99-"+unitName)
	}
	b.ReportMetric(float64(len(c.waits)), name+"-allowed")
	b.ReportMetric(float64(c.refused), name+"-refused")
}

// BenchmarkUnderAttack sends 10,000 wrong passwords in a second, for users that exist, from a number of addresses, for some seconds. Meanwhile good clients log in,
// each from an address of its own: 20 in a second for the first time, and 1000 in a second that have logged in before. Run it with -benchtime 1x.
func BenchmarkUnderAttack(b *testing.B) {
	const seconds, users = 5, 1000
	h, err := NewHash(PBKDF2, 0, []byte("secret"))
	if err != nil {
		b.Fatal(err)
	}
	f := &File{users: make(map[string]Hash), common: h}
	for i := range users {
		f.users[fmt.Sprint("user", i)] = h
	}
	for _, addresses := range []int{0, 1, 100, 1000} {
		b.Run(fmt.Sprintf("%d addresses", addresses), func(b *testing.B) {
			for b.Loop() {
				underAttack(b, New(f, Options{}), addresses, seconds)
			}
		})
	}
}

func underAttack(b *testing.B, j *Judge, addresses, seconds int) {
	var bad, first, again tally
	var pending sync.WaitGroup
	known := 0 // users that have logged in
	for ; known < 10; known++ {
		first.asks(j, &pending, fmt.Sprintf("10.0.0.%d:1", known), fmt.Sprint("user", known), "secret")
	}
	pending.Wait()
	first = tally{}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range seconds * 100 {
		<-tick.C
		for n := range 100 {
			if addresses > 0 {
				k := i*100 + n
				addr := fmt.Sprintf("10.6.%d.%d:1", k%addresses/250, k%addresses%250)
				bad.asks(j, &pending, addr, fmt.Sprint("user", k%1000), fmt.Sprint("wrong", k))
			}
			if n%10 == 0 {
				again.asks(j, &pending, "10.0.0.1:1", fmt.Sprint("user", n/10), "secret")
			}
		}
		if i%5 == 0 {
			first.asks(j, &pending, fmt.Sprintf("10.0.%d.%d:1", 1+known/250, known%250), fmt.Sprint("user", known), "secret")
			known++
		}
	}
	hashed := j.Stats().Hashed
	b.StopTimer()
	pending.Wait() // what waits is answered or too old after Options.WaitMax
	j.Close()
	first.report(b, "new", time.Millisecond, "ms")
	again.report(b, "known", time.Microsecond, "us")
	b.ReportMetric(float64(bad.refused), "bad-refused")
	b.ReportMetric(float64(bad.denied), "bad-denied")
	b.ReportMetric(float64(hashed)/float64(seconds), "hashes/s")
	b.StartTimer()
}

// BenchmarkJudgeFromMemory is what an event loop spends on a client whose password is remembered.
func BenchmarkJudgeFromMemory(b *testing.B) {
	j := New(fileOf(b, lines(b, "a")), Options{})
	defer j.Close()
	c := &session.Credentials{Addr: "10.0.0.1:1", UserName: "a", HasUserName: true, Password: []byte("pw-a"), HasPassword: true}
	answered := make(chan struct{}, 1)
	done := func(auth.Answer) { answered <- struct{}{} }
	b.ReportAllocs()
	for b.Loop() {
		j.Judge(c, done)
		<-answered
	}
}

// BenchmarkJudgeRefuses is what an event loop spends on a question that finds the queue full.
func BenchmarkJudgeRefuses(b *testing.B) {
	stop := make(chan struct{})
	j := newJudge(fileOf(b, lines(b, "a")), Options{Workers: 1, QueueMax: 1}, func(*Hash, []byte) bool { <-stop; return false })
	defer j.Close()
	defer close(stop)
	c := &session.Credentials{Addr: "10.0.0.1:1", UserName: "a", HasUserName: true, HasPassword: true}
	for i := range 3 {
		c := *c
		c.Password = []byte(fmt.Sprint(i))
		j.Judge(&c, func(auth.Answer) {})
	}
	c.Password = []byte("another")
	b.ReportAllocs()
	for b.Loop() {
		j.Judge(c, func(auth.Answer) {})
	}
}

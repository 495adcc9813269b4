package password

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
	"github.com/gannetmq/gannet/engine/session"
)

// workbench is a Judge whose hash work waits for the test: each hash begins with an entry in started and ends with one in proceed.
type workbench struct {
	t       *testing.T
	judge   *Judge
	started chan string // the passwords that are being hashed
	proceed chan struct{}
	clock   atomic.Int64 // seconds
}

func newWorkbench(t *testing.T, file string, o Options) *workbench {
	w := &workbench{t: t, started: make(chan string, 100), proceed: make(chan struct{}, 100)}
	if o.Workers == 0 {
		o.Workers = 1
	}
	o.Now = func() time.Time { return time.Unix(w.clock.Load(), 0) }
	w.judge = newJudge(fileOf(t, file), o, func(h *Hash, password []byte) bool {
		w.started <- string(password)
		<-w.proceed
		return h.Matches(password)
	})
	t.Cleanup(func() {
		close(w.proceed)
		w.judge.Close()
	})
	return w
}

// ask asks from an address; the answers come as text: allow, deny 0x87, none.
func (w *workbench) ask(from, user, password string) <-chan string {
	return ask(w.judge, from, user, password)
}

func ask(j auth.Judge, from, user, password string) <-chan string {
	answers := make(chan string, 2)
	c := &session.Credentials{Addr: from + ":1", UserName: user, HasUserName: true, Password: []byte(password), HasPassword: true}
	j.Judge(c, func(a auth.Answer) { answers <- describe(a) })
	return answers
}

func describe(a auth.Answer) string {
	switch a.Opinion {
	case auth.Allow:
		return "allow"
	case auth.Deny:
		return fmt.Sprintf("deny %#x", byte(a.Verdict.Code))
	default:
		return "none"
	}
}

// hashing waits for a hash to begin and returns the password.
func (w *workbench) hashing() string { return <-w.started }

func (w *workbench) expectStats(want Stats) {
	w.t.Helper()
	got := w.judge.Stats()
	if got != want {
		w.t.Errorf("stats %+v\nwant  %+v", got, want)
	}
	if got.Asked != got.Cached+got.Verified+got.Denied+got.Unknown+got.Overloaded+got.Closed {
		w.t.Errorf("stats %+v do not add up", got)
	}
}

func lines(t testing.TB, users ...string) string {
	var text []byte
	for _, user := range users {
		h := quick(t, "pw-"+user)
		text = append(h.Append(append(append(text, user...), ':')), '\n')
	}
	return string(text)
}

func TestJudgeSaysWhatMosquittoSays(t *testing.T) {
	f, err := Load("testdata/mosquitto-2.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	j := New(f, Options{})
	defer j.Close()
	for user, password := range mosquittoUsers {
		for range 2 { // hashed, then remembered
			if a := <-ask(j, "10.0.0.1", user, password); a != "allow" {
				t.Errorf("%s: %s", user, a)
			}
		}
		if a := <-ask(j, "10.0.0.1", user, password+"x"); a != "deny 0x0" {
			t.Errorf("%s with a wrong password: %s", user, a)
		}
		if a := <-ask(j, "10.0.0.1", user, ""); a != "deny 0x0" {
			t.Errorf("%s with an empty password: %s", user, a)
		}
	}
	if a := <-ask(j, "10.0.0.1", "nobody", "wonderland"); a != "none" {
		t.Errorf("nobody: %s", a)
	}
	if s := j.Stats(); s.Verified != 5 || s.Cached != 5 || s.Denied != 10 || s.Unknown != 1 || s.Hashed != 16 {
		t.Errorf("%+v", s)
	}
}

func TestChainWithAPasswordFileRefusesAWrongPasswordWith0x87(t *testing.T) {
	j := New(fileOf(t, lines(t, "a")), Options{})
	defer j.Close()
	for _, test := range []struct {
		user, password string
		code           codec.ReasonCode
	}{{"a", "pw-a", codec.Success}, {"a", "wrong", codec.NotAuthorized}, {"nobody", "pw-a", codec.NotAuthorized}} {
		verdicts := make(chan session.Verdict, 1)
		c := &session.Credentials{UserName: test.user, HasUserName: true, Password: []byte(test.password), HasPassword: true}
		auth.Chain{j}.Authenticate(c, func(v session.Verdict) { verdicts <- v })
		if v := <-verdicts; v.Code != test.code || v.UserName != "" {
			t.Errorf("%s, %s: %+v", test.user, test.password, v)
		}
	}
}

func TestJudgeAnswersAtOnceWhatNeedsNoHash(t *testing.T) {
	for _, test := range []struct {
		name     string
		c        session.Credentials
		followed bool
		want     string
	}{
		{"no user name", session.Credentials{}, false, "none"},
		{"no password", session.Credentials{UserName: "a", HasUserName: true}, false, "deny 0x0"},
		{"no password, unknown", session.Credentials{UserName: "b", HasUserName: true}, false, "none"},
		{"long password", session.Credentials{UserName: "a", HasUserName: true, Password: make([]byte, PasswordBytesMax+1), HasPassword: true}, false, "deny 0x0"},
		{"long password, unknown", session.Credentials{UserName: "b", HasUserName: true, Password: make([]byte, PasswordBytesMax+1), HasPassword: true}, false, "none"},
		{"long user name", session.Credentials{UserName: strings.Repeat("b", UserNameBytesMax+1), HasUserName: true, HasPassword: true}, false, "none"},
		{"unknown, and another judge follows", session.Credentials{UserName: "b", HasUserName: true, HasPassword: true}, true, "none"},
	} {
		j := newJudge(fileOf(t, lines(t, "a")), Options{Followed: test.followed}, func(*Hash, []byte) bool { panic("hashed") })
		got := ""
		j.Judge(&test.c, func(a auth.Answer) { got += describe(a) })
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
		j.Close()
	}
}

// TestUnknownUsersAreHashedAsKnownOnes: the same work, the same counters, and no opinion.
func TestUnknownUsersAreHashedAsKnownOnes(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{})
	answer := w.ask("10.0.0.1", "nobody", "x")
	if got := w.hashing(); got != "x" {
		t.Errorf("hashing %s", got)
	}
	w.proceed <- struct{}{}
	if a := <-answer; a != "none" {
		t.Error(a)
	}
	w.expectStats(Stats{Asked: 1, Unknown: 1, Hashed: 1})
}

func TestRightPasswordsAreRememberedForAWhile(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{CacheTTL: time.Minute})
	hashed := func() {
		t.Helper()
		answer := w.ask("10.0.0.1", "a", "pw-a")
		w.hashing()
		w.proceed <- struct{}{}
		if a := <-answer; a != "allow" {
			t.Error(a)
		}
	}
	hashed()
	w.clock.Store(59)
	if a := <-w.ask("10.0.0.2", "a", "pw-a"); a != "allow" {
		t.Error(a)
	}
	w.clock.Store(60)
	hashed()
	w.expectStats(Stats{Asked: 3, Cached: 1, Verified: 2, Hashed: 2})
}

func TestWrongPasswordsAreNotRemembered(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{})
	for range 2 {
		answer := w.ask("10.0.0.1", "a", "wrong")
		w.hashing()
		w.proceed <- struct{}{}
		if a := <-answer; a != "deny 0x0" {
			t.Error(a)
		}
	}
	w.expectStats(Stats{Asked: 2, Denied: 2, Hashed: 2})
}

func TestTheSameQuestionAtOnceIsHashedOnce(t *testing.T) {
	w := newWorkbench(t, lines(t, "a", "b"), Options{})
	var same []<-chan string
	for range 5 {
		same = append(same, w.ask("10.0.0.1", "a", "pw-a"))
	}
	w.hashing()
	same = append(same, w.ask("10.0.0.2", "a", "pw-a")) // while it is with a worker
	other := w.ask("10.0.0.1", "b", "pw-a")
	w.proceed <- struct{}{}
	w.proceed <- struct{}{}
	for i, answer := range same {
		if a := <-answer; a != "allow" {
			t.Errorf("%d: %s", i, a)
		}
	}
	if a := <-other; a != "deny 0x0" {
		t.Errorf("another user with the password: %s", a)
	}
	w.expectStats(Stats{Asked: 7, Merged: 5, Verified: 6, Denied: 1, Hashed: 2})
}

// TestGoodAddressIsNextAfterAFlood: an address that floods the queue fills its share, and another one waits for one hash only.
func TestGoodAddressIsNextAfterAFlood(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{QueueMax: 8, AddressMax: 6})
	first := w.ask("10.6.6.6", "a", "first")
	w.hashing()
	var flood []<-chan string
	for i := range 10 {
		flood = append(flood, w.ask("10.6.6.6", "a", fmt.Sprint("wrong", i)))
	}
	for _, answer := range flood[6:] {
		if a := <-answer; a != "deny 0x89" {
			t.Errorf("beyond the share: %s", a)
		}
	}
	good := w.ask("10.0.0.1", "a", "pw-a")
	w.proceed <- struct{}{}
	if a := <-first; a != "deny 0x0" {
		t.Error(a)
	}
	order := w.hashing()
	w.proceed <- struct{}{}
	order += w.hashing()
	if !strings.Contains(order, "pw-a") { // the flood had its turn at most once
		t.Errorf("hashed next: %s", order)
	}
	w.proceed <- struct{}{}
	if a := <-good; a != "allow" {
		t.Error(a)
	}
}

// TestFullQueueMakesRoomForWhoHasLess: whoever has most loses its latest question and is told.
func TestFullQueueMakesRoomForWhoHasLess(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{QueueMax: 4, AddressMax: 4})
	w.ask("10.6.6.6", "a", "first")
	w.hashing()
	var flood []<-chan string
	for i := range 4 {
		flood = append(flood, w.ask("10.6.6.6", "a", fmt.Sprint("wrong", i)))
	}
	good := w.ask("10.0.0.1", "a", "pw-a")
	if a := <-flood[3]; a != "deny 0x89" {
		t.Error(a)
	}
	for range 5 {
		w.proceed <- struct{}{}
	}
	if a := <-good; a != "allow" {
		t.Error(a)
	}
	for _, answer := range flood[:3] {
		if a := <-answer; a != "deny 0x0" {
			t.Error(a)
		}
	}
	w.expectStats(Stats{Asked: 6, Verified: 1, Denied: 4, Overloaded: 1, Hashed: 5})
}

func TestClientsThatWaitAreBounded(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{WaitingMax: 2})
	first, second := w.ask("10.0.0.1", "a", "pw-a"), w.ask("10.0.0.1", "a", "pw-a")
	w.hashing()
	if a := <-w.ask("10.0.0.1", "a", "pw-a"); a != "deny 0x89" {
		t.Error(a)
	}
	w.proceed <- struct{}{}
	if a, b := <-first, <-second; a != "allow" || b != "allow" {
		t.Error(a, b)
	}
	w.expectStats(Stats{Asked: 3, Merged: 1, Verified: 2, Overloaded: 1, Hashed: 1})
}

func TestWhoWaitedTooLongIsNotHashed(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{WaitMax: 10 * time.Second})
	w.ask("10.0.0.1", "a", "first")
	w.hashing()
	late := w.ask("10.0.0.1", "a", "pw-a")
	w.clock.Store(5)
	later := w.ask("10.0.0.1", "a", "later")
	w.clock.Store(11)
	w.proceed <- struct{}{}
	if a := <-late; a != "deny 0x89" {
		t.Error(a)
	}
	if got := w.hashing(); got != "later" {
		t.Errorf("hashing %s", got)
	}
	w.proceed <- struct{}{}
	if a := <-later; a != "deny 0x0" {
		t.Error(a)
	}
	w.expectStats(Stats{Asked: 3, Denied: 2, Overloaded: 1, Hashed: 2})
}

func TestSwapForgetsWhatChanged(t *testing.T) {
	a, b := quick(t, "old"), quick(t, "same")
	before := string(a.Append([]byte("a:"))) + "\n" + string(b.Append([]byte("b:"))) + "\n"
	j := New(fileOf(t, before), Options{})
	defer j.Close()
	expect := func(user, password, want string) {
		t.Helper()
		if got := <-ask(j, "10.0.0.1", user, password); got != want {
			t.Errorf("%s, %s: %s, want %s", user, password, got, want)
		}
	}
	expect("a", "old", "allow")
	expect("b", "same", "allow")
	a = quick(t, "new")
	j.Swap(fileOf(t, string(a.Append([]byte("a:")))+"\n"+string(b.Append([]byte("b:")))))
	expect("a", "old", "deny 0x0")
	expect("a", "new", "allow")
	expect("b", "same", "allow")
	if s := j.Stats(); s.Cached != 1 { // b's
		t.Errorf("%+v", s)
	}
	j.Swap(fileOf(t, string(a.Append([]byte("a:")))))
	expect("b", "same", "none")
}

// TestSwapWhileHashing: no answer is given from a line that is gone.
func TestSwapWhileHashing(t *testing.T) {
	for _, test := range []struct{ name, password, want string }{
		{"another password", "pw-b", "deny 0x0"},
		{"gone", "", "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorkbench(t, lines(t, "a"), Options{})
			answer := w.ask("10.0.0.1", "a", "pw-a")
			waiting := w.ask("10.0.0.1", "a", "pw-b")
			w.hashing()
			text := ""
			if test.password != "" {
				h := quick(t, test.password)
				text = string(h.Append([]byte("a:")))
			}
			w.judge.Swap(fileOf(t, text))
			for range 3 { // the first again
				w.proceed <- struct{}{}
			}
			if a := <-answer; a != test.want {
				t.Errorf("in hand: %s, want %s", a, test.want)
			}
			want := "none"
			if test.password != "" {
				want = "allow"
			}
			if a := <-waiting; a != want {
				t.Errorf("waiting: %s, want %s", a, want)
			}
		})
	}
}

// TestSwapWithTheSameLineChangesNothing: a file that was read again without change costs no further hash.
func TestSwapWithTheSameLineChangesNothing(t *testing.T) {
	text := lines(t, "a")
	w := newWorkbench(t, text, Options{})
	answer := w.ask("10.0.0.1", "a", "pw-a")
	w.hashing()
	w.judge.Swap(fileOf(t, text))
	w.proceed <- struct{}{}
	if a := <-answer; a != "allow" {
		t.Error(a)
	}
	w.expectStats(Stats{Asked: 1, Verified: 1, Hashed: 1})
}

func TestCloseRefusesWhatWaits(t *testing.T) {
	w := newWorkbench(t, lines(t, "a"), Options{})
	inHand := w.ask("10.0.0.1", "a", "pw-a")
	w.hashing()
	merged := w.ask("10.0.0.1", "a", "pw-a")
	waiting, also := w.ask("10.0.0.1", "a", "x"), w.ask("10.0.0.1", "a", "x")
	closed := make(chan struct{})
	go func() { w.judge.Close(); close(closed) }()
	for _, answer := range []<-chan string{waiting, also} {
		if a := <-answer; a != "deny 0x88" {
			t.Errorf("waiting: %s", a)
		}
	}
	if a := <-w.ask("10.0.0.1", "a", "pw-a"); a != "deny 0x88" {
		t.Errorf("after it: %s", a)
	}
	w.proceed <- struct{}{}
	for _, answer := range []<-chan string{inHand, merged} {
		if a := <-answer; a != "allow" {
			t.Errorf("in hand: %s", a)
		}
	}
	<-closed
	w.expectStats(Stats{Asked: 5, Merged: 2, Verified: 2, Closed: 3, Hashed: 1})
}

// TestMemoryOfArgon2idIsBounded: hashes whose memory does not fit beside that in use wait, and others do not.
func TestMemoryOfArgon2idIsBounded(t *testing.T) {
	text := "big:$argon2id$v=19$m=600,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n" +
		"huge:$argon2id$v=19$m=5000,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4\n" + lines(t, "a")
	w := newWorkbench(t, text, Options{Workers: 3, MemoryMax: 1000})
	first := w.ask("10.0.0.1", "big", "1")
	w.hashing()
	second := w.ask("10.0.0.1", "big", "2")
	w.ask("10.0.0.1", "a", "small")
	if got := w.hashing(); got != "small" {
		t.Errorf("hashing %s beside the first", got)
	}
	w.proceed <- struct{}{} // either
	w.proceed <- struct{}{}
	if a := <-first; a != "deny 0x0" {
		t.Error(a)
	}
	if got := w.hashing(); got != "2" {
		t.Errorf("hashing %s after the first", got)
	}
	w.proceed <- struct{}{}
	<-second
	alone := w.ask("10.0.0.1", "huge", "3") // more than the bound, but nothing else is in use
	w.hashing()
	w.proceed <- struct{}{}
	<-alone
	if w.judge.memoryKiB != 0 {
		t.Errorf("%d KiB in use at the end", w.judge.memoryKiB)
	}
}

func TestCloseWhileAWorkerWaitsForMemory(t *testing.T) {
	text := "big:$argon2id$v=19$m=600,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	w := newWorkbench(t, text, Options{Workers: 2, MemoryMax: 1000})
	w.ask("10.0.0.1", "big", "1")
	w.hashing()
	second := w.ask("10.0.0.1", "big", "2")
	go w.judge.Close()
	if a := <-second; a != "deny 0x88" { // in the queue or with a worker: the same
		t.Error(a)
	}
}

func TestManyAskAtOnce(t *testing.T) {
	users := []string{"a", "b", "c", "d"}
	j := New(fileOf(t, lines(t, users...)), Options{Workers: 4, QueueMax: 64, CacheMax: 2, CacheTTL: time.Millisecond})
	var all sync.WaitGroup
	var answers atomic.Int64
	for n := range 8 {
		all.Go(func() {
			for i := range 500 {
				user := users[(n+i)%len(users)]
				right := i%3 != 0
				password := "pw-" + user
				if !right {
					password = fmt.Sprint(i % 7)
				}
				got := <-ask(j, fmt.Sprintf("10.0.0.%d", n), user, password)
				answers.Add(1)
				if got != "deny 0x89" && (got == "allow") != right {
					t.Errorf("%s, %s: %s", user, password, got)
				}
				if i%100 == 0 {
					j.Swap(j.file.Load())
				}
			}
		})
	}
	all.Wait()
	j.Close()
	s := j.Stats()
	if answers.Load() != 4000 || s.Asked != 4000 || s.Cached+s.Verified+s.Denied+s.Overloaded != 4000 || j.waiting != 0 || len(j.pending) != 0 {
		t.Errorf("%d answers, %+v, %d wait, %d pending", answers.Load(), s, j.waiting, len(j.pending))
	}
}

func TestOptionsValidate(t *testing.T) {
	for _, o := range []Options{{Workers: -1}, {QueueMax: -1}, {AddressMax: -1}, {WaitingMax: -1}, {MemoryMax: -1}, {WaitMax: -1}} {
		if o.Validate() == nil {
			t.Errorf("%+v: valid", o)
		}
	}
	if err := (&Options{CacheMax: -1, CacheTTL: -1}).Validate(); err != nil {
		t.Error(err)
	}
	if o := (Options{QueueMax: 2}).withDefaults(); o.AddressMax != 1 || o.Workers < 1 {
		t.Errorf("%+v", o)
	}
}

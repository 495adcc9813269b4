package guard

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/session"
)

const start Time = 1_700_000_000_000

func newGuard(t testing.TB, change func(*Options)) *Guard {
	t.Helper()
	o := DefaultOptions()
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func ip(s string) netip.Addr { return netip.MustParseAddr(s) }

// v4 numbers IPv4 addresses that are not exempt.
func v4(n int) netip.Addr { return netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)}) }

func TestConnectRateIsPerAddressWithABurst(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.ConnectRate, o.ConnectBurst = 10, 3 })
	admitted := func(addr string, n int, now Time) (ok int) {
		for range n {
			if g.Admit(ip(addr), now) == Admitted {
				ok++
			}
		}
		return ok
	}
	for _, x := range []struct {
		addr  string
		after Time
		want  int
	}{
		{"192.0.2.1", 0, 3},
		{"192.0.2.2", 0, 3}, // another one
		{"192.0.2.1", 99, 0},
		{"192.0.2.1", 100, 1},
		{"192.0.2.1", 350, 2},
		{"192.0.2.1", 10_000, 3},
		{"::ffff:192.0.2.1", 10_000, 0}, // the same, mapped
		{"64:ff9b::192.0.2.1", 10_000, 0},
		{"64:ff9b::192.0.2.9", 10_000, 3},
		{"2001:db8::1", 0, 3},
		{"2001:db8::ffff:1", 0, 0}, // the same /64
		{"2001:db8:0:1::1", 0, 3},
		{"127.0.0.1", 0, 5}, // exempt
		{"::1", 0, 5},
	} {
		if got := admitted(x.addr, 5, start+x.after); got != x.want {
			t.Errorf("%s after %d ms: %d of 5 admitted, want %d", x.addr, x.after, got, x.want)
		}
	}
	if g.Admit(netip.Addr{}, start) != Admitted {
		t.Error("a Unix socket has no rate")
	}
	if n := g.Counters().By[ConnectRate]; n == 0 {
		t.Error("not counted")
	}
}

func TestExemptNetworksAndLoopback(t *testing.T) {
	g := newGuard(t, func(o *Options) {
		o.ConnectRate, o.ConnectBurst, o.Loopback = 1, 1, true
		o.Exempt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:172.16.0.0/108")}
	})
	for addr, free := range map[string]bool{"10.1.2.3": true, "172.16.9.9": true, "::ffff:10.1.2.3": true, "11.1.2.3": false, "127.0.0.1": false} {
		g.Admit(ip(addr), start)
		if got := g.Admit(ip(addr), start) == Admitted; got != free {
			t.Errorf("%s: admitted again %t, want %t", addr, got, free)
		}
	}
}

// fail lets n logins fail, and returns until when the address and the name are banned then.
func (g *Guard) fail(who Who, n int, now Time) (address, login Time) {
	for range n {
		g.Failed(who, now)
	}
	until := func(tb *table, key uint64) Time {
		s, mu := tb.lock(key)
		defer mu.Unlock()
		if r := s.find(key); r != nil && r.until > now {
			return r.until - now
		}
		return 0
	}
	return until(g.addresses, g.addressKey(who.Addr)), until(g.logins, g.loginKey(who))
}

func TestFailedLoginsBanTheNameFromThatAddressFirst(t *testing.T) {
	g := newGuard(t, nil)
	alice, bob := Who{v4(1), "c1", "alice"}, Who{v4(1), "c2", "bob"}
	if _, login := g.fail(alice, 9, start); login != 0 {
		t.Fatal("banned after nine")
	}
	address, login := g.fail(alice, 1, start)
	if address != 0 || login != 10_000 {
		t.Fatalf("after ten: address banned for %d, name for %d", address, login)
	}
	for who, want := range map[Who]Reason{alice: FailedLogins, bob: Admitted, {v4(2), "c1", "alice"}: Admitted} {
		if got := g.Connect(who, false, start+9_999); got != want {
			t.Errorf("%v: %v, want %v", who, got, want)
		}
	}
	if g.Admit(v4(1), start) != Admitted || g.Connect(alice, false, start+10_000) != Admitted {
		t.Error("the address is banned, or the name is still")
	}
}

func TestBansDoubleAndDecay(t *testing.T) {
	g := newGuard(t, nil)
	who, now := Who{v4(1), "c", "alice"}, start
	_, ban := g.fail(who, 10, now)
	bans := []Time{ban / 1000}
	for range 9 { // a device that tries again and again
		now += ban
		for ban = 0; ban == 0; now += 1000 {
			_, ban = g.fail(who, 1, now)
		}
		now -= 1000
		bans = append(bans, ban/1000)
	}
	if want := []Time{10, 20, 40, 80, 160, 320, 640, 640, 900, 900}; !slices.Equal(bans, want) {
		t.Errorf("bans of %d seconds, want %d", bans, want)
	}
	now += 12 * 3600_000 // half a day later all is forgotten
	if _, ban = g.fail(who, 9, now); ban != 0 {
		t.Error("banned after nine")
	}
	if _, ban = g.fail(who, 1, now); ban != 10_000 {
		t.Errorf("banned for %d ms", ban)
	}
}

func TestFailuresDecayByHalves(t *testing.T) {
	g := newGuard(t, nil)
	who := Who{v4(1), "c", "alice"}
	for i := range 100 { // two in a half-life settle at four
		if _, ban := g.fail(who, 1, start+Time(i)*300_000); ban != 0 {
			t.Fatalf("banned at the %dth", i)
		}
	}
}

func TestManyNamesBanTheAddress(t *testing.T) {
	g := newGuard(t, nil)
	for i := range 299 {
		g.Failed(Who{v4(1), "c", fmt.Sprint("user", i)}, start)
	}
	if g.Admit(v4(1), start) != Admitted {
		t.Fatal("banned after 299")
	}
	g.Failed(Who{v4(1), "c", "one more"}, start)
	if g.Admit(v4(1), start) != FailedLogins || g.Connect(Who{v4(1), "c", "new"}, false, start) != FailedLogins {
		t.Error("not banned")
	}
	if g.Admit(v4(2), start) != Admitted || g.Admit(v4(1), start+10_000) != Admitted {
		t.Error("another address is banned, or for longer")
	}
	if n := g.Counters(); n.Failures != 300 || n.By[LoginBan] != 1 || n.By[FailedLogins] != 2 {
		t.Errorf("%+v", n)
	}
}

func TestGoodLoginsOfOthersMakeUpForABadDevice(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.AddressFailures, o.LoginFailures = 20, 0 })
	for i := range 100 {
		g.Failed(Who{v4(1), "bad", "bad"}, start)
		g.Succeeded(Who{v4(1), "c", fmt.Sprint("good", i)}, start)
	}
	if g.Admit(v4(1), start) != Admitted {
		t.Error("an address with a hundred good logins is banned for one bad device")
	}
}

func TestAnAccountOfOnesOwnMakesNoRoomForGuessing(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.AddressFailures = 20 })
	banned := 0
	for i := range 100 {
		g.Failed(Who{v4(1), "c", fmt.Sprint("victim", i)}, start)
		g.Succeeded(Who{v4(1), "c", "attacker"}, start)
		if g.Admit(v4(1), start) != Admitted {
			banned++
		}
	}
	if banned < 75 {
		t.Errorf("banned for %d of 100 guesses", banned)
	}
}

func TestTheRightPasswordClearsTheName(t *testing.T) {
	g := newGuard(t, nil)
	who := Who{v4(1), "c", "alice"}
	for range 10 {
		if _, ban := g.fail(who, 9, start); ban != 0 {
			t.Fatal("banned")
		}
		g.Succeeded(who, start)
	}
}

func TestExemptAddressesMayGuess(t *testing.T) {
	g := newGuard(t, nil)
	for range 1000 {
		g.Failed(Who{ip("127.0.0.1"), "c", "u"}, start)
		g.Failed(Who{netip.Addr{}, "c", "u"}, start)
	}
	if n := g.Counters(); n.By[LoginBan] != 0 || n.Failures != 2000 {
		t.Errorf("%+v", n)
	}
}

func TestForgetPardonsEverybody(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.AddressFailures = 10 })
	who := Who{v4(1), "c", "alice"}
	g.fail(who, 10, start)
	g.Forget()
	if g.Admit(who.Addr, start) != Admitted || g.Connect(who, false, start) != Admitted {
		t.Error("still banned")
	}
}

func TestFlappingIsRefusedForAWhileOnceTheNameIsCertain(t *testing.T) {
	g := newGuard(t, nil)
	who := Who{v4(1), "flappy", ""}
	for range 1000 {
		if g.Connect(who, false, start) != Admitted {
			t.Fatal("a stranger can have a client refused")
		}
	}
	for i := range 300 {
		if g.Connect(who, true, start) != Admitted {
			t.Fatalf("refused at the %dth", i)
		}
	}
	if g.Connect(who, true, start) != Flapping || g.Connect(Who{v4(1), "other", ""}, true, start) != Admitted {
		t.Error("not refused, or another one is")
	}
	if g.Connect(who, true, start+59_999) != Flapping || g.Connect(who, true, start+60_000) != Admitted {
		t.Error("the pause is not a minute")
	}
	for i := range 1000 { // four a second are not too often
		if g.Connect(Who{v4(2), "steady", ""}, true, start+Time(i)*250) != Admitted {
			t.Fatal("refused at four a second")
		}
	}
}

func TestTakeoverFightIsNoticedAndRefusesNobody(t *testing.T) {
	var events []Event
	g := newGuard(t, func(o *Options) { o.Log = func(e Event) { events = append(events, e) } })
	for i := range 10 { // a device with a bad link
		g.TakenOver("alone", v4(1), start+Time(i)*60_000)
	}
	if len(events) > 0 {
		t.Fatalf("%+v", events)
	}
	for i := range 8 { // one thrown out each five seconds
		g.TakenOver("torn", v4(1+i%2), start+Time(i)*5_000)
	}
	if len(events) != 1 || events[0].ClientID != "torn" || events[0].Reason != TakeoverFight || !events[0].Addr.IsValid() {
		t.Errorf("%+v", events)
	}
	if TakeoverFight.Code() != codec.Success {
		t.Error("somebody is refused for it")
	}
}

func TestTheLogHearsOfEachReasonOnceInAWhile(t *testing.T) {
	var events []Event
	g := newGuard(t, func(o *Options) {
		o.ConnectRate, o.ConnectBurst = 1, 1
		o.Log = func(e Event) { events = append(events, e) }
	})
	for ms := range Time(25_000) {
		g.Admit(v4(1), start+ms)
		if ms%100 == 0 {
			g.fail(Who{v4(2), "c", "u"}, 1, start+ms)
		}
	}
	var rates, bans []uint64
	for _, e := range events {
		switch {
		case e.Reason == ConnectRate && e.Addr == v4(1):
			rates = append(rates, e.Count)
		case e.Reason == LoginBan && e.Until > start && e.UserName == "u":
			bans = append(bans, e.Count)
		default:
			t.Errorf("%+v", e)
		}
	}
	// One is admitted each second; the log hears at 1 ms, at 10 001 and at 20 001.
	if !slices.Equal(rates, []uint64{1, 9990, 9990}) {
		t.Errorf("connections in the log: %d", rates)
	}
	if len(bans) != 2 { // of ten seconds and of twenty
		t.Errorf("bans in the log: %d", bans)
	}
}

func TestListedAreRefusedEverywhere(t *testing.T) {
	g := newGuard(t, nil)
	bans, err := ParseBans("bans", strings.NewReader("address 127.0.0.1 # test\nuser mallory\nclient-id c9 until 2023-11-14T22:13:21Z\nnetwork 2001:db8::/32"))
	if err != nil {
		t.Fatal(err)
	}
	g.Swap(bans)
	if g.Admit(ip("127.0.0.1"), start) != Listed || g.Admit(ip("::ffff:127.0.0.1"), start) != Listed || g.Admit(ip("2001:db8:9::1"), start) != Listed {
		t.Error("admitted")
	}
	for _, x := range []struct {
		who  Who
		at   Time
		want Reason
	}{
		{Who{v4(1), "c", "mallory"}, start, Listed}, {Who{v4(1), "c9", ""}, start, Listed}, {Who{v4(1), "c9", ""}, start + 1000, Admitted},
		{Who{v4(1), "mallory", "c9"}, start, Admitted}, {Who{ip("127.0.0.1"), "c", ""}, start, Listed}, {Who{netip.Addr{}, "c", "mallory"}, start, Listed},
		{Who{v4(1), "", ""}, start, Admitted},
	} {
		for _, certain := range []bool{false, true} {
			if got := g.Connect(x.who, certain, x.at); got != x.want {
				t.Errorf("%+v: %v", x.who, got)
			}
		}
	}
	g.Swap(nil)
	if g.Admit(ip("127.0.0.1"), start) != Admitted {
		t.Error("still listed")
	}
	if Listed.Code() != codec.Banned || FailedLogins.Code() != codec.Banned || Flapping.Code() != codec.ConnectionRateExceeded {
		t.Error("codes")
	}
}

func TestNoBanIsForgottenForStrangers(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.MaxTracked = 512; o.AddressFailures = 3 })
	var banned []netip.Addr
	for i := range 200 {
		banned = append(banned, v4(i))
		g.fail(Who{v4(i), "c", "u"}, 3, start)
	}
	n := g.Counters().By[LoginBan]
	for i := range 1_000_000 {
		g.Admit(v4(1000+i), start+Time(i%1000))
	}
	held := uint64(0)
	for _, a := range banned {
		if g.Admit(a, start+1000) == FailedLogins {
			held++
		}
	}
	if held != n || n < 190 { // a few may have found their set full of banned ones
		t.Errorf("%d bans began, %d hold", n, held)
	}
	if c := g.Counters(); c.Evicted == 0 {
		t.Errorf("%+v", c)
	}
}

func TestTheOneWithMostToRememberStays(t *testing.T) {
	tb := newTable(8, bucket{}, 10, 600_000, 3600_000)
	var s set
	for i := range s {
		r := tb.get(&s, uint64(i+1), start)
		r.score = float32(i)
	}
	tb.get(&s, 100, start)
	if s.find(1) != nil || s.find(2) == nil {
		t.Error("not the least useful one was forgotten")
	}
	for i := range s {
		s[i].until = start + 1
	}
	if tb.get(&s, 101, start) != nil || tb.get(&s, 101, start+1) == nil || tb.crowded.Load() != 1 {
		t.Error("a ban was forgotten, or one that had ended was not")
	}
}

func TestValidate(t *testing.T) {
	zero := Options{}
	if err := zero.Validate(); err != nil {
		t.Error(err)
	}
	g, err := New(zero) // nothing but the list
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		g.Failed(Who{v4(1), "c", "u"}, start)
		if g.Admit(v4(1), start) != Admitted || g.Connect(Who{v4(1), "c", "u"}, true, start) != Admitted {
			t.Fatal("a guard without bounds refuses")
		}
	}
	for want, change := range map[string]func(*Options){
		"connect rate":   func(o *Options) { o.ConnectRate = -1 },
		"connect burst":  func(o *Options) { o.ConnectBurst = 0 },
		"half life":      func(o *Options) { o.HalfLife = 0 },
		"max ban":        func(o *Options) { o.MaxBan = time.Second },
		"flap window":    func(o *Options) { o.FlapWindow = 0 },
		"flap connects":  func(o *Options) { o.FlapConnects = 1 << 30 },
		"max tracked":    func(o *Options) { o.MaxTracked = -1 },
		"first ban":      func(o *Options) { o.FirstBan = -time.Second },
		"flap pause":     func(o *Options) { o.FlapPause = 1000 * 24 * time.Hour },
		"login failures": func(o *Options) { o.LoginFailures = -5 },
	} {
		o := DefaultOptions()
		change(&o)
		if _, err := New(o); err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestEveryReasonHasAName(t *testing.T) {
	seen := map[string]bool{}
	for r := range Reasons {
		if r.String() == "" || seen[r.String()] {
			t.Errorf("reason %d is called %q", r, r)
		}
		seen[r.String()] = true
	}
}

// judge is an Authenticator and an EnhancedMethod with one answer.
type judge struct{ code codec.ReasonCode }

func (j *judge) Authenticate(c *session.Credentials, done func(session.Verdict)) {
	done(session.Verdict{Code: j.code, UserName: "renamed"})
}
func (j *judge) Name() string                                     { return "m" }
func (j *judge) Begin(clientID, userName string) session.Exchange { return j }
func (j *judge) Step([]byte) ([]byte, bool, codec.ReasonCode) {
	return nil, j.code == codec.Success, j.code
}
func (j *judge) Identity() string { return "renamed" }

func TestHooks(t *testing.T) {
	now := start
	h := &Hooks{Guard: newGuard(t, nil), Now: func() Time { return now }}
	j := &judge{}
	a, m := h.Watch(j), h.WatchMethod(j)
	c := &session.Credentials{Addr: "192.0.2.1:5", ClientID: "c", UserName: "alice"}
	try := []func(){
		func() { a.Authenticate(c, func(v session.Verdict) { _ = v }) },
		func() { m.BeginFor(c).Step(nil) },
	}
	failures := uint64(0)
	for _, code := range []codec.ReasonCode{codec.ServerUnavailable, codec.ServerBusy, codec.BadAuthenticationMethod, codec.Success, codec.ContinueAuthentication, codec.NotAuthorized, codec.BadUserNameOrPassword} {
		j.code = code
		for _, f := range try {
			f()
			if code == codec.NotAuthorized || code == codec.BadUserNameOrPassword {
				failures++
			}
		}
		if n := h.Guard.Counters().Failures; n != failures {
			t.Errorf("%v: %d failures, want %d", code, n, failures)
		}
	}
	for i := range 6 {
		try[i%2]()
	}
	if code := h.Admit(c); code != codec.Banned {
		t.Errorf("after ten failures %v", code)
	}
	if code := h.Admit(&session.Credentials{Addr: "/run/sock", ClientID: "c", UserName: "alice"}); code != codec.Success {
		t.Errorf("by a socket %v", code)
	}
	now += 10_000
	if code := h.Admit(c); code != codec.Success {
		t.Errorf("after the ban %v", code)
	}
	if !h.Accept(ip("192.0.2.1"), "l") {
		t.Error("the address is banned")
	}
	for range 5 {
		h.TakenOver("c", "192.0.2.1:5")
	}
	if n := h.Guard.Counters().By[TakeoverFight]; n != 1 {
		t.Errorf("%d fights", n)
	}
}

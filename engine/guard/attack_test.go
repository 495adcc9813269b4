package guard

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
)

// TestAttack plays a minute of everything at once against a guard with its defaults, beside a thousand honest clients who come and go:
// one address that guesses ten thousand passwords a second, a hundred thousand addresses that guess a little each, one that
// connects as fast as it can, and one that takes a new address out of a large network each time. No honest client may notice, but those
// who share an address with the guesser; what the attackers get to try is bounded.
func TestAttack(t *testing.T) {
	g := newGuard(t, nil)
	const (
		honest  = 1000
		minute  = 60_000
		botnet  = 100_000
		shared  = 5 // honest clients behind the address that guesses
		perMs   = 10
		connect = 5 // the fast one, a millisecond
	)
	guesser, fast := v4(1), v4(2)
	judged, botsJudged, fastIn, sharedOut := 0, 0, 0, 0
	login := func(addr netip.Addr, user string, good bool, now Time) bool {
		who := Who{addr, "client-" + user, user}
		if g.Admit(addr, now) != Admitted || g.Connect(who, false, now) != Admitted {
			return false
		}
		if good {
			g.Succeeded(who, now)
			return g.Connect(who, true, now) == Admitted
		}
		g.Failed(who, now)
		return true
	}
	users := make([]string, honest)
	for i := range users {
		users[i] = fmt.Sprint("honest", i)
	}
	bot, rotating := 0, 0
	for ms := range Time(minute) {
		now := start + ms
		for range perMs {
			if login(guesser, users[judged%honest], false, now) {
				judged++
			}
			bot++
			if login(v4(1_000_000+bot%botnet), users[bot%honest], false, now) {
				botsJudged++
			}
			rotating++
			g.Admit(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(rotating >> 16), byte(rotating >> 8), byte(rotating)}), now)
		}
		for range connect {
			if g.Admit(fast, now) == Admitted {
				fastIn++
			}
		}
		if i := int(ms % honest); !login(v4(1000+i), users[i], true, now) { // once a second each
			t.Fatalf("honest client %d is refused after %d ms", i, ms)
		}
		if ms%100 == 0 && !login(guesser, fmt.Sprint("neighbour", ms%shared), true, now) {
			sharedOut++
		}
	}
	if judged < 300 || judged > 400 {
		t.Errorf("%d of %d passwords of the guesser were looked at, want about 300", judged, perMs*minute)
	}
	if want := 10_000 + 60*1000; fastIn < want-1000 || fastIn > want+1000 {
		t.Errorf("%d of %d fast connections came in, want about %d", fastIn, connect*minute, want)
	}
	if botsJudged > 10*botnet {
		t.Errorf("%d guesses of the botnet were looked at", botsJudged)
	}
	if sharedOut == 0 {
		t.Error("the address was never banned")
	}
	c := g.Counters()
	t.Logf("looked at: %d of %d guesses from one address, %d of %d from a botnet; %d of %d fast connections; %+v",
		judged, perMs*minute, botsJudged, perMs*minute, fastIn, connect*minute, c)
}

// TestMemoryIsBounded: whatever comes, the tables are what they were.
func TestMemoryIsBounded(t *testing.T) {
	g := newGuard(t, nil)
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range 300_000 {
		who := Who{v4(i), "c", "u"}
		g.Admit(who.Addr, start)
		g.Failed(who, start)
		g.Connect(who, true, start)
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d KiB more", (after-before)>>10)
	}
	runtime.KeepAlive(g)
}

func BenchmarkAdmit(b *testing.B) {
	for _, x := range []struct {
		name      string
		addresses int
		list      bool
	}{{"one", 1, false}, {"1000", 1000, false}, {"rotating", 1 << 20, false}, {"with-list", 1000, true}} {
		b.Run(x.name, func(b *testing.B) {
			g := newGuard(b, func(o *Options) { o.ConnectRate, o.ConnectBurst = 1_000_000, 1_000_000 })
			if x.list {
				var bans []Ban
				for i := range 100_000 {
					bans = append(bans, Ban{Kind: BanAddress, Network: netip.PrefixFrom(v4(5_000_000+i), 32)})
				}
				g.Swap(NewBans(append(bans, Ban{Kind: BanNetwork, Network: netip.MustParsePrefix("10.0.0.0/8")}, Ban{Kind: BanNetwork, Network: netip.MustParsePrefix("10.1.0.0/16")})...))
			}
			addresses := make([]netip.Addr, x.addresses)
			for i := range addresses {
				addresses[i] = v4(i)
			}
			b.ReportAllocs()
			i, now := 0, start
			for b.Loop() {
				g.Admit(addresses[i%x.addresses], now)
				if i++; i&1023 == 0 {
					now++
				}
			}
		})
	}
	b.Run("banned", func(b *testing.B) {
		g := newGuard(b, func(o *Options) { o.AddressFailures = 1 })
		g.Failed(Who{Addr: v4(1)}, start)
		b.ReportAllocs()
		for b.Loop() {
			if g.Admit(v4(1), start) != FailedLogins {
				b.Fatal("admitted")
			}
		}
	})
}

func BenchmarkConnect(b *testing.B) {
	g := newGuard(b, func(o *Options) { o.FlapConnects = 1_000_000 })
	who := Who{v4(1), "a-client-identifier", "a-user-name"}
	b.ReportAllocs()
	for b.Loop() {
		g.Connect(who, false, start)
		g.Connect(who, true, start)
	}
}

// TestAdmitAllocatesNothing: it is asked for every packet of a flood of connections.
func TestAdmitAllocatesNothing(t *testing.T) {
	g := newGuard(t, func(o *Options) { o.ConnectBurst = 10 })
	n := 0
	if a := testing.AllocsPerRun(1000, func() { n++; g.Admit(v4(n), start); g.Admit(v4(1), start) }); a > 0 {
		t.Errorf("%v allocations", a)
	}
}

package guard

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// Options are the bounds of a Guard. A bound of 0 is off; DefaultOptions has the defaults.
type Options struct {
	// ConnectRate is how many connections a second are admitted from one address (an IPv6 one counts by its /64), after a burst of
	// ConnectBurst. A further one is closed.
	ConnectRate  int
	ConnectBurst int

	// AddressFailures and LoginFailures are how many logins may fail, from one address and for one name from one address, before a
	// ban. Failures are forgotten by halves, one half each HalfLife.
	AddressFailures int
	LoginFailures   int
	HalfLife        time.Duration

	// FirstBan is how long the first ban for failed logins is. Each further one is twice as long, up to MaxBan; what is counted here
	// halves each BanHalfLife.
	FirstBan    time.Duration
	MaxBan      time.Duration
	BanHalfLife time.Duration

	// FlapConnects is how many times within FlapWindow one client identifier may connect. If it does more often, it is refused for
	// FlapPause, with 0x9F.
	FlapConnects int
	FlapWindow   time.Duration
	FlapPause    time.Duration

	// Exempt are networks whose clients the ban list concerns and nothing else. Loopback is one of them unless Loopback is set.
	Exempt   []netip.Prefix
	Loopback bool

	// MaxTracked bounds how many addresses, how many logins and how many client identifiers are remembered, each at 48 bytes.
	// Beyond it, whoever has the least to be remembered for is forgotten, and nobody who is banned. It is rounded up to 8 times a power of 2.
	MaxTracked int

	// Log is told of what the guard does, at most once in LogInterval for each Reason. May be nil. It is called on whichever goroutine
	// asked, also on event loops, and must not block.
	Log func(Event)
}

// LogInterval is how long the log hears nothing more about the same Reason.
const LogInterval Time = 10_000

// DefaultOptions returns the defaults of the command line.
//
// The connect rate is for the largest honest case, a fleet behind the one address of a carrier: 10 000 devices may come back at once
// and a thousand more each second, while an attacker from one address costs no more than a thousand TLS handshakes a second,
// which is a third of a core. The failures are for a shared address with thirty devices that repeat a wrong password, and for a person who
// tries ten. Five connects a second over a minute are more than any client that waits before it tries again.
func DefaultOptions() Options {
	return Options{
		ConnectRate: 1000, ConnectBurst: 10_000,
		AddressFailures: 300, LoginFailures: 10, HalfLife: 10 * time.Minute,
		FirstBan: 10 * time.Second, MaxBan: 15 * time.Minute, BanHalfLife: 2 * time.Hour,
		FlapConnects: 300, FlapWindow: time.Minute, FlapPause: time.Minute,
		MaxTracked: 1 << 16,
	}
}

// Validate returns an error that names the first option with an impossible value.
func (o *Options) Validate() error {
	for _, x := range []struct {
		name string
		n    int
	}{
		{"connect rate", o.ConnectRate}, {"connect burst", o.ConnectBurst}, {"address failures", o.AddressFailures},
		{"login failures", o.LoginFailures}, {"flap connects", o.FlapConnects}, {"max tracked", o.MaxTracked},
	} {
		if x.n < 0 || x.n > maxOption {
			return fmt.Errorf("%s: %d is not between 0 and %d", x.name, x.n, maxOption)
		}
	}
	for _, x := range []struct {
		name string
		d    time.Duration
		used bool
	}{
		{"half life", o.HalfLife, o.bansLogins()}, {"first ban", o.FirstBan, o.bansLogins()}, {"max ban", o.MaxBan, o.bansLogins()},
		{"ban half life", o.BanHalfLife, o.bansLogins()}, {"flap window", o.FlapWindow, o.FlapConnects > 0}, {"flap pause", o.FlapPause, o.FlapConnects > 0},
	} {
		if x.used && (x.d < time.Millisecond || x.d > maxTime) {
			return fmt.Errorf("%s: %v is not between 1ms and %v", x.name, x.d, maxTime)
		}
	}
	if o.ConnectRate > 0 && o.ConnectBurst < 1 {
		return fmt.Errorf("connect burst: %d would admit nobody: at least 1", o.ConnectBurst)
	}
	if o.bansLogins() && o.MaxBan < o.FirstBan {
		return fmt.Errorf("max ban: %v is shorter than the first ban, %v", o.MaxBan, o.FirstBan)
	}
	return nil
}

const (
	maxOption = 1_000_000
	maxTime   = 100 * 24 * time.Hour
)

func (o *Options) bansLogins() bool { return o.AddressFailures > 0 || o.LoginFailures > 0 }

// Reason is why a client is not let in, or what else the log hears of.
type Reason uint8

const (
	Admitted     Reason = iota
	Listed              // by the ban list
	FailedLogins        // too many failed
	ConnectRate         // its address connects too often
	Flapping            // its client identifier connects too often

	// Nobody is refused for these, but they are counted, and the log hears of them.

	LoginBan      // a ban for failed logins begins
	TakeoverFight // two clients take one client identifier from each other
	Reasons       // how many there are
)

var reasonNames = [Reasons]string{"admitted", "ban-list", "failed-logins", "connect-rate", "flapping", "login-ban", "takeover-fight"}

func (r Reason) String() string { return reasonNames[r] }

// Code is what CONNACK says: for the list and failed logins Banned, 0x8A; for what is too often Connection rate exceeded, 0x9F, since
// Quota exceeded, 0x97, would say that something is used up, and the client should rather wait than go away.
func (r Reason) Code() codec.ReasonCode {
	switch r {
	case Listed, FailedLogins:
		return codec.Banned
	case ConnectRate, Flapping:
		return codec.ConnectionRateExceeded
	}
	return codec.Success
}

// Event is what the log hears of.
type Event struct {
	Reason   Reason
	Count    uint64     // how often this happened since the log last heard of this Reason
	Addr     netip.Addr // of the latest, as far as known, like the following
	ClientID string
	UserName string
	Until    Time   // end of a ban that begins, 0 if none does
	Why      string // what the ban list says
}

// Counters are totals since the start.
type Counters struct {
	By       [Reasons]uint64 // connections and CONNECTs that were refused, bans and fights, by Reason; who was admitted is not counted
	Failures uint64          // logins that failed
	Evicted  uint64          // records that were forgotten for want of room, see Options.MaxTracked
	Crowded  uint64          // strangers who were not remembered, because only banned ones might have made room
}

// Guard decides who may connect. Safe for concurrent use. Times are handed in, and are to be those of one clock that does not go
// back; it may be a few milliseconds ahead on one goroutine.
type Guard struct {
	opts Options
	seed maphash.Seed
	bans atomic.Pointer[Bans]

	addresses, logins, clients *table
	exemptBits                 []netip.Prefix

	failures atomic.Uint64
	by       [Reasons]atomic.Uint64
	logged   [Reasons]atomic.Uint64 // of by, what the log knows of
	logAt    [Reasons]atomic.Int64  // when it may hear more
}

// fightHalfLife and fightTakeovers: a client identifier that is taken over as often as every fifteen seconds is fought for.
const fightTakeovers = 5

const fightHalfLife Time = 60_000

// New makes a Guard. It fails if o is not valid.
func New(o Options) (*Guard, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if o.MaxTracked == 0 {
		o.MaxTracked = DefaultOptions().MaxTracked
	}
	g := &Guard{opts: o, seed: maphash.MakeSeed()}
	half, banHalf := max(Time(o.HalfLife.Milliseconds()), 1), max(Time(o.BanHalfLife.Milliseconds()), 1)
	var connects, flaps bucket
	if o.ConnectRate > 0 {
		connects = newBucket(float64(o.ConnectRate), o.ConnectBurst)
	}
	if o.FlapConnects > 0 {
		flaps = newBucket(float64(o.FlapConnects)/o.FlapWindow.Seconds(), o.FlapConnects)
	}
	g.addresses = newTable(o.MaxTracked, connects, o.AddressFailures, half, banHalf)
	g.logins = newTable(o.MaxTracked, bucket{}, o.LoginFailures, half, banHalf)
	g.clients = newTable(o.MaxTracked, flaps, fightTakeovers, fightHalfLife, fightHalfLife)
	for _, p := range o.Exempt {
		g.exemptBits = append(g.exemptBits, unmapped(p))
	}
	return g, nil
}

// unmapped makes an IPv4 network of one that is mapped into IPv6.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// Swap replaces the ban list; nil is an empty one. Who is connected already stays.
func (g *Guard) Swap(b *Bans) { g.bans.Store(b) }

// Bans returns the ban list in force, nil if none was ever set.
func (g *Guard) Bans() *Bans { return g.bans.Load() }

// exempt tells that only the ban list concerns addr: a socket without an address, or one of the networks that are trusted.
func (g *Guard) exempt(addr netip.Addr) bool {
	if !addr.IsValid() || addr.IsLoopback() && !g.opts.Loopback {
		return true
	}
	for _, p := range g.exemptBits {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// Admit judges a new connection by its address, and counts it against the rate of that address. Allocates nothing.
func (g *Guard) Admit(addr netip.Addr, now Time) Reason {
	addr = plain(addr)
	if b := g.bans.Load(); b != nil && addr.IsValid() {
		if x := b.Address(addr, now); x != nil {
			return g.count(Event{Reason: Listed, Addr: addr, Why: x.Why}, now)
		}
	}
	if g.exempt(addr) {
		return Admitted
	}
	key := g.addressKey(addr)
	s, mu := g.addresses.lock(key)
	r := s.find(key)
	why := Admitted
	switch {
	case r != nil && r.until > now:
		why = FailedLogins
	case g.opts.ConnectRate > 0:
		if r == nil {
			r = g.addresses.get(s, key, now)
		}
		if r != nil && !g.addresses.bucket.take(r, now) {
			why = ConnectRate
		}
	}
	mu.Unlock()
	if why != Admitted {
		return g.count(Event{Reason: why, Addr: addr}, now)
	}
	return Admitted
}

// Who is a client that wants to connect, or to log in.
type Who struct {
	Addr     netip.Addr
	ClientID string
	UserName string // empty: none, or not known yet
}

// Connect judges a CONNECT by its names, its address having been admitted. certain says that the names are those that the client will have:
// only then the connect counts against its client identifier, since a stranger must not get a client refused by using its name.
func (g *Guard) Connect(who Who, certain bool, now Time) Reason {
	who.Addr = plain(who.Addr)
	if b := g.bans.Load(); b != nil {
		x := b.Client(who.ClientID, who.UserName, now)
		if x == nil && who.Addr.IsValid() {
			x = b.Address(who.Addr, now) // it may have been banned since it connected
		}
		if x != nil {
			return g.count(who.event(Listed, x.Why, 0), now)
		}
	}
	if g.exempt(who.Addr) {
		return Admitted
	}
	if !certain {
		if g.banned(g.addresses, g.addressKey(who.Addr), now) || g.banned(g.logins, g.loginKey(who), now) {
			return g.count(who.event(FailedLogins, "", 0), now)
		}
		return Admitted
	}
	if g.opts.FlapConnects > 0 && !g.connectsSeldom(who, now) {
		return g.count(who.event(Flapping, "", 0), now)
	}
	return Admitted
}

func (g *Guard) banned(t *table, key uint64, now Time) bool {
	s, mu := t.lock(key)
	defer mu.Unlock()
	r := s.find(key)
	return r != nil && r.until > now
}

// connectsSeldom counts a connect against the client identifier; false while it is paused.
func (g *Guard) connectsSeldom(who Who, now Time) bool {
	key := g.stringKey(who.ClientID)
	s, mu := g.clients.lock(key)
	defer mu.Unlock()
	r := g.clients.get(s, key, now)
	if r == nil {
		return true
	}
	if r.until > now {
		return false
	}
	if g.clients.bucket.take(r, now) {
		return true
	}
	r.until = now + Time(g.opts.FlapPause.Milliseconds())
	return false
}

// Failed counts a login that failed: a wrong name, password, token or proof. A judge that could not be asked is no failure.
func (g *Guard) Failed(who Who, now Time) {
	g.failures.Add(1)
	if who.Addr = plain(who.Addr); g.exempt(who.Addr) {
		return
	}
	until := max(
		g.bump(g.logins, g.loginKey(who), g.opts.LoginFailures, now),
		g.bump(g.addresses, g.addressKey(who.Addr), g.opts.AddressFailures, now))
	if until > 0 {
		g.count(who.event(LoginBan, "", until), now)
	}
}

// bump adds a failure to what key has, and returns when the ban ends that this brings, 0 if it brings none.
func (g *Guard) bump(t *table, key uint64, limit int, now Time) (until Time) {
	if limit == 0 {
		return 0
	}
	s, mu := t.lock(key)
	defer mu.Unlock()
	r := t.get(s, key, now)
	if r == nil {
		return 0
	}
	t.decay(r, now)
	r.score = min(r.score+1, float32(limit)) // those under way when a ban begins add nothing
	if r.until > now || r.score < float32(limit)-0.5 {
		return 0
	}
	ban := Time(g.opts.FirstBan.Milliseconds())
	for range int(r.bans + 0.5) {
		if ban *= 2; ban >= Time(g.opts.MaxBan.Milliseconds()) {
			break
		}
	}
	r.until = now + min(ban, Time(g.opts.MaxBan.Milliseconds()))
	r.bans++
	return r.until
}

// Succeeded counts a login that succeeded. who has the names under which Failed would have been told of it.
func (g *Guard) Succeeded(who Who, now Time) {
	if who.Addr = plain(who.Addr); g.exempt(who.Addr) || !g.opts.bansLogins() {
		return
	}
	addressKey, loginKey := g.addressKey(who.Addr), g.loginKey(who)
	s, mu := g.addresses.lock(addressKey)
	a := s.find(addressKey)
	troubled := a != nil && a.score > 0
	mu.Unlock()

	lower := false
	s, mu = g.logins.lock(loginKey)
	r := s.find(loginKey)
	if r == nil && troubled {
		r = g.logins.get(s, loginKey, now)
	}
	if r != nil {
		r.score, r.bans, r.until = 0, 0, 0
		if seconds := uint32(now / 1000); troubled && Time(seconds-r.pardon)*1000 >= g.logins.halfLife {
			r.pardon, lower = seconds, true
		}
	}
	mu.Unlock()
	if !lower {
		return
	}
	s, mu = g.addresses.lock(addressKey)
	defer mu.Unlock()
	if a := s.find(addressKey); a != nil {
		g.addresses.decay(a, now)
		a.score = max(a.score-1, 0)
	}
}

// TakenOver counts that the client at by took its identifier from a live connection, and notices when that is a habit: two devices have
// the same identifier then, and each connects again when the other one has thrown it out.
func (g *Guard) TakenOver(clientID string, by netip.Addr, now Time) {
	key := g.stringKey(clientID)
	s, mu := g.clients.lock(key)
	r := g.clients.get(s, key, now)
	fight := false
	if r != nil {
		g.clients.decay(r, now)
		if r.score++; r.score >= fightTakeovers {
			r.score, fight = 0, true
		}
	}
	mu.Unlock()
	if fight {
		g.count(Event{Reason: TakeoverFight, Addr: plain(by), ClientID: clientID}, now)
	}
}

// Forget ends all bans that the guard found out by itself, and forgets what they came of: what failed until now may be right once
// passwords have been loaded again.
func (g *Guard) Forget() {
	for _, t := range []*table{g.addresses, g.logins, g.clients} {
		for i := range t.sets {
			mu := &t.locks[i%stripe].Mutex
			mu.Lock()
			t.sets[i] = set{}
			mu.Unlock()
		}
	}
}

// Counters returns the totals.
func (g *Guard) Counters() Counters {
	c := Counters{Failures: g.failures.Load()}
	for i := range c.By {
		c.By[i] = g.by[i].Load()
	}
	for _, t := range []*table{g.addresses, g.logins, g.clients} {
		c.Evicted += t.evicted.Load()
		c.Crowded += t.crowded.Load()
	}
	return c
}

func (w *Who) event(r Reason, why string, until Time) Event {
	return Event{Reason: r, Addr: w.Addr, ClientID: w.ClientID, UserName: w.UserName, Why: why, Until: until}
}

// count counts e, and tells the log unless it heard of such a thing a moment ago. It returns the Reason.
func (g *Guard) count(e Event, now Time) Reason {
	n := g.by[e.Reason].Add(1)
	at := g.logAt[e.Reason].Load()
	if g.opts.Log == nil || int64(now) < at || !g.logAt[e.Reason].CompareAndSwap(at, int64(now+LogInterval)) {
		return e.Reason
	}
	e.Count = n - min(n, g.logged[e.Reason].Swap(n))
	g.opts.Log(e)
	return e.Reason
}

// plain takes from an address what is not the client's own: an IPv4 address may come mapped or, translated on its way, embedded in
// IPv6 (64:ff9b::/96, RFC 6052), where all clients would share one /64.
func plain(a netip.Addr) netip.Addr {
	if a.Is4() {
		return a
	}
	if a.Is4In6() {
		return a.Unmap()
	}
	if b := a.As16(); binary.BigEndian.Uint64(b[:]) == 0x0064ff9b<<32 && binary.BigEndian.Uint32(b[8:]) == 0 && a.IsValid() {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return a.WithZone("")
}

// place is what an address counts by: itself, or its /64. The two do not meet: no client has an address in ::/32.
func place(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:])
}

func (g *Guard) addressKey(a netip.Addr) uint64 { return nonzero(maphash.Comparable(g.seed, place(a))) }

// loginKey is for an address and a name; who gives none goes by its client identifier.
func (g *Guard) loginKey(w Who) uint64 {
	name := maphash.String(g.seed, w.UserName)
	if w.UserName == "" {
		name = ^maphash.String(g.seed, w.ClientID)
	}
	return nonzero(maphash.Comparable(g.seed, [2]uint64{place(w.Addr), name}))
}

func (g *Guard) stringKey(s string) uint64 { return nonzero(maphash.String(g.seed, s)) }

// nonzero leaves 0 to free places.
func nonzero(k uint64) uint64 { return max(k, 1) }

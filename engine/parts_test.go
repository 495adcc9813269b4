package engine

import (
	"net"
	"testing"
	"time"
	"unsafe"
)

func TestParseAddress(t *testing.T) {
	tcp := func(addr string) address { return address{network: "tcp", addr: addr} }
	for url, want := range map[string]address{
		"mqtt://127.0.0.1:1": tcp("127.0.0.1:1"),
		"tcp://host":         tcp("host:1883"),
		"mqtt://":            tcp(":1883"),
		"mqtt://:1884":       tcp(":1884"),
		"mqtt://[::1]:1883/": tcp("[::1]:1883"),
		"mqtts://":           {network: "tcp", addr: ":8883", tls: true},
		"tls://host:1":       {network: "tcp", addr: "host:1", tls: true},
		"ws://host":          {network: "tcp", addr: "host:80", ws: true},
		"ws://host:1/mqtt":   {network: "tcp", addr: "host:1", ws: true, path: "/mqtt"},
		"wss://host/":        {network: "tcp", addr: "host:443", tls: true, ws: true, path: "/"},
		"unix:///run/x.sock": {network: "unix", addr: "/run/x.sock"},
		"wss://host?x":       {},
		"mqtt://host/path":   {},
		"mqtt://user@host":   {},
		"mqtt://host?x=1":    {},
		"mqtt://host:port":   {},
		"unix://relative/x":  {},
		"unix://":            {},
		"http://host":        {},
		"127.0.0.1:1883":     {},
		"":                   {},
	} {
		got, err := parseAddress(url)
		if got != want || (err == nil) != (want != address{}) {
			t.Errorf("%q: %v, %v, want %v", url, got, err, want)
		}
	}
}

func TestOptionsWithImpossibleValuesAreRefused(t *testing.T) {
	ok := DefaultOptions()
	if err := ok.Validate(); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for name, change := range map[string]func(*Options){
		"no listener":    func(o *Options) { o.Listeners = nil },
		"bad listener":   func(o *Options) { o.Listeners = []ListenerOptions{{URL: "x"}} },
		"negative loops": func(o *Options) { o.Loops = -1 },
		"too many loops": func(o *Options) { o.Loops = maxLoops + 1 },
		"negative max":   func(o *Options) { o.MaxConnections = -1 },
		"negative rate":  func(o *Options) { o.MaxAcceptRate = -1 },
		"negative time":  func(o *Options) { o.ShutdownTimeout = -1 },
	} {
		o := DefaultOptions()
		change(&o)
		if o.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestThrottleDelaysWhatExceedsItsRate(t *testing.T) {
	now := time.Now()
	th := newThrottle(10)
	for i := range 10 {
		if d := th.take(now); d != 0 {
			t.Errorf("token %d of the burst: delayed by %v", i, d)
		}
	}
	for i := 1; i <= 3; i++ {
		if d, want := th.take(now), time.Duration(i)*100*time.Millisecond; d != want {
			t.Errorf("token %d after the burst: delayed by %v, want %v", i, d, want)
		}
	}
	if d := th.take(now.Add(time.Minute)); d != 0 {
		t.Errorf("after a pause: delayed by %v", d)
	}
	if d := newThrottle(0).take(now); d != 0 {
		t.Errorf("without a bound: delayed by %v", d)
	}
}

func TestQuietCountsWhatItWithholds(t *testing.T) {
	var q quiet
	now := time.Now()
	for i, want := range []bool{true, false, false} {
		if _, ok := q.may(now); ok != want {
			t.Errorf("line %d: %v", i, ok)
		}
	}
	if n, ok := q.may(now.Add(quietFor)); !ok || n != 2 {
		t.Errorf("later: %d withheld, %v", n, ok)
	}
}

func TestGateAnnouncesThatItIsEmpty(t *testing.T) {
	g := newGate(1)
	if !g.enter() || g.enter() {
		t.Fatal("a gate for one admits another number")
	}
	g.drain()
	select {
	case <-g.empty:
		t.Fatal("announced with one inside")
	default:
	}
	g.leave()
	<-g.empty
}

func TestConnectionsLeaveDescriptorsToTheStore(t *testing.T) {
	for limit, want := range map[uint64]int{64: 48, 1024: 768, 20000: 19400, 1 << 63: 1 << 30} {
		if got := connectionsFor(limit); got != want {
			t.Errorf("%d descriptors: %d connections, want %d", limit, got, want)
		}
	}
}

// gnet would put the zone, a string that package net shares, into a pool of buffers.
func TestAdoptedConnectionsHaveNoZone(t *testing.T) {
	a := &net.TCPAddr{IP: net.IPv6loopback, Port: 1, Zone: "eth0"}
	forgetZone(a)
	if a.Zone != "" {
		t.Errorf("zone %q", a.Zone)
	}
}

func TestConnIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size != 64 { // a size class of the allocator
		t.Errorf("%d bytes for every client, want 64", size)
	}
}

func TestLayersAreSmall(t *testing.T) {
	if size := unsafe.Sizeof(layers{}); size != 128 { // a size class of the allocator
		t.Errorf("%d bytes for every client with TLS or WebSocket, want 128", size)
	}
}

func TestClockAdvancesAndAgreesWithTheWall(t *testing.T) {
	before := time.Now().UnixMilli()
	c := newClock()
	first := c.now()
	second := c.now()
	if second < first || int64(first) < before-1 {
		t.Errorf("wall %d, then %d, then %d", before, first, second)
	}
}

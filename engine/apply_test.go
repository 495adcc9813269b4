package engine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/session"
	"github.com/gannetmq/gannet/engine/websocket"
)

func TestApplyAddsAndRemovesListenersWithoutTouchingOthers(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 2, Listeners: []ListenerOptions{
			{URL: "mqtt://127.0.0.1:0", Name: "stays"}, {URL: "mqtt://localhost:0", Name: "goes"},
		}})
		addrs := s.Addrs()
		staying, orphan := dial(t, addrs[0]), dial(t, addrs[1])
		exchange(t, staying, "hello")
		exchange(t, orphan, "hello")

		path := filepath.Join(t.TempDir(), "s")
		if err := s.Apply([]ListenerOptions{{URL: "unix://" + path, Name: "comes"}, {URL: "mqtt://127.0.0.1:0", Name: "stays"}}); err != nil {
			t.Fatal(err)
		}
		exchange(t, dial(t, s.Addrs()[0]), "new address")
		exchange(t, staying, "still here")
		exchange(t, orphan, "I, too")
		exchange(t, dial(t, addrs[0]), "the same socket")
		if nc, err := net.Dial("tcp", addrs[1].String()); err == nil {
			_ = nc.Close()
			t.Error("the removed listener listens")
		}
		stats := s.ListenerStats()
		if len(stats) != 2 || stats[0].Name != "comes" || stats[0].Open != 1 || stats[1].Name != "stays" || stats[1].Open != 2 || stats[1].Accepted != 2 {
			t.Errorf("listeners: %+v", stats)
		}
		if got := s.Stats(); got.Open != 4 || got.Accepted != 4 {
			t.Errorf("stats: %+v", got)
		}
		s.stop()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket file is left: %v", err)
		}
		if err := s.Apply([]ListenerOptions{{URL: "mqtt://127.0.0.1:0"}}); err == nil {
			t.Error("applied to a server that has ended")
		}
	})
}

func TestApplyIsAllOrNothing(t *testing.T) {
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0", Name: "old"}}})
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free := filepath.Join(t.TempDir(), "s")
	url := "mqtt://" + taken.Addr().String()
	err = s.Apply([]ListenerOptions{{URL: "mqtt://127.0.0.1:0", Name: "new"}, {URL: "unix://" + free}, {URL: url}})
	if want := "listen " + url + ": address already in use"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
	err = s.Apply([]ListenerOptions{{URL: "mqtt://127.0.0.1:0", Name: "old"}, {URL: "mqtt://127.0.0.1:" + port}})
	if want := "address already in use by listener old of this server, which stays"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("its own address under another name: %v, want %s", err, want)
	}
	if err := s.Apply([]ListenerOptions{{URL: "mqtts://127.0.0.1:0"}}); err == nil {
		t.Error("TLS without a certificate is applied")
	}
	if _, err := os.Lstat(free); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a listener was left open: %v", err)
	}
	if stats := s.ListenerStats(); len(stats) != 1 || stats[0].Name != "old" {
		t.Errorf("listeners: %+v", stats)
	}
	exchange(t, dial(t, s.Addrs()[0]), "hello")
}

// From every interface to one, and back, and at no time the port is closed.
func TestApplyMovesAListenerToAnAddressThatOverlaps(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 2, Listeners: []ListenerOptions{{URL: "mqtt://0.0.0.0:0", Name: "all"}}})
		if _, err := net.ListenPacket("udp", "127.0.0.2:0"); err != nil {
			t.Skipf("this system has one loopback address only: %v", err)
		}
		_, port, _ := net.SplitHostPort(s.Addrs()[0].String())
		here, there := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
		here.Port, _ = strconv.Atoi(port)
		there.Port = here.Port
		one := ListenerOptions{URL: "mqtt://127.0.0.1:" + port, Name: "one"}
		var all []net.Conn
		meet := func(a net.Addr) {
			t.Helper()
			all = append(all, dial(t, a))
			for _, nc := range all {
				exchange(t, nc, "still here")
			}
		}
		meet(here)
		meet(there)

		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = taken.Close() }()
		if err := s.Apply([]ListenerOptions{one, {URL: "mqtt://" + taken.Addr().String()}}); err == nil {
			t.Fatal("the address of another program is applied")
		}
		meet(here)
		meet(there)
		if got := s.ListenerStats(); len(got) != 1 || got[0].Name != "all" || got[0].Accepted != 4 {
			t.Errorf("listeners: %+v", got)
		}
		alone(t, s, one.URL)

		if err := s.Apply([]ListenerOptions{one}); err != nil {
			t.Fatal(err)
		}
		meet(here)
		if nc, err := net.Dial("tcp", there.String()); err == nil {
			_ = nc.Close()
			t.Error("the address that was given up is listened on")
		}
		if got := s.ListenerStats(); len(got) != 1 || got[0].Name != "one" || got[0].Accepted != 1 {
			t.Errorf("listeners: %+v", got)
		}
		alone(t, s, one.URL)

		if err := s.Apply([]ListenerOptions{{URL: "mqtt://0.0.0.0:" + port, Name: "all"}}); err != nil {
			t.Fatal(err)
		}
		meet(here)
		meet(there)
		alone(t, s, one.URL)
	})
}

// alone expects that no other program may listen where the server does.
func alone(t *testing.T, s *running, url string) {
	t.Helper()
	if l, err := listen(ListenerOptions{URL: url}, &s.tally, false); err == nil {
		_ = l.Close()
		t.Error("another one may listen there")
	}
}

func TestApplyWithTellsWhenNothingCanFailAnyMore(t *testing.T) {
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0", Name: "old"}}})
	ready := 0
	check := func() {
		ready++
		if name := s.listeners[0].name(); name != "old" {
			t.Errorf("connections meet %q already", name)
		}
	}
	bad := []ListenerOptions{{URL: "mqtt://127.0.0.1:0", Name: "new"}, {URL: "unix://" + filepath.Join(t.TempDir(), "none", "s")}}
	if err := s.ApplyWith(bad, check); err == nil || ready != 0 {
		t.Errorf("%v, and ready was called %d times", err, ready)
	}
	if err := s.ApplyWith(bad[:1], check); err != nil || ready != 1 || s.listeners[0].name() != "new" {
		t.Errorf("%v, and ready was called %d times", err, ready)
	}
}

// A port may even change its transport: whoever is connected keeps the one it has.
func TestApplyChangesWhatFutureConnectionsMeet(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		a := newAuthority(t)
		config := a.server()
		s := w.start(t, Options{Loops: 1, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}}})
		old := dial(t, s.Addrs()[0])
		exchange(t, old, "hello")
		secure := []ListenerOptions{{URL: "mqtts://127.0.0.1:0", TLS: config, Policy: session.Policy{AllowAnonymous: true}}}
		if err := s.Apply(secure); err != nil {
			t.Fatal(err)
		}
		client := a.client("")
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		exchange(t, dialTLS(t, s, client), "hello")
		exchange(t, old, "in the clear")
		if !s.listeners[0].setup.Load().broker.Policy.AllowAnonymous {
			t.Error("the policy is the old one")
		}
		// The same configuration again: the tickets that clients hold are good.
		if err := s.Apply(secure); err != nil {
			t.Fatal(err)
		}
		tc := dialTLS(t, s, client)
		if exchange(t, tc, "hello"); !tc.ConnectionState().DidResume {
			t.Error("a ticket was forgotten")
		}
	})
}

func TestMaxConnectionsOfOneListener(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, Listeners: []ListenerOptions{
			{URL: "mqtt://127.0.0.1:0", MaxConnections: 1}, {URL: "mqtt://localhost:0"},
		}})
		first := dial(t, s.Addrs()[0])
		exchange(t, first, "1")
		if !refusedBy(t, dial(t, s.Addrs()[0])) {
			t.Error("the second is let in")
		}
		exchange(t, dial(t, s.Addrs()[1]), "elsewhere there is room")
		if got := s.ListenerStats()[0]; got.RefusedFull != 1 || got.Open != 1 {
			t.Errorf("stats: %+v", got)
		}
		if _, err := io.WriteString(first, "bye\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, first)
		exchange(t, dial(t, s.Addrs()[0]), "the place is free again")
	})
}

func TestUnixSocketHasTheModeThatWasAskedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	mode := func() os.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	o := ListenerOptions{URL: "unix://" + path, SocketMode: 0o660}
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{o}})
	if got := mode(); got != 0o660 {
		t.Errorf("mode %o", got)
	}
	o.SocketMode = 0o600
	if err := s.Apply([]ListenerOptions{o}); err != nil {
		t.Fatal(err)
	}
	if got := mode(); got != 0o600 {
		t.Errorf("mode %o after the change", got)
	}
	exchange(t, dial(t, s.Addrs()[0]), "hello")
}

func TestListenerOnAnInterfaceAndAFamily(t *testing.T) {
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{{URL: "mqtt://:0", Family: IPv4}}})
	if got := s.Addrs()[0].String(); !strings.HasPrefix(got, "0.0.0.0:") {
		t.Errorf("listens on %s", got)
	}
	_, err := newServer(Options{Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0", Interface: "no-such-one"}}}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `interface "no-such-one"`) {
		t.Errorf("got %v", err)
	}
}

func TestListenerOptionsThatCannotBe(t *testing.T) {
	config := newAuthority(t).server()

	for name, o := range map[string]ListenerOptions{
		"TLS without a certificate": {URL: "mqtts://"},
		"a certificate without TLS": {URL: "mqtt://", TLS: config},
		"identity without TLS":      {URL: "mqtt://", Identity: func(*x509.Certificate) string { return "" }},
		"PROXY version 3":           {URL: "mqtt://", Proxy: ProxyOptions{Mode: ProxyRequired, Version: 3}},
		"facts of version 1":        {URL: "mqtt://", Proxy: ProxyOptions{Mode: ProxyRequired, Version: 1, RequireTLS: true}},
		"facts that are optional":   {URL: "mqtt://", Proxy: ProxyOptions{Mode: ProxyOptional, IdentityFromTLS: true}},
		"path without WebSocket":    {URL: "mqtt://", WebSocket: websocket.Options{Path: "/mqtt"}},
		"two paths":                 {URL: "ws://host/a", WebSocket: websocket.Options{Path: "/b"}},
		"a relative path":           {URL: "ws://host", WebSocket: websocket.Options{Path: "b"}},
		"mode of a port":            {URL: "mqtt://", SocketMode: 0o600},
		"mode with a type":          {URL: "unix:///s", SocketMode: os.ModeSocket | 0o600},
		"negative maximum":          {URL: "mqtt://", MaxConnections: -1},
		"interface of a file":       {URL: "unix:///s", Interface: "lo"},
		"another family":            {URL: "mqtt://", Family: "ipx"},
	} {
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), "listener") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, o := range []ListenerOptions{
		{URL: "mqtts://", TLS: config},
		{URL: "wss://host/a", TLS: config, WebSocket: websocket.Options{Path: "/a"}},
		{URL: "mqtt://", Interface: "lo", Family: IPv6, MaxConnections: 5},
		{URL: "unix:///s", SocketMode: 0o660, Proxy: ProxyOptions{Mode: ProxyRequired, Version: 2, RequireTLS: true}},
	} {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// Whatever state its connections are in, a server that has ended holds no descriptor.
func TestShutdownClosesEveryDescriptor(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		a := newAuthority(t)
		once := func() {
			s := w.start(t, Options{Loops: 2, Listeners: []ListenerOptions{
				{URL: "mqtts://127.0.0.1:0", TLS: a.server()}, {URL: "ws://127.0.0.1:0"}, {URL: "wss://127.0.0.1:0", TLS: a.server()},
				{URL: "mqtt://127.0.0.1:0", Proxy: ProxyOptions{Mode: ProxyRequired}}, {URL: "unix://" + filepath.Join(t.TempDir(), "s")},
			}})
			var all []net.Conn
			for _, addr := range s.Addrs() {
				all = append(all, dial(t, addr)) // says nothing
			}
			s.greetings.await(t, 3)
			done := dialTLS(t, s, a.client(""))
			exchange(t, done, "hello")
			all = append(all, done.NetConn(), dial(t, s.Addrs()[1]))
			upgradeOver(t, all[len(all)-1], "")
			s.stop()
			for _, nc := range all {
				_ = nc.Close()
			}
		}
		once() // what the runtime opens for itself
		before := descriptors(t)
		once()
		if after := descriptors(t); len(after) > len(before) {
			t.Errorf("descriptors before: %v\nafter: %v", before, after)
		}
	})
}

// descriptors lists what this process has open.
func descriptors(t *testing.T) (open []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("this system does not list the descriptors of a process: %v", err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil { // not the one that lists
			open = append(open, to)
		}
	}
	return open
}

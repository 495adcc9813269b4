package engine

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// onLoop calls f in a turn of loop i and returns what it returns.
func onLoop[T any](s *running, i int, f func(*echoCore) T) T {
	result := make(chan T)
	s.cores[i].post(func(e *echoCore) { result <- f(e) })
	return <-result
}

// The kernel wakes the same loop for each of these, so that all but a few must be handed over.
func TestConnectionsAreSharedAmongTheLoops(t *testing.T) {
	const clients, loops = 2000, 4
	s := serve(t, Options{Loops: loops})
	for range clients {
		exchange(t, dial(t, s.Addrs()[0]), "x")
	}
	var least, most, all int64 = clients, 0, 0
	for i := range loops {
		n := int64(onLoop(s, i, func(e *echoCore) int { return len(e.conns) }))
		if load := s.loops[i].intake.load.Load(); load != n {
			t.Errorf("loop %d has %d connections and believes to have %d", i, n, load)
		}
		least, most, all = min(least, n), max(most, n), all+n
	}
	if all != clients || most > least+least/slackPart+1 {
		t.Errorf("%d connections, from %d to %d a loop", all, least, most)
	}
	s.stop()
	for i, l := range s.loops {
		if load := l.intake.load.Load(); load != 0 {
			t.Errorf("loop %d believes to have %d connections in the end", i, load)
		}
	}
}

func TestRemoteAddrIsThatOfTheClient(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, Listeners: []ListenerOptions{
			{URL: "mqtt://127.0.0.1:0"}, {URL: "unix://" + filepath.Join(t.TempDir(), "s")}, {URL: "mqtt://:0"}, {URL: "mqtt://:0", Family: IPv6},
		}})
		port := func(i int) string { return s.Addrs()[i].(*net.TCPAddr).AddrPort().String() }
		_, any, _ := net.SplitHostPort(port(2))
		_, six, _ := net.SplitHostPort(port(3))
		for name, x := range map[string]struct{ network, addr, want string }{
			"IPv4":                   {"tcp", port(0), ""},
			"Unix":                   {"unix", s.Addrs()[1].String(), "@"},
			"IPv4, listener for all": {"tcp4", "127.0.0.1:" + any, ""},
			"IPv6":                   {"tcp6", "[::1]:" + six, ""},
		} {
			nc, err := net.Dial(x.network, x.addr)
			if err != nil && strings.Contains(x.addr, "::1") {
				t.Logf("%s: this system has none: %v", name, err)
				continue
			} else if err != nil {
				t.Fatal(err)
			}
			_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
			exchange(t, nc, "hello")
			got := onLoop(s, 0, func(e *echoCore) (all []string) {
				for _, ec := range e.conns {
					all = append(all, ec.transport.RemoteAddr())
				}
				return all
			})
			if x.want == "" {
				x.want = nc.LocalAddr().String()
			}
			if len(got) != 1 || got[0] != x.want {
				t.Errorf("%s: %q, want %s", name, got, x.want)
			}
			if _, err := io.WriteString(nc, "bye\n"); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, nc) // its end is known to the loop
			_ = nc.Close()
		}
	})
}

// After a burst, the throttle makes clients wait. All of them come in.
func TestThrottledClientsAreServedInTheEnd(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 2, MaxAcceptRate: 100})
		var clients []net.Conn
		for range 130 {
			clients = append(clients, dial(t, s.Addrs()[0]))
		}
		for _, nc := range clients {
			exchange(t, nc, "hello")
		}
		if got := s.Stats(); got.Accepted != 130 || got.AcceptErrors != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// While there is no place for another greeting, nobody loses his, the loops serve their clients, and whoever waits gets the
// place that becomes free.
func TestGreetingsWaitForAPlaceAndNotOnALoop(t *testing.T) {
	a := newAuthority(t)
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, MaxHandshakes: 1, HandshakeTimeout: time.Minute, Listeners: []ListenerOptions{
			{URL: "mqtts://127.0.0.1:0", TLS: a.server()}, {URL: "mqtt://127.0.0.1:0"},
		}})
		s.greetings.mu.Lock()
		s.greetings.evictAfter = time.Hour
		s.greetings.mu.Unlock()
		silent := dial(t, s.Addrs()[0])
		s.greetings.await(t, 1)
		var waiting sync.WaitGroup
		for range 3 {
			tc := tls.Client(dial(t, s.Addrs()[0]), a.client(""))
			waiting.Go(func() { exchangeNow(t, tc, "hello") })
		}
		plain := dial(t, s.Addrs()[1])
		for range 10 {
			exchange(t, plain, "hello")
		}
		_ = silent.Close()
		waiting.Wait()
		s.stop()
		if got := s.Stats(); got.Handshakes != 3 || got.HandshakesEvicted != 0 || got.HandshakesFailed != 1 || got.Open != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// A server ends while a connection waits for a place among the greetings.
func TestShutdownWithAGreetingThatIsHeld(t *testing.T) {
	a := newAuthority(t)
	eachWay(t, func(t *testing.T, w way) {
		s := w.start(t, Options{Loops: 1, MaxHandshakes: 1, HandshakeTimeout: time.Minute, Listeners: []ListenerOptions{
			{URL: "mqtts://127.0.0.1:0", TLS: a.server()},
		}})
		s.greetings.mu.Lock()
		s.greetings.evictAfter = time.Hour
		s.greetings.mu.Unlock()
		first := dial(t, s.Addrs()[0])
		s.greetings.await(t, 1)
		second := dial(t, s.Addrs()[0])
		for deadline := time.Now().Add(30 * time.Second); s.Stats().Accepted < 2; {
			if time.Now().After(deadline) {
				t.Fatal("the second was not accepted")
			}
		}
		s.stop()
		for _, nc := range []net.Conn{first, second} {
			if !refusedBy(t, nc) {
				t.Error("a connection outlived the server")
			}
		}
		if got := s.Stats(); got.Open != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// Listeners come and go while clients connect to all of them: no descriptor is used after it means another file.
func TestListenersComeAndGoWhileClientsConnect(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		stays := ListenerOptions{URL: "mqtt://127.0.0.1:0", Name: "stays"}
		s := w.start(t, Options{Loops: 3, Listeners: []ListenerOptions{stays}})
		addr := s.Addrs()[0]
		path := filepath.Join(t.TempDir(), "s")
		end := make(chan struct{})
		var clients sync.WaitGroup
		for range 4 {
			clients.Go(func() {
				for {
					select {
					case <-end:
						return
					default:
					}
					nc, err := net.Dial(addr.Network(), addr.String())
					if err != nil {
						t.Error(err)
						return
					}
					_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
					exchangeNow(t, nc, "hello")
					_ = nc.Close()
					if nc, err := net.Dial("unix", path); err == nil {
						_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
						_, _ = io.WriteString(nc, "hello")
						_, _ = io.ReadFull(nc, make([]byte, 5)) // answered or closed
						_ = nc.Close()
					}
				}
			})
		}
		for range 100 {
			for _, o := range [][]ListenerOptions{{stays, {URL: "unix://" + path}, {URL: "mqtt://127.0.0.2:0"}}, {stays}} {
				if err := s.Apply(o); err != nil {
					t.Error(err)
				}
			}
		}
		close(end)
		clients.Wait()
		s.stop()
		if got := s.Stats(); got.Open != 0 || got.AdoptErrors != 0 || got.AcceptErrors != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestNothingIsLoggedWhenAllGoesWell(t *testing.T) {
	eachWay(t, func(t *testing.T, w way) {
		log := &lines{}
		s := w.serve(t, Options{Loops: 2, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}, {URL: "unix://" + filepath.Join(t.TempDir(), "s")}}},
			slog.New(slog.NewTextHandler(log, nil)))
		exchange(t, dial(t, s.Addrs()[0]), "hello")
		s.stop()
		if log.text.Len() > 0 {
			t.Errorf("logged: %s", log.text.Bytes())
		}
	})
}

func TestReserveComesBackWithTheFirstFreeDescriptor(t *testing.T) {
	s := serve(t, Options{Loops: 1})
	r := s.reserve
	r.mu.Lock()
	_ = r.file.Close()
	r.file = nil // somebody else has taken it
	r.mu.Unlock()
	exchange(t, dial(t, s.Addrs()[0]), "hello")
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(s.door.intakes) > 0 && r.file == nil {
		t.Error("a connection was accepted first")
	}
}

// Clients that can be told to go are told at once, however many have been before them; only where nothing helps does
// the pause grow.
func TestPausesGrowOnlyWhileNobodyCanBeToldToGo(t *testing.T) {
	s, err := newServer(Options{Loops: 1, Listeners: []ListenerOptions{{URL: "mqtt://127.0.0.1:0"}}}, slog.New(slog.DiscardHandler),
		func(func()) core { return nil })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, pause := s.listeners[0], acceptPauseMin
	for want := acceptPauseMin; want < acceptPauseMax; want *= 2 {
		if got := s.door.starved(l, syscall.EMFILE, &pause); got != want {
			t.Fatalf("paused for %v, want %v", got, want)
		}
	}
	for range 100 {
		nc := dial(t, l.Addr())
		if got := s.door.starved(l, syscall.EMFILE, &pause); got != acceptPauseMin {
			t.Fatalf("paused for %v beside a client that went, want %v", got, acceptPauseMin)
		}
		if _, err := nc.Read(make([]byte, 1)); err == nil {
			t.Fatal("the client was not told")
		}
	}
	if got := s.Stats(); got.RefusedStarved != 100 {
		t.Errorf("%d counted, want 100", got.RefusedStarved)
	}
	if got := s.door.starved(l, syscall.EMFILE, &pause); got != acceptPauseMin {
		t.Errorf("paused for %v, want %v", got, acceptPauseMin)
	}
	if got := s.door.starved(l, syscall.ENOMEM, &pause); got != 2*acceptPauseMin {
		t.Errorf("paused for %v, want %v", got, 2*acceptPauseMin)
	}
}

func TestALoopThatIsBehindGetsNoMoreConnections(t *testing.T) {
	l, _, f := scripted(0)
	for range arrivalsMost {
		if !l.intake.hand(arrival{fd: -1}) {
			t.Fatal("refused too soon")
		}
	}
	if l.intake.hand(arrival{fd: -1}) || l.intake.load.Load() != arrivalsMost {
		t.Errorf("one more was taken: %d", l.intake.load.Load())
	}
	if f.tasks != 1 {
		t.Errorf("%d tasks for all of them, want 1", f.tasks)
	}
}

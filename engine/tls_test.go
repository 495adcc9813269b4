package engine

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// serveTLS runs an echo server for TLS.
func serveTLS(t testing.TB, o Options, config *tls.Config) *running {
	o.Listeners = []ListenerOptions{{URL: "mqtts://127.0.0.1:0", TLS: config}}
	return serve(t, o)
}

// dialTLS connects and does the handshake.
func dialTLS(t testing.TB, s *running, config *tls.Config) *tls.Conn {
	t.Helper()
	tc := tls.Client(dial(t, s.Addrs()[0]), config)
	if err := tc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return tc
}

// eachTLS runs a test with both versions, and with and without reaching into tls.Conn.
func eachTLS(t *testing.T, test func(t *testing.T, s *running, client *tls.Config)) {
	a := newAuthority(t)
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		for inside, usable := range map[string]bool{"inside": true, "outside": false} {
			t.Run(name+"/"+inside, func(t *testing.T) {
				s := serveTLS(t, Options{Loops: 1}, a.server())
				lent := make(chan struct{})
				s.cores[0].post(func(*echoCore) {
					l := s.loops[0].lend()
					if !l.inside.usable {
						t.Error("this Go release has another tls.Conn: see tlsinside.go")
					}
					l.inside.usable = usable
					close(lent)
				})
				<-lent
				client := a.client("")
				client.MinVersion, client.MaxVersion = version, version
				test(t, s, client)
			})
		}
	}
}

// dribble is a connection that writes a byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

func TestTLSByteByByte(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		nc := dial(t, s.Addrs()[0])
		_ = nc.(*net.TCPConn).SetNoDelay(true)
		tc := tls.Client(dribble{nc}, client)
		for range 3 {
			exchange(t, tc, "hello, in pieces")
		}
	})
}

func TestTLSPipelinedAndLarge(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		tc := dialTLS(t, s, client)
		want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, many records and reads
		var sending sync.WaitGroup
		sending.Go(func() {
			for piece := want; len(piece) > 0; {
				n := min(len(piece), 1+len(piece)%9001)
				if _, err := tc.Write(piece[:n]); err != nil {
					t.Error(err)
					return
				}
				piece = piece[n:]
			}
		})
		got := make([]byte, len(want))
		if _, err := io.ReadFull(tc, got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back, equal %v, %v", len(got), bytes.Equal(got, want), err)
		}
		sending.Wait()
	})
}

// What a client sends right behind its part of the handshake arrives with it, before an event loop has the connection.
func TestTLSDataBehindTheHandshakeIsNotLost(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, Options{Loops: 2}, a.server())
	for range 20 {
		nc := dial(t, s.Addrs()[0])
		held := &holdBack{Conn: nc}
		tc := tls.Client(held, a.client(""))
		if err := tc.Handshake(); err != nil { // the last flight is held back
			t.Fatal(err)
		}
		if _, err := io.WriteString(tc, "right behind"); err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(held.held); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("right behind"))
		if _, err := io.ReadFull(tc, got); err != nil || string(got) != "right behind" {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// holdBack lets one write pass and keeps the others.
type holdBack struct {
	net.Conn
	passed bool
	held   []byte
}

func (h *holdBack) Write(b []byte) (int, error) {
	if !h.passed {
		h.passed = true
		return h.Conn.Write(b)
	}
	h.held = append(h.held, b...)
	return len(b), nil
}

func TestTLSResumption(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for i := range 3 {
			tc := dialTLS(t, s, client)
			exchange(t, tc, "hello") // tickets are read with it
			if resumed := tc.ConnectionState().DidResume; resumed != (i > 0) {
				t.Errorf("connection %d: resumed %v", i, resumed)
			}
		}
		if got := s.Stats(); got.Handshakes != 3 || got.HandshakesResumed != 2 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestTLSCloseSendsCloseNotify(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		tc := dialTLS(t, s, client)
		if _, err := io.WriteString(tc, "bye\n"); err != nil {
			t.Fatal(err)
		}
		// Without close_notify this would be io.ErrUnexpectedEOF.
		if got, err := io.ReadAll(tc); err != nil || string(got) != "bye\n" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTLSCloseNotifyOfTheClientEndsTheConnection(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		tc := dialTLS(t, s, client)
		exchange(t, tc, "hello")
		if err := tc.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, tc); err != nil {
			t.Errorf("the server's end: %v", err)
		}
		s.stop()
		if n := s.cores[0].closed; n != 1 {
			t.Errorf("%d closed, want 1", n)
		}
	})
}

func TestTLSGarbageEndsOneConnection(t *testing.T) {
	eachTLS(t, func(t *testing.T, s *running, client *tls.Config) {
		other := dialTLS(t, s, client)
		nc := dial(t, s.Addrs()[0])
		tc := tls.Client(nc, client)
		exchange(t, tc, "hello")
		if _, err := nc.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, tc)
		var alert tls.AlertError
		var op *net.OpError
		if !errors.As(err, &alert) && !errors.As(err, &op) {
			t.Errorf("the client hears %v, want an alert", err)
		}
		exchange(t, other, "still here")
		if got := s.Stats(); got.TransportErrors != 1 || got.Open != 1 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// identityOf returns the user name that the only connection has proved.
func identityOf(t *testing.T, s *running, tc *tls.Conn) string {
	t.Helper()
	exchange(t, tc, "hello")
	name := make(chan string)
	s.cores[0].post(func(e *echoCore) {
		for _, ec := range e.conns {
			name <- ec.transport.UserName()
		}
	})
	return <-name
}

func TestTLSClientCertificateIsTheUserName(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	options := ListenerOptions{
		URL: "mqtts://127.0.0.1:0", TLS: a.server(),
		Identity: func(c *x509.Certificate) string { return c.Subject.CommonName },
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, want := range map[string]string{"": "", "rajan": "rajan", "a\x00b": ""} {
			s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{options}})
			client := a.client(name)
			client.MaxVersion = version
			if got := identityOf(t, s, dialTLS(t, s, client)); got != want {
				t.Errorf("%q: got %q, want %q", name, got, want)
			}
			if p := &s.listeners[0].setup.Load().broker.Policy; !p.ProvenOnly {
				t.Error("the policy lets in who proves nothing")
			}
			s.stop()
		}
	}
	// A certificate of another authority is refused in the handshake.
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{options}})
	client := a.client("")
	client.Certificates = stranger.client("rajan").Certificates
	tc := tls.Client(dial(t, s.Addrs()[0]), client)
	if _, err := io.WriteString(tc, "hello"); err == nil {
		_, err = tc.Read(make([]byte, 1))
		if err == nil {
			t.Error("served")
		}
	}
	s.stop()
	if got := s.Stats(); got.HandshakesFailed != 1 || got.Handshakes != 0 || got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestHandshakeTimesOut(t *testing.T) {
	s := serveTLS(t, Options{Loops: 1, HandshakeTimeout: 20 * time.Millisecond}, newAuthority(t).server())
	nc := dial(t, s.Addrs()[0])
	if _, err := nc.Write([]byte{22, 3}); err != nil { // of a ClientHello
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, nc)
	s.stop()
	if got := s.Stats(); got.HandshakesTimedOut != 1 || got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestSlowestHandshakeMakesRoom(t *testing.T) {
	a := newAuthority(t)
	s := serveTLS(t, Options{Loops: 1, MaxHandshakes: 2, HandshakeTimeout: time.Minute}, a.server())
	s.greetings.mu.Lock()
	s.greetings.evictAfter = 0
	s.greetings.mu.Unlock()
	slow := dial(t, s.Addrs()[0])
	s.greetings.await(t, 1)
	dial(t, s.Addrs()[0])
	s.greetings.await(t, 2)
	exchange(t, dialTLS(t, s, a.client("")), "hello")
	if !refusedBy(t, slow) {
		t.Error("the slowest has kept its place")
	}
	s.stop()
	if got := s.Stats(); got.HandshakesEvicted < 1 || got.Handshakes != 1 || got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestGreetingsEvictWhoWaitsLongestForItsClient(t *testing.T) {
	all := newGreetings(Options{Loops: 1, MaxHandshakes: 2})
	now := time.Now()
	enter := func(g *greeting, at time.Time) (time.Duration, bool) {
		server, client := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		g.nc = server
		return all.tryEnter(g, at)
	}
	computing, waiting, third := &greeting{}, &greeting{since: now}, &greeting{since: now}
	for _, g := range []*greeting{computing, waiting} {
		if _, ok := enter(g, now); !ok {
			t.Fatal("no place in an empty room")
		}
	}
	if d, ok := enter(third, now.Add(evictAfter/4)); ok || d != evictAfter-evictAfter/4 {
		t.Errorf("too soon: %v, %v", d, ok)
	}
	if _, ok := enter(third, now.Add(evictAfter)); !ok || !waiting.evicted || computing.evicted {
		t.Errorf("entered %v, evicted: waiting %v, computing %v", ok, waiting.evicted, computing.evicted)
	}
	// What was waited before counts, too; nobody is evicted while all compute.
	third.waited = evictAfter / 2
	if _, ok := enter(&greeting{}, now.Add(evictAfter/2)); !ok || !third.evicted {
		t.Error("the time waited before is forgotten")
	}
	if d, ok := enter(&greeting{}, now.Add(time.Hour)); ok || d != evictAfter {
		t.Errorf("all compute: %v, %v", d, ok)
	}
}

func TestWrongTransportIsToldAndClosed(t *testing.T) {
	a := newAuthority(t)
	log := &lines{}
	s := serveLogged(t, log, ListenerOptions{URL: "mqtt://127.0.0.1:0"}, ListenerOptions{URL: "mqtts://127.0.0.1:0", TLS: a.server()})
	tc := tls.Client(dial(t, s.Addrs()[0]), a.client(""))
	if err := tc.Handshake(); err == nil {
		t.Error("TLS on a plain port")
	}
	log.want(t, "the client speaks TLS to a plain port")
	s.door.quiet.speak()
	nc := dial(t, s.Addrs()[1])
	if _, err := io.WriteString(nc, "\x10\x10\x00\x04MQTT\x05\x02\x00\x3c"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, nc)
	s.stop()
	log.want(t, "the client speaks plain MQTT to a port for TLS")
	if got := s.Stats(); got.WrongTransport != 2 || got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
}

func TestShutdownEndsHandshakes(t *testing.T) {
	s := serveTLS(t, Options{Loops: 1, HandshakeTimeout: time.Hour}, newAuthority(t).server())
	for i := range 3 {
		dial(t, s.Addrs()[0])
		s.greetings.await(t, i+1)
	}
	s.stop()
	if got := s.Stats(); got.Open != 0 {
		t.Errorf("stats: %+v", got)
	}
}

// await waits until n greetings wait for their clients.
func (all *greetings) await(t testing.TB, n int) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		waiting := 0
		all.mu.Lock()
		for g := range all.open {
			if !g.since.IsZero() {
				waiting++
			}
		}
		all.mu.Unlock()
		if waiting >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d greetings wait for their clients, want %d", waiting, n)
		}
		<-time.After(time.Millisecond)
	}
}

// A configuration for one client gets whole records, without losing the server's tickets.
func TestWholeRecordsReachChosenConfigurations(t *testing.T) {
	chosen := &tls.Config{ServerName: "chosen"}
	c := wholeRecords(&tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen, nil }})
	first, err := c.GetConfigForClient(nil)
	if err != nil || !first.DynamicRecordSizingDisabled || first.ServerName != "chosen" || chosen.DynamicRecordSizingDisabled {
		t.Errorf("got %+v, %v", first, err)
	}
	if again, _ := c.GetConfigForClient(nil); again != first {
		t.Error("a copy for every client")
	}
}

// speak lets the next line be written whenever it comes.
func (q *quiet) speak() {
	q.mu.Lock()
	q.until = time.Time{}
	q.mu.Unlock()
}

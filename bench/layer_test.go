package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// dribble is a connection that writes a byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if n, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(b), nil
}

// webServer is the other end of a WebSocket. It splits what it sends into frames, and
// sends a ping between them.
type webServer struct {
	net.Conn
	kept []byte
}

func (s *webServer) Read(b []byte) (n int, err error) {
	for len(s.kept) == 0 {
		if s.kept, _, err = wsutil.ReadClientData(s.Conn); err != nil {
			return 0, err
		}
	}
	n = copy(b, s.kept)
	s.kept = s.kept[n:]
	return n, nil
}

func (s *webServer) Write(b []byte) (int, error) {
	half := len(b) / 2
	for _, f := range []ws.Frame{
		ws.NewFrame(ws.OpBinary, false, b[:half]),
		ws.NewPingFrame([]byte("there?")),
		ws.NewFrame(ws.OpContinuation, true, b[half:]),
	} {
		if err := ws.WriteFrame(s.Conn, f); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

func upgrade(c net.Conn) (net.Conn, error) {
	u := ws.Upgrader{Protocol: func(name []byte) bool { return string(name) == "mqtt" }}
	_, err := u.Upgrade(c)
	return &webServer{Conn: c}, err
}

func testCertificate(t *testing.T) *certificate {
	t.Helper()
	c, err := newCertificate()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// server returns the configuration of a server with the certificate.
func (c *certificate) server() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{c.leaf.Raw}, PrivateKey: c.key}}}
}

func overTLS(config *tls.Config) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) { return tls.Server(c, config), nil }
}

func slowly(over func(net.Conn) (net.Conn, error)) func(net.Conn) (net.Conn, error) {
	return func(c net.Conn) (net.Conn, error) { return over(dribble{c}) }
}

func TestLossIsFoundBelowALayer(t *testing.T) {
	addr := startFakeOver(t, func(n int, deliver func([]byte), payload []byte) {
		if n != 3 {
			deliver(payload)
		}
	}, upgrade)
	o, err := measureFleet(context.Background(), target{addr: addr, layer: newWebClients().layer}, onePair(100_000), brief())
	if err != nil {
		t.Fatal(err)
	}
	if want := (faults{lost: 1}); o.faults != want {
		t.Errorf("found %v, want %v", o.faults, want)
	}
}

func TestLayersCarryMessagesHoweverTheyAreCut(t *testing.T) {
	c := testCertificate(t)
	tests := []struct {
		name  string
		over  func(net.Conn) (net.Conn, error)
		layer func() layer
	}{
		{"TLS 1.3", overTLS(c.server()), c.clients(tls.VersionTLS13, true).layer},
		{"TLS 1.3 in bytes", slowly(overTLS(c.server())), c.clients(tls.VersionTLS13, true).layer},
		{"TLS 1.2", overTLS(c.server()), c.clients(tls.VersionTLS12, false).layer},
		{"TLS 1.2 in bytes", slowly(overTLS(c.server())), c.clients(tls.VersionTLS12, false).layer},
		{"WebSocket", upgrade, newWebClients().layer},
		{"WebSocket in bytes", slowly(upgrade), newWebClients().layer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			to := target{addr: startFakeOver(t, honest, tt.over), layer: tt.layer, pid: os.Getpid()}
			two := sizes{publishers: 2, subscribers: 2, payload: payloadSize, window: 50}
			o, err := measureFleet(context.Background(), to, pairsFleet(&two), patient())
			check(t, o, err)
			if o, err := measureIdle(context.Background(), to, 2, 5, 0, patient()); err != nil || o.total != 5 {
				t.Errorf("idle: %d clients, %v", o.total, err)
			}
		})
	}
}

// visit has clients come and go, one at a time.
func visit(t *testing.T, addr netip.AddrPort, layer func() layer, cycles uint64) {
	t.Helper()
	x := newVisits(1)
	l, err := newLoop(target{addr: addr, layer: layer}, x)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	x.open(l)
	p := phase{
		limit: setupLimit, stall: patient().patience,
		done: func() bool { return x.cycles >= cycles }, progress: func() uint64 { return x.cycles },
	}
	if err := p.run(context.Background(), l); err != nil {
		t.Fatalf("after %d cycles: %v", x.cycles, err)
	}
}

func TestHandshakesAreResumedWithTicketsOnly(t *testing.T) {
	c := testCertificate(t)
	without := c.server()
	without.SessionTicketsDisabled = true
	for _, tt := range []struct {
		name    string
		server  *tls.Config
		resume  bool
		resumed bool
	}{
		{"full", c.server(), false, false},
		{"resumed", c.server(), true, true},
		{"no tickets", without, true, false},
	} {
		for version, number := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			t.Run(tt.name+" "+version, func(t *testing.T) {
				k := c.clients(number, tt.resume)
				visit(t, startFakeOver(t, honest, overTLS(tt.server)), k.layer, 5)
				if tt.resumed != (k.resumedBut(1) == nil) || tt.resumed != (k.resumed >= 4) || k.full+k.resumed < 5 {
					t.Errorf("%d full, %d resumed; %v", k.full, k.resumed, k.resumedBut(1))
				}
			})
		}
	}
}

func TestWebSocketClientsLeaveInOrder(t *testing.T) {
	visit(t, startFakeOver(t, honest, upgrade), newWebClients().layer, 3)
}

func TestStrangersCertificateIsRefused(t *testing.T) {
	addr := startFakeOver(t, honest, overTLS(testCertificate(t).server()))
	to := target{addr: addr, layer: testCertificate(t).clients(tls.VersionTLS13, false).layer}
	_, err := measureChurn(context.Background(), to, newVisits(1), patient())
	if err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("%v", err)
	}
}

func TestHandshakeThatNeverEndsIsLeft(t *testing.T) {
	silent := func(c net.Conn) (net.Conn, error) { return c, nil } // reads TLS as MQTT, and hangs up
	to := target{addr: startFakeOver(t, honest, silent), layer: testCertificate(t).clients(tls.VersionTLS13, false).layer}
	_, err := measureChurn(context.Background(), to, newVisits(3), patient())
	if err == nil || !strings.Contains(err.Error(), "while connecting") {
		t.Errorf("%v", err)
	}
}

func TestFramesOfAClientAreReadByAServer(t *testing.T) {
	k := newWebClients()
	for _, size := range []int{0, 1, 5, 125, 126, 1 << 10, 1<<10 + 3, 0xFFFF, 0x10000, 100_001} {
		payload := bytes.Repeat([]byte("0123456789a"), size/11+1)[:size]
		wire := k.appendFrame([]byte("before"), opBinary, payload)
		r := bytes.NewReader(wire[len("before"):])
		h, err := ws.ReadHeader(r)
		if err != nil {
			t.Fatal(err)
		}
		got := wire[len(wire)-r.Len():]
		ws.Cipher(got, h.Mask, 0)
		if !h.Masked || !h.Fin || h.OpCode != ws.OpBinary || h.Length != int64(size) || !bytes.Equal(got, payload) {
			t.Errorf("frame of %d bytes: %+v, %d bytes of payload", size, h, len(got))
		}
	}
}

func TestFramesOfAServer(t *testing.T) {
	for _, size := range []int{0, 125, 126, 0xFFFF, 0x10000} {
		var b bytes.Buffer
		if err := ws.WriteFrame(&b, ws.NewBinaryFrame(make([]byte, size))); err != nil {
			t.Fatal(err)
		}
		whole := b.Bytes()
		for end := range len(whole) {
			if _, n, err := nextFrame(whole[:end]); n != 0 || err != nil {
				t.Fatalf("%d of %d bytes: frame of %d, %v", end, len(whole), n, err)
			}
			if end > 20 {
				break
			}
		}
		if f, n, err := nextFrame(append(whole, 1, 2, 3)); err != nil || n != len(whole) || len(f.payload) != size || !f.final || f.opcode != opBinary {
			t.Errorf("frame of %d bytes: %d, %v", size, n, err)
		}
	}
}

func TestWebSocketServersThatMisbehave(t *testing.T) {
	answer := func(status, accept, protocol string) string {
		return status + "\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: " + accept + "\r\nSec-WebSocket-Protocol: " + protocol + "\r\n\r\n"
	}
	const right = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" // RFC 6455, section 1.3
	good := answer("HTTP/1.1 101 Switching Protocols", right, "mqtt")
	for _, tt := range []struct{ name, answer, want string }{
		{"well", good, ""},
		{"not found", answer("HTTP/1.1 404 Not Found", right, "mqtt"), "404"},
		{"other key", answer("HTTP/1.1 101 Switching Protocols", "c3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "mqtt"), "Sec-WebSocket-Accept"},
		{"other protocol", answer("HTTP/1.1 101 Switching Protocols", right, "chat"), `"chat"`},
		{"no end", strings.Repeat("x", headMax+1), "does not end"},
		{"no HTTP", "\r\n\r\n", "WebSocket"},
		{"text", good + "\x81\x01x", "opcode 0x1"},
		{"masked", good + "\x82\x81abcdx", "0x82 0x81"},
		{"reserved bits", good + "\xC2\x01x", "0xc2 0x1"},
		{"too large", good + "\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "bytes"},
		{"continuation of nothing", good + "\x80\x01x", "opcode 0x0"},
		{"message within a message", good + "\x02\x01x\x82\x01x", "opcode 0x2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &webLayer{clients: newWebClients(), key: "dGhlIHNhbXBsZSBub25jZQ=="}
			_, _, err := w.receive(nil, nil, []byte(tt.answer))
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

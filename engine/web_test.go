package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/engine/websocket"
)

// webClient is a WebSocket connection of a test.
type webClient struct {
	t   testing.TB
	nc  net.Conn
	in  *bufio.Reader
	got []byte // payload not asked for yet
}

const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: mqtt\r\n%s\r\n"

// upgradeOver asks for an upgrade over nc, with further lines of the header, and returns the answer.
func upgradeOver(t testing.TB, nc net.Conn, fields string) (*webClient, *http.Response) {
	t.Helper()
	if _, err := fmt.Fprintf(nc, upgradeRequest, fields); err != nil {
		t.Fatal(err)
	}
	w := &webClient{t: t, nc: nc, in: bufio.NewReader(nc)}
	answer, err := http.ReadResponse(w.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return w, answer
}

// clientFrame returns a masked frame with opcode and flags first.
func clientFrame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{1, 2, 3, 4}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// next reads a frame of the server.
func (w *webClient) next() (first byte, payload []byte) {
	w.t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		w.t.Fatalf("waiting for a frame: %v", err)
	}
	length := make([]byte, map[byte]int{126: 2, 127: 8}[head[1]])
	if _, err := io.ReadFull(w.in, length); err != nil {
		w.t.Fatalf("waiting for a frame: %v", err)
	}
	n := uint64(head[1])
	if len(length) > 0 {
		n = 0
		for _, c := range length {
			n = n<<8 | uint64(c)
		}
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		w.t.Fatalf("in a frame of %d bytes: %v", n, err)
	}
	return head[0], payload
}

// want reads binary frames until their payloads make up text.
func (w *webClient) want(text string) {
	w.t.Helper()
	for len(w.got) < len(text) {
		first, payload := w.next()
		if first != 0x82 {
			w.t.Fatalf("frame %#x %q, want a binary one", first, payload)
		}
		w.got = append(w.got, payload...)
	}
	if string(w.got) != text {
		w.t.Fatalf("got %d bytes, other than the %d wanted", len(w.got), len(text))
	}
	w.got = nil
}

func (w *webClient) send(b ...[]byte) {
	w.t.Helper()
	if _, err := w.nc.Write(bytes.Join(b, nil)); err != nil {
		w.t.Fatal(err)
	}
}

// eachWeb runs a test with ws and with wss.
func eachWeb(t *testing.T, o ListenerOptions, test func(t *testing.T, s *running, connect func() net.Conn)) {
	t.Run("ws", func(t *testing.T) {
		o.URL = "ws://127.0.0.1:0"
		s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{o}})
		test(t, s, func() net.Conn { return dial(t, s.Addrs()[0]) })
	})
	t.Run("wss", func(t *testing.T) {
		a := newAuthority(t)
		o.URL, o.TLS = "wss://127.0.0.1:0", a.server()
		s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{o}})
		test(t, s, func() net.Conn { return dialTLS(t, s, a.client("")) })
	})
}

func TestWebSocketEchoesHoweverItIsCut(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		w, answer := upgradeOver(t, connect(), "")
		if answer.StatusCode != 101 || answer.Header.Get("Sec-WebSocket-Protocol") != "mqtt" {
			t.Fatalf("answer: %+v", answer)
		}
		// Frames that come together, parts of a message, a ping between them, an empty frame.
		w.send(clientFrame(0x82, "one"), clientFrame(0x02, "t"), clientFrame(0x89, "!"), clientFrame(0x80, "wo"), clientFrame(0x82, ""))
		if first, payload := w.next(); first != 0x8A || string(payload) != "!" {
			t.Errorf("frame %#x %q, want a pong", first, payload)
		}
		w.want("onetwo")
		for _, b := range clientFrame(0x82, "in pieces") {
			w.send([]byte{b})
		}
		w.want("in pieces")
		large := strings.Repeat("0123456789abcdef", 20000)
		go w.nc.Write(clientFrame(0x82, large))
		w.want(large)
		// A packet of the client in the same chunk as its goodbye.
		w.send(clientFrame(0x88, "\x03\xe8"))
		if first, payload := w.next(); first != 0x88 || string(payload) != "\x03\xe8" {
			t.Errorf("frame %#x %q, want the close frame back", first, payload)
		}
		if _, err := w.in.ReadByte(); err != io.EOF {
			t.Errorf("behind the close frame: %v", err)
		}
		s.stop()
		if got := s.Stats(); got.TransportErrors != 0 || s.cores[0].closed != 1 {
			t.Errorf("stats: %+v, %d closed", got, s.cores[0].closed)
		}
	})
}

func TestWebSocketFrameBehindTheRequestIsNotLost(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		nc := connect()
		request := append(fmt.Appendf(nil, upgradeRequest, ""), clientFrame(0x82, "right behind")...)
		for _, cut := range []int{0, 1, len(request) - 20} {
			if cut > 0 {
				nc = connect()
			}
			for _, part := range [][]byte{request[:cut], request[cut:]} {
				if _, err := nc.Write(part); err != nil {
					t.Fatal(err)
				}
			}
			w := &webClient{t: t, nc: nc, in: bufio.NewReader(nc)}
			if _, err := http.ReadResponse(w.in, nil); err != nil {
				t.Fatal(err)
			}
			w.want("right behind")
		}
	})
}

func TestWebSocketServerSaysGoodbye(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		w, _ := upgradeOver(t, connect(), "")
		w.send(clientFrame(0x82, "bye\n"))
		w.want("bye\n")
		if first, payload := w.next(); first != 0x88 || binary.BigEndian.Uint16(payload) != uint16(websocket.NormalClosure) {
			t.Errorf("frame %#x %q, want a close frame", first, payload)
		}
		w, _ = upgradeOver(t, connect(), "")
		s.stop()
		if first, payload := w.next(); first != 0x88 || binary.BigEndian.Uint16(payload) != uint16(websocket.GoingAway) {
			t.Errorf("frame %#x %q, want a close frame", first, payload)
		}
	})
}

func TestWebSocketViolationEndsTheConnection(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		for _, c := range []struct {
			frame []byte
			code  websocket.CloseCode
		}{
			{clientFrame(0x81, "text"), websocket.UnsupportedData},
			{[]byte{0x82, 0x01, 'x'}, websocket.ProtocolError}, // no mask
		} {
			w, _ := upgradeOver(t, connect(), "")
			w.send(clientFrame(0x82, "good"), c.frame)
			first, payload := w.next()
			for first == 0x82 {
				first, payload = w.next()
			}
			if first != 0x88 || binary.BigEndian.Uint16(payload) != uint16(c.code) {
				t.Errorf("frame %#x %q, want code %d", first, payload, c.code)
			}
		}
		s.stop()
		if got := s.Stats(); got.TransportErrors != 2 || got.Open != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestWebSocketRequestsThatAreRefused(t *testing.T) {
	o := ListenerOptions{WebSocket: websocket.Options{Path: "/other", Origins: []string{"https://good.example"}}}
	eachWeb(t, o, func(t *testing.T, s *running, connect func() net.Conn) {
		nc := connect()
		if _, answer := upgradeOver(t, nc, ""); answer.StatusCode != 404 {
			t.Errorf("another path: %s", answer.Status)
		}
		if !refusedBy(t, nc) {
			t.Error("the connection goes on")
		}
		w := connect()
		if _, err := io.WriteString(w, strings.Replace(fmt.Sprintf(upgradeRequest, "Origin: https://evil.example\r\n"), "/mqtt", "/other", 1)); err != nil {
			t.Fatal(err)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(w), nil); err != nil || answer.StatusCode != 403 {
			t.Errorf("another origin: %v, %v", answer, err)
		}
		s.stop()
		if got := s.Stats(); got.RefusedUpgrade != 2 || got.Open != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

func TestForwardedForIsBelievedOfTrustedProxiesOnly(t *testing.T) {
	const fields = "X-Forwarded-For: 10.9.9.9, 192.0.2.7, 127.0.0.2\r\n"
	for name, c := range map[string]struct {
		trusted string
		refuse  string
		want    string
	}{
		"trusted":     {trusted: "127.0.0.0/8", want: "192.0.2.7:0"},
		"not trusted": {trusted: "198.51.100.0/24"},
		"refused":     {trusted: "127.0.0.0/8", refuse: "192.0.2.7"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Options{
				Loops: 1,
				Admit: func(a netip.Addr, _ string) bool { return a.String() != c.refuse },
				Listeners: []ListenerOptions{{
					URL: "ws://127.0.0.1:0", Proxy: ProxyOptions{Trusted: []netip.Prefix{netip.MustParsePrefix(c.trusted)}},
				}},
			})
			nc := dial(t, s.Addrs()[0])
			if c.refuse != "" {
				if _, err := fmt.Fprintf(nc, upgradeRequest, fields); err != nil {
					t.Fatal(err)
				}
				if !refusedBy(t, nc) {
					t.Error("let in")
				}
				s.stop()
				if got := s.Stats(); got.RefusedAdmit != 1 {
					t.Errorf("stats: %+v", got)
				}
				return
			}
			w, _ := upgradeOver(t, nc, fields)
			w.send(clientFrame(0x82, "hello"))
			w.want("hello")
			if c.want == "" {
				c.want = nc.LocalAddr().String()
			}
			if remote, _ := met(t, s); remote != c.want {
				t.Errorf("remote %q, want %q", remote, c.want)
			}
		})
	}
}

// Who has pings answered and never reads the answers is closed before they fill the memory.
func TestWebSocketPingsWithoutReadingEnd(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		nc := connect()
		if _, err := fmt.Fprintf(nc, upgradeRequest, ""); err != nil {
			t.Fatal(err)
		}
		pings := bytes.Repeat(clientFrame(0x89, strings.Repeat("p", 125)), 1000)
		for range 1000 { // 100 MB, if nobody stops it
			if _, err := nc.Write(pings); err != nil {
				break
			}
		}
		s.stop()
		if got := s.Stats(); got.TransportErrors != 1 {
			t.Errorf("stats: %+v", got)
		}
	})
}

// What waits because of the broker is not held against a client that pings.
func TestWebSocketPingBehindMuchDataIsAnswered(t *testing.T) {
	eachWeb(t, ListenerOptions{}, func(t *testing.T, s *running, connect func() net.Conn) {
		const frames, frame = 256, 64 << 10 // more than the sockets take
		w, _ := upgradeOver(t, connect(), "")
		for range frames {
			w.send(clientFrame(0x82, strings.Repeat("d", frame)))
		}
		w.send(clientFrame(0x89, "there?"))
		for got, pongs := 0, 0; got < frames*frame || pongs == 0; {
			switch first, payload := w.next(); {
			case first == 0x82:
				got += len(payload)
			case first == 0x8A && string(payload) == "there?":
				pongs++
			default:
				t.Fatalf("frame %#x %q", first, payload)
			}
		}
		s.stop()
		if got := s.Stats(); got.TransportErrors != 0 {
			t.Errorf("stats: %+v", got)
		}
	})
}

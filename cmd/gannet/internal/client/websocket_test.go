package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"github.com/gannetmq/gannet/codec"
)

// webPeer is a server's end of a WebSocket that does what a test tells it to.
type webPeer struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// dialWeb opens a WebSocket to a new peer.
func dialWeb(t *testing.T) (net.Conn, *webPeer) {
	t.Helper()
	a, b := net.Pipe()
	p := &webPeer{t, b, bufio.NewReader(b)}
	upgraded := make(chan error, 1)
	go func() {
		_, err := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "mqtt" }}.Upgrade(b)
		upgraded <- err
	}()
	c, err := WebSocket(t.Context(), a, "host:1", "/mqtt", codec.V311)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-upgraded; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); c.Close() })
	return c, p
}

// send writes frames on a goroutine of its own, since a pipe waits for the reader.
func (p *webPeer) send(frames ...ws.Frame) {
	var b bytes.Buffer
	for _, f := range frames {
		if err := ws.WriteFrame(&b, f); err != nil {
			p.t.Fatal(err)
		}
	}
	go func() { _, _ = p.conn.Write(b.Bytes()) }()
}

// expect reads one frame, which must be masked.
func (p *webPeer) expect(op ws.OpCode, payload string) {
	p.t.Helper()
	h, err := ws.ReadHeader(p.in)
	if err != nil {
		p.t.Fatal(err)
	}
	got := make([]byte, h.Length)
	if _, err := io.ReadFull(p.in, got); err != nil {
		p.t.Fatal(err)
	}
	ws.Cipher(got, h.Mask, 0)
	if !h.Masked || h.OpCode != op || string(got) != payload {
		p.t.Errorf("got %+v, want opcode %d", h, op)
	}
}

func TestWebSocketIsAStreamOfBytes(t *testing.T) {
	c, p := dialWeb(t)
	p.send(ws.NewBinaryFrame([]byte("ab")), ws.NewBinaryFrame(nil),
		ws.NewFrame(ws.OpBinary, false, []byte("cd")), ws.NewPongFrame([]byte("unasked")), ws.NewFrame(ws.OpContinuation, true, []byte("ef")))
	got := make([]byte, 6)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "abcdef" {
		t.Errorf("read %q, %v", got, err)
	}
	for _, text := range []string{"x", strings.Repeat("y", 70000)} {
		written := make(chan error, 1)
		go func() { _, err := io.WriteString(c, text); written <- err }()
		p.expect(ws.OpBinary, text)
		if err := <-written; err != nil {
			t.Fatal(err)
		}
	}
}

func TestWebSocketAnswersPingAndClose(t *testing.T) {
	c, p := dialWeb(t)
	p.send(ws.NewPingFrame([]byte("there?")), ws.NewBinaryFrame([]byte("a")))
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	p.expect(ws.OpPong, "there?")
	p.send(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye")))
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read after Close: %v", err)
	}
	p.expect(ws.OpClose, "\x03\xe9")
	if _, err := io.WriteString(c, "x"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestWebSocketSaysThatNothingFollows(t *testing.T) {
	c, p := dialWeb(t)
	closed := make(chan error, 1)
	go func() { closed <- c.(interface{ CloseWrite() error }).CloseWrite() }()
	p.expect(ws.OpClose, "\x03\xe8")
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

func TestWebSocketFramesThatMustNotBeEndTheConnection(t *testing.T) {
	for name, frames := range map[string][]ws.Frame{
		"text":                 {ws.NewTextFrame([]byte("a"))},
		"masked":               {ws.MaskFrame(ws.NewBinaryFrame([]byte("a")))},
		"extension":            {{Header: ws.Header{Fin: true, Rsv: 4, OpCode: ws.OpBinary}}},
		"continues nothing":    {ws.NewFrame(ws.OpContinuation, true, nil)},
		"begins within one":    {ws.NewFrame(ws.OpBinary, false, nil), ws.NewBinaryFrame(nil)},
		"control frame in two": {ws.NewFrame(ws.OpPing, false, nil)},
		"long control frame":   {ws.NewPingFrame(make([]byte, 126))},
		"reserved opcode":      {ws.NewFrame(3, true, nil)},
	} {
		c, p := dialWeb(t)
		p.send(frames...)
		if n, err := c.Read(make([]byte, 10)); n > 0 || err == nil || err == io.EOF {
			t.Errorf("%s: read %d bytes, %v", name, n, err)
		}
	}
}

func TestWebSocketHandshakeThatFails(t *testing.T) {
	for name, test := range map[string]struct{ path, answer, want string }{
		"status":      {"/mqtt", "HTTP/1.1 403 Forbidden\r\n\r\n", "the server answers /mqtt with HTTP status 403"},
		"no protocol": {"/mqtt", "", "the server does not speak mqtt here"},
		"path":        {"mqtt", "-", `WebSocket path "mqtt"`},
	} {
		a, b := net.Pipe()
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			defer b.Close()
			if test.answer == "" {
				_, _ = ws.Upgrader{}.Upgrade(b)
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(b)); err == nil {
				_, _ = io.WriteString(b, test.answer)
			}
		}()
		if _, err := WebSocket(t.Context(), a, "host:1", test.path, codec.V311); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		<-answered
	}
}

func TestWebSocketHandshakeEndsWithItsContext(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := WebSocket(ctx, a, "host:1", "/mqtt", codec.V311)
		ended <- err
	}()
	if _, err := http.ReadRequest(bufio.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

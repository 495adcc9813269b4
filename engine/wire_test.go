package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gannetmq/gannet/engine/websocket"
)

// written takes apart what a server has sent, and fails the test unless it is whole frames.
func written(t *testing.T, b []byte) (data string, controls []string) {
	t.Helper()
	for len(b) > 0 {
		head, n := 2, 0
		if len(b) >= 2 {
			n = int(b[1])
		}
		if n == 126 && len(b) >= 4 {
			head, n = 4, int(binary.BigEndian.Uint16(b[2:]))
		}
		if len(b) < head+n || b[0] != 0x82 && b[0] != 0x8A && b[0] != 0x88 {
			t.Fatalf("%d bytes that are no frame: % x", len(b), b[:min(len(b), 20)])
		}
		if payload := string(b[head : head+n]); b[0] == 0x82 {
			data += payload
		} else {
			controls = append(controls, string(b[:1])+payload)
		}
		b = b[head+n:]
	}
	return data, controls
}

// direct is WriteDirect when the socket takes n bytes.
func (lay *layers) direct(s *fakeSocket, b string, n int) (taken int) {
	frame := append(websocket.AppendHeader(nil, websocket.Binary, len(b)), b...)
	lay.wire.mu.Lock()
	defer lay.wire.mu.Unlock()
	s.written = append(s.written, frame[:n]...)
	return lay.wire.taken(frame, len(b), n)
}

func TestFrameThatAnotherLoopBeganEndsBeforeAnythingElse(t *testing.T) {
	const pong, goodbye = "\x8a!", "\x88\x03\xe8"
	for _, size := range []int{1, 5, 125, 126, 300} {
		message := strings.Repeat("0123456789", 30)[:size]
		whole := len(websocket.AppendHeader(nil, websocket.Binary, size)) + size
		for n := range whole + 1 {
			for name, c := range map[string]struct {
				owner    func(lay *layers, rest string) // rest: what was not taken
				more     string
				controls []string
			}{
				"the rest":             {func(lay *layers, rest string) { lay.Write([]byte(rest)) }, "", nil},
				"the rest, and more":   {func(lay *layers, rest string) { lay.Write([]byte(rest + "more")) }, "more", nil},
				"the rest, and a ping": {func(lay *layers, rest string) { lay.Write([]byte(rest)); ping(lay) }, "", []string{pong}},
				"a ping, and the rest": {func(lay *layers, rest string) { ping(lay); lay.Write([]byte(rest + "more")) }, "more", []string{pong}},
				"pings around the rest": {func(lay *layers, rest string) {
					ping(lay)
					ping(lay)
					lay.Write([]byte(rest))
					ping(lay)
					lay.Write([]byte("more"))
				}, "more", []string{pong, pong, pong}},
				"the rest by bytes": {func(lay *layers, rest string) {
					for i := range rest {
						lay.Write([]byte(rest[i : i+1]))
					}
				}, "", nil},
				"a close frame": {func(lay *layers, rest string) { lay.receive(clientFrame(0x88, "\x03\xe8")) }, "", []string{goodbye}},
			} {
				l, _, _ := scripted(0)
				lay, s := webOn(l)
				taken := lay.direct(s, message, n)
				if taken < 0 || taken > size || n < whole && taken == size {
					t.Fatalf("%d of %d bytes in the socket, and %d of %d taken", n, whole, taken, size)
				}
				rest := message[taken:]
				if name == "a close frame" && n == 0 { // nothing was begun, and the broker's bytes are dropped
					rest, message = "", ""
				}
				if c.owner(lay, rest); lay.wire.owed != nil && name != "a close frame" {
					t.Errorf("%s: the frame is not over", name)
				}
				data, controls := written(t, s.written)
				if data != message+c.more || fmt.Sprint(controls) != fmt.Sprint(c.controls) {
					t.Fatalf("%s, %d of %d bytes: %q and %q", name, n, whole, data, controls)
				}
				message = strings.Repeat("0123456789", 30)[:size]
			}
		}
	}
}

// webOn returns an open WebSocket connection on l.
func webOn(l *loop) (*layers, *fakeSocket) {
	lay := &layers{origin: origin{listener: &listener{}}, frames: new(websocket.Reader), wire: new(wire)}
	lay.layers = lay
	s := &fakeSocket{}
	lay.conn = &conn{sock: s, loop: l, origin: &lay.origin}
	s.conn = lay.conn
	l.gate.enter()
	l.open(lay.conn, nil, nil)
	return lay, s
}

func ping(lay *layers) { lay.receive(clientFrame(0x89, "!")) }

// A socket that always holds data, because its client reads as slowly as the broker writes, is none that holds many answers.
func TestOnlyAnswersThatWaitAreHeldAgainstAClient(t *testing.T) {
	const rounds = 1000
	answers := map[string]func(lay *layers){
		"pong": func(lay *layers) { lay.receive(clientFrame(0x89, strings.Repeat("p", 125))) },
		"record": func(lay *layers) {
			s := lay.conn.loop.lend()
			s.out = append(s.out[:0], make([]byte, 127)...)
			lay.answer(s)
		},
	}
	for name, answer := range answers {
		for _, c := range []struct {
			name     string
			buffered int // before each answer, and behind it
			data     int // that the broker writes between two of them
			grows    bool
			closed   bool
		}{
			{name: "all is read", buffered: 0},
			{name: "data flows", buffered: 1 << 20, data: 50 << 10},
			{name: "a little data flows", buffered: 256 << 10, data: 1 << 10},
			{name: "nothing is read", buffered: 1, grows: true, closed: true},
			{name: "nothing is read behind data", buffered: 1 << 20, grows: true, closed: true},
			{name: "more answers than data", buffered: 1 << 20, data: 127, closed: true},
		} {
			l, _, _ := scripted(0)
			lay, s := webOn(l)
			s.buffered = c.buffered
			n := 0
			for ; n < rounds && !s.ended; n++ {
				if c.data > 0 {
					lay.Write(make([]byte, c.data))
				}
				before := len(s.written)
				answer(lay)
				if c.grows {
					s.buffered += len(s.written) - before
				}
			}
			if s.ended != c.closed || lay.listener.tally.stats().TransportErrors != map[bool]uint64{true: 1}[c.closed] {
				t.Errorf("%s, %s: after %d answers closed %v, want %v", name, c.name, n, s.ended, c.closed)
			}
			if c.closed && (n < answerBytesMax/127/2 || n > answerBytesMax/127+2) {
				t.Errorf("%s, %s: closed after %d answers", name, c.name, n)
			}
			if lay.unread != nil && c.buffered == 0 {
				t.Errorf("%s, %s: something is counted", name, c.name)
			}
		}
	}
}

func TestOtherLoopsKeepAwayFromAWireInUse(t *testing.T) {
	const longest = directBytesMax
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	for name, c := range map[string]struct {
		before func(lay *layers, s *fakeSocket)
		b      string
		want   int
	}{
		"nothing":                  {func(*layers, *fakeSocket) {}, "x", 1},
		"a pong that was sent":     {func(lay *layers, _ *fakeSocket) { ping(lay) }, strings.Repeat("x", longest), longest},
		"the owner is writing":     {func(lay *layers, _ *fakeSocket) { lay.wire.mu.Lock() }, "x", 0},
		"the last pong waits":      {func(lay *layers, s *fakeSocket) { s.buffered = 1; ping(lay) }, "x", 0},
		"a frame is owed":          {func(lay *layers, s *fakeSocket) { lay.direct(s, "begun", 3) }, "x", 0},
		"owed to the broker alone": {func(lay *layers, s *fakeSocket) { lay.direct(s, "begun", 3); ping(lay) }, "x", 0},
		"a close frame was sent":   {func(lay *layers, _ *fakeSocket) { lay.receive(clientFrame(0x88, "")) }, "x", 0},
		"too long":                 {func(*layers, *fakeSocket) {}, strings.Repeat("x", longest+1), 0},
	} {
		l, _, _ := scripted(0)
		lay, s := webOn(l)
		c.before(lay, s)
		lay.conn.fd = int32(out.Fd())
		if n := (webLayers{lay}).WriteDirect([]byte(c.b)); n != c.want {
			t.Errorf("%s: %d bytes taken, want %d", name, n, c.want)
		}
	}
}

// The broker's rules, on two goroutines: one client, whose owner is an event loop, and a publisher beside it. The client
// reads, pings and checks that it gets every byte in order and every pong whole, through a socket that is full most of the time.
func TestTwoLoopsShareOneWire(t *testing.T) {
	const messages, longest, ahead, pings = 4000, 3000, 16, 400
	s := serve(t, Options{Loops: 1, Listeners: []ListenerOptions{{URL: "ws://127.0.0.1:0"}}})
	w, _ := upgradeOver(t, dialNarrow(t, s.Addrs()[0]), "")
	found := make(chan *shared)
	s.cores[0].post(func(e *echoCore) {
		for _, ec := range e.conns {
			found <- &shared{t: ec.transport.(webLayers), post: s.cores[0].post}
		}
	})
	c := <-found
	if err := syscall.SetsockoptInt(int(c.t.conn.fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 8<<10); err != nil {
		t.Fatal(err)
	}

	r := rand.New(rand.NewPCG(1, 2))
	lengths := make([]int, messages)
	total := 0
	for i := range lengths {
		lengths[i] = 1 + r.IntN(longest)
		total += lengths[i]
	}
	window := make(chan struct{}, ahead)
	var work sync.WaitGroup
	work.Go(func() {
		at := 0
		for _, n := range lengths {
			window <- struct{}{}
			c.publish(pattern(at, n))
			at += n
		}
	})
	work.Go(func() {
		for range pings {
			w.send(clientFrame(0x89, "are you there?"))
		}
	})
	got, message, pongs := 0, 0, 0
	for end := lengths[0]; got < total || pongs < pings; {
		switch first, payload := w.next(); {
		case first == 0x8A && string(payload) == "are you there?":
			pongs++
		case first == 0x82 && bytes.Equal(payload, pattern(got, len(payload))):
			got += len(payload)
		default:
			t.Fatalf("frame %#x with %d bytes behind %d of %d", first, len(payload), got, total)
		}
		for ; message < messages && got >= end; <-window {
			if message++; message < messages {
				end += lengths[message]
			}
		}
	}
	work.Wait()
	if got != total || pongs != pings {
		t.Errorf("%d of %d bytes, %d of %d pongs", got, total, pongs, pings)
	}
	if t.Logf("%d direct writes, %d of them in part", c.whole+c.cut, c.cut); c.whole == 0 {
		t.Error("nothing was written but by the owner")
	}
}

// dialNarrow is dial for a client that can take little at a time: a small buffer, and packets as on an Ethernet, without which
// the kernel would wait for room for 64 KiB.
func dialNarrow(t *testing.T, a net.Addr) net.Conn {
	d := net.Dialer{Control: func(_, _ string, rc syscall.RawConn) error {
		return control(rc, func(fd int) error {
			return errors.Join(syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10),
				syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400))
		})
	}}
	nc, err := d.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { _ = nc.Close() })
	return nc
}

// pattern returns n bytes of an endless text, from its byte at on.
func pattern(at, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte((at + i) % 251)
	}
	return b
}

// shared is a client as the broker keeps it: what it has to send, and who may.
type shared struct {
	t    webLayers
	post func(func(*echoCore))

	mu             sync.Mutex
	out            []byte
	dirty, writing bool
	buffered       int
	whole, cut     int // direct writes
}

// publish is a loop that is not the owner.
func (c *shared) publish(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out = append(c.out, b...); c.dirty {
		return
	}
	if !c.writing && c.buffered == 0 {
		n := c.t.WriteDirect(c.out)
		c.out = c.out[n:]
		if len(c.out) == 0 {
			c.whole++
			return
		}
		if n > 0 {
			c.cut++
		}
	}
	c.dirty = true
	c.post(c.flush)
}

// flush is the owner.
func (c *shared) flush(*echoCore) {
	c.mu.Lock()
	out := c.out
	c.out, c.dirty, c.writing = nil, false, true
	c.mu.Unlock()
	_ = c.t.Write(out)
	c.mu.Lock()
	c.writing, c.buffered = false, c.t.Buffered()
	c.mu.Unlock()
}

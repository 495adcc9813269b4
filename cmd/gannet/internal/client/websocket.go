package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/gobwas/ws"

	"github.com/gannetmq/gannet/codec"
)

// controlMax is the longest payload of a control frame [RFC 6455, 5.5].
const controlMax = 125

// farewellMax bounds how long Close waits for the answer to the server's Close
// frame to leave.
const farewellMax = time.Second

// WebSocket performs the opening handshake on conn, at path of host, and returns
// a connection whose bytes travel in binary frames [MQTT-6.0.0-1]. It owns conn,
// also when it fails. ctx bounds the handshake only.
func WebSocket(ctx context.Context, conn net.Conn, host, path string, version codec.Version) (net.Conn, error) {
	u, err := url.ParseRequestURI(path)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("WebSocket path %q: %w", path, err)
	}
	u.Scheme, u.Host = "ws", host
	protocol := "mqtt" // [MQTT-6.0.0-3]
	if version == codec.V31 {
		protocol = "mqttv3.1"
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	rest, answer, err := ws.Dialer{Protocols: []string{protocol}}.Upgrade(conn, u)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && answer.Protocol != protocol { // [MQTT-6.0.0-4]
		err = fmt.Errorf("the server does not speak %s here", protocol)
	}
	if status, ok := errors.AsType[ws.StatusError](err); ok {
		err = fmt.Errorf("the server answers %s with HTTP status %d", path, int(status))
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("WebSocket handshake: %w", err)
	}
	if rest == nil {
		rest = bufio.NewReaderSize(conn, readSize)
	}
	w := &webSocket{Conn: conn, in: rest, control: make(chan ws.Frame, 1), done: make(chan struct{}), answered: make(chan struct{})}
	go w.answer()
	return w, nil
}

// webSocket is a stream of bytes in frames. Read is for one goroutine, everything
// else for any.
//
// A third goroutine, which ends in Close, answers pings, because the reading one
// must not wait for the network to take anything.
type webSocket struct {
	net.Conn
	in         *bufio.Reader
	left       int64 // of the data frame being read
	fragmented bool  // a message has begun and its last frame has not

	control  chan ws.Frame // one that is to be sent; a newer one takes its place
	done     chan struct{} // closed by Close
	answered chan struct{} // closed when the answering goroutine has ended
	closing  sync.Once

	writing sync.Mutex
	out     []byte // the frame being written
	closed  bool   // a Close frame was sent: nothing follows it
}

// Read returns bytes of data frames. It ends with io.EOF at the server's Close
// frame.
func (w *webSocket) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for w.left == 0 {
		if err := w.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := w.in.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// nextFrame reads a header, and what follows it if it is that of a control frame.
func (w *webSocket) nextFrame() error {
	h, err := ws.ReadHeader(w.in)
	if err != nil {
		return err
	}
	switch {
	case h.Rsv != 0:
		return errors.New("server sent a WebSocket frame with an extension that nobody asked for")
	case h.Masked: // [RFC 6455, 5.1]
		return errors.New("server sent a masked WebSocket frame")
	case h.OpCode.IsControl():
		return w.receiveControl(h)
	case h.OpCode == ws.OpContinuation && w.fragmented, h.OpCode == ws.OpBinary && !w.fragmented:
		w.left, w.fragmented = h.Length, !h.Fin
		return nil
	case h.OpCode == ws.OpText: // [MQTT-6.0.0-1]
		return errors.New("server sent a WebSocket text frame")
	}
	return fmt.Errorf("server sent WebSocket opcode %d out of place", h.OpCode)
}

func (w *webSocket) receiveControl(h ws.Header) error {
	if h.Length > controlMax || !h.Fin {
		return errors.New("server sent a WebSocket control frame that is too long or in parts")
	}
	payload := make([]byte, h.Length)
	if _, err := io.ReadFull(w.in, payload); err != nil {
		return io.ErrUnexpectedEOF
	}
	switch h.OpCode {
	case ws.OpPing:
		w.send(ws.NewPongFrame(payload))
	case ws.OpClose:
		w.send(ws.NewCloseFrame(payload[:min(len(payload), 2)])) // the status code, back to whom it came from
		return io.EOF
	}
	return nil
}

// send leaves a control frame to the answering goroutine. Of two pongs the older
// one may be left out [RFC 6455, 5.5.3].
func (w *webSocket) send(f ws.Frame) {
	select {
	case <-w.control:
	default:
	}
	w.control <- f // the reading goroutine is the only one that puts some in
}

// answer is the answering goroutine. It writes what it was left also after Close
// was called.
func (w *webSocket) answer() {
	defer close(w.answered)
	for {
		select {
		case f := <-w.control:
			_ = w.writeFrame(f.Header.OpCode, f.Payload) // a failure shows where data is written
			continue
		default:
		}
		select {
		case f := <-w.control:
			_ = w.writeFrame(f.Header.OpCode, f.Payload)
		case <-w.done:
			return
		}
	}
}

// Write sends p in one frame.
func (w *webSocket) Write(p []byte) (int, error) {
	if err := w.writeFrame(ws.OpBinary, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (w *webSocket) writeFrame(op ws.OpCode, payload []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.closed {
		if op == ws.OpBinary {
			return net.ErrClosed
		}
		return nil
	}
	w.closed = op == ws.OpClose
	var mask [4]byte
	rand.Read(mask[:]) // [RFC 6455, 5.3]; never fails
	if cap(w.out) > 2*outboundMax {
		w.out = nil
	}
	frame := bytes.NewBuffer(w.out[:0])
	if err := ws.WriteHeader(frame, ws.Header{Fin: true, OpCode: op, Masked: true, Mask: mask, Length: int64(len(payload))}); err != nil {
		return err
	}
	header := frame.Len()
	frame.Write(payload)
	w.out = frame.Bytes()
	ws.Cipher(w.out[header:], mask, 0)
	_, err := w.Conn.Write(w.out)
	return err
}

// CloseWrite sends a Close frame. The server answers it and closes.
func (w *webSocket) CloseWrite() error {
	return w.writeFrame(ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
}

// Close drops the connection. What the answering goroutine has to say may still
// leave, within farewellMax.
func (w *webSocket) Close() (err error) {
	w.closing.Do(func() {
		_ = w.Conn.SetWriteDeadline(time.Now().Add(farewellMax))
		close(w.done)
		<-w.answered
		err = w.Conn.Close()
	})
	return err
}

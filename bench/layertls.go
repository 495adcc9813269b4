package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"slices"
	"time"
)

// TLS in a loop, with the standard library. A tls.Conn wants a connection that blocks,
// and takes an error during its handshake for the end. Afterwards it is more patient:
// an error that calls itself temporary leaves everything as it was, and the next Read
// goes on where the last one stopped, even in the middle of a record.
//
// So the handshake is a coroutine: it runs on the loop's thread until it wants bytes
// that are not there, and goes on when the loop has read some. Then it is over, and
// the loop itself calls Read until that error. No other goroutine is woken and no byte
// changes threads, and processor time stays that of one thread.

// tlsClients makes the TLS layers of the clients of one run and counts their
// handshakes. Owned by the run's loop.
type tlsClients struct {
	config        *tls.Config
	full, resumed uint64
}

func (k *tlsClients) layer() layer {
	t := &tlsLayer{clients: k}
	t.conn = tls.Client(tlsSocket{t}, k.config)
	return t
}

// note counts a handshake that is done.
func (k *tlsClients) note(resumed bool) {
	if resumed {
		k.resumed++
	} else {
		k.full++
	}
}

// resumedBut returns an error if more than the first handshakes were full ones.
func (k *tlsClients) resumedBut(first uint64) error {
	if k.full <= first {
		return nil
	}
	return fmt.Errorf("%d handshakes were resumed and %d were not: only the first %d clients had no ticket", k.resumed, k.full, first)
}

// tlsLayer is the client's end of one TLS connection.
type tlsLayer struct {
	clients *tlsClients
	conn    *tls.Conn
	raw     []byte // borrowed from receive: what conn has not taken yet
	wire    []byte // borrowed from all: what conn has written is appended

	resume func() (struct{}, bool) // continues the handshake; false: it is over
	cancel func()                  // ends it
	wait   func(struct{}) bool     // called by the handshake when it wants more; false: cancelled
	result error                   // of the handshake
	done   bool                    // it is over, and well
}

// recordSize is the most that one TLS record carries.
const recordSize = 16 << 10

func (t *tlsLayer) begin(wire []byte) ([]byte, error) {
	t.resume, t.cancel = iter.Pull(func(yield func(struct{}) bool) {
		t.wait = yield
		t.result = t.conn.Handshake()
	})
	t.wire = wire
	err := t.handshake()
	return t.wire, err
}

// handshake goes on until it wants more than t.raw, or is over.
func (t *tlsLayer) handshake() error {
	if _, more := t.resume(); more || t.result != nil {
		return t.result
	}
	t.done = true
	t.clients.note(t.conn.ConnectionState().DidResume)
	return nil
}

func (t *tlsLayer) open() bool { return t.done }

func (t *tlsLayer) send(wire, packets []byte) ([]byte, error) {
	t.wire = wire
	_, err := t.conn.Write(packets)
	return t.wire, err
}

func (t *tlsLayer) receive(in, wire, raw []byte) (packets, answer []byte, err error) {
	t.wire, t.raw = wire, raw
	if !t.done {
		if err := t.handshake(); err != nil || !t.done {
			return in, t.wire, err
		}
	}
	for {
		if cap(in)-len(in) < recordSize/8 {
			in = slices.Grow(in, recordSize)
		}
		n, err := t.conn.Read(in[len(in):cap(in)])
		in = in[:len(in)+n]
		switch {
		case err == nil:
		case errors.Is(err, errNothingYet) || errors.Is(err, io.EOF): // the end of TLS comes before that of TCP
			return in, t.wire, nil
		default:
			return in, t.wire, err
		}
	}
}

func (t *tlsLayer) end() {
	if t.cancel != nil {
		t.cancel()
	}
}

// tlsSocket is what a tls.Conn takes for its connection.
type tlsSocket struct{ t *tlsLayer }

func (s tlsSocket) Read(b []byte) (int, error) {
	for len(s.t.raw) == 0 {
		if s.t.done {
			return 0, errNothingYet
		}
		if !s.t.wait(struct{}{}) {
			return 0, net.ErrClosed
		}
	}
	n := copy(b, s.t.raw)
	s.t.raw = s.t.raw[n:]
	return n, nil
}

func (s tlsSocket) Write(b []byte) (int, error) {
	s.t.wire = append(s.t.wire, b...)
	return len(b), nil
}

func (tlsSocket) Close() error                     { return nil }
func (tlsSocket) LocalAddr() net.Addr              { return nil }
func (tlsSocket) RemoteAddr() net.Addr             { return nil }
func (tlsSocket) SetDeadline(time.Time) error      { return nil }
func (tlsSocket) SetReadDeadline(time.Time) error  { return nil }
func (tlsSocket) SetWriteDeadline(time.Time) error { return nil }

// errNothingYet is the error that a tls.Conn is not upset by.
var errNothingYet error = nothingYet{}

type nothingYet struct{}

func (nothingYet) Error() string   { return "nothing to read yet" }
func (nothingYet) Timeout() bool   { return true }
func (nothingYet) Temporary() bool { return true }

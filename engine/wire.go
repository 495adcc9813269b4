package engine

import (
	"bytes"
	"sync"

	"github.com/gannetmq/gannet/engine/websocket"
)

// directBytesMax is the most that is put into a frame for another loop, on that loop's stack. What is longer costs so much
// that waking the owner is no matter.
const directBytesMax = 4 << 10

// webLayers are the layers of a WebSocket connection without TLS as a broker.DirectWriter.
type webLayers struct{ *layers }

// WriteDirect implements broker.DirectWriter, with one frame around b. If the socket takes only a part of it, the owner's
// next Write must begin with what was not taken, as the contract says: the header before it is on its way.
func (w webLayers) WriteDirect(b []byte) int { return w.wire.writeDirect(w.conn, b) }

// wire is the way from the frames of a connection to its socket, which the owner shares with other loops.
//
// Bytes without frames may be cut anywhere, so that a plain connection needs nothing of this. A frame may not: once its
// first byte is gone, no pong and no close frame may come before its last. So whoever begins one leaves the rest here,
// and the owner sends that before anything of its own. The broker hands the same bytes to the owner once more, behind
// which there may be others by then; they are passed over.
//
//	another loop, in WriteDirect        82 05 h e|l l o      the socket has taken 4 bytes
//	what is left here                   l l o                and 3 bytes that the broker will say again
//	the owner, for a ping               l l o 8a 00
//	the owner, in Write("llo world")    82 06 _ w o r l d
//
// The owner holds the lock while it writes, and a write may end the connection and wait for the lock of its client. A loop
// that holds the latter therefore only tries: if the owner is writing, it shall write this too.
type wire struct {
	mu   sync.Mutex
	owed *owed // nil: every frame that was begun is complete
	busy bool  // the owner's last write did not fit the socket
	shut bool  // the close frame was sent, or will be next
}

// owed is what was left of a frame begun by another loop.
type owed struct {
	rest  []byte // of the frame, as it goes to the socket; empty when the owner has sent it
	again int    // bytes that the broker will hand to the owner although they were in the frame
}

// writeDirect puts b into a frame and hands it to the socket of c, whatever loop calls. It returns how much of b was taken.
func (w *wire) writeDirect(c *conn, b []byte) int {
	if len(b) > directBytesMax || !w.mu.TryLock() {
		return 0
	}
	defer w.mu.Unlock()
	if w.busy || w.shut || w.owed != nil {
		return 0
	}
	var room [websocket.HeaderBytesMax + directBytesMax]byte
	frame := append(websocket.AppendHeader(room[:0], websocket.Binary, len(b)), b...)
	return w.taken(frame, len(b), c.WriteDirect(frame))
}

// taken notes that the socket has taken n bytes of a frame, and returns how many these are of its payload of size bytes.
// Caller holds mu.
func (w *wire) taken(frame []byte, size, n int) int {
	if n == 0 {
		return 0
	}
	rest := frame[n:]
	if len(rest) == 0 {
		return size
	}
	w.owed = &owed{rest: bytes.Clone(rest), again: min(len(rest), size)}
	return size - w.owed.again
}

// unsaid returns what of b, which the broker gives to the owner, is in no frame yet. Owner only.
func (w *wire) unsaid(b []byte) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owed == nil {
		return b
	}
	n := min(w.owed.again, len(b))
	w.owed.again -= n
	return b[n:]
}

// write sends what is owed and then b, whole frames, possibly none. Owner only. False: the connection is gone, and closed
// has been called.
func (w *wire) write(lay *layers, b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o := w.owed; o != nil {
		if len(o.rest) > 0 {
			if !lay.put(o.rest) {
				return false
			}
			o.rest = nil
		}
		if o.again == 0 {
			w.owed = nil
		}
	}
	if len(b) > 0 && !lay.put(b) {
		return false
	}
	w.busy = lay.conn.sock.OutboundBuffered() > 0
	return true
}

// close has no other loop write any more: a close frame is next.
func (w *wire) close() {
	w.mu.Lock()
	w.shut = true
	w.mu.Unlock()
}

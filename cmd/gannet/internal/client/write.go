package client

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// outboundMax is how many bytes may wait to be written before senders of
// application messages wait too. Acknowledgements never wait: the Receive
// Maximum bounds them, and the reading goroutine must not stand still.
const outboundMax = 256 << 10

// outbound is the bytes on their way to the writing goroutine. Safe for
// concurrent use.
type outbound struct {
	mu      sync.Mutex
	waiting []byte        // appended, not yet taken by the writer
	writing bool          // the writer holds bytes that the network has not taken
	state   outboundState //
	reason  error         // why nothing more is appended
	room    chan struct{} // closed when the writer has taken the bytes; nil when nobody waits
	wake    chan struct{} // one token: there is something to write
}

type outboundState byte

const (
	outboundOpen    outboundState = iota
	outboundLast                  // DISCONNECT was appended; nothing follows it
	outboundStopped               // the connection is gone
)

func (o *outbound) init() { o.wake = make(chan struct{}, 1) }

// add appends one packet without waiting.
func (o *outbound) add(encode func(dst []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.addLocked(encode)
}

func (o *outbound) addLocked(encode func(dst []byte) []byte) error {
	if o.state != outboundOpen {
		return o.reason
	}
	o.waiting = encode(o.waiting)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// addWaiting appends one packet once fewer than outboundMax bytes wait.
func (o *outbound) addWaiting(ctx context.Context, encode func(dst []byte) []byte) error {
	for {
		o.mu.Lock()
		if len(o.waiting) < outboundMax || o.state != outboundOpen {
			defer o.mu.Unlock()
			return o.addLocked(encode)
		}
		if o.room == nil {
			o.room = make(chan struct{})
		}
		room := o.room
		o.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// last appends the final packet, DISCONNECT. reason is what senders hear from
// then on, and what the connection ends with.
func (o *outbound) last(reason error, encode func(dst []byte) []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.addLocked(encode)
	if err == nil {
		o.state, o.reason = outboundLast, reason
		o.letIn()
	}
	return err
}

// farewell is the reason given with the final packet, or nil while there is none.
func (o *outbound) farewell() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state == outboundLast {
		return o.reason
	}
	return nil
}

// wrote says that the network has taken the batch.
func (o *outbound) wrote() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
}

// flushed reports whether the network has taken every byte appended.
func (o *outbound) flushed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.waiting) == 0 && !o.writing
}

// stop refuses further packets with reason and lets waiting senders go.
func (o *outbound) stop(reason error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state, o.reason = outboundStopped, reason
	o.letIn()
}

func (o *outbound) letIn() {
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// take swaps the waiting bytes for the writer's empty buffer. finished says that
// DISCONNECT has been written and nothing will follow.
func (o *outbound) take(empty []byte) (batch []byte, finished bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if cap(empty) > 2*outboundMax {
		empty = nil // a large message is no reason to hold on to its room
	}
	batch, o.waiting = o.waiting, empty[:0]
	o.writing = len(batch) > 0
	o.letIn()
	return batch, len(batch) == 0 && o.state == outboundLast
}

// write is the writing goroutine: bytes when there are some, PINGREQ when
// nothing was sent for a Keep Alive [MQTT-3.1.2-20].
func (c *Client) write() {
	var quiet <-chan time.Time
	var timer *time.Timer
	if keepAlive := c.accepted.KeepAlive; keepAlive > 0 {
		timer = time.NewTimer(keepAlive)
		defer timer.Stop()
		quiet = timer.C
	}
	var batch []byte
	for {
		select {
		case <-c.done:
			return
		case <-quiet:
			if !c.ping() {
				return
			}
		case <-c.out.wake:
		}
		for {
			var finished bool
			batch, finished = c.out.take(batch)
			if finished {
				c.closeWrite()
				return
			}
			if len(batch) == 0 {
				break
			}
			if _, err := c.conn.Write(batch); err != nil {
				c.end(err)
				return
			}
			c.out.wrote()
			if timer != nil {
				timer.Reset(c.accepted.KeepAlive)
			}
		}
	}
}

// ping sends PINGREQ unless the one before it is unanswered, which ends the
// connection.
func (c *Client) ping() bool {
	if c.pinged.Swap(true) {
		c.end(ErrKeepAlive)
		return false
	}
	return c.out.add(func(dst []byte) []byte {
		c.options.Trace.sent(codec.TypePingreq, nil)
		return codec.AppendPingreq(dst)
	}) == nil
}

// closeWrite follows the final packet. It tells the server that nothing follows,
// where the network can, and leaves it to the reading goroutine to see the
// server close. Without such a network, and after a complaint, which has ended
// that goroutine, it closes at once.
func (c *Client) closeWrite() {
	reason := c.out.farewell()
	half, can := c.conn.(interface{ CloseWrite() error })
	if reason != ErrClosed || !can || half.CloseWrite() != nil {
		c.end(reason)
	}
}

var _ interface{ CloseWrite() error } = (*net.TCPConn)(nil)

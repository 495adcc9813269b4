package client

import (
	"context"
	"fmt"

	"github.com/gannetmq/gannet/codec"
)

// Pending is a packet that awaits its answer.
type Pending struct {
	// PacketID is the Packet Identifier; 0 for a QoS 0 message, which awaits none.
	PacketID uint16

	awaits  codec.PacketType // guarded by Client.mu
	window  chan struct{}    // where its token goes back; nil: it took none
	done    chan struct{}    // closed when finished
	reasons []codec.ReasonCode
	err     error
}

func newPending(awaits codec.PacketType) *Pending {
	return &Pending{awaits: awaits, done: make(chan struct{})}
}

// finish sets the outcome. It is called once.
func (p *Pending) finish(reasons []codec.ReasonCode, err error) {
	p.reasons, p.err = reasons, err
	if p.window != nil {
		<-p.window
	}
	close(p.done)
}

// Wait returns the Reason Code of the acknowledgement once it is there; Success
// for QoS 0 and with 3.x. A code of 0x80 or above is not an error: the exchange
// was completed. The error is ctx's, or why the connection ended.
func (p *Pending) Wait(ctx context.Context) (codec.ReasonCode, error) {
	reasons, err := p.wait(ctx)
	if err != nil || len(reasons) == 0 {
		return codec.Success, err
	}
	return reasons[0], nil
}

func (p *Pending) wait(ctx context.Context) ([]codec.ReasonCode, error) {
	select {
	case <-p.done:
		return p.reasons, p.err
	default:
	}
	select {
	case <-p.done:
		return p.reasons, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Publish sends m and waits until it is complete: QoS 0 queued for the network,
// QoS 1 acknowledged by PUBACK, QoS 2 by PUBCOMP. See Pending.Wait for what is
// returned.
func (c *Client) Publish(ctx context.Context, m Message) (codec.ReasonCode, error) {
	p, err := c.Send(ctx, m)
	if err != nil {
		return codec.Success, err
	}
	return p.Wait(ctx)
}

// Send queues m for the network and does not wait for the acknowledgement, but
// for room: in the window of QoS 1 and 2 messages and among the bytes waiting.
// It takes m.Payload before it returns. Dup and PacketID of m are ignored.
func (c *Client) Send(ctx context.Context, m Message) (*Pending, error) {
	packet := codec.Publish{
		Retain: m.Retain, QoS: m.QoS, Topic: []byte(m.Topic), Payload: m.Payload,
	}
	if c.options.Version == codec.V5 {
		packet.Properties = m.Properties
	}
	if err := c.fits(&packet); err != nil {
		return nil, err
	}
	encode := func(dst []byte) []byte {
		c.options.Trace.sent(codec.TypePublish, &packet)
		return packet.Append(dst, c.options.Version)
	}
	if m.QoS == codec.QoS0 {
		p := newPending(0)
		close(p.done)
		return p, c.out.addWaiting(ctx, encode)
	}
	p := newPending(codec.TypePuback)
	if m.QoS == codec.QoS2 {
		p.awaits = codec.TypePubrec
	}
	select {
	case c.window <- struct{}{}:
		p.window = c.window
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.err
	}
	return p, c.await(p, func(id uint16) error {
		packet.PacketID = id
		return c.out.addWaiting(ctx, encode)
	})
}

// fits refuses a PUBLISH that the server has said it would not take.
func (c *Client) fits(p *codec.Publish) error {
	a := &c.accepted
	switch size := len(p.Topic) + len(p.Payload); {
	case p.QoS > a.MaximumQoS: // [MQTT-3.2.2-11]
		return fmt.Errorf("QoS %d: %w", p.QoS, ErrNotSupported)
	case p.Retain && !a.RetainAvailable: // [MQTT-3.2.2-14]
		return fmt.Errorf("retain: %w", ErrNotSupported)
	case a.MaximumPacketSize != 0 && uint64(size) >= uint64(a.MaximumPacketSize): // [MQTT-3.2.2-15], but for a few header bytes
		return fmt.Errorf("message of %d bytes, limit %d: %w", size, a.MaximumPacketSize, ErrNotSupported)
	}
	return nil
}

// await registers p under a new Packet Identifier and sends its packet.
func (c *Client) await(p *Pending, send func(id uint16) error) error {
	c.mu.Lock()
	p.PacketID = c.session.next(func(id uint16) bool { return c.pending[id] != nil })
	c.pending[p.PacketID] = p
	c.mu.Unlock()
	err := send(p.PacketID)
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[p.PacketID] == p { // otherwise the end of the connection has finished it
		delete(c.pending, p.PacketID)
		p.finish(nil, err)
	}
	return err
}

// finish completes the packet that awaits answer t under id. An answer that
// nobody awaits is ignored.
func (c *Client) finish(id uint16, t codec.PacketType, reasons []codec.ReasonCode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p == nil || p.awaits != t {
		return
	}
	delete(c.pending, id)
	p.finish(reasons, nil)
}

// advance moves a QoS 2 message from PUBREC to PUBCOMP. It reports whether there
// is such a message; a repeated PUBREC finds it too.
func (c *Client) advance(id uint16) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p == nil || (p.awaits != codec.TypePubrec && p.awaits != codec.TypePubcomp) {
		return false
	}
	p.awaits = codec.TypePubcomp
	return true
}

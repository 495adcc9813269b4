package client

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// lingerMax bounds how long Disconnect waits for the server to close after it
// was sent DISCONNECT. Closing first could destroy what is still on its way.
const lingerMax = time.Second

// windowMax leaves Packet Identifiers for SUBSCRIBE and UNSUBSCRIBE.
const windowMax = 65_000

// Client is one network connection to a server. It is safe for concurrent use.
type Client struct {
	options  Options
	session  *Session
	conn     net.Conn
	accepted Accepted
	aliases  map[uint16]string // the server's Topic Aliases; reading goroutine only
	messages chan Message      // nil when Options.OnMessage is set

	out    outbound
	pinged atomic.Bool // PINGREQ is unanswered

	mu      sync.Mutex
	pending map[uint16]*Pending // what awaits an answer, by Packet Identifier
	window  chan struct{}       // one token for each QoS 1 or 2 message on its way

	once sync.Once
	done chan struct{} // closed when the connection has ended
	err  error         // why; set before done is closed

	goroutines sync.WaitGroup
}

// Accepted is what the server said in CONNACK, with the defaults of the
// specification filled in.
type Accepted struct {
	SessionPresent    bool
	ClientID          string // the assigned one, else the client's own
	KeepAlive         time.Duration
	ReceiveMaximum    uint16
	MaximumPacketSize uint32 // 0: no limit beyond the protocol's
	TopicAliasMaximum uint16
	MaximumQoS        codec.QoS
	RetainAvailable   bool
	Properties        codec.Properties // as received
}

// Dial connects, waits for CONNACK and returns the running Client. ctx bounds
// Dial, not the Client. A refusal is a *RefusedError.
func Dial(ctx context.Context, options Options) (*Client, error) {
	if options.Version == 0 {
		options.Version = codec.V311
	}
	if options.Dialer == nil {
		options.Dialer = dialTCP
	}
	if options.Session == nil {
		options.Session = new(Session)
	}
	conn, err := options.Dialer(ctx, options.Address)
	if err != nil {
		return nil, dialError(ctx, err)
	}
	// An aborted handshake is an expired deadline, which every Read and Write obeys.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	h := handshake{options: &options, reader: packetReader{conn: conn}}
	accepted, err := h.run()
	if !stop() && err == nil {
		err = ctx.Err() // the deadline is set or about to be: this connection is spoilt
	}
	if err != nil {
		conn.Close()
		return nil, dialError(ctx, err)
	}
	c := newClient(options, conn, accepted)
	c.start(h.reader)
	return c, nil
}

// dialError is ctx's error when that is why Dial failed, and err otherwise. The
// network obeys the deadline of ctx by itself and may notice it first.
func dialError(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		<-ctx.Done()
	}
	return cmp.Or(ctx.Err(), err)
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

func newClient(options Options, conn net.Conn, accepted Accepted) *Client {
	c := &Client{
		options:  options,
		session:  options.Session,
		conn:     conn,
		accepted: accepted,
		aliases:  make(map[uint16]string),
		pending:  make(map[uint16]*Pending),
		done:     make(chan struct{}),
	}
	window := options.MaxInflight
	if window <= 0 {
		window = DefaultMaxInflight
	}
	c.window = make(chan struct{}, min(window, windowMax, int(accepted.ReceiveMaximum)))
	if options.OnMessage == nil {
		buffer := options.MessageBuffer
		if buffer <= 0 {
			buffer = DefaultMessageBuffer
		}
		c.messages = make(chan Message, buffer)
	}
	c.out.init()
	if !options.Resume || (options.Version != codec.V31 && !accepted.SessionPresent) { // 3.1 does not say
		c.session.clear()
	}
	return c
}

func (c *Client) start(r packetReader) {
	c.goroutines.Go(func() { c.read(r) })
	c.goroutines.Go(c.write)
}

// Accepted is what the server said when it accepted the connection.
func (c *Client) Accepted() Accepted { return c.accepted }

// Messages delivers application messages in the order they came, and is closed
// when the connection has ended. It is nil when Options.OnMessage is set.
func (c *Client) Messages() <-chan Message { return c.messages }

// Done is closed when the connection has ended for whatever reason.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection has ended: ErrClosed after Close or Disconnect,
// io.EOF when the server closed it, and nil while it lives.
func (c *Client) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Disconnect sends DISCONNECT, so that the server discards the Will, and ends
// the connection once everything appended before has been written, or when ctx
// ends. It waits for the goroutines.
func (c *Client) Disconnect(ctx context.Context) error {
	return c.DisconnectWith(ctx, codec.Disconnect{Reason: codec.NormalDisconnection})
}

// DisconnectWith is Disconnect with a Reason Code and properties (5.0).
func (c *Client) DisconnectWith(ctx context.Context, packet codec.Disconnect) error {
	err := c.out.last(ErrClosed, func(dst []byte) []byte {
		c.options.Trace.sent(codec.TypeDisconnect, &packet)
		return packet.Append(dst, c.options.Version)
	})
	if err != nil {
		c.Close()
		return c.Err()
	}
	linger := time.NewTimer(lingerMax)
	defer linger.Stop()
	select {
	case <-c.done: // the server closed, as it must
	case <-linger.C:
	case <-ctx.Done():
	}
	c.Close()
	if !c.out.flushed() {
		return fmt.Errorf("disconnect: %w", io.ErrShortWrite)
	}
	return nil
}

// Close drops the network connection without DISCONNECT, as a failure would,
// and waits for the goroutines. A second Close does nothing.
func (c *Client) Close() {
	c.end(ErrClosed)
	c.goroutines.Wait()
}

// end ends the connection with the first reason given.
func (c *Client) end(reason error) {
	c.once.Do(func() {
		if said := c.out.farewell(); said != nil {
			reason = said // how the line dropped after DISCONNECT is of no interest
		}
		c.err = reason
		close(c.done)
		c.conn.Close()
		c.out.stop(reason)
		c.mu.Lock()
		defer c.mu.Unlock()
		for id, p := range c.pending {
			p.finish(nil, reason)
			delete(c.pending, id)
		}
	})
}

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// answerLimit is how long the broker may take for CONNACK or SUBACK.
const answerLimit = 20 * time.Second

// connection is one client of the library, on a tapped socket.
type connection struct {
	library mqtt.Client
	tap     *tap
}

// role is what a client has to say to what happens. Both functions are called on
// goroutines of the library, and neither may keep what it gets; either may be nil.
type role struct {
	writes   func(packet []byte)                      // before each write
	receives func(payload []byte, read time.Duration) // each message, and when the socket had it
}

// connect makes a client of MQTT 3.1.1 without Keep Alive.
func connect(now clock, address, id string, r role) (*connection, error) {
	c := &connection{}
	received := func(_ mqtt.Client, m mqtt.Message) {
		if r.receives != nil {
			r.receives(m.Payload(), time.Duration(c.tap.read.Load()))
		}
	}
	options := mqtt.NewClientOptions().
		AddBroker("tcp://" + address).
		SetProtocolVersion(4).
		SetClientID(id).
		SetCleanSession(true).
		SetKeepAlive(0).
		SetAutoReconnect(false).
		SetOrderMatters(true).
		SetConnectTimeout(answerLimit).
		SetDefaultPublishHandler(received).
		SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			socket, err := net.DialTimeout("tcp", u.Host, answerLimit)
			if err != nil {
				return nil, err
			}
			c.tap = newTap(socket, now, r.writes)
			return c.tap, nil
		})
	c.library = mqtt.NewClient(options)
	if err := finish(c.library.Connect()); err != nil {
		return nil, fmt.Errorf("client %s: connect: %w", id, err)
	}
	return c, nil
}

// subscribe returns when the broker has granted what was asked for.
func (c *connection) subscribe(filter string, qos byte) error {
	token := c.library.Subscribe(filter, qos, nil)
	if err := finish(token); err != nil {
		return fmt.Errorf("subscribe %s: %w", filter, err)
	}
	if granted := token.(*mqtt.SubscribeToken).Result()[filter]; granted != qos {
		return fmt.Errorf("subscribe %s: granted %#x instead of %d", filter, granted, qos)
	}
	return nil
}

// leave sends DISCONNECT and closes.
func (c *connection) leave() {
	const grace = 250 // milliseconds in which what is queued may still be written
	c.library.Disconnect(grace)
}

// finish waits until the exchange behind a token is complete.
func finish(token mqtt.Token) error {
	if !token.WaitTimeout(answerLimit) {
		return fmt.Errorf("no answer in %v", answerLimit)
	}
	return token.Error()
}

// tap is a socket that knows when it was read last, and tells of what is written. It
// reads ahead, because the library asks for a packet in three parts.
type tap struct {
	net.Conn
	clock  clock
	in     *bufio.Reader
	writes func(packet []byte)
	read   atomic.Int64 // when, in nanoseconds of the clock
}

// readAhead is how many bytes a tap reads at a time, at most.
const readAhead = 4 << 10

func newTap(socket net.Conn, now clock, writes func([]byte)) *tap {
	t := &tap{Conn: socket, clock: now, writes: writes}
	t.in = bufio.NewReaderSize(timedReader{t}, readAhead)
	return t
}

func (t *tap) Read(b []byte) (int, error) { return t.in.Read(b) }

func (t *tap) Write(b []byte) (int, error) {
	if t.writes != nil {
		t.writes(b)
	}
	return t.Conn.Write(b)
}

// timedReader is the socket below a tap.
type timedReader struct{ *tap }

func (r timedReader) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.read.Store(int64(r.clock.now()))
	return n, err
}

// leaveAll has clients leave, those that are nil left out, side by side: the library
// waits in between.
func leaveAll(all []*connection) {
	var leaving sync.WaitGroup
	for _, c := range all {
		if c != nil {
			leaving.Go(c.leave)
		}
	}
	leaving.Wait()
}

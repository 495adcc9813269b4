package interop

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// flavour is one client library speaking one protocol version.
type flavour struct {
	name    string
	version byte // Protocol Level: 3, 4 or 5
	connect func(t *testing.T, o connectOptions) client
}

// connectOptions is what the stories ask of a connection.
type connectOptions struct {
	id        string
	keep      bool     // keep the Session when the connection ends, and resume the one that is there
	will      *message // nil: none
	manualAck bool     // acknowledge nothing that is received
}

// client is one connection made by a flavour. Every verb fails the test when the
// library or the server reports an error or stays silent beyond patience.
type client interface {
	// subscribe asks for all filters in one packet and returns when the server has
	// granted exactly qos to each.
	subscribe(t *testing.T, qos byte, filters ...string)
	unsubscribe(t *testing.T, filters ...string)
	// publish returns when the whole exchange of m.qos is done.
	publish(t *testing.T, m message)
	// attempt starts to publish what the server will not take, and waits for nothing.
	attempt(m message)
	// inbox is where messages arrive, in the order in which the library tells them.
	inbox() inbox
	// sessionPresent is the flag of CONNACK.
	sessionPresent() bool
	// lost gets one value when the connection ends other than by disconnect: the
	// Reason Code of the server's DISCONNECT, or noReason.
	lost() <-chan int
	// disconnect ends the connection with DISCONNECT and returns when the server has
	// dealt with it.
	disconnect(t *testing.T)
	// drop closes the socket without a word.
	drop(t *testing.T)
}

// noReason stands for a connection that ended without DISCONNECT.
const noReason = -1

// flavours lists the libraries for Go.
func flavours() []flavour {
	return []flavour{
		{"paho.mqtt.golang-3.1", 3, pahoV3(3)},
		{"paho.mqtt.golang-3.1.1", 4, pahoV3(4)},
		{"paho.golang-5.0", 5, connectPahoV5},
	}
}

// each tells one story with every flavour.
func each(t *testing.T, story func(t *testing.T, f flavour)) {
	for _, f := range flavours() {
		t.Run(f.name, func(t *testing.T) { story(t, f) })
	}
}

// eachPair tells one story with every pair of flavours.
func eachPair(t *testing.T, story func(t *testing.T, publisher, subscriber flavour)) {
	for _, p := range flavours() {
		for _, s := range flavours() {
			t.Run(fmt.Sprintf("%s-to-%s", p.name, s.name), func(t *testing.T) { story(t, p, s) })
		}
	}
}

// loss is the buffered channel behind client.lost; only the first report counts.
type loss chan int

func newLoss() loss { return make(loss, 1) }

func (l loss) report(code int) {
	select {
	case l <- code:
	default:
	}
}

// politeConn is a socket that the libraries close and that closes in an orderly way:
// it says that nothing more comes, and waits until the server has closed its side. The
// server has then read everything, DISCONNECT included; a plain close would race with
// whatever the test does next on another connection.
type politeConn struct{ *net.TCPConn }

func dial(address string) (politeConn, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return politeConn{}, err
	}
	return politeConn{c.(*net.TCPConn)}, nil
}

// Close may be called by several goroutines, and while the library still reads.
func (c politeConn) Close() error {
	if c.CloseWrite() == nil && c.SetReadDeadline(time.Now().Add(patience)) == nil {
		io.Copy(io.Discard, c.TCPConn)
	}
	return c.TCPConn.Close()
}

// drop closes at once, as a client that dies does.
func (c politeConn) drop(t *testing.T) {
	t.Helper()
	if err := c.TCPConn.Close(); err != nil {
		t.Fatalf("drop: %v", err)
	}
}

package engine

import "github.com/gannetmq/gannet/engine/broker"

// core is what one event loop of the reactor asks of the broker. In a server it
// is a *broker.Loop; the tests of this package put an echo in its place, so that
// sockets can be tested without MQTT just as MQTT is tested without sockets.
//
// Every method is called on the event loop that owns the core and on no other
// goroutine. The contract of each is the one documented at broker.Loop.
type core interface {
	Open(t broker.Transport, lst *broker.Listener, now broker.Time) *broker.Conn
	Data(c *broker.Conn, b []byte, now broker.Time)
	Room(c *broker.Conn) []byte
	Received(c *broker.Conn, n int, now broker.Time)
	Closed(c *broker.Conn, err error, now broker.Time)

	Begin()
	Rest() bool

	Turn(now broker.Time)
	NeedsTurn() bool
	Tick(now broker.Time) (soon bool)
	Blocked() bool
	Shutdown(now broker.Time)
}

var _ core = (*broker.Loop)(nil)

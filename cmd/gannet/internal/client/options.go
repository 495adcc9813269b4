package client

import (
	"context"
	"net"
	"time"

	"github.com/gannetmq/gannet/codec"
)

// The defaults of Options.
const (
	DefaultMaxInflight   = 20
	DefaultMessageBuffer = 1024
)

// Options say how to connect. The zero value, with an Address, is an anonymous
// 3.1.1 client with a clean Session and no Keep Alive.
type Options struct {
	// Address is host:port.
	Address string
	// Dialer opens the network connection to Address; nil means TCP.
	Dialer func(ctx context.Context, address string) (net.Conn, error)

	// Version is the protocol version; 0 means 3.1.1.
	Version codec.Version
	// ClientID may be empty with 3.1.1 and 5.0 while Resume is false; the
	// server then invents one.
	ClientID string
	// Resume asks for the existing Session: Clean Start (3.x: Clean Session) is
	// sent as 0. False sends 1 and starts anew.
	Resume bool
	// Session is the client's half of the Session, carried from one Dial to the
	// next; nil starts with an empty one.
	Session *Session
	// UserName and Password are sent unless empty or nil.
	UserName string
	Password []byte
	// Authenticator runs a 5.0 enhanced authentication; nil: none.
	Authenticator Authenticator
	// KeepAlive is rounded down to seconds, 65535 at most; 0 turns it off. A
	// 5.0 server may override it.
	KeepAlive time.Duration
	// Will is published by the server when the connection is lost; nil: none.
	Will *Message
	// WillDelay is the Will Delay Interval in seconds (5.0).
	WillDelay uint32
	// Properties go into CONNECT (5.0). The fields of enhanced authentication
	// are filled in by Dial.
	Properties codec.Properties

	// MaxInflight bounds the QoS 1 and 2 messages sent and not yet completed;
	// 0 means DefaultMaxInflight. A smaller Receive Maximum of the server wins.
	// At the bound Send waits.
	MaxInflight int
	// OnMessage, when set, gets each application message, on the reading
	// goroutine of the Client and maybe before Dial returns: it must not wait for anything that the server has to answer,
	// nor call Close or Disconnect. It may keep the message. When nil, messages go to Client.Messages.
	OnMessage func(*Client, Message)
	// MessageBuffer is the capacity of Client.Messages; 0 means
	// DefaultMessageBuffer. When it is full the client stops reading, answers
	// to its own requests included, until a message is taken.
	MessageBuffer int
	// Trace is told every packet.
	Trace Trace
}

// Message is an Application Message.
type Message struct {
	Topic   string
	Payload []byte
	QoS     codec.QoS
	Retain  bool
	// Properties of PUBLISH or of the Will (5.0).
	Properties codec.Properties

	// Dup and PacketID are set on messages received; PacketID is 0 with QoS 0.
	Dup      bool
	PacketID uint16
}

// Subscription is one Topic Filter and its options; all but QoS are 5.0.
type Subscription struct {
	Filter            string
	QoS               codec.QoS
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
}

// Trace observes packets in the order of the wire. Either function may be nil.
// packet is a pointer to the codec's struct for that type and nil for PINGREQ
// and PINGRESP; it is borrowed until the function returns. The functions must
// not call the Client.
type Trace struct {
	Sent, Received func(t codec.PacketType, packet any)
}

func (t *Trace) sent(kind codec.PacketType, packet any) {
	if t.Sent != nil {
		t.Sent(kind, packet)
	}
}

func (t *Trace) received(kind codec.PacketType, packet any) {
	if t.Received != nil {
		t.Received(kind, packet)
	}
}

// Authenticator is the client's side of an enhanced authentication. One Dial at a
// time uses it, on the goroutine that called Dial. Data from the server is
// borrowed, and nil when the packet had none.
type Authenticator interface {
	// Method is the Authentication Method.
	Method() string
	// First begins anew and returns the Authentication Data of CONNECT.
	First() ([]byte, error)
	// Answer returns the data of the AUTH that answers the server's.
	Answer(data []byte) ([]byte, error)
	// Verify takes the data of CONNACK and judges whether the exchange is
	// complete and the server has proved itself.
	Verify(data []byte) error
}

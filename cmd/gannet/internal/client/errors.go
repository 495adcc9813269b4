package client

import (
	"errors"
	"fmt"

	"github.com/gannetmq/gannet/codec"
)

// ErrClosed is the error of a Client after Close or Disconnect.
var ErrClosed = errors.New("client is closed")

// ErrKeepAlive says that a PINGREQ was not answered within the Keep Alive.
var ErrKeepAlive = errors.New("server does not answer PINGREQ")

// ErrNotSupported is wrapped by the errors of messages that were not sent because
// the server said in CONNACK that it does not take such.
var ErrNotSupported = errors.New("not supported by the server")

// RefusedError is a CONNACK that refuses the connection.
type RefusedError struct {
	Version      codec.Version
	Reason       codec.ReasonCode        // 5.0
	Return       codec.ConnectReturnCode // 3.1 and 3.1.1
	ReasonString string                  // 5.0; may be empty
}

// Code is the Reason Code or the 3.x return code as it stood in the packet.
func (e *RefusedError) Code() byte {
	if e.Version == codec.V5 {
		return byte(e.Reason)
	}
	return byte(e.Return)
}

func (e *RefusedError) Error() string {
	if e.Version == codec.V5 {
		return withReason("connection refused: "+e.Reason.String(), e.ReasonString)
	}
	return fmt.Sprintf("connection refused: return code %d", e.Return)
}

// DisconnectedError is a DISCONNECT that the server sent (5.0).
type DisconnectedError struct {
	Reason       codec.ReasonCode
	ReasonString string // may be empty
}

func (e *DisconnectedError) Error() string {
	return withReason("disconnected by the server: "+e.Reason.String(), e.ReasonString)
}

func withReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + " (" + reason + ")"
}

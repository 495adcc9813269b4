package auth

import "github.com/gannetmq/gannet/codec"

// Method is one Authentication Method of section 4.12. It is safe for concurrent use.
type Method interface {
	// Name is the Authentication Method as it stands in CONNECT, compared byte for byte.
	Name() string
	// Begin opens an exchange for one Client: once for its CONNECT, and again for every re-authentication.
	// clientID and userName are those of the CONNECT, which nobody has proved yet; userName is "" when absent.
	Begin(clientID, userName string) Exchange
}

// Exchange is one run of a Method. It is owned by one session and not safe for concurrent use. It may be dropped at
// any point.
type Exchange interface {
	// Step takes the Client's Authentication Data, borrowed for the call (nil when absent), and returns the Server's,
	// which belongs to the caller (nil: send no Authentication Data).
	//
	// A code of 0x80 or above ends the exchange without success [MQTT-4.12.0-4]; it is one that both CONNACK and
	// DISCONNECT may carry, and reply is nil. With Success and done, the Client is who Identity says and reply goes
	// into the CONNACK, or the AUTH 0x00 of a re-authentication. With Success and not done, reply goes into
	// an AUTH 0x18 and the Client's answer into the next Step. A Step after the end fails with ProtocolError.
	Step(data []byte) (reply []byte, done bool, code codec.ReasonCode)
	// Identity is the authenticated user name once done, and "" at any other time.
	Identity() string
}

var _ Method = (*Scram)(nil)

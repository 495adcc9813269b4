package codec

import "strconv"

// MaxPacketSize is the size in bytes, fixed header included, of the largest
// packet that the Remaining Length can express.
const MaxPacketSize = 1 + 4 + maxVarint

// Version is the Protocol Level (3.1.1) or Protocol Version (5.0) byte of CONNECT.
type Version byte

// The protocol versions that this package reads and writes.
const (
	V31  Version = 3
	V311 Version = 4
	V5   Version = 5
)

// String returns "3.1", "3.1.1" or "5.0", and the number for any other level.
func (v Version) String() string {
	switch v {
	case V31:
		return "3.1"
	case V311:
		return "3.1.1"
	case V5:
		return "5.0"
	}
	return "level " + strconv.Itoa(int(v))
}

// PacketType is the MQTT Control Packet type, the high four bits of a packet's
// first byte.
type PacketType byte

// The MQTT Control Packet types. Type 0 is forbidden; AUTH exists in 5.0 only.
const (
	TypeConnect     PacketType = 1
	TypeConnack     PacketType = 2
	TypePublish     PacketType = 3
	TypePuback      PacketType = 4
	TypePubrec      PacketType = 5
	TypePubrel      PacketType = 6
	TypePubcomp     PacketType = 7
	TypeSubscribe   PacketType = 8
	TypeSuback      PacketType = 9
	TypeUnsubscribe PacketType = 10
	TypeUnsuback    PacketType = 11
	TypePingreq     PacketType = 12
	TypePingresp    PacketType = 13
	TypeDisconnect  PacketType = 14
	TypeAuth        PacketType = 15
)

// willProperties stands for the Will Properties where a packet type selects
// properties. It borrows the number of the forbidden packet type.
const willProperties PacketType = 0

var packetNames = [16]string{
	"Reserved", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP",
	"SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
}

// String returns the specification's name, such as "PUBLISH".
func (t PacketType) String() string {
	if int(t) < len(packetNames) {
		return packetNames[t]
	}
	return "packet type " + strconv.Itoa(int(t))
}

// QoS is a Quality of Service level. Parsed values are 0, 1 or 2.
type QoS byte

// The Quality of Service levels: at most once, at least once, exactly once.
const (
	QoS0 QoS = 0
	QoS1 QoS = 1
	QoS2 QoS = 2
)

// ConnectReturnCode is the return code of a CONNACK in MQTT 3.1 and 3.1.1.
type ConnectReturnCode byte

// The return codes of MQTT 3.1 and 3.1.1. No other value is sent [MQTT-3.2.2-6].
const (
	Accepted             ConnectReturnCode = 0
	RefusedVersion       ConnectReturnCode = 1
	RefusedIdentifier    ConnectReturnCode = 2
	RefusedUnavailable   ConnectReturnCode = 3
	RefusedCredentials   ConnectReturnCode = 4
	RefusedNotAuthorized ConnectReturnCode = 5
)

var returnNames = [6]string{
	"accepted", "unacceptable protocol version", "identifier rejected",
	"server unavailable", "bad user name or password", "not authorized",
}

// String returns the meaning of the code in words.
func (c ConnectReturnCode) String() string {
	if int(c) < len(returnNames) {
		return returnNames[c]
	}
	return "return code " + strconv.Itoa(int(c))
}

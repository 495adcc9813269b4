package session

import (
	"math"

	"github.com/gannetmq/gannet/codec"
)

// Time is in milliseconds since the Unix epoch. It is monotonic while the process runs.
type Time int64

// Never is a deadline that does not come.
const Never Time = math.MaxInt64

// Seconds converts a protocol interval to a Time difference.
func Seconds(n uint32) Time { return Time(n) * 1000 }

// NeverExpires is the Session Expiry Interval of a session that is kept without limit [3.1.2.11.2].
const NeverExpires = math.MaxUint32

// Config is what all sessions of a broker share. It is read only once sessions use it.
type Config struct {
	MaxInflight       uint16 // QoS 1/2 deliveries in flight to one client; a smaller Receive Maximum of the client wins. At least 1.
	ReceiveMaximum    uint16 // announced to 5.0 clients; more unacknowledged QoS 1/2 PUBLISH close with 0x93. At least 1.
	TopicAliasMaximum uint16 // inbound aliases per connection, announced; 0 = none
	TopicAliasOut     uint16 // outbound aliases per connection; the client's maximum wins when smaller
	MaxPacketSize     uint32 // bytes of a packet from a client, announced; larger closes with 0x95
	MaxKeepAliveSecs  uint16 // largest Keep Alive; 5.0 clients are told by Server Keep Alive; 0 = as the client likes
	MaxSessionExpiry  uint32 // seconds; longer wishes of clients are lowered, and 3.x sessions kept no longer; NeverExpires = no limit
	MaxQoS            codec.QoS
	RetainUnavailable bool   // RETAIN 1 closes with 0x9A
	MaxTopicLevels    int    // levels of a topic name or filter; deeper is refused with 0x90 or 0x8F
	MaxTopicBytes     int    // length of a topic name or filter; longer is refused with 0x90 or 0x8F
	MaxSubscriptions  int    // per session; one more is refused with 0x97
	MaxQueuedMessages int    // per session; see Route.Overflow for the reaction
	MaxQueuedBytes    int    // per session, payloads, topics and properties; same reaction
	QueueWindow       int    // messages of a queue in memory while the client is connected; the others are in the store only
	QueueWindowBytes  int    // same, bytes
	MaxHeldAcks       int    // acknowledgements waiting for the store per session; more close with 0x97
	MaxMessageRate    uint32 // PUBLISH packets a second from one client, after a second's worth; then acknowledgements are delayed and QoS 0 is dropped (rate.go); 0 = no limit
	MaxByteRate       uint32 // same, bytes of PUBLISH packets
	MaxRateDebt       int    // messages that a client may be ahead of its rates before it is closed with 0x96; below ReceiveMaximum the honest are closed, too; 0 = ReceiveMaximum
	MaxPayload        int    // bytes of a PUBLISH: a larger one is refused, or acknowledged to 3.x, and goes nowhere; 0 = no limit
	QueueQoS0         bool   // queue QoS 0 messages of parked sessions too
	Durable           bool   // emit Records for sessions that outlive their connection

	// ResponseInformation answers Request Response Information 1; empty = never sent.
	ResponseInformation string
	// Authorizer is for clients whose listener has none of its own. It may be nil: everything is allowed.
	Authorizer Authorizer
}

// DefaultConfig holds the defaults that the command line shows.
func DefaultConfig() Config {
	return Config{
		MaxInflight:       1024,
		ReceiveMaximum:    1024,
		TopicAliasMaximum: 64,
		TopicAliasOut:     16,
		MaxPacketSize:     16 << 20,
		MaxSessionExpiry:  NeverExpires,
		MaxQoS:            codec.QoS2,
		MaxTopicLevels:    128,
		MaxTopicBytes:     65535,
		MaxSubscriptions:  10000,
		MaxQueuedMessages: 10000,
		MaxQueuedBytes:    64 << 20,
		QueueWindow:       1024,
		QueueWindowBytes:  256 << 10,
		MaxHeldAcks:       65535,
		MaxRateDebt:       1024,
	}
}

// EnhancedMethod is one method of enhanced authentication [4.12].
type EnhancedMethod interface {
	Name() string
	Begin(clientID, userName string) Exchange
}

// OriginMethod is an EnhancedMethod that is to know from where a client comes, too. A re-authentication begins with Begin all the same.
type OriginMethod interface {
	EnhancedMethod
	// BeginFor is Begin for a CONNECT. It may keep c.
	BeginFor(c *Credentials) Exchange
}

// Exchange is one run of an enhanced authentication. It must not block.
type Exchange interface {
	// Step takes the client's Authentication Data (borrowed, nil when absent) and returns the
	// server's, whether the exchange is complete, and a code >= 0x80 when it failed.
	Step(data []byte) (reply []byte, done bool, code codec.ReasonCode)
	// Identity is the authenticated user name once Step has said done.
	Identity() string
}

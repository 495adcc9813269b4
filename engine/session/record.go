package session

import "github.com/gannetmq/gannet/codec"

// Record is one fact about session state or retained messages that a Store makes durable. Kind says
// which fields are used. Slices and pointers are immutable once the record is emitted.
//
// The Packet Identifier of a delivery follows from its sequence number (PacketID), so that nothing has
// to be written when a message is sent: a queued message and one in flight are the same record.
type Record struct {
	Kind    RecordKind
	Session uint64 // Session.ID
	Seq     uint64 // delivery, for the Queue kinds
	ID      uint16 // Packet Identifier, for the Received kinds
	QoS     codec.QoS
	Retain  bool
	Message *Message            // QueuePut, RetainedPut; of QueueRelease and QueueDelete if it is at hand, which saves the Store looking
	Bytes   int                 // of a QueuePut that Load leaves the Message of in the store: its size
	IDs     []uint32            // Subscription Identifiers of a QueuePut
	Filter  string              // subscription, with its $share prefix; topic of a RetainedDelete
	Options SubscriptionOptions // SubscriptionPut
	State   *State              // SessionPut
	Will    *Will               // WillPut
}

// RecordKind is the kind of a Record.
type RecordKind uint8

// Record kinds. Put replaces, Delete removes what Put wrote.
const (
	SessionPut         RecordKind = iota + 1 // identity and times of a session
	SessionDelete                            // the session and everything under its ID
	SubscriptionPut                          // one subscription
	SubscriptionDelete                       //
	QueuePut                                 // a message is owed to the session
	QueueRelease                             // QoS 2: PUBREC came, PUBREL is owed, the message is not
	QueueDelete                              // nothing is owed any more
	ReceivedPut                              // inbound QoS 2 identifier awaits PUBREL
	ReceivedDelete                           //
	RetainedPut                              //
	RetainedDelete                           //
	WillPut                                  // a will with its due time, of a parked session
	WillDelete                               //
)

// State is the part of a session that one record holds.
type State struct {
	Group     string // not a client: the queue of the shared subscription with this filter, $share/ and all; nothing else is set
	ClientID  string
	UserName  string
	Version   codec.Version
	Expiry    uint32 // seconds
	ExpiresAt Time   // Never while connected
	Connected bool
	SentUpTo  uint64 // newest sequence number that was sent, when it was parked
}

// QueueRead asks a Store for deliveries that a session is owed and does not have in memory.
type QueueRead struct {
	Session  uint64
	From     uint64 // sequence number to begin with
	Messages int    // at most, and at least 1
	Bytes    int    // of messages: none follows the one that reaches it
	After    uint64 // ticket that has to be durable before anything is read
}

package session

import "github.com/gannetmq/gannet/codec"

// Output is what one call decided. The caller owns it, calls Reset between calls and acts on it after
// the session's lock is released. Slices are valid until the next Reset; filters in Changes stay valid.
type Output struct {
	// Frames collects bytes for this client in the order to be written. The caller may hand in a buffer
	// that already holds bytes; they are appended to.
	Frames []byte
	// Room is how many bytes Frames may hold before deliveries wait (QoS 1/2) or are dropped (QoS 0). Set by the caller. What goes
	// into Pieces is taken off.
	Room int
	// Pieces are payloads that belong into Frames but were not copied there, in order. The caller empties it, and releases their bodies.
	Pieces []Piece
	// SpliceBytes is from how many bytes on a payload may be put into Pieces; 0: none. Set by the caller.
	SpliceBytes int
	// DurableUpTo is the newest ticket that is on disk. Set by the caller.
	DurableUpTo uint64
	// Unavailable says that the store takes nothing new. Set by the caller before a SUBSCRIBE.
	Unavailable bool

	Publish    Message // to be routed when HasPublish; borrowed from the packet
	HasPublish bool
	// After routing, Acknowledge must be called when AckQoS > 0.
	AckID  uint16
	AckQoS codec.QoS

	Changes    []Change     // subscriptions for the router, in order
	Redispatch []Redispatch // messages of shared groups that another member should get
	Records    []Record     // facts to make durable, in order; then the caller calls Recorded
	Drops      Drops        // what was given up, by reason
	Revoked    int          // how many of Changes are subscriptions that the client may not have any more

	Await     bool      // what is in Frames from AwaitFrom on must not be seen before Records are durable: Recorded sees to it
	AwaitFrom int       //
	Held      uint64    // newest ticket that something was held for: Durable has to be called then
	Paced     int       // answers that were delayed: Deadline may be nearer than before
	HasRead   bool      // Read is to be asked of the store, and answered with Loaded
	Read      QueueRead //

	Tally *Tally // counts the packets that are appended to Frames; nil: nobody counts. Set by the caller.

	Judge *Credentials // to be handed to the Policy's Authenticator, whose answer goes to Handshake.Verdict

	Close     bool // close the connection after writing Frames; ConnectionLost has not been called yet
	Graceful  bool // with Close: the client said DISCONNECT, so that ConnectionLost discards the will unless 0x04
	Reason    codec.ReasonCode
	Statement string // statement id of the rule that was broken, if any
	Why       string // one phrase for the log
	Denied    []byte // the Topic Name or Topic Filter that the client was not allowed; borrowed
	Ended     bool   // the session state is gone; it must leave the registry
	Acked     bool   // a window slot came free: queues of shared groups may move
	Full      bool   // something waits for room in the connection only: call Drain when there is some

	parsed parsed
}

// parsed holds reused packet structs: parsing into them allocates nothing in the steady state.
type parsed struct {
	connect     codec.Connect
	who         Credentials // for Policy.Admit
	topic       []byte      // behind the mount point
	publish     codec.Publish
	ack         codec.Ack
	subscribe   codec.Subscribe
	unsubscribe codec.Unsubscribe
	disconnect  codec.Disconnect
	auth        codec.Auth
	delivery    codec.Delivery
	suback      codec.Suback
	unsuback    codec.Unsuback
}

// Tally counts packets to clients.
type Tally struct {
	Packets      [16]uint64 // by codec.PacketType
	PublishBytes uint64     // of the payloads in PUBLISH
}

// Publish counts one PUBLISH.
func (n *Tally) Publish(payload []byte) {
	n.Packets[codec.TypePublish]++
	n.PublishBytes += uint64(len(payload))
}

// sent counts one packet other than PUBLISH.
func (out *Output) sent(t codec.PacketType) {
	if out.Tally != nil {
		out.Tally.Packets[t]++
	}
}

// Reset empties everything but Frames, Pieces and what the caller sets.
func (out *Output) Reset() {
	if out.HasPublish {
		out.HasPublish = false
		out.Publish = Message{}
	}
	out.AckID, out.AckQoS = 0, 0
	if len(out.Changes)+len(out.Redispatch)+len(out.Records) > 0 {
		clear(out.Changes)
		clear(out.Redispatch)
		clear(out.Records)
		out.Changes, out.Redispatch, out.Records = reuse(out.Changes), reuse(out.Redispatch), reuse(out.Records)
	}
	if out.Drops.Any {
		out.Drops = Drops{}
	}
	out.Close, out.Graceful, out.Ended, out.Acked, out.Full = false, false, false, false, false
	out.Await, out.HasRead, out.Held, out.Revoked, out.Paced = false, false, 0, 0, 0
	out.Judge, out.Denied = nil, nil
	out.Reason, out.Statement, out.Why = 0, "", ""
}

// reuse empties a slice for the next call. What one odd packet made large is let go.
func reuse[E any](s []E) []E {
	if cap(s) > 1<<10 {
		return nil
	}
	return s[:0]
}

// Change is one subscription to add to or remove from the router.
type Change struct {
	Remove  bool
	Group   string // share name, empty for an ordinary subscription
	Filter  string // without $share/name/
	Options SubscriptionOptions
	Replay  bool // retained messages are to be sent [MQTT-3.3.1-9, -10, -11]
}

// Redispatch is a message of a shared group that its member will not finish.
type Redispatch struct {
	Group   GroupRef
	Message *Message
}

// GroupRef identifies a shared subscription group to the broker.
type GroupRef any

// DropReason says why a message did not reach a session, or where it should have.
type DropReason uint8

// The reasons, each with its own counter.
const (
	DropQueueFull     DropReason = iota // the oldest queued message made room, or the newest found none
	DropOutboundFull                    // QoS 0 to a connection that reads too slowly
	DropExpired                         // Message Expiry Interval ran out before it was sent
	DropTooLarge                        // beyond the client's Maximum Packet Size [MQTT-3.1.2-25]
	DropSessionEnded                    // still queued or in flight when the session ended
	DropOffline                         // QoS 0 to a parked session
	DropRefused                         // the client answered PUBACK or PUBREC >= 0x80
	DropGroupFull                       // the queue of a shared group was full
	DropGroupGone                       // a shared group lost its last member
	DropRetainedFull                    // the retained store was full: not retained, but delivered
	DropNotAuthorized                   // the client may not receive it
	DropUnstored                        // the store takes nothing new: not retained, but delivered
	DropLost                            // the store no longer has it
	DropRate                            // QoS 0 from a client that publishes faster than it may
	DropReasons                         // how many there are
)

var dropNames = [DropReasons]string{
	"queue-full", "outbound-full", "expired", "too-large", "session-ended", "offline-qos0", "refused-by-client",
	"group-queue-full", "group-gone", "retained-full", "not-authorized", "store-unavailable", "lost-in-store", "rate",
}

func (r DropReason) String() string { return dropNames[r] }

// Drops counts what one call gave up.
type Drops struct {
	Any bool
	N   [DropReasons]uint32
}

func (d *Drops) add(r DropReason, n int) {
	if n > 0 {
		d.Any = true
		d.N[r] += uint32(n)
	}
}

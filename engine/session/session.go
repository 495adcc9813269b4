package session

import (
	"unsafe"

	"github.com/gannetmq/gannet/codec"
)

// phase is where a session is in its life.
type phase uint8

const (
	fresh     phase = iota // made, not yet connected
	connected              // has a Network Connection
	parked                 // none, but its state is kept until it expires
	ended                  // gone; nothing may be done with it
)

// Session is one client's session state [4.1] and, while connected, the state of its connection.
// Not safe for concurrent use. An idle one with a single subscription is this struct and its id.
type Session struct {
	// ID numbers the session for its whole life, across connections. Set by New.
	ID uint64

	cfg      *Config
	access   *Access // of the listener that the client came through last; nil after a restart
	clientID string
	userName string

	phase         phase
	version       codec.Version
	noProblemInfo bool
	stored        bool   // the store has it
	keepAlive     uint16 // seconds, 0 = none
	sendMaximum   uint16 // window of QoS 1/2 deliveries on this connection
	aliasMaximum  uint16 // outbound aliases this client takes
	open          uint16 // deliveries that use a slot of that window
	receiving     uint32 // inbound QoS 1/2 PUBLISH not yet finished
	maxPacketSize uint32 // of this client, 0 = no limit
	expiry        uint32 // Session Expiry Interval, seconds

	mark    Time   // while connected: when the last packet came; while parked: when it expires
	nextSeq uint64 // of the next QoS 1/2 delivery; see PacketID

	sub0 Subscription // the first subscription; most clients have one
	more *more        // what only some sessions need, made when first used
	will *Will
}

// more is the part of a session that an idle client does without.
type more struct {
	subs      []Subscription // all but the first
	subAt     map[string]int // where in subs, once there are more than fewSubscriptions; else nil
	inflight  ring           // sent, not settled
	resend    int32          // entries of inflight that still wait to be resent after a resume
	carried   uint16         // of received, those of earlier connections: they take no place in this one's Receive Maximum
	queue     queue          // not yet sent
	backlog   backlog        // the rest of the queue, in the store only
	sentBelow uint64         // deliveries below may have been sent before the process was restarted
	received  packetIDSet    // inbound QoS 2, PUBREL not yet seen
	aliasIn   [][]byte       // alias-1 -> topic
	aliasOut  map[string]uint16
	held      []heldFrame
	heldSize  int         // bytes in held
	paced     *pacedQueue // answers that are delayed; nil: none. See rate.go
	meter     meter
	ticket    uint64 // of the newest records
	method    EnhancedMethod
	exchange  Exchange // a re-authentication in progress
}

// New makes a session that Connect then connects. Its Client Identifier is the same ever after.
func New(cfg *Config, id uint64, clientID string) *Session {
	s := &Session{}
	s.Init(cfg, id, clientID)
	return s
}

// Init is New for a Session embedded in something larger.
func (s *Session) Init(cfg *Config, id uint64, clientID string) {
	*s = Session{cfg: cfg, ID: id, clientID: clientID, nextSeq: 1}
}

// ClientID returns the Client Identifier. Safe for concurrent use: nothing changes it.
func (s *Session) ClientID() string { return s.clientID }

// UserName returns the authenticated name, or what CONNECT said.
func (s *Session) UserName() string { return s.userName }

// Version returns the protocol version of the current or last connection.
func (s *Session) Version() codec.Version { return s.version }

// Connected tells whether the session has a Network Connection.
func (s *Session) Connected() bool { return s.phase == connected }

// Ended tells whether the session state is gone.
func (s *Session) Ended() bool { return s.phase == ended }

// Resumable tells whether the state outlives the connection [MQTT-3.1.2-23].
func (s *Session) Resumable() bool { return s.expiry > 0 }

// Queued returns how many messages wait to be sent and how many bytes they count.
func (s *Session) Queued() (messages, bytes int) {
	if s.more == nil {
		return 0, 0
	}
	return s.more.queued()
}

// Inflight returns how many deliveries are sent and not settled.
func (s *Session) Inflight() int {
	if s.more == nil {
		return 0
	}
	return s.more.inflight.live
}

// durable tells whether the session has records. Once it has some it goes on to have them until it ends, though its client may say that
// it shall not outlive this connection: part of what it is owed may be in the store only.
// expiresAt is Never while the session is connected.
func (s *Session) expiresAt() Time {
	if s.phase == parked {
		return s.mark
	}
	return Never
}

func (s *Session) durable() bool { return s.cfg.Durable && (s.expiry > 0 || s.stored) }

func (s *Session) extra() *more {
	if s.more == nil {
		s.more = &more{}
	}
	return s.more
}

// Trim gives back memory that an idle session need not hold. Cheap; call it now and then.
func (s *Session) Trim(now Time) {
	m := s.more
	if m == nil {
		return
	}
	if m.meter != (meter{}) {
		if m.meter.leak(s.cfg, now); m.meter.messages == 0 && m.meter.bytes == 0 {
			m.meter = meter{}
		}
	}
	m.inflight.trim()
	m.queue.trim()
	if len(m.subs) == 0 && m.inflight.live == 0 && m.queue.len() == 0 && m.backlog == (backlog{}) && m.received.n == 0 &&
		m.aliasIn == nil && len(m.aliasOut) == 0 && len(m.held) == 0 && m.paced == nil &&
		m.meter == (meter{}) && m.method == nil {
		s.more = nil
	}
}

// Connect opens a connection on the session: CONNACK, then what was in flight, then what waits.
// The session is that of the Client Identifier in h, fresh or parked; a parked one is resumed, with its state [MQTT-3.1.2-5].
func (s *Session) Connect(h *Hello, now Time, out *Output) {
	present := s.phase == parked
	switch s.phase {
	case fresh, parked:
	default:
		panic("session: Connect on a session that is connected or ended")
	}
	if h.cfg != nil {
		s.cfg = h.cfg // another one, perhaps, than when the session began
	}
	s.access, s.userName, s.version = h.access, h.UserName, h.Version
	s.noProblemInfo, s.keepAlive, s.expiry = h.noProblemInfo, h.KeepAlive, h.Expiry
	s.sendMaximum = min(h.receiveMaximum, s.cfg.MaxInflight)
	s.aliasMaximum = min(h.aliasMaximum, s.cfg.TopicAliasOut)
	s.maxPacketSize = h.maxPacketSize
	s.open, s.receiving = 0, 0
	s.phase, s.mark = connected, now
	s.dropWill(out) // a new connection within the delay cancels the will [MQTT-3.1.3-9]
	if s.will = h.will; s.will != nil && s.durable() {
		out.record(Record{Kind: WillPut, Session: s.ID, Will: s.will})
	}
	if h.willDropped {
		out.Drops.add(DropNotAuthorized, 1)
	}
	if h.method != nil {
		s.extra().method = h.method
	}
	if m := s.more; m != nil {
		s.receiving, m.carried = uint32(m.received.n), uint16(m.received.n)
	}
	s.recordState(out)
	if !s.appendConnack(h, present, out) {
		return
	}
	if present {
		s.Reauthorize(out) // it may have been somebody else's, or come through another listener
		s.resume(now, out)
	}
}

// appendConnack writes CONNACK 0x00 with what the client must know [3.2.2.3]. False: it would be larger than the
// client takes, so the connection closes.
func (s *Session) appendConnack(h *Hello, present bool, out *Output) bool {
	ack := codec.Connack{SessionPresent: present}
	if s.version == codec.V5 {
		p, cfg := &ack.Properties, s.cfg
		if h.ExpiryCapped {
			p.SessionExpiryInterval = h.Expiry
			p.Set(codec.PropSessionExpiryInterval)
		}
		if cfg.ReceiveMaximum < 65535 {
			p.ReceiveMaximum = cfg.ReceiveMaximum
			p.Set(codec.PropReceiveMaximum)
		}
		if most := s.access.maxQoS(cfg); most < codec.QoS2 {
			p.MaximumQoS = byte(most)
			p.Set(codec.PropMaximumQoS)
		}
		if cfg.RetainUnavailable {
			p.Set(codec.PropRetainAvailable)
		}
		if cfg.MaxPacketSize > 0 {
			p.MaximumPacketSize = cfg.MaxPacketSize
			p.Set(codec.PropMaximumPacketSize)
		}
		if h.Assigned {
			p.AssignedClientIdentifier = []byte(h.ClientID)
			p.Set(codec.PropAssignedClientIdentifier)
		}
		if most := s.access.aliasLimit(cfg); most > 0 {
			p.TopicAliasMaximum = most
			p.Set(codec.PropTopicAliasMaximum)
		}
		if h.ServerKeep {
			p.ServerKeepAlive = h.KeepAlive
			p.Set(codec.PropServerKeepAlive)
		}
		if h.wantResponse && cfg.ResponseInformation != "" {
			p.ResponseInformation = []byte(cfg.ResponseInformation)
			p.Set(codec.PropResponseInformation)
		}
		if h.method != nil {
			p.AuthenticationMethod = []byte(h.method.Name())
			p.Set(codec.PropAuthenticationMethod)
			if h.authReply != nil {
				p.AuthenticationData = h.authReply
				p.Set(codec.PropAuthenticationData)
			}
		}
	}
	start := len(out.Frames)
	out.Frames = ack.Append(out.Frames, s.version)
	if s.tooLarge(len(out.Frames) - start) {
		out.Frames = out.Frames[:start]
		s.dropWill(out) // the client was never accepted
		out.close(codec.PacketTooLarge, "MQTT-3.1.2-24", "CONNACK is larger than the client's maximum packet size")
		return false
	}
	out.sent(codec.TypeConnack)
	return true
}

// Packet handles one packet of a connected session. Bytes in f are borrowed; out.Publish borrows them too.
func (s *Session) Packet(f codec.Frame, now Time, out *Output) {
	s.mark = now
	if s.more != nil && s.more.paced != nil {
		s.releasePaced(now, out)
	}
	switch f.Type {
	case codec.TypePublish:
		s.publish(f, now, out)
	case codec.TypePuback, codec.TypePubrec, codec.TypePubcomp:
		s.settle(f, now, out)
	case codec.TypePubrel:
		s.pubrel(f, out)
	case codec.TypeSubscribe:
		s.subscribe(f, out)
	case codec.TypeUnsubscribe:
		s.unsubscribe(f, out)
	case codec.TypePingreq:
		if err := codec.ParsePing(s.version, f.Flags, f.Body); err != nil {
			s.fail(err, out)
			return
		}
		out.sent(codec.TypePingresp)
		out.Frames = codec.AppendPingresp(out.Frames)
	case codec.TypeDisconnect:
		s.disconnect(f, out)
	case codec.TypeAuth:
		s.reauthenticate(f, out)
	case codec.TypeConnect:
		s.protocolError("MQTT-3.1.0-2", "second CONNECT", out)
	default: // packets that only a server sends
		s.protocolError("", "packet that only a server sends", out)
	}
}

// Malformed closes the connection of a session whose bytes could not even be framed.
func (s *Session) Malformed(err error, out *Output) { s.fail(err, out) }

func (s *Session) disconnect(f codec.Frame, out *Output) {
	d := &out.parsed.disconnect
	if err := d.Parse(s.version, f.Flags, f.Body); err != nil {
		s.fail(err, out)
		return
	}
	if !clientMayDisconnectWith(d.Reason) {
		s.protocolError("MQTT-3.14.2-1", "DISCONNECT code that only a server sends", out)
		return
	}
	if d.Properties.Has(codec.PropServerReference) {
		s.protocolError("", "Server Reference in a client's DISCONNECT", out)
		return
	}
	if d.Properties.Has(codec.PropSessionExpiryInterval) {
		if s.expiry == 0 && d.Properties.SessionExpiryInterval != 0 {
			s.protocolError("", "DISCONNECT raises the session expiry from 0", out)
			return
		}
		s.expiry = min(d.Properties.SessionExpiryInterval, s.cfg.MaxSessionExpiry)
	}
	if d.Reason != codec.DisconnectWithWill && d.Reason < codec.UnspecifiedError {
		s.dropWill(out) // [MQTT-3.14.4-3]
	}
	out.close(d.Reason, "", "client disconnected")
	out.Graceful = true
}

// clientMayDisconnectWith lists the codes that 3.14.2.1 gives to clients.
func clientMayDisconnectWith(c codec.ReasonCode) bool {
	switch c {
	case codec.NormalDisconnection, codec.DisconnectWithWill, codec.UnspecifiedError, codec.MalformedPacket,
		codec.ProtocolError, codec.ImplementationSpecificError, codec.TopicNameInvalid, codec.ReceiveMaximumExceeded,
		codec.TopicAliasInvalid, codec.PacketTooLarge, codec.MessageRateTooHigh, codec.QuotaExceeded,
		codec.AdministrativeAction, codec.PayloadFormatInvalid, codec.BadAuthenticationMethod, codec.TopicFilterInvalid:
		return true
	}
	return false
}

// Disconnect closes the connection from the server's side: DISCONNECT with code to a 5.0 client. The
// caller then calls ConnectionLost.
func (s *Session) Disconnect(code codec.ReasonCode, why string, out *Output) {
	s.closeWith(code, "", why, out)
}

// ConnectionLost takes the connection away, for whatever reason. The will is published now or later and
// the session is parked or ends [3.1.2.5, 3.1.2.11.2].
func (s *Session) ConnectionLost(now Time, out *Output) {
	if s.phase != connected {
		panic("session: ConnectionLost without a connection")
	}
	if m := s.more; m != nil {
		m.aliasIn, m.aliasOut = nil, nil // [MQTT-3.3.2-7]
		m.held, m.heldSize, m.exchange, m.method = nil, 0, nil, nil
		m.paced, m.meter = nil, meter{}
	}
	if s.will != nil && (s.will.DelaySeconds == 0 || s.expiry == 0) {
		s.publishWill(now, out)
	}
	if s.expiry == 0 {
		s.end(out)
		return
	}
	s.phase = parked
	s.mark = Never
	if s.expiry != NeverExpires {
		s.mark = now + Seconds(s.expiry)
	}
	if s.will != nil {
		w := *s.will
		w.Due = min(now+Seconds(w.DelaySeconds), s.mark)
		s.will = &w
		if s.durable() {
			out.record(Record{Kind: WillPut, Session: s.ID, Will: s.will})
		}
	}
	s.releaseShared(out)
	s.shelve()
	s.recordState(out)
	s.Trim(now)
}

// End ends the session at once, connected or parked, as Clean Start 1 does [MQTT-3.1.2-4]. A will that
// still waits is published [MQTT-3.1.3-9].
func (s *Session) End(now Time, out *Output) {
	if s.phase == ended {
		return
	}
	if s.will != nil {
		s.publishWill(now, out)
	}
	s.end(out)
}

func (s *Session) end(out *Output) {
	if s.durable() {
		out.record(Record{Kind: SessionDelete, Session: s.ID})
	}
	s.releaseShared(out)
	s.eachSubscription(func(sub *Subscription) {
		out.Changes = append(out.Changes, sub.change(true, false))
	})
	if m := s.more; m != nil {
		waiting, _ := m.queued()
		out.Drops.add(DropSessionEnded, waiting+m.inflight.unsettledPublishes())
	}
	s.phase = ended
	s.more, s.will, s.sub0 = nil, nil, Subscription{}
	out.Ended = true
}

// Deadline is when Tick must be called at the latest; Never when there is nothing to wait for.
func (s *Session) Deadline() Time {
	switch s.phase {
	case connected:
		due := min(s.aliveUntil(), s.deniedAt())
		if s.more != nil && s.more.paced != nil {
			due = min(due, s.more.paced.frames[0].due)
		}
		return due
	case parked:
		if s.will != nil {
			return min(s.will.Due, s.mark)
		}
		return s.mark
	}
	return Never
}

// aliveUntil is when 1.5 x Keep Alive has passed [MQTT-3.1.2-22].
func (s *Session) aliveUntil() Time {
	if s.keepAlive == 0 {
		return Never
	}
	return s.mark + Time(s.keepAlive)*1500
}

// Tick lets time pass: keep alive, delayed answers, the end of a verdict, will delay, session expiry.
func (s *Session) Tick(now Time, out *Output) {
	switch s.phase {
	case connected:
		if s.more != nil && s.more.paced != nil {
			s.releasePaced(now, out)
		}
		if s.aliveUntil() <= now {
			s.closeWith(codec.KeepAliveTimeout, "MQTT-3.1.2-22", "keep alive timeout", out)
		}
		if s.deniedAt() <= now {
			s.closeWith(codec.NotAuthorized, "", "what it was let in with has expired", out)
		}
	case parked:
		if s.will != nil && s.will.Due <= now {
			s.publishWill(now, out)
		}
		if s.mark <= now {
			s.end(out)
		}
	}
}

func (s *Session) fail(err error, out *Output) {
	e := err.(*codec.Error)
	s.closeWith(e.Code, e.Statement, e.Message, out)
}

func (s *Session) protocolError(statement, why string, out *Output) {
	s.closeWith(codec.ProtocolError, statement, why, out)
}

// closeWith says why to a client that can hear it, and closes. 3.x has no DISCONNECT from the server.
func (s *Session) closeWith(code codec.ReasonCode, statement, why string, out *Output) {
	if out.Close {
		return
	}
	if s.version == codec.V5 {
		d := codec.Disconnect{Reason: code}
		if !code.AllowedIn(codec.TypeDisconnect) {
			d.Reason = codec.UnspecifiedError
		}
		d.Properties.ReasonString = []byte(why)
		d.Properties.Set(codec.PropReasonString)
		start := len(out.Frames)
		out.Frames = d.Append(out.Frames, s.version)
		if s.tooLarge(len(out.Frames) - start) { // [MQTT-3.14.2-3]
			d.Properties.Reset()
			out.Frames = d.Append(out.Frames[:start], s.version)
			if s.tooLarge(len(out.Frames) - start) {
				out.Frames = out.Frames[:start]
			}
		}
		if len(out.Frames) > start {
			out.sent(codec.TypeDisconnect)
		}
	}
	out.close(code, statement, why)
}

func (s *Session) tooLarge(n int) bool { return s.maxPacketSize > 0 && n > int(s.maxPacketSize) }

func (s *Session) recordState(out *Output) {
	if s.durable() {
		s.stored = true
		out.record(Record{Kind: SessionPut, Session: s.ID, State: &State{
			ClientID: s.clientID, UserName: s.userName, Version: s.version, Expiry: s.expiry, ExpiresAt: s.expiresAt(),
			Connected: s.phase == connected, SentUpTo: s.sentUpTo(),
		}})
	}
}

// sentUpTo is the newest sequence number that was sent to the client.
func (s *Session) sentUpTo() uint64 {
	next := s.nextSeq
	if m := s.more; m != nil {
		if m.queue.len() > 0 {
			next = m.queue.front().seq
		}
		if m.backlog.n > 0 {
			next = min(next, m.backlog.first)
		}
	}
	return next - 1
}

func (out *Output) record(r Record) { out.Records = append(out.Records, r) }

func bytesAsString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

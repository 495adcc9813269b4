package session

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/gannetmq/gannet/codec"
)

// TestTranscripts plays the conversations in testdata. Each file is about one section of the
// specification; a directive is one thing that happens to the session, and below its ---- stands
// everything the session decided. README.txt in testdata explains the directives.
//
// After every directive the session's invariants are checked, and a witness that sees only the wire
// checks what a strict client would.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		if strings.HasSuffix(path, "README.txt") {
			return
		}
		p := newPlayer()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			p.text.Reset()
			p.play(t, d)
			if t.Failed() {
				t.Logf("%s: %s\n%s", d.Pos, d.FullCmd(), p.text.String())
			}
			return p.text.String()
		})
	})
}

// start is the time at which every transcript begins.
const start = Time(1_700_000_000_000)

// player holds one client's session and stands in for the broker around it.
type player struct {
	cfg        Config
	pol        Policy
	version    codec.Version
	hs         *Handshake
	s          *Session
	store      store
	ticket     uint64   // what the records of this directive get; 0 = durable at once
	records    []Record // of this directive
	gate       uint64   // nothing is written before this ticket is durable, as package broker sees to
	gated      []byte
	read       QueueRead // the last one that was asked for,
	reading    bool      // and is not answered yet
	fetched    []Record  // what the store found, once it has looked
	looked     bool
	lastID     uint64
	now        Time
	out        Output
	og         Outgoing
	pending    []pendingAck
	eye        witness
	old        witness // of the connection before
	closed     bool    // the session wants its connection closed
	refused    bool    // the last CONNECT was; an older connection may go on
	oldVersion codec.Version
	proved     string   // user name that the connection has proved
	busy       bool     // the server is, for the next CONNECT
	admits     []string // what Policy.Admit was asked
	text       strings.Builder

	onFrame func(codec.Version, codec.Frame) // told of every packet for the client; may be nil
	onRoute func(*Message)                   // told of every message to route; may be nil
}

// pendingAck is a PUBLISH that is being routed.
type pendingAck struct {
	id  uint16
	qos codec.QoS
}

func newPlayer() *player {
	p := &player{now: start, cfg: plainConfig()}
	p.pol = Policy{AllowAnonymous: true, NewClientID: p.newClientID}
	p.out.Room = 1 << 20
	return p
}

// newClientID names the sessions in the order of their making.
func (p *player) newClientID() string { return "made-up-" + strconv.FormatUint(p.lastID+1, 10) }

// plainConfig announces nothing in CONNACK.
func plainConfig() Config {
	cfg := DefaultConfig()
	cfg.ReceiveMaximum, cfg.TopicAliasMaximum, cfg.MaxPacketSize = 65535, 0, 0
	return cfg
}

// play does one directive.
func (p *player) play(t *testing.T, d *datadriven.TestData) {
	p.out.Reset()
	p.out.Frames = p.out.Frames[:0]
	p.out.DurableUpTo, p.out.Unavailable = p.store.durable, d.HasArg("unavailable")
	p.ticket, p.records = uint64(num(t, d, "hold", 0)), nil
	if p.refused {
		p.eye, p.version, p.refused = p.old, p.oldVersion, false
	}
	switch d.Cmd {
	case "config":
		fresh := newPlayer()
		fresh.onFrame, fresh.onRoute = p.onFrame, p.onRoute
		*p = *fresh
		p.pol.NewClientID = p.newClientID
		p.configure(t, d)
		return
	case "room":
		p.out.Room = firstInt(t, d)
		return
	case "connect":
		p.connect(t, d)
	case "publish":
		p.publish(t, d)
	case "routed":
		p.routed(t, d)
	case "retract":
		p.s.Retract(p.pending[0].id, p.pending[0].qos)
		p.pending = p.pending[1:]
	case "deliver":
		p.deliver(t, d)
	case "puback", "pubrec", "pubrel", "pubcomp":
		p.ack(t, d)
	case "subscribe":
		p.subscribe(t, d)
	case "unsubscribe":
		p.unsubscribe(t, d)
	case "ping":
		p.packet(t, codec.AppendPingreq(nil))
	case "disconnect":
		p.disconnect(t, d)
	case "auth":
		p.auth(t, d)
	case "verdict":
		p.verdict(t, d)
	case "rules":
		p.rules(d)
		return
	case "reauthorize":
		p.s.Reauthorize(&p.out)
	case "raw":
		p.raw(t, d)
	case "kick":
		p.s.Disconnect(codec.ReasonCode(num(t, d, "code", 0)), str(t, d, "why", "because"), &p.out)
	case "lost":
		p.lost()
	case "end":
		p.s.End(p.now, &p.out)
	case "synced": // and nobody has told the session yet
		p.store.sync(uint64(num(t, d, "ticket", 0)))
		return
	case "durable":
		p.store.sync(uint64(num(t, d, "ticket", 0)))
		p.out.DurableUpTo = p.store.durable
		if p.s != nil && p.s.Durable(p.out.DurableUpTo, &p.out) {
			p.say("more waits")
		}
	case "tick":
		p.tick(t, d)
		return
	case "fetch":
		p.fetch(d)
		return
	case "loaded":
		p.loaded(d)
	case "drain":
		p.s.Drain(p.now, &p.out)
	case "trim":
		p.s.Trim(p.now)
	case "jump": // to a later sequence number, as after a long life
		p.s.nextSeq = uint64(firstInt(t, d))
	case "restart":
		p.restart(num(t, d, "window", -1))
	case "state":
		p.state()
	default:
		d.Fatalf(t, "unknown directive %s", d.Cmd)
	}
	p.recorded()
	p.report(t)
}

// recorded does as the broker does after each call: records get a ticket, and what must wait for it is held.
func (p *player) recorded() {
	if len(p.out.Records) == 0 {
		return
	}
	p.store.append(p.out.Records, p.ticket)
	p.records = append(p.records, p.out.Records...)
	p.out.Records = p.out.Records[:0]
	p.s.Recorded(p.ticket, &p.out)
}

// fetch lets the store look for what the session has asked for. The answer is still on its way then.
func (p *player) fetch(d *datadriven.TestData) {
	if !p.reading || p.read.After > p.store.durable {
		p.say("nothing to read")
		return
	}
	p.fetched, p.looked = p.store.read(p.read, d.HasArg("ahead")), true
}

// loaded brings the answer to the session.
func (p *player) loaded(d *datadriven.TestData) {
	if !p.looked {
		p.fetch(d)
	}
	if !p.looked {
		return
	}
	found := p.fetched
	if d.HasArg("lost") {
		found = nil
	}
	p.reading, p.looked, p.fetched = false, false, nil
	p.s.Loaded(p.read, found, d.HasArg("failed"), p.now, &p.out)
}

func (p *player) say(format string, args ...any) { fmt.Fprintf(&p.text, format+"\n", args...) }

func (p *player) configure(t *testing.T, d *datadriven.TestData) {
	cfg := &p.cfg
	for _, a := range d.CmdArgs {
		n := func() int { return parseInt(t, a.SingleVal(t)) }
		switch a.Key {
		case "max-inflight":
			cfg.MaxInflight = uint16(n())
		case "recv-max":
			cfg.ReceiveMaximum = uint16(n())
		case "alias-max":
			cfg.TopicAliasMaximum = uint16(n())
		case "alias-out":
			cfg.TopicAliasOut = uint16(n())
		case "max-packet":
			cfg.MaxPacketSize = uint32(n())
		case "max-keepalive":
			cfg.MaxKeepAliveSecs = uint16(n())
		case "max-expiry":
			cfg.MaxSessionExpiry = uint32(n())
		case "max-qos":
			cfg.MaxQoS = codec.QoS(n())
		case "no-retain":
			cfg.RetainUnavailable = true
		case "max-levels":
			cfg.MaxTopicLevels = n()
		case "max-topic":
			cfg.MaxTopicBytes = n()
		case "max-subs":
			cfg.MaxSubscriptions = n()
		case "max-queued":
			cfg.MaxQueuedMessages = n()
		case "max-queued-bytes":
			cfg.MaxQueuedBytes = n()
		case "max-held":
			cfg.MaxHeldAcks = n()
		case "queue-qos0":
			cfg.QueueQoS0 = true
		case "durable":
			cfg.Durable = true
		case "window":
			cfg.QueueWindow = n()
		case "response-info":
			cfg.ResponseInformation = a.SingleVal(t)
		case "acl":
			cfg.Authorizer = denyList{}
		case "methods":
			p.pol.Methods = []EnhancedMethod{riddle{}}
		case "no-anonymous":
			p.pol.AllowAnonymous = false
		case "judge":
			p.pol.Authenticator = nobody{}
		case "mount":
			p.pol.Access.MountPoint = a.SingleVal(t)
		case "listener-aliases":
			most := uint16(n())
			p.pol.Access.AliasLimit = &most
		case "listener-qos":
			most := codec.QoS(n())
			p.pol.Access.MaxQoS = &most
		case "drop-wills":
			p.pol.Access.DropWills = true
		case "admit":
			p.pol.Admit = p.admit
		case "no-names":
			p.pol.NewClientID = nil
		case "name-as-id":
			p.pol.NameAsClientID = true
		case "rate":
			cfg.MaxMessageRate = uint32(n())
		case "byte-rate":
			cfg.MaxByteRate = uint32(n())
		case "max-debt":
			cfg.MaxRateDebt = n()
		case "proven-only":
			p.pol.ProvenOnly = true
		case "max-payload":
			cfg.MaxPayload = n()
		case "only-5":
			p.pol.Versions = Versions(codec.V5)
		default:
			d.Fatalf(t, "unknown setting %s", a.Key)
		}
	}
}

// admit knows whom it does not like.
func (p *player) admit(c *Credentials) codec.ReasonCode {
	p.admits = append(p.admits, fmt.Sprintf("admit id=%s user=%q %t from=%s %s certain=%t", c.ClientID, c.UserName, c.HasUserName, c.Addr, c.Listener, c.Certain))
	switch {
	case c.Password != nil || c.HasPassword:
		panic("it is told the password")
	case c.UserName == "villain":
		return codec.Banned
	case c.ClientID == "hasty" && c.Certain:
		return codec.ConnectionRateExceeded
	}
	return codec.Success
}

// connect opens a new network connection and sends CONNECT on it.
func (p *player) connect(t *testing.T, d *datadriven.TestData) {
	c := codec.Connect{
		ClientID: []byte(str(t, d, "id", "")), CleanStart: d.HasArg("clean"), KeepAlive: uint16(num(t, d, "keepalive", 0)),
		HasUserName: d.HasArg("user"), UserName: []byte(str(t, d, "user", "")),
		HasPassword: d.HasArg("password"), Password: []byte(str(t, d, "password", "")),
		HasWill: d.HasArg("will-topic"), WillTopic: []byte(str(t, d, "will-topic", "")), WillPayload: []byte(str(t, d, "will-payload", "")),
		WillQoS: codec.QoS(num(t, d, "will-qos", 0)), WillRetain: d.HasArg("will-retain"),
	}
	properties(t, d, &c.Properties, map[string]codec.PropertyID{
		"expiry": codec.PropSessionExpiryInterval, "recv-max": codec.PropReceiveMaximum, "max-packet": codec.PropMaximumPacketSize,
		"alias-max": codec.PropTopicAliasMaximum, "problem-info": codec.PropRequestProblemInformation,
		"response-info": codec.PropRequestResponseInformation, "method": codec.PropAuthenticationMethod, "data": codec.PropAuthenticationData,
	})
	properties(t, d, &c.WillProperties, map[string]codec.PropertyID{
		"will-delay": codec.PropWillDelayInterval, "will-expiry": codec.PropMessageExpiryInterval, "will-type": codec.PropContentType,
	})
	p.proved, p.busy = str(t, d, "proved", ""), d.HasArg("busy")
	p.dial(t, d, &c)
	p.packet(t, c.Append(nil, p.version))
}

// dial opens a network connection, for the CONNECT c.
func (p *player) dial(t *testing.T, d *datadriven.TestData, c *codec.Connect) {
	p.hs = &Handshake{From: Origin{Addr: "1.2.3.4:5", Listener: "here"}, Busy: p.busy}
	p.old, p.oldVersion = p.eye, p.version
	if p.version = codec.Version(num(t, d, "v", 5)); p.version == 31 {
		p.version = codec.V31
	}
	p.eye.connected(c, p.version)
}

// packet feeds the bytes of one or more packets to whoever is in charge of the connection.
func (p *player) packet(t *testing.T, b []byte) {
	for len(b) > 0 && !p.out.Close {
		f, _, err := codec.Next(b, p.cfg.MaxPacketSize)
		if err != nil {
			p.s.Malformed(err, &p.out)
			return
		}
		if f.Size == 0 {
			t.Fatalf("incomplete packet % x", b)
		}
		if p.hs != nil {
			p.greet(t, p.hs.Packet(&p.cfg, &p.pol, p.proved, f, &p.out))
		} else {
			if p.closed {
				t.Fatal("a packet on a closed connection")
			}
			p.eye.received(p.version, f)
			p.s.Packet(f, p.now, &p.out)
			p.recorded()
		}
		b = b[f.Size:]
	}
}

// rules puts other rules in force for everybody: as denyList says, or nothing at all.
func (p *player) rules(d *datadriven.TestData) {
	p.cfg.Authorizer = denyList{}
	if d.HasArg("mute") {
		p.cfg.Authorizer = mute{}
	}
}

// verdict answers what the session asked the Authenticator.
func (p *player) verdict(t *testing.T, d *datadriven.TestData) {
	v := Verdict{Code: codec.ReasonCode(num(t, d, "code", 0)), UserName: str(t, d, "user", ""), ClientID: str(t, d, "id", "")}
	if d.HasArg("mute") {
		v.Authorizer = mute{}
	}
	if d.HasArg("expires") {
		v.Expires = p.now + Seconds(uint32(num(t, d, "expires", 0)))
	}
	if !p.hs.Judging() {
		t.Error("a verdict that nobody waits for")
	}
	p.greet(t, p.hs.Verdict(&p.cfg, v, &p.out))
}

// greet does what a step of the handshake has decided.
func (p *player) greet(t *testing.T, h *Hello) {
	if h != nil {
		p.accept(t, h)
	} else if p.out.Close {
		p.hs, p.refused = nil, true
	}
}

// accept joins the connection and its session as the broker does: a connected one is taken over first.
func (p *player) accept(t *testing.T, h *Hello) {
	gate := uint64(0)
	p.hs = nil
	if p.s != nil && p.s.ClientID() != h.ClientID {
		p.s = nil
	}
	if s := p.s; s != nil && s.Connected() {
		if !p.closed && p.gate <= p.store.durable {
			p.out.Frames = append(p.out.Frames, p.gated...)
			s.Disconnect(codec.SessionTakenOver, "session taken over", &p.out)
			p.out.Close, p.out.Reason, p.out.Why = false, 0, ""
		}
		p.lost()
	}
	if p.s != nil && !p.s.Ended() {
		p.s.Tick(p.now, &p.out) // what has run out is not resumed
		p.recorded()
	}
	if p.s != nil && !p.s.Ended() && h.CleanStart {
		p.s.End(p.now, &p.out)
		p.recorded()
	}
	if p.text.Len() > 0 || len(p.out.Frames) > 0 || p.out.HasPublish || p.out.Ended {
		p.say("the old connection and session:")
		eye := p.eye
		p.eye = p.old
		p.reportAs(t, p.s.Version())
		p.eye = eye
		p.out.Reset()
		p.out.Frames = p.out.Frames[:0]
		p.say("the new:")
	}
	if p.s == nil || p.s.Ended() {
		p.lastID++
		p.s = New(&p.cfg, p.lastID, h.ClientID)
		if p.eye.forget(); len(p.store.pending) > 0 {
			gate = p.ticket // the end of the one before must not be taken back once the client knows of this one
		}
		p.reading, p.looked = false, false
	}
	p.pending, p.closed = nil, false
	p.eye.accepted(min(h.receiveMaximum, p.cfg.MaxInflight))
	p.s.Connect(h, p.now, &p.out)
	if len(p.out.Records) > 0 {
		gate = p.ticket // CONNACK leaves once the session is durable, and nothing goes before it
	}
	p.gate = gate
	p.recorded()
}

func (p *player) publish(t *testing.T, d *datadriven.TestData) {
	pub := codec.Publish{
		Topic: []byte(str(t, d, "topic", "")), Payload: []byte(str(t, d, "payload", "")), QoS: codec.QoS(num(t, d, "qos", 0)),
		Retain: d.HasArg("retain"), Dup: d.HasArg("dup"), PacketID: uint16(num(t, d, "id", 0)),
	}
	properties(t, d, &pub.Properties, map[string]codec.PropertyID{
		"expiry": codec.PropMessageExpiryInterval, "alias": codec.PropTopicAlias, "type": codec.PropContentType,
		"sub-id": codec.PropSubscriptionIdentifier, "format": codec.PropPayloadFormatIndicator, "reply": codec.PropResponseTopic,
		"correlation": codec.PropCorrelationData,
	})
	p.packet(t, pub.Append(nil, p.version))
	if p.out.AckQoS > 0 {
		p.pending = append(p.pending, pendingAck{p.out.AckID, p.out.AckQoS})
		if d.HasArg("routed") {
			p.routedWith(codec.ReasonCode(num(t, d, "routed", 0)))
		}
	}
}

// routed is the broker's answer for the oldest PUBLISH that waits for one.
func (p *player) routed(t *testing.T, d *datadriven.TestData) {
	if len(p.pending) == 0 {
		d.Fatalf(t, "nothing is being routed")
	}
	p.routedWith(codec.ReasonCode(num(t, d, "code", 0)))
}

func (p *player) routedWith(code codec.ReasonCode) {
	a := p.pending[0]
	p.pending = p.pending[1:]
	start := len(p.out.Frames)
	p.s.Acknowledge(a.id, a.qos, code, &p.out)
	p.recorded()
	p.s.Answer(p.ticket, start, &p.out)
}

// deliver brings n messages to the session.
func (p *player) deliver(t *testing.T, d *datadriven.TestData) {
	n := num(t, d, "n", 1)
	for i := range n {
		m := &Message{
			Topic: []byte(str(t, d, "topic", "t")), Payload: []byte(str(t, d, "payload", "")),
			QoS: codec.QoS(num(t, d, "qos", 0)), Retain: d.HasArg("retain"), From: 99,
		}
		if n > 1 {
			m.Payload = strconv.AppendInt(m.Payload, int64(i+1), 10)
		}
		if d.HasArg("expiry") {
			m.Expires = p.now + Seconds(uint32(num(t, d, "expiry", 0)))
		}
		if d.HasArg("type") {
			v := str(t, d, "type", "")
			m.Properties = append([]byte{byte(codec.PropContentType), 0, byte(len(v))}, v...)
		}
		r := Route{QoS: codec.QoS(num(t, d, "granted", 2)), Retained: d.HasArg("retained"), RetainAsPublished: d.HasArg("rap")}
		if g := str(t, d, "group", ""); g != "" {
			r.Group = g
		}
		if a, ok := d.Arg("ids"); ok {
			for _, v := range a.Vals {
				r.IDs = append(r.IDs, uint32(parseInt(t, v)))
			}
		}
		switch o := str(t, d, "overflow", "drop"); o {
		case "drop":
		case "refuse":
			r.Overflow = Refuse
		case "noqueue":
			r.Overflow = NoQueue
		default:
			d.Fatalf(t, "unknown overflow %s", o)
		}
		p.og.Reset(m, p.now, d.HasArg("wide"))
		if min(m.QoS, r.QoS) == codec.QoS0 && !r.Retained && r.IDs == nil && r.Group == nil && r.Overflow == DropOldest {
			var plain bool
			if p.out.Frames, plain = p.s.AppendPlain(&p.og, r.QoS, r.RetainAsPublished, p.out.Frames, p.out.Room); plain {
				p.say("sent plainly")
				continue
			}
		}
		result := p.s.Deliver(&p.og, &r, &p.out)
		p.recorded()
		p.say("%s", [...]string{"sent", "queued", "dropped", "refused", "gone", "forbidden"}[result])
	}
	if d.HasArg("quiet") {
		p.text.Reset()
		p.records = nil
	}
}

func (p *player) ack(t *testing.T, d *datadriven.TestData) {
	a := codec.Ack{PacketID: uint16(num(t, d, "id", 0)), Reason: codec.ReasonCode(num(t, d, "code", 0))}
	types := map[string]codec.PacketType{"puback": codec.TypePuback, "pubrec": codec.TypePubrec, "pubrel": codec.TypePubrel, "pubcomp": codec.TypePubcomp}
	p.packet(t, a.Append(nil, types[d.Cmd], p.version))
}

// subscribe takes each filter as filter:options, the options a QoS digit followed by n for No Local, p for Retain As
// Published and 0, 1 or 2 for Retain Handling.
func (p *player) subscribe(t *testing.T, d *datadriven.TestData) {
	sub := codec.Subscribe{PacketID: uint16(num(t, d, "id", 1))}
	properties(t, d, &sub.Properties, map[string]codec.PropertyID{"sub-id": codec.PropSubscriptionIdentifier})
	for _, a := range d.CmdArgs {
		i := strings.LastIndexByte(a.Key, ':')
		if len(a.Vals) > 0 || i < 0 {
			continue
		}
		s := codec.Subscription{Filter: []byte(expand(a.Key[:i]))}
		for j, c := range a.Key[i+1:] {
			switch {
			case j == 0:
				s.QoS = codec.QoS(c - '0')
			case c == 'n':
				s.NoLocal = true
			case c == 'p':
				s.RetainAsPublished = true
			default:
				s.RetainHandling = byte(c - '0')
			}
		}
		sub.Filters = append(sub.Filters, s)
	}
	p.packet(t, sub.Append(nil, p.version))
}

func (p *player) unsubscribe(t *testing.T, d *datadriven.TestData) {
	u := codec.Unsubscribe{PacketID: uint16(num(t, d, "id", 1))}
	for _, a := range d.CmdArgs {
		if len(a.Vals) == 0 {
			u.Filters = append(u.Filters, []byte(a.Key))
		}
	}
	p.packet(t, u.Append(nil, p.version))
}

func (p *player) disconnect(t *testing.T, d *datadriven.TestData) {
	x := codec.Disconnect{Reason: codec.ReasonCode(num(t, d, "code", 0))}
	properties(t, d, &x.Properties, map[string]codec.PropertyID{
		"expiry": codec.PropSessionExpiryInterval, "reference": codec.PropServerReference,
	})
	p.packet(t, x.Append(nil, p.version))
}

func (p *player) auth(t *testing.T, d *datadriven.TestData) {
	a := codec.Auth{Reason: codec.ReasonCode(num(t, d, "code", 0))}
	properties(t, d, &a.Properties, map[string]codec.PropertyID{
		"method": codec.PropAuthenticationMethod, "data": codec.PropAuthenticationData,
	})
	p.packet(t, a.Append(nil, codec.V5))
}

// raw feeds bytes given in hexadecimal. With new, they come on a new network connection.
func (p *player) raw(t *testing.T, d *datadriven.TestData) {
	b, err := hex.DecodeString(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' {
			return -1
		}
		return r
	}, d.Input))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	if d.HasArg("new") {
		p.dial(t, d, &codec.Connect{})
	}
	p.packet(t, b)
}

func (p *player) lost() {
	if m := p.s.more; len(p.gated) > 0 || m != nil && len(m.held) > 0 {
		p.eye.unseen = true
	}
	p.s.ConnectionLost(p.now, &p.out)
	p.recorded()
	p.pending, p.closed, p.gate, p.gated = nil, false, 0, nil
}

// tick lets time pass, in steps that end where a deadline lies, as a punctual timer would.
func (p *player) tick(t *testing.T, d *datadriven.TestData) {
	step, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	end := p.now + Time(step.Milliseconds())
	for p.s.Deadline() <= end && !p.out.Close {
		p.now = max(p.now, p.s.Deadline())
		p.say("at %s:", p.at(p.now))
		p.s.Tick(p.now, &p.out)
		p.recorded()
		p.report(t)
		if p.out.Close {
			break
		}
		p.out.Reset()
		p.out.Frames = p.out.Frames[:0]
	}
	p.now = end
	p.say("deadline %s", p.at(p.s.Deadline()))
}

// at names a time by its distance from the beginning.
func (p *player) at(x Time) string {
	switch x {
	case 0:
		return "unset"
	case Never:
		return "never"
	}
	return (time.Duration(x-start) * time.Millisecond).String()
}

// restart ends the process, with what is not durable, and restores the session from its records.
func (p *player) restart(window int) {
	p.hs, p.pending, p.eye.restarted, p.eye.unseen = nil, nil, true, true
	p.gate, p.gated, p.reading, p.looked = 0, nil, false, false
	p.store.crash()
	p.s = p.store.disk.load(&p.cfg, window, p.now)
	if p.s == nil {
		p.say("nothing is left")
		return
	}
	p.state()
}

func (p *player) state() {
	s := p.s
	queued, bytes := s.Queued()
	p.say("%s version %s subscriptions=%d inflight=%d open=%d receiving=%d queued=%d bytes=%d waiting=%t can-take=%t deadline %s",
		[...]string{"fresh", "connected", "parked", "ended"}[s.phase], s.Version(), s.Subscriptions(), s.Inflight(), s.open, s.receiving,
		queued, bytes, s.Waiting(), s.CanTake(p.out.Room), p.at(s.Deadline()))
	p.say("client %q user %q resumable=%t lean=%t", s.ClientID(), s.UserName(), s.Resumable(), s.more == nil)
}

package session

import (
	"bytes"
	"strings"

	"github.com/gannetmq/gannet/codec"
)

// Hello holds the facts of an accepted CONNECT. It owns all that it refers to, and is itself a part of its Handshake.
type Hello struct {
	Version      codec.Version
	ClientID     string
	UserName     string // the authenticated name where a method named one
	Assigned     bool   // the server invented the Client Identifier
	CleanStart   bool
	KeepAlive    uint16 // seconds, as it will be enforced
	ServerKeep   bool   // KeepAlive is the server's, not the client's
	Expiry       uint32 // Session Expiry Interval in seconds, after the server's cap
	ExpiryCapped bool

	receiveMaximum uint16
	aliasMaximum   uint16
	maxPacketSize  uint32 // 0 = no limit
	noProblemInfo  bool
	wantResponse   bool
	will           *Will
	method         EnhancedMethod
	authReply      []byte
	access         *Access
	cfg            *Config // what was announced
	nameAsID       bool
	willDropped    bool // it had one that it may not publish
}

// MaxPacketSize is the largest packet, in bytes, that is taken from the client.
func (h *Hello) MaxPacketSize() uint32 { return h.cfg.MaxPacketSize }

// Handshake is a connection before its CONNACK [3.1, 4.12]. The zero value awaits CONNECT. It is
// dropped, or used for another connection, as soon as it ends.
type Handshake struct {
	// From and Busy are for the caller to set before a Packet that may be CONNECT.
	From Origin
	Busy bool // the server has more to do than it can: nobody is accepted [MQTT-3.2.2-8, 0x89]

	hello    Hello
	exchange Exchange
	admit    func(*Credentials) codec.ReasonCode
	asked    bool // CONNECT came
	judging  bool // credentials are with the Authenticator: no packet is read before its verdict
}

// Judging tells that Verdict comes next.
func (h *Handshake) Judging() bool { return h.judging }

// Packet judges one packet. It returns the Hello once the client is accepted; the CONNACK is then
// Session.Connect's. While more packets are needed, or, with out.Judge set, a verdict is, it returns nil without
// out.Close. proved is the user name that the connection has proved, by a certificate; empty if none. A refusal appends what the version's rules allow to out.Frames and sets out.Close.
func (h *Handshake) Packet(cfg *Config, pol *Policy, proved string, f codec.Frame, out *Output) *Hello {
	if !h.asked {
		if f.Type != codec.TypeConnect {
			// No CONNACK and no DISCONNECT before CONNECT [MQTT-3.1.0-1, MQTT-3.14.0-1].
			out.close(codec.ProtocolError, "MQTT-3.1.0-1", "first packet is not CONNECT")
			return nil
		}
		return h.connect(cfg, pol, proved, f, out)
	}
	// Only AUTH and DISCONNECT may come during the exchange [MQTT-3.1.2-30].
	switch f.Type {
	case codec.TypeAuth:
		a := &out.parsed.auth
		if err := a.Parse(codec.V5, f.Flags, f.Body); err != nil {
			return h.refuseError(err, out)
		}
		if a.Reason != codec.ContinueAuthentication {
			return h.refuse(codec.ProtocolError, "MQTT-4.12.0-3", "AUTH is not a continuation", out)
		}
		if string(a.Properties.AuthenticationMethod) != h.hello.method.Name() {
			return h.refuse(codec.BadAuthenticationMethod, "MQTT-4.12.0-5", "authentication method changed", out)
		}
		return h.step(cfg, a.Properties.AuthenticationData, out)
	case codec.TypeDisconnect:
		out.close(codec.NormalDisconnection, "", "client left during authentication")
		return nil
	default:
		return h.refuse(codec.ProtocolError, "MQTT-3.1.2-30", "packet other than AUTH before CONNACK", out)
	}
}

func (h *Handshake) connect(cfg *Config, pol *Policy, proved string, f codec.Frame, out *Output) *Hello {
	c := &out.parsed.connect
	if err := c.Parse(f.Flags, f.Body); err != nil {
		return h.badConnect(c, err, out)
	}
	h.asked = true
	h.hello = Hello{
		Version: c.Version, CleanStart: c.CleanStart, KeepAlive: c.KeepAlive,
		ClientID: string(c.ClientID), receiveMaximum: 65535, access: pol.access(), cfg: cfg, nameAsID: pol.NameAsClientID,
	}
	hello, p := &h.hello, &c.Properties
	if !pol.Versions.has(c.Version) {
		return h.refuse(codec.UnsupportedProtocolVersion, "MQTT-3.1.2-2", "this listener does not serve the protocol version", out)
	}
	if h.Busy {
		return h.refuse(codec.ServerBusy, "", "the server is busy", out)
	}
	if c.HasUserName {
		hello.UserName = string(c.UserName)
	}
	if c.Version == codec.V5 {
		if p.Has(codec.PropSessionExpiryInterval) {
			hello.Expiry = p.SessionExpiryInterval
		}
		if p.Has(codec.PropReceiveMaximum) {
			hello.receiveMaximum = p.ReceiveMaximum
		}
		hello.aliasMaximum = p.TopicAliasMaximum
		hello.maxPacketSize = p.MaximumPacketSize
		hello.noProblemInfo = p.Has(codec.PropRequestProblemInformation) && p.RequestProblemInformation == 0
		hello.wantResponse = p.RequestResponseInformation == 1
	} else if !c.CleanStart {
		hello.Expiry = NeverExpires
	}
	if hello.Expiry > cfg.MaxSessionExpiry {
		hello.Expiry, hello.ExpiryCapped = cfg.MaxSessionExpiry, true
	}
	if m := cfg.MaxKeepAliveSecs; m > 0 && (hello.KeepAlive == 0 || hello.KeepAlive > m) {
		if c.Version != codec.V5 {
			// No return code fits. This one is mosquitto's choice, so that its clients hear what they know.
			return h.refuse(codec.ClientIdentifierNotValid, "MQTT-3.2.2-6", "keep alive above the server's maximum", out)
		}
		hello.KeepAlive, hello.ServerKeep = m, true
	}
	if len(c.ClientID) == 0 {
		// 3.1 has no empty ids; 3.1.1 only with Clean Session 1 [MQTT-3.1.3-8 of 3.1.1].
		if c.Version == codec.V31 || c.Version == codec.V311 && !c.CleanStart {
			return h.refuse(codec.ClientIdentifierNotValid, "MQTT-3.1.3-8", "empty client identifier", out)
		}
		if pol.NewClientID == nil && !pol.NameAsClientID {
			return h.refuse(codec.ClientIdentifierNotValid, "MQTT-3.1.3-8", "this listener invents no client identifiers", out)
		}
		if hello.Assigned = true; pol.NewClientID != nil {
			hello.ClientID = pol.NewClientID()
		}
	}
	if h.admit = pol.Admit; !h.admitted(c.HasUserName, false, out) {
		return nil
	}
	if c.HasWill && !h.takeWill(cfg, c, out) {
		return nil
	}
	if pol.ProvenOnly && proved == "" {
		return h.refuse(codec.NotAuthorized, "MQTT-3.1.4-2", "no certificate that names a user", out)
	}
	if p.Has(codec.PropAuthenticationMethod) {
		for _, m := range pol.Methods {
			if m.Name() == string(p.AuthenticationMethod) {
				hello.method = m
				if o, ok := m.(OriginMethod); ok {
					h.exchange = o.BeginFor(h.credentials(c.HasUserName))
				} else {
					h.exchange = m.Begin(hello.ClientID, hello.UserName)
				}
				var data []byte
				if p.Has(codec.PropAuthenticationData) {
					data = p.AuthenticationData
				}
				return h.step(cfg, data, out)
			}
		}
		return h.refuse(codec.BadAuthenticationMethod, "MQTT-4.12.0-1", "unknown authentication method", out)
	}
	switch {
	case proved != "":
		hello.UserName = proved
	case pol.Authenticator != nil && (c.HasUserName || !pol.AllowAnonymous):
		h.judging = true
		who := h.credentials(c.HasUserName)
		who.Password, who.HasPassword = bytes.Clone(c.Password), c.HasPassword
		out.Judge = who
		return nil
	case !pol.AllowAnonymous:
		return h.refuse(codec.NotAuthorized, "MQTT-3.1.4-2", "not authenticated", out)
	case len(pol.Methods) > 0 && c.HasUserName: // names belong to those who can prove them, though others may come without one
		return h.refuse(codec.NotAuthorized, "MQTT-3.1.4-2", "a user name without a proof", out)
	}
	return h.accept(cfg, out)
}

// Verdict goes on with what the Authenticator said, as Packet does with a packet.
func (h *Handshake) Verdict(cfg *Config, v Verdict, out *Output) *Hello {
	h.judging = false
	if v.Code >= codec.UnspecifiedError {
		return h.refuse(v.Code, "MQTT-3.1.4-2", "not authorized", out)
	}
	hello := &h.hello
	if v.UserName != "" {
		hello.UserName = v.UserName
	}
	if v.ClientID != "" {
		hello.ClientID = v.ClientID
	}
	if v.Authorizer != nil || v.Expires != 0 { // few clients have an Access of their own, and no session is larger for those that do
		own := *hello.access
		if own.until = v.Expires; v.Authorizer != nil {
			own.Authorizer = v.Authorizer
		}
		hello.access = &own
	}
	return h.accept(cfg, out)
}

// credentials returns what the client presents, but for a password.
func (h *Handshake) credentials(hasUserName bool) *Credentials {
	return &Credentials{
		Addr: h.From.Addr, Listener: h.From.Listener, Version: h.hello.Version, ClientID: h.hello.ClientID, UserName: h.hello.UserName,
		HasUserName: hasUserName,
	}
}

// admitted asks the Policy whether the client may come in.
func (h *Handshake) admitted(hasUserName, certain bool, out *Output) bool {
	if h.admit == nil {
		return true
	}
	who := &out.parsed.who // asked of every client, twice: it is not worth an allocation
	*who = *h.credentials(hasUserName)
	who.Certain = certain
	code := h.admit(who)
	*who = Credentials{}
	if code < codec.UnspecifiedError {
		return true
	}
	h.refuse(code, "MQTT-3.1.4-2", "not admitted: "+code.String(), out)
	return false
}

// accept ends the handshake of a client whose name is now certain: it may leave only a will that it might publish, or comes in without.
func (h *Handshake) accept(cfg *Config, out *Output) *Hello {
	hello := &h.hello
	if hello.nameAsID {
		if hello.UserName == "" {
			return h.refuse(codec.NotAuthorized, "MQTT-3.1.4-2", "no user name to take for a client identifier", out)
		}
		hello.ClientID = hello.UserName
	}
	if !h.admitted(hello.UserName != "", true, out) {
		return nil
	}
	a := hello.access.authorizer(cfg)
	if w := hello.will; w != nil && (IsSys(w.Message.Topic) || a != nil && !a.MayPublish(Identity{hello.ClientID, hello.UserName}, w.Message.Topic)) {
		if !hello.access.DropWills {
			return h.refuse(codec.NotAuthorized, "MQTT-3.1.4-2", "may not publish the will's topic", out)
		}
		hello.will, hello.willDropped = nil, true
	}
	return hello
}

// takeWill checks the will and keeps a copy [3.1.2.5, 3.1.3.2]. False: refused.
func (h *Handshake) takeWill(cfg *Config, c *codec.Connect, out *Output) bool {
	switch {
	case c.WillQoS > h.hello.access.maxQoS(cfg):
		h.refuse(codec.QoSNotSupported, "MQTT-3.2.2-12", "will QoS above the maximum", out)
		return false
	case c.WillRetain && cfg.RetainUnavailable:
		h.refuse(codec.RetainNotSupported, "MQTT-3.2.2-13", "retained will, but retain is not available", out)
		return false
	}
	topic := h.hello.access.mounted(nil, c.WillTopic)
	if !codec.ValidTopicName(c.WillTopic) || !cfg.topicFits(topic) {
		h.refuse(codec.TopicNameInvalid, "MQTT-3.3.2-2", "will topic", out)
		return false
	}
	m := Message{Topic: topic, Payload: c.WillPayload, Properties: c.WillPassthrough, QoS: c.WillQoS, Retain: c.WillRetain}
	h.hello.will = &Will{Message: m.Keep(), DelaySeconds: c.WillProperties.WillDelayInterval}
	if c.WillProperties.Has(codec.PropMessageExpiryInterval) {
		h.hello.will.HasExpiry, h.hello.will.ExpirySeconds = true, c.WillProperties.MessageExpiryInterval
	}
	return true
}

// step feeds the enhanced authentication; the Hello comes back when it is complete.
func (h *Handshake) step(cfg *Config, data []byte, out *Output) *Hello {
	reply, done, code := h.exchange.Step(data)
	switch {
	case code >= codec.UnspecifiedError:
		return h.refuse(code, "MQTT-4.12.0-4", "enhanced authentication failed", out)
	case !done:
		start := len(out.Frames)
		out.Frames = appendAuth(out.Frames, codec.ContinueAuthentication, h.hello.method.Name(), reply)
		if h.hello.tooLarge(len(out.Frames) - start) {
			out.Frames = out.Frames[:start]
			return h.refuse(codec.PacketTooLarge, "MQTT-3.1.2-24", "AUTH is larger than the client's maximum packet size", out)
		}
		return nil
	}
	if name := h.exchange.Identity(); name != "" {
		h.hello.UserName = name
	}
	h.hello.authReply = reply
	return h.accept(cfg, out)
}

// badConnect answers a CONNECT that could not be read, as far as its version allows [MQTT-3.1.4-1, MQTT-4.13.1-1].
func (h *Handshake) badConnect(c *codec.Connect, err error, out *Output) *Hello {
	e := err.(*codec.Error)
	switch {
	case e.Code == codec.UnsupportedProtocolVersion && c.Version != 0 && c.Version < codec.V5:
		// [MQTT-3.1.2-2 of 3.1.1]: 0x01, in the layout that old clients read.
		out.Frames = (&codec.Connack{Return: codec.RefusedVersion}).Append(out.Frames, codec.V311)
	case e.Code == codec.UnsupportedProtocolVersion || c.Version == codec.V5:
		out.Frames = (&codec.Connack{Reason: e.Code}).Append(out.Frames, codec.V5)
	}
	out.close(e.Code, e.Statement, e.Message)
	return nil
}

func (h *Handshake) refuseError(err error, out *Output) *Hello {
	e := err.(*codec.Error)
	return h.refuse(e.Code, e.Statement, e.Message, out)
}

// refuse answers with CONNACK and closes. 3.x clients get a return code where one fits, else a bare close.
func (h *Handshake) refuse(code codec.ReasonCode, statement, why string, out *Output) *Hello {
	out.Frames = AppendRefusal(out.Frames, &h.hello, code, why)
	out.close(code, statement, why)
	return nil
}

// AppendRefusal appends the CONNACK that refuses the client of hello with code, if its version has one for it.
func AppendRefusal(dst []byte, hello *Hello, code codec.ReasonCode, why string) []byte {
	if hello.Version != codec.V5 {
		if ret, ok := code.ConnectReturn(); ok {
			return (&codec.Connack{Return: ret}).Append(dst, hello.Version)
		}
		return dst
	}
	if !code.AllowedIn(codec.TypeConnack) {
		code = codec.UnspecifiedError
	}
	ack := codec.Connack{Reason: code}
	if !hello.noProblemInfo {
		ack.Properties.ReasonString = []byte(why)
		ack.Properties.Set(codec.PropReasonString)
	}
	start := len(dst)
	dst = ack.Append(dst, codec.V5)
	if hello.tooLarge(len(dst) - start) { // [MQTT-3.2.2-19]
		ack.Properties.Reset()
		dst = ack.Append(dst[:start], codec.V5)
		if hello.tooLarge(len(dst) - start) { // [MQTT-3.1.2-24]
			dst = dst[:start]
		}
	}
	return dst
}

func (h *Hello) tooLarge(n int) bool { return h.maxPacketSize > 0 && n > int(h.maxPacketSize) }

func appendAuth(dst []byte, code codec.ReasonCode, method string, data []byte) []byte {
	a := codec.Auth{Reason: code}
	a.Properties.AuthenticationMethod = []byte(method)
	a.Properties.Set(codec.PropAuthenticationMethod)
	if data != nil {
		a.Properties.AuthenticationData = data
		a.Properties.Set(codec.PropAuthenticationData)
	}
	return a.Append(dst, codec.V5)
}

func (out *Output) close(code codec.ReasonCode, statement, why string) {
	if out.Close {
		return
	}
	out.Close, out.Reason, out.Statement, out.Why = true, code, statement, why
}

// topicFits holds a name or filter against the bounds on length and levels.
func (cfg *Config) topicFits(t []byte) bool {
	if len(t) > cfg.MaxTopicBytes {
		return false
	}
	if len(t) < cfg.MaxTopicLevels {
		return true // fewer bytes than levels allowed
	}
	return strings.Count(bytesAsString(t), "/") < cfg.MaxTopicLevels
}

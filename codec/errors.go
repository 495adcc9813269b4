package codec

// Error is why bytes are not a well-formed packet. All values that this package
// returns are declared below, so that refusing a packet allocates nothing; they
// are shared and must not be modified.
type Error struct {
	Code      ReasonCode // what a 5.0 peer is told
	Statement string     // such as "MQTT-3.3.1-4", in the numbering of the packet's version; "" where the specification has no number
	Message   string     // names the packet or property, then what is wrong
}

// Error returns a line such as
// "publish: qos 3 [MQTT-3.3.1-4] (Malformed Packet)".
func (e *Error) Error() string {
	s := e.Message
	if e.Statement != "" {
		s += " [" + e.Statement + "]"
	}
	return s + " (" + e.Code.String() + ")"
}

// fault is one rule as the two documents number it. An empty number means that
// the document has the rule without one, or does not have it.
type fault struct {
	v3, v5 Error
}

func rule(code ReasonCode, message, statement3, statement5 string) fault {
	return fault{Error{code, statement3, message}, Error{code, statement5, message}}
}

// in returns the error for a connection of version v.
func (f *fault) in(v Version) *Error {
	if v == V5 {
		return &f.v5
	}
	return &f.v3
}

// textFault holds what may be wrong with one string field.
type textFault struct {
	illFormed, nul fault
}

func text(illFormed, nul, statement3, statement5 string) textFault {
	return textFault{
		illFormed: rule(MalformedPacket, illFormed, statement3, statement5),
		nul:       rule(MalformedPacket, nul, "MQTT-1.5.3-2", "MQTT-1.5.4-2"),
	}
}

// Framing. The version is not known here, so there is one number.
var (
	errTypeZero        = &Error{MalformedPacket, "", "fixed header: packet type 0"}
	errRemainingLength = &Error{MalformedPacket, "MQTT-1.5.5-1", "fixed header: remaining length not minimal or above four bytes"}
	errPacketTooLarge  = &Error{PacketTooLarge, "MQTT-3.2.2-15", "packet larger than the maximum packet size"}
)

// What can go wrong in every packet, by PacketType; willProperties comes first.
var (
	truncated = [16]Error{
		willProperties:  {MalformedPacket, "", "will properties: truncated"},
		TypeConnect:     {MalformedPacket, "", "connect: truncated"},
		TypeConnack:     {MalformedPacket, "", "connack: truncated"},
		TypePublish:     {MalformedPacket, "", "publish: truncated"},
		TypePuback:      {MalformedPacket, "", "puback: truncated"},
		TypePubrec:      {MalformedPacket, "", "pubrec: truncated"},
		TypePubrel:      {MalformedPacket, "", "pubrel: truncated"},
		TypePubcomp:     {MalformedPacket, "", "pubcomp: truncated"},
		TypeSubscribe:   {MalformedPacket, "", "subscribe: truncated"},
		TypeSuback:      {MalformedPacket, "", "suback: truncated"},
		TypeUnsubscribe: {MalformedPacket, "", "unsubscribe: truncated"},
		TypeUnsuback:    {MalformedPacket, "", "unsuback: truncated"},
		TypeDisconnect:  {MalformedPacket, "", "disconnect: truncated"},
		TypeAuth:        {MalformedPacket, "", "auth: truncated"},
	}
	trailing = [16]Error{
		TypeConnect:    {MalformedPacket, "", "connect: bytes after the last field"},
		TypeConnack:    {MalformedPacket, "", "connack: bytes after the last field"},
		TypePuback:     {MalformedPacket, "", "puback: bytes after the last field"},
		TypePubrec:     {MalformedPacket, "", "pubrec: bytes after the last field"},
		TypePubrel:     {MalformedPacket, "", "pubrel: bytes after the last field"},
		TypePubcomp:    {MalformedPacket, "", "pubcomp: bytes after the last field"},
		TypeUnsuback:   {MalformedPacket, "", "unsuback: bytes after the last field"},
		TypePingreq:    {MalformedPacket, "", "pingreq or pingresp: body not empty"},
		TypeDisconnect: {MalformedPacket, "", "disconnect: bytes after the last field"},
		TypeAuth:       {MalformedPacket, "", "auth: bytes after the last field"},
	}
	reservedFlags = [16]fault{
		TypeConnect:     rule(MalformedPacket, "connect: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypeConnack:     rule(MalformedPacket, "connack: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypePuback:      rule(MalformedPacket, "puback: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypePubrec:      rule(MalformedPacket, "pubrec: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypePubrel:      rule(MalformedPacket, "pubrel: fixed header flags not 2", "MQTT-3.6.1-1", "MQTT-3.6.1-1"),
		TypePubcomp:     rule(MalformedPacket, "pubcomp: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypeSubscribe:   rule(MalformedPacket, "subscribe: fixed header flags not 2", "MQTT-3.8.1-1", "MQTT-3.8.1-1"),
		TypeSuback:      rule(MalformedPacket, "suback: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypeUnsubscribe: rule(MalformedPacket, "unsubscribe: fixed header flags not 2", "MQTT-3.10.1-1", "MQTT-3.10.1-1"),
		TypeUnsuback:    rule(MalformedPacket, "unsuback: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypePingreq:     rule(MalformedPacket, "pingreq or pingresp: reserved fixed header flags", "MQTT-2.2.2-2", "MQTT-2.1.3-1"),
		TypeDisconnect:  rule(MalformedPacket, "disconnect: reserved fixed header flags", "MQTT-3.14.1-1", "MQTT-3.14.1-1"),
		TypeAuth:        rule(MalformedPacket, "auth: reserved fixed header flags", "", "MQTT-3.15.1-1"),
	}
	packetIDZero = [16]fault{
		TypePublish:     rule(ProtocolError, "publish: packet identifier 0", "MQTT-2.3.1-1", "MQTT-2.2.1-3"),
		TypePuback:      rule(ProtocolError, "puback: packet identifier 0", "MQTT-2.3.1-6", "MQTT-2.2.1-5"),
		TypePubrec:      rule(ProtocolError, "pubrec: packet identifier 0", "MQTT-2.3.1-6", "MQTT-2.2.1-5"),
		TypePubrel:      rule(ProtocolError, "pubrel: packet identifier 0", "MQTT-2.3.1-6", "MQTT-2.2.1-5"),
		TypePubcomp:     rule(ProtocolError, "pubcomp: packet identifier 0", "MQTT-2.3.1-6", "MQTT-2.2.1-5"),
		TypeSubscribe:   rule(ProtocolError, "subscribe: packet identifier 0", "MQTT-2.3.1-1", "MQTT-2.2.1-3"),
		TypeSuback:      rule(ProtocolError, "suback: packet identifier 0", "MQTT-2.3.1-7", "MQTT-2.2.1-6"),
		TypeUnsubscribe: rule(ProtocolError, "unsubscribe: packet identifier 0", "MQTT-2.3.1-1", "MQTT-2.2.1-3"),
		TypeUnsuback:    rule(ProtocolError, "unsuback: packet identifier 0", "MQTT-2.3.1-7", "MQTT-2.2.1-6"),
	}
	reasonNotAllowed = [16]fault{
		TypeConnack:    rule(ProtocolError, "connack: reason code not allowed", "MQTT-3.2.2-6", "MQTT-3.2.2-8"),
		TypePuback:     rule(ProtocolError, "puback: reason code not allowed", "", "MQTT-3.4.2-1"),
		TypePubrec:     rule(ProtocolError, "pubrec: reason code not allowed", "", "MQTT-3.5.2-1"),
		TypePubrel:     rule(ProtocolError, "pubrel: reason code not allowed", "", "MQTT-3.6.2-1"),
		TypePubcomp:    rule(ProtocolError, "pubcomp: reason code not allowed", "", "MQTT-3.7.2-1"),
		TypeSuback:     rule(ProtocolError, "suback: reason code not allowed", "MQTT-3.9.3-2", "MQTT-3.9.3-2"),
		TypeUnsuback:   rule(ProtocolError, "unsuback: reason code not allowed", "", "MQTT-3.11.3-2"),
		TypeDisconnect: rule(ProtocolError, "disconnect: reason code not allowed", "", "MQTT-3.14.2-1"),
		TypeAuth:       rule(ProtocolError, "auth: reason code not allowed", "", "MQTT-3.15.2-1"),
	}
)

// CONNECT and CONNACK.
var (
	errProtocolName    = &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-1", "connect: unknown protocol name"}
	errProtocolVersion = &Error{UnsupportedProtocolVersion, "MQTT-3.1.2-2", "connect: protocol version not served"}

	faultConnectReserved     = rule(MalformedPacket, "connect: reserved connect flag", "MQTT-3.1.2-3", "MQTT-3.1.2-3")
	faultWillQoSWithoutWill  = rule(MalformedPacket, "connect: will qos without will flag", "MQTT-3.1.2-13", "MQTT-3.1.2-11")
	faultWillRetainNoWill    = rule(MalformedPacket, "connect: will retain without will flag", "MQTT-3.1.2-15", "MQTT-3.1.2-13")
	faultWillQoS             = rule(MalformedPacket, "connect: will qos 3", "MQTT-3.1.2-14", "MQTT-3.1.2-12")
	faultPasswordWithoutName = rule(MalformedPacket, "connect: password without user name", "MQTT-3.1.2-22", "")
	faultWillTopicWildcard   = rule(TopicNameInvalid, "connect: wildcard in will topic", "MQTT-4.7.1-1", "MQTT-4.7.0-1")
	faultWillTopicEmpty      = rule(TopicNameInvalid, "connect: empty will topic", "MQTT-4.7.3-1", "MQTT-4.7.3-1")

	textClientID  = text("connect: client identifier not utf-8", "connect: u+0000 in client identifier", "MQTT-3.1.3-4", "MQTT-3.1.3-4")
	textWillTopic = text("connect: will topic not utf-8", "connect: u+0000 in will topic", "MQTT-3.1.3-10", "MQTT-3.1.3-11")
	textUserName  = text("connect: user name not utf-8", "connect: u+0000 in user name", "MQTT-3.1.3-11", "MQTT-3.1.3-12")

	faultConnackFlags     = rule(MalformedPacket, "connack: reserved acknowledge flags", "", "MQTT-3.2.2-1")
	faultSessionOnRefusal = rule(ProtocolError, "connack: session present on a refusal", "MQTT-3.2.2-4", "MQTT-3.2.2-6")
)

// PUBLISH.
var (
	faultDupQoS0       = rule(MalformedPacket, "publish: dup with qos 0", "MQTT-3.3.1-2", "MQTT-3.3.1-2")
	faultPublishQoS    = rule(MalformedPacket, "publish: qos 3", "MQTT-3.3.1-4", "MQTT-3.3.1-4")
	faultTopicWildcard = rule(TopicNameInvalid, "publish: wildcard in topic name", "MQTT-3.3.2-2", "MQTT-3.3.2-2")
	faultTopicEmpty    = fault{
		v3: Error{MalformedPacket, "MQTT-4.7.3-1", "publish: empty topic name"},
		v5: Error{ProtocolError, "MQTT-4.7.3-1", "publish: empty topic name without topic alias"},
	}
	textTopic = text("publish: topic name not utf-8", "publish: u+0000 in topic name", "MQTT-3.3.2-1", "MQTT-3.3.2-1")
)

// SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.
var (
	faultNoFilters       = rule(ProtocolError, "subscribe: no topic filter", "MQTT-3.8.3-3", "MQTT-3.8.3-2")
	faultReservedOptions = rule(MalformedPacket, "subscribe: reserved subscription options", "MQTT-3.8.3-4", "MQTT-3.8.3-5")
	faultRequestedQoS    = fault{
		v3: Error{MalformedPacket, "MQTT-3.8.3-4", "subscribe: requested qos 3"},
		v5: Error{ProtocolError, "", "subscribe: requested qos 3"},
	}
	faultRetainHandling = rule(ProtocolError, "subscribe: retain handling 3", "", "")
	faultNoLocalShared  = rule(ProtocolError, "subscribe: no local on a shared subscription", "", "MQTT-3.8.3-4")
	faultSubackEmpty    = rule(ProtocolError, "suback: no reason code", "MQTT-3.8.4-5", "MQTT-3.8.4-6")
	faultNoUnfilters    = rule(ProtocolError, "unsubscribe: no topic filter", "MQTT-3.10.3-2", "MQTT-3.10.3-2")
	faultUnsubackEmpty  = rule(ProtocolError, "unsuback: no reason code", "", "MQTT-3.11.3-2")

	textFilter   = text("subscribe: topic filter not utf-8", "subscribe: u+0000 in topic filter", "MQTT-3.8.3-1", "MQTT-3.8.3-1")
	textUnfilter = text("unsubscribe: topic filter not utf-8", "unsubscribe: u+0000 in topic filter", "MQTT-3.10.3-1", "MQTT-3.10.3-1")
)

// AUTH.
var (
	errAuthVersion = &Error{ProtocolError, "", "auth: not a packet of mqtt 3"}
	errAuthMethod  = &Error{ProtocolError, "", "auth: no authentication method"}
)

package codec

// ReasonCode is the one-byte result of an operation in MQTT 5.0. Values from
// 0x80 up are failures. Three names share 0x00: which one applies depends on
// the packet.
type ReasonCode byte

// The Reason Codes of MQTT 5.0.
const (
	Success                             ReasonCode = 0x00
	NormalDisconnection                 ReasonCode = 0x00
	GrantedQoS0                         ReasonCode = 0x00
	GrantedQoS1                         ReasonCode = 0x01
	GrantedQoS2                         ReasonCode = 0x02
	DisconnectWithWill                  ReasonCode = 0x04
	NoMatchingSubscribers               ReasonCode = 0x10
	NoSubscriptionExisted               ReasonCode = 0x11
	ContinueAuthentication              ReasonCode = 0x18
	ReAuthenticate                      ReasonCode = 0x19
	UnspecifiedError                    ReasonCode = 0x80
	MalformedPacket                     ReasonCode = 0x81
	ProtocolError                       ReasonCode = 0x82
	ImplementationSpecificError         ReasonCode = 0x83
	UnsupportedProtocolVersion          ReasonCode = 0x84
	ClientIdentifierNotValid            ReasonCode = 0x85
	BadUserNameOrPassword               ReasonCode = 0x86
	NotAuthorized                       ReasonCode = 0x87
	ServerUnavailable                   ReasonCode = 0x88
	ServerBusy                          ReasonCode = 0x89
	Banned                              ReasonCode = 0x8A
	ServerShuttingDown                  ReasonCode = 0x8B
	BadAuthenticationMethod             ReasonCode = 0x8C
	KeepAliveTimeout                    ReasonCode = 0x8D
	SessionTakenOver                    ReasonCode = 0x8E
	TopicFilterInvalid                  ReasonCode = 0x8F
	TopicNameInvalid                    ReasonCode = 0x90
	PacketIdentifierInUse               ReasonCode = 0x91
	PacketIdentifierNotFound            ReasonCode = 0x92
	ReceiveMaximumExceeded              ReasonCode = 0x93
	TopicAliasInvalid                   ReasonCode = 0x94
	PacketTooLarge                      ReasonCode = 0x95
	MessageRateTooHigh                  ReasonCode = 0x96
	QuotaExceeded                       ReasonCode = 0x97
	AdministrativeAction                ReasonCode = 0x98
	PayloadFormatInvalid                ReasonCode = 0x99
	RetainNotSupported                  ReasonCode = 0x9A
	QoSNotSupported                     ReasonCode = 0x9B
	UseAnotherServer                    ReasonCode = 0x9C
	ServerMoved                         ReasonCode = 0x9D
	SharedSubscriptionsNotSupported     ReasonCode = 0x9E
	ConnectionRateExceeded              ReasonCode = 0x9F
	MaximumConnectTime                  ReasonCode = 0xA0
	SubscriptionIdentifiersNotSupported ReasonCode = 0xA1
	WildcardSubscriptionsNotSupported   ReasonCode = 0xA2
)

// onPacket is a set of packets, one bit per PacketType.
type onPacket uint16

const (
	onConnack    onPacket = 1 << TypeConnack
	onPuback     onPacket = 1 << TypePuback
	onPubrec     onPacket = 1 << TypePubrec
	onPubrel     onPacket = 1 << TypePubrel
	onPubcomp    onPacket = 1 << TypePubcomp
	onSuback     onPacket = 1 << TypeSuback
	onUnsuback   onPacket = 1 << TypeUnsuback
	onDisconnect onPacket = 1 << TypeDisconnect
	onAuth       onPacket = 1 << TypeAuth
)

// reasons says how each Reason Code is called and which packets may carry it.
var reasons = [WildcardSubscriptionsNotSupported + 1]struct {
	name string
	in   onPacket
}{
	Success:                             {"Success", onConnack | onPuback | onPubrec | onPubrel | onPubcomp | onUnsuback | onAuth | onDisconnect | onSuback},
	GrantedQoS1:                         {"Granted QoS 1", onSuback},
	GrantedQoS2:                         {"Granted QoS 2", onSuback},
	DisconnectWithWill:                  {"Disconnect with Will Message", onDisconnect},
	NoMatchingSubscribers:               {"No matching subscribers", onPuback | onPubrec},
	NoSubscriptionExisted:               {"No subscription existed", onUnsuback},
	ContinueAuthentication:              {"Continue authentication", onAuth},
	ReAuthenticate:                      {"Re-authenticate", onAuth},
	UnspecifiedError:                    {"Unspecified error", onConnack | onPuback | onPubrec | onSuback | onUnsuback | onDisconnect},
	MalformedPacket:                     {"Malformed Packet", onConnack | onDisconnect},
	ProtocolError:                       {"Protocol Error", onConnack | onDisconnect},
	ImplementationSpecificError:         {"Implementation specific error", onConnack | onPuback | onPubrec | onSuback | onUnsuback | onDisconnect},
	UnsupportedProtocolVersion:          {"Unsupported Protocol Version", onConnack},
	ClientIdentifierNotValid:            {"Client Identifier not valid", onConnack},
	BadUserNameOrPassword:               {"Bad User Name or Password", onConnack},
	NotAuthorized:                       {"Not authorized", onConnack | onPuback | onPubrec | onSuback | onUnsuback | onDisconnect},
	ServerUnavailable:                   {"Server unavailable", onConnack},
	ServerBusy:                          {"Server busy", onConnack | onDisconnect},
	Banned:                              {"Banned", onConnack},
	ServerShuttingDown:                  {"Server shutting down", onDisconnect},
	BadAuthenticationMethod:             {"Bad authentication method", onConnack | onDisconnect},
	KeepAliveTimeout:                    {"Keep Alive timeout", onDisconnect},
	SessionTakenOver:                    {"Session taken over", onDisconnect},
	TopicFilterInvalid:                  {"Topic Filter invalid", onSuback | onUnsuback | onDisconnect},
	TopicNameInvalid:                    {"Topic Name invalid", onConnack | onPuback | onPubrec | onDisconnect},
	PacketIdentifierInUse:               {"Packet Identifier in use", onPuback | onPubrec | onSuback | onUnsuback},
	PacketIdentifierNotFound:            {"Packet Identifier not found", onPubrel | onPubcomp},
	ReceiveMaximumExceeded:              {"Receive Maximum exceeded", onDisconnect},
	TopicAliasInvalid:                   {"Topic Alias invalid", onDisconnect},
	PacketTooLarge:                      {"Packet too large", onConnack | onDisconnect},
	MessageRateTooHigh:                  {"Message rate too high", onDisconnect},
	QuotaExceeded:                       {"Quota exceeded", onConnack | onPuback | onPubrec | onSuback | onDisconnect},
	AdministrativeAction:                {"Administrative action", onDisconnect},
	PayloadFormatInvalid:                {"Payload format invalid", onConnack | onPuback | onPubrec | onDisconnect},
	RetainNotSupported:                  {"Retain not supported", onConnack | onDisconnect},
	QoSNotSupported:                     {"QoS not supported", onConnack | onDisconnect},
	UseAnotherServer:                    {"Use another server", onConnack | onDisconnect},
	ServerMoved:                         {"Server moved", onConnack | onDisconnect},
	SharedSubscriptionsNotSupported:     {"Shared Subscriptions not supported", onSuback | onDisconnect},
	ConnectionRateExceeded:              {"Connection rate exceeded", onConnack | onDisconnect},
	MaximumConnectTime:                  {"Maximum connect time", onDisconnect},
	SubscriptionIdentifiersNotSupported: {"Subscription Identifiers not supported", onSuback | onDisconnect},
	WildcardSubscriptionsNotSupported:   {"Wildcard Subscriptions not supported", onSuback | onDisconnect},
}

// String returns the specification's name, such as "Malformed Packet"; 0x00 is
// "Success". A value that is not defined yields "Reason Code 0x03".
func (c ReasonCode) String() string {
	if int(c) < len(reasons) && reasons[c].name != "" {
		return reasons[c].name
	}
	const digits = "0123456789abcdef"
	return "Reason Code 0x" + string([]byte{digits[c>>4], digits[c&15]})
}

// AllowedIn reports whether a packet of type t may carry c at all
// [MQTT-3.2.2-8, MQTT-3.4.2-1, MQTT-3.5.2-1, MQTT-3.6.2-1, MQTT-3.7.2-1,
// MQTT-3.9.3-2, MQTT-3.11.3-2, MQTT-3.14.2-1, MQTT-3.15.2-1]. Which side may
// send it is not considered.
func (c ReasonCode) AllowedIn(t PacketType) bool {
	return int(c) < len(reasons) && t < 16 && reasons[c].in>>t&1 != 0
}

// ConnectReturn translates the outcome of a CONNECT for a 3.1 or 3.1.1 client.
// It reports false where the older protocols have no fitting code: the
// connection is then closed without a CONNACK [MQTT-3.2.2-6].
func (c ReasonCode) ConnectReturn() (ConnectReturnCode, bool) {
	switch c {
	case Success:
		return Accepted, true
	case UnsupportedProtocolVersion:
		return RefusedVersion, true
	case ClientIdentifierNotValid:
		return RefusedIdentifier, true
	case ServerUnavailable, ServerBusy, QuotaExceeded, UseAnotherServer, ServerMoved, ConnectionRateExceeded:
		return RefusedUnavailable, true
	case BadUserNameOrPassword:
		return RefusedCredentials, true
	case NotAuthorized, Banned:
		return RefusedNotAuthorized, true
	}
	return 0, false
}

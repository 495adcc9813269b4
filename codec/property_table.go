package codec

// PropertyID is the identifier of a property.
type PropertyID byte

// The properties of MQTT 5.0.
const (
	PropPayloadFormatIndicator          PropertyID = 0x01
	PropMessageExpiryInterval           PropertyID = 0x02
	PropContentType                     PropertyID = 0x03
	PropResponseTopic                   PropertyID = 0x08
	PropCorrelationData                 PropertyID = 0x09
	PropSubscriptionIdentifier          PropertyID = 0x0B
	PropSessionExpiryInterval           PropertyID = 0x11
	PropAssignedClientIdentifier        PropertyID = 0x12
	PropServerKeepAlive                 PropertyID = 0x13
	PropAuthenticationMethod            PropertyID = 0x15
	PropAuthenticationData              PropertyID = 0x16
	PropRequestProblemInformation       PropertyID = 0x17
	PropWillDelayInterval               PropertyID = 0x18
	PropRequestResponseInformation      PropertyID = 0x19
	PropResponseInformation             PropertyID = 0x1A
	PropServerReference                 PropertyID = 0x1C
	PropReasonString                    PropertyID = 0x1F
	PropReceiveMaximum                  PropertyID = 0x21
	PropTopicAliasMaximum               PropertyID = 0x22
	PropTopicAlias                      PropertyID = 0x23
	PropMaximumQoS                      PropertyID = 0x24
	PropRetainAvailable                 PropertyID = 0x25
	PropUserProperty                    PropertyID = 0x26
	PropMaximumPacketSize               PropertyID = 0x27
	PropWildcardSubscriptionAvailable   PropertyID = 0x28
	PropSubscriptionIdentifierAvailable PropertyID = 0x29
	PropSharedSubscriptionAvailable     PropertyID = 0x2A
)

// propertyEnd is one above the highest identifier.
const propertyEnd = PropSharedSubscriptionAvailable + 1

// notForwarded are the properties of a PUBLISH, or of a Will, that a server
// consumes or rewrites. It passes on all others as they are [MQTT-3.3.2-4,
// MQTT-3.3.2-15 to MQTT-3.3.2-18, MQTT-3.3.2-20].
const notForwarded uint64 = 1<<PropMessageExpiryInterval | 1<<PropTopicAlias |
	1<<PropSubscriptionIdentifier | 1<<PropWillDelayInterval

// kind is the encoding of a property's value.
type kind byte

const (
	undefined  kind = iota
	kindByte        // 0 or 1
	kindUint16      // Two Byte Integer
	kindUint32      // Four Byte Integer
	kindVarint      // Variable Byte Integer
	kindString      // UTF-8 Encoded String
	kindBinary      // Binary Data
	kindPair        // UTF-8 String Pair
)

// kinds says how the value of each property is encoded.
var kinds = [propertyEnd]kind{
	PropPayloadFormatIndicator:          kindByte,
	PropMessageExpiryInterval:           kindUint32,
	PropContentType:                     kindString,
	PropResponseTopic:                   kindString,
	PropCorrelationData:                 kindBinary,
	PropSubscriptionIdentifier:          kindVarint,
	PropSessionExpiryInterval:           kindUint32,
	PropAssignedClientIdentifier:        kindString,
	PropServerKeepAlive:                 kindUint16,
	PropAuthenticationMethod:            kindString,
	PropAuthenticationData:              kindBinary,
	PropRequestProblemInformation:       kindByte,
	PropWillDelayInterval:               kindUint32,
	PropRequestResponseInformation:      kindByte,
	PropResponseInformation:             kindString,
	PropServerReference:                 kindString,
	PropReasonString:                    kindString,
	PropReceiveMaximum:                  kindUint16,
	PropTopicAliasMaximum:               kindUint16,
	PropTopicAlias:                      kindUint16,
	PropMaximumQoS:                      kindByte,
	PropRetainAvailable:                 kindByte,
	PropUserProperty:                    kindPair,
	PropMaximumPacketSize:               kindUint32,
	PropWildcardSubscriptionAvailable:   kindByte,
	PropSubscriptionIdentifierAvailable: kindByte,
	PropSharedSubscriptionAvailable:     kindByte,
}

// allowed holds the properties of each packet, one bit per identifier.
var allowed = [16]uint64{
	willProperties: 1<<PropPayloadFormatIndicator | 1<<PropMessageExpiryInterval | 1<<PropContentType |
		1<<PropResponseTopic | 1<<PropCorrelationData | 1<<PropWillDelayInterval |
		1<<PropUserProperty,
	TypeConnect: 1<<PropSessionExpiryInterval | 1<<PropAuthenticationMethod | 1<<PropAuthenticationData |
		1<<PropRequestProblemInformation | 1<<PropRequestResponseInformation | 1<<PropReceiveMaximum |
		1<<PropTopicAliasMaximum | 1<<PropUserProperty | 1<<PropMaximumPacketSize,
	TypeConnack: 1<<PropSessionExpiryInterval | 1<<PropAssignedClientIdentifier | 1<<PropServerKeepAlive |
		1<<PropAuthenticationMethod | 1<<PropAuthenticationData | 1<<PropResponseInformation |
		1<<PropServerReference | 1<<PropReasonString | 1<<PropReceiveMaximum |
		1<<PropTopicAliasMaximum | 1<<PropMaximumQoS | 1<<PropRetainAvailable |
		1<<PropUserProperty | 1<<PropMaximumPacketSize | 1<<PropWildcardSubscriptionAvailable |
		1<<PropSubscriptionIdentifierAvailable | 1<<PropSharedSubscriptionAvailable,
	TypePublish: 1<<PropPayloadFormatIndicator | 1<<PropMessageExpiryInterval | 1<<PropContentType |
		1<<PropResponseTopic | 1<<PropCorrelationData | 1<<PropSubscriptionIdentifier |
		1<<PropTopicAlias | 1<<PropUserProperty,
	TypePuback:      1<<PropReasonString | 1<<PropUserProperty,
	TypePubrec:      1<<PropReasonString | 1<<PropUserProperty,
	TypePubrel:      1<<PropReasonString | 1<<PropUserProperty,
	TypePubcomp:     1<<PropReasonString | 1<<PropUserProperty,
	TypeSubscribe:   1<<PropSubscriptionIdentifier | 1<<PropUserProperty,
	TypeSuback:      1<<PropReasonString | 1<<PropUserProperty,
	TypeUnsubscribe: 1 << PropUserProperty,
	TypeUnsuback:    1<<PropReasonString | 1<<PropUserProperty,
	TypeDisconnect: 1<<PropSessionExpiryInterval | 1<<PropServerReference | 1<<PropReasonString |
		1<<PropUserProperty,
	TypeAuth: 1<<PropAuthenticationMethod | 1<<PropAuthenticationData | 1<<PropReasonString |
		1<<PropUserProperty,
}

func (id PropertyID) known() bool {
	return id < propertyEnd && kinds[id] != undefined
}

// mayRepeat reports whether the property may occur more than once in a packet of
// type t.
func (id PropertyID) mayRepeat(t PacketType) bool {
	return id == PropUserProperty || id == PropSubscriptionIdentifier && t == TypePublish
}

// byteField returns the field of a property of kindByte. This and the functions
// after it serve parse and append alike; another identifier is a mistake in the
// tables above.
func (p *Properties) byteField(id PropertyID) *byte {
	switch id {
	case PropPayloadFormatIndicator:
		return &p.PayloadFormatIndicator
	case PropRequestProblemInformation:
		return &p.RequestProblemInformation
	case PropRequestResponseInformation:
		return &p.RequestResponseInformation
	case PropMaximumQoS:
		return &p.MaximumQoS
	case PropRetainAvailable:
		return &p.RetainAvailable
	case PropWildcardSubscriptionAvailable:
		return &p.WildcardSubscriptionAvailable
	case PropSubscriptionIdentifierAvailable:
		return &p.SubscriptionIdentifierAvailable
	case PropSharedSubscriptionAvailable:
		return &p.SharedSubscriptionAvailable
	}
	panic("codec: no byte property")
}

// uint16Field returns the field of a property of kindUint16.
func (p *Properties) uint16Field(id PropertyID) *uint16 {
	switch id {
	case PropServerKeepAlive:
		return &p.ServerKeepAlive
	case PropReceiveMaximum:
		return &p.ReceiveMaximum
	case PropTopicAliasMaximum:
		return &p.TopicAliasMaximum
	case PropTopicAlias:
		return &p.TopicAlias
	}
	panic("codec: no two byte property")
}

// uint32Field returns the field of a property of kindUint32.
func (p *Properties) uint32Field(id PropertyID) *uint32 {
	switch id {
	case PropMessageExpiryInterval:
		return &p.MessageExpiryInterval
	case PropSessionExpiryInterval:
		return &p.SessionExpiryInterval
	case PropWillDelayInterval:
		return &p.WillDelayInterval
	case PropMaximumPacketSize:
		return &p.MaximumPacketSize
	}
	panic("codec: no four byte property")
}

// bytesField returns the field of a property of kindString or kindBinary.
func (p *Properties) bytesField(id PropertyID) *[]byte {
	switch id {
	case PropContentType:
		return &p.ContentType
	case PropResponseTopic:
		return &p.ResponseTopic
	case PropCorrelationData:
		return &p.CorrelationData
	case PropAssignedClientIdentifier:
		return &p.AssignedClientIdentifier
	case PropAuthenticationMethod:
		return &p.AuthenticationMethod
	case PropAuthenticationData:
		return &p.AuthenticationData
	case PropResponseInformation:
		return &p.ResponseInformation
	case PropServerReference:
		return &p.ServerReference
	case PropReasonString:
		return &p.ReasonString
	}
	panic("codec: no string or binary property")
}

// textFault returns the errors of a property of kindString.
func (id PropertyID) textFault() *textFault {
	switch id {
	case PropContentType:
		return &textContentType
	case PropResponseTopic:
		return &textResponseTopic
	case PropAssignedClientIdentifier:
		return &textAssignedClientIdentifier
	case PropAuthenticationMethod:
		return &textAuthenticationMethod
	case PropResponseInformation:
		return &textResponseInformation
	case PropServerReference:
		return &textServerReference
	case PropReasonString:
		return &textReasonString
	}
	panic("codec: no string property")
}

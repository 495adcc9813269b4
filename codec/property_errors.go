package codec

// Errors in a property block. The document has no numbers for most of them.
var (
	errVarint                = &Error{MalformedPacket, "MQTT-1.5.5-1", "variable byte integer not minimal or above four bytes"}
	errUnknownProperty       = &Error{MalformedPacket, "", "properties: unknown identifier"}
	errDataWithoutMethod     = &Error{ProtocolError, "", "authentication data without authentication method"}
	errSubscriptionIDZero    = &Error{ProtocolError, "", "subscription identifier 0"}
	errReceiveMaximumZero    = &Error{ProtocolError, "", "receive maximum 0"}
	errMaximumPacketSizeZero = &Error{ProtocolError, "", "maximum packet size 0"}
	errTopicAliasZero        = &Error{TopicAliasInvalid, "MQTT-3.3.2-8", "topic alias 0"}
	errResponseTopicWildcard = &Error{ProtocolError, "MQTT-3.3.2-14", "response topic: contains a wildcard"}
	errResponseTopicEmpty    = &Error{ProtocolError, "MQTT-4.7.3-1", "response topic: empty"}
)

var (
	textContentType              = text("content type: not utf-8", "content type: contains u+0000", "", "MQTT-3.3.2-19")
	textResponseTopic            = text("response topic: not utf-8", "response topic: contains u+0000", "", "MQTT-3.3.2-13")
	textAssignedClientIdentifier = text("assigned client identifier: not utf-8", "assigned client identifier: contains u+0000", "", "MQTT-1.5.4-1")
	textAuthenticationMethod     = text("authentication method: not utf-8", "authentication method: contains u+0000", "", "MQTT-1.5.4-1")
	textResponseInformation      = text("response information: not utf-8", "response information: contains u+0000", "", "MQTT-1.5.4-1")
	textServerReference          = text("server reference: not utf-8", "server reference: contains u+0000", "", "MQTT-1.5.4-1")
	textReasonString             = text("reason string: not utf-8", "reason string: contains u+0000", "", "MQTT-1.5.4-1")
	textUserProperty             = text("user property: not utf-8", "user property: contains u+0000", "", "MQTT-1.5.7-1")
)

// duplicated is a single-value property met a second time.
var duplicated = [propertyEnd]Error{
	PropPayloadFormatIndicator:          {ProtocolError, "", "payload format indicator: given twice"},
	PropMessageExpiryInterval:           {ProtocolError, "", "message expiry interval: given twice"},
	PropContentType:                     {ProtocolError, "", "content type: given twice"},
	PropResponseTopic:                   {ProtocolError, "", "response topic: given twice"},
	PropCorrelationData:                 {ProtocolError, "", "correlation data: given twice"},
	PropSubscriptionIdentifier:          {ProtocolError, "", "subscription identifier: given twice"},
	PropSessionExpiryInterval:           {ProtocolError, "", "session expiry interval: given twice"},
	PropAssignedClientIdentifier:        {ProtocolError, "", "assigned client identifier: given twice"},
	PropServerKeepAlive:                 {ProtocolError, "", "server keep alive: given twice"},
	PropAuthenticationMethod:            {ProtocolError, "", "authentication method: given twice"},
	PropAuthenticationData:              {ProtocolError, "", "authentication data: given twice"},
	PropRequestProblemInformation:       {ProtocolError, "", "request problem information: given twice"},
	PropWillDelayInterval:               {ProtocolError, "", "will delay interval: given twice"},
	PropRequestResponseInformation:      {ProtocolError, "", "request response information: given twice"},
	PropResponseInformation:             {ProtocolError, "", "response information: given twice"},
	PropServerReference:                 {ProtocolError, "", "server reference: given twice"},
	PropReasonString:                    {ProtocolError, "", "reason string: given twice"},
	PropReceiveMaximum:                  {ProtocolError, "", "receive maximum: given twice"},
	PropTopicAliasMaximum:               {ProtocolError, "", "topic alias maximum: given twice"},
	PropTopicAlias:                      {ProtocolError, "", "topic alias: given twice"},
	PropMaximumQoS:                      {ProtocolError, "", "maximum qos: given twice"},
	PropRetainAvailable:                 {ProtocolError, "", "retain available: given twice"},
	PropMaximumPacketSize:               {ProtocolError, "", "maximum packet size: given twice"},
	PropWildcardSubscriptionAvailable:   {ProtocolError, "", "wildcard subscription available: given twice"},
	PropSubscriptionIdentifierAvailable: {ProtocolError, "", "subscription identifier available: given twice"},
	PropSharedSubscriptionAvailable:     {ProtocolError, "", "shared subscription available: given twice"},
}

// misplaced is a property in a packet that must not carry it.
var misplaced = [propertyEnd]Error{
	PropPayloadFormatIndicator:          {MalformedPacket, "", "payload format indicator: not a property of this packet"},
	PropMessageExpiryInterval:           {MalformedPacket, "", "message expiry interval: not a property of this packet"},
	PropContentType:                     {MalformedPacket, "", "content type: not a property of this packet"},
	PropResponseTopic:                   {MalformedPacket, "", "response topic: not a property of this packet"},
	PropCorrelationData:                 {MalformedPacket, "", "correlation data: not a property of this packet"},
	PropSubscriptionIdentifier:          {MalformedPacket, "", "subscription identifier: not a property of this packet"},
	PropSessionExpiryInterval:           {MalformedPacket, "", "session expiry interval: not a property of this packet"},
	PropAssignedClientIdentifier:        {MalformedPacket, "", "assigned client identifier: not a property of this packet"},
	PropServerKeepAlive:                 {MalformedPacket, "", "server keep alive: not a property of this packet"},
	PropAuthenticationMethod:            {MalformedPacket, "", "authentication method: not a property of this packet"},
	PropAuthenticationData:              {MalformedPacket, "", "authentication data: not a property of this packet"},
	PropRequestProblemInformation:       {MalformedPacket, "", "request problem information: not a property of this packet"},
	PropWillDelayInterval:               {MalformedPacket, "", "will delay interval: not a property of this packet"},
	PropRequestResponseInformation:      {MalformedPacket, "", "request response information: not a property of this packet"},
	PropResponseInformation:             {MalformedPacket, "", "response information: not a property of this packet"},
	PropServerReference:                 {MalformedPacket, "", "server reference: not a property of this packet"},
	PropReasonString:                    {MalformedPacket, "", "reason string: not a property of this packet"},
	PropReceiveMaximum:                  {MalformedPacket, "", "receive maximum: not a property of this packet"},
	PropTopicAliasMaximum:               {MalformedPacket, "", "topic alias maximum: not a property of this packet"},
	PropTopicAlias:                      {MalformedPacket, "", "topic alias: not a property of this packet"},
	PropMaximumQoS:                      {MalformedPacket, "", "maximum qos: not a property of this packet"},
	PropRetainAvailable:                 {MalformedPacket, "", "retain available: not a property of this packet"},
	PropMaximumPacketSize:               {MalformedPacket, "", "maximum packet size: not a property of this packet"},
	PropWildcardSubscriptionAvailable:   {MalformedPacket, "", "wildcard subscription available: not a property of this packet"},
	PropSubscriptionIdentifierAvailable: {MalformedPacket, "", "subscription identifier available: not a property of this packet"},
	PropSharedSubscriptionAvailable:     {MalformedPacket, "", "shared subscription available: not a property of this packet"},
}

// notBoolean is a value other than 0 and 1 where only those have a meaning.
var notBoolean = [propertyEnd]Error{
	PropPayloadFormatIndicator:          {ProtocolError, "", "payload format indicator: neither 0 nor 1"},
	PropRequestProblemInformation:       {ProtocolError, "", "request problem information: neither 0 nor 1"},
	PropRequestResponseInformation:      {ProtocolError, "", "request response information: neither 0 nor 1"},
	PropMaximumQoS:                      {ProtocolError, "", "maximum qos: neither 0 nor 1"},
	PropRetainAvailable:                 {ProtocolError, "", "retain available: neither 0 nor 1"},
	PropWildcardSubscriptionAvailable:   {ProtocolError, "", "wildcard subscription available: neither 0 nor 1"},
	PropSubscriptionIdentifierAvailable: {ProtocolError, "", "subscription identifier available: neither 0 nor 1"},
	PropSharedSubscriptionAvailable:     {ProtocolError, "", "shared subscription available: neither 0 nor 1"},
}

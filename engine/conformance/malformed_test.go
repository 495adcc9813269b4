package conformance

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestReservedFixedHeaderFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		first       byte // with the right flags
		rest        func(v codec.Version) []byte
		five, three []string
	}{
		{"PUBACK", 0x40, idOnlyBody, nil, nil},
		{"PUBREC", 0x50, idOnlyBody, nil, nil},
		{"PUBREL", 0x62, idOnlyBody, rows("MQTT-3.6.1-1"), rows("MQTT-3.6.1-1")},
		{"PUBCOMP", 0x70, idOnlyBody, nil, nil},
		{"SUBSCRIBE", 0x82, func(v codec.Version) []byte { return subscribePacket(v, 1, nil, filter{"a", 0})[1:] },
			rows("MQTT-3.8.1-1"), rows("MQTT-3.8.1-1")},
		{"UNSUBSCRIBE", 0xa2, func(v codec.Version) []byte { return unsubscribePacket(v, 1, "a")[1:] },
			rows("MQTT-3.10.1-1"), rows("MQTT-3.10.1-1")},
		{"PINGREQ", 0xc0, emptyBody, nil, nil},
		{"DISCONNECT", 0xe0, emptyBody, rows("MQTT-3.14.1-1"), rows("MQTT-3.14.1-1")},
		{"AUTH", 0xf0, emptyBody, rows("MQTT-3.15.1-1"), nil},
	} {
		for _, v := range []codec.Version{V5, V311} {
			if v == V311 && tt.first == 0xf0 {
				continue
			}
			t.Run(tt.name+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				if v == V5 {
					covers(t, V5, append(tt.five, "MQTT-2.1.3-1")...)
				} else {
					covers(t, V311, append(tt.three, "MQTT-2.2.2-2")...)
				}
				for flags := range byte(16) {
					if flags == tt.first&0x0f {
						continue
					}
					c := broker(t).join(t, v)
					c.send([]byte{tt.first&0xf0 | flags}, tt.rest(v))
					c.refused(codec.MalformedPacket)
				}
			})
		}
	}
}

func idOnlyBody(codec.Version) []byte { return []byte{2, 0, 1} }
func emptyBody(codec.Version) []byte  { return []byte{0} }

func TestConnectWithReservedHeaderFlagsIsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-2.1.3-1"), rows("MQTT-2.2.2-2"), func(t *testing.T, v codec.Version) {
		for flags := byte(1); flags < 16; flags++ {
			c := broker(t).dial(t, v)
			b := (&hello{id: unique(t)}).encode(v)
			b[0] |= flags
			c.send(b)
			if v == V5 {
				c.refusedConnect(codec.MalformedPacket)
			} else {
				c.refusedConnect()
			}
		}
	})
}

func TestServersPacketsCarryThePrescribedFlags(t *testing.T) {
	bothVersions(t, rows("MQTT-2.1.3-1"), rows("MQTT-2.2.2-1"), func(t *testing.T, v codec.Version) {
		// The decoder takes no other flags; here is one packet of each type.
		b, topic := broker(t), unique(t)
		c := b.join(t, v)
		c.subscribe(filter{topic, 2})
		for q := range codec.QoS(3) {
			c.publish(message{topic: topic, qos: q})
			c.receive(topic, "")
		}
		c.unsubscribe(topic)
		c.ping()
		c.send((&hello{id: c.id}).encode(v))
		c.refused(codec.ProtocolError)
	})
}

func TestBadVariableByteIntegersAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-1.5.5-1"), rows("MQTT-4.8.0-1"), func(t *testing.T, v codec.Version) {
		for name, bytes := range map[string][]byte{
			"five bytes":           {0xc0, 0x80, 0x80, 0x80, 0x80, 0x01},
			"five open bytes":      {0x30, 0xff, 0xff, 0xff, 0xff, 0xff},
			"waiting for a fifth":  {0x30, 0xff, 0xff, 0xff, 0xff},
			"two bytes for zero":   {0xc0, 0x80, 0x00},
			"three bytes for five": {0x30, 0x85, 0x80, 0x00, 0, 1, 'a', 0, 0},
		} {
			if strings.Contains(name, "for ") && broker(t).external {
				continue // waited for, or tolerated, by some
			}
			c := broker(t).join(t, v)
			c.send(bytes)
			c.refused(codec.MalformedPacket)
		}
		if v == V5 && !broker(t).external {
			c := broker(t).join(t, v)
			c.send(framed(0x30, str("x"), []byte{0x80, 0x00})) // property length 0 in two bytes
			c.refused(codec.MalformedPacket)
			c = broker(t).join(t, v)
			c.send(framed(0x82, u16(1), []byte{3, 0x0b, 0x81, 0x00}, str("x"), []byte{0}))
			c.refused(codec.MalformedPacket)
		}
	})
}

func TestPacketsThatOnlyAServerSendsAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.13.1-1"), rows("MQTT-4.8.0-1"), func(t *testing.T, v codec.Version) {
		for _, packet := range [][]byte{
			{0x20, 2, 0, 0}, {0x20, 3, 0, 0, 0}, {0x90, 3, 0, 1, 0}, {0x90, 4, 0, 1, 0, 0}, {0xb0, 2, 0, 1}, {0xd0, 0},
		} {
			c := broker(t).join(t, v)
			c.send(packet)
			c.refused(codec.ProtocolError, codec.MalformedPacket)
		}
	})
}

func TestPacketType0IsRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.13.1-1", "MQTT-4.13.2-1"), rows("MQTT-4.8.0-1"), func(t *testing.T, v codec.Version) {
		c := broker(t).join(t, v)
		c.send([]byte{0, 0})
		c.refused(codec.MalformedPacket, codec.ProtocolError)
	})
}

func TestAuthBefore5IsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V311, "MQTT-4.8.0-1")
	c := broker(t).join(t, V311)
	c.send([]byte{0xf0, 0})
	c.refused()
}

func TestTruncatedPacketsAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.13.1-1"), rows("MQTT-4.8.0-1"), func(t *testing.T, v codec.Version) {
		noFilters := map[string]int{"SUBSCRIBE": 6, "UNSUBSCRIBE": 5}
		for name, whole := range map[string][]byte{
			"PUBLISH":     (&message{topic: "topic", qos: 1, id: 1, props: prop(codec.PropContentType, "text")}).encode(v),
			"SUBSCRIBE":   subscribePacket(v, 1, prop(codec.PropSubscriptionIdentifier, 5), filter{"abc", 0}),
			"UNSUBSCRIBE": unsubscribePacket(v, 1, "abc"),
			"PUBACK":      ackPacket(codec.TypePuback, 1, 0),
			"PUBREC":      ackPacket(codec.TypePubrec, 1, 0),
			"PUBREL":      ackPacket(codec.TypePubrel, 1, 0),
			"PUBCOMP":     ackPacket(codec.TypePubcomp, 1, 0),
		} {
			for n := range len(whole) - 2 {
				c := broker(t).join(t, v)
				c.id = fmt.Sprintf("%s of %d bytes", name, n)
				c.send([]byte{whole[0], byte(n)}, whole[2:2+n])
				if strings.HasSuffix(name, "SUBSCRIBE") && n == len(whole)-2-noFilters[name] {
					c.refused(codec.ProtocolError, codec.MalformedPacket) // whole, but for its filters
				} else {
					c.refused(codec.MalformedPacket, codec.ProtocolError)
				}
			}
		}
	})
}

func TestTrailingBytesAreRefused(t *testing.T) {
	bothVersions(t, rows("MQTT-4.13.1-1"), rows("MQTT-4.8.0-1"), func(t *testing.T, v codec.Version) {
		trailing := [][]byte{{0xc0, 1, 0}, {0xe0, 3, 0, 0, 0}}
		if v == V311 {
			trailing = append(trailing, []byte{0x40, 3, 0, 1, 0}, []byte{0xe0, 1, 0}, []byte{0x62, 3, 0, 1, 0})
		} else {
			trailing = append(trailing, []byte{0x40, 5, 0, 1, 0, 0, 0})
		}
		for _, packet := range trailing {
			if broker(t).external {
				continue // tolerated by some
			}
			c := broker(t).join(t, v)
			c.send(packet)
			c.refused(codec.MalformedPacket)
		}
	})
}

// illFormed are byte sequences that no string may hold.
var illFormed = map[string]string{
	"stray byte":      "a\xffb",
	"surrogate":       "a\xed\xa0\x80b",
	"surrogate pair":  "\xed\xa0\xbd\xed\xb0\x80",
	"last surrogate":  "\xed\xbf\xbf",
	"overlong":        "\xc0\xaf",
	"truncated":       "abc\xc3",
	"beyond U+10FFFF": "\xf4\x90\x80\x80",
	"continuation":    "\x80",
	"U+0000":          "a\x00b",
	"overlong U+0000": "\xc0\x80",
	"only U+0000":     "\x00",
}

func TestIllFormedStringsAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		field       string
		five, three []string // both nil for a version: the field does not exist there
		packet      func(v codec.Version, s string) []byte
	}{
		{"topic name", rows("MQTT-3.3.2-1", "MQTT-4.7.3-2"), rows("MQTT-3.3.2-1", "MQTT-4.7.3-2"),
			func(v codec.Version, s string) []byte { return (&message{topic: s}).encode(v) }},
		{"topic filter", rows("MQTT-3.8.3-1", "MQTT-4.7.3-2"), rows("MQTT-3.8.3-1", "MQTT-4.7.3-2"),
			func(v codec.Version, s string) []byte { return subscribePacket(v, 1, nil, filter{s, 0}) }},
		{"filter of UNSUBSCRIBE", rows("MQTT-3.10.3-1", "MQTT-4.7.3-2"), rows("MQTT-3.10.3-1", "MQTT-4.7.3-2"),
			func(v codec.Version, s string) []byte { return unsubscribePacket(v, 1, s) }},
		{"response topic", rows("MQTT-3.3.2-13"), nil, publishWith(codec.PropResponseTopic)},
		{"content type", rows("MQTT-3.3.2-19"), nil, publishWith(codec.PropContentType)},
		{"user property name", rows("MQTT-1.5.7-1"), nil,
			func(v codec.Version, s string) []byte { return (&message{topic: "x", props: pair(s, "v")}).encode(v) }},
		{"user property value", rows("MQTT-1.5.7-1"), nil,
			func(v codec.Version, s string) []byte { return (&message{topic: "x", props: pair("n", s)}).encode(v) }},
		{"user property of SUBSCRIBE", rows("MQTT-1.5.7-1"), nil,
			func(v codec.Version, s string) []byte { return subscribePacket(v, 1, pair("n", s), filter{"x", 0}) }},
		{"reason string of DISCONNECT", rows(), nil,
			func(v codec.Version, s string) []byte { return disconnectPacket(0, prop(codec.PropReasonString, s)) }},
		{"reason string of PUBACK", rows(), nil,
			func(v codec.Version, s string) []byte {
				return framed(0x40, u16(1), []byte{0}, block(prop(codec.PropReasonString, s)))
			}},
	} {
		for v, ids := range map[codec.Version][]string{V5: tt.five, V311: tt.three} {
			if ids == nil {
				continue
			}
			t.Run(tt.field+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				coversStrings(t, v, ids)
				for name, s := range illFormed {
					c := broker(t).join(t, v)
					c.id = name
					c.send(tt.packet(v, s))
					c.refused(codec.MalformedPacket)
				}
			})
		}
	}
}

func publishWith(id codec.PropertyID) func(codec.Version, string) []byte {
	return func(v codec.Version, s string) []byte { return (&message{topic: "x", props: prop(id, s)}).encode(v) }
}

// coversStrings adds the statements about all strings.
func coversStrings(t *testing.T, v codec.Version, ids []string) {
	t.Helper()
	if v == V5 {
		covers(t, v, append(ids, "MQTT-1.5.4-1", "MQTT-1.5.4-2")...)
	} else {
		covers(t, v, append(ids, "MQTT-1.5.3-1", "MQTT-1.5.3-2")...)
	}
}

func TestIllFormedStringsInConnectAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		field       string
		five, three []string
		hello       func(s string) hello
	}{
		{"client identifier", rows("MQTT-3.1.3-4"), rows("MQTT-3.1.3-4"), func(s string) hello { return hello{id: s} }},
		{"will topic", rows("MQTT-3.1.3-11", "MQTT-4.7.3-2"), rows("MQTT-3.1.3-10", "MQTT-4.7.3-2"),
			func(s string) hello { return hello{will: &will{topic: s}} }},
		{"user name", rows("MQTT-3.1.3-12"), rows("MQTT-3.1.3-11"), func(s string) hello { return hello{user: s} }},
		{"user property", rows("MQTT-1.5.7-1"), nil, func(s string) hello { return hello{props: pair("n", s)} }},
		{"authentication method", rows(), nil, func(s string) hello { return hello{props: prop(codec.PropAuthenticationMethod, s)} }},
		{"content type of the will", rows(), nil,
			func(s string) hello {
				return hello{will: &will{topic: "x", props: prop(codec.PropContentType, s)}}
			}},
	} {
		for v, ids := range map[codec.Version][]string{V5: tt.five, V311: tt.three} {
			if ids == nil {
				continue
			}
			t.Run(tt.field+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				coversStrings(t, v, ids)
				for name, s := range illFormed {
					c := broker(t).open(t, v, tt.hello(s))
					c.id = name
					if v == V5 {
						c.refusedConnect(codec.MalformedPacket, codec.ClientIdentifierNotValid)
					} else {
						c.refusedConnect()
					}
				}
			})
		}
	}
}

func TestUnusualButWellFormedStringsAreTaken(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b := broker(t)
		root := unique(t)
		c := b.join(t, v)
		for _, s := range []string{"\ud7ff\ue000", "\U0010fffd", "\U00010000", "日本語", "\u00a0", " "} {
			c.subscribe(filter{root + s, 0})
			c.start(message{topic: root + s})
			c.delivery(root+s, "")
		}
	})
}

func TestPropertyRulesAreEnforced(t *testing.T) {
	t.Parallel()
	const taken, misplaced, wrong = codec.Success, codec.MalformedPacket, codec.ProtocolError
	publish := func(props ...[]byte) []byte { return (&message{topic: "x", props: cat(props...)}).encode(V5) }
	subscribe := func(props ...[]byte) []byte { return subscribePacket(V5, 1, cat(props...), filter{"x", 0}) }
	ack := func(props ...[]byte) []byte { return framed(0x40, u16(1), []byte{0}, block(cat(props...))) }
	for name, tt := range map[string]struct {
		packet []byte
		code   codec.ReasonCode
	}{
		"payload format indicator twice": {publish(prop(codec.PropPayloadFormatIndicator, 0), prop(codec.PropPayloadFormatIndicator, 0)), wrong},
		"payload format indicator 2":     {publish(prop(codec.PropPayloadFormatIndicator, 2)), wrong},
		"message expiry twice":           {publish(prop(codec.PropMessageExpiryInterval, 1), prop(codec.PropMessageExpiryInterval, 1)), wrong},
		"topic alias twice":              {publish(prop(codec.PropTopicAlias, 1), prop(codec.PropTopicAlias, 1)), wrong},
		"content type twice":             {publish(prop(codec.PropContentType, ""), prop(codec.PropContentType, "")), wrong},
		"response topic twice":           {publish(prop(codec.PropResponseTopic, "a"), prop(codec.PropResponseTopic, "a")), wrong},
		"correlation data twice":         {publish(prop(codec.PropCorrelationData, ""), prop(codec.PropCorrelationData, "")), wrong},
		"subscription identifier twice":  {subscribe(prop(codec.PropSubscriptionIdentifier, 1), prop(codec.PropSubscriptionIdentifier, 2)), wrong},
		"subscription identifier 0":      {subscribe(prop(codec.PropSubscriptionIdentifier, 0)), wrong},
		"reason string twice":            {ack(prop(codec.PropReasonString, ""), prop(codec.PropReasonString, "")), wrong},
		"session expiry in PUBLISH":      {publish(prop(codec.PropSessionExpiryInterval, 1)), misplaced},
		"receive maximum in PUBLISH":     {publish(prop(codec.PropReceiveMaximum, 1)), misplaced},
		"topic alias in SUBSCRIBE":       {subscribe(prop(codec.PropTopicAlias, 1)), misplaced},
		"content type in PUBACK":         {ack(prop(codec.PropContentType, "")), misplaced},
		"server reference in PUBACK":     {ack(prop(codec.PropServerReference, "")), misplaced},
		"unknown property 0x00":          {publish([]byte{0x00, 0x00}), misplaced},
		"unknown property 0x2b":          {publish([]byte{0x2b, 0x00}), misplaced},
		"unknown property 0x7f":          {publish([]byte{0x7f, 0x00}), misplaced},
		"unknown property 0x80 0x01":     {publish([]byte{0x80, 0x01, 0x00}), misplaced},
		"value cut off by the block":     {framed(0x30, str("x"), []byte{3, byte(codec.PropMessageExpiryInterval), 0, 0, 0, 0}), misplaced},
		"block longer than the packet":   {framed(0x30, str("x"), []byte{9, byte(codec.PropPayloadFormatIndicator), 0}), misplaced},
		"server reference in DISCONNECT": {disconnectPacket(0, prop(codec.PropServerReference, "x")), wrong},
		"session expiry twice":           {disconnectPacket(0, prop(codec.PropSessionExpiryInterval, 0), prop(codec.PropSessionExpiryInterval, 0)), wrong},
		"user properties at will":        {publish(pair("a", "b"), pair("a", "b")), taken},
		"reason string in PUBACK":        {ack(prop(codec.PropReasonString, "because"), pair("a", "b")), taken},
		"empty content type":             {publish(prop(codec.PropContentType, "")), taken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-4.13.1-1")
			c := broker(t).join(t, V5)
			c.send(tt.packet)
			if tt.code == taken {
				c.ping()
			} else {
				c.refused(tt.code, misplaced, wrong)
			}
		})
	}
}

func TestPropertyRulesOfConnectAreEnforced(t *testing.T) {
	t.Parallel()
	const misplaced, wrong = codec.MalformedPacket, codec.ProtocolError
	withWill := func(props ...[]byte) hello { return hello{will: &will{topic: "x", props: cat(props...)}} }
	with := func(props ...[]byte) hello { return hello{props: cat(props...)} }
	twice := func(id codec.PropertyID, value any) hello { return with(prop(id, value), prop(id, value)) }
	for name, tt := range map[string]struct {
		hello hello
		code  codec.ReasonCode
	}{
		"receive maximum 0":                {with(prop(codec.PropReceiveMaximum, 0)), wrong},
		"maximum packet size 0":            {with(prop(codec.PropMaximumPacketSize, 0)), wrong},
		"request problem information 2":    {with(prop(codec.PropRequestProblemInformation, 2)), wrong},
		"request response information 2":   {with(prop(codec.PropRequestResponseInformation, 2)), wrong},
		"data without method":              {with(prop(codec.PropAuthenticationData, "x")), wrong},
		"session expiry twice":             {twice(codec.PropSessionExpiryInterval, 1), wrong},
		"receive maximum twice":            {twice(codec.PropReceiveMaximum, 1), wrong},
		"maximum packet size twice":        {twice(codec.PropMaximumPacketSize, 100), wrong},
		"topic alias maximum twice":        {twice(codec.PropTopicAliasMaximum, 1), wrong},
		"request problem twice":            {twice(codec.PropRequestProblemInformation, 1), wrong},
		"request response twice":           {twice(codec.PropRequestResponseInformation, 1), wrong},
		"method twice":                     {twice(codec.PropAuthenticationMethod, "x"), wrong},
		"will delay twice":                 {withWill(prop(codec.PropWillDelayInterval, 1), prop(codec.PropWillDelayInterval, 1)), wrong},
		"payload format 2 in the will":     {withWill(prop(codec.PropPayloadFormatIndicator, 2)), wrong},
		"wildcard response topic in will":  {withWill(prop(codec.PropResponseTopic, "a/#")), wrong},
		"topic alias in the will":          {withWill(prop(codec.PropTopicAlias, 1)), misplaced},
		"will delay in CONNECT":            {with(prop(codec.PropWillDelayInterval, 1)), misplaced},
		"message expiry in CONNECT":        {with(prop(codec.PropMessageExpiryInterval, 1)), misplaced},
		"assigned identifier in CONNECT":   {with(prop(codec.PropAssignedClientIdentifier, "x")), misplaced},
		"server keep alive in CONNECT":     {with(prop(codec.PropServerKeepAlive, 1)), misplaced},
		"unknown property in CONNECT":      {with([]byte{0x7e, 0}), misplaced},
		"properties longer than the block": {with([]byte{byte(codec.PropSessionExpiryInterval), 0}), misplaced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.4-1", "MQTT-4.13.1-1")
			broker(t).open(t, V5, tt.hello).refusedConnect(tt.code, misplaced, wrong)
		})
	}
}

func TestResponseTopicWithWildcardIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.3.2-14")
	b, topic := broker(t), unique(t)
	sub := b.join(t, V5)
	sub.subscribe(filter{topic, 0})
	for _, response := range []string{"a/#", "+/a", "#", "a+"} {
		c := b.join(t, V5)
		c.start(message{topic: topic, props: prop(codec.PropResponseTopic, response)})
		c.refused(codec.ProtocolError, codec.MalformedPacket, codec.TopicNameInvalid)
	}
	sub.ping()
}

func TestReasonCodesOutsideTheirTableAreRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []codec.PacketType{codec.TypePuback, codec.TypePubrec, codec.TypePubrel, codec.TypePubcomp} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-4.13.1-1", map[codec.PacketType]string{
				codec.TypePuback: "MQTT-3.4.2-1", codec.TypePubrec: "MQTT-3.5.2-1",
				codec.TypePubrel: "MQTT-3.6.2-1", codec.TypePubcomp: "MQTT-3.7.2-1"}[kind])
			for code := range codec.ReasonCode(0xff) {
				if code == 0 || broker(t).external {
					continue
				}
				c := broker(t).join(t, V5)
				c.send(ackPacket(kind, 1, code))
				if !theTables.codeAllowed(code, kind) {
					c.refused(codec.ProtocolError, codec.MalformedPacket)
					continue
				}
				c.send(pingreq)
				c.await(codec.TypePingresp, 0)
				c.leave()
			}
		})
	}
}

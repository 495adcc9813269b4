package codec

import (
	"bytes"
	"slices"
	"testing"
)

// vector is one packet in both forms. Its wire form is the one that Append
// produces.
type vector struct {
	name   string
	v      Version
	wire   string
	packet any
	legal  []int // lengths of the body's proper prefixes that are well-formed too
}

// from returns the numbers from n up to, not including, end.
func from(n, end int) (all []int) {
	for ; n < end; n++ {
		all = append(all, n)
	}
	return all
}

func vectors() []vector {
	text := func(s string) []byte { return []byte(s) }
	return []vector{
		// CONNECT
		{
			"3.1 connect, smallest", V31,
			"10 0f 0006 'MQIsdp' 03 02 003c 0001 'c'",
			&Connect{Version: V31, CleanStart: true, KeepAlive: 60, ClientID: text("c")}, nil,
		},
		{
			"3.1 connect of a bridge, user name and password", V31,
			"10 17 0006 'MQIsdp' 83 c0 0000 0001 'c' 0002 'me' 0002 'pw'",
			&Connect{Version: V31, Bridge: true, ClientID: text("c"), HasUserName: true, UserName: text("me"), HasPassword: true, Password: text("pw")},
			[]int{15, 19}, // Remaining Length overrules the flags
		},
		{
			"3.1.1 connect, smallest", V311,
			"10 0c 0004 'MQTT' 04 02 0000 0000",
			&Connect{Version: V311, CleanStart: true}, nil,
		},
		{
			"3.1.1 connect with everything", V311,
			"10 29 0004 'MQTT' 04 f6 012c 0006 'client' 0004 'will' 0003 'bye' 0004 'user' 0004 'pass'",
			&Connect{
				Version: V311, CleanStart: true, KeepAlive: 300, ClientID: text("client"),
				HasWill: true, WillQoS: QoS2, WillRetain: true, WillTopic: text("will"), WillPayload: text("bye"),
				HasUserName: true, UserName: text("user"), HasPassword: true, Password: text("pass"),
			}, nil,
		},
		{
			"3.1.1 connect of a bridge", V311,
			"10 0c 0004 'MQTT' 84 00 ffff 0000",
			&Connect{Version: V311, Bridge: true, KeepAlive: 65535}, nil,
		},
		{
			"5.0 connect, smallest", V5,
			"10 0d 0004 'MQTT' 05 00 0000 00 0000",
			&Connect{Version: V5}, nil,
		},
		{
			"5.0 connect, password without user name", V5,
			"10 13 0004 'MQTT' 05 42 000a 00 0001 'c' 0003 'jwt'",
			&Connect{Version: V5, CleanStart: true, KeepAlive: 10, ClientID: text("c"), HasPassword: true, Password: text("jwt")}, nil,
		},
		{
			"5.0 connect with every property", V5,
			"10 66 0004 'MQTT' 05 2e 003c" +
				" 25 11 00000e10 15 0003 'KRB' 16 0001 ff 17 00 19 01 21 0014 22 000a 26 0001 'k' 0001 'v' 27 00010000" +
				" 0001 'c'" +
				" 2a 01 01 02 0000003c 03 0004 'text' 08 0001 'r' 09 0002 0001 18 00000005 26 0001 'a' 0001 'b' 26 0001 'a' 0001 'b'" +
				" 0001 'w' 0003 'bye'",
			&Connect{
				Version: V5, CleanStart: true, KeepAlive: 60, ClientID: text("c"),
				Properties: with(Properties{
					SessionExpiryInterval: 3600, AuthenticationMethod: text("KRB"), AuthenticationData: []byte{0xff},
					RequestProblemInformation: 0, RequestResponseInformation: 1, ReceiveMaximum: 20, TopicAliasMaximum: 10,
					User: users("k", "v"), MaximumPacketSize: 65536,
				}, PropSessionExpiryInterval, PropAuthenticationMethod, PropAuthenticationData, PropRequestProblemInformation,
					PropRequestResponseInformation, PropReceiveMaximum, PropTopicAliasMaximum, PropUserProperty, PropMaximumPacketSize),
				HasWill: true, WillQoS: QoS1, WillRetain: true, WillTopic: text("w"), WillPayload: text("bye"),
				WillProperties: with(Properties{
					PayloadFormatIndicator: 1, MessageExpiryInterval: 60, ContentType: text("text"), ResponseTopic: text("r"),
					CorrelationData: []byte{0, 1}, WillDelayInterval: 5, User: users("a", "b", "a", "b"),
				}, PropPayloadFormatIndicator, PropMessageExpiryInterval, PropContentType, PropResponseTopic,
					PropCorrelationData, PropWillDelayInterval, PropUserProperty),
			}, nil,
		},

		// CONNACK
		{"3.1 connack", V31, "20 02 00 00", &Connack{}, nil},
		{"3.1.1 connack, session present", V311, "20 02 01 00", &Connack{SessionPresent: true}, nil},
		{"3.1.1 connack, refused", V311, "20 02 00 05", &Connack{Return: RefusedNotAuthorized}, nil},
		{"5.0 connack", V5, "20 03 01 00 00", &Connack{SessionPresent: true}, nil},
		{
			"5.0 connack, refused", V5, "20 0a 00 86 07 1f 0004 'nope'",
			&Connack{Reason: BadUserNameOrPassword, Properties: with(Properties{ReasonString: text("nope")}, PropReasonString)}, nil,
		},
		{
			"5.0 connack with every property", V5,
			"20 3e 00 00 3b 11 ffffffff 12 0003 'id7' 13 001e 15 0001 'm' 16 0000 1a 0001 'i' 1c 0001 's' 1f 0001 'r'" +
				" 21 0001 22 ffff 24 01 25 00 26 0000 0000 27 0fffffff 28 01 29 00 2a 01",
			&Connack{Properties: with(Properties{
				SessionExpiryInterval: 0xffffffff, AssignedClientIdentifier: text("id7"), ServerKeepAlive: 30,
				AuthenticationMethod: text("m"), ResponseInformation: text("i"), ServerReference: text("s"), ReasonString: text("r"),
				ReceiveMaximum: 1, TopicAliasMaximum: 65535, MaximumQoS: 1, User: users("", ""), MaximumPacketSize: 0x0fffffff,
				WildcardSubscriptionAvailable: 1, SharedSubscriptionAvailable: 1,
			}, PropSessionExpiryInterval, PropAssignedClientIdentifier, PropServerKeepAlive, PropAuthenticationMethod,
				PropAuthenticationData, PropResponseInformation, PropServerReference, PropReasonString, PropReceiveMaximum,
				PropTopicAliasMaximum, PropMaximumQoS, PropRetainAvailable, PropUserProperty, PropMaximumPacketSize,
				PropWildcardSubscriptionAvailable, PropSubscriptionIdentifierAvailable, PropSharedSubscriptionAvailable)}, nil,
		},

		// PUBLISH. A shorter body is often just a shorter payload.
		{"3.1.1 publish, qos 0, empty payload", V311, "30 05 0003 'a/b'", &Publish{Topic: text("a/b")}, nil},
		{
			"3.1.1 publish, qos 2, all flags", V311, "3d 09 0003 'a/b' 1234 'hi'",
			&Publish{Dup: true, QoS: QoS2, Retain: true, Topic: text("a/b"), PacketID: 0x1234, Payload: text("hi")}, from(7, 9),
		},
		{
			"3.1 publish, modified utf-8", V31, "32 06 0002 c080 0001",
			&Publish{QoS: QoS1, Topic: []byte{0xc0, 0x80}, PacketID: 1}, nil,
		},
		{"5.0 publish, qos 0", V5, "30 07 0003 'a/b' 00 'x'", &Publish{Topic: text("a/b"), Payload: text("x")}, []int{6}},
		{"5.0 publish, a byte order mark stays", V5, "30 08 0005 efbbbf '/a' 00", &Publish{Topic: text("\ufeff/a")}, nil},
		{
			"5.0 publish, alias instead of topic", V5, "3a 08 0000 ffff 03 23 0001",
			&Publish{Dup: true, QoS: QoS1, PacketID: 65535, Properties: with(Properties{TopicAlias: 1}, PropTopicAlias)}, nil,
		},
		{
			"5.0 publish with every property", V5,
			"34 39 0001 't' 0007 31 01 01 02 0000000a 03 0003 'c/t' 08 0005 'reply' 09 0002 beef 0b 01 0b ffffff7f 23 0002" +
				" 26 0001 'a' 0001 '1' 26 0001 'a' 0000 'hi'",
			&Publish{
				QoS: QoS2, Topic: text("t"), PacketID: 7, Payload: text("hi"),
				Properties: with(Properties{
					PayloadFormatIndicator: 1, MessageExpiryInterval: 10, ContentType: text("c/t"), ResponseTopic: text("reply"),
					CorrelationData: []byte{0xbe, 0xef}, SubscriptionIdentifiers: []uint32{1, 268435455}, TopicAlias: 2,
					User: users("a", "1", "a", ""),
				}, PropPayloadFormatIndicator, PropMessageExpiryInterval, PropContentType, PropResponseTopic,
					PropCorrelationData, PropSubscriptionIdentifier, PropTopicAlias, PropUserProperty),
			}, from(55, 57),
		},
		{
			"3.1.1 publish, three bytes of remaining length", V311, "30 85c001 0003 'a/b' 00*24576",
			&Publish{Topic: text("a/b"), Payload: make([]byte, 24576)}, from(5, 24581),
		},

		// PUBACK, PUBREC, PUBREL, PUBCOMP
		{"3.1.1 puback", V311, "40 02 0001", &typedAck{TypePuback, Ack{PacketID: 1}}, nil},
		{"3.1.1 pubrec", V311, "50 02 0102", &typedAck{TypePubrec, Ack{PacketID: 258}}, nil},
		{"3.1 pubrel", V31, "62 02 ffff", &typedAck{TypePubrel, Ack{PacketID: 65535}}, nil},
		{"3.1.1 pubcomp", V311, "70 02 0001", &typedAck{TypePubcomp, Ack{PacketID: 1}}, nil},
		{"5.0 puback, success", V5, "40 02 0001", &typedAck{TypePuback, Ack{PacketID: 1}}, nil},
		{"5.0 puback, nobody there", V5, "40 03 0001 10", &typedAck{TypePuback, Ack{PacketID: 1, Reason: NoMatchingSubscribers}}, []int{2}},
		{
			"5.0 pubrec, refused with words", V5, "50 10 0001 97 0c 1f 0002 'no' 26 0001 'a' 0001 'b'",
			&typedAck{TypePubrec, Ack{PacketID: 1, Reason: QuotaExceeded, Properties: with(Properties{ReasonString: text("no"), User: users("a", "b")}, PropReasonString, PropUserProperty)}},
			[]int{2, 3},
		},
		{"5.0 pubrel, unknown", V5, "62 03 0001 92", &typedAck{TypePubrel, Ack{PacketID: 1, Reason: PacketIdentifierNotFound}}, []int{2}},
		{
			"5.0 pubcomp, success with words", V5, "70 08 0001 00 04 1f 0001 'k'",
			&typedAck{TypePubcomp, Ack{PacketID: 1, Properties: with(Properties{ReasonString: text("k")}, PropReasonString)}},
			[]int{2, 3},
		},

		// SUBSCRIBE and SUBACK
		{
			"3.1.1 subscribe, two filters", V311, "82 0c 000a 0003 'a/#' 01 0001 '+' 00",
			&Subscribe{PacketID: 10, Filters: []Subscription{{Filter: text("a/#"), QoS: QoS1}, {Filter: text("+")}}}, []int{8},
		},
		{
			"3.1.1 subscribe, a filter for the session to refuse", V311, "82 0a 0001 0000 00 0002 'a#' 02",
			&Subscribe{PacketID: 1, Filters: []Subscription{{}, {Filter: text("a#"), QoS: QoS2}}}, []int{5},
		},
		{
			"5.0 subscribe, every option", V5, "82 22 0001 0a 0b 8001 26 0001 'a' 0001 'b' 0001 'a' 2e 0001 'b' 10 000a '$share/g/x' 28",
			&Subscribe{
				PacketID: 1,
				Properties: with(Properties{SubscriptionIdentifiers: []uint32{128}, User: users("a", "b")},
					PropSubscriptionIdentifier, PropUserProperty),
				Filters: []Subscription{
					{Filter: text("a"), QoS: QoS2, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
					{Filter: text("b"), RetainHandling: 1},
					{Filter: text("$share/g/x"), RetainAsPublished: true, RetainHandling: 2},
				},
			}, []int{17, 21},
		},
		{
			"3.1.1 suback", V311, "90 06 000a 00 01 02 80",
			&Suback{PacketID: 10, Reasons: []ReasonCode{GrantedQoS0, GrantedQoS1, GrantedQoS2, UnspecifiedError}}, from(3, 6),
		},
		{
			"5.0 suback", V5, "90 09 000a 04 1f 0001 'r' 02 9e",
			&Suback{PacketID: 10, Properties: with(Properties{ReasonString: text("r")}, PropReasonString), Reasons: []ReasonCode{GrantedQoS2, SharedSubscriptionsNotSupported}}, []int{8},
		},

		// UNSUBSCRIBE and UNSUBACK
		{
			"3.1.1 unsubscribe", V311, "a2 0a 000b 0003 'a/#' 0001 '+'",
			&Unsubscribe{PacketID: 11, Filters: [][]byte{text("a/#"), text("+")}}, []int{7},
		},
		{
			"5.0 unsubscribe", V5, "a2 0b 000b 05 26 0000 0000 0001 'a'",
			&Unsubscribe{PacketID: 11, Properties: with(Properties{User: users("", "")}, PropUserProperty), Filters: [][]byte{text("a")}}, nil,
		},
		{"3.1.1 unsuback", V311, "b0 02 000b", &Unsuback{PacketID: 11}, nil},
		{"5.0 unsuback", V5, "b0 05 000b 00 00 11", &Unsuback{PacketID: 11, Reasons: []ReasonCode{Success, NoSubscriptionExisted}}, []int{4}},

		// PINGREQ and PINGRESP
		{"3.1.1 pingreq", V311, "c0 00", &ping{TypePingreq}, nil},
		{"5.0 pingresp", V5, "d0 00", &ping{TypePingresp}, nil},

		// DISCONNECT
		{"3.1.1 disconnect", V311, "e0 00", &Disconnect{}, nil},
		{"5.0 disconnect, normal", V5, "e0 00", &Disconnect{}, nil},
		{"5.0 disconnect with will", V5, "e0 01 04", &Disconnect{Reason: DisconnectWithWill}, []int{0}},
		{
			"5.0 disconnect, normal with session expiry", V5, "e0 07 00 05 11 00000000",
			&Disconnect{Properties: with(Properties{}, PropSessionExpiryInterval)}, []int{0, 1},
		},
		{
			"5.0 disconnect, server moved", V5, "e0 0f 9d 0d 1c 0005 'other' 1f 0002 'go'",
			&Disconnect{Reason: ServerMoved, Properties: with(Properties{ServerReference: text("other"), ReasonString: text("go")}, PropServerReference, PropReasonString)}, []int{0, 1},
		},

		// AUTH
		{"5.0 auth, empty", V5, "f0 00", &Auth{}, nil},
		{
			"5.0 auth, continue", V5, "f0 0c 18 0a 15 0001 'm' 16 0003 'abc'",
			&Auth{Reason: ContinueAuthentication, Properties: with(Properties{AuthenticationMethod: text("m"), AuthenticationData: text("abc")}, PropAuthenticationMethod, PropAuthenticationData)}, []int{0},
		},
	}
}

func TestVectorsParseAndAppend(t *testing.T) {
	var reused packets
	for _, c := range vectors() {
		t.Run(c.name, func(t *testing.T) {
			b := wire(t, c.wire)
			f := frame(t, b)
			for round, p := range []*packets{new(packets), &reused, &reused} {
				got, err := p.parse(c.v, f)
				if err != nil {
					t.Fatalf("round %d: %v", round, err)
				}
				if d := diff(got, c.packet, "Passthrough", "WillPassthrough"); d != "" {
					t.Fatalf("round %d: parsed %s", round, d)
				}
			}
			if got := encode(c.packet, c.v); !bytes.Equal(got, b) {
				t.Errorf("appended % x\n    want % x", got, b)
			}
		})
	}
}

func TestAppendKeepsWhatIsInTheBuffer(t *testing.T) {
	for _, c := range vectors() {
		a, ok := c.packet.(interface {
			Append([]byte, Version) []byte
		})
		if !ok {
			continue
		}
		if got, want := a.Append([]byte("before"), c.v), append([]byte("before"), wire(t, c.wire)...); !bytes.Equal(got, want) {
			t.Errorf("%s: % x, want % x", c.name, got, want)
		}
	}
}

// A body cut anywhere is refused, unless the shorter body is a packet too.
func TestEveryTruncatedBodyIsRefused(t *testing.T) {
	var p packets
	for _, c := range vectors() {
		f := frame(t, wire(t, c.wire))
		body := f.Body
		step := max(1, len(body)/512)
		for n := 0; n < len(body); n += step {
			f.Body = body[:n:n]
			_, err := p.parse(c.v, f)
			if legal := slices.Contains(c.legal, n); legal && err != nil {
				t.Errorf("%s: first %d of %d bytes: %v, want no error", c.name, n, len(body), err)
			} else if !legal && err == nil {
				t.Errorf("%s: first %d of %d bytes: no error", c.name, n, len(body))
			}
		}
	}
}

// One byte more is refused, unless the packet ends in a payload or a list.
func TestTrailingBytesAreRefused(t *testing.T) {
	open := map[PacketType]bool{TypePublish: true, TypeSuback: true}
	for _, c := range vectors() {
		f := frame(t, wire(t, c.wire))
		if open[f.Type] || f.Type == TypeUnsuback && c.v == V5 {
			continue
		}
		f.Body = append(slices.Clone(f.Body), 0)
		_, err := new(packets).parse(c.v, f)
		switch {
		case err == nil && f.Type == TypeDisconnect && c.v == V5 && len(f.Body) <= 2:
			// Normal disconnection and an empty property list, spelled out.
		case err == nil && len(f.Body) <= 4 && c.v == V5 && f.Type >= TypePuback && f.Type <= TypePubcomp:
			// Likewise for Success.
		case err == nil:
			t.Errorf("%s: one byte more: no error", c.name)
		}
	}
}

// The vectors that Append shortens: well-formed, but longer than need be.
func TestLongFormsAreReadAndShortened(t *testing.T) {
	for _, c := range []struct {
		v           Version
		long, short string
	}{
		{V5, "40 03 0001 00", "40 02 0001"},
		{V5, "40 04 0001 00 00", "40 02 0001"},
		{V5, "62 04 0001 92 00", "62 03 0001 92"},
		{V5, "e0 01 00", "e0 00"},
		{V5, "e0 02 00 00", "e0 00"},
		{V5, "e0 02 8e 00", "e0 01 8e"},
	} {
		got, err := new(packets).parse(c.v, frame(t, wire(t, c.long)))
		if err != nil {
			t.Errorf("%s: %v", c.long, err)
			continue
		}
		if b, want := encode(got, c.v), wire(t, c.short); !bytes.Equal(b, want) {
			t.Errorf("%s: appended % x, want % x", c.long, b, want)
		}
	}
}

// What only 3.1 lets through.
func TestMQTT31IsReadLeniently(t *testing.T) {
	for _, c := range []struct {
		name, lenient, strict string
		packet                any
	}{
		{"dup on subscribe", "8a 06 0001 0001 'a' 00", "82 06 0001 0001 'a' 00", &Subscribe{PacketID: 1, Filters: []Subscription{{Filter: []byte("a")}}}},
		{"dup on unsubscribe", "aa 05 0001 0001 'a'", "a2 05 0001 0001 'a'", &Unsubscribe{PacketID: 1, Filters: [][]byte{[]byte("a")}}},
		{"dup on pubrel", "6a 02 0001", "62 02 0001", &typedAck{TypePubrel, Ack{PacketID: 1}}},
		{"pubrel without its qos bits", "60 02 0001", "62 02 0001", &typedAck{TypePubrel, Ack{PacketID: 1}}},
		{"dup with qos 0", "38 04 0001 'a' 'x'", "30 04 0001 'a' 'x'", &Publish{Topic: []byte("a"), Payload: []byte("x")}},
		{"flags on pingreq", "c1 00", "c0 00", &ping{TypePingreq}},
		{"flags on disconnect", "e8 00", "e0 00", &Disconnect{}},
		{"reserved byte in connack", "20 02 ff 00", "20 02 00 00", &Connack{}},
		{"flags on connect", "1e 0f 0006 'MQIsdp' 03 02 003c 0001 'c'", "10 0f 0006 'MQIsdp' 03 02 003c 0001 'c'", &Connect{Version: V31, CleanStart: true, KeepAlive: 60, ClientID: []byte("c")}},
		{"will qos and retain without will", "10 0f 0006 'MQIsdp' 03 38 003c 0001 'c'", "10 0f 0006 'MQIsdp' 03 00 003c 0001 'c'", &Connect{Version: V31, KeepAlive: 60, ClientID: []byte("c")}},
		{"user name flag without user name", "10 0f 0006 'MQIsdp' 03 80 003c 0001 'c'", "10 0f 0006 'MQIsdp' 03 00 003c 0001 'c'", &Connect{Version: V31, KeepAlive: 60, ClientID: []byte("c")}},
		{"password flag without password", "10 12 0006 'MQIsdp' 03 c0 003c 0001 'c' 0001 'u'", "10 12 0006 'MQIsdp' 03 80 003c 0001 'c' 0001 'u'", &Connect{Version: V31, KeepAlive: 60, ClientID: []byte("c"), HasUserName: true, UserName: []byte("u")}},
		{"both flags without fields", "10 0f 0006 'MQIsdp' 03 c0 003c 0001 'c'", "10 0f 0006 'MQIsdp' 03 00 003c 0001 'c'", &Connect{Version: V31, KeepAlive: 60, ClientID: []byte("c")}},
		{"an encoded surrogate in a client identifier", "10 11 0006 'MQIsdp' 03 02 0000 0003 eda080", "10 11 0006 'MQIsdp' 03 02 0000 0003 eda080", &Connect{Version: V31, CleanStart: true, ClientID: []byte("\xed\xa0\x80")}},
	} {
		got, err := new(packets).parse(V31, frame(t, wire(t, c.lenient)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if d := diff(got, c.packet); d != "" {
			t.Errorf("%s: parsed %s", c.name, d)
		}
		if b, want := encode(got, V31), wire(t, c.strict); !bytes.Equal(b, want) {
			t.Errorf("%s: appended % x, want % x", c.name, b, want)
		}
	}
}

func TestSubackBefore50KnowsOneFailure(t *testing.T) {
	p := Suback{PacketID: 1, Reasons: []ReasonCode{GrantedQoS1, NotAuthorized, TopicFilterInvalid}}
	if got, want := p.Append(nil, V311), wire(t, "90 05 0001 01 80 80"); !bytes.Equal(got, want) {
		t.Errorf("appended % x, want % x", got, want)
	}
}

func TestAppendLeavesOutWhatTheVersionLacks(t *testing.T) {
	reason := with(Properties{ReasonString: []byte("r")}, PropReasonString)
	for _, c := range []struct {
		name   string
		v      Version
		packet any
		want   string
	}{
		{"publish", V311, &Publish{Topic: []byte("a"), Properties: with(Properties{TopicAlias: 1}, PropTopicAlias)}, "30 03 0001 'a'"},
		{"publish never has dup with qos 0", V5, &Publish{Dup: true, Topic: []byte("a")}, "30 04 0001 'a' 00"},
		{"puback", V311, &typedAck{TypePuback, Ack{PacketID: 1, Reason: NotAuthorized, Properties: reason}}, "40 02 0001"},
		{"unsuback", V311, &Unsuback{PacketID: 1, Properties: reason, Reasons: []ReasonCode{Success}}, "b0 02 0001"},
		{"subscribe", V311, &Subscribe{PacketID: 1, Filters: []Subscription{{Filter: []byte("a"), QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2}}}, "82 06 0001 0001 'a' 01"},
		{"disconnect", V311, &Disconnect{Reason: SessionTakenOver, Properties: reason}, "e0 00"},
		{"connack", V31, &Connack{SessionPresent: true, Reason: Banned}, "20 02 00 00"},
		{"auth", V311, &Auth{Reason: ContinueAuthentication}, ""},
		{"bridge", V5, &Connect{Bridge: true}, "10 0d 0004 'MQTT' 05 00 0000 00 0000"},
	} {
		if got, want := encode(c.packet, c.v), wire(t, c.want); !bytes.Equal(got, want) {
			t.Errorf("%s: appended % x, want % x", c.name, got, want)
		}
	}
}

func TestAppendPanicsOnWhatHasNoEncoding(t *testing.T) {
	for name, appendIt := range map[string]func(){
		"string above 65535 bytes": func() { (&Publish{Topic: make([]byte, 65536)}).Append(nil, V311) },
		"misplaced property": func() {
			(&Publish{Topic: []byte("a"), Properties: with(Properties{}, PropReasonString)}).Append(nil, V5)
		},
		"subscription identifier above 268435455": func() {
			(&Subscribe{PacketID: 1, Properties: with(Properties{SubscriptionIdentifiers: []uint32{maxVarint + 1}}, PropSubscriptionIdentifier)}).Append(nil, V5)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			appendIt()
		})
	}
}

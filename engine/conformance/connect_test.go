package conformance

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/gannetmq/gannet/codec"
)

func TestConnectIsAnsweredWithConnack(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.4-5", "MQTT-3.2.2-1", "MQTT-3.2.2-2", "MQTT-4.2.0-1"),
		rows("MQTT-3.1.4-4", "MQTT-3.2.2-1", "MQTT-7.1.1-1"),
		func(t *testing.T, v codec.Version) {
			c := broker(t).join(t, v)
			equal(t, "session present", c.ack.present, false)
			c.ping()
		})
}

func TestFirstPacketMustBeConnect(t *testing.T) {
	bothVersions(t,
		rows("MQTT-3.1.0-1", "MQTT-3.14.0-1"),
		rows("MQTT-3.1.0-1"),
		func(t *testing.T, v codec.Version) {
			for name, first := range map[string][]byte{
				"PINGREQ":     pingreq,
				"PUBLISH":     (&message{topic: "a", payload: "x"}).encode(v),
				"SUBSCRIBE":   subscribePacket(v, 1, nil, filter{"a", 0}),
				"UNSUBSCRIBE": unsubscribePacket(v, 1, "a"),
				"DISCONNECT":  disconnectNow,
				"PUBREL":      ackPacket(codec.TypePubrel, 1, 0),
				"AUTH":        {0xf0, 0},
				"CONNACK":     {0x20, 2, 0, 0},
				"type 0":      {0, 0},
			} {
				c := broker(t).dial(t, v)
				c.id = name + " first"
				c.send(first, (&hello{id: unique(t)}).encode(v))
				c.closed()
			}
		})
}

func TestSecondConnectClosesTheConnection(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.0-2", "MQTT-3.2.0-2"), rows("MQTT-3.1.0-2"), func(t *testing.T, v codec.Version) {
		b := broker(t)
		w := unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{w, 0})
		c := b.connect(t, v, hello{will: &will{topic: w, payload: "will"}})
		c.send((&hello{id: c.id}).encode(v))
		c.refused(codec.ProtocolError)
		sub.receive(w, "will") // it counts as an abnormal end
	})
}

func TestUnknownProtocolNameIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"MQTX", "mqtt", "MQTT ", "", "HTTP/1.1", "MQIsdq"} {
		t.Run(fmt.Sprintf("%q", name), func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.2-1")
			c := broker(t).dial(t, V5)
			c.send(framed(0x10, str(name), []byte{5, 2}, u16(0), block(nil), str(unique(t))))
			c.refusedConnect(codec.UnsupportedProtocolVersion)
		})
		t.Run(fmt.Sprintf("%q at level 4", name), func(t *testing.T) {
			t.Parallel()
			covers(t, V311, "MQTT-3.1.2-1")
			c := broker(t).dial(t, V311)
			c.send(framed(0x10, str(name), []byte{4, 2}, u16(0), str(unique(t))))
			if p := c.next(); p != nil && (p.kind != codec.TypeConnack || p.code == 0) {
				t.Fatalf("%s", p)
			}
			c.gone()
		})
	}
}

func TestUnsupportedProtocolLevelIsRefused(t *testing.T) {
	t.Parallel()
	t.Run("below 5", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.1.2-2", "MQTT-3.2.2-5")
		for _, level := range []byte{1, 2, 3} {
			c := broker(t).dial(t, V311)
			c.send(framed(0x10, str("MQTT"), []byte{level, 2}, u16(0), str(unique(t))))
			c.refusedConnect(codec.ReasonCode(codec.RefusedVersion))
		}
	})
	t.Run("above 5", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.1.2-2")
		for _, level := range []byte{6, 99} {
			c := broker(t).dial(t, V5)
			c.send(framed(0x10, str("MQTT"), []byte{level, 2}, u16(0), block(nil), str(unique(t))))
			if c.b.external { // in whatever layout it likes
				_, err := io.Copy(io.Discard, c.nc)
				equal(t, "end of the connection", err == nil || isClosed(err), true)
			} else {
				c.refusedConnect(codec.UnsupportedProtocolVersion)
			}
		}
	})
}

// malformedConnects are CONNECT packets against one statement each. Rows of a version that is not named do not apply, and that
// version is not tried.
var malformedConnects = []struct {
	name        string
	five, three []string
	flags       byte
	tail        func(v codec.Version, id string) []byte // behind the properties of CONNECT
}{
	{"reserved flag", rows("MQTT-3.1.2-3", "MQTT-3.1.4-1", "MQTT-4.13.1-1", "MQTT-4.13.2-1"), rows("MQTT-3.1.2-3", "MQTT-3.1.4-1", "MQTT-4.8.0-1"), 0x03, idOnly},
	{"will without its fields", rows("MQTT-3.1.2-9"), rows("MQTT-3.1.2-9"), 0x06, idOnly},
	{"will without payload", rows("MQTT-3.1.2-9"), rows("MQTT-3.1.2-9"), 0x06,
		func(v codec.Version, id string) []byte { return cat(str(id), willBlock(v), str("w")) }},
	{"will fields without will", nil, rows("MQTT-3.1.2-11"), 0x02,
		func(v codec.Version, id string) []byte { return cat(str(id), willBlock(v), str("w"), str("x")) }},
	{"will QoS without will", rows("MQTT-3.1.2-11"), rows("MQTT-3.1.2-13", "MQTT-3.1.2-11"), 0x0a, idOnly},
	{"will QoS 2 without will", rows("MQTT-3.1.2-11"), rows("MQTT-3.1.2-13", "MQTT-3.1.2-11"), 0x12, idOnly},
	{"will QoS 3", rows("MQTT-3.1.2-12"), rows("MQTT-3.1.2-14"), 0x1e, willFields},
	{"will retain without will", rows("MQTT-3.1.2-13"), rows("MQTT-3.1.2-15", "MQTT-3.1.2-11"), 0x22, idOnly},
	{"user name without flag", rows("MQTT-3.1.2-16"), rows("MQTT-3.1.2-18"), 0x02,
		func(_ codec.Version, id string) []byte { return cat(str(id), str("user")) }},
	{"user name flag without user name", rows("MQTT-3.1.2-17"), rows("MQTT-3.1.2-19"), 0x82, idOnly},
	{"password without flag", rows("MQTT-3.1.2-18"), rows("MQTT-3.1.2-20"), 0x82,
		func(_ codec.Version, id string) []byte { return cat(str(id), str("user"), str("password")) }},
	{"password flag without password", rows("MQTT-3.1.2-19"), rows("MQTT-3.1.2-21"), 0xc2,
		func(_ codec.Version, id string) []byte { return cat(str(id), str("user")) }},
	{"password without user name", nil, rows("MQTT-3.1.2-22"), 0x42,
		func(_ codec.Version, id string) []byte { return cat(str(id), str("password")) }},
	{"no client identifier", rows("MQTT-3.1.3-3"), rows("MQTT-3.1.3-3"), 0x02, func(codec.Version, string) []byte { return nil }},
	{"half a client identifier", rows("MQTT-3.1.3-3"), rows("MQTT-3.1.3-3"), 0x02, func(codec.Version, string) []byte { return []byte{0, 9, 'x'} }},
}

func idOnly(_ codec.Version, id string) []byte { return str(id) }

func willFields(v codec.Version, id string) []byte {
	return cat(str(id), willBlock(v), str("w"), str("x"))
}

func willBlock(v codec.Version) []byte {
	if v == V5 {
		return block(nil)
	}
	return nil
}

func TestMalformedConnectIsRefused(t *testing.T) {
	t.Parallel()
	for _, m := range malformedConnects {
		for v, ids := range map[codec.Version][]string{V5: m.five, V311: m.three} {
			if ids == nil {
				continue
			}
			t.Run(m.name+"/"+v.String(), func(t *testing.T) {
				t.Parallel()
				covers(t, v, ids...)
				c := broker(t).dial(t, v)
				c.send(connectPacket(v, m.flags, 0, nil, m.tail(v, unique(t))))
				if v == V5 {
					c.refusedConnect(codec.MalformedPacket)
				} else {
					c.refusedConnect()
				}
			})
		}
	}
}

func TestPasswordWithoutUserNameIsLegal(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-19")
	broker(t).connect(t, V5, hello{pass: "secret"})
}

func TestCredentialsAreReadByTheirFlags(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.2-17", "MQTT-3.1.2-19"), rows("MQTT-3.1.2-19", "MQTT-3.1.2-21"), func(t *testing.T, v codec.Version) {
		broker(t).connect(t, v, hello{user: "someone"})
		broker(t).connect(t, v, hello{user: "someone", hasPassword: true})
		broker(t).connect(t, v, hello{user: "someone", pass: "\x00\xff binary"})
	})
}

func TestConnectWithAllFieldsIsReadInOrder(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.3-1"), rows("MQTT-3.1.3-1"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 1})
		h := hello{user: "someone", pass: "secret", keepAlive: 60, will: &will{topic: topic, payload: "farewell", qos: 1}}
		if v == V5 {
			h.props = cat(prop(codec.PropSessionExpiryInterval, 0), pair("a", "b"))
			h.will.props = cat(prop(codec.PropContentType, "text"), prop(codec.PropCorrelationData, "\x01\x02"), pair("k", "1"))
		}
		b.connect(t, v, h).crash()
		p := sub.receive(topic, "farewell")
		if v == V5 {
			equal(t, "content type", p.text(codec.PropContentType), "text")
			equal(t, "correlation data", p.text(codec.PropCorrelationData), "\x01\x02")
			equal(t, "user properties", fmt.Sprint(p.all(codec.PropUserProperty)), fmt.Sprint([]property{{codec.PropUserProperty, 0, "k", "1"}}))
		}
	})
}

func TestClientIdentifiersOfTheGuaranteedAlphabetAreAccepted(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.3-5"), rows("MQTT-3.1.3-5"), func(t *testing.T, v codec.Version) {
		const alphabet = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		mark := strings.ReplaceAll(v.String(), ".", "")
		for start := 0; start < len(alphabet); start += 23 - len(mark) {
			id := mark + alphabet[start:min(start+23-len(mark), len(alphabet))]
			broker(t).connect(t, v, hello{id: id}).leave()
		}
		for _, c := range "0aZ" {
			broker(t).connect(t, v, hello{id: string(c)}).leave()
		}
	})
}

func TestLongAndUnusualClientIdentifiersAreAccepted(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		for _, id := range []string{strings.Repeat("x", 1000), "möwe/#+ $", "🐦"} {
			broker(t).connect(t, v, hello{id: unique(t) + id}).ping()
		}
	})
}

func TestEmptyClientIdentifierGetsAnAssignedOne(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.3-6", "MQTT-3.1.3-7", "MQTT-3.2.2-16")
	b := broker(t)
	expiry := prop(codec.PropSessionExpiryInterval, 60)
	one := b.connect(t, V5, hello{emptyID: true, resume: true, props: expiry})
	two := b.connect(t, V5, hello{emptyID: true, props: expiry})
	first, second := one.ack.text(codec.PropAssignedClientIdentifier), two.ack.text(codec.PropAssignedClientIdentifier)
	if first == "" || second == "" || first == second {
		t.Fatalf("assigned client identifiers %q and %q", first, second)
	}
	one.ping() // the second connection has not displaced it
	topic := unique(t)
	one.subscribe(filter{topic, 1})
	one.leave()

	again := b.connect(t, V5, hello{id: first, resume: true, props: expiry})
	equal(t, "session present", again.ack.present, true)
	equal(t, "assigned again", again.ack.has(codec.PropAssignedClientIdentifier), false)
	b.join(t, V5).publish(message{topic: topic, payload: "x", qos: 1})
	again.receive(topic, "x")
}

func TestEmptyClientIdentifierBefore5NeedsCleanSession(t *testing.T) {
	t.Parallel()
	t.Run("clean", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.1.3-6")
		b := broker(t)
		one, two := b.connect(t, V311, hello{emptyID: true}), b.connect(t, V311, hello{emptyID: true})
		one.ping()
		two.ping()
	})
	t.Run("not clean", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.1.3-7", "MQTT-3.1.3-8", "MQTT-3.2.2-4", "MQTT-3.2.2-5", "MQTT-3.1.3-9")
		broker(t).open(t, V311, hello{emptyID: true, resume: true}).refusedConnect(codec.ReasonCode(codec.RefusedIdentifier))
	})
}

func TestConnectionOfTheSameClientIdentifierIsDisplaced(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.4-3"), rows("MQTT-3.1.4-2"), func(t *testing.T, v codec.Version) {
		b, id := broker(t), unique(t)
		for range 4 { // so that both event loops have their turn
			old := b.connect(t, v, hello{id: id})
			next := b.connect(t, v, hello{id: id})
			old.refused(codec.SessionTakenOver)
			next.ping()
		}
	})
}

func TestDisplacingConnectionTakesTheSessionOver(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.4-3", "MQTT-3.1.2-5"), rows("MQTT-3.1.4-2", "MQTT-3.1.2-4"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		h := lasting(v, hello{id: unique(t), resume: true})
		pub := b.join(t, v)
		old := b.connect(t, v, h)
		old.subscribe(filter{topic, 1})
		for range 4 {
			pub.publish(message{topic: topic, payload: "in flight", qos: 1})
			first := old.delivery(topic, "in flight")
			next := b.connect(t, v, h)
			old.refused(codec.SessionTakenOver)
			equal(t, "session present", next.ack.present, true)
			p := next.receive(topic, "in flight")
			equal(t, "DUP", p.dup(), true)
			equal(t, "packet identifier", p.id, first.id)
			next.ping()
			old = next
		}
	})
}

// lasting makes the session of h outlive its connection.
func lasting(v codec.Version, h hello) hello {
	if v == V5 {
		h.props = cat(h.props, prop(codec.PropSessionExpiryInterval, 600))
	}
	h.resume = true
	return h
}

func TestNothingBehindARefusedConnectIsProcessed(t *testing.T) {
	bothVersions(t, rows("MQTT-3.1.4-6", "MQTT-3.2.2-6", "MQTT-3.2.2-7"), rows("MQTT-3.1.4-5"), func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		sub := b.join(t, v)
		sub.subscribe(filter{topic, 1})
		intruder := message{topic: topic, payload: "intruder", retain: true}
		id := unique(t)

		bad := b.dial(t, v)
		bad.send(connectPacket(v, 0x03, 0, nil, str(id)), intruder.encode(v), subscribePacket(v, 1, nil, filter{topic, 1}))
		bad.gone()
		if v == V311 {
			empty := b.open(t, v, hello{emptyID: true, resume: true})
			empty.send(intruder.encode(v))
			empty.gone()
		}
		sub.ping()
		late := b.join(t, v)
		late.subscribe(filter{topic, 1})
		late.ping()
	})
}

func TestPacketsBehindConnectAreProcessedOnceItIsAccepted(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		c := b.dial(t, v)
		c.send((&hello{id: unique(t)}).encode(v), subscribePacket(v, 1, nil, filter{topic, 0}),
			(&message{topic: topic, payload: "early"}).encode(v), pingreq)
		c.accepted()
		c.expectAck(codec.TypeSuback, 1)
		c.delivery(topic, "early")
		c.expect(codec.TypePingresp)
	})
}

func TestConnectArrivingByteByByteIsAccepted(t *testing.T) {
	bothVersions(t, nil, nil, func(t *testing.T, v codec.Version) {
		b, topic := broker(t), unique(t)
		c := b.dial(t, v)
		for _, x := range cat((&hello{id: unique(t)}).encode(v), subscribePacket(v, 1, nil, filter{topic, 0}),
			(&message{topic: topic, payload: strings.Repeat("x", 200)}).encode(v)) {
			c.send([]byte{x})
		}
		c.accepted()
		c.expectAck(codec.TypeSuback, 1)
		c.delivery(topic, strings.Repeat("x", 200))
	})
}

func TestConnackStatesOnlyWhatTheClientMustKnow(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-8", "MQTT-4.12.0-6", "MQTT-2.2.2-1")
	// The decoder demands a property length and a code of the table, the witness no method.
	c := broker(t).connect(t, V5, hello{props: prop(codec.PropSessionExpiryInterval, 30)})
	if got := c.ack.number(codec.PropSessionExpiryInterval, 30); got != 30 {
		t.Fatalf("session expiry interval %d in CONNACK", got)
	}
	c.ping()
}

func TestResponseInformationIsSentOnlyOnRequest(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-28")
	b := brokerWith(t, small)
	equal(t, "response information unasked", b.join(t, V5).ack.has(codec.PropResponseInformation), false)
	no := b.connect(t, V5, hello{props: prop(codec.PropRequestResponseInformation, 0)})
	equal(t, "response information unwanted", no.ack.has(codec.PropResponseInformation), false)
	yes := b.connect(t, V5, hello{props: prop(codec.PropRequestResponseInformation, 1)})
	equal(t, "response information", yes.ack.text(codec.PropResponseInformation), "responses/")
}

func TestConnackRefusalFitsTheClientsMaximumPacketSize(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.2.2-19", "MQTT-3.2.2-20")
	b := broker(t)
	unknown := prop(codec.PropAuthenticationMethod, "NO-SUCH-METHOD")
	c := b.open(t, V5, hello{props: unknown})
	wordy := c.expect(codec.TypeConnack)
	if !b.external && !wordy.has(codec.PropReasonString) {
		t.Fatal("no reason string where there is room for one: this test shows nothing")
	}
	for limit := wordy.size; limit >= 5; limit-- {
		c := b.open(t, V5, hello{props: cat(unknown, prop(codec.PropMaximumPacketSize, limit))})
		c.refusedConnect(wordy.code) // the witness sees its size
	}
}

func TestUnknownAuthenticationMethodIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.0-1")
	c := broker(t).open(t, V5, hello{props: prop(codec.PropAuthenticationMethod, "NO-SUCH-METHOD")})
	c.refusedConnect(codec.BadAuthenticationMethod, codec.NotAuthorized)
}

func TestSilentConnectionIsClosed(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, impatient)
	mute, slow := b.dial(t, V5), b.dial(t, V5)
	slow.send((&hello{id: "never-finished"}).encode(V5)[:9])
	mute.closed()
	slow.closed()
}

func TestClientThatIsNotAuthenticatedIsRefused(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, scram)
	t.Run("5.0", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.1.4-2", "MQTT-3.2.2-7", "MQTT-4.13.2-1")
		b.open(t, V5, hello{}).refusedConnect(codec.NotAuthorized)
		b.open(t, V5, hello{user: "user", pass: "pencil"}).refusedConnect(codec.NotAuthorized)
	})
	t.Run("3.1.1", func(t *testing.T) {
		t.Parallel()
		covers(t, V311, "MQTT-3.2.2-4", "MQTT-3.2.2-5")
		b.open(t, V311, hello{}).refusedConnect(codec.ReasonCode(codec.RefusedNotAuthorized))
	})
}

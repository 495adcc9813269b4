package conformance

import (
	"testing"

	"github.com/gannetmq/gannet/codec"
	"github.com/gannetmq/gannet/engine/auth"
)

const scramName = "SCRAM-SHA-256"

// login is a client in the middle of SCRAM-SHA-256.
type login struct {
	*client
	scram auth.ScramClient
}

// scramMethod are the properties of a packet of the exchange.
func scramMethod(data []byte) []byte {
	return cat(prop(codec.PropAuthenticationMethod, scramName), prop(codec.PropAuthenticationData, string(data)))
}

// beginLogin sends CONNECT with the first message.
func beginLogin(t *testing.T, b *target, user, password string, h hello) *login {
	t.Helper()
	l := &login{scram: auth.ScramClient{UserName: user, Password: password}}
	first, err := l.scram.First()
	if err != nil {
		t.Fatal(err)
	}
	h.props = cat(h.props, scramMethod(first))
	l.client = b.open(t, V5, h)
	return l
}

// challenge takes the server's AUTH and returns the client's last message.
func (l *login) challenge() []byte {
	l.t.Helper()
	p := l.expect(codec.TypeAuth)
	equal(l.t, "code of AUTH", p.code, codec.ContinueAuthentication)
	equal(l.t, "method of AUTH", p.text(codec.PropAuthenticationMethod), scramName)
	final, err := l.scram.Final([]byte(p.text(codec.PropAuthenticationData)))
	if err != nil {
		l.t.Fatal(err)
	}
	return final
}

// logIn goes through to CONNACK.
func logIn(t *testing.T, b *target, h hello) *login {
	t.Helper()
	l := beginLogin(t, b, scramUser, scramPassword, h)
	l.send(authPacket(codec.ContinueAuthentication, scramMethod(l.challenge())))
	ack := l.accepted()
	equal(t, "method of CONNACK", ack.text(codec.PropAuthenticationMethod), scramName)
	if err := l.scram.Verify([]byte(ack.text(codec.PropAuthenticationData))); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEnhancedAuthenticationLetsTheRightClientIn(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.0-2", "MQTT-4.12.0-3", "MQTT-4.12.0-5", "MQTT-3.15.2-1", "MQTT-3.2.0-1")
	b, topic := brokerWith(t, scram), unique(t)
	l := logIn(t, b, hello{})
	l.subscribe(filter{topic, 1})
	l.start(message{topic: topic, payload: "x"})
	l.receive(topic, "x")
}

func TestEnhancedAuthenticationWaitsForTheFirstData(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.0-2")
	b := brokerWith(t, scram)
	l := &login{scram: auth.ScramClient{UserName: scramUser, Password: scramPassword}}
	first, err := l.scram.First()
	if err != nil {
		t.Fatal(err)
	}
	l.client = b.open(t, V5, hello{props: prop(codec.PropAuthenticationMethod, scramName)}) // no data yet
	equal(t, "code of AUTH", l.expect(codec.TypeAuth).code, codec.ContinueAuthentication)
	l.send(authPacket(codec.ContinueAuthentication, scramMethod(first)))
	l.send(authPacket(codec.ContinueAuthentication, scramMethod(l.challenge())))
	l.accepted()
}

func TestEnhancedAuthenticationKeepsTheWrongClientOut(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, scram)
	t.Run("wrong password", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.12.0-4", "MQTT-3.1.4-2")
		l := beginLogin(t, b, scramUser, "wrong", hello{})
		l.send(authPacket(codec.ContinueAuthentication, scramMethod(l.challenge())))
		l.refusedConnect(codec.NotAuthorized, codec.BadUserNameOrPassword)
	})
	t.Run("unknown user", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.12.0-4", "MQTT-3.1.4-2")
		l := beginLogin(t, b, "nobody", "wrong", hello{})
		l.send(authPacket(codec.ContinueAuthentication, scramMethod(l.challenge())))
		l.refusedConnect(codec.NotAuthorized, codec.BadUserNameOrPassword)
	})
	t.Run("nonsense", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.12.0-4")
		c := b.open(t, V5, hello{props: scramMethod([]byte("nonsense"))})
		if p := c.expect(codec.TypeConnack); p.code < codec.UnspecifiedError {
			t.Fatalf("%s", p)
		}
		c.closed()
	})
}

func TestOnlyAuthMayComeBeforeConnack(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, scram)
	for name, packet := range map[string][]byte{
		"PUBLISH":   (&message{topic: "x", qos: 1, id: 1}).encode(V5),
		"SUBSCRIBE": subscribePacket(V5, 1, nil, filter{"x", 0}),
		"PINGREQ":   pingreq,
		"CONNECT":   (&hello{id: "x"}).encode(V5),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-3.1.2-30", "MQTT-3.1.4-6", "MQTT-3.14.0-1")
			l := beginLogin(t, b, scramUser, scramPassword, hello{})
			final := l.challenge()
			l.send(packet, authPacket(codec.ContinueAuthentication, scramMethod(final)))
			l.refusedConnect(codec.ProtocolError)
		})
	}
	t.Run("DISCONNECT", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.14.0-1")
		l := beginLogin(t, b, scramUser, scramPassword, hello{})
		l.challenge()
		l.send(disconnectNow)
		l.closed()
	})
}

func TestAuthOutOfPlaceBeforeConnackIsRefused(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, scram)
	for name, tt := range map[string]struct {
		code codec.ReasonCode
		row  string
	}{
		"success":         {codec.Success, "MQTT-4.12.0-3"},
		"re-authenticate": {codec.ReAuthenticate, "MQTT-4.12.0-3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, tt.row)
			l := beginLogin(t, b, scramUser, scramPassword, hello{})
			l.send(authPacket(tt.code, scramMethod(l.challenge())))
			l.refusedConnect(codec.ProtocolError)
		})
	}
	t.Run("code outside the table", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-3.15.2-1")
		l := beginLogin(t, b, scramUser, scramPassword, hello{})
		l.send(authPacket(codec.UnspecifiedError, scramMethod(l.challenge())))
		l.refusedConnect(codec.ProtocolError, codec.MalformedPacket)
	})
	t.Run("another method", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.12.0-5")
		l := beginLogin(t, b, scramUser, scramPassword, hello{})
		final := l.challenge()
		l.send(authPacket(codec.ContinueAuthentication, prop(codec.PropAuthenticationMethod, "SCRAM-SHA-1"),
			prop(codec.PropAuthenticationData, string(final))))
		l.refusedConnect(codec.BadAuthenticationMethod, codec.ProtocolError)
	})
	t.Run("no method", func(t *testing.T) {
		t.Parallel()
		covers(t, V5, "MQTT-4.12.0-5")
		l := beginLogin(t, b, scramUser, scramPassword, hello{})
		l.challenge()
		l.send(authPacket(codec.ContinueAuthentication))
		l.refusedConnect(codec.ProtocolError, codec.BadAuthenticationMethod)
	})
}

func TestClientProvesItselfAgain(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.1-1", "MQTT-4.12.0-5", "MQTT-3.15.2-1")
	b, topic := brokerWith(t, scram), unique(t)
	l := logIn(t, b, hello{})
	l.subscribe(filter{topic, 0})
	for range 2 {
		first, err := l.scram.First()
		if err != nil {
			t.Fatal(err)
		}
		l.send(authPacket(codec.ReAuthenticate, scramMethod(first)))
		final := l.challenge()
		// The old rights hold meanwhile.
		l.start(message{topic: topic, payload: "x"})
		l.delivery(topic, "x")
		l.send(authPacket(codec.ContinueAuthentication, scramMethod(final)))
		p := l.expect(codec.TypeAuth)
		equal(t, "code", p.code, codec.Success)
		equal(t, "method", p.text(codec.PropAuthenticationMethod), scramName)
		if err := l.scram.Verify([]byte(p.text(codec.PropAuthenticationData))); err != nil {
			t.Fatal(err)
		}
		l.ping()
	}
}

func TestFailedReauthenticationClosesTheConnection(t *testing.T) {
	t.Parallel()
	b := brokerWith(t, scram)
	for name, user := range map[string][2]string{
		"wrong password": {scramUser, "wrong"},
		"another user":   {scramOther, scramPassword},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			covers(t, V5, "MQTT-4.12.1-2")
			l := logIn(t, b, hello{})
			l.scram = auth.ScramClient{UserName: user[0], Password: user[1]}
			first, err := l.scram.First()
			if err != nil {
				t.Fatal(err)
			}
			l.send(authPacket(codec.ReAuthenticate, scramMethod(first)))
			l.send(authPacket(codec.ContinueAuthentication, scramMethod(l.challenge())))
			l.refused(codec.NotAuthorized)
		})
	}
}

func TestReauthenticationKeepsToTheMethod(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.1-1", "MQTT-4.12.0-5")
	b := brokerWith(t, scram)
	for _, packet := range [][]byte{
		authPacket(codec.ReAuthenticate, prop(codec.PropAuthenticationMethod, "SCRAM-SHA-1")),
		authPacket(codec.ReAuthenticate),
		authPacket(codec.ContinueAuthentication, scramMethod([]byte("x"))), // nothing to continue
		{0xf0, 0},
	} {
		l := logIn(t, b, hello{})
		l.send(packet)
		l.refused(codec.ProtocolError, codec.BadAuthenticationMethod)
	}
}

func TestAuthWithoutAMethodInConnectIsRefused(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-4.12.0-7")
	b := broker(t)
	for _, packet := range [][]byte{
		authPacket(codec.ReAuthenticate, prop(codec.PropAuthenticationMethod, scramName)),
		authPacket(codec.ContinueAuthentication, scramMethod([]byte("x"))),
		authPacket(codec.ReAuthenticate),
		{0xf0, 0},
	} {
		c := b.join(t, V5)
		c.send(packet)
		c.refused(codec.ProtocolError)
	}
}

func TestAuthKeepsWithinTheClientsMaximumPacketSize(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.15.2-2", "MQTT-3.15.2-3", "MQTT-3.1.2-24")
	b := brokerWith(t, scram)
	l := beginLogin(t, b, scramUser, scramPassword, hello{})
	free := l.expect(codec.TypeAuth)
	// With exact room it arrives; with less it cannot, and nothing else may be too large either (the witness looks).
	l = beginLogin(t, b, scramUser, scramPassword, hello{props: prop(codec.PropMaximumPacketSize, free.size)})
	l.challenge()
	l = beginLogin(t, b, scramUser, scramPassword, hello{props: prop(codec.PropMaximumPacketSize, free.size-1)})
	if p := l.next(); p != nil && p.code < codec.UnspecifiedError {
		t.Fatalf("%s", p)
	}
	l.gone()
}

func TestAuthExplainsNothingToAClientThatDoesNotWantIt(t *testing.T) {
	t.Parallel()
	covers(t, V5, "MQTT-3.1.2-29")
	b := brokerWith(t, scram)
	l := logIn(t, b, hello{props: prop(codec.PropRequestProblemInformation, 0)}) // the witness looks
	l.ping()
}
